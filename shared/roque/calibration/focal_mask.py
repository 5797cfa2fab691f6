"""Correction for a focal-plane mask: the level of each row, measured in the columns without stars."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["subtract_mask"]

Floats = NDArray[np.floating[Any]]


def subtract_mask(data: Floats, threshold: float) -> Floats:
    """Take the levels of the rows of a window out, relative to their median.

    Parameters
    ----------
    data : array, shape (ny, nx)
        Processed counts of a whole window.
    threshold : float
        A column is left out as long as it has the largest mean and exceeds the mean of the columns kept by more than this
        times their RMS (population); one column at a time.

    Returns
    -------
    array, shape (ny, nx)
        From each row the median over the columns kept is subtracted, less the median of those row medians.
    """
    columns = data.mean(axis=0)
    kept = np.ones(columns.size, dtype=bool)
    while True:
        values = columns[kept]
        brightest = int(np.flatnonzero(kept)[np.argmax(values)])
        if not columns[brightest] > values.mean() + threshold * values.std():
            break
        kept[brightest] = False
    rows = np.median(data[:, kept], axis=1)
    levelled: Floats = data - (rows - np.median(rows))[:, np.newaxis].astype(data.dtype)
    return levelled
