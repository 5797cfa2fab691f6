"""Registering an archive: years of runs in a tree of folders, one folder after the other.

What is registered and has not changed is passed over unread, and what was read is recorded a hundred runs at a time: whenever
it is stopped, it goes on there the next time. Memory holds one folder.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from sqlalchemy import select

from roque.archive import Record
from roque.archive.models import Night, RawFile, Run
from roque.errors import RoqueError
from roque.instruments import CameraDescription
from roque.jobs.retries import request_runs
from roque.registration.batch import Outcome
from roque.registration.registrar import Registrar
from roque.registration.seen import Group, Groups, Seen
from roque.settings import Settings
from roque.spool.folders import Stat, is_sidecar, shown, walk
from roque.spool.naming import folder_night
from roque.spool.ultra_files import xml_beside

__all__ = ["Archive"]

_PATHS = 500  # in one question


class Archive:
    """A tree of folders that is to be registered.

    Parameters
    ----------
    record : Record
    settings : Settings
        The home folder, which is left out, and its cache.
    cameras : mapping of str to CameraDescription
        What files may be.
    tell : function of Outcome
        Told what became of every run and file: a verdict of the record, 'failed', 'known' and 'outside' of the dates, or 'left'
        where a file changed while it was read.
    since, until : date or None
        Nights to register.
    reduce : bool
        Whether the runs are to be reduced, after everything that is live; else only when somebody asks for them.
    """

    def __init__(
        self,
        record: Record,
        settings: Settings,
        cameras: Mapping[str, CameraDescription],
        tell: Callable[[Outcome], None],
        *,
        since: dt.date | None = None,
        until: dt.date | None = None,
        reduce: bool = False,
    ) -> None:
        self._record = record
        self._settings = settings
        self._cameras = cameras
        self._tell = tell
        self._since = since or dt.date.min
        self._until = until or dt.date.max
        self._reduce = reduce
        self._left: dict[str, None] = {}  # looked at, and nothing became of it yet

    def register(self, top: Path, stop: threading.Event) -> None:
        """Register what is in a folder; files are taken as ended.

        Raises
        ------
        Transient
            The record is away; what was recorded before stays.
        """
        if self._reduce:
            self._ask_for(top)
        registrar = Registrar(
            self._record,
            self._settings,
            self._cameras,
            stop,
            lambda _: True,
            self._told,
            wanted=self._wanted,
            on_request=not self._reduce,
        )
        for found in walk(top, self._settings.folder):
            if stop.is_set():
                break
            registrar.files.update(self._known(found))
            due = self._due(found, registrar.files)
            self._left.update(dict.fromkeys(map(shown, due)))
            registrar.register(due, found, more=True)
            for path in due:
                if is_sidecar(path) or registrar.files[path].done or registrar.files[path].refused:
                    self._left.pop(shown(path), None)
            registrar.forget()
        # what was read is kept also when it is stopped
        registrar.store()
        if not stop.is_set():
            for path in self._left:
                self._tell(Outcome("left", (path,)))

    def foresee(self, top: Path, stop: threading.Event) -> None:
        """Tell what `register` would do, by the headers alone, and change nothing."""
        for found in walk(top, self._settings.folder):
            files = self._known(found)
            groups, seen = Groups(files, self._cameras, self._settings.cache), set[Group]()
            for path in self._due(found, files):
                if stop.is_set():
                    return
                self._foretell(path, found, groups, seen)

    def _told(self, outcome: Outcome) -> None:
        for path in outcome.files:
            self._left.pop(path, None)
        self._tell(outcome)

    def _known(self, found: Mapping[str, Stat]) -> dict[str, Seen]:
        """What the record knows of files: those that are as they were, and ended, are done."""
        files = {path: Seen(stat, -1e9) for path, stat in found.items()}
        paths = [path for path in found if shown(path) == path]
        columns = RawFile.path, RawFile.size, RawFile.mtime_ns, RawFile.sha256
        with self._record.reading() as session:
            for first in range(0, len(paths), _PATHS):
                rows = session.execute(select(*columns).where(RawFile.path.in_(paths[first : first + _PATHS])))
                for path, size, mtime_ns, sha256 in rows:
                    same = found[path] == Stat(size, mtime_ns)
                    files[path] = Seen(
                        found[path], -1e9, done=same and bool(sha256), refused=same and sha256 == "", registered=True
                    )
        return files

    def _due(self, found: Mapping[str, Stat], files: Mapping[str, Seen]) -> list[str]:
        due = []
        for path in found:
            night = folder_night(Path(path))
            if night is not None and not self._wanted(night):
                self._tell(Outcome("outside", (shown(path),)))
            elif files[path].done:
                self._tell(Outcome("known", (shown(path),)))
            else:
                due.append(path)
        return due

    def _foretell(self, path: str, found: Mapping[str, Stat], groups: Groups, seen: set[Group]) -> None:
        if is_sidecar(path):
            return
        try:
            key = groups.key(path)
        except (RoqueError, OSError) as error:
            if xml_beside(path, found) is None:
                said = error if isinstance(error, RoqueError) else RoqueError(error.strerror or str(error), file=shown(path))
                self._tell(Outcome("failed", (shown(path),), error=said))
            return
        told = groups.inspected(path)
        if not self._wanted(told.night):
            self._tell(Outcome("outside", (path,)))
        elif key not in seen:
            seen.add(key)
            self._tell(Outcome("new", (path,), f"{told.camera}/{told.night.isoformat()}/{told.name}"))

    def _wanted(self, night: dt.date) -> bool:
        return self._since <= night <= self._until

    def _ask_for(self, top: Path) -> None:
        """Ask for the runs of the folder that are registered already."""
        inside = select(RawFile.run_id).where(RawFile.path.startswith(f"{top}/", autoescape=True))
        nights = select(Night.id).where(Night.date.between(self._since, self._until))
        with self._record.writing() as session:
            request_runs(session, Run.id.in_(inside), Run.night_id.in_(nights))
