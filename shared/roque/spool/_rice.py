"""Rice decoding, as tiles of compressed FITS images need it (Pence et al. 2010, PASP 122, 1065)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from roque.compiling import njit

__all__ = ["rice"]


@njit(cache=True, nogil=True)
def rice(data: NDArray[np.uint8], size: int, block: int, out: NDArray[np.int64]) -> bool:  # pragma: no cover - compiled
    """Decode the pixels of a tile.

    The first pixel stands in full; then, for each block, a number of bits that differences are split at, and the
    differences: high part in unary, low part as it is, the sign in the last bit.

    Parameters
    ----------
    data : array of uint8
        The compressed tile.
    size : int
        Bytes of a pixel: 1, 2 or 4.
    block : int
        Pixels of a block.
    out : array of int64
        Filled; unsigned for 1 byte, signed for 2 and 4.

    Returns
    -------
    bool
        False if the data end too early, or go on for bytes behind the last pixel.
    """
    width = 8 * size
    split_bits = 3 if size == 1 else (4 if size == 2 else 5)
    most = 6 if size == 1 else (14 if size == 2 else 25)
    mask = (1 << width) - 1
    if data.size < size:
        return False
    value = 0
    for i in range(size):
        value = (value << 8) | int(data[i])
    at, held, bits = size, 0, 0  # next byte, bits read and not used yet, how many
    done = 0
    while done < out.size:
        while bits < split_bits:
            if at >= data.size:
                return False
            held, bits, at = (held << 8) | int(data[at]), bits + 8, at + 1
        bits -= split_bits
        split = (held >> bits) - 1
        held &= (1 << bits) - 1
        for i in range(done, min(done + block, out.size)):
            code = 0
            if split >= 0:
                low = split
                if split == most:
                    low = width
                else:
                    while held == 0:
                        code += bits
                        if at >= data.size:
                            return False
                        held, bits, at = int(data[at]), 8, at + 1
                    top = bits - 1
                    while held >> top == 0:
                        top -= 1
                    code += bits - 1 - top
                    bits = top
                    held &= (1 << bits) - 1
                while bits < low:
                    if at >= data.size:
                        return False
                    held, bits, at = (held << 8) | int(data[at]), bits + 8, at + 1
                bits -= low
                code = (code << low) | (held >> bits)
                held &= (1 << bits) - 1
            difference = ~(code >> 1) if code & 1 else code >> 1
            value = (value + difference) & mask
            out[i] = value - (mask + 1) if size > 1 and value >> (width - 1) else value
        done += block
    # writers end with the byte of the last bit; some fill up to a word
    return data.size - at < 8
