"""The frames of a run, but for those that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from roque.errors import BadInput
from roque.frames import Frame
from roque.spool import FrameSource

__all__ = ["readable_frames"]


def readable_frames(
    source: FrameSource, first: int, last: int, lost: list[BadInput], go_on: Callable[[], None]
) -> Iterator[Frame]:
    """Read frames one after another; one that is damaged is left out.

    Parameters
    ----------
    source : FrameSource
        The run.
    first, last : int
        Places of the frames.
    lost : list of BadInput
        What is wrong with those left out is added here.
    go_on : callable
        Called before each frame; raises if the job is not wanted any more.
    """
    for place in range(first, last + 1):
        go_on()
        try:
            yield source.frame(place)
        except BadInput as error:
            where = ", ".join(part for part in (f"frame {place}", error.place) if part)
            lost.append(BadInput(f"the frame is left out: {error.message}", file=error.file, place=where, remedy=error.remedy))
