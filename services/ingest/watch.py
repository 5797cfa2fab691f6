"""What one look at the incoming folders does: changed files become runs, grown runs, sidecars or recorded errors."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from roque.archive import Record
from roque.archive.models import RawFile
from roque.archive.runs import FoundFile, Verdict, compare, known_files, register, register_failure
from roque.errors import BadInput, RoqueError
from roque.instruments import CameraDescription
from roque.settings import Settings
from roque.spool import Inspected, inspect
from roque.telemetry import logger
from services.ingest.content import digest
from services.ingest.read import read_run
from roque.spool.folders import Stat, is_raw, is_sidecar, scan
from services.ingest.sidecars import sidecar_hints

__all__ = ["Watch"]


@dataclass
class _Known:
    """What is remembered of a file between two looks."""

    stat: Stat
    changed: float  # monotonic time of the last change that was seen
    inspected: Inspected | None = None
    done: bool = False  # registered as ended, or recorded as bad: nothing to do until it changes


@dataclass
class Watch:
    """The incoming folders, and what was seen in them.

    Parameters
    ----------
    record : Record
        Where runs are registered.
    settings : Settings
        How long a silent file takes to end, the cache, the home folder.
    cameras : mapping of str to CameraDescription
        What files may be.
    folders : sequence of Path
        Incoming folders.
    """

    record: Record
    settings: Settings
    cameras: Mapping[str, CameraDescription]
    folders: tuple[Path, ...]
    _files: dict[str, _Known] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Take up what an earlier process has registered."""
        with self.record.reading() as session:
            rows = session.execute(select(RawFile.path, RawFile.size, RawFile.mtime_ns, RawFile.sha256)).all()
        for path, size, mtime_ns, sha256 in rows:
            self._files[path] = _Known(Stat(size, mtime_ns), -1e9, done=sha256 is not None)

    def look(self) -> int:
        """Look once; returns the number of runs and files whose registration changed."""
        found = scan(self.folders, self.settings.folder)
        now = time.monotonic()
        due = [path for path, stat in found.items() if self._is_due(path, stat, now)]
        groups: dict[Any, list[str]] = defaultdict(list)
        changed = 0
        for path in sorted(due):
            if is_sidecar(path):
                changed += self._sidecar(path)
                continue
            try:
                group = self._group(path)
            except RoqueError as error:
                changed += self._failure(path, error)
            else:
                groups[group].append(path)
        for group, paths in groups.items():
            changed += self._run(group, paths, found)
        return changed

    def _is_due(self, path: str, stat: Stat, now: float) -> bool:
        known = self._files.get(path)
        if known is None or known.stat != stat:
            self._files[path] = _Known(stat, now)
            return True
        return not known.done and self._silent(known)

    def _silent(self, known: _Known) -> bool:
        quiet = min(time.monotonic() - known.changed, time.time() - known.stat.mtime_ns * 1e-9)
        return quiet >= self.settings.silent_seconds

    def _group(self, path: str) -> Any:
        known = self._files[path]
        known.inspected = inspect(Path(path), self.cameras)
        return known.inspected.group

    def _run(self, group: Any, paths: list[str], found: Mapping[str, Stat]) -> int:
        members = self._members(group, paths, found)
        ended = all(self._silent(self._files[path]) for path in members)
        try:
            run = read_run(members, self.settings, self.cameras, ended=ended, hints=self._hints(members))
        except RoqueError as error:
            return sum(self._failure(path, error) for path in paths)
        if run is None:
            return 0
        info = run.info
        with self.record.reading() as session:
            known = known_files(session, info.instrument, info.night, info.name)
        prefixes = [
            digest(self._unpacked(new), new.data_start, old.data_size) if new.data_size >= old.data_size else None
            for old, new in zip(known, run.files, strict=False)
        ]
        verdict = compare(known, run, [*prefixes, *[None] * (len(known) - len(prefixes))])
        if verdict is Verdict.UNDECIDED:
            return 0
        with self.record.writing() as session:
            row = register(session, run, verdict, _now())
            path = row.path
        for file in run.files:
            self._files[file.path].done = run.ended
        logger.info("run_registered", run=path, what=verdict.value, frames=run.frames, ended=run.ended)
        return 1

    def _members(self, group: Any, paths: list[str], found: Mapping[str, Stat]) -> dict[str, Inspected]:
        """All files of a group in its folder, those that have not changed too, in the order of their times."""
        members = {}
        folder = Path(paths[0]).parent
        alone = self._files[paths[0]].inspected
        if alone is not None and alone.alone:
            return {paths[0]: alone}
        for path in found:
            if Path(path).parent != folder or not is_raw(path):
                continue
            known = self._files[path]
            if known.inspected is None:
                try:
                    known.inspected = inspect(Path(path), self.cameras)
                except RoqueError:
                    continue  # recorded when it was looked at itself
            if known.inspected.group == group:
                members[path] = known.inspected
        return dict(sorted(members.items(), key=lambda item: (item[1].order, item[0])))
