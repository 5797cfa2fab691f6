"""The windows of a CCD in a raw frame, each made when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from roque.frames.window import Window

__all__ = ["Place", "RawBytes", "RawWindows"]


class RawBytes(Protocol):
    """A raw frame, see `roque.spool._raw.RawFrame`."""

    def checked(self) -> NDArray[np.uint16]:
        """Words, after a look whether the file still holds them."""
        ...


class Place(Protocol):
    """Where the pixels of a window lie in a frame."""

    def window(self, raw: Any) -> Window:
        """Window with the pixels of a frame, which are decoded when asked for."""
        ...


class RawWindows(Mapping[str, Window]):
    """Windows by label: a frame may have forty that nobody looks at one by one.

    Parameters
    ----------
    places : mapping of str to Place
        One object for all the frames of a run: those that have it hold their windows alike.
    raw : RawBytes
        The frame.
    """

    __slots__ = ("_made", "places", "raw")

    def __init__(self, places: Mapping[str, Place], raw: RawBytes) -> None:
        self.places = places
        self.raw = raw
        self._made: dict[str, Window] | None = None

    def __getitem__(self, label: str) -> Window:
        if self._made is None:
            self._made = {}
        window = self._made.get(label)
        if window is None:
            window = self._made[label] = self.places[label].window(self.raw)
        return window

    def __contains__(self, label: object) -> bool:
        return label in self.places

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)
