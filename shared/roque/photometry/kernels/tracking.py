"""Moving the apertures of a CCD with their stars, in three passes: references, the others, linked ones."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from roque.photometry.kernels.agreement import agree, mean_shift
from roque.photometry.kernels.compiled import inlined, inner
from roque.photometry.kernels.doubts import CERTAIN, LOST_FIELD, doubt_of
from roque.photometry.kernels.elementary import square
from roque.photometry.kernels.followed import (
    ABSENT,
    ASKING,
    BETA_A,
    BETA_ERROR,
    DX,
    DY,
    FWHM_A,
    FWHM_ERROR,
    GIVEN_UP,
    LIGHT,
    MBETA,
    MFWHM,
    NEAR,
    SHIFTED,
    START_BETA,
    START_FWHM,
    SURE,
    VAGUE,
    WHAT,
    XE,
    XSHIFT,
    YE,
    YSHIFT,
    Stars,
    TrackMemory,
    TrackSettings,
    X,
    Y,
)
from roque.photometry.kernels.locate import expect_star, fit_peak, inside_box, search_star
from roque.photometry.kernels.outcome import FIT_SHIFTED, OK
from roque.photometry.kernels.profiles import BETA, FWHM, HEIGHT
from roque.photometry.kernels.profiles import X as FIT_X
from roque.photometry.kernels.profiles import Y as FIT_Y

__all__ = ["move_apertures"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_VAGUE = 0.06  # error of the shift, in units of the FWHM, from which a field that is found again is not found well


@inlined
def move_apertures(
    settings: TrackSettings,
    stars: Stars,
    table: Integers,
    windows: Integers,
    scale: float,
    answer: Floats,
    values: Floats,
    ccd: Floats,
    memory: TrackMemory,
    outcomes: Integers,
    details: Floats,
) -> int:
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
    answer : array of float64, shape (NANSWER,)
        What is known of this frame beforehand, see `roque.photometry.kernels.followed`.
    values : array of float64, shape (apertures, NVALUES)
        Carried from frame to frame.
    ccd : array of float64, shape (NCCD,)
        Carried from frame to frame.
    memory : TrackMemory
    outcomes : array of int64
        What became of each aperture.
    details : array of float64
        A number that goes with the outcome.

    Returns
    -------
    int
        CERTAIN, or a doubt where doubts are asked for: nothing has been moved then.
    """
    number = values.shape[0]
    outcomes[:number] = OK
    if not settings.moving:
        _forget(values)
        ccd[MFWHM] = ccd[MBETA] = -1.0
        return CERTAIN
    if settings.recover:
        _assign(table, windows, values, answer)
        _copy(values, memory.before)
    memory.sums[:] = 0.0
    has_references = False
    for k in range(number):
        has_references = has_references or stars.reference[k]
    xshift, yshift = 0.0, 0.0
    reference = stars.reference
    if has_references:
        moved = False
        if answer[WHAT] != GIVEN_UP:
            moved, xshift, yshift = _references(
                settings, stars, reference, table, windows, scale, answer, values, ccd, memory, outcomes, details
            )
            if settings.recover and not moved:
                reference = stars.substitute
                memory.sums[:] = 0.0
                outcomes[:number] = OK
                moved, xshift, yshift = _references(
                    settings, stars, reference, table, windows, scale, answer, values, ccd, memory, outcomes, details
                )
        if not moved:
            if answer[WHAT] == ASKING:
                _copy(memory.before, values)
                return LOST_FIELD
            _forget(values)
            ccd[MFWHM] = ccd[MBETA] = np.nan
            ccd[ABSENT] += 1.0
            return CERTAIN
    for k in range(number):
        if not reference[k] and stars.link[k] < 0:
            outcomes[k] = _follow(
                settings, stars, table, windows, scale, values, ccd, memory, details, k, has_references, xshift, yshift
            )
    if answer[WHAT] == ASKING:
        doubt = doubt_of(settings, stars, reference, memory.before, values, ccd, outcomes, xshift, yshift)
        if doubt != CERTAIN:
            answer[XSHIFT], answer[YSHIFT] = xshift, yshift
            _copy(memory.before, values)
            return doubt
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
    ccd[ABSENT] = 0.0 if answer[SURE] > 0.0 else max(1.0, ccd[ABSENT])
    return CERTAIN


@inner
def _assign(table: Integers, windows: Integers, values: Floats, answer: Floats) -> None:
    """Give apertures that have left their window, or will with the shift that is known, the window that they are in, if any."""
    xshift = answer[XSHIFT] if answer[WHAT] == SHIFTED else 0.0
    yshift = answer[YSHIFT] if answer[WHAT] == SHIFTED else 0.0
    for k in range(values.shape[0]):
        x, y = values[k, X] + xshift, values[k, Y] + yshift
        if windows[k] >= 0 and _holds(table, windows[k], x, y):
            continue
        for w in range(table.shape[0]):
            if _holds(table, w, x, y):
                windows[k] = w
                break


