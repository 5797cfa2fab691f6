"""QR factorisation of a Jacobian by Householder reflections with column pivoting, as MINPACK's qrfac."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from roque.photometry.kernels.compiled import inlined, kernel
from roque.photometry.kernels.lanes import project, reflect
from roque.photometry.kernels.norm import LARGE, norm
from roque.photometry.kernels.profiles import RESIDUAL
from roque.photometry.kernels.vectors import WIDTH

__all__ = ["SUMS", "factorise", "residual_norm"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SUMS = 10
"""Row of the sums of squares of the columns among the small vectors of a fit."""
_EPSILON = 2.220446049250313e-16
_PLAIN = 1.0e-19
"""From here on a sum of squares does not feel those of numbers up to SMALL."""


@kernel
def factorise(
    rows: Floats,
    n: int,
    free: Integers,
    nfree: int,
    R: Floats,
    pivots: Integers,
    qtf: Floats,
    norms: Floats,
    column: Floats,
    vectors: Floats,
) -> None:
    """Factorise the Jacobian, and turn the residuals with it.

    Parameters
    ----------
    rows : array of float64, shape (at least n, 8)
        Derivatives and residuals; used up.
    n : int
        Number of pixels.
    free : array of int64
        The nfree columns that count.
    R : array of float64, shape (6, 6)
        Upper triangle filled in: column j is that of parameter ``pivots[j]``.
    qtf : array of float64
        First elements of ``Q^T f``, filled in.
    norms : array of float64
        Of the columns, by parameter, filled in.
    column, vectors
        Memory; rows from 9 on of the latter. Row SUMS holds the sums of squares of the columns, see `linearise`.
    """
    factors, sums, left, before, first = vectors[9], vectors[SUMS], vectors[11], vectors[12], vectors[13]
    for k in range(WIDTH):
        first[k] = rows[0, k]
    for j in range(nfree):
        norms[j] = left[j] = before[j] = _length(sums, rows, free[j], 0, n, column)
        pivots[j] = j
    for j in range(nfree):
        best = j
        for k in range(j, nfree):
            if left[k] > left[best]:
                best = k
        if best != j:
            left[best], before[best] = left[j], before[j]
            pivots[j], pivots[best] = pivots[best], pivots[j]
            for i in range(j):
                R[i, j], R[i, best] = R[i, best], R[i, j]
        pivot = free[pivots[j]]
        length = _length(sums, rows, pivot, j, n, column)
        if length != 0.0:
            if rows[j, pivot] < 0.0:
                length = -length
            project(rows, pivot, length, j, n, column, factors)
            for k in range(WIDTH):
                factors[k] /= column[j]
            # of the last one, the residual in its row alone is wanted
            reflect(rows, j, n if j < nfree - 1 else j + 1, column, factors, sums)
        else:
            for k in range(WIDTH):
                sums[k] = np.nan  # not known from the next row on
        R[j, j] = -length
        qtf[j] = rows[j, RESIDUAL]
        for k in range(j + 1, nfree):
            R[j, k] = rows[j, free[pivots[k]]]
            if length != 0.0 and left[k] != 0.0:
                cosine = R[j, k] / left[k]
                rest = 1.0 - cosine * cosine
                left[k] *= math.sqrt(rest if rest > 0.0 else 0.0)  # noqa: FURB136 - nor what is not a number
                if 0.05 * (left[k] / before[k]) ** 2 <= _EPSILON:
                    # in the translation that scipy uses this norm takes in the first element of the next column
                    for i in range(j + 1, n):
                        column[i] = rows[i, free[pivots[k]]]
                    column[n] = 0.0
                    if k + 1 < nfree:
                        column[n] = R[0, k + 1] if j > 0 else first[free[pivots[k + 1]]]
                    left[k] = before[k] = norm(column[j + 1 :], n - j)


@kernel
def residual_norm(rows: Floats, n: int, column: Floats, vectors: Floats) -> float:
    """Norm of the residuals of the first n rows, whose sums of squares lie in row SUMS of `vectors`."""
    return _length(vectors[SUMS], rows, RESIDUAL, 0, n, column)


@inlined
def _length(sums: Floats, rows: Floats, k: int, start: int, n: int, column: Floats) -> float:
    """Norm of column k from row `start` on, where the sum of its squares is known."""
    if _PLAIN < sums[k] < (LARGE / n) ** 2:
        return math.sqrt(sums[k])
    for i in range(start, n):
        column[i] = rows[i, k]
    return norm(column[start:], n - start)
