"""Sums as numpy makes them: pairwise, in the dtype of the numbers. Where float32 decides what is clipped, order counts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roque.photometry.kernels.compiled import inner, kernel

__all__ = ["SumMemory", "make_sum_memory", "mean_and_rms", "pairwise_sum"]

Counts = NDArray[np.floating[Any]]

_BLOCK = 128
_LEVELS = 40


class SumMemory(NamedTuple):
    """Memory of a sum: what waits while halves are summed."""

    pending: Counts
    stack: NDArray[np.int64]


def make_sum_memory(dtype: np.dtype[Any]) -> SumMemory:
    """Allocate memory for sums of numbers of a dtype."""
    return SumMemory(np.zeros(_LEVELS, dtype), np.zeros((3, _LEVELS), np.int64))


@kernel
def mean_and_rms(values: Counts, n: int, squares: Counts, memory: SumMemory) -> tuple[Any, Any]:
    """Mean and RMS (population) of the first n values, to the bit what numpy gives.

    Parameters
    ----------
    values : array
        Numbers; `squares` is another array as long.
    n : int
        How many of them count; at least one.
    """
    number = values.dtype.type(n)
    mean = pairwise_sum(values, n, memory) / number
    for i in range(n):
        squares[i] = (values[i] - mean) * (values[i] - mean)
    return mean, np.sqrt(pairwise_sum(squares, n, memory) / number)


@kernel
def pairwise_sum(values: Counts, n: int, memory: SumMemory) -> Any:
    """Sum of the first n values by halves, down to blocks of at most 128 that are summed in 8 lanes.

    Notes
    -----
    numpy's recursion, unrolled: `pending` holds the left halves that wait for their right ones.
    """
    if n <= _BLOCK:
        return _block_sum(values, 0, n)
    pending, starts, lengths, stages = memory.pending, memory.stack[0], memory.stack[1], memory.stack[2]
    starts[0], lengths[0], stages[0] = 0, n, 0
    depth, total = 0, values.dtype.type(0)
    while depth >= 0:
        start, length = starts[depth], lengths[depth]
        half = length // 2
        half -= half % 8
        if length <= _BLOCK:
            total = _block_sum(values, start, length)
            depth -= 1
        elif stages[depth] == 0:
            stages[depth] = 1
            depth += 1
            starts[depth], lengths[depth], stages[depth] = start, half, 0
        elif stages[depth] == 1:
            pending[depth] = total
            stages[depth] = 2
            depth += 1
            starts[depth], lengths[depth], stages[depth] = start + half, length - half, 0
        else:
            total = pending[depth] + total
            depth -= 1
    return total


@inner
def _block_sum(values: Counts, start: int, n: int) -> Any:
    if n < 8:
        total = values.dtype.type(0)
        for i in range(start, start + n):
            total += values[i]
        return total
    r0, r1, r2, r3 = values[start], values[start + 1], values[start + 2], values[start + 3]
    r4, r5, r6, r7 = values[start + 4], values[start + 5], values[start + 6], values[start + 7]
    whole = n - n % 8
    for i in range(start + 8, start + whole, 8):
        r0 += values[i]
        r1 += values[i + 1]
        r2 += values[i + 2]
        r3 += values[i + 3]
        r4 += values[i + 4]
        r5 += values[i + 5]
        r6 += values[i + 6]
        r7 += values[i + 7]
    total = ((r0 + r1) + (r2 + r3)) + ((r4 + r5) + (r6 + r7))
    for i in range(start + whole, start + n):
        total += values[i]
    return total
