"""Moving the apertures of a CCD with their stars, in three passes: references, the others, linked ones."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from roque.photometry.kernels.agreement import agree, mean_shift
from roque.photometry.kernels.compiled import inlined
from roque.photometry.kernels.fit import FitMemory, FitSettings, fit_star
from roque.photometry.kernels.outcome import (
    BOX_EMPTY,
    BOX_OUTSIDE,
    FIT_EDGE,
    FIT_LOW,
    FIT_SHIFTED,
    NO_PEAK,
    OK,
)
from roque.photometry.kernels.profiles import BETA, FWHM, HEIGHT, SKY
from roque.photometry.kernels.profiles import X as FIT_X
from roque.photometry.kernels.profiles import Y as FIT_Y
from roque.photometry.kernels.search import SearchMemory, median, nearest_peak
from roque.photometry.kernels.windows import Patch, calibrate_box, cut_box

__all__ = [
    "BETA_A",
    "BETA_ERROR",
    "DX",
    "DY",
    "FWHM_A",
    "FWHM_ERROR",
    "MBETA",
    "MFWHM",
    "NCCD",
    "NVALUES",
    "RSKY1",
    "RSKY2",
    "RTARG",
    "START_BETA",
    "START_FWHM",
    "XE",
    "YE",
    "Stars",
    "TrackMemory",
    "TrackSettings",
    "X",
    "Y",
    "move_apertures",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

X, Y, RTARG, RSKY1, RSKY2, XE, YE, FWHM_A, FWHM_ERROR, BETA_A, BETA_ERROR, DX, DY = range(13)
NVALUES = 13
"""Columns of what is carried on for each aperture."""

MFWHM, MBETA, START_FWHM, START_BETA = range(4)
NCCD = 4
"""What is carried on for each CCD: mean shape (-1: none measured, NaN: references failed), and the last one that was
measured, from which stars start that had no fit in the frame before."""

_EDGE = 0.5  # pixels that a fit must stay inside its boxes


class Stars(NamedTuple):
    """What the apertures of a CCD are, in their order."""

    reference: NDArray[np.bool_]
    companion: NDArray[np.bool_]
    """Injected comparison stars (COMPO): they move the opposite way."""
    link: Integers
    """Index of the aperture followed, -1 for none."""
    mask: Floats
    mask_first: Integers
    """Masks of aperture k are rows mask_first[k] to mask_first[k + 1]."""
    extra: Floats
    extra_first: Integers


class TrackSettings(NamedTuple):
    """How apertures follow their stars; lengths in unbinned pixels."""

    moving: bool
    strict: bool
    """Whether a frame is lost with any of the references, as in the HiPERCAM pipeline; else with half of those in the field."""
    search_half_width: float
    search_fft: bool
    fit_half_width: float
    height_min_ref: float
    height_min_nrf: float
    max_shift: float
    alpha: float
    diff: float
    fit: FitSettings


class TrackMemory(NamedTuple):
    """Memory of a pass over the apertures."""

    patch: Patch
    search: SearchMemory
    fit: FitMemory
    box: Integers
    search_box: Integers
    sums: Floats
    """Sums over fits of fwhm/error**2, 1/error**2, and the same of beta."""
    peak: Floats
    """Where a fit starts: x, y, counts."""


@inlined
def move_apertures(
    settings: TrackSettings,
    stars: Stars,
    table: Integers,
    windows: Integers,
    scale: float,
    values: Floats,
    ccd: Floats,
    memory: TrackMemory,
    outcomes: Integers,
    details: Floats,
) -> None:
    """Move the apertures of one CCD to where their stars are in this frame.

    Parameters
    ----------
    settings : TrackSettings
        How.
    stars : Stars
        What the apertures are.
    table : array of int64
        Windows and their pixels.
    windows : array of int64
        Window of each aperture in the table, -1 for none.
    scale : float
        Factor of the dark.
    values : array of float64, shape (apertures, NVALUES)
        Carried from frame to frame.
    ccd : array of float64, shape (NCCD,)
        Carried from frame to frame.
    memory : TrackMemory
    outcomes : array of int64
        What became of each aperture.
    details : array of float64
        A number that goes with the outcome.
    """
    number = values.shape[0]
    outcomes[:number] = OK
    if not settings.moving:
        _forget(values)
        ccd[MFWHM] = ccd[MBETA] = -1.0
        return
    memory.sums[:] = 0.0
    has_references = False
    for k in range(number):
        has_references = has_references or stars.reference[k]
    xshift, yshift = 0.0, 0.0
    if has_references:
        moved, xshift, yshift = _references(settings, stars, table, windows, scale, values, ccd, memory, outcomes, details)
        if not moved:
            _forget(values)
            ccd[MFWHM] = ccd[MBETA] = np.nan
            return
    for k in range(number):
        if not stars.reference[k] and stars.link[k] < 0:
            outcomes[k] = _follow(
                settings, stars, table, windows, scale, values, ccd, memory, details, k, has_references, xshift, yshift
            )
    for k in range(number):
        if stars.link[k] >= 0:
            sign = -1.0 if stars.companion[k] else 1.0
            values[k, XE:DX] = np.nan
            values[k, DX], values[k, DY] = values[stars.link[k], DX], values[stars.link[k], DY]
            values[k, X] += sign * values[k, DX]
            values[k, Y] += sign * values[k, DY]
    ccd[MFWHM] = memory.sums[0] / memory.sums[1] if memory.sums[1] > 0.0 else -1.0
    ccd[MBETA] = memory.sums[2] / memory.sums[3] if memory.sums[3] > 0.0 else -1.0
    if ccd[MFWHM] > 0.0:
        ccd[START_FWHM] = ccd[MFWHM]
    if ccd[MBETA] > 0.0:
        ccd[START_BETA] = ccd[MBETA]


@inlined
def _forget(values: Floats) -> None:
    for k in range(values.shape[0]):
        values[k, XE:DX] = np.nan
        values[k, DX] = values[k, DY] = 0.0


@inlined
def _references(
    settings: TrackSettings,
    stars: Stars,
    table: Integers,
    windows: Integers,
    scale: float,
    values: Floats,
    ccd: Floats,
    memory: TrackMemory,
    outcomes: Integers,
    details: Floats,
) -> tuple[bool, float, float]:
    """Move the reference apertures; returns whether they tell how the field moved, and their mean shift."""
    number = values.shape[0]
    xshift, yshift, first = 0.0, 0.0, True
    for k in range(number):
        if not stars.reference[k]:
            continue
        x, y = values[k, X] + xshift, values[k, Y] + yshift
        status = _search(settings, table, windows[k], scale, x, y, settings.height_min_ref, memory)
        if status == OK:
            fwhm = ccd[MFWHM] if ccd[MFWHM] > 0.0 else ccd[START_FWHM]
            beta = ccd[MBETA] if ccd[MBETA] > 0.0 else ccd[START_BETA]
            status = _fit(settings, table, windows[k], scale, fwhm, beta, settings.height_min_ref, memory, details, k)
        if status != OK:
            outcomes[k] = status
            if settings.strict:
                return False, 0.0, 0.0
            continue
        _store(stars, values, memory, k)
        if first:
            xshift, yshift, first = values[k, DX], values[k, DY], False
    shifts, errors = values[:, DX : DY + 1], values[:, XE : YE + 1]
    if not agree(settings.strict, settings.diff, stars.reference, shifts, outcomes, details):
        return False, 0.0, 0.0
    xshift, yshift = mean_shift(stars.reference, shifts, errors, outcomes)
    if not settings.strict and not _most_of_them(settings, stars, table, windows, values, memory.box, outcomes, xshift, yshift):
        return False, 0.0, 0.0
    for k in range(number):
        if stars.reference[k]:
            sign = -1.0 if stars.companion[k] else 1.0
            if outcomes[k] != OK:
                values[k, XE:DX] = np.nan
                values[k, DX], values[k, DY] = xshift, yshift
            values[k, X] += sign * values[k, DX]
            values[k, Y] += sign * values[k, DY]
    return True, xshift, yshift


@inlined
def _most_of_them(
    settings: TrackSettings,
    stars: Stars,
    table: Integers,
    windows: Integers,
    values: Floats,
    box: Integers,
    outcomes: Integers,
    xshift: float,
    yshift: float,
) -> bool:
    """Whether more than half of the references that should be in the field agree; those near an edge may be missing.

    In clouds a cosmic ray is easily taken for the only reference found.
    """
    agreeing, expected = 0, 0
    for k in range(values.shape[0]):
        if not stars.reference[k]:
            continue
        if outcomes[k] == OK:
            agreeing += 1
            expected += 1
        elif windows[k] >= 0:
            box[0], box[1], box[2], box[3] = 0, 0, table[windows[k], 4], table[windows[k], 5]
            sign = -1.0 if stars.companion[k] else 1.0
            x, y = values[k, X] + sign * xshift, values[k, Y] + sign * yshift
            expected += _inside(table, windows[k], box, x, y) > settings.fit_half_width
    return 2 * agreeing > expected


@inlined
def _follow(
    settings: TrackSettings,
    stars: Stars,
    table: Integers,
    windows: Integers,
    scale: float,
    values: Floats,
    ccd: Floats,
    memory: TrackMemory,
    details: Floats,
    k: int,
    has_references: bool,
    xshift: float,
    yshift: float,
) -> int:
    """Move an aperture that is neither reference nor linked."""
    sign = -1.0 if stars.companion[k] else 1.0
    x, y = values[k, X], values[k, Y]
    x0, y0 = x + sign * xshift, y + sign * yshift
    if has_references:
        status = _expect(settings, table, windows[k], scale, x + xshift, y + yshift, x0, y0, memory)
    else:
        status = _search(settings, table, windows[k], scale, x, y, settings.height_min_nrf, memory)
    if status == OK:
        fwhm = values[k, FWHM_A] if values[k, FWHM_ERROR] > 0.0 else ccd[START_FWHM]
        beta = values[k, BETA_A] if values[k, BETA_ERROR] > 0.0 else ccd[START_BETA]
        status = _fit(settings, table, windows[k], scale, fwhm, beta, settings.height_min_nrf, memory, details, k)
    fitted = memory.fit.parameters
    if status == OK and has_references:
        apart = math.hypot(fitted[FIT_X] - x0, fitted[FIT_Y] - y0)
        if not apart <= settings.max_shift:
            details[k] = apart
            status = FIT_SHIFTED
    if status != OK:
        values[k, X], values[k, Y] = x0, y0
        values[k, XE:DX] = np.nan
        values[k, DX], values[k, DY] = xshift, yshift
        return status
    _store(stars, values, memory, k)
    if has_references:
        values[k, X] = x0 + settings.alpha * (fitted[FIT_X] - x0)
        values[k, Y] = y0 + settings.alpha * (fitted[FIT_Y] - y0)
    else:
        values[k, X], values[k, Y] = fitted[FIT_X], fitted[FIT_Y]
    return OK


@inlined
def _store(stars: Stars, values: Floats, memory: TrackMemory, k: int) -> None:
    """Keep a fit: shape, errors and shift from the old position; let it count in the means."""
    fitted, errors, sums = memory.fit.parameters, memory.fit.errors, memory.sums
    sign = -1.0 if stars.companion[k] else 1.0
    values[k, XE], values[k, YE] = errors[FIT_X], errors[FIT_Y]
    values[k, FWHM_A], values[k, FWHM_ERROR] = fitted[FWHM], errors[FWHM]
    values[k, BETA_A], values[k, BETA_ERROR] = fitted[BETA], errors[BETA]
    values[k, DX], values[k, DY] = sign * (fitted[FIT_X] - values[k, X]), sign * (fitted[FIT_Y] - values[k, Y])
    if errors[FWHM] > 0.0:
        sums[0] += fitted[FWHM] / errors[FWHM] ** 2
        sums[1] += 1.0 / errors[FWHM] ** 2
    if errors[BETA] > 0.0:
        sums[2] += fitted[BETA] / errors[BETA] ** 2
        sums[3] += 1.0 / errors[BETA] ** 2


@inlined
def _search(
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
def _expect(
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
def _fit(
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
    sky = median(patch.proc, nx * ny, memory.search.values)
    start[SKY], start[HEIGHT], start[FIT_X], start[FIT_Y] = sky, peak - sky, x, y
    start[FWHM], start[BETA] = fwhm, min(beta, settings.fit.beta_max)
    status = fit_star(settings.fit, patch.proc, patch.deb, patch.R, patch.G, xfirst, yfirst, xbin, ybin, nx, ny, memory.fit)
    if status != OK:
        return status
    fitted = memory.fit.parameters
    if (
        not _inside(table, window, memory.search_box, fitted[FIT_X], fitted[FIT_Y]) >= _EDGE
        or not _inside(table, window, box, fitted[FIT_X], fitted[FIT_Y]) >= _EDGE
    ):
        return FIT_EDGE
    if not fitted[HEIGHT] >= height_min:
        details[k] = fitted[HEIGHT]
        return FIT_LOW
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
def _inside(table: Integers, window: int, box: Integers, x: float, y: float) -> float:
    """Least distance of a point to the edges of a box, negative outside."""
    xfirst, yfirst, xbin, ybin = _grid(table, window, box)
    xlo, ylo = xfirst - xbin / 2.0, yfirst - ybin / 2.0
    xhi, yhi = xlo + xbin * box[2], ylo + ybin * box[3]
    inside: float = min(x - xlo, xhi - x, y - ylo, yhi - y)
    return inside
