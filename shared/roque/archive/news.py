"""Whether anything was committed since the last look, asked so cheaply that it can be asked all the time."""

from __future__ import annotations

import os
import time

from roque.archive.session import Record

__all__ = ["News"]

_FILE_SECONDS, _SERVER_SECONDS = 0.03, 0.1
_CLOCK_SECONDS = 0.05  # time stamps of files move in steps: two commits can share one


class News:
    """Tells whether others may have committed to the record.

    On SQLite it looks at the time and size of the write-ahead log: no lock, and no connection, which a process that forks
    must not have. A server is asked for what one wants to know anyway: there it says yes ten times a second.

    Parameters
    ----------
    record : Record
    """

    def __init__(self, record: Record) -> None:
        self._log = f"{record.engine.url.database}-wal" if record.is_sqlite else None
        self._seen: tuple[int, int] | None = None
        self._young = True  # before the first look everything is new
        self._asked = -_SERVER_SECONDS
        self.every = _SERVER_SECONDS if self._log is None else _FILE_SECONDS
        """Seconds after which to look again is worth while."""

    def any(self) -> bool:
        """Whether there may be something new since the last call; at the first call, yes."""
        if self._log is None:
            due = time.monotonic() - self._asked > 0.9 * _SERVER_SECONDS  # who waits for so long is to find it over
            self._asked = time.monotonic() if due else self._asked
            return due
        try:
            found = os.stat(self._log)  # noqa: PTH116 - many times a second
        except FileNotFoundError:  # the last one to close the record tidied it away
            state, young = None, False
        else:
            state, young = (found.st_mtime_ns, found.st_size), abs(time.time() - found.st_mtime) < _CLOCK_SECONDS
        # one that was young at the last look may have been followed by another that left no trace
        changed = young or self._young or state != self._seen
        self._seen, self._young = state, young
        return changed
