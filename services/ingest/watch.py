"""What one look at the incoming folders does: changed files become runs, grown runs, hints or recorded errors."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from roque.archive import Record
from roque.archive.models import RawFile
from roque.archive.runs import FoundFile, Verdict, compare, known_files, register, register_failure, register_refusal
from roque.errors import BadInput, RoqueError, Transient, Unreadable
from roque.instruments import CameraDescription
from roque.jobs.outbox import clock, emit
from roque.settings import Settings
from roque.spool import Inspected, inspect
from roque.spool.folders import Scanner, Stat, is_raw, is_sidecar, shown
from roque.spool.naming import folder_night, run_name, safe_name
from roque.spool.ultra_files import same_run, xml_beside
from roque.telemetry import logger
from services.ingest.content import Content, file_digest
from services.ingest.read import found_files, read_run
from services.ingest.said import hints_for, sidecar_changed, sidecar_gone, tell_registered

__all__ = ["Watch"]

AGAIN_SECONDS = 1.0
"""Time until a file is looked at again that the record did not take, or that the world kept from being read."""


@dataclass
class _Known:
    """What is remembered of a file between two looks."""

    stat: Stat
    changed: float  # monotonic time of the last change that was seen
    inspected: Inspected | None = None
    done: bool = False  # registered as ended, or recorded as bad: nothing to do until it changes
    refused: bool = False  # the world keeps it from being read, and that is recorded
    tried: float = 0.0  # monotonic time when it was last due
    again: float | None = None  # monotonic time to look again, after something that was not the file's fault


class Watch:
    """The incoming folders, and what was seen in them.

    Parameters
    ----------
    record : Record
        Where runs are registered.
    settings : Settings
        The folders, how long a silent file takes to end, the cache, the home folder, what is said of the runs.
    cameras : mapping of str to CameraDescription
        What files may be.
    stop : Event, optional
        Asked between two runs: a first look at a large folder takes its time.
    """

    def __init__(
        self,
        record: Record,
        settings: Settings,
        cameras: Mapping[str, CameraDescription],
        stop: threading.Event | None = None,
    ) -> None:
        self._record = record
        self._stop = stop or threading.Event()
        self._settings = settings
        self._cameras = cameras
        self._scanner = Scanner(settings.watched, settings.folder)
        self._content = Content()
        self._files: dict[str, _Known] = {}
        self._undone: list[str] = []
        self.full_look_seconds = 0.0
        with record.writing() as session:
            rows = session.execute(select(RawFile.path, RawFile.size, RawFile.mtime_ns, RawFile.sha256)).all()
            tell_registered(session, settings)
        for path, size, mtime_ns, sha256 in rows:
            # without a digest: not ended; with an empty one: refused, which may be over by now
            self._files[path] = _Known(Stat(size, mtime_ns), -1e9, done=bool(sha256), refused=sha256 == "")

    def look(self) -> int:
        """Look at every file, once; returns the number of runs and files whose registration changed.

        What looking alone took, without registering, is then in `full_look_seconds`.
        """
        began = time.monotonic()
        seen = self._scanner.look()
        self.full_look_seconds = time.monotonic() - began
        return self._see(seen, whole=True)

    def look_for_news(self) -> int:
        """Look at new files and those that are not done, which is cheap; files that are done may change unseen until `look`."""
        return self._see(self._scanner.look_for_news(self._undone), whole=False)

    def _see(self, seen: Mapping[str, Stat], *, whole: bool) -> int:
        due = [path for path, stat in sorted(seen.items()) if self._is_due(path, stat)]
        if not due and not whole:
            return 0
        try:
            return self._register(due, self._scanner.found)
        except Transient:
            for known in (self._files[path] for path in due if path in self._files):
                known.again = None if known.done else time.monotonic() + AGAIN_SECONDS
            raise
        finally:
            self._undone = [path for path, known in self._files.items() if not known.done]

    def _register(self, due: list[str], found: Mapping[str, Stat]) -> int:
        groups: dict[tuple[Any, ...], list[str]] = defaultdict(list)
        changed = self._sidecars(found, due)
        for path in due:
            if self._stop.is_set():
                return changed
            if is_sidecar(path):
                continue
            try:
                groups[self._group(path)].append(path)
            except (RoqueError, OSError) as error:
                if xml_beside(path, found) is not None:
                    self._files[path].done = True  # what is wrong with a run of two files is recorded once, of its .xml
                    continue
                changed += self._failure(path, error)
        # calibrations first: what needs them then waits for them
        for group, paths in sorted(groups.items(), key=lambda item: self._is_science(item[1][0])):
            if self._stop.is_set():
                return changed
            try:
                changed += self._run(self._members(group, paths[0], found), found)
            except (RoqueError, OSError) as error:
                named = str(error.file if isinstance(error, RoqueError) else error.filename)
                changed += sum(self._failure(path, error) for path in paths if named not in paths or path == named)
        return changed

    def _is_due(self, path: str, stat: Stat) -> bool:
        known = self._files.get(path)
        if known is None or known.stat != stat:
            now = time.monotonic()
            self._files[path] = _Known(stat, now, tried=now)
            return True
        now = time.monotonic()
        if known.again is not None:
            if now < known.again:
                return False
            known.again = None
        elif known.done or not self._silent(path):
            return False
        known.tried = now
        return True

    def _silent(self, path: str) -> bool:
        known = self._files[path]
        quiet, age = time.monotonic() - known.changed, time.time() - known.stat.mtime_ns * 1e-9
        if age >= 0:  # else somebody's clock is wrong
            quiet = min(quiet, age)
        return quiet >= self._settings.silent_seconds or self._settings.silent_seconds == 0

    def _group(self, path: str) -> tuple[Any, ...]:
        """Key of the run that a file belongs to: files of a folder with the same one are frames of one run."""
        _refuse_name(path)
        known = self._files[path]
        if known.inspected is None:
            known.inspected = inspect(Path(path), self._cameras, self._settings.cache)
        told = known.inspected
        return (told.source, told.camera, str(Path(path).parent), *(told.group or (path,)))

    def _members(self, group: tuple[Any, ...], path: str, found: Mapping[str, Stat]) -> list[str]:
        """All files of a run, those that have not changed too, in the order of their times."""
        first = self._files[path].inspected
        if first is None or first.group is None:
            return [path]
        if first.files:
            return self._named(first.files, group, found)
        folder = str(Path(path).parent)
        members = []
        for other in found:
            if not is_raw(other) or os.path.dirname(other) != folder:  # noqa: PTH120 - thousands of times
                continue
            if self._files[other].refused and other != path:
                continue  # the run goes on without it
            try:
                if self._group(other) == group:
                    members.append(other)
            except (RoqueError, OSError):
                continue  # recorded when it was looked at itself
        return sorted(members, key=lambda other: (_mjd(self._files[other].inspected), other))

    def _named(self, files: Sequence[Path], group: tuple[Any, ...], found: Mapping[str, Stat]) -> list[str]:
        """Files of a run of several, each looked at."""
        names = [str(file) for file in files]
        for name in names:
            if name not in found or self._group(name) != group:
                raise Transient("the file was not seen yet, or is being changed", file=name)
        return names

    def _run(self, members: list[str], found: Mapping[str, Stat]) -> int:
        told = self._files[members[0]].inspected
        if told is None:
            raise RuntimeError("a run of a file that was not looked at")
        stats = {path: found[path] for path in members}
        ended = all(self._silent(path) for path in members)
        reading = read_run(
            told,
            self._cameras[told.camera],
            stats,
            self._settings,
            ended=ended,
            hints=hints_for(Path(members[0]).parent, told.name, self._settings),
        )
        info = reading.run.info
        with self._record.reading() as session:
            known = known_files(session, info.instrument, info.night, info.name)
        files, prefixes = found_files(reading, stats, known, self._content)
        run = dataclasses.replace(reading.run, files=files)
        verdict = compare(known, run, prefixes)
        if verdict is Verdict.UNDECIDED:
            return 0
        with self._record.writing() as session:
            if known_files(session, info.instrument, info.night, info.name) != known:
                raise Transient("another process has registered the run meanwhile", file=members[0])
            row = register(session, run, verdict, clock(session))
            path, trace = row.path, row.trace
            if verdict in (Verdict.NEW, Verdict.CHANGED):
                emit(session, "run.registered", {"run": path, "version": row.version, "frames": row.frames})
        # of files that make a run together the last grows: the others have said what they had to say
        growing = members[-1:] if told.files else members
        for member in members:
            self._files[member].done, self._files[member].refused = run.ended or member not in growing, False
        logger.info("run_registered", run=path, trace=trace, what=verdict.value, frames=run.frames, ended=run.ended)
        return 1

    def _failure(self, path: str, error: RoqueError | OSError) -> int:
        """Record what is wrong with a file, once nobody writes it any more: half a file is normal until then."""
        known = self._files[path]
        known.inspected, known.done = None, False  # the next look sees more of it
        refused = isinstance(error, (OSError, Unreadable))
        if isinstance(error, Transient) and not refused:
            known.again = time.monotonic() + AGAIN_SECONDS
            return 0
        if not all(self._silent(part) for part in same_run(path) if part in self._files):
            return 0
        digest = ""
        try:
            digest = "" if refused else file_digest(Path(path))
        except OSError as refusal:
            refused, error = True, refusal
        if refused and not os.path.lexists(path):
            return 0  # gone again
        if refused:
            # a failing disk takes its time to say so: other files are to have as much
            known.again = time.monotonic() + max(AGAIN_SECONDS, time.monotonic() - known.tried)
            if known.refused:
                return 0
        self._record_failure(path, known.stat, digest, error if isinstance(error, BadInput) else _refusal(path, error))
        known.refused, known.done = refused, not refused  # only now: the record may have been away
        return 1

    def _record_failure(self, path: str, stat: Stat, digest: str, error: RoqueError) -> None:
        name = shown(path)
        night = folder_night(Path(path)) or dt.datetime.fromtimestamp(stat.mtime_ns * 1e-9, dt.UTC).date()
        found = FoundFile(name, stat.size, stat.mtime_ns, digest, digest, 0, stat.size)
        with self._record.writing() as session:
            row = register_refusal(session, found, error) if not digest else None
            row = row or register_failure(session, found, night, _name(Path(path)), error, clock(session))
            emit(session, "run.failed", {"run": row.path, "error": error.code})
        logger.warning("file_failed", file=name, error=str(error))

    def _sidecars(self, found: Mapping[str, Stat], due: list[str]) -> int:
        """Look at new, changed and vanished aperture and reduce files."""
        changed = 0
        for path in filter(is_sidecar, due):
            try:
                _refuse_name(path)
                with self._record.writing() as session:
                    changed += sidecar_changed(session, Path(path), found[path], clock(session))
            except BadInput as error:
                changed += self._failure(path, error)
            readable = os.access(path, os.R_OK)
            self._files[path].done, self._files[path].again = readable, None if readable else time.monotonic() + AGAIN_SECONDS
        for path in [path for path in self._files if is_sidecar(path) and path not in found and self._is_watched(path)]:
            with self._record.writing() as session:
                changed += sidecar_gone(session, Path(path), found.keys())
            del self._files[path]
        return changed

    def _is_watched(self, path: str) -> bool:
        return any(path.startswith(f"{folder}/") for folder in self._settings.watched)

    def _is_science(self, path: str) -> bool:
        told = self._files[path].inspected
        return told is not None and told.kind == "science"


def _refuse_name(path: str) -> None:
    if shown(path) != path:
        raise BadInput("the name of the file is not text (UTF-8)", file=shown(path), place="file name", remedy="rename it")


def _refusal(path: str, error: RoqueError | OSError) -> RoqueError:
    """Say why the world keeps a file from being read; it is tried again by itself."""
    if isinstance(error, RoqueError):
        return error
    if isinstance(error, FileNotFoundError):
        message, remedy = (
            f"the link leads to {shown(str(Path(path).readlink()))!r}, where nothing is",
            "bring that back, or remove the link",
        )
    else:
        message, remedy = f"the file cannot be read: {(error.strerror or str(error)).lower()}", "see to its disk and its rights"
    return BadInput(message, file=shown(path), remedy=f"{remedy}; it is tried again by itself")


def _name(file: Path) -> str:
    """Name for a file that is no run: its own if a run could have it."""
    try:
        return run_name(file)
    except BadInput:
        return safe_name(file.name)


def _mjd(told: Inspected | None) -> float:
    return told.mjd if told is not None and told.mjd == told.mjd else float("inf")  # NaN is not itself
