"""Compressed FITS images (.fz), tile by tile: nothing of a damaged file gets further than a `BadInput`."""

from __future__ import annotations

import itertools
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.errors import BadInput
from roque.frames.images import BIG_ENDIAN, FitsFile, Hdu
from roque.spool._rice import rice

__all__ = ["TiledImage"]

_DAMAGED = "the file is damaged: copy it again from where it came"
_METHODS = {"RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2"}
_FORM = re.compile(r"(\d*)([LXBIJKAEDCMPQ])(?:([BIJKED]).*)?")
_BYTES = {"L": 1, "X": 1, "B": 1, "A": 1, "I": 2, "J": 4, "E": 4, "K": 8, "D": 8, "C": 8, "P": 8, "M": 16, "Q": 16}
_LARGEST_BLOCK = 1 << 20  # pixels; writers take 16 or 32
_MEMORY = 240 << 20  # bytes for unpacking; a whole image of 4000 x 4000 as one tile takes 200
_RANDOM = 10000  # numbers of the dithering table
_BLANK = -2147483647  # stands for NaN in quantised tiles that don't say otherwise
_ZERO = -2147483646  # stands for 0 exactly, in the second method of dithering


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the table of tiles: code of its numbers, code of what its descriptors point to, first byte in a row."""

    code: str
    target: str
    offset: int


class TiledImage:
    """A compressed image in a FITS file.

    Parameters
    ----------
    file : FitsFile
        The file.
    hdu : Hdu
        The table that holds the image.
    cap : int
        Bytes that the image may have.

    Raises
    ------
    BadInput
        Its header makes no sense, or it is compressed in a way that is not read.
    """

    def __init__(self, file: FitsFile, hdu: Hdu, cap: int) -> None:
        self._file = file
        self._hdu = hdu
        self._header = hdu.header
        self.bitpix = self._whole("ZBITPIX", tuple(BIG_ENDIAN))
        axes = [self._whole(f"ZNAXIS{i + 1}", None) for i in range(self._whole("ZNAXIS", tuple(range(1, 7))))]
        default = [axes[0], *[1] * (len(axes) - 1)]
        tiles = [self._whole(f"ZTILE{i + 1}", None, n) for i, n in enumerate(default)]
        self.axes = tuple(axes)
        self.shape = tuple(reversed(axes))
        if abs(self.bitpix) // 8 * math.prod(axes) > cap:
            raise self._wrong(f"an image of {' x '.join(map(str, axes))} pixels is more than {cap} bytes", "unpack it by hand")
        self._tile = tuple(min(t, n) for t, n in zip(reversed(tiles), self.shape, strict=True))
        self._refuse_large_tiles()
        self._method = str(self._header.get("ZCMPTYPE", "")).strip()
        if self._method not in _METHODS:
            raise self._wrong(f"compressed by {self._method or 'no method'}, which is not read", "unpack it with funpack")
        self._columns = self._read_columns()
        if self._whole("NAXIS2", None) != math.prod(-(-n // t) for n, t in zip(self.shape, self._tile, strict=True)):
            raise self._wrong("the number of tiles does not fit the image")
        self._parameters = self._read_parameters()

    def _refuse_large_tiles(self) -> None:
        """Rows of tiles are made as a whole, and a tile in numbers of 64 bits, of reals with their noise beside them."""
        row = abs(self.bitpix) // 8 * math.prod(self.shape[1:]) * self._tile[0]
        tile = (8 if self.bitpix > 0 else 24) * math.prod(self._tile)
        if 2 * row + tile > _MEMORY:
            size = " x ".join(str(n) for n in reversed(self._tile))
            raise self._wrong(f"tiles of {size} pixels take more than {_MEMORY} bytes", "unpack it with funpack")

    def chunks(self) -> Iterator[bytes]:
        """Pixels, big-endian, in the order of the file, one row of tiles of the slowest axis at a time."""
        counts = [-(-n // t) for n, t in zip(self.shape, self._tile, strict=True)]
        inner = list(itertools.product(*map(range, counts[1:])))
        dtype = np.dtype(BIG_ENDIAN[self.bitpix])
        for slab in range(counts[0]):
            first = slab * self._tile[0]
            part = np.empty((min(self._tile[0], self.shape[0] - first), *self.shape[1:]), dtype)
            for place, index in enumerate(inner):
                where = tuple(
                    slice(i * t, min((i + 1) * t, n)) for i, t, n in zip(index, self._tile[1:], self.shape[1:], strict=True)
                )
                target = part[(slice(None), *where)]
                target[...] = self._tile_pixels(slab * len(inner) + place, target.size).reshape(target.shape)
            yield part.tobytes()

    def _tile_pixels(self, row: int, n: int) -> NDArray[Any]:
        """Pixels of a tile."""
        at = self._hdu.start + row * int(self._header["NAXIS1"])
        record = self._file.read(at, int(self._header["NAXIS1"]))
        data, _ = self._heap(record, "COMPRESSED_DATA")
        if data:
            whole = self.bitpix > 0 or "ZSCALE" in self._columns or "ZSCALE" in self._header
            if not whole:
                return self._inflate(data, n, BIG_ENDIAN[self.bitpix], self._method)
            numbers = self._integers(data, n)
            return numbers if self.bitpix > 0 else self._restore(numbers, record, row)
        data, _ = self._heap(record, "GZIP_COMPRESSED_DATA")
        if data:
            return self._inflate(data, n, BIG_ENDIAN[self.bitpix], "GZIP_1")
        data, code = self._heap(record, "UNCOMPRESSED_DATA")
        dtype = np.dtype(f">{ {'B': 'u1', 'I': 'i2', 'J': 'i4', 'K': 'i8', 'E': 'f4', 'D': 'f8'}[code] }")
        if len(data) != n * dtype.itemsize:
            raise self._wrong(f"tile {row + 1} has no data")
        return np.frombuffer(data, dtype)

    def _integers(self, data: bytes, n: int) -> NDArray[Any]:
        if not self._method.startswith("RICE"):
            # quantised floats are kept as 32-bit integers
            return self._inflate(data, n, BIG_ENDIAN[self.bitpix if self.bitpix > 0 else 32], self._method)
        size, block = self._parameters.get("BYTEPIX", 4), self._parameters.get("BLOCKSIZE", 32)
        out = np.empty(n, np.int64)
        if (
            size not in {1, 2, 4}
            or not 1 <= block <= _LARGEST_BLOCK
            or not rice(np.frombuffer(data, np.uint8), size, block, out)
        ):
            raise self._wrong("a tile has another size than its pixels take")
        return out

    def _inflate(self, data: bytes, n: int, dtype: str, method: str) -> NDArray[Any]:
        size = np.dtype(dtype).itemsize
        engine = zlib.decompressobj(wbits=31)
        try:
            raw = engine.decompress(data, n * size + 1)
        except zlib.error as error:
            raise self._wrong(f"a tile cannot be unpacked: {error}") from None
        if len(raw) != n * size or not engine.eof:  # at its end stands its own checksum
            raise self._wrong("a tile has another size than the image says")
        if method == "GZIP_2":  # all first bytes, then all second bytes ...
            raw = np.frombuffer(raw, np.uint8).reshape(size, n).T.tobytes()
        return np.frombuffer(raw, dtype)

    def _restore(self, numbers: NDArray[Any], record: bytes, row: int) -> NDArray[np.float64]:
        """Floats from quantised numbers."""
        scale, zero = self._real(record, "ZSCALE"), self._real(record, "ZZERO")
        blank = self._header.get("ZBLANK", _BLANK)
        dither = str(self._header.get("ZQUANTIZ", "NO_DITHER")).strip()
        values = numbers.astype(np.float64)
        if dither.startswith("SUBTRACTIVE_DITHER"):
            seed = self._whole("ZDITHER0", tuple(range(1, _RANDOM + 1)), 1)
            values = values - _noise((row + seed - 1) % _RANDOM, len(values)) + 0.5
        with np.errstate(over="ignore", invalid="ignore"):  # a damaged scale gives infinities, which are no counts
            values = values * scale + zero
        if dither == "SUBTRACTIVE_DITHER_2":
            values[numbers == _ZERO] = 0.0
        values[numbers == blank] = np.nan
        return values

    def _real(self, record: bytes, name: str) -> float:
        """Scale or zero of a tile, from its column or from the header."""
        column = self._columns.get(name)
        if column is None:
            if name not in self._header:
                raise self._wrong(f"{name} of the quantised pixels is missing")
            value = self._header[name]
            return float(value) if isinstance(value, int | float) else math.nan
        if column.code not in {"E", "D"}:
            raise self._wrong(f"column {name} holds no real numbers")
        dtype = ">f4" if column.code == "E" else ">f8"
        return float(np.frombuffer(record, dtype, 1, column.offset)[0])

    def _heap(self, record: bytes, name: str) -> tuple[bytes, str]:
        """Bytes that a descriptor points to, and the code of what they are; none if the tile is not in that column."""
        column = self._columns.get(name)
        if column is None:
            return b"", "B"
        if column.code not in {"P", "Q"}:
            raise self._wrong(f"column {name} holds no descriptors")
        length, offset = np.frombuffer(record, ">i4" if column.code == "P" else ">i8", 2, column.offset).tolist()
        nbytes = length * _BYTES[column.target]
        start = self._header.get("THEAP", self._header["NAXIS1"] * self._header["NAXIS2"])
        if length < 0 or offset < 0 or not isinstance(start, int) or not 0 <= start + offset + nbytes <= self._hdu.nbytes:
            raise self._wrong("a tile lies outside the file")
        return self._file.read(self._hdu.start + start + offset, nbytes), column.target

    def _read_columns(self) -> dict[str, _Column]:
        columns, offset = {}, 0
        for i in range(1, self._whole("TFIELDS", tuple(range(1, 100))) + 1):
            form = _FORM.fullmatch(str(self._header.get(f"TFORM{i}", "")).strip())
            if form is None:
                raise self._wrong(f"column {i} of the table has no known format")
            name = str(self._header.get(f"TTYPE{i}", "")).strip()
            columns[name] = _Column(form[2], form[3] or "B", offset)
            offset += (int(form[1]) if form[1] else 1) * _BYTES[form[2]]
        if offset != self._header.get("NAXIS1") or "COMPRESSED_DATA" not in columns:
            raise self._wrong("the table holds no compressed image")
        return columns

    def _read_parameters(self) -> dict[str, int]:
        """Parameters of the method: ZNAMEn and ZVALn."""
        found = {}
        for i in range(1, 100):
            name, value = self._header.get(f"ZNAME{i}"), self._header.get(f"ZVAL{i}")
            if isinstance(name, str) and isinstance(value, int):
                found[name] = value
        return found

    def _whole(self, keyword: str, allowed: tuple[int, ...] | None, default: int | None = None) -> int:
        """Whole number of the header: one of those allowed, or any from 1 on."""
        value = self._header.get(keyword, default)
        if not isinstance(value, int) or isinstance(value, bool) or (value < 1 if allowed is None else value not in allowed):
            raise self._wrong(f"{keyword} is {value!r}")
        return value

    def _wrong(self, message: str, remedy: str = _DAMAGED) -> BadInput:
        return BadInput(f"compressed image: {message}", file=self._file.name, place=f"HDU {self._hdu.index}", remedy=remedy)


@cache
def _table() -> NDArray[np.float64]:
    """Random numbers of the FITS standard for dithering (appendix I)."""
    values, seed = np.empty(_RANDOM), 1.0
    for i in range(_RANDOM):
        product = 16807.0 * seed
        seed = product - 2147483647.0 * int(product / 2147483647.0)
        values[i] = seed / 2147483647.0
    return values


def _noise(start: int, n: int) -> NDArray[np.float64]:
    """Random numbers of a tile: runs of the table, each beginning where the table's next entry says."""
    table, parts, left = _table(), [], n
    while left > 0:
        run = table[int(table[start] * 500) :][:left]
        parts.append(run)
        left -= len(run)
        start = (start + 1) % _RANDOM
    return np.concatenate(parts)
