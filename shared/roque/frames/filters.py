"""Smoothing of whole windows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["smooth_periodic"]

Floats = NDArray[np.floating[Any]]


def smooth_periodic(data: Floats, fwhm: float) -> Floats:
    """Convolve with a Gaussian of unit sum as if the window were repeated without end in x and y.

    Parameters
    ----------
    data : array, shape (ny, nx)
        Counts.
    fwhm : float
        Pixels; ``sigma = fwhm/sqrt(8 ln 2)``.

    Returns
    -------
    array, shape (ny, nx)
        In the dtype of `data`.

    Notes
    -----
    The kernel is sampled at the pixels of a square of 8 sigma, up to the next odd number, as in the HiPERCAM pipeline.
    """
    ny, nx = data.shape
    sigma = fwhm / math.sqrt(8.0 * math.log(2.0))
    offsets = np.arange(-(math.ceil(8.0 * sigma) // 2), math.ceil(8.0 * sigma) // 2 + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    weights /= weights.sum()
    y, x = (np.bincount(offsets % n, weights, n) for n in (ny, nx))
    transform = np.fft.rfft2(data.astype(np.float64)) * np.fft.rfft2(np.outer(y, x))
    return np.fft.irfft2(transform, s=data.shape).astype(data.dtype)
