"""Medians along a series."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["running_median", "scatter"]

Floats = NDArray[np.floating[Any]]


def running_median(values: Floats, width: int) -> Floats:
    """Median of `width` (odd) values around each, mirrored at the ends; NaN are left out, and give NaN if all are."""
    half = width // 2
    if len(values) <= half:
        return np.full(len(values), _median(values))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, half, mode="reflect"), width)
    known = np.isfinite(windows)
    count = known.sum(axis=1)
    ordered = np.sort(np.where(known, windows, np.inf), axis=1)
    rows = np.arange(len(values))
    low = ordered[rows, np.maximum(count - 1, 0) // 2]
    high = ordered[rows, np.minimum(count // 2, width - 1)]
    return np.where(count > 0, 0.5 * (low + high), np.nan)


def scatter(values: Floats) -> float:
    """Standard deviation of a Gaussian with this median deviation; NaN are left out."""
    return 1.4826 * _median(np.abs(values - _median(values)))


def _median(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")
