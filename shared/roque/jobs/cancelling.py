"""Cancelling: what a user does not want any more is not begun, and what is being done of it is not recorded.

A worker at a cancelled job notices when it next renews its lease, and stops; and whatever it has made, its claim is gone, so
that nothing of it is committed. What was committed before stays, and a retry goes on from there.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from roque.archive.models import Job, Reduction, Run
from roque.jobs import life
from roque.jobs.outbox import clock

__all__ = ["cancel_job", "cancel_run", "is_under_way"]


def cancel_run(session: Session, run: Run) -> list[str]:
    """Cancel all that is under way or to come of a run; until it is retried or submitted again nothing more is begun.

    Returns
    -------
    list of str
        Ids of the jobs that were cancelled.
    """
    session.refresh(run, with_for_update={"of": Run})  # the planner must not submit jobs meanwhile
    run.held, run.unsettled, run.waiting, run.priority = True, False, None, None
    now = clock(session)
    cancelled = _cancel(session, run, now)
    _stop_reductions(session, run.id)
    # a range that was being committed while we waited for it may have submitted the next one
    return cancelled + _cancel(session, run, now)


def cancel_job(session: Session, job_id: str) -> Job:
    """Cancel one job, and with it the reduction that cannot go on without.

    Raises
    ------
    NotFound
        There is no such job.
    Conflict
        The job has ended already.
    """
    job = life.cancel(session, job_id)
    if job.kind == "reduce_range" and job.run_id is not None:
        _stop_reductions(session, job.run_id, job.reduction_id)
    return job


def is_under_way(session: Session, run: Run) -> bool:
    """Whether there is anything of a run to cancel."""
    jobs = select(Job.id).where(Job.run_id == run.id, life.unfinished()).limit(1)
    return run.unsettled or run.state == "growing" or session.scalar(jobs) is not None


def _cancel(session: Session, run: Run, now: dt.datetime) -> list[str]:
    found = session.scalars(
        update(Job)
        .where(Job.run_id == run.id, life.unfinished())
        .values(state="cancelled", reason=life.BY_USER, claim_token=None, lease_until=None, finished_at=now)
        .returning(Job.id)
        .execution_options(synchronize_session=False)
    ).all()
    for job_id in found:
        life.wake_dependants(session, now, job_id)
    return sorted(found)


def _stop_reductions(session: Session, run_id: int, reduction_id: int | None = None) -> None:
    mine = [Reduction.id == reduction_id] if reduction_id is not None else []
    session.execute(
        update(Reduction)
        .where(Reduction.run_id == run_id, Reduction.state == "running", *mine)
        .values(state="cancelled")
        .execution_options(synchronize_session=False)
    )
