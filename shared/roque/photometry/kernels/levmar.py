"""Levenberg-Marquardt fits of a profile, operation by operation as MINPACK's lmder does them.

J. J. More, "The Levenberg-Marquardt algorithm: implementation and theory", Lecture Notes in Mathematics 630 (1978), and
the public-domain MINPACK-1 of Argonne National Laboratory: trust region scaled by the column norms of the Jacobian, first
radius ``factor`` times the scaled start, and the same stopping rules. All sums run in MINPACK's order, so that a fit goes
the same way to the last bit: where a star is too faint to be fitted, the search creeps for hundreds of steps, and a single
bit of its start decides whether it ends.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from roque.photometry.kernels.compiled import inlined, kernel
from roque.photometry.kernels.instructions import aligned
from roque.photometry.kernels.linearise import linearise
from roque.photometry.kernels.norm import norm
from roque.photometry.kernels.profiles import NPARAMETERS
from roque.photometry.kernels.reflections import SUMS, factorise, residual_norm
from roque.photometry.kernels.stages import Pixels, Stages, make_stages
from roque.photometry.kernels.trust import step_length
from roque.photometry.kernels.vectors import WIDTH

__all__ = ["CONVERGED", "Solver", "make_solver", "minimise"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

CONVERGED, EXHAUSTED, NOT_FINITE = range(3)

_TOLERANCE = 1.0e-8  # of the sum of squares (ftol), of the parameters (xtol) and of the gradient (gtol)
_FACTOR = 100.0
_EVALUATIONS = 100  # per free parameter


class Solver(NamedTuple):
    """Memory of a fit."""

    rows: Floats
    """Derivatives by all parameters and the residual, a row for each pixel, shape (pixels, 8)."""
    stages: Stages
    column: Floats
    R: Floats
    """Triangular factor of the Jacobian, columns permuted by `pivots`."""
    pivots: Integers
    vectors: Floats
    """Small vectors, one a row: see the names at the top of `minimise`."""


def make_solver(npixels: int) -> Solver:
    """Allocate the memory for fits of up to `npixels` pixels."""
    return Solver(
        rows=aligned(WIDTH * npixels).reshape(npixels, WIDTH),
        stages=make_stages(),
        column=aligned(npixels + 1),
        R=np.zeros((NPARAMETERS, NPARAMETERS)),
        pivots=np.zeros(NPARAMETERS, np.int64),
        vectors=np.zeros((14, WIDTH)),
    )


@kernel
def minimise(
    method: int,
    pixels: Pixels,
    n: int,
    xbin: int,
    ybin: int,
    ndiv: int,
    free: Integers,
    nfree: int,
    parameters: Floats,
    solver: Solver,
) -> int:
    """Move the free parameters to the least sum of squared residuals.

    Parameters
    ----------
    method : int
        GAUSSIAN or MOFFAT.
    pixels : Pixels
        The first n of them are used.
    xbin, ybin, ndiv : int
        How the profile is taken inside a pixel, see `linearise`.
    free : array of int64
        The nfree parameters to vary.
    parameters : array of float64, shape (6,)
        Start; holds the solution afterwards.
    solver : Solver
        Holds, afterwards, the derivatives and residuals of the solution in ``rows``.

    Returns
    -------
    int
        CONVERGED, EXHAUSTED (too many evaluations) or NOT_FINITE (at the start).
    """
    rows, R, pivots, vectors = solver.rows, solver.R, solver.pivots, solver.vectors
    diag, qtf, norms, p, trial, x = vectors[0], vectors[1], vectors[2], vectors[3], vectors[4], vectors[5]
    for j in range(NPARAMETERS):
        trial[j] = parameters[j]
    for j in range(nfree):
        x[j] = parameters[free[j]]
    _evaluate(method, pixels, n, xbin, ybin, ndiv, parameters, solver)
    fnorm = residual_norm(rows, n, solver.column, vectors)
    if not math.isfinite(fnorm):
        return NOT_FINITE
    evaluations, iteration, par, delta, xnorm = 1, 1, 0.0, 0.0, 0.0
    while True:
        # `rows` belong to the point reached here, and are used up
        factorise(rows, n, free, nfree, R, pivots, qtf, norms, solver.column, vectors)
        if iteration == 1:
            for j in range(nfree):
                diag[j] = norms[j] if norms[j] != 0.0 else 1.0
            xnorm = _scaled_norm(diag, x, nfree, vectors[6])
            delta = _FACTOR * xnorm
            if delta == 0.0:
                delta = _FACTOR
        if _gradient(R, pivots, qtf, norms, fnorm, nfree) <= _TOLERANCE:
            _evaluate(method, pixels, n, xbin, ybin, ndiv, parameters, solver)
            return CONVERGED
        for j in range(nfree):
            if norms[j] > diag[j]:  # noqa: PLR1730 - nor is it taken where it is not a number
                diag[j] = norms[j]
        while True:
            par = step_length(R, nfree, pivots, diag, qtf, delta, par, p, vectors)
            for j in range(nfree):
                p[j] = -p[j]
                trial[free[j]] = x[j] + p[j]
            pnorm = _scaled_norm(diag, p, nfree, vectors[6])
            if iteration == 1:
                delta = min(delta, pnorm)
            _evaluate(method, pixels, n, xbin, ybin, ndiv, trial, solver)
            evaluations += 1
            fnorm1 = residual_norm(rows, n, solver.column, vectors)
            actual = 1.0 - (fnorm1 / fnorm) ** 2 if 0.1 * fnorm1 < fnorm else -1.0
            linear = _model_norm(R, pivots, p, nfree, vectors[6]) / fnorm
            damped = math.sqrt(par) * pnorm / fnorm
            predicted = linear * linear + damped * damped / 0.5
            slope = -(linear * linear + damped * damped)
            ratio = actual / predicted if predicted != 0.0 else 0.0
            if ratio <= 0.25:
                shrink = 0.5 * slope / (slope + 0.5 * actual) if actual < 0.0 else 0.5
                if 0.1 * fnorm1 >= fnorm or shrink < 0.1:
                    shrink = 0.1
                delta = shrink * min(delta, pnorm / 0.1)
                par /= shrink
            elif par == 0.0 or ratio >= 0.75:
                delta = pnorm / 0.5
                par *= 0.5
            accepted = ratio >= 1.0e-4
            if accepted:
                for j in range(nfree):
                    x[j] = trial[free[j]]
                    parameters[free[j]] = x[j]
                xnorm = _scaled_norm(diag, x, nfree, vectors[6])
                fnorm = fnorm1
                iteration += 1
            if (abs(actual) <= _TOLERANCE and predicted <= _TOLERANCE and 0.5 * ratio <= 1.0) or delta <= _TOLERANCE * xnorm:
                if not accepted:
                    _evaluate(method, pixels, n, xbin, ybin, ndiv, parameters, solver)
                return CONVERGED
            if evaluations >= _EVALUATIONS * nfree:
                return EXHAUSTED
            if accepted:
                break


@inlined
def _evaluate(method: int, pixels: Pixels, n: int, xbin: int, ybin: int, ndiv: int, parameters: Floats, solver: Solver) -> None:
    linearise(method, parameters, pixels, n, xbin, ybin, ndiv, solver.stages, solver.rows, solver.vectors[SUMS])


@inlined
def _scaled_norm(diag: Floats, vector: Floats, n: int, work: Floats) -> float:
    for j in range(n):
        work[j] = diag[j] * vector[j]
    return norm(work, n)


@inlined
def _gradient(R: Floats, pivots: Integers, qtf: Floats, norms: Floats, fnorm: float, n: int) -> float:
    """Largest cosine of the angle between the residuals and a column of the Jacobian."""
    largest = 0.0
    if fnorm == 0.0:
        return largest
    for j in range(n):
        length = norms[pivots[j]]
        if length != 0.0:
            total = 0.0
            for i in range(j + 1):
                total += R[i, j] * (qtf[i] / fnorm)
            if abs(total / length) > largest:  # noqa: PLR1730 - what is not a number does not count
                largest = abs(total / length)
    return largest


@inlined
def _model_norm(R: Floats, pivots: Integers, p: Floats, n: int, work: Floats) -> float:
    """Norm of the change of the residuals that the linear model predicts for a step p."""
    for i in range(n):
        work[i] = 0.0
        for j in range(i, n):
            work[i] += R[i, j] * p[pivots[j]]
    return norm(work, n)
