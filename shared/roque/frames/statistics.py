"""Statistics of counts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Statistics", "statistics"]


class Statistics(NamedTuple):
    """Least and greatest value, mean, median, and standard deviation of the values themselves (n in the denominator)."""

    min: float
    max: float
    mean: float
    median: float
    std: float


def statistics(counts: NDArray[np.floating[Any]]) -> Statistics:
    """Describe the counts of a window; sums are made in the type of the counts, as the HiPERCAM pipeline makes them."""
    data = np.ascontiguousarray(counts)
    return Statistics(*(float(value) for value in (data.min(), data.max(), data.mean(), np.median(data), data.std())))
