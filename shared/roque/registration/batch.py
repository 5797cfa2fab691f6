"""Putting runs that were read into the record: new ones many at a time, the others one by one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError

from roque.archive import Record
from roque.archive.found import FoundFile, FoundRun
from roque.archive.new_runs import are_new, register_new
from roque.archive.runs import Verdict, compare, known_files, register
from roque.errors import BadInput, RoqueError, Transient
from roque.jobs.outbox import clock, emit
from roque.jobs.planner import go_on
from roque.registration.content import Content
from roque.registration.endings import Digested
from roque.registration.read import Reading, found_files
from roque.spool.folders import Stat

__all__ = ["Batch", "Outcome", "Pending"]

RUNS = 100
"""Runs that are recorded in one transaction, at most."""

ROWS = 50_000
"""Frames times CCDs, likewise, unless one run has more: others wait for a write of a few tenths of a second at most."""


@dataclass(frozen=True)
class Outcome:
    """What became of a run, or of a bad file."""

    what: str  # a `Verdict`, 'failed', 'outside'
    files: tuple[str, ...]
    run: str | None = None  # INSTRUMENT/NIGHT/NAME
    frames: int = 0
    ended: bool = True
    trace: str | None = None
    error: RoqueError | None = None


@dataclass(frozen=True)
class Pending:
    """A run that was read and is to be recorded."""

    reading: Reading
    stats: Mapping[str, Stat]  # of its files, in the order of their frames
    paths: Sequence[str]  # those that were due
    files: tuple[FoundFile, ...] = ()  # where nothing is known of any of them
    digested: Digested | None = None  # where it has ended and was read once more already

    @property
    def run(self) -> FoundRun:
        """The run with its files."""
        return dataclasses.replace(self.reading.run, files=self.files)


class Batch:
    """Runs of which nothing is known yet, gathered to be recorded together.

    Parameters
    ----------
    record : Record
    content : Content
        Digests of files.
    """

    def __init__(self, record: Record, content: Content) -> None:
        self._record = record
        self._content = content
        self._pending: list[Pending] = []
        self._rows = 0

    @property
    def full(self) -> bool:
        """Whether it is time to record them."""
        return len(self._pending) >= RUNS or self._rows >= ROWS

    @property
    def paths(self) -> list[str]:
        """Files of the runs that were gathered."""
        return [path for one in self._pending for path in one.stats]

    def add(self, pending: Pending) -> None:
        """Gather a run."""
        self._pending.append(pending)
        self._rows += len(pending.reading.run.times)

    def store(self) -> list[tuple[Pending, Outcome | RoqueError | OSError | None]]:
        """Record what was gathered; returns what became of each, as `store_one` does, or why it could not be recorded.

        Raises
        ------
        Transient
            The record is away: what was gathered is forgotten, and to be read again.
        """
        gathered, self._pending, self._rows = self._pending, [], 0
        try:
            outcomes = self._store_new(gathered) if gathered else {}
        except (IntegrityError, BadInput):
            outcomes = {}  # one of them is in the way of all: which, they will say themselves
        told: list[tuple[Pending, Outcome | RoqueError | OSError | None]] = []
        for place, one in enumerate(gathered):
            if place in outcomes:
                told.append((one, outcomes[place]))
                continue
            try:
                told.append((one, self.store_one(one)))
            except (RoqueError, OSError) as error:
                told.append((one, error))
        return told

    def store_one(self, pending: Pending) -> Outcome | None:
        """Record a run of whose name or files something may be known; None if nobody can tell yet what it is.

        Raises
        ------
        Transient
            A file or the record has changed meanwhile.
        """
        info = pending.reading.run.info
        with self._record.reading() as session:
            known = known_files(session, info.instrument, info.night, info.name)
        if pending.digested is not None and pending.digested.known == known:
            files, prefixes = pending.digested.files, pending.digested.prefixes
            for plain, _, _ in pending.reading.extents:
                self._content.forget(plain)
        else:
            files, prefixes = found_files(pending.reading, pending.stats, known, self._content)
        run = dataclasses.replace(pending.reading.run, files=files)
        verdict = compare(known, run, prefixes)
        if verdict is Verdict.UNDECIDED:
            return None
        with self._record.writing() as session:
            if known_files(session, info.instrument, info.night, info.name) != known:
                raise Transient("another process has registered the run meanwhile", file=files[0].path)
            now = clock(session)
            row = register(session, run, verdict, now)
            if verdict is Verdict.GROWN:
                go_on(session, row, now)
            path, trace = row.path, row.trace
            if verdict in (Verdict.NEW, Verdict.CHANGED) and not run.on_request:
                emit(session, "run.registered", {"run": path, "version": row.version, "frames": row.frames})
        return Outcome(verdict.value, tuple(pending.stats), path, run.frames, run.ended, trace)

    def _store_new(self, gathered: Sequence[Pending]) -> dict[int, Outcome]:
        """Record those of which nothing is known, in one transaction; what became of them, by their places."""
        runs = [one.run for one in gathered]
        with self._record.writing() as session:
            places = [place for place, new in enumerate(are_new(session, runs)) if new]
            new = [runs[place] for place in places]
            traces = register_new(session, new, clock(session)) if new else []
            outcomes = {}
            for place, run, trace in zip(places, new, traces, strict=True):
                path = f"{run.info.instrument}/{run.info.night.isoformat()}/{run.info.name}"
                if not run.on_request:  # 10^5 events of an archive would tell nobody anything
                    emit(session, "run.registered", {"run": path, "version": 1, "frames": run.frames})
                outcomes[place] = Outcome(Verdict.NEW.value, tuple(gathered[place].stats), path, run.frames, run.ended, trace)
        return outcomes
