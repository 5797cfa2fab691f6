"""Compiled statistics through a stack of frames, pixel by pixel, and over a CCD."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.compiling import njit

__all__ = ["clipped_mean", "pixel_median", "value_median"]

Floats = NDArray[np.floating[Any]]

_FIRST_NAN = 0xFF80
"""Upper half of the ordered pattern of infinity, and of numbers that are none."""

_BLOCK = 256  # pixels worked on together: their values in a hundred frames fit into the second-level cache


def clipped_mean(stack: Floats, sigma: float | None) -> tuple[Floats, NDArray[np.int32]]:
    """Mean over frames of each pixel, without the values that stand out.

    Parameters
    ----------
    stack : array, shape (n, ...), C-contiguous
        Values of n frames.
    sigma : float or None
        Values further than this times the standard deviation (n - 1) from the mean are dropped, mean and deviation
        computed anew, until none is dropped. 1 or more. None drops nothing.

    Returns
    -------
    mean : array, shape (...)
        In the dtype of `stack`.
    kept : array of int32, shape (...)
        Number of values that the mean is made of.

    Notes
    -----
    Mean, deviation and differences are rounded to the dtype of `stack` in each pass and sums are made in double, as in the
    HiPERCAM pipeline. One value in n can only be dropped if ``(n - 1)/sqrt(n) > sigma``: none of 10 or fewer at 3 sigma.
    """
    n, *shape = stack.shape
    flat = stack.reshape(n, -1)
    mean = np.empty(flat.shape[1], stack.dtype)
    kept = np.full(flat.shape[1], n, np.int32)
    _clipped_mean(flat, np.inf if sigma is None else sigma, mean, kept)
    return mean.reshape(shape), kept.reshape(shape)


def pixel_median(stack: Floats) -> Floats:
    """Median over frames of each pixel; the mean of the middle two for an even number. NaN where any value is.

    Parameters
    ----------
    stack : array, shape (n, ...), C-contiguous
        Values of n frames.

    Returns
    -------
    array, shape (...)
        In the dtype of `stack`.
    """
    n, *shape = stack.shape
    flat = stack.reshape(n, -1)
    out = np.empty(flat.shape[1], stack.dtype)
    _pixel_median(flat, _selection_network(n), out)
    return out.reshape(shape)


def value_median(*arrays: Floats) -> float:
    """Median of all values of some arrays together, as `numpy.median`, several times faster for float32.

    The halves of the bit patterns of the values are counted one after the other: patterns order as the values do once
    negatives are turned round.
    """
    if any(array.dtype != np.float32 for array in arrays):
        return float(np.median(np.concatenate([array.reshape(-1) for array in arrays])))
    bits = [np.ascontiguousarray(array).reshape(-1).view(np.uint32) for array in arrays]
    upper = np.zeros(1 << 16, np.int32)
    for pattern in bits:
        _count_upper(pattern, upper)
    # infinities share their upper halves with what is no number
    suspicious = upper[_FIRST_NAN:].any() or upper[: (1 << 16) - _FIRST_NAN].any()
    if suspicious and any(np.isnan(array).any() for array in arrays):
        return float("nan")
    below = np.cumsum(upper) - upper
    n = sum(pattern.size for pattern in bits)
    ranks = sorted({(n - 1) // 2, n // 2})
    halves = [int(np.searchsorted(below, rank, side="right")) - 1 for rank in ranks]
    lower = {half: np.zeros(1 << 16, np.int32) for half in halves}
    for half, counts in lower.items():
        for pattern in bits:
            _count_lower(pattern, half, counts)
    middle = [_value(half, lower[half], rank - int(below[half])) for half, rank in zip(halves, ranks, strict=True)]
    return float(np.mean(middle, dtype=np.float32))


def _value(half: int, lower: NDArray[np.int32], rank: int) -> np.float32:
    """Value of some rank, from 0, among those that share an upper half, given their numbers by the lower."""
    ordered = (half << 16) | int(np.searchsorted(np.cumsum(lower), rank, side="right"))
    value: np.float32 = np.uint32(ordered ^ (0x80000000 if ordered & 0x80000000 else 0xFFFFFFFF)).view(np.float32)
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def _clipped_mean(stack: Floats, sigma: float, mean: Floats, kept: NDArray[np.int32]) -> None:
    n, npix = stack.shape
    single = stack.dtype.type
    total, square = np.empty(_BLOCK), np.empty(_BLOCK)
    average, worst, values = np.empty(_BLOCK, stack.dtype), np.empty(_BLOCK, stack.dtype), np.empty(n, stack.dtype)
    for start in range(0, npix, _BLOCK):
        m = min(_BLOCK, npix - start)
        total[:], square[:], worst[:] = 0.0, 0.0, 0.0
        for k in range(n):
            row = stack[k, start : start + m]
            for i in range(m):
                total[i] += row[i]
        for i in range(m):
            average[i] = single(total[i] / n)
        if n > 1:
            for k in range(n):
                row = stack[k, start : start + m]
                for i in range(m):
                    difference = abs(row[i] - average[i])
                    square[i] += difference * difference
                    worst[i] = max(worst[i], difference)
        out = mean[start : start + m]
        for i in range(m):
            out[i] = average[i]
            # most pixels end here: the rest go through their values one by one
            if n > 1 and worst[i] > sigma * single(np.sqrt(square[i] / (n - 1))):
                values[:] = stack[:, start + i]
                out[i], kept[start + i] = _clip(values, average[i], single(np.sqrt(square[i] / (n - 1))), sigma)


@njit(cache=True, nogil=True, error_model="numpy")
def _clip(values: Floats, mean: np.floating[Any], deviation: np.floating[Any], sigma: float) -> tuple[np.floating[Any], int]:
    """Go on clipping the values of one pixel; `values` is used up."""
    single = values.dtype.type
    n = values.size
    while True:
        left = 0
        for k in range(n):
            if not abs(values[k] - mean) > sigma * deviation:
                values[left] = values[k]
                left += 1
        if left == n:
            return mean, n
        n = left
        total = 0.0
        for k in range(n):
            total += values[k]
        mean = single(total / n)
        if n == 1:
            return mean, n
        square = 0.0
        for k in range(n):
            difference = values[k] - mean
            square += difference * difference
        deviation = single(np.sqrt(square / (n - 1)))


@njit(cache=True, nogil=True, error_model="numpy")
def _pixel_median(stack: Floats, network: NDArray[np.int32], out: Floats) -> None:
    n, npix = stack.shape
    work = np.empty((n, _BLOCK), stack.dtype)
    for start in range(0, npix, _BLOCK):
        m = min(_BLOCK, npix - start)
        for k in range(n):
            work[k, :m] = stack[k, start : start + m]
        for c in range(network.shape[0]):
            low, high = work[network[c, 0]], work[network[c, 1]]
            for i in range(m):
                a, b = low[i], high[i]
                low[i] = min(b, a)
                high[i] = max(a, b)
        middle, other = work[(n - 1) // 2], work[n // 2]
        for i in range(m):
            out[start + i] = (middle[i] + other[i]) * stack.dtype.type(0.5) if n % 2 == 0 else middle[i]
        for k in range(n):
            row = stack[k, start : start + m]
            for i in range(m):
                if row[i] != row[i]:
                    out[start + i] = np.nan


@cache
def _selection_network(n: int) -> NDArray[np.int32]:
    """Pairs to compare and exchange so that the middle one or two of n values find their places.

    Batcher's merge exchange (Knuth, The Art of Computer Programming 5.2.2, algorithm M), without what the middle does not
    need. The same comparisons for all pixels, whatever their values, keep the vector units of a processor busy.
    """
    pairs: list[tuple[int, int]] = []
    top = 1 << max(0, (n - 1).bit_length() - 1)
    p = top if n > 1 else 0
    while p:
        q, r, d = top, 0, p
        while True:
            pairs += [(i, i + d) for i in range(n - d) if i & p == r]
            if q == p:
                break
            q, r, d = q // 2, p, q - p
        p //= 2
    needed = {(n - 1) // 2, n // 2}
    kept = []
    for i, j in reversed(pairs):
        if i in needed or j in needed:
            kept.append((i, j))
            needed |= {i, j}
    return np.array(kept[::-1], np.int32).reshape(-1, 2)


@njit(cache=True, nogil=True)
def _count_upper(bits: NDArray[np.uint32], upper: NDArray[np.int32]) -> None:
    for i in range(bits.size):
        upper[_ordered(bits[i]) >> 16] += 1


@njit(cache=True, nogil=True)
def _count_lower(bits: NDArray[np.uint32], half: int, lower: NDArray[np.int32]) -> None:
    for i in range(bits.size):
        pattern = _ordered(bits[i])
        lower[pattern & 0xFFFF] += np.int32(pattern >> 16 == half)  # no branch: it would be guessed wrongly half the time


@njit(cache=True, nogil=True, inline="always")
def _ordered(pattern: np.uint32) -> np.int64:
    """Bit pattern of a float32 as a number that orders as the values do."""
    turned = np.uint32(0xFFFFFFFF) if pattern & np.uint32(0x80000000) else np.uint32(0x80000000)
    return np.int64(pattern ^ turned)
