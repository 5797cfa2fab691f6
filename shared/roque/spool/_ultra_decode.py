"""Kernels that turn raw words of ULTRACAM and ULTRASPEC, plain unsigned numbers, into counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from roque.compiling import njit

__all__ = ["decode_parts", "decode_plain", "warm_plain_words"]


@njit(cache=True, nogil=True)
def decode_plain(
    words: NDArray[np.uint16], start: int, row_step: int, column_step: int, out: NDArray[np.float32]
) -> None:  # pragma: no cover - compiled
    """Counts of a box: its first pixel is word `start`, and rows and columns lie steps of words apart."""
    for j in range(out.shape[0]):
        at = start + j * row_step
        for i in range(out.shape[1]):
            out[j, i] = np.float32(np.int32(words[at]))
            at += column_step


@njit(cache=True, nogil=True)
def decode_parts(
    words: NDArray[np.uint16], table: NDArray[np.int64], rows: int, out: NDArray[np.float32]
) -> None:  # pragma: no cover - compiled
    """Counts of all windows of a frame, one window after another.

    Goes through the frame once: rows of all windows of a pair lie between each other, and so stay in the nearest cache.

    Parameters
    ----------
    words : array of uint16
        The frame.
    table : array, shape (parts, 7)
        First word, steps to the next row and column, columns and rows of each part, its place in `out`, and the width of its
        window.
    rows : int
        Rows of the highest window.
    out : array of float32
        Filled.
    """
    for j in range(rows):
        for k in range(table.shape[0]):
            if j >= table[k, 4]:
                continue
            at, step, nx = table[k, 0] + j * table[k, 1], table[k, 2], table[k, 3]
            place = table[k, 5] + j * table[k, 6]
            for i in range(nx):
                out[place + i] = np.float32(np.int32(words[at]))
                at += step


def warm_plain_words() -> None:
    """Compile the kernels for words as they are read: no simulation writes runs of these cameras."""
    words = np.frombuffer(bytes(8), np.uint16)
    out = np.empty((2, 2), np.float32)
    for whole in (out, out[:, :1]):
        decode_plain(words, 0, 2, 1, whole)
    decode_parts(words, np.array([[0, 2, 1, 2, 2, 0, 2]], np.int64), 2, out.reshape(-1))
