"""Levenberg-Marquardt fits of a profile, step by step as MINPACK's lmder takes them.

J. J. More, "The Levenberg-Marquardt algorithm: implementation and theory", Lecture Notes in Mathematics 630 (1978), and
the public-domain MINPACK-1 of Argonne National Laboratory: trust region scaled by the column norms of the Jacobian, first
radius ``factor`` times the scaled start, and the same stopping rules, so that a fit ends at the same point after the same
number of evaluations. What differs is how the triangular factor of the Jacobian is had: from the normal equations, which
cost a fifth, as long as their condition allows it (`FULL_RANK`), otherwise from Householder reflections as in MINPACK.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from roque.photometry.kernels.compiled import inlined, inner, kernel
from roque.photometry.kernels.dot import gram
from roque.photometry.kernels.profiles import NPARAMETERS, linearise
from roque.photometry.kernels.trust import step_length

__all__ = ["CONVERGED", "Problem", "Solver", "make_solver", "minimise"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

CONVERGED, EXHAUSTED, NOT_FINITE = range(3)

_TOLERANCE = 1.0e-8  # of the sum of squares (ftol), of the parameters (xtol) and of the gradient (gtol)
_FACTOR = 100.0
_EVALUATIONS = 100  # per free parameter
FULL_RANK = 1.0e-6
"""Least share of a column's square that must be left after projection for the normal equations to be trusted."""


class Problem(NamedTuple):
    """Pixels of a star and how the profile is taken inside them; the arrays are longer than what is used."""

    x: Floats
    y: Floats
    data: Floats
    weight: Floats
    xoffsets: Floats
    yoffsets: Floats


class Solver(NamedTuple):
    """Memory of a fit."""

    rows: Floats
    """Residuals and their derivatives, shape (7, pixels)."""
    products: Floats
    """Products of the rows at the point tried, and at the point reached."""
    reached: Floats
    R: Floats
    """Triangular factor of the Jacobian, columns permuted by `pivots`."""
    pivots: Integers
    chosen: Integers
    """Rows in play: the residuals, then the derivatives by the free parameters."""
    vectors: Floats
    """Small vectors, one a row: see the names at the top of `minimise`."""


def make_solver(npixels: int) -> Solver:
    """Allocate the memory for fits of up to `npixels` pixels, a multiple of LANES."""
    n = 1 + NPARAMETERS
    return Solver(
        rows=np.zeros((n, npixels)),
        products=np.zeros((n, n)),
        reached=np.zeros((n, n)),
        R=np.zeros((NPARAMETERS, NPARAMETERS)),
        pivots=np.zeros(NPARAMETERS, np.int64),
        chosen=np.zeros(n, np.int64),
        vectors=np.zeros((10, NPARAMETERS)),
    )


