"""Flux of a star in an aperture: radii, sky, soft edge, weights, errors, flags."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roque.photometry.flags import Flag
from roque.photometry.kernels.compiled import inlined, inner, kernel
from roque.photometry.kernels.left_out import MOST_LOST, lost_light
from roque.photometry.kernels.profiles import GAUSSIAN, LEAST_FINITE_BETA, MOFFAT, profile, shape, subgrid, volume
from roque.photometry.kernels.rays import forget_rays, mark_rays
from roque.photometry.kernels.search import median
from roque.photometry.kernels.sums import SumMemory, make_sum_memory, mean_and_rms
from roque.photometry.kernels.windows import DEFECT, RAY, Patch

__all__ = [
    "ExtractionMemory",
    "ExtractionSettings",
    "brightest",
    "edges",
    "extract",
    "flux",
    "kept",
    "make_extraction_memory",
    "resize",
    "sky_level",
    "sky_pixels",
    "span",
]

Floats = NDArray[np.float64]
Counts = NDArray[np.floating[Any]]

_NO_SKY, _SKY_AT_EDGE, _TARGET_AT_EDGE = int(Flag.NO_SKY), int(Flag.SKY_AT_EDGE), int(Flag.TARGET_AT_EDGE)
_SATURATED, _NONLINEAR = int(Flag.TARGET_SATURATED), int(Flag.TARGET_NONLINEAR)
_NO_EXTRACTION, _NO_DATA = int(Flag.NO_EXTRACTION), int(Flag.NO_DATA)
_BAD_PIXELS, _COSMIC_RAY, _MASKED_OUT = int(Flag.BAD_PIXELS), int(Flag.COSMIC_RAY), int(Flag.MASKED_OUT)


class ExtractionSettings(NamedTuple):
    """How fluxes of a CCD are extracted."""

    resize: bool
    """Whether radii follow the mean FWHM."""
    optimal: bool
    """Whether pixels are weighted with the profile; radii then follow the FWHM in any case."""
    normalised: bool
    """Whether weighted sums are scaled to the flux of the whole profile (Naylor 1998, MNRAS 296, 339)."""
    radii: Floats
    """Factor, least and greatest radius, of target, inner and outer sky in turn; shape (3, 3)."""
    clipped: bool
    """Sky: clipped mean, otherwise median."""
    variance: bool
    """Errors from the variance of the sky, otherwise from photon noise."""
    threshold: float
    """Of clipping, in RMS."""
    nonlinear: float
    saturation: float
    """Raw counts."""
    ndiv: int
    rays: bool
    """Whether cosmic rays are looked for."""
    further: Floats
    """Factors of further target radii, increasing, see `roque.photometry.kernels.radii`; shape (radii,)."""


class ExtractionMemory(NamedTuple):
    """Memory of an extraction and its results."""

    sky: Counts
    """Sky pixels of an aperture, and one place more."""
    scratch: Counts
    sums: SumMemory
    xoffsets: Floats
    yoffsets: Floats
    centre: Floats
    """One zero: profiles at the centres of pixels."""
    result: Floats
    """Counts, their error, sky, its error, share of the star's light on pixels left out."""
    numbers: NDArray[np.int64]
    """Sky pixels used, sky pixels rejected, brightest raw pixel, flag."""


def make_extraction_memory(npixels: int, noffsets: int, dtype: np.dtype[Any]) -> ExtractionMemory:
    """Allocate memory for apertures with boxes of up to `npixels` pixels."""
    return ExtractionMemory(
        np.zeros(npixels + 1, dtype),
        np.zeros(npixels + 1, dtype),
        make_sum_memory(dtype),
        np.zeros(noffsets),
        np.zeros(noffsets),
        np.zeros(1),
        np.zeros(5),
        np.zeros(4, np.int64),
    )


@kernel
def resize(settings: ExtractionSettings, mfwhm: float, radii: Floats) -> bool:
    """Set target, inner and outer sky radius of an aperture.

    Parameters
    ----------
    settings : ExtractionSettings
        How.
    mfwhm : float
        Mean FWHM, unbinned pixels; NaN, of failed references, gives the greatest radii, as in the HiPERCAM pipeline.
    radii : array of float64, shape (3,)
        Old radii, replaced.

    Returns
    -------
    bool
        False if a FWHM is needed and there is none; the radii stay.
    """
    follow = settings.resize or settings.optimal
    if follow and mfwhm <= 0.0:
        return False
    for i in range(3):
        wanted = settings.radii[i, 0] * mfwhm if follow else radii[i]
        radii[i] = kept(wanted, settings.radii[i, 1], settings.radii[i, 2])
    return True


