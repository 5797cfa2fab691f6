"""Lists of runs as an operator sees them: what each is, and what it has come to."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, or_, select
from sqlalchemy.orm import Session

from roque.archive.headers import HeaderTest, header_condition
from roque.archive.models import Instrument, Job, Night, Reduction, Run
from roque.archive.progress import BEGINNINGS, JobFacts, ReductionFacts, RunState, judge

__all__ = ["STATES", "Filters", "RunSummary", "list_runs", "run_names"]

STATES = ("growing", "waiting", "working", "reducing", "done", "registered", "failed", "cancelled", "conflict", "superseded")
"""What a run can have come to; see `roque.archive.progress.judge`."""

_Select = Select[*tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which runs to list; None: any. Superseded ones only if asked for."""

    night: dt.date | None = None
    since: dt.date | None = None
    state: str | None = None  # what it has come to; 'growing' also finds those that are being reduced while they grow
    kind: str | None = None
    object: str | None = None  # any part of the name, upper and lower case alike
    instrument: str | None = None
    filter: str | None = None  # of any CCD
    header: tuple[HeaderTest, ...] = ()  # all of them hold


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """A run in a line: what it is."""

    id: int
    name: str
    version: int
    state: str  # of its files: growing, complete ...
    kind: str
    object: str
    exposure: float  # s
    frames: int
    frames_expected: int | None
    frames_dropped: int
    frames_missing: int
    bad_times: int
    mjd_first: float | None
    mjd_last: float | None
    problems: list[dict[str, Any]]
    waiting: str | None
    unsettled: bool
    held: bool
    on_request: bool
    reduction: str | None  # id of the newest one in use


def list_runs(session: Session, filters: Filters) -> list[tuple[RunSummary, RunState]]:
    """List runs by night, instrument and time, each with what it has come to.

    Headers and windows stay in the database, so that thousands of runs are listed in a moment.
    """
    runs = _selected(session, filters)
    ids = runs.with_only_columns(Run.id)
    rows = session.execute(runs.order_by(Night.date, Instrument.name, Run.mjd_first, Run.name, Run.version)).all()
    reductions = _reductions(session, ids)
    jobs = _jobs(session, ids)
    found = []
    for row in rows:
        if filters.filter is not None and filters.filter not in row.filters.values():
            continue
        name, facts = reductions.get(row.id, (None, None))
        run = _summary(row, name)
        state = judge(run, jobs[row.id], facts)
        if filters.state in (None, state.word) or (filters.state == "growing" == run.state):
            found.append((run, state))
    return found


def _reductions(session: Session, runs: _Select) -> dict[int, tuple[str, ReductionFacts]]:
    """Newest reduction in use of each run."""
    rows = session.execute(
        select(Reduction.run_id, Reduction.name, Reduction.state, Reduction.frames_done)
        .where(Reduction.run_id.in_(runs), Reduction.state.in_(("running", "done")))
        .order_by(Reduction.state == "running", Reduction.finished_at, Reduction.id)
    )
    return {run_id: (name, ReductionFacts(state, done)) for run_id, name, state, done in rows}


def _jobs(session: Session, runs: _Select) -> dict[int | None, list[JobFacts]]:
    """Jobs that tell something of their run: a run may have thousands of ranges that were measured without trouble."""
    telling = or_(Job.state != "done", Job.kind.in_(BEGINNINGS))
    rows = session.execute(
        select(Job.run_id, Job.kind, Job.state, Job.error).where(Job.run_id.in_(runs), telling).order_by(Job.created_at, Job.id)
    )
    jobs: dict[int | None, list[JobFacts]] = defaultdict(list)
    for run_id, kind, state, error in rows:
        jobs[run_id].append(JobFacts(kind, state, error))
    return jobs


def _selected(session: Session, filters: Filters) -> _Select:
    wanted: _Select = (
        select(
            Run.id, Run.name, Run.version, Run.state, Run.kind, Run.object, Run.exposure, Run.frames, Run.frames_expected,
            Run.frames_dropped, Run.frames_missing, Run.bad_times, Run.mjd_first, Run.mjd_last, Run.problems, Run.waiting,
            Run.unsettled, Run.held, Run.on_request, Run.filters, Instrument.name.label("instrument"),
            Night.date.label("night"),
        )
        .join(Instrument, Instrument.id == Run.instrument_id)
        .join(Night, Night.id == Run.night_id)
    )  # fmt: skip
    if filters.night is not None:
        wanted = wanted.where(Night.date == filters.night)
    if filters.since is not None:
        wanted = wanted.where(Night.date >= filters.since)
    if filters.kind is not None:
        wanted = wanted.where(Run.kind == filters.kind)
    if filters.object is not None:
        wanted = wanted.where(Run.object.icontains(filters.object, autoescape=True))
    if filters.instrument is not None:
        wanted = wanted.where(Instrument.name == filters.instrument)
    wanted = wanted.where(*(header_condition(session, test) for test in filters.header))
    if filters.state != "superseded":
        wanted = wanted.where(Run.state != "superseded")
    return wanted


def _summary(row: Row[Any], reduction: str | None) -> RunSummary:
    return RunSummary(
        id=row.id,
        name=f"{row.instrument}/{row.night.isoformat()}/{row.name}",
        version=row.version,
        state=row.state,
        kind=row.kind,
        object=row.object,
        exposure=row.exposure,
        frames=row.frames,
        frames_expected=row.frames_expected,
        frames_dropped=row.frames_dropped,
        frames_missing=row.frames_missing,
        bad_times=row.bad_times,
        mjd_first=row.mjd_first,
        mjd_last=row.mjd_last,
        problems=row.problems,
        waiting=row.waiting,
        unsettled=row.unsettled,
        held=row.held,
        on_request=row.on_request,
        reduction=reduction,
    )


def run_names(session: Session, ids: Collection[int]) -> dict[int, str]:
    """Full names of runs by id."""
    rows = session.execute(
        select(Run.id, Instrument.name, Night.date, Run.name)
        .join(Instrument, Instrument.id == Run.instrument_id)
        .join(Night, Night.id == Run.night_id)
        .where(Run.id.in_(ids))
    )
    return {run_id: f"{instrument}/{night.isoformat()}/{name}" for run_id, instrument, night, name in rows}
