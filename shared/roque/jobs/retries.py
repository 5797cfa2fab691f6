"""Trying a run again after what stood in its way is gone."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from roque.archive.models import Job, RawFile, Reduction, Run
from roque.jobs import life

__all__ = ["retry_run"]


def retry_run(session: Session, run: Run) -> list[str]:
    """Start the failed jobs of a run afresh, and let the planner look at it again, with the newest version of its recipe.

    A file that could not be read is looked at again by the next ingest that starts: it has not changed, so what has is the
    code or the description of its camera.

    Returns
    -------
    list of str
        Ids of the jobs started afresh.
    """
    if run.state == "failed":
        session.execute(update(RawFile).where(RawFile.run_id == run.id).values(sha256=None))
        return []
    failed = session.scalars(
        select(Job.id).where(Job.run_id == run.id, Job.state == "failed").order_by(Job.created_at, Job.id)
    ).all()
    for job_id in failed:
        # an earlier one may have taken this one along
        if session.scalar(select(Job.state).where(Job.id == job_id)) == "failed":
            life.retry(session, job_id)
    # a reduction fails with a job of its own
    session.execute(update(Reduction).where(Reduction.run_id == run.id, Reduction.state == "failed").values(state="running"))
    if run.state in ("growing", "complete"):
        run.unsettled, run.recipe_id = True, None
    return list(failed)
