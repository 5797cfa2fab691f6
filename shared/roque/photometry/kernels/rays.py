"""Cosmic rays on a star, in a single frame: brighter than its profile, and sharper than any light through the telescope can be.

Light that was spread by the seeing is spread over neighbouring pixels, whatever the stars are: along any line, the mean of the
two pixels beside one is at least ``P(s)/P(0)`` of it, where P is the profile and s the distance of the pixels. A ray stands out
of its neighbours. This needs no good model of the star, so that a profile that fits badly raises no alarm; the profile is then
asked whether the pixel is too bright, or its neighbours too dark.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from roque.photometry.kernels.compiled import inlined, inner
from roque.photometry.kernels.left_out import expected_variance
from roque.photometry.kernels.profiles import profile, shape
from roque.photometry.kernels.windows import RAY, Patch

__all__ = ["forget_rays", "mark_rays"]

_CERTAIN = 6.0  # standard deviations by which a ray stands out
_CONNECTED = 3.0  # the same of pixels beside one
_NARROWEST = 0.7  # of the FWHM: a star may be so much narrower than the mean, or along one axis
_MISFIT = 0.15  # of the profile: stars may differ so much from it
_ROUNDS = 30  # in which a trace grows


class _Star(NamedTuple):
    """A star in a box of pixels: where these lie, the sky, and the profile."""

    xfirst: float
    yfirst: float
    xbin: int
    ybin: int
    nx: int
    ny: int
    x: float
    y: float
    level: float
    rms: float
    method: int
    a: float
    b: float
    centre: NDArray[np.float64]
    """One zero: the profile is taken at the centres of pixels."""


@inner
def mark_rays(
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
    level: float,
    rms: float,
    method: int,
    fwhm: float,
    beta: float,
    centre: NDArray[np.float64],
) -> None:
    """Mark the pixels around a star that a cosmic ray hit with RAY.

    Parameters
    ----------
    patch : Patch
        Pixels around the aperture; other bad ones are marked already.
    xfirst, yfirst, xbin, ybin, nx, ny
        Centre of the first of them (unbinned pixels), binning and size of the box.
    x, y, reach : float
        Centre of the aperture, and how far around it rays are looked for.
    level, rms : float
        Sky of a pixel, and its scatter.
    method, fwhm, beta
        The profile of stars.
    centre : array of float64
        Holds 0 in its first place: profiles are taken at the centres of pixels.
    """
    left, right = _reached(x, reach, xfirst, xbin, nx)
    low, high = _reached(y, reach, yfirst, ybin, ny)
    a, b, _ = shape(method, _NARROWEST * fwhm, beta)
    across = profile(method, a, b, float(xbin), 0.0, centre, 1, centre, 1)
    along = profile(method, a, b, 0.0, float(ybin), centre, 1, centre, 1)
    aslant = profile(method, a, b, float(xbin), float(ybin), centre, 1, centre, 1)
    a, b, _ = shape(method, fwhm, beta)
    star = _Star(xfirst, yfirst, xbin, ybin, nx, ny, x, y, level, rms, method, a, b, centre)
    height = -1.0  # of the profile, where it is asked for
    found = False
    for j in range(low, high):
        for i in range(left, right):
            pixel = j * nx + i
            light = np.float64(patch.proc[pixel]) - level
            if patch.bad[pixel] or light < _CERTAIN * rms:
                continue
            sharp = (
                _stands_out(patch, star, i, j, 1, 0, light, across)
                or _stands_out(patch, star, i, j, 0, 1, light, along)
                or _stands_out(patch, star, i, j, 1, 1, light, aslant)
                or _stands_out(patch, star, i, j, 1, -1, light, aslant)
            )
            if not sharp or math.hypot(xfirst + xbin * i - x, yfirst + ybin * j - y) >= reach:
                continue
            if height < 0.0:
                height = _height(patch, star, left, right, low, high)
            if _too_bright(patch, star, height, i, j, _CERTAIN):
                patch.bad[pixel] |= RAY
                found = True
    rounds = 0
    while found and rounds < _ROUNDS:
        found = _grow(patch, star, height, left, right, low, high)
        rounds += 1


@inner
def forget_rays(patch: Patch, n: int) -> None:
    """Take the marks of rays off the first n pixels."""
    for pixel in range(n):
        patch.bad[pixel] &= ~RAY & 0xFF


@inlined
def _reached(centre: float, reach: float, first: float, step: int, number: int) -> tuple[int, int]:
    """First and last + 1 of the pixels along an axis that a circle reaches."""
    return max(0, math.floor((centre - reach - first) / step)), min(number, math.ceil((centre + reach - first) / step) + 1)


@inner
def _stands_out(patch: Patch, star: _Star, i: int, j: int, di: int, dj: int, light: float, least: float) -> bool:
    """Whether a pixel outshines the two beside it on a line, which have at least a part `least` of a star's light."""
    u, v, s, t = i - di, j - dj, i + di, j + dj
    if min(u, v, t) < 0 or max(u, s) >= star.nx or max(v, t) >= star.ny:
        return False
    one, other = v * star.nx + u, t * star.nx + s
    if patch.bad[one] or patch.bad[other]:
        return False
    mean = 0.5 * (np.float64(patch.proc[one]) + np.float64(patch.proc[other])) - star.level
    most = max(0.0, mean) / least
    variance = expected_variance(patch, j * star.nx + i, star.level, star.rms, most)
    variance += 0.5 * expected_variance(patch, one, star.level, star.rms, mean) / least**2
    return bool(light - most > _CERTAIN * math.sqrt(variance))


