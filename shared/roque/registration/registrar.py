"""From files that are new or have changed to runs, grown runs, hints or recorded errors."""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from roque.archive import Record
from roque.archive.runs import known_files
from roque.errors import BadInput, RoqueError, Transient, Unreadable
from roque.instruments import CameraDescription
from roque.jobs.outbox import clock
from roque.registration.batch import Batch, Outcome, Pending
from roque.registration.content import Content, file_digest
from roque.registration.endings import LARGE, Digested, Endings
from roque.registration.failures import night_of_file, record_failure, refusal
from roque.registration.open_runs import OpenRuns
from roque.registration.read import Reading, found_files, read_run
from roque.registration.said import hints_for, sidecar_changed
from roque.registration.seen import Group, Groups, Seen, refuse_name
from roque.settings import Settings
from roque.spool.folders import Stat, is_sidecar, shown
from roque.spool.ultra_files import same_run, xml_beside

__all__ = ["Registrar"]

AGAIN_SECONDS = 1.0
"""Time until a file is looked at again that the record did not take, or that the world kept from being read."""

ENDING_SECONDS = 0.2
"""Time between two looks whether a large run that has ended was read once more."""


class Registrar:
    """Registers files, and remembers them.

    Parameters
    ----------
    record : Record
        Where runs are registered.
    settings : Settings
        The cache, what is said of the runs.
    cameras : mapping of str to CameraDescription
        What files may be.
    stop : Event
        Asked between two runs: a first look at a large folder takes its time.
    silent : function of str
        Whether nobody writes a file any more.
    tell : function of Outcome
        Told what became of each run and of each bad file, once it is recorded.
    wanted : function of date, optional
        Whether runs of a night are to be registered; default: all are.
    on_request : bool
        Whether the runs are of an archive: reduced only when somebody asks for them.
    looks_again : bool
        Whether files that were not done will be looked at again soon. What ends a large run is then read beside other work,
        and registered at a later look.
    """

    def __init__(
        self,
        record: Record,
        settings: Settings,
        cameras: Mapping[str, CameraDescription],
        stop: threading.Event,
        silent: Callable[[str], bool],
        tell: Callable[[Outcome], None],
        *,
        wanted: Callable[[dt.date], bool] = lambda _: True,
        on_request: bool = False,
        looks_again: bool = False,
    ) -> None:
        self._record = record
        self._settings = settings
        self._cameras = cameras
        self._stop = stop
        self._silent = silent
        self._tell = tell
        self._wanted = wanted
        self._on_request = on_request
        self._content = Content()
        self._growing = OpenRuns()
        self._endings = Endings() if looks_again else None
        self._batch = Batch(record, self._content)
        self.files: dict[str, Seen] = {}
        self._groups = Groups(self.files, cameras, settings.cache)

    def register(self, due: Iterable[str], found: Mapping[str, Stat], *, more: bool = False) -> int:
        """Register files that are new or have changed; returns the number of runs and files whose registration changed.

        Parameters
        ----------
        due : iterable of str
            Their paths; each is in `files`.
        found : mapping of str to Stat
            All files there are: a run may have some that have not changed.
        more : bool
            Whether more will come: new runs may then wait for others, to be recorded with them.
        """
        changed, groups = 0, defaultdict[Group, list[str]](list)
        for path in due:
            if self._stop.is_set():
                return changed
            if is_sidecar(path):
                changed += self._sidecar(path, found[path])
                continue
            try:
                key = self._groups.key(path)
            except (RoqueError, OSError) as error:
                if xml_beside(path, found) is not None:
                    self.files[path].done = True  # what is wrong with a run of two files is recorded once, of its .xml
                else:
                    changed += self._failure(path, error)
                continue
            if self._wanted(self._groups.inspected(path).night):
                groups[key].append(path)
            else:
                self._outside(path)
        # calibrations first: what needs them then waits for them
        for key, paths in sorted(groups.items(), key=lambda item: self._groups.is_science(item[1][0])):
            if self._stop.is_set():
                break
            try:
                changed += self._run(self._groups.members(key, paths[0], found), paths, found)
            except (RoqueError, OSError) as error:
                changed += self._failures(paths, error)
            if self._batch.full:
                changed += self.store()
        return changed if more else changed + self.store()

    def store(self) -> int:
        """Record what waits for others; returns the number of runs and files whose registration changed."""
        changed = 0
        for pending, outcome in self._batch.store():
            if isinstance(outcome, Outcome):
                changed += self._done(pending, outcome)
            elif outcome is not None:
                changed += self._failures(pending.paths, outcome)
        return changed

    def forget(self) -> None:
        """Forget all files but those that wait to be recorded."""
        kept = {path: self.files[path] for path in self._batch.paths}
        self.files.clear()
        self.files.update(kept)

    def _run(self, members: list[str], paths: list[str], found: Mapping[str, Stat]) -> int:
        """Read a run; it is recorded at once if something is known of its files, else with the others of the batch."""
        stats = {path: found[path] for path in members}
        if self._endings is not None and self._endings.under_way(stats):
            return self._later(paths)
        told = self._groups.inspected(members[0])
        hints = hints_for(Path(members[0]).parent, told.name, self._settings)
        if self._endings is not None and (digested := self._endings.take(stats)) is not None:
            reading = digested.reading
            if reading.run.info.kind == "science":  # what was said of it meanwhile counts
                reading = replace(reading, run=replace(reading.run, hints=dict(hints)))
            return self._put(reading, stats, paths, digested)
        first = self.files[members[0]]
        reading = read_run(
            told,
            self._cameras[told.camera],
            stats,
            self._settings,
            ended=all(self._silent(path) for path in members),
            hints=hints,
            announced=first.announced,
            on_request=self._on_request,
            growing=self._growing,
        )
        first.announced = reading.run.info.expected
        # a new calibration is registered before what may need it, however large it is
        waits = self._registered(members) or reading.run.info.kind == "science"
        if self._endings is None or not waits or not reading.run.ended or sum(stat.size for stat in stats.values()) < LARGE:
            return self._put(reading, stats, paths)
        if self._registered(members):
            self._before_the_end(reading, stats, paths)
        info = reading.run.info
        with self._record.reading() as session:
            known = known_files(session, info.instrument, info.night, info.name)
        self._endings.begin(reading, stats, known)
        return self._later(paths)

    def _later(self, paths: Sequence[str]) -> int:
        for path in paths:
            self.files[path].again = time.monotonic() + ENDING_SECONDS
        return 0

    def _registered(self, members: Iterable[str]) -> bool:
        return any(self.files[path].registered for path in members)

    def _put(self, reading: Reading, stats: Mapping[str, Stat], paths: list[str], digested: Digested | None = None) -> int:
        """Record a run, or gather it to be recorded with others."""
        if not self._registered(stats):
            files = digested.files if digested is not None else found_files(reading, stats, (), self._content)[0]
            self._batch.add(Pending(reading, stats, paths, files))
            return 0
        if digested is None:
            self._before_the_end(reading, stats, paths)
        pending = Pending(reading, stats, paths, digested=digested)
        outcome = self._batch.store_one(pending)
        return self._done(pending, outcome) if outcome is not None else 0

    def _before_the_end(self, reading: Reading, stats: Mapping[str, Stat], paths: list[str]) -> None:
        """Record the last frames of a run: its end costs time, since all of its bytes are read again."""
        known = self.files[next(iter(stats))]
        if reading.run.ended and 0 < known.frames < reading.run.frames:
            self._batch.store_one(Pending(replace(reading, run=replace(reading.run, ended=False, problems=())), stats, paths))
            known.frames = reading.run.frames

    def _done(self, pending: Pending, outcome: Outcome) -> int:
        members = list(pending.stats)
        # of files that make a run together the last grows: the others have said what they had to say
        together = bool(self._groups.inspected(members[0]).files)
        growing = members[-1:] if together else members
        for member in members:
            known = self.files[member]
            known.done, known.refused, known.registered = outcome.ended or member not in growing, False, True
            known.frames = 0 if outcome.ended else outcome.frames
        self._tell(outcome)
        return 1

    def _failures(self, paths: Sequence[str], error: RoqueError | OSError) -> int:
        """Record what is wrong with a run: of the file that the error names, if it is one of these, else of all."""
        named = str(error.file if isinstance(error, RoqueError) else error.filename)
        return sum(self._failure(path, error) for path in paths if named not in paths or path == named)

    def _failure(self, path: str, error: RoqueError | OSError) -> int:
        """Record what is wrong with a file, once nobody writes it any more: half a file is normal until then."""
        known = self.files[path]
        known.inspected, known.done = None, False  # the next look sees more of it
        refused = isinstance(error, (OSError, Unreadable))
        if isinstance(error, Transient) and not refused:
            known.again = time.monotonic() + AGAIN_SECONDS
            return 0
        if not all(self._silent(part) for part in same_run(path) if part in self.files):
            return 0
        if not self._wanted(night_of_file(path, known.stat)):
            return self._outside(path)
        digest = ""
        try:
            digest = "" if refused else file_digest(Path(path))
        except OSError as why:
            refused, error = True, why
        if refused and not os.path.lexists(path):
            return 0  # gone again
        if refused:
            # a failing disk takes its time to say so: other files are to have as much
            known.again = time.monotonic() + max(AGAIN_SECONDS, time.monotonic() - known.tried)
            if known.refused:
                return 0
        error = error if isinstance(error, BadInput) else refusal(path, error)
        record_failure(self._record, path, known.stat, digest, error)
        known.refused, known.done, known.registered = refused, not refused, True  # only now: the record may have been away
        self._tell(Outcome("failed", (shown(path),), error=error))
        return 1

    def _outside(self, path: str) -> int:
        self.files[path].done = True
        self._tell(Outcome("outside", (shown(path),)))
        return 0

    def _sidecar(self, path: str, stat: Stat) -> int:
        """Look at a new or changed aperture or reduce file."""
        changed = 0
        try:
            refuse_name(path)
            with self._record.writing() as session:
                changed = sidecar_changed(session, Path(path), stat, clock(session))
        except BadInput as error:
            changed = self._failure(path, error)
        readable = os.access(path, os.R_OK)
        self.files[path].done, self.files[path].again = readable, None if readable else time.monotonic() + AGAIN_SECONDS
        return changed
