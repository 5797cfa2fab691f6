"""The Levenberg-Marquardt parameter: the step of a given length (MINPACK's lmpar and qrsolv)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from roque.photometry.kernels.compiled import inner, kernel
from roque.photometry.kernels.norm import norm

__all__ = ["step_length"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_DWARF = 2.2250738585072014e-308


@kernel
def step_length(
    R: Floats, n: int, pivots: Integers, diag: Floats, qtf: Floats, delta: float, par: float, p: Floats, vectors: Floats
) -> float:
    """Find the damping with which the scaled step is `delta` long, to 10 %, or 0 if the undamped one is shorter.

    Parameters
    ----------
    R : array of float64, shape (6, 6)
        Upper triangle: the factor of the Jacobian. The lower one is used up.
    n : int
        Number of parameters.
    pivots, diag, qtf
        Order of the columns, scales of the parameters, first elements of ``Q^T f``.
    delta : float
        Length wanted.
    par : float
        Damping of the step before.
    p : array of float64
        The step, filled in; its sign is that of ``-p``.
    vectors : array of float64
        Rows from 6 on are used.
    """
    wa1, wa2, sdiag, wa = vectors[6], vectors[7], vectors[8], vectors[9]
    rank = _undamped(R, n, pivots, qtf, p, wa1)
    for j in range(n):
        wa2[j] = diag[j] * p[j]
    dxnorm = norm(wa2, n)
    fp = dxnorm - delta
    if fp <= 0.1 * delta:
        return 0.0
    lower = 0.0
    if rank == n:
        for j in range(n):
            total = 0.0
            for i in range(j):
                total += R[i, j] * wa1[i]
            wa1[j] = (diag[pivots[j]] * (wa2[pivots[j]] / dxnorm) - total) / R[j, j]
        length = norm(wa1, n)
        lower = fp / delta / length / length
    for j in range(n):
        total = 0.0
        for i in range(j + 1):
            total += R[i, j] * qtf[i]
        wa1[j] = total / diag[pivots[j]]
    gnorm = norm(wa1, n)
    upper = gnorm / delta
    if upper == 0.0:
        upper = _DWARF / min(delta, 0.1)
    par = min(max(par, lower), upper)
    if par == 0.0:
        par = gnorm / dxnorm
    for iteration in range(1, 11):
        if par == 0.0:
            par = max(_DWARF, 0.001 * upper)
        root = math.sqrt(par)
        for j in range(n):
            wa1[j] = root * diag[j]
        _damped(R, n, pivots, wa1, qtf, p, sdiag, wa)
        for j in range(n):
            wa2[j] = diag[j] * p[j]
        dxnorm = norm(wa2, n)
        before, fp = fp, dxnorm - delta
        if abs(fp) <= 0.1 * delta or (lower == 0.0 and fp <= before < 0.0) or iteration == 10:
            break
        for j in range(n):
            wa1[j] = diag[pivots[j]] * (wa2[pivots[j]] / dxnorm)
        for j in range(n):
            wa1[j] /= sdiag[j]
            for i in range(j + 1, n):
                wa1[i] -= R[i, j] * wa1[j]
        length = norm(wa1, n)
        correction = fp / delta / length / length
        if fp > 0.0:
            lower = max(lower, par)
        if fp < 0.0:
            upper = min(upper, par)
        par = max(lower, par + correction)
    return par


@inner
def _undamped(R: Floats, n: int, pivots: Integers, qtf: Floats, p: Floats, work: Floats) -> int:
    """Gauss-Newton step; columns beyond the rank are left out. Returns the rank."""
    rank = n
    for j in range(n):
        if R[j, j] == 0.0 and rank == n:
            rank = j
        work[j] = qtf[j] if rank == n else 0.0
    for j in range(rank - 1, -1, -1):
        work[j] /= R[j, j]
        for i in range(j):
            work[i] -= R[i, j] * work[j]
    for j in range(n):
        p[pivots[j]] = work[j]
    return rank


@inner
def _damped(R: Floats, n: int, pivots: Integers, damping: Floats, qtf: Floats, p: Floats, sdiag: Floats, work: Floats) -> None:
    """Solve the damped equations by rotations; the strict lower triangle of R and `sdiag` hold the new factor."""
    for j in range(n):
        for i in range(j + 1, n):
            R[i, j] = R[j, i]
        p[j] = R[j, j]  # kept here while the diagonal is in use
        work[j] = qtf[j]
    for j in range(n):
        if damping[pivots[j]] != 0.0:
            for k in range(j, n):
                sdiag[k] = 0.0
            sdiag[j] = damping[pivots[j]]
            rest = 0.0
            for k in range(j, n):
                if sdiag[k] == 0.0:
                    continue
                if abs(R[k, k]) < abs(sdiag[k]):
                    cotangent = R[k, k] / sdiag[k]
                    sine = 0.5 / math.sqrt(0.25 + 0.25 * cotangent**2)
                    cosine = sine * cotangent
                else:
                    tangent = sdiag[k] / R[k, k]
                    cosine = 0.5 / math.sqrt(0.25 + 0.25 * tangent**2)
                    sine = cosine * tangent
                R[k, k] = cosine * R[k, k] + sine * sdiag[k]
                work[k], rest = cosine * work[k] + sine * rest, -sine * work[k] + cosine * rest
                for i in range(k + 1, n):
                    turned = cosine * R[i, k] + sine * sdiag[i]
                    sdiag[i] = -sine * R[i, k] + cosine * sdiag[i]
                    R[i, k] = turned
        sdiag[j] = R[j, j]
        R[j, j] = p[j]
    rank = n
    for j in range(n):
        if sdiag[j] == 0.0 and rank == n:
            rank = j
        if rank < n:
            work[j] = 0.0
    for j in range(rank - 1, -1, -1):
        total = 0.0
        for i in range(j + 1, rank):
            total += R[i, j] * work[i]
        work[j] = (work[j] - total) / sdiag[j]
    for j in range(n):
        p[pivots[j]] = work[j]
