"""Kernels that turn raw HiPERCAM words into counts.

Words are big-endian signed with an offset of 32768: byte-swapped and with the top bit flipped they are the counts.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["decode_all", "decode_box", "decode_box_grouped"]


@njit(cache=True, nogil=True)
def decode_box(
    words: NDArray[np.uint16], start: int, row_step: int, column_step: int, ny: int, nx: int
) -> NDArray[np.float32]:  # pragma: no cover - compiled
    """Counts of a box: its first pixel is word `start`, and rows and columns lie steps of words apart."""
    out = np.empty((ny, nx), np.float32)
    for j in range(ny):
        at = start + j * row_step
        for i in range(nx):
            out[j, i] = _counts(words[at])
            at += column_step
    return out


@njit(cache=True, nogil=True)
def decode_box_grouped(
    words: NDArray[np.uint16], base: int, stream: int, first: int, row_step: int, column_step: int, ny: int, nx: int
) -> NDArray[np.float32]:  # pragma: no cover - compiled
    """Counts of a box where pixels come in fours: groups of 80 words, per CCD 4 pixels of 4 quadrants.

    `first`, `row_step` and `column_step` count pixels of the window set.
    """
    out = np.empty((ny, nx), np.float32)
    offset = base + 16 * (stream // 4) + stream % 4
    for j in range(ny):
        pixel = first + j * row_step
        for i in range(nx):
            out[j, i] = _counts(words[offset + 80 * (pixel >> 2) + 4 * (pixel & 3)])
            pixel += column_step
    return out


@njit(cache=True, nogil=True)
def decode_all(
    words: NDArray[np.uint16], sets: NDArray[np.int64], table: NDArray[np.int64], grouped: bool, out: NDArray[np.float32]
) -> None:  # pragma: no cover - compiled
    """Counts of all windows of a frame, one window after another.

    Goes through the raw rows once, so that the words of a row are in the cache for all 20 outputs.

    Parameters
    ----------
    words : array of uint16
        The frame.
    sets : array, shape (sets, 5)
        First word, columns, rows, first and last + 1 window of each window set.
    table : array, shape (windows, 8)
        Output stream, x0, xstep, y0, ystep, nx, ny and place in `out` of each window, in the order of the sets.
    grouped : bool
        Whether pixels come in fours (NSAMP other than 4).
    out : array of float32
        Filled.
    """
    for s in range(sets.shape[0]):
        base, width = sets[s, 0], sets[s, 1]
        for y in range(sets[s, 2]):
            for k in range(sets[s, 3], sets[s, 4]):
                stream, x0, xstep, y0, ystep, nx, ny, place = table[k]
                j = (y - y0) * ystep
                if j < 0 or j >= ny:
                    continue
                to = place + j * nx
                if grouped:
                    offset = base + 16 * (stream // 4) + stream % 4
                    pixel = y * width + x0
                    for i in range(nx):
                        out[to + i] = _counts(words[offset + 80 * (pixel >> 2) + 4 * (pixel & 3)])
                        pixel += xstep
                else:
                    at = base + 20 * (y * width + x0) + stream
                    for i in range(nx):
                        out[to + i] = _counts(words[at])
                        at += 20 * xstep


@njit(cache=True, nogil=True, inline="always")
def _counts(word: np.uint16) -> np.float32:  # pragma: no cover - compiled
    swapped = ((word & 0xFF) << 8) | (word >> 8)
    return np.float32(swapped ^ 0x8000)
