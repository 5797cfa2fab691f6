"""Where a star is: the search for it, the fit, and what must hold of the fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from roque.photometry.kernels.compiled import inlined
from roque.photometry.kernels.fit import fit_star
from roque.photometry.kernels.followed import TrackMemory, TrackSettings
from roque.photometry.kernels.outcome import BOX_EMPTY, BOX_OUTSIDE, FIT_EDGE, FIT_FAINT, FIT_LOW, NO_PEAK, OK
from roque.photometry.kernels.profiles import BETA, FWHM, HEIGHT, SKY
from roque.photometry.kernels.profiles import X as FIT_X
from roque.photometry.kernels.profiles import Y as FIT_Y
from roque.photometry.kernels.search import median, nearest_peak
from roque.photometry.kernels.windows import calibrate_box, cut_box

__all__ = ["expect_star", "fit_peak", "inside_box", "search_star"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_EDGE = 0.5  # pixels that a fit must stay inside its boxes
_SEEN = 5.0  # height in units of its error from which a fit is one of a star: peaks of noise reach 4


@inlined
def search_star(
    settings: TrackSettings,
    table: Integers,
    window: int,
    scale: float,
    x: float,
    y: float,
    threshold: float,
    memory: TrackMemory,
) -> int:
    """Find the peak nearest to (x, y), for a fit to start at."""
    half, box, patch = settings.search_half_width, memory.search_box, memory.patch
    if window < 0 or not cut_box(table, window, x, y, half, half, box):
        return BOX_EMPTY
    calibrate_box(table, window, box, scale, patch)
    xfirst, yfirst, xbin, ybin = _grid(table, window, box)
    column, row = (x - xfirst) / xbin, (y - yfirst) / ybin
    if not nearest_peak(patch.proc, box[2], box[3], column, row, threshold, not settings.search_fft, memory.search):
        return NO_PEAK
    i, j = memory.search.pixel[0], memory.search.pixel[1]
    memory.peak[0], memory.peak[1] = xfirst + xbin * i, yfirst + ybin * j
    memory.peak[2] = patch.proc[j * box[2] + i]
    return OK


@inlined
def expect_star(
    settings: TrackSettings,
    table: Integers,
    window: int,
    scale: float,
    xbox: float,
    ybox: float,
    x: float,
    y: float,
    memory: TrackMemory,
) -> int:
    """Take the pixel at an expected position as the peak, for a fit to start at."""
    half, box, patch = settings.search_half_width, memory.search_box, memory.patch
    if window < 0 or not cut_box(table, window, xbox, ybox, half, half, box):
        return BOX_EMPTY
    xfirst, yfirst, xbin, ybin = _grid(table, window, box)
    # half to even, and places from the end for negative ones, as in the HiPERCAM pipeline
    i, j = np.int64(np.rint((x - xfirst) / xbin)), np.int64(np.rint((y - yfirst) / ybin))
    i, j = i + box[2] if i < 0 else i, j + box[3] if j < 0 else j
    if not (0 <= i < box[2] and 0 <= j < box[3]):
        return BOX_OUTSIDE
    pixel = memory.box
    pixel[0], pixel[1], pixel[2], pixel[3] = box[0] + i, box[1] + j, 1, 1
    calibrate_box(table, window, pixel, scale, patch)
    memory.peak[0], memory.peak[1], memory.peak[2] = x, y, patch.proc[0]
    return OK


@inlined
def fit_peak(
    settings: TrackSettings,
    table: Integers,
    window: int,
    scale: float,
    fwhm: float,
    beta: float,
    height_min: float,
    memory: TrackMemory,
    details: Floats,
    k: int,
) -> int:
    """Fit the star at the peak and check what comes out."""
    half, box, patch, start = settings.fit_half_width, memory.box, memory.patch, memory.fit.start
    x, y, peak = memory.peak[0], memory.peak[1], memory.peak[2]
    if not cut_box(table, window, x, y, half, half, box):
        return BOX_EMPTY
    calibrate_box(table, window, box, scale, patch)
    nx, ny = box[2], box[3]
    xfirst, yfirst, xbin, ybin = _grid(table, window, box)
    if np.isnan(peak):  # the pixel is bad: its neighbours tell more
        i, j = np.int64(np.rint((x - xfirst) / xbin)), np.int64(np.rint((y - yfirst) / ybin))
        peak = patch.proc[min(ny - 1, max(0, j)) * nx + min(nx - 1, max(0, i))]
    sky = median(patch.proc, nx * ny, memory.search.values)
    start[SKY], start[HEIGHT], start[FIT_X], start[FIT_Y] = sky, peak - sky, x, y
    start[FWHM], start[BETA] = fwhm, min(beta, settings.fit.beta_max)
    status = fit_star(
        settings.fit, patch.proc, patch.deb, patch.R, patch.G, patch.bad, xfirst, yfirst, xbin, ybin, nx, ny, memory.fit
    )
    if status != OK:
        return status
    fitted = memory.fit.parameters
    if (
        not inside_box(table, window, memory.search_box, fitted[FIT_X], fitted[FIT_Y]) >= _EDGE
        or not inside_box(table, window, box, fitted[FIT_X], fitted[FIT_Y]) >= _EDGE
    ):
        return FIT_EDGE
    if not fitted[HEIGHT] >= height_min:
        details[k] = fitted[HEIGHT]
        return FIT_LOW
    # noise can be fitted as well: apertures that follow it wander off
    if settings.recover and not fitted[HEIGHT] >= _SEEN * memory.fit.errors[HEIGHT]:
        details[k] = fitted[HEIGHT]
        return FIT_FAINT
    return OK


@inlined
def _grid(table: Integers, window: int, box: Integers) -> tuple[float, float, int, int]:
    """Centre of the first pixel of a box, and binning."""
    xbin, ybin = table[window, 2], table[window, 3]
    return (
        table[window, 0] + xbin * (box[0] + 0.5) - 0.5,
        table[window, 1] + ybin * (box[1] + 0.5) - 0.5,
        xbin,
        ybin,
    )


@inlined
def inside_box(table: Integers, window: int, box: Integers, x: float, y: float) -> float:
    """Least distance of a point to the edges of a box, negative outside."""
    xfirst, yfirst, xbin, ybin = _grid(table, window, box)
    xlo, ylo = xfirst - xbin / 2.0, yfirst - ybin / 2.0
    xhi, yhi = xlo + xbin * box[2], ylo + ybin * box[3]
    inside: float = min(x - xlo, xhi - x, y - ylo, yhi - y)
    return inside
