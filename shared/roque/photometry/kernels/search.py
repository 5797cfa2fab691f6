"""The search for a star in a box: the nearest peak of the smoothed counts above a threshold."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roque.photometry.kernels.compiled import inlined, inner, kernel

__all__ = ["SearchMemory", "make_search_memory", "median", "nearest_peak", "smoothing"]

Floats = NDArray[np.float64]
Counts = NDArray[np.floating[Any]]


class SearchMemory(NamedTuple):
    """Memory of a search."""

    weights: Floats
    """Half of the smoothing kernel, centre first; one element where there is no smoothing."""
    smooth: Floats
    across: Floats
    values: Counts
    """As many as pixels of any box of which a median is taken, in the dtype of the data."""
    pixel: NDArray[np.int64]
    """Column and row of the peak found."""


def make_search_memory(fwhm: float, npixels: int, dtype: np.dtype[Any], *, fft: bool) -> SearchMemory:
    """Allocate memory for searches in boxes of up to `npixels` pixels, smoothed by a Gaussian of a FWHM in binned pixels."""
    return SearchMemory(
        smoothing(fwhm, fft=fft), np.zeros(npixels), np.zeros(npixels), np.zeros(npixels, dtype), np.zeros(2, np.int64)
    )


def smoothing(fwhm: float, *, fft: bool) -> Floats:
    """Half of the Gaussian kernel that a search smooths with, centre first; its whole sums to 1.

    Parameters
    ----------
    fwhm : float
        Binned pixels; no smoothing if not positive.
    fft : bool
        The kernel that a convolution by Fourier transforms takes: as wide as the next odd number above 8 sigma, not 4 sigma
        rounded. The convolution itself is the same.
    """
    if fwhm <= 0.0:
        return np.ones(1)
    sigma = fwhm / math.sqrt(8.0 * math.log(2.0))
    radius = math.ceil(8.0 * sigma) // 2 if fft else int(4.0 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    total: Floats = weights / (2.0 * weights.sum() - weights[0])
    return total


@kernel
def nearest_peak(
    proc: Counts, nx: int, ny: int, column: float, row: float, threshold: float, rounded: bool, memory: SearchMemory
) -> bool:
    """Find the peak nearest to an expected position.

    Parameters
    ----------
    proc : array
        Processed counts of a box, row after row.
    nx, ny : int
        Its size.
    column, row : float
        Expected position, in pixels of the box from 0.
    threshold : float
        Height of the smoothed counts above the median of the box.
    rounded : bool
        Whether smoothed counts are rounded to the dtype of the data after each direction, as those of a direct convolution are.
    memory : SearchMemory
        ``pixel`` gets column and row of the peak.

    Returns
    -------
    bool
        Whether there is one.

    Notes
    -----
    Outside the box the counts are taken as its median. A peak is a pixel that none of its eight neighbours exceeds.
    """
    number = proc.dtype.type
    back = median(proc, nx * ny, memory.values)
    _smooth(proc, nx, ny, back, rounded, memory)
    level = np.float64(number(back + number(threshold)))
    smooth = memory.smooth
    found, nearest = False, 0.0
    for j in range(ny):
        for i in range(nx):
            value = smooth[j * nx + i]
            if not value > level or not _is_peak(smooth, nx, ny, i, j):
                continue
            distance = (i - column) ** 2 + (j - row) ** 2
            if not found or distance < nearest:
                found, nearest = True, distance
                memory.pixel[0], memory.pixel[1] = i, j
    return found


@inner
def _is_peak(smooth: Floats, nx: int, ny: int, i: int, j: int) -> bool:
    value = smooth[j * nx + i]
    for row in range(max(0, j - 1), min(ny, j + 2)):
        for column in range(max(0, i - 1), min(nx, i + 2)):
            if smooth[row * nx + column] > value:
                return False
    return True


@inner
def _smooth(proc: Counts, nx: int, ny: int, fill: float, rounded: bool, memory: SearchMemory) -> None:
    """Convolve with a Gaussian, first along columns, then along rows."""
    weights, smooth, across = memory.weights, memory.smooth, memory.across
    number = proc.dtype.type
    radius = weights.size - 1
    for j in range(ny):
        for i in range(nx):
            across[j * nx + i] = weights[0] * proc[j * nx + i]
        for k in range(radius, 0, -1):
            for i in range(nx):
                below = np.float64(proc[(j - k) * nx + i]) if j >= k else fill
                above = np.float64(proc[(j + k) * nx + i]) if j + k < ny else fill
                across[j * nx + i] += weights[k] * (below + above)
    for j in range(ny):
        for i in range(nx):
            if rounded:
                across[j * nx + i] = number(across[j * nx + i])
            smooth[j * nx + i] = weights[0] * across[j * nx + i]
        for k in range(radius, 0, -1):
            for i in range(nx):
                left = across[j * nx + i - k] if i >= k else fill
                right = across[j * nx + i + k] if i + k < nx else fill
                smooth[j * nx + i] += weights[k] * (left + right)
        if rounded:
            for i in range(nx):
                smooth[j * nx + i] = number(smooth[j * nx + i])


@kernel
def median(values: Counts, n: int, memory: Counts) -> Any:
    """Median of the first n values, the mean of the middle two for even n; rounded to their dtype."""
    for i in range(n):
        memory[i] = values[i]
    upper = _select(memory, n, n // 2)
    if n % 2:
        return upper
    lower = memory[0]
    for i in range(1, n // 2):
        lower = max(lower, memory[i])
    return (lower + upper) / values.dtype.type(2)


@inner
def _select(a: Counts, n: int, k: int) -> Any:
    """Put the k-th smallest of n values in its place, the smaller ones before it (Hoare's quickselect)."""
    low, high = 0, n - 1
    while low < high:
        middle = _middle(a, low, (low + high) // 2, high)
        pivot = a[middle]
        a[middle], a[high] = a[high], pivot
        # no branch, which would be guessed wrong every other time
        split = low
        for i in range(low, high):
            value = a[i]
            a[i] = a[split]
            a[split] = value
            split += value < pivot
        a[high], a[split] = a[split], pivot
        if k < split:
            high = split - 1
            continue
        # counts are often the same
        low = split + 1
        if k >= low:
            for i in range(low, high + 1):
                value = a[i]
                a[i] = a[low]
                a[low] = value
                low += value <= pivot
        if k < low:
            return pivot
    return a[k]


@inlined
def _middle(a: Counts, i: int, j: int, k: int) -> int:
    """Which of three places holds the middle value."""
    if a[i] < a[j]:
        return j if a[j] < a[k] else (k if a[i] < a[k] else i)
    return i if a[i] < a[k] else (k if a[j] < a[k] else j)