@inner
def kept(wanted: float, least: float, greatest: float) -> float:
    """Keep a radius between its limits."""
    # not min and max, which need not treat NaN so
    radius = wanted if wanted < greatest else greatest  # noqa: FURB136
    return radius if radius > least else least  # noqa: FURB136


@kernel
def extract(
    settings: ExtractionSettings,
    patch: Patch,
    xfirst: float,
    yfirst: float,
    xbin: int,
    ybin: int,
    nx: int,
    ny: int,
    x: float,
    y: float,
    radii: Floats,
    mask: Floats,
    extra: Floats,
    mfwhm: float,
    mbeta: float,
    memory: ExtractionMemory,
) -> tuple[Any, Any, float, int]:
    """Measure the flux in one aperture.

    Parameters
    ----------
    settings : ExtractionSettings
        How.
    patch : Patch
        Pixels around the aperture.
    xfirst, yfirst, xbin, ybin, nx, ny
        Centre of the first of them (unbinned pixels), binning and size of the box.
    x, y : float
        Centre of the aperture.
    radii : array of float64, shape (3,)
        Target, inner and outer sky radius.
    mask : array of float64, shape (number, 3)
        Circles left out of the sky: offset in x and y, radius.
    extra : array of float64, shape (number, 2)
        Offsets of further target circles.
    mfwhm, mbeta : float
        Mean shape of stars, for weights.
    memory : ExtractionMemory
        Gets ``result`` and ``numbers``.

    Returns
    -------
    tuple
        The sky, for `flux` in other radii: level, RMS, error of the level, number of pixels.

    Notes
    -----
    Where pixels of the target are left out, the sum over the others is divided by their share k of the light that the profile
    gives to all of them, ``sum(w*P)`` over the one and the other, and so is its error. What the profile does not know adds to
    it: the scatter of the pixels that count around the profile, beyond noise, times the profile that is left out.
    """
    rtarg, rsky1, rsky2 = radii[0], radii[1], radii[2]
    if settings.rays:
        forget_rays(patch, nx * ny)
    n = sky_pixels(
        patch, xfirst, yfirst, xbin, ybin, nx, ny, x, y, rsky1, rsky2, rtarg, mask, extra, not settings.clipped, memory
    )
    level, rms, skye, nsky = sky_level(settings, n, patch.proc, memory)
    if settings.rays and mfwhm > 0.0 and nsky > 0:
        # as far as a target may reach: what is found does not depend on the radius
        reach = settings.radii[0, 2] + math.sqrt(xbin * ybin) / 2.0
        mark_rays(
            patch, xfirst, yfirst, xbin, ybin, nx, ny, x, y, reach, np.float64(level), np.float64(rms),
            MOFFAT if mbeta > 0.0 else GAUSSIAN, mfwhm, mbeta, memory.centre,
        )  # fmt: skip
    flux(
        settings, patch, xfirst, yfirst, xbin, ybin, nx, ny, x, y, rtarg, rsky2, extra, mfwhm, mbeta,
        level, rms, skye, nsky, memory,
    )  # fmt: skip
    return level, rms, skye, nsky