@kernel
def minimise(
    method: int, problem: Problem, n: int, nx: int, ny: int, free: Integers, nfree: int, parameters: Floats, solver: Solver
) -> int:
    """Move the free parameters to the least sum of squared residuals.

    Parameters
    ----------
    method : int
        GAUSSIAN or MOFFAT.
    problem : Problem
        Pixels; n of them are used, a multiple of LANES, the superfluous with weight zero.
    nx, ny : int
        Numbers of offsets inside a pixel.
    free : array of int64
        The nfree parameters to vary.
    parameters : array of float64, shape (6,)
        Start; holds the solution afterwards.
    solver : Solver
        Holds, afterwards, the residuals of the solution in ``rows[0]`` and the products of the Jacobian in ``reached``.

    Returns
    -------
    int
        CONVERGED, EXHAUSTED (too many evaluations) or NOT_FINITE (at the start).
    """
    rows, products, reached, R, pivots, chosen = (
        solver.rows, solver.products, solver.reached, solver.R, solver.pivots, solver.chosen,
    )  # fmt: skip
    diag, qtf, norms, p, trial, x = (
        solver.vectors[0], solver.vectors[1], solver.vectors[2], solver.vectors[3], solver.vectors[4], solver.vectors[5],
    )  # fmt: skip
    chosen[0] = 0
    for j in range(nfree):
        chosen[1 + j] = 1 + free[j]
        x[j] = parameters[free[j]]
    for j in range(NPARAMETERS):
        trial[j] = parameters[j]
    _evaluate(method, problem, n, nx, ny, parameters, nfree, solver)
    _take(products, reached, nfree)
    fnorm = math.sqrt(reached[0, 0])
    if not math.isfinite(fnorm):
        return NOT_FINITE
    evaluations, iteration, par, delta, xnorm = 1, 1, 0.0, 0.0, 0.0
    in_place = True  # whether `rows` belong to the point reached
    while True:
        for j in range(nfree):
            norms[j] = math.sqrt(reached[1 + j, 1 + j])
        if not _from_products(reached, nfree, R, pivots, qtf):
            if not in_place:
                _evaluate(method, problem, n, nx, ny, parameters, nfree, solver)
            _reflect(rows, chosen, nfree, n, R, pivots, qtf)
            in_place = False
        if iteration == 1:
            for j in range(nfree):
                diag[j] = norms[j] if norms[j] != 0.0 else 1.0
            xnorm = _scaled_norm(diag, x, nfree)
            delta = _FACTOR * xnorm
            if delta == 0.0:
                delta = _FACTOR
        if _gradient(R, pivots, qtf, norms, fnorm, nfree) <= _TOLERANCE:
            return _settle(method, problem, n, nx, ny, parameters, nfree, solver, in_place, CONVERGED)
        for j in range(nfree):
            diag[j] = max(diag[j], norms[j])
        while True:
            par = step_length(R, nfree, pivots, diag, qtf, delta, par, p, solver.vectors)
            for j in range(nfree):
                p[j] = -p[j]
                trial[free[j]] = x[j] + p[j]
            pnorm = _scaled_norm(diag, p, nfree)
            if iteration == 1:
                delta = min(delta, pnorm)
            _evaluate(method, problem, n, nx, ny, trial, nfree, solver)
            in_place = False
            evaluations += 1
            fnorm1 = math.sqrt(products[0, 0])
            actual = 1.0 - (fnorm1 / fnorm) ** 2 if 0.1 * fnorm1 < fnorm else -1.0
            linear = _model_norm(R, pivots, p, nfree) / fnorm
            damped = math.sqrt(par) * pnorm / fnorm
            predicted = linear**2 + damped**2 / 0.5
            slope = -(linear**2 + damped**2)
            ratio = actual / predicted if predicted != 0.0 else 0.0
            if ratio <= 0.25:
                shrink = 0.5 if actual >= 0.0 else 0.5 * slope / (slope + 0.5 * actual)
                if 0.1 * fnorm1 >= fnorm or shrink < 0.1:
                    shrink = 0.1
                delta = shrink * min(delta, pnorm / 0.1)
                par /= shrink
            elif par == 0.0 or ratio >= 0.75:
                delta = pnorm / 0.5
                par *= 0.5
            if ratio >= 1.0e-4:
                for j in range(nfree):
                    x[j] = trial[free[j]]
                    parameters[free[j]] = x[j]
                xnorm = _scaled_norm(diag, x, nfree)
                fnorm = fnorm1
                _take(products, reached, nfree)
                in_place = True
                iteration += 1
            if (abs(actual) <= _TOLERANCE and predicted <= _TOLERANCE and 0.5 * ratio <= 1.0) or delta <= _TOLERANCE * xnorm:
                return _settle(method, problem, n, nx, ny, parameters, nfree, solver, in_place, CONVERGED)
            if evaluations >= _EVALUATIONS * nfree:
                return EXHAUSTED
            if ratio >= 1.0e-4:
                break


@inlined
def _take(products: Floats, reached: Floats, nfree: int) -> None:
    for i in range(1 + nfree):
        for j in range(1 + nfree):
            reached[i, j] = products[i, j]


@inlined
def _evaluate(method: int, problem: Problem, n: int, nx: int, ny: int, parameters: Floats, nfree: int, solver: Solver) -> None:
    linearise(
        method, parameters, problem.x, problem.y, problem.data, problem.weight, n,
        problem.xoffsets, nx, problem.yoffsets, ny, solver.rows,
    )  # fmt: skip
    gram(solver.rows, solver.chosen, 1 + nfree, n, solver.products)


@inlined
def _settle(
    method: int,
    problem: Problem,
    n: int,
    nx: int,
    ny: int,
    parameters: Floats,
    nfree: int,
    solver: Solver,
    in_place: bool,
    status: int,
) -> int:
    """See to it that the residuals are those of the solution."""
    if not in_place:
        _evaluate(method, problem, n, nx, ny, parameters, nfree, solver)
    return status


@inlined
def _scaled_norm(diag: Floats, vector: Floats, n: int) -> float:
    total = 0.0
    for j in range(n):
        total += (diag[j] * vector[j]) ** 2
    return math.sqrt(total)


