"""Further radii of the target: their fluxes beside that of the recipe's own, from the same pixels, position and sky."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.photometry.flags import Flag
from roque.photometry.kernels.compiled import inner, kernel
from roque.photometry.kernels.extraction import ExtractionMemory, ExtractionSettings, edges, extract, flux, kept, span
from roque.photometry.kernels.windows import Patch, any_bad

__all__ = ["forgo", "sweep"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_NO_SKY, _SATURATED, _NONLINEAR = int(Flag.NO_SKY), int(Flag.TARGET_SATURATED), int(Flag.TARGET_NONLINEAR)
_NO_DATA = int(Flag.NO_DATA | Flag.NO_EXTRACTION)


@kernel
def sweep(
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
    unit: float,
    mfwhm: float,
    mbeta: float,
    level: Any,
    rms: Any,
    skye: float,
    nsky: int,
    memory: ExtractionMemory,
    radius: Floats,
    floats: Floats,
    integers: Integers,
) -> None:
    """Measure the flux in each further radius: the same bits as with that radius alone.

    Parameters
    ----------
    settings, patch, xfirst, yfirst, xbin, ybin, nx, ny, x, y, mask, extra, mfwhm, mbeta
        As of `roque.photometry.kernels.extraction.extract`.
    radii : array of float64, shape (3,)
        Target, inner and outer sky radius; left as they are.
    unit : float
        FWHM that radii are multiples of, where they follow it.
    level, rms, skye, nsky
        The sky, from `extract`.
    memory : ExtractionMemory
        Its ``result`` and ``numbers`` are left as they are.
    radius : array of float64, shape (radii,)
        Gets the radii, unbinned pixels.
    floats, integers : arrays, shape (radii, 5) and (radii, 4)
        Get what ``result`` and ``numbers`` hold of one radius.
    """
    own, n = radii[0], len(radius)
    if not (settings.resize or settings.optimal):
        unit = own
    for i in range(n):
        radius[i] = kept(settings.further[i] * unit, settings.radii[0, 1], settings.radii[0, 2])
    # what light pixels that are left out would have had is worked out radius by radius
    if extra.shape[0] == 0 and not settings.optimal and not any_bad(patch, nx * ny):
        _sums(settings, patch, xfirst, yfirst, xbin, ybin, nx, ny, x, y, extra, level, rms, nsky, radius, floats, integers)
        for i in range(n):
            flag = edges(xfirst, yfirst, xbin, ybin, nx, ny, x, y, radius[i], radii[2], extra)
            _conclude(settings, flag, level, skye, nsky, floats[i], integers[i])
        return
    for i in range(n):
        aside = ExtractionMemory(
            memory.sky, memory.scratch, memory.sums, memory.xoffsets, memory.yoffsets, memory.centre, floats[i], integers[i]
        )
        if extra.shape[0] == 0:
            flux(
                settings, patch, xfirst, yfirst, xbin, ybin, nx, ny, x, y, radius[i], radii[2], extra, mfwhm, mbeta,
                level, rms, skye, nsky, aside,
            )  # fmt: skip
        else:  # extra circles, as wide as the target's, are no sky: it is another one with each radius
            radii[0] = radius[i]
            extract(settings, patch, xfirst, yfirst, xbin, ybin, nx, ny, x, y, radii, mask, extra, mfwhm, mbeta, aside)
    radii[0] = own


@inner
def _sums(
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
    none: Floats,
    level: Any,
    rms: Any,
    nsky: int,
    radius: Floats,
    floats: Floats,
    integers: Integers,
) -> None:
    """Sum up the pixels of all radii, which do not decrease, going over them once.

    Each radius gets its sums in the order in which `flux` makes them: of counts, variance and weights, in the columns of
    `floats`; and its number of pixels and the brightest of them, in the second and third of `integers`. `none` stands for
    extra circles.
    """
    n = len(radius)
    floats[:] = 0.0
    integers[:] = 0
    size = math.sqrt(xbin * ybin)
    widest = radius[n - 1] + size / 2.0
    zero = patch.proc.dtype.type(0)
    by_variance = settings.variance and nsky > 0
    left, right = span(x, xfirst, xbin, nx, widest, none, 0)
    low, high = span(y, yfirst, ybin, ny, widest, none, 1)
    for j in range(low, high):
        dy = yfirst + ybin * j - y
        for i in range(left, right):
            dx = xfirst + xbin * i - x
            r2 = dx * dx + dy * dy
            if not r2 < widest * widest:
                continue
            first = n - 1
            while first > 0 and r2 < (radius[first - 1] + size / 2.0) * (radius[first - 1] + size / 2.0):
                first -= 1
            pixel = j * nx + i
            value = np.int64(patch.raw[pixel])
            if integers[first, 1] == 0 or value > integers[first, 2]:
                integers[first, 2] = value
            integers[first, 1] += 1
            D = patch.proc[pixel] - level
            if by_variance:
                noise = np.float64(rms * rms + max(zero, D) / patch.G[pixel])
            else:
                noise = np.float64(patch.R[pixel] * patch.R[pixel] + max(zero, patch.deb[pixel]) / patch.G[pixel])
            distance = math.sqrt(r2)
            while first < n:
                w = min(1.0, max(0.0, (radius[first] + size / 2.0 - distance) / size))
                if w == 1.0:
                    break
                if w > 0.0:
                    floats[first, 0] += w * D
                    floats[first, 1] += w * w * noise
                    floats[first, 2] += w
                first += 1
            for k in range(first, n):  # it lies inside all the wider ones
                floats[k, 0] += D
                floats[k, 1] += noise
                floats[k, 2] += 1.0
    for k in range(1, n):  # what lies in a radius lies in all wider ones
        if integers[k - 1, 1] > 0:
            if integers[k, 1] == 0 or integers[k - 1, 2] > integers[k, 2]:
                integers[k, 2] = integers[k - 1, 2]
            integers[k, 1] += integers[k - 1, 1]


@inner
def _conclude(
    settings: ExtractionSettings, flag: int, level: Any, skye: float, nsky: int, floats: Floats, integers: Integers
) -> None:
    """Make results of the sums of a radius, in their place."""
    pixels, peak = integers[1], integers[2]
    integers[1] = 0
    if pixels == 0:
        floats[:] = np.nan
        integers[2] = 0
        integers[3] = flag | _NO_DATA
        return
    if nsky == 0:
        flag |= _NO_SKY
    if peak >= settings.saturation:
        flag |= _SATURATED
    if peak >= settings.nonlinear:
        flag |= _NONLINEAR
    variance = floats[1]
    if skye > 0.0:
        variance += (floats[2] * skye) ** 2
    floats[1] = math.sqrt(variance)
    floats[2] = level
    floats[3] = skye
    integers[0] = nsky
    integers[3] = flag


@inner
def forgo(flag: int, radius: Floats, floats: Floats, integers: Integers) -> None:
    """Leave all further radii unmeasured, with a flag."""
    radius[:] = np.nan
    floats[:] = np.nan
    integers[:] = 0
    for i in range(len(radius)):
        integers[i, 3] = flag
