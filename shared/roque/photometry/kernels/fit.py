"""Fit of a profile to a star: which pixels count, limits kept by starting again, outliers rejected, errors."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roque.photometry.kernels.compiled import inlined, inner, kernel
from roque.photometry.kernels.dot import LANES
from roque.photometry.kernels.levmar import CONVERGED, EXHAUSTED, Problem, Solver, make_solver, minimise
from roque.photometry.kernels.outcome import (
    FIT_COVARIANCE,
    FIT_EXHAUSTED,
    FIT_FEW_PIXELS,
    FIT_NARROW_START,
    FIT_NOT_FINITE,
    FIT_SINGULAR,
    OK,
)
from roque.photometry.kernels.profiles import BETA, FWHM, MOFFAT, NPARAMETERS, subgrid

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

    problem: Problem
    solver: Solver
    parameters: Floats
    """Sky, height, x, y, fwhm, beta of the solution."""
    errors: Floats
    """Their errors, -1 for what was held fixed."""
    start: Floats
    free: NDArray[np.int64]
    matrix: Floats
    inverse: Floats


def make_fit_memory(npixels: int, noffsets: int) -> FitMemory:
    """Allocate memory for fits to boxes of up to `npixels` pixels, with up to `noffsets` points a pixel and axis."""
    padded = -(-npixels // LANES) * LANES
    return FitMemory(
        problem=Problem(
            x=np.zeros(padded),
            y=np.zeros(padded),
            data=np.zeros(padded),
            weight=np.zeros(padded),
            xoffsets=np.zeros(noffsets),
            yoffsets=np.zeros(noffsets),
        ),
        solver=make_solver(padded),
        parameters=np.zeros(NPARAMETERS),
        errors=np.zeros(NPARAMETERS),
        start=np.zeros(NPARAMETERS),
        free=np.zeros(NPARAMETERS, np.int64),
        matrix=np.zeros((NPARAMETERS, NPARAMETERS)),
        inverse=np.zeros((NPARAMETERS, NPARAMETERS)),
    )


@kernel
def fit_star(
    settings: FitSettings,
    proc: Counts,
    deb: Counts,
    R: Counts,
    G: Counts,
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
    used, n = _load(proc, deb, R, G, xfirst, yfirst, xbin, ybin, nx, ny, memory.problem)
    kx = subgrid(settings.ndiv, xbin, memory.problem.xoffsets)
    ky = subgrid(settings.ndiv, ybin, memory.problem.yoffsets)
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
        if used < nfree:
            return FIT_FEW_PIXELS
        for j in range(NPARAMETERS):
            parameters[j] = start[j]
        if not fwhm_free:
            parameters[FWHM] = fwhm_held
        if has_beta and not beta_free:
            parameters[BETA] = settings.beta_max
        status = minimise(settings.method, memory.problem, n, kx, ky, free, nfree, parameters, memory.solver)
        if status == EXHAUSTED:
            return FIT_EXHAUSTED
        if status != CONVERGED:
            return FIT_NOT_FINITE
        if beta_free and parameters[BETA] > settings.beta_max:
            beta_free = False
            fwhm_held = start[FWHM]  # of the peer: a width held at its minimum goes back to its start
            continue
        if fwhm_free and abs(parameters[FWHM]) < settings.fwhm_min:
            fwhm_free = False
            fwhm_held = settings.fwhm_min
            continue
        status = _invert(memory.solver.reached, nfree, memory.matrix, memory.inverse)
        if status != OK:
            return status
        scale = math.sqrt(memory.solver.reached[0, 0] / used)
        rejected = _reject(memory.problem.weight, memory.solver.rows[0], n, settings.threshold * factor * scale)
        if rejected == 0 and factor == 2.0 and not has_beta:
            # the second pass of a Gaussian fit repeats the first, but rejects more
            rejected = _reject(memory.problem.weight, memory.solver.rows[0], n, settings.threshold * scale)
        if not has_beta:
            factor = 1.0
        if rejected == 0:
            break
        used -= rejected
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
    xfirst: float,
    yfirst: float,
    xbin: int,
    ybin: int,
    nx: int,
    ny: int,
    problem: Problem,
) -> tuple[int, int]:
    """Take the pixels in the circle around the centre of the box; returns their number, without and with padding."""
    zero = proc.dtype.type(0)
    xhalf, yhalf = xbin * (nx - 1) / 2.0, ybin * (ny - 1) / 2.0
    limit2 = (_EXTENT * min(xhalf, yhalf)) ** 2
    used = 0
    for j in range(ny):
        left2 = limit2 - (ybin * j - yhalf) ** 2  # of the square of the distance in x
        left = 0
        while left < nx and not (xbin * left - xhalf) ** 2 < left2:
            left += 1
        right = nx
        while right > left and not (xbin * (right - 1) - xhalf) ** 2 < left2:
            right -= 1
        k = j * nx + left
        for i in range(right - left):
            problem.x[used + i] = xfirst + xbin * (left + i)
            problem.y[used + i] = yfirst + ybin * j
            problem.data[used + i] = proc[k + i]
            # in the dtype of the data, as numpy would
            sigma = np.sqrt(R[k + i] * R[k + i] + max(zero, deb[k + i]) / G[k + i])
            problem.weight[used + i] = 1.0 / np.float64(sigma)
        used += right - left
    n = used
    while n % LANES:
        problem.x[n] = xfirst
        problem.y[n] = yfirst
        problem.data[n] = 0.0
        problem.weight[n] = 0.0
        n += 1
    return used, n


@inlined
def _reject(weight: Floats, residuals: Floats, n: int, limit: float) -> int:
    """Give pixels whose weighted residual exceeds a limit weight zero; returns their number."""
    rejected = 0
    for i in range(n):
        if abs(residuals[i]) > limit and weight[i] > 0.0:
            weight[i] = 0.0
            rejected += 1
    return rejected


@inner
def _invert(products: Floats, n: int, matrix: Floats, inverse: Floats) -> int:
    """Invert ``J^T J`` by elimination with partial pivoting; returns OK, or why it is no covariance."""
    for i in range(n):
        for j in range(n):
            matrix[i, j] = products[1 + i, 1 + j]
            inverse[i, j] = 1.0 if i == j else 0.0
    for k in range(n):
        best = k
        for i in range(k + 1, n):
            if abs(matrix[i, k]) > abs(matrix[best, k]):
                best = i
        if matrix[best, k] == 0.0:
            return FIT_SINGULAR
        if best != k:
            for j in range(n):
                matrix[k, j], matrix[best, j] = matrix[best, j], matrix[k, j]
                inverse[k, j], inverse[best, j] = inverse[best, j], inverse[k, j]
        for i in range(k + 1, n):
            factor = matrix[i, k] / matrix[k, k]
            for j in range(k + 1, n):
                matrix[i, j] -= factor * matrix[k, j]
            for j in range(n):
                inverse[i, j] -= factor * inverse[k, j]
    for k in range(n - 1, -1, -1):
        for j in range(n):
            for i in range(k + 1, n):
                inverse[k, j] -= matrix[k, i] * inverse[i, j]
            inverse[k, j] /= matrix[k, k]
    for k in range(n):
        if not inverse[k, k] >= 0.0:
            return FIT_COVARIANCE
    return OK
