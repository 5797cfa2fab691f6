"""Registering what lies in the incoming folders: runs, their files, frames and problems.

A run is (instrument, night, name). The same path with more bytes is the same run, grown. With other bytes in frames that
were read before it is a new version: what depends on the old one is superseded. The same run at another path is a second
location if the content is the same, and a recorded conflict if it is not; the first stays in use.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from roque.archive.bulk import insert_frames
from roque.archive.found import FoundFile, FoundRun, file_values, identity_values, problem, progress_values
from roque.archive.models import Instrument, Job, Master, Night, Product, RawFile, Run, Site
from roque.errors import RoqueError
from roque.instruments import CameraDescription
from roque.spool import RunInfo

__all__ = [
    "PLANNING",
    "UNKNOWN",
    "Verdict",
    "compare",
    "instrument_row",
    "known_files",
    "night_row",
    "register",
    "register_failure",
    "register_refusal",
    "reopen_runs",
]

PLANNING = "planning"
"""Stage of a problem that the planner met; the others are those of the files."""

UNKNOWN = "unknown"
"""Instrument of files that nothing is known of."""

_LIVE = ("growing", "complete", "failed")


class Verdict(Enum):
    """What the files of a run are, compared with what is registered under its name."""

    NEW = "new"
    GROWN = "grown"  # or the same
    CHANGED = "changed"
    SECOND_LOCATION = "second location"
    CONFLICT = "conflict"
    UNDECIDED = "undecided"  # a copy that is still being written, elsewhere or over what was there


def known_files(session: Session, instrument: str, night: dt.date, name: str) -> list[FoundFile]:
    """Files of the run that is registered under a name, in the order of their frames; empty if there is none."""
    run = _current(session, instrument, night, name)
    return [_found(file) for file in run.files if not file.duplicate] if run is not None else []


def compare(known: Sequence[FoundFile], found: FoundRun, prefixes: Sequence[str | None]) -> Verdict:
    """Say what a found run is.

    Parameters
    ----------
    known : sequence of FoundFile
        What `known_files` gave.
    found : FoundRun
        The run as it is now.
    prefixes : sequence of str or None
        For each known file, the digest of the same number of bytes of the found file in its place; None if it has fewer.
    """
    if not known:
        return Verdict.NEW
    same = len(found.files) >= len(known) and all(
        prefix == old.data_sha256 for old, prefix in zip(known, prefixes, strict=True)
    )
    ours = {file.path for file in known}
    if ours & {file.path for file in found.files}:
        if same:
            return Verdict.GROWN
        shorter = len(found.files) < len(known) or None in prefixes
        return Verdict.UNDECIDED if shorter and not found.ended else Verdict.CHANGED
    if not any(Path(path).exists() for path in ours):
        # moved: the new place is the run's place
        return Verdict.GROWN if same else Verdict.CHANGED
    if not found.ended:
        return Verdict.UNDECIDED
    identical = (
        same
        and len(found.files) == len(known)
        and all(old.data_size == new.data_size for old, new in zip(known, found.files, strict=True))
    )
    return Verdict.SECOND_LOCATION if identical else Verdict.CONFLICT


def register(session: Session, found: FoundRun, verdict: Verdict, now: dt.datetime) -> Run:
    """Record a run as it is now; returns the row that it has."""
    info = found.info
    run = _current(session, info.instrument, info.night, info.name)
    if verdict is Verdict.SECOND_LOCATION and run is not None:
        _store_files(session, run, found, now, duplicate=True)
        return run
    if run is not None and verdict is Verdict.GROWN and _rests(run, found):
        _hint(run, found)
        return run
    if run is None or verdict in (Verdict.CHANGED, Verdict.CONFLICT):
        version = _versions(session, info) + 1
        if run is not None and verdict is Verdict.CHANGED:
            supersede(session, run)
        run = _new_run(session, found, version, now)
        if verdict is Verdict.CONFLICT:
            run.state, run.unsettled = "conflict", False
            run.problems = [_conflict(found), *found.problems]
            _store_files(session, run, found, now)
            return run
    _grow(session, run, found, now)
    return run


def register_failure(session: Session, file: FoundFile, night: dt.date, name: str, error: RoqueError, now: dt.datetime) -> Run:
    """Record a file that is no run: a failed run of an unknown instrument, with what is wrong and what to do."""
    row = session.scalar(select(RawFile).where(RawFile.path == file.path))
    run = row.run if row is not None else None
    if run is None or run.instrument.name != UNKNOWN:
        instrument = instrument_row(session, UNKNOWN, None)
        number = session.scalars(select(Run.version).where(Run.instrument_id == instrument.id, Run.name == name)).all()
        run = Run(
            instrument=instrument, night=night_row(session, night), name=name, version=max(number, default=0) + 1, source="",
            kind="other", object="", mode="", xbin=1, ybin=1, speed="", filters={}, nskips={}, clear=None, exposure=0.0,
            windows={}, header={}, registered_at=now, grown_at=now,
        )  # fmt: skip
        session.add(run)
        session.flush()
    run.state, run.unsettled, run.problems, run.grown_at = "failed", False, [problem(error)], now
    _store_file(session, run, file, 0, now)
    return run


def register_refusal(session: Session, file: FoundFile, error: RoqueError) -> Run | None:
    """Record with its run that a file cannot be read for now, though it was before; None if no run has it."""
    row = session.scalar(select(RawFile).where(RawFile.path == file.path))
    if row is None or row.run is None or row.run.instrument.name == UNKNOWN:
        return None
    row.size, row.mtime_ns, row.sha256 = file.size, file.mtime_ns, file.sha256
    if problem(error) not in row.run.problems:
        row.run.problems = [*row.run.problems, problem(error)]
    return row.run


def supersede(session: Session, run: Run) -> None:
    """Take a version of a run out of use: its waiting jobs are cancelled, what was made with its masters is to be redone."""
    run.state, run.unsettled, run.waiting = "superseded", False, None
    session.execute(
        update(Job)
        .where(Job.run_id == run.id, Job.state.in_(("waiting", "queued")))
        .values(state="cancelled", reason="run changed")
    )
    session.execute(update(Master).where(Master.run_id == run.id).values(state="superseded"))
    session.execute(update(Product).where(Product.run_id == run.id, Product.kind == "master").values(state="superseded"))
    reopen_runs(session, run.instrument_id)


def reopen_runs(session: Session, instrument_id: int) -> None:
    """Let the planner look again at every run of an instrument: the masters to choose from have changed."""
    session.execute(
        update(Run)
        .where(Run.instrument_id == instrument_id, Run.state.in_(("growing", "complete")), ~Run.on_request)
        .values(unsettled=True)
    )


def _rests(run: Run, found: FoundRun) -> bool:
    """Whether a run was taken as ended and its files are as they were: who is slower to take it so does not open it again."""
    before = {(file.path, file.size, file.mtime_ns) for file in run.files if not file.duplicate}
    now = {(file.path, file.size, file.mtime_ns) for file in found.files}
    return run.state == "complete" and not found.ended and before == now


def _hint(run: Run, found: FoundRun) -> None:
    hints = {**run.hints, **found.hints}
    if run.hints != hints:
        run.hints, run.unsettled = hints, True
    run.urgent = run.urgent or found.urgent


def _grow(session: Session, run: Run, found: FoundRun, now: dt.datetime) -> None:
    # by place, not by number: numbers jump where frames were dropped
    per_frame = len(found.times) // found.frames if found.frames else 0
    insert_frames(session, run.id, found.times[per_frame * run.frames :])
    told = progress_values(found)
    if (run.frames, run.state) != (told["frames"], told["state"]):
        # what is observed now is no archive, though it was registered as one
        run.on_request = run.on_request and found.on_request
        run.unsettled, run.grown_at = not run.on_request, now
    for name, value in told.items():
        setattr(run, name, value)
    _hint(run, found)
    planning = [one for one in run.problems if one.get("stage") == PLANNING]
    run.problems = [*found.problems, *planning]
    _store_files(session, run, found, now)


def _new_run(session: Session, found: FoundRun, version: int, now: dt.datetime) -> Run:
    run = Run(
        instrument=instrument_row(session, found.info.instrument, found.camera),
        night=night_row(session, found.info.night),
        frames=0,
        hints={},
        problems=[],
        **identity_values(found, version, now),
    )
    session.add(run)
    session.flush()
    return run


def _store_files(session: Session, run: Run, found: FoundRun, now: dt.datetime, *, duplicate: bool = False) -> None:
    for position, file in enumerate(found.files):
        _store_file(session, run, file, position, now, duplicate=duplicate)


def _store_file(
    session: Session, run: Run, file: FoundFile, position: int, now: dt.datetime, *, duplicate: bool = False
) -> None:
    row = session.scalar(select(RawFile).where(RawFile.path == file.path))
    if row is None:
        row = RawFile(path=file.path)
        session.add(row)
    elif row.run is not None and row.run is not run and row.run.instrument.name == UNKNOWN:
        row.run.state = "superseded"  # it could not be read before, and now it can
    for name, value in file_values(file, run.id, position, now, duplicate=duplicate).items():
        setattr(row, name, value)


def _conflict(found: FoundRun) -> dict[str, Any]:
    return {
        "code": "conflict",
        "severity": "error",
        "message": f"a run {found.info.name} of this night and instrument is registered with other content",
        "file": found.files[0].path,
        "place": None,
        "remedy": "the first stays in use; rename this one, or take the wrong one out of the incoming folders",
    }


def _current(session: Session, instrument: str, night: dt.date, name: str) -> Run | None:
    return session.scalar(
        select(Run)
        .join(Instrument)
        .join(Night)
        .where(Instrument.name == instrument, Night.date == night, Run.name == name, Run.state.in_(_LIVE))
        .order_by(Run.version.desc())
        .limit(1)
    )


def _versions(session: Session, info: RunInfo) -> int:
    numbers = session.scalars(
        select(Run.version)
        .join(Instrument)
        .join(Night)
        .where(Instrument.name == info.instrument, Night.date == info.night, Run.name == info.name)
    )
    return max(numbers, default=0)


def instrument_row(session: Session, name: str, camera: CameraDescription | None) -> Instrument:
    """Row of an instrument, made with that of its site if there is none."""
    row = session.scalar(select(Instrument).where(Instrument.name == name))
    if row is None:
        row = Instrument(name=name, site=_site(session, camera) if camera is not None else None)
        session.add(row)
        session.flush()
    return row


def _site(session: Session, camera: CameraDescription) -> Site:
    place = camera.site
    row = session.scalar(select(Site).where(Site.name == place.telescope))
    if row is None:
        row = Site(name=place.telescope, longitude=place.longitude, latitude=place.latitude, height=place.height)
        session.add(row)
    return row


def night_row(session: Session, date: dt.date) -> Night:
    """Row of a night, made if there is none."""
    row = session.scalar(select(Night).where(Night.date == date))
    if row is None:
        row = Night(date=date)
        session.add(row)
        session.flush()
    return row


def _found(file: RawFile) -> FoundFile:
    return FoundFile(file.path, file.size, file.mtime_ns, file.sha256, file.data_sha256 or "", file.data_start, file.data_size)