@inlined
def _holds(table: Integers, window: int, x: float, y: float) -> bool:
    """Whether a point lies in a window."""
    xlo, ylo = table[window, 0] - 0.5, table[window, 1] - 0.5
    inside: bool = 0.0 < x - xlo < table[window, 2] * table[window, 4] and 0.0 < y - ylo < table[window, 3] * table[window, 5]
    return inside


@inlined
def _copy(source: Floats, target: Floats) -> None:
    """Copy the values of as many apertures as both arrays have room for."""
    for k in range(min(source.shape[0], target.shape[0])):
        for i in range(source.shape[1]):
            target[k, i] = source[k, i]


@inlined
def _forget(values: Floats) -> None:
    for k in range(values.shape[0]):
        values[k, XE:DX] = np.nan
        values[k, DX] = values[k, DY] = 0.0


@inner
def _references(
    settings: TrackSettings,
    stars: Stars,
    reference: Bools,
    table: Integers,
    windows: Integers,
    scale: float,
    answer: Floats,
    values: Floats,
    ccd: Floats,
    memory: TrackMemory,
    outcomes: Integers,
    details: Floats,
) -> tuple[bool, float, float]:
    """Move the apertures that serve as references; returns whether they tell how the field moved, and their mean shift."""
    number = values.shape[0]
    known = answer[WHAT] == SHIFTED
    xshift, yshift, first = 0.0, 0.0, True
    if known:
        xshift, yshift = answer[XSHIFT], answer[YSHIFT]
    for k in range(number):
        if not reference[k]:
            continue
        x, y = values[k, X] + xshift, values[k, Y] + yshift
        height = settings.height_min_ref if stars.reference[k] else settings.height_min_nrf
        status = search_star(settings, table, windows[k], scale, x, y, height, memory)
        if status == OK:
            fwhm = ccd[MFWHM] if ccd[MFWHM] > 0.0 else ccd[START_FWHM]
            beta = ccd[MBETA] if ccd[MBETA] > 0.0 else ccd[START_BETA]
            status = fit_peak(settings, table, windows[k], scale, fwhm, beta, height, memory, details, k)
        if status != OK:
            outcomes[k] = status
            if settings.strict:
                return False, 0.0, 0.0
            continue
        _store(stars, values, memory, k)
        if first:
            xshift, yshift, first = values[k, DX], values[k, DY], False
    shifts, errors = values[:, DX : DY + 1], values[:, XE : YE + 1]
    if not agree(settings.strict, settings.diff, reference, shifts, outcomes, details):
        return False, 0.0, 0.0
    xshift, yshift, error = mean_shift(reference, shifts, errors, outcomes)
    if known or ccd[ABSENT] > 0.0:
        answer[VAGUE] = error > _VAGUE * ccd[START_FWHM]
    if known:
        moved = math.hypot(xshift - answer[XSHIFT], yshift - answer[YSHIFT]) <= answer[NEAR]
    else:
        moved = settings.strict or _most_of_them(
            settings, stars, reference, table, windows, values, memory.box, outcomes, xshift, yshift
        )
    if not moved:
        return False, 0.0, 0.0
    for k in range(number):
        if reference[k]:
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
    reference: Bools,
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
        if not reference[k]:
            continue
        if outcomes[k] == OK:
            agreeing += 1
            expected += 1
        elif windows[k] >= 0:
            box[0], box[1], box[2], box[3] = 0, 0, table[windows[k], 4], table[windows[k], 5]
            sign = -1.0 if stars.companion[k] else 1.0
            x, y = values[k, X] + sign * xshift, values[k, Y] + sign * yshift
            expected += inside_box(table, windows[k], box, x, y) > settings.fit_half_width
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
        status = expect_star(settings, table, windows[k], scale, x + xshift, y + yshift, x0, y0, memory)
    else:
        status = search_star(settings, table, windows[k], scale, x, y, settings.height_min_nrf, memory)
    if status == OK:
        fwhm = values[k, FWHM_A] if values[k, FWHM_ERROR] > 0.0 else ccd[START_FWHM]
        beta = values[k, BETA_A] if values[k, BETA_ERROR] > 0.0 else ccd[START_BETA]
        status = fit_peak(settings, table, windows[k], scale, fwhm, beta, settings.height_min_nrf, memory, details, k)
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
    values[k, LIGHT] = fitted[HEIGHT] * fitted[FWHM] ** 2
    values[k, DX], values[k, DY] = sign * (fitted[FIT_X] - values[k, X]), sign * (fitted[FIT_Y] - values[k, Y])
    if errors[FWHM] > 0.0:
        weight = 1.0 / square(errors[FWHM])
        sums[0] += weight * fitted[FWHM]
        sums[1] += weight
    if errors[BETA] > 0.0:
        weight = 1.0 / square(errors[BETA])
        sums[2] += weight * fitted[BETA]
        sums[3] += weight
