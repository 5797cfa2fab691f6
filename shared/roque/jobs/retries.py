"""Doing a run again: after what stood in its way is gone, or with another recipe."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from roque.archive.models import Job, RawFile, Recipe, Reduction, Run
from roque.archive.progress import BEGINNINGS
from roque.archive.recipes import DEFAULT, latest_recipe
from roque.errors import BadInput
from roque.jobs import life
from roque.jobs.outbox import clock
from roque.jobs.priority import set_priority
from roque.telemetry import new_trace

__all__ = ["request_runs", "retry_job", "retry_run", "submit_run"]


def retry_run(session: Session, run: Run) -> list[str]:
    """Start the failed and cancelled jobs of a run afresh, and let the planner look at it again.

    It takes the newest version of the run's recipe. A file that could not be read is looked at again by the next ingest that
    starts: it has not changed, so what has is the code or the description of its camera.

    Returns
    -------
    list of str
        Ids of the jobs started afresh.
    """
    run.trace = new_trace()
    if run.state == "failed":
        session.execute(update(RawFile).where(RawFile.run_id == run.id).values(sha256=None))
        return []
    return _again(session, run)


def retry_job(session: Session, job_id: str) -> Job:
    """Start a failed or cancelled job afresh, with the reduction that it belongs to.

    Raises
    ------
    NotFound
        There is no such job.
    Conflict
        The job has not failed.
    """
    job = life.retry(session, job_id)
    run = session.get(Run, job.run_id) if job.run_id is not None else None
    if run is not None:
        _wanted(session, run)
        if run.state in ("growing", "complete"):
            run.unsettled = True
    session.execute(
        update(Reduction)
        .where(Reduction.id == job.reduction_id, Reduction.state.in_(("failed", "cancelled")))
        .values(state="running")
        .execution_options(synchronize_session=False)
    )
    return job


def submit_run(session: Session, run: Run, *, recipe: str | None = None, priority: str | None = None) -> Recipe:
    """Have a run reduced again, with the newest version of a recipe.

    A reduction that it has already with the very same parameters and masters is not made anew.

    Parameters
    ----------
    recipe : str or None
        Name of the recipe from now on; None: the one that it has.
    priority : str or None
        live or archive; None: as `roque.jobs.priority` has it.

    Returns
    -------
    Recipe
        What it will be reduced with.

    Raises
    ------
    BadInput
        The run is not one that is reduced.
    NotFound
        There is no such recipe for its camera.
    """
    if run.kind != "science" or run.state not in ("growing", "complete"):
        what = f"its kind is {run.kind}" if run.kind != "science" else f"it is {run.state}"
        raise BadInput(f"the run is not one to be reduced: {what}", place=run.path, remedy="name science runs")
    name = recipe or run.hints.get("recipe", DEFAULT)
    row = latest_recipe(session, run.instrument.name, name, clock(session))
    hints = {key: value for key, value in run.hints.items() if key != "recipe"}
    run.hints = hints if name == DEFAULT else {**hints, "recipe": name}
    run.trace = new_trace()
    _again(session, run)
    if priority is not None:
        set_priority(session, [run.id], priority)
    return row


def _again(session: Session, run: Run) -> list[str]:
    """Let the planner look at a run afresh, and start what was stopped of it; returns the ids of these jobs."""
    _wanted(session, run)
    if run.state in ("growing", "complete"):
        run.unsettled, run.recipe_id = True, None
    _revive(session, run)
    # what a user cancelled before it came to a reduction the planner begins again, if it still is what the run should have
    by_user = Job.run_id == run.id, Job.state == "cancelled", Job.reason == life.BY_USER
    session.execute(update(Job).where(*by_user, Job.kind.in_(BEGINNINGS)).values(reason=None))
    alive = select(Reduction.id).where(Reduction.run_id == run.id, Reduction.state.in_(("running", "done")))
    stopped = session.scalars(
        select(Job.id)
        .where(or_(and_(*by_user), and_(Job.run_id == run.id, Job.state == "failed")))
        .where(or_(Job.reduction_id.is_(None), Job.reduction_id.in_(alive)))
        .order_by(Job.created_at, Job.id)
    ).all()
    for job_id in stopped:
        # an earlier one may have taken this one along
        if session.scalar(select(Job.state).where(Job.id == job_id)) in ("failed", "cancelled"):
            life.retry(session, job_id)
    return list(stopped)


def _wanted(session: Session, run: Run) -> None:
    """Take back what keeps a run from being reduced; of an archive its night's calibrations are then asked for too."""
    if run.on_request and run.kind == "science":
        same = Run.instrument_id == run.instrument_id, Run.night_id == run.night_id
        request_runs(session, *same, Run.kind.in_(("bias", "dark", "flat")))
    run.held = run.on_request = False


def request_runs(session: Session, *which: ColumnElement[bool]) -> int:
    """Ask for those runs of the archive that nobody has asked for yet; returns their number."""
    asked = session.execute(
        update(Run)
        .where(Run.on_request, *which)
        .values(on_request=False, unsettled=True)
        .execution_options(synchronize_session=False)
    )
    return int(asked.rowcount)  # type: ignore[attr-defined]


def _revive(session: Session, run: Run) -> None:
    """Let the reduction go on that was stopped and still is what the run should have; others are for the planner to replace."""
    stopped = session.scalars(
        select(Reduction)
        .where(Reduction.run_id == run.id, Reduction.state.in_(("failed", "cancelled")))
        .order_by(Reduction.id.desc())
    ).unique()
    for reduction in stopped:
        if reduction.hints == run.hints:
            reduction.state = "running"
            session.flush()
            return