@inlined
def _gradient(R: Floats, pivots: Integers, qtf: Floats, norms: Floats, fnorm: float, n: int) -> float:
    """Largest cosine of the angle between the residuals and a column of the Jacobian."""
    largest = 0.0
    if fnorm == 0.0:
        return largest
    for j in range(n):
        norm = norms[pivots[j]]
        if norm != 0.0:
            total = 0.0
            for i in range(j + 1):
                total += R[i, j] * (qtf[i] / fnorm)
            largest = max(largest, abs(total / norm))
    return largest


@inlined
def _model_norm(R: Floats, pivots: Integers, p: Floats, n: int) -> float:
    """Norm of the change of the residuals that the linear model predicts for a step p."""
    square = 0.0
    for i in range(n):
        total = 0.0
        for j in range(i, n):
            total += R[i, j] * p[pivots[j]]
        square += total**2
    return math.sqrt(square)


@inner
def _from_products(products: Floats, n: int, R: Floats, pivots: Integers, qtf: Floats) -> bool:
    """Factorise ``J^T J`` as Cholesky did, taking the longest remaining column first as MINPACK's qrfac does.

    Returns False, with R in no useful state, if too little is left of a column for the normal equations to be trusted.
    """
    for j in range(n):
        pivots[j] = j
        for i in range(n):
            R[i, j] = products[1 + i, 1 + j]
    for j in range(n):
        best = j
        for k in range(j + 1, n):
            if R[k, k] > R[best, best]:
                best = k
        if best != j:
            _swap(R, pivots, j, best, n)
        if not R[j, j] > FULL_RANK * products[1 + pivots[j], 1 + pivots[j]]:
            return False
        R[j, j] = math.sqrt(R[j, j])
        for k in range(j + 1, n):
            R[j, k] /= R[j, j]
        for k in range(j + 1, n):
            for i in range(j + 1, k + 1):
                R[i, k] -= R[j, i] * R[j, k]
                R[k, i] = R[i, k]
    for j in range(n):
        total = products[1 + pivots[j], 0]
        for i in range(j):
            total -= R[i, j] * qtf[i]
        qtf[j] = total / R[j, j]
    return True


@inlined
def _swap(R: Floats, pivots: Integers, j: int, k: int, n: int) -> None:
    """Exchange columns j and k: rows already made above j, and the symmetric remainder below."""
    pivots[j], pivots[k] = pivots[k], pivots[j]
    for i in range(n):
        R[i, j], R[i, k] = R[i, k], R[i, j]
    for i in range(j, n):
        R[j, i], R[k, i] = R[k, i], R[j, i]


@inner
def _reflect(rows: Floats, chosen: Integers, nfree: int, n: int, R: Floats, pivots: Integers, qtf: Floats) -> None:
    """Factorise the Jacobian by Householder reflections; `rows` are used up.

    Row 0 becomes ``Q^T f``, whose first elements are kept.
    """
    for j in range(nfree):
        pivots[j] = j
    for j in range(nfree):
        best, longest = j, -1.0
        for k in range(j, nfree):
            column = rows[chosen[1 + pivots[k]]]
            square = 0.0
            for i in range(j, n):
                square += column[i] ** 2
            if square > longest:
                best, longest = k, square
        if best != j:
            pivots[j], pivots[best] = pivots[best], pivots[j]
            for i in range(j):
                R[i, j], R[i, best] = R[i, best], R[i, j]
        mirror = rows[chosen[1 + pivots[j]]]
        norm = math.sqrt(longest)
        if norm == 0.0:
            for k in range(j, nfree):
                R[j, k] = 0.0
            qtf[j] = rows[0, j]
            continue
        if mirror[j] < 0.0:
            norm = -norm
        for i in range(j, n):
            mirror[i] /= norm
        mirror[j] += 1.0
        for k in range(j + 1, nfree):
            column = rows[chosen[1 + pivots[k]]]
            _apply(mirror, column, j, n)
            R[j, k] = column[j]
        _apply(mirror, rows[0], j, n)
        R[j, j] = -norm
        qtf[j] = rows[0, j]


@inner
def _apply(mirror: Floats, column: Floats, j: int, n: int) -> None:
    total = 0.0
    for i in range(j, n):
        total += mirror[i] * column[i]
    total /= mirror[j]
    for i in range(j, n):
        column[i] -= total * mirror[i]