@inner
def _height(patch: Patch, star: _Star, left: int, right: int, low: int, high: int) -> float:
    """Height of the profile by least squares; a pixel counts for little more than what the turn before expects of it."""
    height = np.inf
    for turn in range(3):
        light, weight = 0.0, 0.0
        for j in range(low, high):
            for i in range(left, right):
                pixel = j * star.nx + i
                if patch.bad[pixel]:
                    continue
                dx, dy = star.xfirst + star.xbin * i - star.x, star.yfirst + star.ybin * j - star.y
                p = profile(star.method, star.a, star.b, dx, dy, star.centre, 1, star.centre, 1)
                counts = np.float64(patch.proc[pixel]) - star.level
                light += p * (counts if turn == 0 else min(counts, (1.0 + _MISFIT) * height * p))
                weight += p * p
        height = max(0.0, light / weight) if weight > 0.0 else 0.0
    return height


@inner
def _too_bright(patch: Patch, star: _Star, height: float, i: int, j: int, deviations: float) -> bool:
    """Whether a pixel is brighter than the profile and than its counterpart across the star, beyond misfit and noise."""
    pixel = j * star.nx + i
    dx, dy = star.xfirst + star.xbin * i - star.x, star.yfirst + star.ybin * j - star.y
    expected = height * profile(star.method, star.a, star.b, dx, dy, star.centre, 1, star.centre, 1)
    u = np.int64(np.rint((star.x - dx - star.xfirst) / star.xbin))
    v = np.int64(np.rint((star.y - dy - star.yfirst) / star.ybin))
    if 0 <= u < star.nx and 0 <= v < star.ny and (u != i or v != j) and not patch.bad[v * star.nx + u]:
        expected = max(expected, np.float64(patch.proc[v * star.nx + u]) - star.level)
    noise = math.sqrt(expected_variance(patch, pixel, star.level, star.rms, expected))
    return bool(np.float64(patch.proc[pixel]) - star.level > (1.0 + _MISFIT) * expected + deviations * noise)


@inner
def _grow(patch: Patch, star: _Star, height: float, left: int, right: int, low: int, high: int) -> bool:
    """Mark what is too bright beside a pixel that is marked; returns whether there was any."""
    found = False
    for j in range(low, high):
        for i in range(left, right):
            if patch.bad[j * star.nx + i]:
                continue
            beside = False
            for v in range(max(0, j - 1), min(star.ny, j + 2)):
                for u in range(max(0, i - 1), min(star.nx, i + 2)):
                    beside |= patch.bad[v * star.nx + u] & RAY != 0
            if beside and _too_bright(patch, star, height, i, j, _CONNECTED):
                patch.bad[j * star.nx + i] |= RAY
                found = True
    return found
