"""When the system is at rest: every file registered as ended, nothing left to do."""

from __future__ import annotations

import time

from sqlalchemy import select

from roque.archive import Record
from roque.archive.models import RawFile
from roque.archive.progress import left_to_do
from roque.settings import Settings
from roque.spool.folders import is_raw, scan

__all__ = ["Idle"]

LOOK_SECONDS = 1.0


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
        return self._all_registered() and self._nothing_left()

    def _nothing_left(self) -> bool:
        with self._record.reading() as session:
            return left_to_do(session).nothing

    def _all_registered(self) -> bool:
        with self._record.reading() as session:
            rows = session.execute(select(RawFile.path, RawFile.size, RawFile.mtime_ns).where(RawFile.sha256.is_not(None)))
            ended = {path: (size, mtime_ns) for path, size, mtime_ns in rows}
        found = scan(self._settings.incoming, self._settings.folder)
        return all(ended.get(path) == tuple(stat) for path, stat in found.items() if is_raw(path))
