"""Registering many runs at once whose names and files the record does not have yet: a handful of statements for all."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from roque.archive.bulk import insert_frames_of
from roque.archive.found import FoundRun, file_values, identity_values, progress_values
from roque.archive.models import Instrument, Night, RawFile, Run
from roque.archive.runs import instrument_row, night_row

__all__ = ["Key", "are_new", "key_of", "register_new"]

Key = tuple[str, dt.date, str]
"""Instrument, night and name of a run."""

_PATHS = 500  # in one question


def key_of(found: FoundRun) -> Key:
    """Under which a run is registered."""
    return found.info.instrument, found.info.night, found.info.name


def are_new(session: Session, found: Sequence[FoundRun]) -> list[bool]:
    """Say of each run whether nothing is recorded under its name, of its files, or by another one of these."""
    keys = [key_of(run) for run in found]
    rows = session.execute(
        select(Instrument.name, Night.date, Run.name)
        .join(Instrument, Instrument.id == Run.instrument_id)
        .join(Night, Night.id == Run.night_id)
        .where(Run.name.in_({key[2] for key in keys}), Night.date.in_({key[1] for key in keys}))
    )
    taken = {(instrument, night, name) for instrument, night, name in rows}
    paths = [file.path for run in found for file in run.files]
    recorded: set[str] = set()
    for first in range(0, len(paths), _PATHS):
        recorded.update(session.scalars(select(RawFile.path).where(RawFile.path.in_(paths[first : first + _PATHS]))))
    answers = []
    for run, key in zip(found, keys, strict=True):
        answers.append(key not in taken and not any(file.path in recorded for file in run.files))
        taken.add(key)
    return answers


def register_new(session: Session, found: Sequence[FoundRun], now: dt.datetime) -> list[str]:
    """Record runs that `are_new`; returns the trace of each."""
    instruments = {run.info.instrument: run.camera for run in found}
    of_instrument = {name: instrument_row(session, name, camera).id for name, camera in instruments.items()}
    of_night = {night: night_row(session, night).id for night in {run.info.night for run in found}}
    rows = [
        {
            **identity_values(run, 1, now),
            **progress_values(run),
            "instrument_id": of_instrument[run.info.instrument],
            "night_id": of_night[run.info.night],
            "problems": list(run.problems),
            "hints": dict(run.hints),
            "urgent": run.urgent,
            "waiting": None,
            "recipe_id": None,
            "priority": None,
            "unsettled": not run.on_request,
        }
        for run in found
    ]
    ids = session.scalars(insert(Run).returning(Run.id, sort_by_parameter_order=True), rows).all()
    session.execute(
        insert(RawFile),
        [
            {"path": file.path, **file_values(file, run_id, position, now)}
            for run_id, run in zip(ids, found, strict=True)
            for position, file in enumerate(run.files)
        ],
    )
    insert_frames_of(session, [(run_id, run.times) for run_id, run in zip(ids, found, strict=True)])
    return [row["trace"] for row in rows]
