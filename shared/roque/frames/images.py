"""Image HDUs of plain FITS files: headers and pixels, nothing of it believed before it is checked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.errors import BadInput, Blemish
from roque.frames.cards import BLOCK, HeaderBlock, read_header
from roque.frames.frame import Header
from roque.frames.handle import DAMAGED, OpenFile

__all__ = ["BIG_ENDIAN", "FitsFile", "Hdu", "require"]

_MOST_BYTES = 1 << 60  # of an HDU
_MOST_PIXELS = 1 << 28  # of an image, which is read as a whole; the largest chips have 1.2e8
_MOST_HDUS = 4096  # of a file; the largest mosaics have some hundred
_AT_ONCE = 4 << 20  # bytes summed together
_NOTHING_CHANGED = 0xFFFFFFFF  # sum of an HDU whose CHECKSUM is right
BIG_ENDIAN = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


@dataclass(frozen=True, slots=True)
class Hdu:
    """A header and data unit and where it lies.

    Parameters
    ----------
    index : int
        Number in the file, from 0.
    block : HeaderBlock
        The header.
    start : int
        First byte of the data.
    shape : tuple of int
        Shape of the image, slowest axis first; () if there are no data.
    nbytes : int
        Bytes of the data, heap included, padding left out.
    """

    index: int
    block: HeaderBlock
    start: int
    shape: tuple[int, ...]
    nbytes: int

    @property
    def header(self) -> Header:
        """Keyword to value."""
        return self.block.header

    @property
    def end(self) -> int:
        """First byte after the data and their padding."""
        return self.start + -(-self.nbytes // BLOCK) * BLOCK


class FitsFile(OpenFile):
    """A plain FITS file, read HDU by HDU; the arguments are those of `OpenFile`."""

    def hdus(self) -> Iterator[Hdu]:
        """HDUs in order, read as they are asked for.

        Raises
        ------
        BadInput
            A header that cannot be read, or data that are shorter than their header says.
        """
        offset, index = 0, 0
        # what is left when less than a block is left is junk that other readers pass over too, if it is no header cut short
        while index == 0 or offset + BLOCK <= self.size or self.read(offset, 8) == b"XTENSION":
            if index == _MOST_HDUS:
                message = f"more than {_MOST_HDUS} HDUs: no camera writes so many"
                raise BadInput(message, file=self.name, place=f"byte {offset}", remedy=DAMAGED)
            hdu = self.hdu(offset, index)
            if hdu.start + hdu.nbytes > self.size:
                raise BadInput(
                    f"the data of HDU {index} are cut short: {hdu.nbytes} bytes by their header,"
                    f" {max(0, self.size - hdu.start)} in the file",
                    file=self.name,
                    place=f"byte {self.size}",
                    remedy=DAMAGED,
                )
            yield hdu
            offset, index = hdu.end, index + 1

    def hdu(self, offset: int = 0, index: int = 0) -> Hdu:
        """Read the header of the HDU that starts at a byte; its data may be cut short."""
        block = read_header(self.read, offset, file=self.name)
        shape, nbytes = _extent(block.header, self.name, index)
        return Hdu(index, block, offset + block.size, shape, nbytes)

    def image(self, hdu: Hdu) -> NDArray[Any]:
        """Pixels of an image HDU.

        Returns
        -------
        numpy.ndarray
            float64 if the file holds float64, else float32, scaled by BSCALE and BZERO, native byte order.

        Raises
        ------
        BadInput
            Not an image, or cut short, or the pixels are not those that DATASUM was written for.
        """
        if not hdu.shape or "TFIELDS" in hdu.header:
            raise BadInput(f"HDU {hdu.index} holds no image", file=self.name, place=f"byte {hdu.start}", remedy=DAMAGED)
        if math.prod(hdu.shape) > _MOST_PIXELS:
            message = f"an image of {' x '.join(map(str, reversed(hdu.shape)))} pixels: no camera takes such"
            raise BadInput(message, file=self.name, place=f"HDU {hdu.index}, keyword NAXIS1", remedy=DAMAGED)
        data = self.read(hdu.start, hdu.nbytes) if hdu.start + hdu.nbytes <= self.size else b""
        if len(data) != hdu.nbytes:
            raise BadInput(
                f"the data of HDU {hdu.index} are cut short", file=self.name, place=f"byte {self.size}", remedy=DAMAGED
            )
        self.check_sum(hdu, data)
        raw = np.frombuffer(data, BIG_ENDIAN[hdu.header["BITPIX"]])
        if raw.size != math.prod(hdu.shape):
            raise BadInput(
                f"HDU {hdu.index} is no image by its PCOUNT and GCOUNT",
                file=self.name,
                place=f"HDU {hdu.index}, keyword PCOUNT",
                remedy=DAMAGED,
            )
        raw = raw.reshape(hdu.shape)
        scale, zero = hdu.header.get("BSCALE", 1), hdu.header.get("BZERO", 0)
        if not (_is_number(scale) and _is_number(zero)):
            raise BadInput("BSCALE or BZERO is not a number", file=self.name, place=f"HDU {hdu.index}", remedy=DAMAGED)
        if scale == 1 and zero == 0:
            return raw.astype(np.float64 if raw.dtype.itemsize == 8 and raw.dtype.kind == "f" else np.float32)
        scaled = raw * np.float64(scale) + np.float64(zero)
        return scaled if raw.dtype.itemsize == 8 and raw.dtype.kind == "f" else scaled.astype(np.float32)

    def check_sum(self, hdu: Hdu, data: bytes | None = None) -> None:
        """Compare data, read if they are not given, with DATASUM: readers that don't look hand out wrong pixels.

        Raises
        ------
        BadInput
            The writer left a DATASUM, and it is that of other data.
        """
        wanted = _sum_of(hdu)
        if wanted is None:
            return
        # a block's padding is zero and adds nothing
        total = _ones_sum(data) if data is not None else 0
        for at in range(hdu.start, hdu.start + hdu.nbytes, _AT_ONCE) if data is None else ():
            total = _folded(total + _ones_sum(self.read(at, min(_AT_ONCE, hdu.start + hdu.nbytes - at))))
        if total != wanted:
            raise BadInput(
                f"the pixels of HDU {hdu.index} are not those that were written: DATASUM is {wanted}, theirs {total}",
                file=self.name,
                place=f"byte {hdu.start}",
                remedy=DAMAGED,
            )

    def altered(self) -> list[Blemish]:
        """HDUs whose header is not the one that CHECKSUM was written for; the data are not read, DATASUM stands for them.

        Those behind one that cannot be read are left out: who reads it, is told.
        """
        found: list[Blemish] = []
        hdus = self.hdus()
        while True:
            try:
                hdu = next(hdus)
            except (StopIteration, BadInput):
                return found
            told = _sum_of(hdu)
            if told is None or not isinstance(hdu.header.get("CHECKSUM"), str):
                continue
            header = self.read(hdu.start - hdu.block.size, hdu.block.size)
            if _folded(_ones_sum(header) + told) != _NOTHING_CHANGED:
                message = f"the header of HDU {hdu.index} was changed after its CHECKSUM was written"
                remedy = "none is needed if it was changed on purpose; else copy the file again from where it came"
                found.append(Blemish(message, file=self.name, place=f"HDU {hdu.index}, keyword CHECKSUM", remedy=remedy))


def require(header: Header, keyword: str, kind: type | tuple[type, ...], *, file: str | None = None) -> Any:
    """Value of a keyword that must be there and of a type.

    Parameters
    ----------
    header : dict
        Keyword to value.
    keyword : str
        Name, without HIERARCH.
    kind : type or tuple of types
        What the value must be: bool, int, str, or (int, float) for any number.
    file : str or None
        Name for error messages.

    Raises
    ------
    BadInput
        It is not there, or of another type.
    """
    value = header.get(keyword)
    # bool is an int in Python, and a T is not a number in a header
    if isinstance(value, kind) and isinstance(value, bool) == (kind is bool):
        return value
    wanted = (
        {bool: "T or F", int: "a whole number", str: "a text"}.get(kind, "a number") if isinstance(kind, type) else "a number"
    )
    found = "is missing" if value is None else f"is {value!r}, not {wanted}"
    raise BadInput(
        f"keyword {keyword} {found}", file=file, place=f"keyword {keyword}", remedy="correct the header, or copy the file again"
    )


def _sum_of(hdu: Hdu) -> int | None:
    told = hdu.header.get("DATASUM")
    return int(told) if isinstance(told, str) and told.isdecimal() else None


def _ones_sum(data: bytes) -> int:
    """Sum of 32-bit words in ones' complement arithmetic, as FITS has it."""
    return _folded(int(np.frombuffer(data + b"\0" * (-len(data) % 4), ">u4").sum(dtype=np.uint64)))


