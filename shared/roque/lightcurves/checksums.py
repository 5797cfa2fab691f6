"""CHECKSUM and DATASUM of FITS: whoever copies a file can tell whether it came whole."""

from __future__ import annotations

import numpy as np

__all__ = ["ZERO", "encode", "ones_sum"]

ZERO = "0" * 16
"""Value of CHECKSUM while the sum is taken."""

_WORD = 0xFFFFFFFF
_PUNCTUATION = frozenset(range(0x3A, 0x41)) | frozenset(range(0x5B, 0x61))


def ones_sum(data: bytes | memoryview, start: int = 0) -> int:
    """Add the 32-bit words of data, of a length that is a multiple of four, to a sum in ones' complement arithmetic."""
    total = start + int(np.frombuffer(data, ">u4").sum(dtype=np.uint64))
    while total >> 32:
        total = (total & _WORD) + (total >> 32)
    return total


def encode(total: int) -> str:
    """Value of CHECKSUM that makes the sum of an HDU all ones, given its sum with `ZERO` in place of it.

    Notes
    -----
    FITS Standard 4.0, appendix J: each byte of the complement is spread over four letters or digits, whose offsets from ASCII
    0 add up to it; pairs are shifted against each other until none is punctuation. As the value begins in the fourth byte of
    a word, it is turned by one place.
    """
    letters = [0] * 16
    for k, byte in enumerate((~total & _WORD).to_bytes(4, "big")):
        parts = [byte // 4 + 0x30 + (byte % 4 if j == 0 else 0) for j in range(4)]
        while _PUNCTUATION & set(parts):
            for j in (0, 2):
                if _PUNCTUATION & {parts[j], parts[j + 1]}:
                    parts[j] += 1
                    parts[j + 1] -= 1
        for j, part in enumerate(parts):
            letters[4 * j + k] = part
    return bytes(letters[-1:] + letters[:-1]).decode("ascii")
