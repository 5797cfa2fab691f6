"""Reducing a range of frames: from the state that the range before left, to measurements and the state for the next."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from roque.archive.aperture_sets import load_apertures
from roque.archive.bulk import insert_measurements, insert_radii
from roque.archive.found import problem
from roque.archive.models import RangeDone, Reduction
from roque.archive.open import load_masters, open_run
from roque.calibration.apply import Masters
from roque.errors import BadInput, Conflict, Superseded
from roque.frames import Frame
from roque.instruments import cameras
from roque.jobs.handlers import Context, JobSnapshot, Outcome
from roque.jobs.kinds import Kind, ReduceRange
from roque.jobs.life import forget_done
from roque.jobs.outbox import clock
from roque.jobs.planner import advance, range_length
from roque.photometry.measurements import RadiusRows
from roque.photometry.recipe import Recipe
from roque.photometry.reduce import Reducer
from roque.photometry.state import State
from services.reducer.frames import readable_frames

__all__ = ["reduce_range"]

MOST_NOTES = 200
"""Notes kept with a reduction."""

_reducers: OrderedDict[str, Reducer] = OrderedDict()
_MOST_REDUCERS = 4  # kept by a process with their prepared masters: the next range is most likely of one of them


def reduce_range(context: Context, job: JobSnapshot) -> Outcome:
    """Measure the frames of a range."""
    wanted = job.parameters
    if not isinstance(wanted, ReduceRange):
        raise TypeError(f"not the parameters of a range: {wanted!r}")
    with context.record.reading() as session:
        reduction = session.get_one(Reduction, wanted.reduction_id)
        run, files = reduction.run, list(reduction.run.files)
        before = session.scalar(
            select(RangeDone).where(RangeDone.reduction_id == reduction.id, RangeDone.last == wanted.first - 1)
        )
        reducer = _reducer(session, reduction, context)
    if run.state == "superseded" or reduction.state in ("superseded", "cancelled"):
        raise Superseded("the run or its reduction was replaced by a newer one", file=run.path)
    if wanted.first > 1 and before is None:
        raise Conflict(f"the frames before {wanted.first} are not reduced", file=run.path, remedy="retry the run")
    watch = _Watch()
    with open_run(run, files, context.settings.cache, cameras(context.settings.cameras)) as source:
        lost: list[BadInput] = []
        radii: list[RadiusRows] = []
        frames = watch.reading(readable_frames(source, wanted.first, wanted.last, lost, job.go_on))
        rows, state, notes = reducer.reduce_range(frames, State.from_dict(before.state) if before is not None else None, radii)
    seconds = watch.seconds()

    def store(session: Session) -> None:
        row = session.get_one(Reduction, reduction.id, with_for_update={"of": Reduction})
        if row.frames_done != wanted.first - 1:
            raise Conflict(f"frames up to {row.frames_done} are reduced, not {wanted.first - 1}", file=run.path)
        insert_measurements(session, run.night.date, row.id, rows)
        for further in radii:
            insert_radii(session, run.night.date, row.id, further)
        _note_range(
            session, row, before, RangeDone(first=wanted.first, last=wanted.last, state=state.to_dict(), seconds=seconds)
        )
        row.frames_done = wanted.last
        told = [*({"kind": "frame", "text": str(error), **problem(error)} for error in lost), *map(asdict, notes)]
        row.notes = [*row.notes, *told][:MOST_NOTES]
        now = clock(session)
        advance(session, row, now)
        if row.run.state == "growing":
            forget_done(session, Kind.REDUCE_RANGE, row.id, now)

    return Outcome(store, {"rows": len(rows), "seconds": seconds})


def _note_range(session: Session, reduction: Reduction, before: RangeDone | None, new: RangeDone) -> None:
    """Note a range as done; short ones, in which growing runs are reduced, become one: only the last state is needed."""
    last = session.get_one(RangeDone, (reduction.id, before.first)) if before is not None else None
    if last is None or new.last - last.first >= range_length(reduction.run):
        new.reduction_id = reduction.id
        session.add(new)
        return
    last.last, last.state = new.last, new.state
    last.seconds = {stage: round(spent + new.seconds.get(stage, 0.0), 4) for stage, spent in last.seconds.items()}


def _reducer(session: Session, reduction: Reduction, context: Context) -> Reducer:
    """Reducer of a reduction, its masters prepared when it was used before."""
    if reduction.key not in _reducers:
        masters = Masters(**load_masters(session, reduction.masters, context.products))
        apertures = load_apertures(session, reduction.aperture_set_id)
        _reducers[reduction.key] = Reducer(Recipe.from_dict(reduction.parameters), apertures, masters)
        while len(_reducers) > _MOST_REDUCERS:
            _reducers.popitem(last=False)
    _reducers.move_to_end(reduction.key)
    return _reducers[reduction.key]


class _Watch:
    """Seconds spent on reading and on measuring."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._reading = 0.0

    def reading(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Pass frames on, counting the time until each is there."""
        while True:
            asked = time.perf_counter()
            frame = next(frames, None)
            self._reading += time.perf_counter() - asked
            if frame is None:
                return
            yield frame

    def seconds(self) -> dict[str, Any]:
        """Seconds per stage."""
        whole = time.perf_counter() - self._began
        return {"read": round(self._reading, 4), "measure": round(whole - self._reading, 4)}
