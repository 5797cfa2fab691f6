"""Fit of a profile to a star: which pixels count, limits kept by starting again, outliers rejected, errors."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roque.photometry.kernels.compiled import inlined, kernel
from roque.photometry.kernels.covariance import covariance
from roque.photometry.kernels.instructions import aligned
from roque.photometry.kernels.levmar import CONVERGED, EXHAUSTED, Solver, make_solver, minimise
from roque.photometry.kernels.linearise import divide_pixels, invert_errors
from roque.photometry.kernels.outcome import (
    FIT_COVARIANCE,
    FIT_EXHAUSTED,
    FIT_FEW_PIXELS,
    FIT_NARROW_START,
    FIT_NOT_FINITE,
    OK,
)
from roque.photometry.kernels.profiles import BETA, FWHM, MOFFAT, NPARAMETERS, RESIDUAL
from roque.photometry.kernels.stages import Pixels
from roque.photometry.kernels.sums import SumMemory, make_sum_memory, pairwise_sum
from roque.photometry.kernels.vectors import WIDTH

__all__ = ["FitMemory", "FitSettings", "fit_star", "make_fit_memory"]

Floats = NDArray[np.float64]
Counts = NDArray[np.floating[Any]]

_EXTENT = 1.01  # of the smaller half side of the box: the radius inside which pixels count


class FitSettings(NamedTuple):
    """How stars are fitted."""

    method: int
    """GAUSSIAN or MOFFAT."""
    ndiv: int
    """Points per unbinned pixel and axis; 0 for the centre of the binned pixel alone."""
    fwhm_fixed: bool
    fwhm_min: float
    """Unbinned pixels."""
    beta_max: float
    threshold: float
    """Of rejection, in units of the RMS of the fit."""


class FitMemory(NamedTuple):
    """Memory of a fit."""

    pixels: Pixels
    solver: Solver
    parameters: Floats
    """Sky, height, x, y, fwhm, beta of the solution."""
    errors: Floats
    """Their errors, -1 for what was held fixed."""
    start: Floats
    free: NDArray[np.int64]
    matrix: Floats
    inverse: Floats
    pivots: NDArray[np.int64]
    products: Floats
    sums: SumMemory


def make_fit_memory(npixels: int, noffsets: int) -> FitMemory:
    """Allocate memory for fits to boxes of up to `npixels` pixels, with up to `noffsets` points a pixel and axis."""
    padded = -(-npixels // WIDTH) * WIDTH
    return FitMemory(
        pixels=Pixels._make([*(aligned(padded) for _ in range(6)), np.zeros(noffsets**2), np.zeros(noffsets**2)]),
        solver=make_solver(padded),
        parameters=np.zeros(NPARAMETERS),
        errors=np.zeros(NPARAMETERS),
        start=np.zeros(NPARAMETERS),
        free=np.zeros(NPARAMETERS, np.int64),
        matrix=np.zeros((NPARAMETERS, NPARAMETERS)),
        inverse=np.zeros((NPARAMETERS, NPARAMETERS)),
        pivots=np.zeros(NPARAMETERS, np.int64),
        products=np.zeros((NPARAMETERS, WIDTH)),
        sums=make_sum_memory(np.dtype(np.float64)),
    )


@kernel
def fit_star(
    settings: FitSettings,
    proc: Counts,
    deb: Counts,
    R: Counts,
    G: Counts,
    bad: NDArray[np.uint8],
    xfirst: float,
    yfirst: float,
    xbin: int,
    ybin: int,
    nx: int,
    ny: int,
    memory: FitMemory,
) -> int:
    """Fit a profile to the pixels of a box.

    Parameters
    ----------
    settings : FitSettings
        How.
    proc, deb, R, G : array
        Processed counts, counts less bias, read noise and gain of the box, row after row.
    bad : array of uint8
        Not 0 where a pixel is left out.
    xfirst, yfirst : float
        Centre of the first pixel, unbinned pixels.
    xbin, ybin, nx, ny : int
        Binning and size of the box.
    memory : FitMemory
        ``start`` holds the start; the result is in ``parameters`` and ``errors``.

    Returns
    -------
    int
        OK, or why there is no fit.

    Notes
    -----
    The error of a pixel is ``sqrt(R**2 + max(0, deb)/G)``. Errors of parameters are
    ``sqrt(chisq/n * diag((J^T J)^-1))``, with n the number of pixels used, not of degrees of freedom. After each limit met
    and each rejection the fit begins again at the start. A second pass over unchanged pixels would repeat the first and is
    left out.
    """
    start, parameters, errors, free = memory.start, memory.parameters, memory.errors, memory.free
    if start[FWHM] < settings.fwhm_min:
        return FIT_NARROW_START
    pixels, rows, squares = memory.pixels, memory.solver.rows, memory.solver.column
    n = _load(proc, deb, R, G, bad, xfirst, yfirst, xbin, ybin, nx, ny, pixels)
    divide_pixels(settings.ndiv, xbin, ybin, pixels)
    has_beta = settings.method == MOFFAT
    fwhm_free, beta_free, fwhm_held = not settings.fwhm_fixed, has_beta, start[FWHM]
    factor = 2.0
    while True:
        nfree = 4
        for j in range(4):
            free[j] = j
        if fwhm_free:
            free[nfree] = FWHM
            nfree += 1
        if beta_free:
            free[nfree] = BETA
            nfree += 1
        if n < nfree:
            return FIT_FEW_PIXELS
        for j in range(NPARAMETERS):
            parameters[j] = start[j]
        if not fwhm_free:
            parameters[FWHM] = fwhm_held
        if has_beta and not beta_free:
            parameters[BETA] = settings.beta_max
        status = minimise(settings.method, pixels, n, xbin, ybin, settings.ndiv, free, nfree, parameters, memory.solver)
        if status == EXHAUSTED:
            return FIT_EXHAUSTED
        if status != CONVERGED:
            return FIT_NOT_FINITE
        status = covariance(rows, n, free, nfree, memory.matrix, memory.inverse, memory.pivots, memory.products)
        if status != OK:
            return status
        if beta_free and parameters[BETA] > settings.beta_max:
            beta_free = False
            fwhm_held = start[FWHM]  # of the peer: a width held at its minimum goes back to its start
            continue
        if fwhm_free and abs(parameters[FWHM]) < settings.fwhm_min:
            fwhm_free = False
            fwhm_held = settings.fwhm_min
            continue
        for j in range(nfree):
            if memory.inverse[j, j] < 0.0:
                return FIT_COVARIANCE
        for i in range(n):
            squares[i] = rows[i, RESIDUAL] * rows[i, RESIDUAL]
        scale = math.sqrt(pairwise_sum(squares, n, memory.sums) / n)
        kept = _reject(pixels, rows, n, factor * scale * settings.threshold)
        if kept == n and factor == 2.0 and not has_beta:
            # the second pass of a Gaussian fit repeats the first, but rejects more
            kept = _reject(pixels, rows, n, scale * settings.threshold)
        if not has_beta:
            factor = 1.0
        if kept == n:
            break
        n = kept
    errors[:] = -1.0
    for j in range(nfree):
        errors[free[j]] = scale * math.sqrt(memory.inverse[j, j])
    parameters[FWHM] = abs(parameters[FWHM])  # the profile knows its square alone
    if not has_beta:
        parameters[BETA] = 0.0
    return OK


@inlined
def _load(
    proc: Counts,
    deb: Counts,
    R: Counts,
    G: Counts,
    bad: NDArray[np.uint8],
    xfirst: float,
    yfirst: float,
    xbin: int,
    ybin: int,
    nx: int,
    ny: int,
    pixels: Pixels,
) -> int:
    """Take the pixels in the circle around the centre of the box whose errors are above zero; returns their number."""
    xhalf, yhalf = xbin * (nx - 1) / 2.0, ybin * (ny - 1) / 2.0
    limit2 = (_EXTENT * min(xhalf, yhalf)) ** 2
    n = 0
    for j in range(ny):
        left2 = limit2 - (ybin * j - yhalf) ** 2  # of the square of the distance in x
        left = 0
        while left < nx and not (xbin * left - xhalf) ** 2 < left2:
            left += 1
        right = nx
        while right > left and not (xbin * (right - 1) - xhalf) ** 2 < left2:
            right -= 1
        first, number = j * nx + left, right - left
        x, y = pixels.x[n : n + number], pixels.y[n : n + number]
        data, sigma = pixels.data[n : n + number], pixels.sigma[n : n + number]
        good = _load_errors(deb[first:], R[first:], G[first:], bad[first:], sigma)
        for i in range(number):
            x[i], y[i], data[i] = xfirst + xbin * (left + i), yfirst + ybin * j, proc[first + i]
        n += number if good == number else _keep_good(bad[first:], x, data, sigma)
    _pad(pixels, n)
    return n


@inlined
def _load_errors(deb: Counts, R: Counts, G: Counts, bad: NDArray[np.uint8], sigma: Floats) -> int:
    """Work out the errors of pixels of a row, in the dtype of the data, as numpy would; returns how many pixels count."""
    zero = deb.dtype.type(0)
    good = 0
    for i in range(sigma.size):
        error = np.sqrt(R[i] * R[i] + max(zero, deb[i]) / G[i])
        sigma[i] = error
        good += (error > zero) & (bad[i] == 0)
    return good


@inlined
def _keep_good(bad: NDArray[np.uint8], x: Floats, data: Floats, sigma: Floats) -> int:
    """Move the pixels of a row that count together; returns their number."""
    kept = 0
    for i in range(sigma.size):
        if sigma[i] > 0.0 and not bad[i]:
            x[kept], data[kept], sigma[kept] = x[i], data[i], sigma[i]
            kept += 1
    return kept


@inlined
def _reject(pixels: Pixels, rows: Floats, n: int, limit: float) -> int:
    """Take out pixels whose residual exceeds a limit; returns the number of those that stay."""
    kept = 0
    for i in range(n):
        if not abs(rows[i, RESIDUAL]) > limit:
            pixels.x[kept], pixels.y[kept] = pixels.x[i], pixels.y[i]
            pixels.data[kept], pixels.sigma[kept] = pixels.data[i], pixels.sigma[i]
            kept += 1
    _pad(pixels, kept)
    return kept


@inlined
def _pad(pixels: Pixels, n: int) -> None:
    """Let pixels of no weight follow the last one, as many as are taken together."""
    for i in range(n, -(-n // WIDTH) * WIDTH):
        pixels.x[i], pixels.y[i] = pixels.x[n - 1], pixels.y[n - 1]
        pixels.data[i], pixels.sigma[i] = 0.0, np.inf
    invert_errors(pixels, n)
