"""Rows of tables as FITS has them, compiled: logs have tens of millions of numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from roque.compiling import njit

__all__ = ["turn_rows"]

_BOOL, _UNSIGNED, _BYTES = ord("b"), ord("u"), ord("S")
_TRUE, _FALSE, _TOP = ord("T"), ord("F"), 128


@njit(cache=True, nogil=True)
def turn_rows(
    rows: NDArray[np.uint8], kinds: NDArray[np.int64], sizes: NDArray[np.int64], out: NDArray[np.uint8]
) -> None:  # pragma: no cover - compiled
    """Turn the bytes of little-endian rows into those of a binary FITS table.

    Parameters
    ----------
    rows : array of uint8, shape (rows, bytes of a row)
        Bytes of packed rows.
    kinds, sizes : array of int64
        Of each column the letter of its kind, as numpy has it, and its bytes.
    out : array of uint8, of the same shape
        Filled: numbers big-endian, booleans T or F, unsigned ones less 2**31.
    """
    for row in range(rows.shape[0]):
        at = 0
        for column in range(len(kinds)):
            size, kind = sizes[column], kinds[column]
            if kind == _BOOL:
                out[row, at] = _TRUE if rows[row, at] else _FALSE
            elif kind == _BYTES:
                for i in range(size):
                    out[row, at + i] = rows[row, at + i]
            elif size == 4:
                for i in range(4):
                    out[row, at + i] = rows[row, at + 3 - i]
            else:
                for i in range(size):
                    out[row, at + i] = rows[row, at + size - 1 - i]
            if kind == _UNSIGNED:
                out[row, at] ^= _TOP
            at += size
