"""Copying a run from a file server as it grows: no frame lost, none twice, and on from where it stopped."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from roque.errors import BadInput
from roque.spool.servers import HipercamServer, UltracamServer
from services.ingest.copies import Copy, HipercamCopy, UltraCopy

__all__ = ["MirroredRun", "Remote", "hipercam_remote", "ultracam_remote"]

SURE_SECONDS = 10.0
"""After so long without a new frame the server is asked whether the run still is the one that was copied."""

HEADER_SECONDS = 5.0
"""Time between two looks at the header of a run that does not grow."""

FLUSH_SECONDS = 5.0
"""Time between two flushes to the disk."""

MOST_STEPS = 1_000
"""Frames at the end of a copy that may have to be read again, after a power cut."""


@dataclass(frozen=True)
class Remote:
    """A run on a server, of either kind. Frames count from 0."""

    name: str
    header: Callable[[], bytes]
    count: Callable[[], int]
    frame: Callable[[int], bytes | None]
    frame_bytes: Callable[[], int]
    close: Callable[[], None]
    copy: Callable[[Path, bytes, int], Copy]


def hipercam_remote(address: str, run: str) -> Remote:
    """Give a run on a HiPERCAM server."""
    server = HipercamServer(address, run)
    return Remote(
        run,
        lambda: server.header().encode("ascii"),
        server.frames,
        lambda place: server.frame(place + 1),
        lambda: server.frame_bytes,
        server.close,
        HipercamCopy,
    )


def ultracam_remote(address: str, run: str) -> Remote:
    """Give a run on an ULTRACAM server."""
    server = UltracamServer(f"http://{address}", run)
    return Remote(run, server.xml, server.frames, server.frame, lambda: server.frame_bytes, server.close, UltraCopy)


class MirroredRun:
    """A run that is copied.

    Every night begins with the same names. So a copy lies in a folder that its first frame names, with its time stamp and its
    noise: another run of the name gets another folder, and the same one its old folder, also from a new process.

    Parameters
    ----------
    remote : Remote
    folder : Path
        Of the server's runs.
    """

    def __init__(self, remote: Remote, folder: Path) -> None:
        self.remote = remote
        self._folder = folder
        self._copy: Copy | None = None
        self._grown = self._flushed = self._header = 0.0  # monotonic times
        self._dirty = False

    def turn(self, seconds: float) -> int:
        """Copy what is new, for some seconds at most; returns the number of frames.

        Raises
        ------
        RoqueError
            The server does not answer, or with nonsense.
        OSError
            The disk does not take it.
        """
        count = self.remote.count()
        copy = self._sure(count)
        if copy is None:
            return 0
        end, before = time.monotonic() + seconds, copy.frames
        while copy.frames < count and time.monotonic() < end:
            frame = self.remote.frame(copy.frames)
            if frame is None:
                break
            copy.append(frame)
            self._dirty = True
        now, new = time.monotonic(), copy.frames - before
        if new or now - self._header > HEADER_SECONDS:
            # of frames that came the header tells after they are there
            copy.write_header(self.remote.header())
            self._header = now
        self._grown = now if new else self._grown
        if self._dirty and now - self._flushed > FLUSH_SECONDS:
            copy.flush()
            self._dirty, self._flushed = False, now
        return new

    def rest(self) -> None:
        """Let go of the connection and the files for a while."""
        self.remote.close()
        if self._copy is not None:
            with contextlib.suppress(OSError):  # what the disk did not take is read again: see _agree
                self._copy.flush()
            self._copy.close()
            self._copy, self._dirty = None, False

    def _sure(self, count: int) -> Copy | None:
        """The copy of the run as it is on the server; None if it has no frame yet."""
        copy = self._copy
        fresh = time.monotonic() - self._grown < SURE_SECONDS
        if copy is not None and (count == copy.frames or (count > copy.frames and fresh)):
            return copy
        first = self.remote.frame(0) if count else None
        if first is None:
            return None
        if copy is None or copy.read(0) != first:
            if copy is not None:
                copy.close()
            self._copy = copy = self._opened(first)
            self._agree(copy, count)
        return copy

    def _opened(self, first: bytes) -> Copy:
        key = hashlib.sha256(first).hexdigest()[:12]
        folder = self._folder / f"{self.remote.name}-{key}"
        folder.mkdir(parents=True, exist_ok=True)
        header = self.remote.header()
        copy = self.remote.copy(folder / self.remote.name, header, self.remote.frame_bytes())
        if copy.frames and copy.read(0) != first:
            copy.cut(0)
        if not copy.frames:
            copy.append(first)
            copy.write_header(header)
            copy.flush()
        return copy

    def _agree(self, copy: Copy, count: int) -> None:
        """Take back frames at the end that the disk has lost, as a power cut leaves them."""
        for _ in range(MOST_STEPS):
            last = copy.frames - 1
            if last < 1 or last >= count or copy.read(last) == self.remote.frame(last):
                return
            copy.cut(last)
        raise BadInput("the server has other frames than those that were copied", file=self.remote.name)
