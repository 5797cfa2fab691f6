"""Binary FITS tables with checksums, written byte for byte the same for the same content."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from roque.lightcurves.checksums import ZERO, encode, ones_sum

if TYPE_CHECKING:
    from astropy.io.fits import Header

__all__ = ["text_table", "write_primary", "write_table"]

_BLOCK = 2880
_ROWS = 1 << 15  # rows that are turned into big-endian ones at a time
_UNSIGNED = 1 << 31


def write_primary(file: BinaryIO, cards: Mapping[str, tuple[Any, str]]) -> None:
    """Write a first HDU without data, with further cards (value and comment by keyword)."""
    from astropy.io import fits  # noqa: PLC0415 - reading ASCII logs should not wait for it

    header = fits.Header([("SIMPLE", True, "conforms to FITS standard"), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True)])
    header.extend((keyword, value, comment) for keyword, (value, comment) in cards.items())
    file.write(_signed(header, 0))


def write_table(file: BinaryIO, name: str, table: NDArray[np.void], cards: Mapping[str, tuple[Any, str]]) -> None:
    """Write a structured array as a binary table.

    Parameters
    ----------
    file : binary file
        Where to write, at the end of an HDU; it must be able to go back.
    name : str
        EXTNAME.
    table : structured array
        Columns of types bool, int32, uint32 (offset by TZERO), float32, float64 or bytes.
    cards : mapping
        Further cards, value and comment by keyword.
    """
    stored = np.dtype([(column, _stored(table.dtype[column])) for column in table.dtype.names or ()])
    header = _table_header(name, table, stored, cards)
    start = file.tell()
    file.write(_signed(header, 0))
    total, rest = 0, b""
    for first in range(0, len(table), _ROWS):
        part = table[first : first + _ROWS]
        rows = np.empty(len(part), stored)
        for column in stored.names or ():
            values = part[column]
            if values.dtype == np.bool_:
                rows[column] = np.where(values, b"T", b"F").view("u1")
            elif values.dtype == np.uint32:
                rows[column] = values ^ np.uint32(_UNSIGNED)
            else:
                rows[column] = values
        data = rest + rows.tobytes()
        whole = len(data) // 4 * 4
        total, rest = ones_sum(memoryview(data)[:whole], total), data[whole:]
        file.write(data[:whole])
    end = rest + bytes(-(len(table) * stored.itemsize) % _BLOCK)
    file.write(end)
    file.seek(start)
    file.write(_signed(header, ones_sum(end, total)))
    file.seek(0, os.SEEK_END)


def text_table(lines: Iterable[str]) -> NDArray[np.void]:
    """Make a table with a line of text in each row, in a column called TEXT."""
    encoded = [line.encode("ascii", "backslashreplace") for line in lines]
    width = max(map(len, encoded), default=1)
    return np.array([(line,) for line in encoded], [("TEXT", f"S{max(1, width)}")])


def _signed(header: Header, data: int) -> bytes:
    """A header that says what its HDU adds up to, for data that add up to `data`."""
    header["DATASUM"] = (str(data), "sum of the data, in words of 32 bits")
    header["CHECKSUM"] = (ZERO, "makes the sum of the HDU all ones")
    header["CHECKSUM"] = encode(ones_sum(header.tostring().encode("ascii"), data))
    return bytes(header.tostring().encode("ascii"))


def _stored(kind: np.dtype[Any]) -> str:
    """Type of a column in the file, as numpy writes it."""
    if kind.kind == "S":
        return f"S{kind.itemsize}"
    return {"b": "u1", "i": ">i4", "u": ">u4", "f": f">f{kind.itemsize}"}[kind.kind]


def _table_header(
    name: str, table: NDArray[np.void], stored: np.dtype[np.void], cards: Mapping[str, tuple[Any, str]]
) -> Header:
    from astropy.io import fits  # noqa: PLC0415 - as above

    header = fits.Header(
        [
            ("XTENSION", "BINTABLE", "binary table extension"),
            ("BITPIX", 8, "array data type"),
            ("NAXIS", 2, "number of array dimensions"),
            ("NAXIS1", stored.itemsize, "bytes of a row"),
            ("NAXIS2", len(table), "rows"),
            ("PCOUNT", 0, "number of group parameters"),
            ("GCOUNT", 1, "number of groups"),
            ("TFIELDS", len(stored.names or ()), "number of table fields"),
        ]
    )
    for number, (column, form) in enumerate(_forms(table.dtype), 1):
        header[f"TTYPE{number}"] = column
        header[f"TFORM{number}"] = form
        if table.dtype[column].kind == "u":
            header[f"TZERO{number}"] = _UNSIGNED
    header["EXTNAME"] = name
    header.extend((keyword, value, comment) for keyword, (value, comment) in cards.items())
    return header


def _forms(kinds: np.dtype[np.void]) -> Sequence[tuple[str, str]]:
    letters = {"b": "L", "i": "J", "u": "J"}
    found = []
    for column in kinds.names or ():
        kind = kinds[column]
        if kind.kind == "S":
            form = f"{kind.itemsize}A"
        elif kind.kind == "f":
            form = "D" if kind.itemsize == 8 else "E"
        else:
            form = letters[kind.kind]
        found.append((column, form))
    return found
