"""What goes first: what is observed now before what lies in the archive.

A run is live if somebody said so; else if it grows, if somebody waits for it at a terminal, or if it was taken in the last
night. Its jobs carry its priority, the planner looks at live runs first, and a worker that is free takes a live job before the
one that its message names (`roque.jobs.claims.claim`): a queue of the broker has one order, and 10^5 messages may stand in it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import ColumnElement, case, or_, select, update
from sqlalchemy.orm import Session

from roque.archive.models import Job, Night, Run

__all__ = ["PRIORITIES", "is_live", "live_runs", "priority_of", "promote_calibrations", "set_priority"]

PRIORITIES = ("live", "archive")

LIVE = 2
"""Priority of the jobs of a live run; one more while it grows, 0 in the archive."""

_LAST_NIGHT = dt.timedelta(hours=36)  # a night has the date of its evening, and is worked off in the day after it


def is_live(run: Run, now: dt.datetime) -> bool:
    """Whether a run goes before the archive."""
    if run.priority is not None:
        return run.priority == "live"
    return run.urgent or run.state == "growing" or run.night.date >= (now - _LAST_NIGHT).date()


def live_runs(now: dt.datetime) -> ColumnElement[bool]:
    """Give `is_live` as a condition on rows of `Run`."""
    recent = select(Night.id).where(Night.date >= (now - _LAST_NIGHT).date())
    by_itself = or_(Run.urgent, Run.state == "growing", Run.night_id.in_(recent))
    return case((Run.priority.is_not(None), Run.priority == "live"), else_=by_itself)


def priority_of(run: Run, now: dt.datetime) -> int:
    """Priority of the jobs of a run: larger goes first."""
    return (LIVE + (run.state == "growing")) if is_live(run, now) else 0


def set_priority(session: Session, runs: Sequence[int], priority: str) -> None:
    """Say of runs, by id, that they are live or archive, and of the jobs of theirs that have not begun."""
    session.execute(update(Run).where(Run.id.in_(runs)).values(priority=priority))
    session.execute(
        update(Job)
        .where(Job.run_id.in_(runs), Job.state.in_(("waiting", "queued")))
        .values(priority=LIVE if priority == "live" else 0)
        .execution_options(synchronize_session=False)
    )


def promote_calibrations(session: Session, run: Run, now: dt.datetime) -> None:
    """Let the calibration runs that a live run waits for, those of its night, be as live as it is."""
    calibrations = Run.kind.in_(("bias", "dark", "flat")), Run.unsettled
    same = Run.instrument_id == run.instrument_id, Run.night_id == run.night_id
    found = session.scalars(select(Run.id).where(*calibrations, *same, ~live_runs(now))).all()
    if found:
        set_priority(session, found, "live")
