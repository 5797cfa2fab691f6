"""Following a run while it is written: frames are given as soon as they are whole.

The file is looked at again and again: network disks send no notices, and a look costs less than a notice would save.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from roque.errors import BadInput, NoData, NotFound
from roque.frames import Frame
from roque.spool.cursor import Cursor
from roque.spool.source import FrameSource
from roque.spool.waiting import awaited

__all__ = ["TWAIT", "follow"]

TWAIT = 0.01
"""Seconds between two looks at a file: few enough for frames to be handed on within a tenth of a second."""


def follow(
    source: FrameSource, first: int = 1, *, twait: float = TWAIT, tmax: float = 10.0, whole: bool = False
) -> Iterator[Frame]:
    """Give the frames of a run that may still be written, from a place on.

    The run has ended when nothing was added to it for `tmax` seconds, be it less than a frame, or as soon as all frames have
    come that its header announced before they were there. If it grows again, another call from the next place on goes on.
    Frames at the end of a file that was made as long as it will be, in which nothing stands yet, are waited for too.

    Parameters
    ----------
    source : FrameSource
        The run.
    first : int
        Place of the first frame to give; 0: the newest frame alone, whenever there is a newer one; -k, of a server: the frame k
        before it.
    twait, tmax : float
        Seconds between two looks, and without anything new until the run is taken for ended.
    whole : bool
        Whether all pixels are decoded at once, which is quicker than window by window where all are needed.

    Yields
    ------
    Frame

    Raises
    ------
    BadInput
        A frame cannot be read, or the run ends inside one and its format calls that an error. What is wrong with the newest
        frame is told when the run has ended: until then it may not be written in full.
    NoData
        The run was never meant to hold data.
    Unreachable
        The server that has the run was away for `tmax` seconds. Before that it is waited for like new frames.
    """
    if getattr(source, "remote", False):
        yield from awaited(Cursor(source, first), twait=twait, tmax=tmax)
        return
    patience = _Patience(source, twait, tmax)
    place, ended = max(1, first), False
    while True:
        if place > source.available:
            source.refresh()
        at = place if first else max(place, source.available)
        if not ended and _is_to_come(source, at):
            ended = not patience.wait()
            continue
        try:
            frame = source.load(at) if whole else source.frame(at)
        except (BadInput, NotFound) as error:
            if at < source.available or isinstance(error, NoData):
                raise
            if patience.wait():
                continue
            if isinstance(error, BadInput) or at <= source.available:
                raise
            return
        yield frame
        place = at + 1
        patience.restart()


def _is_to_come(source: Any, place: int) -> bool:
    """Whether room was made in the file for this frame and those after it, but nothing written there yet."""
    blank: Callable[[int], bool] | None = getattr(source, "blank", None)
    return blank is not None and place <= source.available and blank(place) and blank(source.available)


class _Patience:
    """Waiting for a source, for as long as it grows."""

    def __init__(self, source: FrameSource, twait: float, tmax: float) -> None:
        self._source = source
        self._twait, self._tmax = twait, tmax
        # a camera that writes the number anew with each frame may be one ahead of its frames
        announced = _announced(source)
        self._announced = announced if announced - source.available > 1 else 0
        self._prepare: Callable[[], None] | None = getattr(source, "prepare", None)
        self.restart()

    def restart(self) -> None:
        self._until = time.monotonic() + self._tmax
        self._seen = _written(self._source)

    def wait(self) -> bool:
        """Wait for a moment; whether there is hope."""
        if 0 < self._announced <= self._source.available and _announced(self._source) == self._announced:
            return False
        if _written(self._source) != self._seen:
            self.restart()
        left = self._until - time.monotonic()
        if left <= 0.0:
            return False
        if self._prepare is not None:
            self._prepare()
            self._prepare = None
            left = 0.0
        time.sleep(min(self._twait, left))
        self._source.refresh()
        return True


def _announced(source: Any) -> int:
    """Frames that the header says there will be; 0 where it does not."""
    return int(getattr(source, "announced", 0))


def _written(source: Any) -> int:
    """Bytes that are there, or frames where the source counts no bytes."""
    return int(getattr(source, "written", source.available))
