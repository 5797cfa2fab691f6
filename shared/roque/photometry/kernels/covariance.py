"""Inverse of ``J^T J``, to the bit as numpy's.

Errors weigh the widths of stars, and these are where the next fits start. So the HiPERCAM pipeline's errors are repeated bit by
bit: products and elimination run in the order of OpenBLAS (syrk, getf2, getrs) on processors with AVX-512, which decides where
numbers are rounded once and where twice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from roque.photometry.kernels.compiled import inlined, inner, kernel
from roque.photometry.kernels.elementary import fma
from roque.photometry.kernels.lanes import multiply
from roque.photometry.kernels.outcome import FIT_SINGULAR, OK

__all__ = ["covariance"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_DEPTH = 384  # rows that are summed in one go


@kernel
def covariance(
    rows: Floats,
    n: int,
    free: Integers,
    nfree: int,
    matrix: Floats,
    inverse: Floats,
    pivots: Integers,
    products: Floats,
) -> int:
    """Invert the products of columns.

    Parameters
    ----------
    rows : array of float64, shape (at least n, 8)
        Derivatives; columns `free` of the first n rows count.
    nfree : int
        Number of columns, at most 6.
    matrix, pivots, products : array
        Used up; the last of shape (6, 8).
    inverse : array of float64, shape (6, 6)
        Filled in.

    Returns
    -------
    int
        OK or FIT_SINGULAR.
    """
    _multiply(rows, n, free, nfree, matrix, products)
    if not _decompose(matrix, nfree, pivots):
        return FIT_SINGULAR
    for j in range(nfree):
        _solve(matrix, nfree, pivots, j, inverse[j])
    return OK


@inner
def _multiply(rows: Floats, n: int, free: Integers, nfree: int, matrix: Floats, products: Floats) -> None:
    for j in range(nfree):
        for k in range(nfree):
            matrix[j, k] = 0.0
    start = 0
    while start < n:
        length = n - start
        if length >= 2 * _DEPTH:
            length = _DEPTH
        elif length > _DEPTH:
            length = (length + 1) // 2
        multiply(rows, start, start + length, products)
        for j in range(nfree):
            for k in range(nfree):
                matrix[j, k] += products[free[j], free[k]]
        start += length


@inner
def _decompose(A: Floats, n: int, pivots: Integers) -> bool:
    """Factors L and U of A, with partial pivoting, column after column; False if A is singular."""
    for j in range(n):
        for i in range(j):
            A[i, j], A[pivots[i], j] = A[pivots[i], j], A[i, j]
        for i in range(1, j):
            A[i, j] -= _dot(A, i, j)
        vector = j + (n - j) // 4 * 4  # rows before this one go four at a time
        for i in range(j, n):
            if i < vector:
                for k in range(0, j - 1, 2):
                    A[i, j] -= fma(A[i, k], A[k, j], A[i, k + 1] * A[k + 1, j])
                if j % 2:
                    A[i, j] -= A[i, j - 1] * A[j - 1, j]
            else:
                total = 0.0
                for k in range(j):
                    total = fma(A[i, k], A[k, j], total)
                A[i, j] -= total
        best = j
        for i in range(j + 1, n):
            if abs(A[i, j]) > abs(A[best, j]):
                best = i
        pivots[j] = best
        if A[best, j] == 0.0:
            return False
        if best != j:
            for k in range(j + 1):
                A[j, k], A[best, k] = A[best, k], A[j, k]
        scale = 1.0 / A[j, j]
        for i in range(j + 1, n):
            A[i, j] *= scale
    return True


@inlined
def _dot(A: Floats, i: int, j: int) -> float:
    """Product of the first i elements of row i and column j."""
    even, odd = 0.0, 0.0
    if i == 4:
        even, odd = A[4, 0] * A[0, j] + A[4, 2] * A[2, j], A[4, 1] * A[1, j] + A[4, 3] * A[3, j]
    else:
        for k in range(i):
            even = fma(A[i, k], A[k, j], even)
    return even + odd


@inner
def _solve(A: Floats, n: int, pivots: Integers, column: int, x: Floats) -> None:
    """Column of the inverse: four rows, two and one go together."""
    for i in range(n):
        x[i] = 1.0 if i == column else 0.0
    for i in range(n):
        x[i], x[pivots[i]] = x[pivots[i]], x[i]
    start = 0
    while start < n:
        end = start + _together(n - start)
        for i in range(start, end):
            total = 0.0
            for k in range(start):
                total = fma(A[i, k], x[k], total)
            x[i] -= total
        for i in range(start, end):
            for k in range(i + 1, end):
                x[k] = fma(-x[i], A[k, i], x[k])
        start = end
    end = n
    while end > 0:
        start = end - _together_last(end)
        for i in range(start, end):
            total = 0.0
            for k in range(end, n):
                total = fma(A[i, k], x[k], total)
            x[i] -= total
        for i in range(end - 1, start - 1, -1):
            x[i] *= 1.0 / A[i, i]
            for k in range(start, i):
                x[k] = fma(-x[i], A[k, i], x[k])
        end = start


@inlined
def _together(left: int) -> int:
    """Largest power of two within."""
    return 4 if left >= 4 else 2 if left >= 2 else 1


@inlined
def _together_last(left: int) -> int:
    """Largest power of two that divides."""
    return 1 if left % 2 else 2 if left % 4 else 4
