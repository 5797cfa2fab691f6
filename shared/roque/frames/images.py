"""Image HDUs of plain FITS files: headers and pixels, nothing of it believed before it is checked."""

from __future__ import annotations

import mmap
import os
import stat
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from roque.errors import BadInput, NotFound, Transient
from roque.frames.cards import BLOCK, HeaderBlock, read_header
from roque.frames.frame import Header

__all__ = ["BIG_ENDIAN", "FitsFile", "Hdu", "require"]

BIG_ENDIAN = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_DAMAGED = "the file is damaged: copy it again from where it came"


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


class FitsFile:
    """A plain FITS file, read HDU by HDU through its own file handle.

    Parameters
    ----------
    path : path
        The file.
    name : str or None
        How it is called in messages, where it is the unpacked copy of another.

    Raises
    ------
    NotFound
        There is no such file.
    BadInput
        It is no file, or may not be read.
    """

    def __init__(self, path: str | os.PathLike[str], name: str | None = None) -> None:
        self.name = os.fspath(path) if name is None else name
        try:
            # without waiting: a pipe in a data folder would keep the reader for ever
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            raise NotFound("no such file", file=self.name) from None
        except PermissionError:
            raise BadInput("the file may not be read", file=self.name, remedy="give roque the right to read it") from None
        except (OSError, ValueError) as error:
            raise BadInput(f"the file cannot be opened: {error}", file=self.name) from None
        # a source that nobody closes must not keep its file open for ever
        self._closer = weakref.finalize(self, os.close, self._fd)
        if not stat.S_ISREG(self.status.st_mode):
            self.close()
            raise BadInput("not a file", file=self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self._closer()
        self._fd = -1  # the number may soon be another file's

    @property
    def status(self) -> os.stat_result:
        """Size and times of the file now."""
        return os.fstat(self._fd)

    @property
    def size(self) -> int:
        """Bytes of the file now."""
        return self.status.st_size

    def read(self, offset: int, size: int) -> bytes:
        """Read bytes at an offset, fewer at the end of the file.

        Raises
        ------
        Transient
            The disk or the network fails.
        """
        try:
            data = os.pread(self._fd, size, offset)
            # one call gives no more than 2 GiB, and less where a signal comes between
            while 0 < len(data) < size and (more := os.pread(self._fd, size - len(data), offset + len(data))):
                data += more
        except OSError as error:
            raise Transient(f"the file cannot be read: {error}", file=self.name, place=f"byte {offset}") from error
        return data

    def map(self) -> mmap.mmap:
        """Map the file as it is now, read-only. The map outlives the file handle.

        Raises
        ------
        BadInput
            The file is empty by now.
        Transient
            The disk or the network fails.
        """
        try:
            return mmap.mmap(self._fd, 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise BadInput("the file became empty while it was read", file=self.name, place="byte 0", remedy=_DAMAGED) from None
        except OSError as error:
            raise Transient(f"the file cannot be read: {error}", file=self.name) from error

    def hdus(self) -> Iterator[Hdu]:
        """HDUs in order, read as they are asked for.

        Raises
        ------
        BadInput
            A header that cannot be read, or data that are shorter than their header says.
        """
        offset, index = 0, 0
        # what is left when less than a block is left is junk that other readers pass over too
        while index == 0 or offset + BLOCK <= self.size:
            hdu = self.hdu(offset, index)
            if hdu.start + hdu.nbytes > self.size:
                raise BadInput(
                    f"the data of HDU {index} are cut short: {hdu.nbytes} bytes by their header,"
                    f" {max(0, self.size - hdu.start)} in the file",
                    file=self.name,
                    place=f"byte {self.size}",
                    remedy=_DAMAGED,
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
            raise BadInput(f"HDU {hdu.index} holds no image", file=self.name, place=f"byte {hdu.start}", remedy=_DAMAGED)
        data = self.read(hdu.start, hdu.nbytes) if hdu.start + hdu.nbytes <= self.size else b""
        if len(data) != hdu.nbytes:
            raise BadInput(
                f"the data of HDU {hdu.index} are cut short", file=self.name, place=f"byte {self.size}", remedy=_DAMAGED
            )
        self._check_sum(hdu, data)
        raw = np.frombuffer(data, BIG_ENDIAN[hdu.header["BITPIX"]]).reshape(hdu.shape)
        scale, zero = hdu.header.get("BSCALE", 1), hdu.header.get("BZERO", 0)
        if not (_is_number(scale) and _is_number(zero)):
            raise BadInput("BSCALE or BZERO is not a number", file=self.name, place=f"HDU {hdu.index}", remedy=_DAMAGED)
        if scale == 1 and zero == 0:
            return raw.astype(np.float64 if raw.dtype.itemsize == 8 and raw.dtype.kind == "f" else np.float32)
        scaled = raw * np.float64(scale) + np.float64(zero)
        return scaled if raw.dtype.itemsize == 8 and raw.dtype.kind == "f" else scaled.astype(np.float32)

    def _check_sum(self, hdu: Hdu, data: bytes) -> None:
        """Compare the data with DATASUM, where the writer left one: readers that don't look hand out wrong pixels."""
        wanted = hdu.header.get("DATASUM")
        if not (isinstance(wanted, str) and wanted.isdigit()):
            return
        padded = data + b"\0" * (-len(data) % 4)  # a block's padding is zero and adds nothing
        total = int(np.frombuffer(padded, ">u4").sum(dtype=np.uint64))
        while total >> 32:
            total = (total & 0xFFFFFFFF) + (total >> 32)
        if total != int(wanted):
            raise BadInput(
                f"the pixels of HDU {hdu.index} are not those that were written: DATASUM is {wanted}, theirs {total}",
                file=self.name,
                place=f"byte {hdu.start}",
                remedy=_DAMAGED,
            )


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
            remedy=_DAMAGED,
        )
    axes = [require(header, f"NAXIS{i + 1}", int, file=file) for i in range(naxis)]
    pcount, gcount = header.get("PCOUNT", 0), header.get("GCOUNT", 1)
    for keyword, size in [*((f"NAXIS{i + 1}", n) for i, n in enumerate(axes)), ("PCOUNT", pcount), ("GCOUNT", gcount)]:
        if not isinstance(size, int) or size < 0:
            raise BadInput(f"{keyword} of HDU {index} is {size!r}", file=file, place=f"keyword {keyword}", remedy=_DAMAGED)
    pixels = 1 if axes else 0
    for axis in axes:
        pixels *= axis
    return tuple(reversed(axes)) if pixels else (), abs(bitpix) // 8 * gcount * (pcount + pixels)
