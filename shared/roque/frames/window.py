"""A window: a rectangle of binned pixels on a CCD.

Pixel coordinates are unbinned, with the centre of the lower-left pixel of the CCD at (1, 1). Binned pixel ``i`` (from 0)
is centred on ``llx + xbin*(i + 0.5) - 0.5``, and likewise in y. Arrays are [y, x], bottom row first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Box", "Geometry", "Pixels", "RawWords", "Window"]

Floats = NDArray[np.floating[Any]]


class Pixels(Protocol):
    """Pixels that may not be decoded yet: asking for a box decodes that box alone."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(ny, nx), binned pixels."""
        ...

    def __getitem__(self, key: tuple[slice, slice]) -> Floats:
        """Counts of a box, float32 (float64 where a file holds float64)."""
        ...


class RawWords(NamedTuple):
    """Where the 16-bit words of a window are, for kernels that decode while they measure.

    Pixels whose words lie regularly offer this as their attribute `words`; others have none, or None.
    """

    words: NDArray[np.uint16]
    """Words of the whole frame, C-contiguous, as read."""
    first: int
    """Index of the word of the first pixel (row 0, column 0)."""
    row_step: int
    column_step: int
    """Words from one row or column to the next; may be negative."""
    swapped: bool
    """Whether words are big-endian, signed, offset by 32768: swapped and with the top bit flipped they are the counts."""


@dataclass(frozen=True, slots=True)
class Box:
    """A range of binned pixel indices of a window, from 0: ``[y0:y1, x0:x1]``."""

    y0: int
    y1: int
    x0: int
    x1: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the box into a [y, x] array."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    @property
    def empty(self) -> bool:
        """Whether no pixel is left."""
        return self.y1 <= self.y0 or self.x1 <= self.x0


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where a window lies: lower-left unbinned pixel, binning and size in binned pixels."""

    llx: int
    lly: int
    xbin: int
    ybin: int
    nx: int
    ny: int

    @property
    def xlo(self) -> float:
        """Left edge."""
        return self.llx - 0.5

    @property
    def xhi(self) -> float:
        """Right edge."""
        return self.llx - 1 + self.nx * self.xbin + 0.5

    @property
    def ylo(self) -> float:
        """Lower edge."""
        return self.lly - 0.5

    @property
    def yhi(self) -> float:
        """Upper edge."""
        return self.lly - 1 + self.ny * self.ybin + 0.5

    def x(self, i: float) -> float:
        """X of the centre of binned column `i` (from 0)."""
        return self.llx + self.xbin * (i + 0.5) - 0.5

    def y(self, j: float) -> float:
        """Y of the centre of binned row `j` (from 0)."""
        return self.lly + self.ybin * (j + 0.5) - 0.5

    def column(self, x: float) -> float:
        """Binned column, as a real number, at coordinate `x`."""
        return (x + 0.5 - self.llx) / self.xbin - 0.5

    def row(self, y: float) -> float:
        """Binned row, as a real number, at coordinate `y`."""
        return (y + 0.5 - self.lly) / self.ybin - 0.5

    def distance(self, x: float, y: float) -> float:
        """Distance of a point to the nearest edge, positive inside, negative outside; unbinned pixels."""
        dx = max(self.xlo - x, 0.0, x - self.xhi)
        dy = max(self.ylo - y, 0.0, y - self.yhi)
        if dx > 0.0 or dy > 0.0:
            return -math.hypot(dx, dy)
        return min(x - self.xlo, self.xhi - x, y - self.ylo, self.yhi - y)

    def box(self, x1: float, x2: float, y1: float, y2: float) -> Box:
        """Pixels that lie completely inside ``[x1, x2] x [y1, y2]``; the box may be empty."""
        return Box(
            y0=max(0, math.ceil((y1 - self.ylo) / self.ybin)),
            y1=self.ny - max(0, math.ceil((self.yhi - y2) / self.ybin)),
            x0=max(0, math.ceil((x1 - self.xlo) / self.xbin)),
            x1=self.nx - max(0, math.ceil((self.xhi - x2) / self.xbin)),
        )

    def cut(self, box: Box) -> Geometry:
        """Geometry of a box of this window."""
        return Geometry(
            llx=self.llx + box.x0 * self.xbin,
            lly=self.lly + box.y0 * self.ybin,
            xbin=self.xbin,
            ybin=self.ybin,
            nx=box.x1 - box.x0,
            ny=box.y1 - box.y0,
        )

    def contains(self, other: Geometry) -> bool:
        """Whether `other` lies inside, in step with this binning and with a binning that this one divides."""
        return (
            self.xlo <= other.xlo
            and self.xhi >= other.xhi
            and self.ylo <= other.ylo
            and self.yhi >= other.yhi
            and (other.llx - self.llx) % self.xbin == 0
            and (other.lly - self.lly) % self.ybin == 0
            and other.xbin % self.xbin == 0
            and other.ybin % self.ybin == 0
        )


class Window:
    """A window: its geometry, its amplifier and its pixels.

    Parameters
    ----------
    geometry : Geometry
        Position, binning and size.
    pixels : Pixels
        Counts, shape (ny, nx): an array, or raw pixels that are decoded when asked for.
    outamp : str
        Amplifier that the window is read out by: '', LL, LR, UL or UR.
    """

    __slots__ = ("_data", "geometry", "outamp", "pixels")

    def __init__(self, geometry: Geometry, pixels: Pixels | Floats, outamp: str = "") -> None:
        if tuple(pixels.shape) != (geometry.ny, geometry.nx):
            raise ValueError(f"pixels of shape {tuple(pixels.shape)} in a window of {geometry.ny} rows of {geometry.nx}")
        self.geometry = geometry
        self.pixels: Pixels | Floats = pixels
        self.outamp = outamp
        self._data: Floats | None = pixels if isinstance(pixels, np.ndarray) else None

    def __repr__(self) -> str:
        return f"Window({self.geometry}, outamp={self.outamp!r})"

    @property
    def data(self) -> Floats:
        """All counts, decoded on first use and kept; shape (ny, nx)."""
        if self._data is None:
            self._data = self.pixels[slice(None), slice(None)]
        return self._data

    def read(self, box: Box) -> Floats:
        """Counts of a box, decoding no more than the box."""
        source = self.pixels if self._data is None else self._data
        return source[box.slices]

    def with_data(self, data: Floats) -> Window:
        """Make the same window with other counts."""
        return Window(self.geometry, data, self.outamp)
