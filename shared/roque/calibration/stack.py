"""Frames to be combined, read again and again but never all at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from roque.calibration.apply import Calibrator, Masters
from roque.errors import BadInput
from roque.frames import CCD, Box, Frame, Window

__all__ = ["MEMORY", "FrameList", "Frames", "Seen", "Stack", "Tile"]

Floats = NDArray[np.floating[Any]]
T = TypeVar("T")

MEMORY = 256 << 20
"""Bytes of counts held at a time, unless told otherwise."""

_ROWS = 64
"""Rows read from all windows in turn. Raw data have the outputs of all amplifiers interleaved: while they are in the
cache, every window should take its share."""


class Frames(Protocol):
    """Frames that can be read again by their place, from 1: any source of frames."""

    @property
    def available(self) -> int:
        """Number of frames."""
        ...

    def frame(self, number: int) -> Frame:
        """Read one frame."""
        ...


class FrameList:
    """Frames already in memory as a source."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self._frames = frames

    @property
    def available(self) -> int:
        """Number of frames."""
        return len(self._frames)

    def frame(self, number: int) -> Frame:
        """Give one frame."""
        return self._frames[number - 1]


@dataclass(frozen=True, slots=True, eq=False)
class Seen(Generic[T]):
    """What was found on one frame, by CCD; CCDs without data are left out."""

    number: int
    exposure: dict[str, float]
    values: dict[str, T]


class Tile(NamedTuple):
    """Processed counts of some rows of a window on all frames wanted, shape (n, rows, nx)."""

    ccd: str
    window: str
    box: Box
    data: Floats


