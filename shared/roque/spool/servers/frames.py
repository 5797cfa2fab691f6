"""Frames of a run on a file server, the last few of them kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from roque.errors import BadInput, NotFound
from roque.spool._raw import RawFrame

__all__ = ["ServedFrames"]

_KEPT = 4  # frames at least: two that follow may have to be looked at to number one
_KEPT_BYTES = 16 << 20


class ServedFrames:
    """Frames of a run on a file server; `FrameBytes`.

    Parameters
    ----------
    name : str
        What to call the run in messages.
    count : callable
        Asks the server how many frames it has.
    get : callable
        Asks it for a frame by its place, from 1; None if it is not there yet.
    stamp : slice
        The bytes of a frame that tell its time: they are kept of every frame that was seen.
    """

    def __init__(self, name: str, count: Callable[[], int], get: Callable[[int], bytes | None], stamp: slice) -> None:
        self._name = name
        self._ask_count = count
        self._ask_frame = get
        self._stamp = stamp
        self._count: int | None = None
        self._seen = 0
        self._frames: OrderedDict[int, bytes] = OrderedDict()
        self._stamps: dict[int, bytes] = {}

    @property
    def available(self) -> int:
        """Frames that the server had when it was last asked, or gave since."""
        return max(self.refresh() if self._count is None else self._count, self._seen)

    def refresh(self) -> int:
        """Ask the server how many frames it has."""
        self._count = self._ask_count()
        if self._count < self._seen:
            message = f"the server has {self._count} frames now, and gave frame {self._seen} before"
            remedy = "the run was begun anew: open it again"
            raise BadInput(message, file=self._name, remedy=remedy)
        return self._count

    def holds(self, number: int) -> bool:
        """Whether a frame is there now: the server is asked for it."""
        return number >= 1 and (number in self._stamps or self._fetch(number) is not None)

    def insist_on(self, number: int) -> None:
        """Make sure that a frame is there; `NotFound` where it is not."""
        if not self.holds(number):
            place = f"frame {number}"
            if 1 <= number <= (self._count or 0):
                message = f"the server counts {self._count} frames, and does not give this one"
                raise BadInput(message, file=self._name, place=place, remedy="look after the server")
            raise NotFound("the frame is not there, or not yet", file=self._name, place=place)

    def parts(self, first: int, last: int, offset: int, size: int) -> bytes:
        """Bytes of each of a range of frames from an offset on, one after another."""
        known = (offset, offset + size) == (self._stamp.start, self._stamp.stop)
        return b"".join(
            self._stamps[number] if known and number in self._stamps else self._whole(number)[offset : offset + size]
            for number in range(first, last + 1)
        )

    def words(self, number: int) -> RawFrame:
        """Words of a frame."""
        return RawFrame(np.frombuffer(self._whole(number), np.uint16), None, 0, number, self._name)

    def _whole(self, number: int) -> bytes:
        data = self._frames.get(number)
        if data is None:
            data = self._fetch(number)
        if data is None:
            self.insist_on(number)
            message = "the server gave this frame before, and does not give it again"
            raise BadInput(message, file=self._name, place=f"frame {number}", remedy="look after the server")
        return data

    def _fetch(self, number: int) -> bytes | None:
        data = self._ask_frame(number)
        if data is not None:
            self._seen = max(self._seen, number)
            self._stamps[number] = data[self._stamp]
            self._frames[number] = data
            while len(self._frames) > max(_KEPT, _KEPT_BYTES // len(data)):
                self._frames.popitem(last=False)
        return data