def _folded(total: int) -> int:
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _extent(header: Header, file: str, index: int) -> tuple[tuple[int, ...], int]:
    """Shape and bytes of the data by BITPIX, NAXIS, PCOUNT and GCOUNT."""
    bitpix = require(header, "BITPIX", int, file=file)
    naxis = require(header, "NAXIS", int, file=file)
    if bitpix not in BIG_ENDIAN or not 0 <= naxis <= 999:
        raise BadInput(
            f"BITPIX {bitpix} and NAXIS {naxis} describe no FITS data",
            file=file,
            place=f"HDU {index}, keyword BITPIX",
            remedy=DAMAGED,
        )
    axes = [require(header, f"NAXIS{i + 1}", int, file=file) for i in range(naxis)]
    pcount, gcount = header.get("PCOUNT", 0), header.get("GCOUNT", 1)
    for keyword, size in [*((f"NAXIS{i + 1}", n) for i, n in enumerate(axes)), ("PCOUNT", pcount), ("GCOUNT", gcount)]:
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise BadInput(f"{keyword} of HDU {index} is {size!r}", file=file, place=f"keyword {keyword}", remedy=DAMAGED)
    pixels = math.prod(axes) if axes else 0
    nbytes = abs(bitpix) // 8 * gcount * (pcount + pixels)
    if nbytes > _MOST_BYTES:
        largest = f"NAXIS{1 + axes.index(max(axes))}" if axes else "PCOUNT"
        message = f"{largest} cannot be {header.get(largest)}: HDU {index} would have more bytes than any disk holds"
        raise BadInput(message, file=file, place=f"keyword {largest}", remedy=DAMAGED)
    return tuple(reversed(axes)) if pixels else (), nbytes
