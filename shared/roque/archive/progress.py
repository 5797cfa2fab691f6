"""How far the system is: what is left to do, and what every run has come to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from roque.archive.models import Job, RawFile, Reduction, Run

if TYPE_CHECKING:
    from roque.archive.summaries import RunSummary

__all__ = ["BEGINNINGS", "JobFacts", "Left", "ReductionFacts", "RunState", "judge", "left_to_do", "run_state"]

BEGINNINGS = ("build_master", "prepare_reduction")
"""Kinds of jobs that begin the work on a run afresh: what failed before one that is done is made good."""


@dataclass(frozen=True)
class Left:
    """What is left to do."""

    growing: int  # runs that are not ended
    unsettled: int  # other runs that the planner is not done with
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

    word: str  # as in roque.archive.summaries.STATES
    detail: str
    failed: bool  # something of it went wrong: lost frames, a failed job, an unreadable file


class JobFacts(NamedTuple):
    """What is asked of a job to tell the state of its run."""

    kind: str
    state: str
    error: dict[str, Any] | None


class ReductionFacts(NamedTuple):
    """What is asked of a reduction to tell the state of its run."""

    state: str
    frames_done: int


def left_to_do(session: Session, watched: Collection[str] | None = None) -> Left:
    """Count what is left to do.

    Parameters
    ----------
    session : Session
    watched : collection of str, optional
        Files that are being looked at: a growing run without one of them will not end, and does not count. Default: all do.
    """
    files = session.execute(
        select(RawFile.run_id, RawFile.path).join(Run, Run.id == RawFile.run_id).where(Run.state == "growing")
    )
    growing = len({run_id for run_id, path in files if watched is None or path in watched})
    unsettled = session.scalar(select(func.count()).where(Run.unsettled, Run.state != "growing")) or 0
    jobs = session.scalar(select(func.count()).where(Job.state.in_(("waiting", "queued", "running")))) or 0
    frames, done = session.execute(
        select(func.coalesce(func.sum(Run.frames), 0), func.coalesce(func.sum(Reduction.frames_done), 0))
        .join(Run, Run.id == Reduction.run_id)
        .where(Reduction.state == "running")
    ).one()
    return Left(growing, unsettled, jobs, frames, done)


def run_state(session: Session, run: Run) -> RunState:
    """Say what a run has come to."""
    told = Job.run_id == run.id, ~((Job.kind == "reduce_range") & (Job.state == "done"))  # of these a run may have 10^5
    jobs = session.execute(select(Job.kind, Job.state, Job.error).where(*told).order_by(Job.created_at, Job.id)).all()
    reduction = session.execute(
        select(Reduction.state, Reduction.frames_done)
        .where(Reduction.run_id == run.id, Reduction.state.in_(("running", "done")))
        .order_by((Reduction.state == "running").desc(), Reduction.finished_at.desc(), Reduction.id.desc())
        .limit(1)
    ).one_or_none()
    done = ReductionFacts(*reduction) if reduction is not None else None
    return judge(run, [JobFacts(*job) for job in jobs], done)


def judge(run: Run | RunSummary, jobs: Sequence[JobFacts], reduction: ReductionFacts | None) -> RunState:
    """Say what a run has come to, given its jobs (oldest first; finished ranges may be left out) and its newest reduction."""
    errors = [p["message"] for p in run.problems if p["severity"] == "error"]
    if run.state in ("failed", "conflict", "superseded"):
        return RunState(run.state, errors[0] if errors else "", run.state != "superseded")
    if run.held:
        return RunState("cancelled", "until 'roque run retry' or 'roque job submit'", failed=True)
    broken = _failure(jobs)
    if broken:
        return RunState("failed", broken, failed=True)
    if run.waiting:
        return RunState("waiting", run.waiting.removeprefix("waiting: "), bool(errors))
    if reduction is not None and reduction.state == "running":
        return RunState("reducing", f"{reduction.frames_done} of {run.frames} frames", bool(errors))
    if run.state == "growing":
        return RunState("growing", f"{run.frames} frames", bool(errors))
    if run.on_request and reduction is None:
        return RunState("registered", errors[0] if errors else "of an archive; 'roque job submit' has it reduced", bool(errors))
    if any(job.state in ("waiting", "queued", "running") for job in jobs) or run.unsettled:
        return RunState("working", "", bool(errors))
    if reduction is not None or any(job.kind == "build_master" and job.state == "done" for job in jobs):
        return RunState("done", errors[0] if errors else "", bool(errors))
    return RunState("registered", errors[0] if errors else "", bool(errors))


def _failure(jobs: Sequence[JobFacts]) -> str | None:
    """Message of the newest job if it failed; an older failure that was made good does not count."""
    for job in reversed(jobs):
        if job.state == "failed":
            return str((job.error or {}).get("message", "failed"))
        if job.kind in BEGINNINGS and job.state == "done":
            return None
    return None
