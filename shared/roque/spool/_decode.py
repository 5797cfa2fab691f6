"""Kernels that turn raw HiPERCAM words into counts.

Words are big-endian signed with an offset of 32768: byte-swapped and with the top bit flipped they are the counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from roque.compiling import njit

__all__ = ["decode_all", "decode_box", "decode_box_grouped"]

_BLOCK = 512  # columns; with 20 counts each they fit into the second cache, and long rows keep the writes together


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

    Goes through the raw rows once. Words are turned into counts in the order in which they come, which the compiler does with
    vector instructions, and then dealt out to the 20 outputs from the nearest cache.

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
    dealt = np.empty((_BLOCK, 20), np.float32)
    counts = dealt.reshape(-1)
    for s in range(sets.shape[0]):
        base, width = sets[s, 0], sets[s, 1]
        for y in range(sets[s, 2]):
            for left in range(0, width, _BLOCK):
                right = min(left + _BLOCK, width)
                start = base + 20 * (y * width + left)
                if grouped:
                    _ungroup(words, base, y * width + left, counts[: 20 * (right - left)])
                else:
                    part = words[start : start + 20 * (right - left)]
                    for i in range(part.size):
                        counts[i] = _counts(part[i])
                for k in range(sets[s, 3], sets[s, 4]):
                    _deal(dealt, table[k], y, left, right, out)


@njit(cache=True, nogil=True, inline="always")
def _deal(
    dealt: NDArray[np.float32], window: NDArray[np.int64], y: int, left: int, right: int, out: NDArray[np.float32]
) -> None:  # pragma: no cover - compiled
    """Put raw columns `left` to `right` of raw row `y` into a window, if it has that row."""
    j = (y - window[3]) * window[4]
    if j < 0 or j >= window[6]:
        return
    x0, nx, stream, place = window[1], window[5], window[0], window[7] + j * window[5]
    if window[2] > 0:
        first, last = max(left, x0), min(right, x0 + nx)
        to = out[place + first - x0 : place + last - x0]
        column = dealt[first - left : last - left, stream]
        for i in range(to.size):
            to[i] = column[i]
    else:
        first, last = max(left, x0 - nx + 1), min(right, x0 + 1)
        to = out[place + x0 - last + 1 : place + x0 - first + 1]
        column = dealt[first - left : last - left, stream]
        for i in range(to.size):
            to[i] = column[to.size - 1 - i]


@njit(cache=True, nogil=True)
def _ungroup(
    words: NDArray[np.uint16], base: int, first: int, counts: NDArray[np.float32]
) -> None:  # pragma: no cover - compiled
    """Counts of consecutive pixels that come in fours, as if they came one by one."""
    for i in range(counts.size // 20):
        pixel = first + i
        for stream in range(20):
            at = base + 80 * (pixel >> 2) + 16 * (stream >> 2) + 4 * (pixel & 3) + (stream & 3)
            counts[20 * i + stream] = _counts(words[at])


@njit(cache=True, nogil=True, inline="always")
def _counts(word: np.uint16) -> np.float32:  # pragma: no cover - compiled
    swapped = ((word & 0xFF) << 8) | (word >> 8)
    return np.float32(np.int32(swapped ^ 0x8000))  # there are vector instructions from 32 bits, not from 64
