"""When the system is at rest: every file registered as ended, nothing left to do."""

from __future__ import annotations

import time
from collections.abc import Mapping

from sqlalchemy import select

from roque.archive import Record
from roque.archive.models import RawFile
from roque.archive.progress import left_to_do
from roque.settings import Settings
from roque.spool.folders import is_sidecar, scan, shown

__all__ = ["Idle"]

LOOK_SECONDS = 1.0

Files = Mapping[str, tuple[int, int]]
"""Size and time of files by their path."""


class Idle:
    """Asks now and then whether the system is at rest; twice in a row counts, for between two steps it looks so too."""

    def __init__(self, record: Record, settings: Settings) -> None:
        self._record = record
        self._settings = settings
        self._asked = 0.0
        self._before = False

    def reached(self) -> bool:
        """Whether the system is at rest and was so a moment ago."""
        if time.monotonic() - self._asked < LOOK_SECONDS:
            return False
        self._asked = time.monotonic()
        now = self.now()
        before, self._before = self._before, now
        return now and before

    def now(self) -> bool:
        """Whether the system looks at rest at this moment."""
        found = {shown(path): tuple(stat) for path, stat in scan(self._settings.watched, self._settings.folder).items()}
        with self._record.reading() as session:
            rows = session.execute(select(RawFile.path, RawFile.size, RawFile.mtime_ns).where(RawFile.sha256.is_not(None)))
            ended = {path: (size, mtime_ns) for path, size, mtime_ns in rows}
            return self._all_known(found, ended) and left_to_do(session, found.keys()).nothing

    def _all_known(self, found: Files, known: Files) -> bool:
        """Whether every file is registered as it is, and no aperture or reduce file has been taken away since."""
        inside = tuple(f"{folder}/" for folder in self._settings.watched)
        gone = any(is_sidecar(path) and path.startswith(inside) and path not in found for path in known)
        return not gone and all(known.get(path) == stat for path, stat in found.items())
