"""One CCD in successive frames by fits of profiles: apertures moved, then fluxes fitted, of stars that overlap together."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from roque.photometry.flags import Flag
from roque.photometry.kernels.blend import BlendMemory, BlendSettings, fit_blend
from roque.photometry.kernels.ccd import COUNTS_COLUMN, Rows
from roque.photometry.kernels.compiled import inner, kernel
from roque.photometry.kernels.doubts import CERTAIN, tracking_flags
from roque.photometry.kernels.extraction import (
    ExtractionMemory,
    ExtractionSettings,
    brightest,
    edges,
    sky_level,
    sky_pixels,
)
from roque.photometry.kernels.followed import (
    BETA_A,
    MBETA,
    MFWHM,
    RSKY1,
    RSKY2,
    RTARG,
    XE,
    Stars,
    TrackMemory,
    TrackSettings,
    X,
    Y,
)
from roque.photometry.kernels.left_out import MOST_LOST, lost_light
from roque.photometry.kernels.outcome import OK
from roque.photometry.kernels.profiles import shape
from roque.photometry.kernels.shape import mean_shape
from roque.photometry.kernels.stops import NEEDS_START, NEW_SHAPE, has_new_shape, let_alone, needs_start
from roque.photometry.kernels.tracking import move_apertures
from roque.photometry.kernels.windows import calibrate_box, cut_box

__all__ = ["measure_psf"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_NO_FWHM, _NO_EXTRACTION = int(Flag.NO_FWHM), int(Flag.NO_EXTRACTION)
_SATURATED, _NONLINEAR = int(Flag.TARGET_SATURATED), int(Flag.TARGET_NONLINEAR)
_NO_SKY, _NO_DATA = int(Flag.NO_SKY), int(Flag.NO_DATA)
_BAD_PIXELS, _MASKED_OUT = int(Flag.BAD_PIXELS), int(Flag.MASKED_OUT)


@kernel
def measure_psf(
    tracking: TrackSettings,
    extraction: ExtractionSettings,
    blend: BlendSettings,
    stars: Stars,
    tables: Integers,
    scales: Floats,
    windows: Integers,
    answer: Floats,
    values: Floats,
    ccd: Floats,
    track_memory: TrackMemory,
    memory: ExtractionMemory,
    blend_memory: BlendMemory,
    rows: Rows,
    row: int,
    first: int,
    last: int,
    ready: int,
    what: int,
    stop: int,
) -> tuple[int, int]:
    """Move all apertures of a CCD and fit the fluxes of their stars, in one frame after another.

    Parameters
    ----------
    tracking, extraction, blend : TrackSettings, ExtractionSettings, BlendSettings
        How. Of the extraction count sky and levels.
    blend_memory : BlendMemory
    stars, tables, scales, windows, answer, values, ccd, track_memory, memory, rows, row, first, last, ready, what, stop
        As for `roque.photometry.kernels.ccd.measure_ccd`, and so is what is returned.

    Notes
    -----
    Where places are fitted, they and their errors are reported; apertures stay where they were moved.

    Errors do not know how well the shape itself is: that changes the fluxes of all stars of the CCD by one factor, so that in
    ratios it cancels, of the star that makes the shape as of any other.
    """
    for frame in range(first, last):
        if frame != ready:
            if needs_start(stop, tracking, stars, values, ccd):
                return frame, NEEDS_START
            let_alone(what, answer)
        before = ccd[MFWHM]
        doubt = _measure(
            tracking, extraction, blend, stars, tables[frame], scales[frame], windows, answer, values, ccd, track_memory,
            memory, blend_memory, rows, row + frame,
        )  # fmt: skip
        if doubt != CERTAIN:
            return frame, doubt
        if has_new_shape(stop, before, ccd):
            return frame + 1, NEW_SHAPE
    return last, 0


@inner
def _measure(
    tracking: TrackSettings,
    extraction: ExtractionSettings,
    blend: BlendSettings,
    stars: Stars,
    table: Integers,
    scale: float,
    windows: Integers,
    answer: Floats,
    values: Floats,
    ccd: Floats,
    track_memory: TrackMemory,
    memory: ExtractionMemory,
    blend_memory: BlendMemory,
    rows: Rows,
    t: int,
) -> int:
    """Measure one frame; row t of `rows` gets the results, nothing does where a doubt is returned."""
    doubt = move_apertures(
        tracking, stars, table, windows, scale, answer, values, ccd, track_memory, rows.outcomes[t], rows.details[t]
    )
    if doubt != CERTAIN:
        return doubt
    shaped = ccd[MFWHM] > 0.0
    fwhm, beta = mean_shape(tracking.strict, values, ccd)
    a, b, _ = shape(blend.method, fwhm, beta if beta > 0.0 else blend.beta)
    for k in range(values.shape[0]):
        out, numbers = rows.floats[t, k], rows.integers[t, k]
        out[0], out[1], out[2], out[3] = ccd[MFWHM], ccd[MBETA], values[k, X], values[k, Y]
        for i in range(XE, BETA_A + 2):
            out[4 + i - XE] = values[k, i]
        out[COUNTS_COLUMN : COUNTS_COLUMN + 4] = np.nan
        numbers[:] = 0
        rows.lost[t, k] = 0.0
        if shaped:
            rows.lost[t, k] = _background(
                extraction, stars, table, windows[k], scale, values[k], k, blend.method, a, b, track_memory, memory,
                blend_memory, numbers,
            )  # fmt: skip
        else:
            numbers[3] = _NO_FWHM
        numbers[3] |= tracking_flags(tracking, ccd, answer, rows.outcomes[t, k])
        blend_memory.taken[k] = numbers[3] & (_NO_FWHM | _NO_EXTRACTION) != 0
    for k in range(values.shape[0]):
        if not blend_memory.taken[k]:
            n = _gather(blend.link * fwhm, windows, values, k, blend_memory)
            shape_beta = beta if beta > 0.0 else blend.beta
            _fluxes(blend, table, windows[k], scale, values, fwhm, shape_beta, n, track_memory, blend_memory, rows, t)
    return CERTAIN


@inner
def _background(
    settings: ExtractionSettings,
    stars: Stars,
    table: Integers,
    w: int,
    scale: float,
    star: Floats,
    k: int,
    method: int,
    a: float,
    b: float,
    track_memory: TrackMemory,
    memory: ExtractionMemory,
    blend_memory: BlendMemory,
    numbers: Integers,
) -> float:
    """Measure the sky around an aperture, and its brightest pixel; returns the share of the star's light on pixels left out."""
    box, patch = track_memory.box, track_memory.patch
    x, y, rtarg, rsky1, rsky2 = star[X], star[Y], star[RTARG], star[RSKY1], star[RSKY2]
    if w < 0 or not cut_box(table, w, x, y, rsky2 + table[w, 2], rsky2 + table[w, 3], box):
        numbers[3] = _NO_EXTRACTION
        return 0.0
    calibrate_box(table, w, box, scale, patch)
    xbin, ybin, nx, ny = table[w, 2], table[w, 3], box[2], box[3]
    xfirst, yfirst = table[w, 0] + xbin * (box[0] + 0.5) - 0.5, table[w, 1] + ybin * (box[1] + 0.5) - 0.5
    mask = stars.mask[stars.mask_first[k] : stars.mask_first[k + 1]]
    extra = stars.extra[stars.extra_first[k] : stars.extra_first[k + 1]]
    reach = rtarg + math.sqrt(xbin * ybin) / 2.0
    peak, any_pixel, left_out = brightest(patch, xfirst, yfirst, xbin, ybin, nx, ny, x, y, reach, extra[:0])
    if not any_pixel:
        numbers[3] = _NO_DATA | _NO_EXTRACTION
        return 0.0
    n = sky_pixels(
        patch, xfirst, yfirst, xbin, ybin, nx, ny, x, y, rsky1, rsky2, rtarg, mask, extra, not settings.clipped, memory
    )
    level, rms, skye, nsky = sky_level(settings, n, patch.proc, memory)
    flag = edges(xfirst, yfirst, xbin, ybin, nx, ny, x, y, rtarg, rsky2, extra[:0])
    flag |= _NO_SKY if nsky == 0 else 0
    flag |= _SATURATED if peak >= settings.saturation else 0
    flag |= _NONLINEAR if peak >= settings.nonlinear else 0
    lost = 0.0
    if left_out > 0:
        lost, _ = lost_light(
            patch, xfirst, yfirst, xbin, ybin, nx, (0, nx, 0, ny), x, y, reach, False, method, a, b, memory.centre, 1,
            memory.centre, 1, np.float64(level), np.float64(rms),
        )  # fmt: skip
        flag |= _BAD_PIXELS
        flag |= _MASKED_OUT | _NO_EXTRACTION if lost > MOST_LOST else 0
    numbers[0], numbers[2], numbers[3] = nsky, peak, flag
    sky = blend_memory.sky[k]
    sky[0], sky[1], sky[2] = level, skye, nsky
    return lost


