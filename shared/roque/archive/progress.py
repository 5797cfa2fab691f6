"""How far the system is: what is left to do, and what every run has come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from roque.archive.models import Job, Reduction, Run

__all__ = ["Left", "RunState", "left_to_do", "run_state"]


@dataclass(frozen=True)
class Left:
    """What is left to do."""

    growing: int  # runs that are not ended
    unsettled: int  # runs that the planner is not done with
    jobs: int  # waiting, queued or running
    frames: int  # of the reductions under way
    frames_done: int

    @property
    def nothing(self) -> bool:
        """Whether the system is at rest."""
        return not (self.growing or self.unsettled or self.jobs)


@dataclass(frozen=True)
class RunState:
    """What a run has come to, in a word for lists and a sentence for people."""

    word: str  # growing, waiting, reducing, done, registered, failed, conflict, superseded
    detail: str
    failed: bool  # something of it went wrong: lost frames, a failed job, an unreadable file


def left_to_do(session: Session) -> Left:
    """Count what is left to do."""
    growing = session.scalar(select(func.count()).where(Run.state == "growing")) or 0
    unsettled = session.scalar(select(func.count()).where(Run.unsettled)) or 0
    jobs = session.scalar(select(func.count()).where(Job.state.in_(("waiting", "queued", "running")))) or 0
    frames, done = session.execute(
        select(func.coalesce(func.sum(Run.frames), 0), func.coalesce(func.sum(Reduction.frames_done), 0))
        .join(Run, Run.id == Reduction.run_id)
        .where(Reduction.state == "running")
    ).one()
    return Left(growing, unsettled, jobs, frames, done)


def run_state(session: Session, run: Run) -> RunState:
    """Say what a run has come to."""
    errors = [p["message"] for p in run.problems if p["severity"] == "error"]
    if run.state in ("failed", "conflict", "superseded"):
        return RunState(run.state, errors[0] if errors else "", run.state != "superseded")
    jobs = session.scalars(select(Job).where(Job.run_id == run.id).order_by(Job.created_at)).all()
    broken = _failure(jobs)
    reduction = session.scalar(
        select(Reduction)
        .where(Reduction.run_id == run.id, Reduction.state.in_(("running", "done")))
        .order_by(Reduction.id.desc())
        .limit(1)
    )
    if broken:
        return RunState("failed", broken, failed=True)
    if run.waiting:
        return RunState("waiting", run.waiting.removeprefix("waiting: "), bool(errors))
    if reduction is not None and reduction.state == "running":
        return RunState("reducing", f"{reduction.frames_done} of {run.frames} frames", bool(errors))
    if run.state == "growing":
        return RunState("growing", f"{run.frames} frames", bool(errors))
    if any(job.state in ("waiting", "queued", "running") for job in jobs) or run.unsettled:
        return RunState("working", "", bool(errors))
    if reduction is not None or any(job.kind == "build_master" and job.state == "done" for job in jobs):
        return RunState("done", errors[0] if errors else "", bool(errors))
    return RunState("registered", errors[0] if errors else "", bool(errors))


def _failure(jobs: Sequence[Job]) -> str | None:
    """Message of the newest job if it failed; an older failure that was made good does not count."""
    for job in reversed(jobs):
        if job.state == "failed":
            return str((job.error or {}).get("message", "failed"))
        if job.kind in ("build_master", "prepare_reduction") and job.state == "done":
            return None
    return None
