"""The bytes of raw frames, one after another in a file of which only its end may change.

Frames up to a MiB are read whole with one call, which a file that shrinks or a failing disk cannot turn into more than an
error. Larger ones are mapped, so that a box touches its own pages alone; a mapped page that a shrinking file has lost would
kill the process, so the size is looked at before each box.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from roque.errors import BadInput, Transient
from roque.frames.handle import OpenFile
from roque.spool.source import no_frame

__all__ = ["CHANGED", "COPY_AGAIN", "FrameBytes", "RawFrame", "RawFrames", "RunBytes"]

CHANGED = "the file became shorter while it was read"
COPY_AGAIN = "wait until it is written, or copy it again"
_WHOLE = 1 << 20  # bytes of a frame up to which reading it costs less than mapping it
_MAPPED = 64 << 20  # bytes of frames given after which mapped pages are let go: they count as memory in use


@dataclass(frozen=True, slots=True)
class RawFrame:
    """Words of a frame."""

    words: NDArray[np.uint16]
    map: mmap.mmap | None
    end: int
    number: int
    file: str

    def checked(self) -> NDArray[np.uint16]:
        """Words, after a look whether the file still holds them."""
        if self.map is None:
            return self.words
        try:
            size = self.map.size()
        except OSError as error:
            raise Transient(f"the file cannot be read: {error}", file=self.file, place=f"frame {self.number}") from error
        if size < self.end:
            raise BadInput(CHANGED, file=self.file, place=f"frame {self.number}", remedy=COPY_AGAIN)
        return self.words


class FrameBytes(Protocol):
    """Frames of a run as bytes, in a file or on a server. Places count from 1."""

    @property
    def available(self) -> int:
        """Frames that are there, as far as was seen."""
        ...

    def holds(self, number: int) -> bool:
        """Whether a frame is there now."""
        ...

    def insist_on(self, number: int) -> None:
        """Make sure that a frame is there.

        Raises
        ------
        NotFound
            It is not, or not yet.
        """
        ...

    def parts(self, first: int, last: int, offset: int, size: int) -> bytes:
        """Bytes of each of a range of frames from an offset on, one after another."""
        ...

    def words(self, number: int) -> RawFrame:
        """Words of a frame."""
        ...


class RunBytes(Protocol):
    """The bytes of a run, and what the files or the server tell of them."""

    @property
    def source(self) -> str:
        """Name of the source."""
        ...

    @property
    def remote(self) -> bool:
        """Whether it costs time to look at a frame that nobody asked for."""
        ...

    @property
    def path(self) -> Path:
        """How the run is called; of several files without their endings."""
        ...

    @property
    def name(self) -> str:
        """What its frames come from, for messages."""
        ...

    @property
    def frames(self) -> FrameBytes:
        """Its frames."""
        ...

    @property
    def written(self) -> int:
        """Bytes, or frames where there is no file, at the last look."""
        ...

    @property
    def extent(self) -> tuple[int, int]:
        """First byte of the first frame, and the byte after the last whole one, in the plain file of frames."""
        ...

    def refresh(self) -> None:
        """Look again at a run that may have grown."""
        ...

    def problems(self) -> list[BadInput]:
        """What is wrong with the size of the run."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


class RawFrames:
    """Frames of equal size in a file; `FrameBytes`.

    Parameters
    ----------
    file : OpenFile
        The file.
    start : int
        First byte of the first frame.
    frame_bytes : int
        Bytes of a frame.
    """

    def __init__(self, file: OpenFile, start: int, frame_bytes: int) -> None:
        self._file = file
        self._start = start
        self._frame_bytes = frame_bytes
        self.refresh(0)

    def refresh(self, available: int) -> None:
        """Note how many frames there are now, and forget what was mapped: the file may have grown."""
        self.available = available
        self._map: mmap.mmap | None = None
        self._given = 0

    def holds(self, number: int) -> bool:
        """Whether a frame was there at the last look."""
        return 1 <= number <= self.available

    def insist_on(self, number: int) -> None:
        """Make sure that a frame is there; `NotFound` where it is not."""
        if not self.holds(number):
            raise no_frame(number, self.available, self._file.name)

    def part(self, number: int, offset: int, size: int) -> bytes:
        """Bytes of a frame from an offset on.

        Raises
        ------
        BadInput
            The file became shorter.
        """
        data = self._file.read(self._start + (number - 1) * self._frame_bytes + offset, size)
        if len(data) < size:
            raise BadInput(CHANGED, file=self._file.name, place=f"frame {number}", remedy=COPY_AGAIN)
        return data

    def parts(self, first: int, last: int, offset: int, size: int) -> bytes:
        """Bytes of each of a range of frames from an offset on, one after another; errors as for `part`."""
        start, step = self._start + (first - 1) * self._frame_bytes + offset, self._frame_bytes
        data = self._file.read_each(start, step, size, last - first + 1)
        if len(data) < size * (last - first + 1):  # it ends in between, or a signal came
            return b"".join(self.part(number, offset, size) for number in range(first, last + 1))
        return data

    def words(self, number: int) -> RawFrame:
        """Words of a frame, read or mapped.

        Raises
        ------
        BadInput
            The file became shorter.
        """
        size = self._frame_bytes
        if size <= _WHOLE:
            return RawFrame(np.frombuffer(self.part(number, 0, size), np.uint16), None, 0, number, self._file.name)
        if self._map is None:
            self._map = self._file.map()
            self._given = 0
        if self._given + size > _MAPPED:
            self._map.madvise(mmap.MADV_DONTNEED)
            self._given = 0
        self._given += size
        start = self._start + (number - 1) * size
        if start + size > len(self._map):
            raise BadInput(CHANGED, file=self._file.name, place=f"frame {number}", remedy=COPY_AGAIN)
        words = np.frombuffer(self._map, np.uint16, size // 2, start)
        return RawFrame(words, self._map, start + size, number, self._file.name)
