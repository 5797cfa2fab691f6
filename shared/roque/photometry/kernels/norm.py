"""Euclidean norms as MINPACK's enorm takes them: no overflow, no underflow, and to the same bit."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from roque.photometry.kernels.compiled import kernel

__all__ = ["LARGE", "SMALL", "norm"]

LARGE = 2.0**63.5
"""Over the number of elements: from here on squares might overflow."""
SMALL = 0.5 / LARGE
"""Up to here squares might underflow."""


@kernel
def norm(vector: NDArray[np.float64], n: int) -> float:
    """Norm of the first n elements: the sums of the squares of small, middling and large ones are kept apart."""
    large, middling, small = 0.0, 0.0, 0.0
    largest, largest_small = 0.0, 0.0
    limit = LARGE / n
    for i in range(n):
        x = abs(vector[i])
        if x >= limit:
            if x > largest:
                large = 1.0 + large * (largest / x) ** 2
                largest = x
            else:
                large += (x / largest) ** 2
        elif not x <= SMALL:
            middling += x * x
        elif x > largest_small:
            small = 1.0 + small * (largest_small / x) ** 2
            largest_small = x
        elif x != 0.0:
            small += (x / largest_small) ** 2
    if large != 0.0:
        return largest * math.sqrt(large + (middling / largest) / largest)
    if middling == 0.0:
        return largest_small * math.sqrt(small)
    if not middling >= largest_small:
        return math.sqrt(largest_small * (middling / largest_small + largest_small * small))
    return math.sqrt(middling * (1.0 + (largest_small / middling) * (largest_small * small)))