@kernel
def flux(
    settings: ExtractionSettings,
    patch: Patch,
    xfirst: float,
    yfirst: float,
    xbin: int,
    ybin: int,
    nx: int,
    ny: int,
    x: float,
    y: float,
    rtarg: float,
    rsky2: float,
    extra: Floats,
    mfwhm: float,
    mbeta: float,
    level: Any,
    rms: Any,
    skye: float,
    nsky: int,
    memory: ExtractionMemory,
) -> None:
    """Measure the flux within a radius, the sky being known; parameters as of `extract`."""
    memory.result[:] = np.nan
    memory.result[4] = 0.0
    memory.numbers[:] = 0
    flag = edges(xfirst, yfirst, xbin, ybin, nx, ny, x, y, rtarg, rsky2, extra)
    size = math.sqrt(xbin * ybin)
    reach = rtarg + size / 2.0
    peak, any_pixel, _ = brightest(patch, xfirst, yfirst, xbin, ybin, nx, ny, x, y, reach, extra[:0])
    if not any_pixel:
        memory.numbers[3] = flag | _NO_DATA | _NO_EXTRACTION
        return
    if nsky == 0:
        flag |= _NO_SKY
    # the peak is cut off, not rounded, in raw counts
    if peak >= settings.saturation:
        flag |= _SATURATED
    if peak >= settings.nonlinear:
        flag |= _NONLINEAR
    method = MOFFAT if mbeta > 0.0 else GAUSSIAN
    normalised = settings.optimal and settings.normalised
    a, b, _ = shape(method, mfwhm, max(LEAST_FINITE_BETA, mbeta) if normalised else mbeta)
    kx = subgrid(settings.ndiv, xbin, memory.xoffsets)
    ky = subgrid(settings.ndiv, ybin, memory.yoffsets)
    counts, variance, total, share, lost = 0.0, 0.0, 0.0, 0.0, 0
    by_variance = settings.variance and nsky > 0
    reach2 = reach * reach
    left, right = span(x, xfirst, xbin, nx, reach, extra, 0)
    low, high = span(y, yfirst, ybin, ny, reach, extra, 1)
    for j in range(low, high):
        dy = yfirst + ybin * j - y
        for i in range(left, right):
            dx = xfirst + xbin * i - x
            w = _coverage(dx, dy, reach, reach2, size, extra)
            if w == 0.0:
                continue
            pixel = j * nx + i
            if patch.bad[pixel]:
                flag |= _COSMIC_RAY if patch.bad[pixel] & RAY else 0
                lost += 1
                continue
            if settings.optimal:
                # polynomials don't carry NaN: a failed reference must
                p = profile(method, a, b, dx, dy, memory.xoffsets, kx, memory.yoffsets, ky) if mfwhm > 0.0 else np.nan
                w *= p
                share += w * p
            D = patch.proc[pixel] - level
            counts += w * D
            variance += w * w * _noise(by_variance, rms, D, patch, pixel)
            total += w
    if skye > 0.0:
        variance += (total * skye) ** 2
    scale = volume(method, a, b) / (xbin * ybin * share) if normalised else 1.0
    if lost > 0:
        flag |= _BAD_PIXELS
        gone, doubt = 1.0, 0.0
        if mfwhm > 0.0 and extra.shape[0] == 0:
            gone, doubt = lost_light(
                patch, xfirst, yfirst, xbin, ybin, nx, (left, right, low, high), x, y, reach, settings.optimal, method, a, b,
                memory.xoffsets, kx, memory.yoffsets, ky, np.float64(level), np.float64(rms),
            )  # fmt: skip
        if gone > MOST_LOST:
            flag |= _MASKED_OUT | _NO_EXTRACTION
            scale = np.nan
        elif not normalised:  # otherwise the pixels left out have no share in the scale
            scale /= 1.0 - gone
        variance += ((1.0 - gone) * doubt) ** 2
        memory.result[4] = gone
    memory.result[0] = scale * counts
    memory.result[1] = scale * math.sqrt(variance)
    memory.result[2] = level
    memory.result[3] = skye
    memory.numbers[0] = nsky
    memory.numbers[2] = peak
    memory.numbers[3] = flag


@inner
def edges(
    xfirst: float,
    yfirst: float,
    xbin: int,
    ybin: int,
    nx: int,
    ny: int,
    x: float,
    y: float,
    rtarg: float,
    rsky2: float,
    extra: Floats,
) -> int:
    """Bits of the circles that cross the edge of the box; it is cut where the window ends."""
    left, right = x - (xfirst - xbin / 2.0), xfirst + xbin * (nx - 0.5) - x
    lower, upper = y - (yfirst - ybin / 2.0), yfirst + ybin * (ny - 0.5) - y
    nearest = min(left, right, lower, upper)
    reach = rtarg
    for k in range(extra.shape[0]):
        reach = max(reach, math.hypot(extra[k, 0], extra[k, 1]) + rtarg)
    flag = 0
    if nearest < rsky2:
        flag |= _SKY_AT_EDGE
    if nearest < reach:
        flag |= _TARGET_AT_EDGE
    return flag


@inlined
def _coverage(dx: float, dy: float, reach: float, reach2: float, size: float, extra: Floats) -> float:
    """Weight of a pixel: 1 inside the target circles, falling to 0 over the size of a pixel at their edge."""
    r2 = dx * dx + dy * dy
    w = 0.0
    if r2 < reach2:
        w = min(1.0, max(0.0, (reach - math.sqrt(r2)) / size))
    for k in range(extra.shape[0]):
        r2 = (dx - extra[k, 0]) ** 2 + (dy - extra[k, 1]) ** 2
        if r2 < reach2:
            w = max(w, min(1.0, max(0.0, (reach - math.sqrt(r2)) / size)))
    return w


@inlined
def _noise(by_variance: bool, rms: Any, D: Any, patch: Patch, pixel: int) -> Any:
    """Variance of a pixel, in the dtype of the data."""
    zero = patch.proc.dtype.type(0)
    if by_variance:
        return rms * rms + max(zero, D) / patch.G[pixel]
    return patch.R[pixel] * patch.R[pixel] + max(zero, patch.deb[pixel]) / patch.G[pixel]


