"""Cutting the columns and rows nearest the amplifiers off windows: they are often bad."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.errors import BadInput
from roque.frames.frame import Frame
from roque.frames.window import Box, Pixels, RawWords, Window

__all__ = ["AMPLIFIERS", "trim"]

AMPLIFIERS = ("LL", "LR", "UL", "UR")
"""Corners that windows are read out at: lower and upper, left and right."""


def trim(frame: Frame, columns: int, rows: int) -> Frame:
    """Cut binned columns and rows off every window, on the side of its amplifier.

    Parameters
    ----------
    frame : Frame
        It is not changed, and no pixel is read.
    columns, rows : int
        How many, binned.

    Returns
    -------
    Frame
        Windows whose amplifier is not known are as they were.

    Raises
    ------
    BadInput
        Nothing would be left of a window.
    """
    if columns == 0 and rows == 0:
        return frame
    ccds = {
        name: replace(
            ccd, windows={label: _trim(w, columns, rows, f"CCD {name}, window {label}") for label, w in ccd.windows.items()}
        )
        for name, ccd in frame.ccds.items()
    }
    return replace(frame, ccds=ccds)


def _trim(window: Window, columns: int, rows: int, place: str) -> Window:
    if window.outamp not in AMPLIFIERS:
        return window
    g = window.geometry
    if columns >= g.nx or rows >= g.ny:
        raise BadInput(
            f"nothing is left of {g.nx} columns and {g.ny} rows without {columns} and {rows}", place=place, remedy="trim less"
        )
    lower, left = window.outamp[0] == "L", window.outamp[1] == "L"
    box = Box(
        y0=rows if lower else 0,
        y1=g.ny if lower else g.ny - rows,
        x0=columns if left else 0,
        x1=g.nx if left else g.nx - columns,
    )
    pixels = window.pixels
    part = pixels[box.slices] if isinstance(pixels, np.ndarray) else _Part(pixels, box)
    return Window(g.cut(box), part, window.outamp)


class _Part:
    """A box of pixels that are not decoded yet."""

    __slots__ = ("box", "pixels")

    def __init__(self, pixels: Pixels, box: Box) -> None:
        self.pixels = pixels
        self.box = box

    @property
    def shape(self) -> tuple[int, ...]:
        return self.box.y1 - self.box.y0, self.box.x1 - self.box.x0

    @property
    def words(self) -> RawWords | None:
        raw: RawWords | None = getattr(self.pixels, "words", None)
        if raw is None:
            return None
        return raw._replace(first=raw.first + self.box.y0 * raw.row_step + self.box.x0 * raw.column_step)

    def __getitem__(self, key: tuple[slice, slice]) -> NDArray[np.floating[Any]]:
        ny, nx = self.shape
        (y0, y1, _), (x0, x1, _) = key[0].indices(ny), key[1].indices(nx)
        return self.pixels[self.box.y0 + y0 : self.box.y0 + y1, self.box.x0 + x0 : self.box.x0 + x1]
