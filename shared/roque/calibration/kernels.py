"""Compiled arithmetic of the calibration of a box."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.compiling import njit

__all__ = ["calibrate_box", "process_box"]

Floats = NDArray[np.floating[Any]]


@njit(cache=True, nogil=True, error_model="numpy")  # a zero in a flat gives inf, as in numpy
def process_box(
    raw: Floats,
    bias: Floats,
    dark: Floats,
    flat: Floats,
    has_bias: bool,
    has_dark: bool,
    has_flat: bool,
    scale: np.floating[Any],
    y0: int,
    x0: int,
    deb: Floats,
    proc: Floats,
) -> None:
    """Fill `deb` and `proc` (which may be one array), every step rounded to their dtype.

    Parameters
    ----------
    raw, deb, proc : array, shape (ny, nx)
        Counts of the box: as read out, less the bias, fully processed.
    bias, dark, flat : array
        Masters of the whole window; anything where the step is left out.
    has_bias, has_dark, has_flat : bool
        Which steps are done.
    scale : floating
        Factor of the dark, of its dtype.
    y0, x0 : int
        Where the box starts in the window.
    """
    ny, nx = raw.shape
    x1 = x0 + nx
    for j in range(ny):
        y = y0 + j
        # views of rows: indices that start at 0 let the compiler use vector instructions
        counts, less, done = raw[j], deb[j], proc[j]
        if has_bias:
            level = bias[y, x0:x1]
            for i in range(nx):
                less[i] = counts[i] - level[i]
        else:
            less[:] = counts
        if has_dark:
            current = dark[y, x0:x1]
            for i in range(nx):
                done[i] = less[i] - scale * current[i]
        else:
            done[:] = less
        if has_flat:
            response = flat[y, x0:x1]
            for i in range(nx):
                done[i] /= response[i]


@njit(cache=True, nogil=True, error_model="numpy")
def calibrate_box(
    raw: Floats,
    bias: Floats,
    dark: Floats,
    flat: Floats,
    has_bias: bool,
    has_dark: bool,
    has_flat: bool,
    scale: np.floating[Any],
    y0: int,
    x0: int,
    R: Floats,
    G: Floats,
    out: Floats,
) -> None:
    """Fill `out`, shape (4, ny, nx), with deb, proc, and the box of the planes `R` and `G`; the rest as in `process_box`."""
    process_box(raw, bias, dark, flat, has_bias, has_dark, has_flat, scale, y0, x0, out[0], out[1])
    ny, nx = raw.shape
    for j in range(ny):
        out[2, j] = R[y0 + j, x0 : x0 + nx]
        out[3, j] = G[y0 + j, x0 : x0 + nx]
