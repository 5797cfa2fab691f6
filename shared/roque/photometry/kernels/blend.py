"""Fluxes of stars that overlap: profiles of one known shape, fitted to a group of stars together.

Counts of a pixel are ``sky + sum(flux_k * P(x - x_k, y - y_k)) * xbin * ybin``, with P of unit volume. Pixels are weighted with
the variance that the model itself expects, ``R**2 + max(0, model)/G``, found by iteration: weights from the data would favour
pixels that noise has made dark, and lose flux (e.g. Wheaton et al. 1995, ApJ 438, 322).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from roque.photometry.kernels.compiled import inlined, inner, kernel
from roque.photometry.kernels.outcome import FIT_EXHAUSTED, FIT_FEW_PIXELS, FIT_SHIFTED, FIT_SINGULAR, OK
from roque.photometry.kernels.profiles import GAUSSIAN, LEAST_FINITE_BETA, profile, shape, subgrid, volume
from roque.photometry.kernels.windows import Patch

__all__ = ["BlendMemory", "BlendSettings", "fit_blend", "make_blend_memory"]

Floats = NDArray[np.float64]

_LEAST_ERROR = 1e-6  # of a sky known beforehand, counts
_MOST_STEPS = 50
_SETTLED = 1e-4  # of its error: change of a parameter that ends the fit
_STRIDE = 0.5  # of the FWHM: longest step of a position
_ASTRAY = 1.0  # of the FWHM: how far a star may be from where it was expected


class BlendSettings(NamedTuple):
    """How groups of stars are fitted."""

    method: int
    """GAUSSIAN or MOFFAT."""
    beta: float
    """Of a Moffat profile where the stars were followed with Gaussians."""
    ndiv: int
    """Points per unbinned pixel and axis; 0 for the centre of the binned pixel alone."""
    half_width: float
    """Of the square of pixels around a star, binned pixels."""
    link: float
    """Distance, in FWHM, up to which stars belong to a group."""
    moving: bool
    """Whether positions are fitted."""
    position_error: float
    """How well they are known beforehand, rms of x and of y in unbinned pixels; 0: not at all."""
    free_sky: bool
    """Whether the sky is fitted alone by the pixels of the group; otherwise those of the annuli have their say."""


class BlendMemory(NamedTuple):
    """Memory of a fit to a group of stars; parameters are the sky and flux, x, y of each star."""

    parameters: Floats
    errors: Floats
    start: Floats
    gradient: Floats
    matrix: Floats
    derivatives: Floats
    xoffsets: Floats
    yoffsets: Floats
    sky: Floats
    """Level of the sky in the annulus of each aperture, its error, and the number of pixels; shape (apertures, 3)."""
    members: NDArray[np.int64]
    """Apertures of a group."""
    taken: NDArray[np.bool_]
    """Apertures that are dealt with."""


def make_blend_memory(apertures: int, noffsets: int) -> BlendMemory:
    """Allocate memory for groups of up to all apertures of a CCD."""
    n = 1 + 3 * apertures
    return BlendMemory(
        parameters=np.zeros(n),
        errors=np.zeros(n),
        start=np.zeros(n),
        gradient=np.zeros(n),
        matrix=np.zeros((n, n)),
        derivatives=np.zeros(n),
        xoffsets=np.zeros(noffsets),
        yoffsets=np.zeros(noffsets),
        sky=np.zeros((apertures, 3)),
        members=np.zeros(apertures, np.int64),
        taken=np.zeros(apertures, np.bool_),
    )


@kernel
def fit_blend(
    settings: BlendSettings,
    patch: Patch,
    xfirst: float,
    yfirst: float,
    xbin: int,
    ybin: int,
    nx: int,
    ny: int,
    stars: int,
    fwhm: float,
    beta: float,
    sky_error: float,
    memory: BlendMemory,
) -> int:
    """Fit the stars of a group.

    Parameters
    ----------
    settings : BlendSettings
        How.
    patch : Patch
        Pixels of a box around all of them.
    xfirst, yfirst, xbin, ybin, nx, ny
        Centre of the first of these (unbinned pixels), binning and size of the box.
    stars : int
        Their number.
    fwhm, beta : float
        Shape of all of them, unbinned pixels; beta of a Moffat.
    sky_error : float
        How well the sky is known beforehand, counts of a pixel; without effect where it is free.
    memory : BlendMemory
        ``parameters`` holds the sky (counts of a pixel) and for each star a flux, that is not used, and its expected place;
        they are replaced by what was found, and ``errors`` by its standard errors, 0 for places that were held.

    Returns
    -------
    int
        OK, or why there is no fit.
    """
    a, b, _ = shape(settings.method, fwhm, max(LEAST_FINITE_BETA, beta))
    scale = xbin * ybin / volume(settings.method, a, b)
    kx = subgrid(settings.ndiv, xbin, memory.xoffsets)
    ky = subgrid(settings.ndiv, ybin, memory.yoffsets)
    n = 1 + 3 * stars
    parameters, start = memory.parameters, memory.start
    for k in range(stars):
        parameters[1 + 3 * k] = 0.0
    for j in range(n):
        start[j] = parameters[j]
    for step in range(_MOST_STEPS):
        first = step == 0
        used = _equations(
            settings, patch, xfirst, yfirst, xbin, ybin, nx, ny, stars, a, b, scale, kx, ky, sky_error, first, memory
        )
        if used < n:
            return FIT_FEW_PIXELS
        if not _solve(memory.matrix, memory.gradient, memory.errors, memory.derivatives, n):
            return FIT_SINGULAR
        settled = step > 1
        for j in range(n):
            change = memory.gradient[j]
            if _is_place(j):
                change = min(_STRIDE * fwhm, max(-_STRIDE * fwhm, change))
            parameters[j] += change
            if not abs(change) <= _SETTLED * memory.errors[j]:
                settled = False
            if _is_place(j) and not abs(parameters[j] - start[j]) <= _ASTRAY * fwhm:
                return FIT_SHIFTED
            if _is_place(j) and not settings.moving:
                memory.errors[j] = 0.0
        if settled:
            return OK
    return FIT_EXHAUSTED


@inlined
def _is_place(parameter: int) -> bool:
    return parameter > 0 and (parameter - 1) % 3 > 0


@inner
def _equations(
    settings: BlendSettings,
    patch: Patch,
    xfirst: float,
    yfirst: float,
    xbin: int,
    ybin: int,
    nx: int,
    ny: int,
    stars: int,
    a: float,
    b: float,
    scale: float,
    kx: int,
    ky: int,
    sky_error: float,
    first: bool,
    memory: BlendMemory,
) -> int:
    """Build the normal equations around the present parameters; returns the number of pixels in them.

    What is held fixed gets a diagonal of 1 in an empty row: its change comes out as 0.
    """
    parameters, start, matrix, gradient, row = (
        memory.parameters,
        memory.start,
        memory.matrix,
        memory.gradient,
        memory.derivatives,
    )
    n = 1 + 3 * stars
    gradient[:n] = 0.0
    matrix[:n, :n] = 0.0
    used = 0
    for j in range(ny):
        y = yfirst + ybin * j
        for i in range(nx):
            x = xfirst + xbin * i
            inside = False
            for k in range(stars):
                inside |= (
                    abs(x - start[2 + 3 * k]) <= (settings.half_width + 0.5) * xbin
                    and abs(y - start[3 + 3 * k]) <= (settings.half_width + 0.5) * ybin
                )
            pixel = j * nx + i
            if not inside or patch.bad[pixel]:
                continue
            model = parameters[0]
            row[0] = 1.0
            for k in range(stars):
                flux, dx, dy = parameters[1 + 3 * k], x - parameters[2 + 3 * k], y - parameters[3 + 3 * k]
                p = scale * profile(settings.method, a, b, dx, dy, memory.xoffsets, kx, memory.yoffsets, ky)
                row[1 + 3 * k] = p
                # slope of the profile at a point, though p may be an average: steps are a bit off, the end is the same
                fall = 2.0 * a if settings.method == GAUSSIAN else 2.0 * a * b / (1.0 + a * (dx * dx + dy * dy))
                row[2 + 3 * k] = flux * p * fall * dx if settings.moving else 0.0
                row[3 + 3 * k] = flux * p * fall * dy if settings.moving else 0.0
                model += flux * p
            value = np.float64(patch.proc[pixel])
            expected = max(0.0, value) if first else max(0.0, model)
            weight = 1.0 / (np.float64(patch.R[pixel]) ** 2 + expected / np.float64(patch.G[pixel]))
            used += 1
            for p1 in range(n):
                if row[p1] == 0.0:
                    continue
                gradient[p1] += weight * row[p1] * (value - model)
                for p2 in range(p1 + 1):
                    matrix[p1, p2] += weight * row[p1] * row[p2]
    if not settings.free_sky:
        known = 1.0 / max(_LEAST_ERROR, sky_error) ** 2
        matrix[0, 0] += known
        gradient[0] += known * (start[0] - parameters[0])
    if settings.moving and settings.position_error > 0.0:
        known = 1.0 / settings.position_error**2
        for k in range(stars):
            for p1 in range(2 + 3 * k, 4 + 3 * k):
                matrix[p1, p1] += known
                gradient[p1] += known * (start[p1] - parameters[p1])
    for p1 in range(n):
        if _is_place(p1) and (first or not settings.moving):  # in the first step stars have no flux yet, and so no place
            gradient[p1] = 0.0
            for p2 in range(n):
                matrix[max(p1, p2), min(p1, p2)] = 0.0
            matrix[p1, p1] = 1.0
    return used


@inner
def _solve(matrix: Floats, gradient: Floats, errors: Floats, column: Floats, n: int) -> bool:
    """Solve ``matrix x = gradient`` in place by Cholesky's decomposition; errors are the roots of the inverse's diagonal."""
    for i in range(n):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            if i == j:
                if not total > 1e-14 * abs(matrix[i, i]):
                    return False
                matrix[i, i] = math.sqrt(total)
            else:
                matrix[i, j] = total / matrix[j, j]
    for i in range(n):
        for k in range(i):
            gradient[i] -= matrix[i, k] * gradient[k]
        gradient[i] /= matrix[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            gradient[i] -= matrix[k, i] * gradient[k]
        gradient[i] /= matrix[i, i]
    for j in range(n):
        # the inverse of L L^T has on its diagonal the squares of the columns of the inverse of L, added up
        variance = 0.0
        for i in range(j, n):
            value = 1.0 if i == j else 0.0
            for k in range(j, i):
                value -= matrix[i, k] * column[k]
            column[i] = value / matrix[i, i]
            variance += column[i] ** 2
        errors[j] = math.sqrt(variance)
    return True