@inner
def span(centre: float, first: float, step: int, number: int, reach: float, extra: Floats, axis: int) -> tuple[int, int]:
    """First and last + 1 of the pixels along an axis that circles around a centre, and extra ones, can reach."""
    low, high = 0.0, 0.0
    for k in range(extra.shape[0]):
        low, high = min(low, extra[k, axis]), max(high, extra[k, axis])
    # a pixel more on both sides, for rounding
    start = math.floor((centre + low - reach - first) / step)
    end = math.ceil((centre + high + reach - first) / step)
    return max(0, start), min(number, end + 1)


@inner
def brightest(
    patch: Patch,
    xfirst: float,
    yfirst: float,
    xbin: int,
    ybin: int,
    nx: int,
    ny: int,
    x: float,
    y: float,
    reach: float,
    none: Floats,
) -> tuple[int, bool, int]:
    """Brightest raw pixel of the target circle, whether it has any, and how many of them are left out.

    Pixels with a DEFECT, or hit by a RAY, don't count; where none is left, the brightest is 0. `none` stands for extra circles.
    """
    found, known, left_out = False, False, 0
    peak = patch.raw.dtype.type(0)
    left, right = span(x, xfirst, xbin, nx, reach, none, 0)
    low, high = span(y, yfirst, ybin, ny, reach, none, 1)
    for j in range(low, high):
        dy = yfirst + ybin * j - y
        for i in range(left, right):
            dx = xfirst + xbin * i - x
            if dx * dx + dy * dy < reach * reach:
                found = True
                value, bad = patch.raw[j * nx + i], patch.bad[j * nx + i]
                left_out += bad != 0
                if bad & (DEFECT | RAY) == 0 and (not known or value > peak):
                    peak = value
                    known = True
    return int(peak), found, left_out


@inner
def sky_pixels(
    patch: Patch,
    xfirst: float,
    yfirst: float,
    xbin: int,
    ybin: int,
    nx: int,
    ny: int,
    x: float,
    y: float,
    rsky1: float,
    rsky2: float,
    rtarg: float,
    mask: Floats,
    extra: Floats,
    with_variance: bool,
    memory: ExtractionMemory,
) -> int:
    """Collect the pixels of the sky annulus, row after row, and their photon variances if wanted; returns their number."""
    number = patch.proc.dtype.type
    photon = number(0)
    n = 0
    inner2, outer2 = rsky1 * rsky1, rsky2 * rsky2
    for j in range(ny):
        dy = yfirst + ybin * j - y
        for i in range(nx):
            dx = xfirst + xbin * i - x
            d2 = dx * dx + dy * dy
            # written without a branch, which would be guessed wrong at every crossing of a circle
            keep = (d2 > inner2) & (d2 < outer2)
            for k in range(mask.shape[0]):
                keep &= (dx - mask[k, 0]) ** 2 + (dy - mask[k, 1]) ** 2 > mask[k, 2] ** 2
            for k in range(extra.shape[0]):
                keep &= (dx - extra[k, 0]) ** 2 + (dy - extra[k, 1]) ** 2 > rtarg**2
            pixel = j * nx + i
            keep &= patch.bad[pixel] == 0
            memory.sky[n] = patch.proc[pixel]
            if with_variance:
                photon = max(number(0), patch.proc[pixel]) / patch.G[pixel]
                memory.scratch[n] = patch.R[pixel] * patch.R[pixel] + photon
            n += keep
    return n


@inner
def sky_level(settings: ExtractionSettings, n: int, proc: Counts, memory: ExtractionMemory) -> tuple[Any, Any, float, int]:
    """Level of the sky, RMS, error of the level and number of pixels, level and RMS in the dtype of the data."""
    number = proc.dtype.type
    if n == 0:
        return number(np.nan), number(0), np.nan, 0
    if not settings.clipped:
        variance = 0.0
        for i in range(n):
            variance += memory.scratch[i]
        return median(memory.sky, n, memory.scratch), number(0), math.sqrt(variance) / n, n
    threshold = number(settings.threshold)
    sky = memory.sky
    while True:
        level, rms = mean_and_rms(sky, n, memory.scratch, memory.sums)
        limit = threshold * rms
        kept = 0
        for i in range(n):
            value = sky[i]
            sky[kept] = value
            kept += abs(value - level) < limit
        if kept == n:
            return level, rms, np.float64(rms) / math.sqrt(n), n
        n = kept
        if n == 0:
            return number(0), number(0), -1.0, 0
