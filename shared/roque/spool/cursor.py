"""Which frame of a run comes next, where the run may still grow."""

from __future__ import annotations

from typing import Self

from roque.errors import NotFound
from roque.frames import Frame
from roque.spool.source import FrameSource

__all__ = ["Cursor"]


class Cursor:
    """A place in a run that goes on as frames come.

    Parameters
    ----------
    source : FrameSource
        The run.
    first : int
        Place of the first frame, from 1, followed by all others; 0: the newest frame alone, whenever there is a newer one;
        -k: the same with the frame k before the newest.
    newer : bool
        With `first` 0: whether the newest frame of the beginning is left out, as the HiPERCAM pipeline does with its server.
    """

    def __init__(self, source: FrameSource, first: int, *, newer: bool = False) -> None:
        self._source = source
        self._first = first
        self._wait_for_newer = newer and first == 0
        self.place = 0
        """Of the frame that was given last; 0 before the first."""

    def __iter__(self) -> Self:
        """Give the frames that are there, without waiting for others; a second iteration goes on, after an error too."""
        return self

    def __next__(self) -> Frame:
        if (frame := self.next()) is None:
            raise StopIteration
        return frame

    def next(self) -> Frame | None:
        """Give the next frame; None if it is not there yet.

        Raises
        ------
        BadInput
            It cannot be read.
        Unreachable
            The server that has it does not answer; asking again goes on with the same frame.
        """
        if self._first > 0:
            place = max(self._first, self.place + 1)
        else:
            place = self._source.refresh() + self._first
            if self._wait_for_newer:
                self._wait_for_newer, self.place = False, place
            if place <= self.place:
                return None
        try:
            frame = self._source.frame(place)
        except NotFound:
            # a server was asked just now, a file may have grown since the last look
            if self._first <= 0 or getattr(self._source, "remote", False) or self._source.refresh() < place:
                return None
            frame = self._source.frame(place)
        self.place = place
        return frame
