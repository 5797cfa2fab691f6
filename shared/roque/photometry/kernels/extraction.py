"""Flux of a star in an aperture: radii, sky, soft edge, weights, errors, flags."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roque.photometry.flags import Flag
from roque.photometry.kernels.compiled import inner, kernel
from roque.photometry.kernels.profiles import GAUSSIAN, LEAST_FINITE_BETA, MOFFAT, profile, shape, subgrid, volume
from roque.photometry.kernels.search import median
from roque.photometry.kernels.sums import SumMemory, make_sum_memory, mean_and_rms
from roque.photometry.kernels.windows import Patch

__all__ = [
    "ExtractionMemory",
    "ExtractionSettings",
    "brightest",
    "edges",
    "extract",
    "make_extraction_memory",
    "resize",
    "sky_level",
    "sky_pixels",
]

Floats = NDArray[np.float64]
Counts = NDArray[np.floating[Any]]

_NO_SKY, _SKY_AT_EDGE, _TARGET_AT_EDGE = int(Flag.NO_SKY), int(Flag.SKY_AT_EDGE), int(Flag.TARGET_AT_EDGE)
_SATURATED, _NONLINEAR = int(Flag.TARGET_SATURATED), int(Flag.TARGET_NONLINEAR)
_NO_EXTRACTION, _NO_DATA = int(Flag.NO_EXTRACTION), int(Flag.NO_DATA)


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


class ExtractionMemory(NamedTuple):
    """Memory of an extraction and its results."""

    sky: Counts
    """Sky pixels of an aperture, and one place more."""
    scratch: Counts
    sums: SumMemory
    xoffsets: Floats
    yoffsets: Floats
    result: Floats
    """Counts, their error, sky, its error."""
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
        np.zeros(4),
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
        least, greatest = settings.radii[i, 1], settings.radii[i, 2]
        wanted = settings.radii[i, 0] * mfwhm if follow else radii[i]
        # not min and max, which need not treat NaN so
        radius = wanted if wanted < greatest else greatest  # noqa: FURB136
        radii[i] = radius if radius > least else least  # noqa: FURB136
    return True


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
) -> None:
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
    """
    rtarg, rsky1, rsky2 = radii[0], radii[1], radii[2]
    memory.result[:] = np.nan
    memory.numbers[:] = 0
    flag = edges(xfirst, yfirst, xbin, ybin, nx, ny, x, y, rtarg, rsky2, extra)
    size = math.sqrt(xbin * ybin)
    reach = rtarg + size / 2.0
    peak, any_pixel = brightest(patch.raw, xfirst, yfirst, xbin, ybin, nx, ny, x, y, reach, extra[:0])
    if not any_pixel:
        memory.numbers[3] = flag | _NO_DATA | _NO_EXTRACTION
        return
    zero = patch.proc.dtype.type(0)
    n = sky_pixels(
        patch, xfirst, yfirst, xbin, ybin, nx, ny, x, y, rsky1, rsky2, rtarg, mask, extra, not settings.clipped, memory
    )
    level, rms, skye, nsky = sky_level(settings, n, patch.proc, memory)
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
    counts, variance, total, share = 0.0, 0.0, 0.0, 0.0
    by_variance = settings.variance and nsky > 0
    reach2 = reach * reach
    left, right = _span(x, xfirst, xbin, nx, reach, extra, 0)
    low, high = _span(y, yfirst, ybin, ny, reach, extra, 1)
    for j in range(low, high):
        dy = yfirst + ybin * j - y
        for i in range(left, right):
            dx = xfirst + xbin * i - x
            r2 = dx * dx + dy * dy
            w = 0.0
            if r2 < reach2:
                w = min(1.0, max(0.0, (reach - math.sqrt(r2)) / size))
            for k in range(extra.shape[0]):
                r2 = (dx - extra[k, 0]) ** 2 + (dy - extra[k, 1]) ** 2
                if r2 < reach2:
                    w = max(w, min(1.0, max(0.0, (reach - math.sqrt(r2)) / size)))
            if w == 0.0:
                continue
            if settings.optimal:
                # polynomials don't carry NaN: a failed reference must
                p = profile(method, a, b, dx, dy, memory.xoffsets, kx, memory.yoffsets, ky) if mfwhm > 0.0 else np.nan
                w *= p
                share += w * p
            pixel = j * nx + i
            D = patch.proc[pixel] - level
            if by_variance:
                noise = rms * rms + max(zero, D) / patch.G[pixel]
            else:
                noise = patch.R[pixel] * patch.R[pixel] + max(zero, patch.deb[pixel]) / patch.G[pixel]
            counts += w * D
            variance += w * w * noise
            total += w
    if skye > 0.0:
        variance += (total * skye) ** 2
    scale = volume(method, a, b) / (xbin * ybin * share) if normalised else 1.0
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


@inner
def _span(centre: float, first: float, step: int, number: int, reach: float, extra: Floats, axis: int) -> tuple[int, int]:
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
    raw: Counts,
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
) -> tuple[int, bool]:
    """Brightest raw pixel of the target circle, and whether it has any; `none` stands for extra circles."""
    found = False
    peak = raw[0]
    left, right = _span(x, xfirst, xbin, nx, reach, none, 0)
    low, high = _span(y, yfirst, ybin, ny, reach, none, 1)
    for j in range(low, high):
        dy = yfirst + ybin * j - y
        for i in range(left, right):
            dx = xfirst + xbin * i - x
            if dx * dx + dy * dy < reach * reach:
                value = raw[j * nx + i]
                if not found or value > peak:
                    peak = value
                found = True
    return int(peak), found


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