@inner
def _gather(distance: float, windows: Integers, values: Floats, first: int, memory: BlendMemory) -> int:
    """Collect the stars of a window that hang together from one to the next; returns their number."""
    members, taken = memory.members, memory.taken
    members[0] = first
    taken[first] = True
    n, seen = 1, 0
    while seen < n:
        one = members[seen]
        for k in range(values.shape[0]):
            near = math.hypot(values[k, X] - values[one, X], values[k, Y] - values[one, Y]) < distance
            if near and not taken[k] and windows[k] == windows[first]:
                members[n] = k
                taken[k] = True
                n += 1
        seen += 1
    return n


@inner
def _fluxes(
    settings: BlendSettings,
    table: Integers,
    w: int,
    scale: float,
    values: Floats,
    fwhm: float,
    beta: float,
    n: int,
    track_memory: TrackMemory,
    memory: BlendMemory,
    rows: Rows,
    t: int,
) -> None:
    """Fit the stars of a group and put fluxes, places, sky and flags into their rows."""
    members, parameters, errors = memory.members, memory.parameters, memory.errors
    xlow, xhigh, ylow, yhigh = np.inf, -np.inf, np.inf, -np.inf
    level, variance, pixels = 0.0, 0.0, 0.0
    for i in range(n):
        k = members[i]
        x, y = values[k, X], values[k, Y]
        xlow, xhigh, ylow, yhigh = min(xlow, x), max(xhigh, x), min(ylow, y), max(yhigh, y)
        parameters[2 + 3 * i], parameters[3 + 3 * i] = x, y
        sky, skye, nsky = memory.sky[k]
        if nsky > 0.0:
            level += sky * nsky
            variance += (skye * nsky) ** 2
            pixels += nsky
    xbin, ybin = table[w, 2], table[w, 3]
    parameters[0] = level / pixels if pixels > 0.0 else 0.0
    # the annuli of stars that overlap are mostly the same pixels: together they know no more than one of them
    sky_error = math.sqrt(n * variance) / pixels if pixels > 0.0 else 0.0
    box = track_memory.box
    xhalf, yhalf = (settings.half_width + 1.0) * xbin, (settings.half_width + 1.0) * ybin
    inside = cut_box(
        table, w, 0.5 * (xlow + xhigh), 0.5 * (ylow + yhigh), 0.5 * (xhigh - xlow) + xhalf, 0.5 * (yhigh - ylow) + yhalf, box
    )
    if not inside:
        box[2:] = 0  # no pixels, so no fit
    calibrate_box(table, w, box, scale, track_memory.patch)
    status = fit_blend(
        settings,
        track_memory.patch,
        table[w, 0] + xbin * (box[0] + 0.5) - 0.5,
        table[w, 1] + ybin * (box[1] + 0.5) - 0.5,
        xbin,
        ybin,
        box[2],
        box[3],
        n,
        fwhm,
        beta,
        sky_error,
        memory,
    )
    for i in range(n):
        out = rows.floats[t, members[i]]
        if status != OK or (pixels == 0.0 and not settings.free_sky):
            rows.integers[t, members[i], 3] |= _NO_EXTRACTION
            continue
        out[COUNTS_COLUMN], out[COUNTS_COLUMN + 1] = parameters[1 + 3 * i], errors[1 + 3 * i]
        out[COUNTS_COLUMN + 2], out[COUNTS_COLUMN + 3] = parameters[0], errors[0]
        if settings.moving:
            out[2], out[3] = parameters[2 + 3 * i], parameters[3 + 3 * i]
            out[4], out[5] = errors[2 + 3 * i], errors[3 + 3 * i]
