"""Where each 16-bit word of a HiPERCAM frame lies on the sky."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roque.frames.window import Geometry
from roque.simulation.plan import WindowPlan

__all__ = ["CHIP_COLUMNS", "CHIP_ROWS", "Patch", "patches", "word_order"]

CHIP_COLUMNS, CHIP_ROWS = 2048, 1024
MIRRORED = (1, 4)  # CCDs 2 and 5 see the field in a mirror: the outputs E and F, and G and H, change places
SWAPPED = (1, 0, 3, 2)


@dataclass(frozen=True, slots=True)
class Patch:
    """One window of one CCD.

    Parameters
    ----------
    ccd, quadrant, window : int
        Indices from 0; the quadrant is that of the output (its label E, F, G or H).
    position : int
        Quadrant where it lies on the sky, from 0; another than its label on mirrored CCDs.
    geometry : Geometry
        Pixels on the CCD, as seen on the sky.
    start, flat_start : int
        Index of its first pixel among all pixels of a frame, binned and unbinned.
    """

    ccd: int
    quadrant: int
    window: int
    position: int
    geometry: Geometry
    start: int
    flat_start: int

    @property
    def label(self) -> str:
        """Label of the window, such as E1."""
        return f"{'EFGH'[self.quadrant]}{self.window + 1}"


def patches(windows: Sequence[WindowPlan], xbin: int, ybin: int) -> list[Patch]:
    """List all windows of all CCDs, window by window, then CCD by CCD, then quadrant by quadrant."""
    found = []
    start = flat_start = 0
    for number, window in enumerate(windows):
        for ccd in range(5):
            for quadrant in range(4):
                position = SWAPPED[quadrant] if ccd in MIRRORED else quadrant
                geometry = _geometry(window, position, xbin, ybin)
                found.append(Patch(ccd, quadrant, number, position, geometry, start, flat_start))
                start += geometry.nx * geometry.ny
                flat_start += geometry.nx * geometry.ny * xbin * ybin
    return found


def _geometry(window: WindowPlan, position: int, xbin: int, ybin: int) -> Geometry:
    """Count a window from the corner that the output at `position` reads from."""
    right, upper = position in (1, 2), position in (2, 3)
    llx = 1 + window.xs[position]
    lly = 1 + window.ys
    if right:
        llx = CHIP_COLUMNS + 1 - window.xs[position] - window.nx
    if upper:
        lly = CHIP_ROWS + 1 - window.ys - window.ny
    return Geometry(llx=llx, lly=lly, xbin=xbin, ybin=ybin, nx=window.nx // xbin, ny=window.ny // ybin)


def word_order(layout: Sequence[Patch]) -> NDArray[np.intp]:
    """For each word of a frame, in the order of the file, the index of its pixel among all pixels of the frame.

    The outputs are read in step: pixel by pixel from each one's corner, all 20 outputs interleaved, quadrants fastest.
    """
    parts = []
    for number in sorted({patch.window for patch in layout}):
        here = [patch for patch in layout if patch.window == number]
        nx, ny = here[0].geometry.nx, here[0].geometry.ny
        words = np.empty((ny, nx, 5, 4), np.intp)
        for patch in here:
            index = patch.start + np.arange(ny * nx).reshape(ny, nx)
            if patch.position in (1, 2):
                index = index[:, ::-1]
            if patch.position in (2, 3):
                index = index[::-1]
            words[:, :, patch.ccd, patch.quadrant] = index
        parts.append(words.ravel())
    return np.concatenate(parts)
