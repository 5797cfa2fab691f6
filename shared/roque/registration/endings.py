"""Reading large runs that have ended once more, beside everything else: frames of other runs do not wait for it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from roque.archive.found import FoundFile
from roque.registration.content import Content
from roque.registration.read import Reading, found_files
from roque.spool.folders import Stat

__all__ = ["Digested", "Endings"]

LARGE = 64 << 20
"""Bytes of a run from which on it is not read where others wait: less takes a tenth of a second."""

_NICENESS = 10


@dataclass(frozen=True)
class Digested:
    """Files of a run that has ended, compared with what was registered of it then; see `found_files`."""

    reading: Reading
    known: Sequence[FoundFile]
    files: tuple[FoundFile, ...]
    prefixes: list[str | None]


class Endings:
    """Runs that are read once more: one at a time, by threads that leave the processor to others."""

    def __init__(self) -> None:
        self._begun: dict[tuple[str, ...], tuple[dict[str, Stat], Future[Digested]]] = {}
        self._one = threading.Lock()

    def begin(self, reading: Reading, stats: Mapping[str, Stat], known: Sequence[FoundFile]) -> None:
        """Begin to read a run that has ended; arguments as of `found_files`."""
        done: Future[Digested] = Future()
        self._begun[tuple(stats)] = dict(stats), done
        threading.Thread(target=self._read, args=(reading, dict(stats), known, done), name="endings", daemon=True).start()

    def under_way(self, stats: Mapping[str, Stat]) -> bool:
        """Whether a run is being read; what was begun of it as it was before is forgotten."""
        before, done = self._begun.get(tuple(stats), (None, None))
        if done is not None and before != stats:
            del self._begun[tuple(stats)]
            return False
        return done is not None and not done.done()

    def take(self, stats: Mapping[str, Stat]) -> Digested | None:
        """Give what was read of a run, once; None if nothing was.

        Raises
        ------
        RoqueError, OSError
            It could not be read, or changed meanwhile.
        """
        _, done = self._begun.pop(tuple(stats), (None, None))
        return done.result() if done is not None else None

    def _read(self, reading: Reading, stats: Mapping[str, Stat], known: Sequence[FoundFile], done: Future[Digested]) -> None:
        if sys.platform == "linux":  # elsewhere a thread has no priority of its own
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        with self._one:
            if self._begun.get(tuple(stats), (None, None))[1] is not done:
                return  # it has changed while others were read
            try:
                done.set_result(Digested(reading, known, *found_files(reading, stats, known, Content())))
            except BaseException as error:  # noqa: BLE001 - whoever asks for the result is told
                done.set_exception(error)