class Stack:
    """Frames to be combined, with masters to be applied first.

    Parameters
    ----------
    frames : Frames
        Where they are read from.
    places : sequence of int or None
        Which frames, from 1; the first is the template for windows and headers. None takes all.
    masters : Masters
        Applied to every frame.
    crop : bool
        As for `Calibrator`.
    nhalf : int
        As for `Calibrator`.
    ccds : collection of str or None
        The CCDs to combine; None takes all.
    memory : int
        Bytes of counts to hold at a time. A stack that is smaller is read once.

    Raises
    ------
    BadInput
        If there is no frame, or a frame has other windows than the first.
    """

    def __init__(
        self,
        frames: Frames,
        places: Sequence[int] | None = None,
        *,
        masters: Masters | None = None,
        crop: bool = True,
        nhalf: int = 2,
        ccds: Sequence[str] | None = None,
        memory: int = MEMORY,
    ) -> None:
        self.places = list(range(1, frames.available + 1) if places is None else places)
        if not self.places:
            raise BadInput("no frame to combine", remedy="give a run with at least one whole frame")
        self._frames = frames
        self.template = frames.frame(self.places[0])
        self.ccds = [name for name in self.template.ccds if ccds is None or name in ccds]
        self._calibrator = Calibrator(masters or Masters(), self.template, readout=0.0, gain=1.0, crop=crop, nhalf=nhalf)
        self.notes = self._calibrator.notes
        windows = list(self._windows().values())
        if not windows:
            raise BadInput("the first frame has no window to combine", remedy="leave it out, or name CCDs that it has")
        self._dtype = windows[0].read(Box(0, 1, 0, 1)).dtype
        self._memory = memory
        self._kept: dict[tuple[str, str], Floats] | None = None

    def survey(self, measure: Callable[[str, Mapping[str, Floats]], T] | None = None) -> list[Seen[T]]:
        """Go through the frames and note exposures and, if asked for, what `measure` finds on each CCD.

        `measure` gets the label of the CCD and the processed counts of its windows by label, in arrays used again later.
        """
        keep = self._bytes() <= self._memory
        kept = (
            {key: np.empty((len(self.places), *w.pixels.shape), self._dtype) for key, w in self._windows().items()}
            if keep
            else {}
        )
        scratch = (
            {}
            if keep or measure is None
            else {key: np.empty(w.pixels.shape, self._dtype) for key, w in self._windows().items()}
        )
        seen = []
        for k, frame in enumerate(self._read()):
            ccds = {name: frame.ccds[name] for name in self.ccds if frame.ccds[name].data_ok}
            into = {key: slab[k] for key, slab in kept.items()} or scratch
            if into:
                self._fill(ccds, into)
            found: Seen[T] = Seen(frame.number, {name: ccd.exposure for name, ccd in ccds.items()}, {})
            if measure is not None:
                for name in ccds:
                    found.values[name] = measure(name, {label: into[name, label] for label in self.template.ccds[name].windows})
            seen.append(found)
        self._kept = kept or None
        return seen

    def tiles(self, wanted: Mapping[str, Sequence[int]]) -> Iterator[Tile]:
        """Give the processed counts of all windows, in bands of rows that fit into the memory.

        A tile is the caller's, to change at will, until the next is asked for.

        Parameters
        ----------
        wanted : mapping of str to sequence of int
            For each CCD, which frames: places in `places`, from 0, in the order in which they stand in the tiles. CCDs that
            are missing or have no frame are left out.
        """
        if self._kept is not None:
            for (name, label), slab in self._kept.items():
                if wanted.get(name):
                    ny, nx = slab.shape[1:]
                    yield Tile(name, label, Box(0, ny, 0, nx), slab[list(wanted[name])])
            return
        windows = {key: window for key, window in self._windows().items() if wanted.get(key[0])}
        row = self._dtype.itemsize * sum(len(wanted[name]) * w.geometry.nx for (name, _), w in windows.items())
        height = max(1, self._memory // max(1, row))
        tallest = max((w.geometry.ny for w in windows.values()), default=0)
        # one set of arrays for all bands: getting memory from the system costs as much as decoding into it
        space = {
            k: np.empty(len(wanted[k[0]]) * min(height, w.geometry.ny) * w.geometry.nx, self._dtype) for k, w in windows.items()
        }
        for start in range(0, tallest, height):
            yield from self._band(space, wanted, start, start + height)

    def _band(
        self, space: Mapping[tuple[str, str], Floats], wanted: Mapping[str, Sequence[int]], start: int, stop: int
    ) -> Iterator[Tile]:
        boxes = {key: self._rows(*key, start, stop) for key in space}
        boxes = {key: box for key, box in boxes.items() if not box.empty}
        shapes = {key: (len(wanted[key[0]]), box.y1 - box.y0, box.x1) for key, box in boxes.items()}
        slabs = {key: space[key][: math.prod(shape)].reshape(shape) for key, shape in shapes.items()}
        order = {name: {k: i for i, k in enumerate(frames)} for name, frames in wanted.items()}
        for k, frame in enumerate(self._read()):
            for a in range(start, stop, _ROWS):
                for (name, label), outer in boxes.items():
                    place = order[name].get(k)
                    box = self._rows(name, label, a, min(a + _ROWS, stop))
                    if place is not None and not box.empty:
                        slab = slabs[name, label][place]
                        self._process(frame.ccds[name], name, label, box, slab[box.y0 - outer.y0 : box.y1 - outer.y0])
        for (name, label), box in boxes.items():
            yield Tile(name, label, box, slabs[name, label])

    def _read(self) -> Iterator[Frame]:
        for place in self.places:
            frame = self._frames.frame(place)
            missing = [name for name in self.ccds if name not in frame.ccds]
            if missing:
                raise BadInput(
                    f"frame {frame.number} has no CCD {missing[0]}, the first frame has", remedy="combine frames of one format"
                )
            yield frame

    def _fill(self, ccds: Mapping[str, CCD], into: Mapping[tuple[str, str], Floats]) -> None:
        """Process whole windows of a frame, a few rows of each in turn."""
        tallest = max((w.geometry.ny for ccd in ccds.values() for w in ccd.windows.values()), default=0)
        for a in range(0, tallest, _ROWS):
            for name, ccd in ccds.items():
                for label in self.template.ccds[name].windows:
                    box = self._rows(name, label, a, a + _ROWS)
                    if not box.empty:
                        self._process(ccd, name, label, box, into[name, label][box.y0 : box.y1])

    def _process(self, ccd: CCD, name: str, label: str, box: Box, out: Floats) -> None:
        if label not in ccd.windows:
            raise BadInput(
                "a frame lacks the window", place=f"CCD {name}, window {label}", remedy="combine frames of one format"
            )
        self._calibrator.process(name, ccd, label, box, out)

    def _rows(self, name: str, label: str, start: int, stop: int) -> Box:
        """Rows counted from the side where the window is read out, so that equal rows of all windows lie together."""
        ccd = self.template.ccds[name]
        window = ccd.windows[label]
        g = window.geometry
        # where the amplifier is not known, the nearer edge of the chip will be right for most; else it only costs time
        upper = window.outamp.startswith("U") or (not window.outamp and g.ylo + g.yhi > ccd.nytot + 1)
        start, stop = min(start, g.ny), min(stop, g.ny)
        return Box(g.ny - stop, g.ny - start, 0, g.nx) if upper else Box(start, stop, 0, g.nx)

    def _windows(self) -> dict[tuple[str, str], Window]:
        return {(name, label): w for name in self.ccds for label, w in self.template.ccds[name].windows.items()}

    def _bytes(self) -> int:
        return sum(w.geometry.nx * w.geometry.ny for w in self._windows().values()) * len(self.places) * self._dtype.itemsize
