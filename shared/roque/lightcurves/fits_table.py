"""Binary FITS tables with checksums, written byte for byte the same for the same content."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from roque.frames.cards import BLOCK, format_header
from roque.lightcurves._fits_rows import turn_rows
from roque.lightcurves.checksums import ZERO, encode, ones_sum

__all__ = ["text_table", "write_primary", "write_table"]

_ROWS = 1 << 15  # rows that are turned into big-endian ones at a time
_UNSIGNED = 1 << 31

Cards = Mapping[str, tuple[Any, str]]
"""Value and comment by keyword."""


def write_primary(file: BinaryIO, cards: Cards, comments: Iterable[str] = ()) -> None:
    """Write a first HDU without data, with further cards, and lines as COMMENT cards.

    What no card can hold is escaped, and lines that are too long for one go on in the next.
    """
    standard: Cards = {"SIMPLE": (True, "conforms to FITS standard"), "BITPIX": (8, ""), "NAXIS": (0, ""), "EXTEND": (True, "")}
    file.write(_signed({**standard, **cards}, 0, [_printable(line) for line in comments]))


def write_table(file: BinaryIO, name: str, table: NDArray[np.void], cards: Cards) -> None:
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
        Further cards.
    """
    header = {**_table_cards(name, table), **cards}
    start = file.tell()
    file.write(_signed(header, 0))
    little = np.dtype([(column, table.dtype[column].newbyteorder("<")) for column in table.dtype.names or ()])
    kinds = np.array([ord(little[column].kind) for column in little.names or ()], np.int64)
    sizes = np.array([little[column].itemsize for column in little.names or ()], np.int64)
    total, rest = 0, b""
    for first in range(0, len(table), _ROWS):
        rows = np.ascontiguousarray(table[first : first + _ROWS].astype(little, copy=False))
        turned = np.empty((len(rows), little.itemsize), np.uint8)
        turn_rows(rows.view(np.uint8).reshape(turned.shape), kinds, sizes, turned)
        data = rest + turned.tobytes()
        whole = len(data) // 4 * 4
        total, rest = ones_sum(memoryview(data)[:whole], total), data[whole:]
        file.write(data[:whole])
    end = rest + bytes(-(len(table) * little.itemsize) % BLOCK)
    file.write(end)
    file.seek(start)
    file.write(_signed(header, ones_sum(end, total)))
    file.seek(0, os.SEEK_END)


def text_table(lines: Iterable[str]) -> NDArray[np.void]:
    """Make a table with a line of text in each row, in a column called TEXT."""
    encoded = [line.encode("ascii", "backslashreplace") for line in lines]
    width = max(map(len, encoded), default=1)
    return np.array([(line,) for line in encoded], [("TEXT", f"S{max(1, width)}")])


def _signed(cards: Cards, data: int, lines: Sequence[str] = ()) -> bytes:
    """A header that says what its HDU adds up to, for data that add up to `data`."""
    values = {keyword: value for keyword, (value, _) in cards.items()}
    comments = {keyword: comment for keyword, (_, comment) in cards.items() if comment}
    values |= {"DATASUM": str(data), "CHECKSUM": ZERO, "COMMENT": list(lines)}
    comments |= {"DATASUM": "sum of the data, in words of 32 bits", "CHECKSUM": "makes the sum of the HDU all ones"}
    values["CHECKSUM"] = encode(ones_sum(format_header(values, comments), data))
    return format_header(values, comments)


def _printable(line: str) -> str:
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line.expandtabs())
    return text.encode("ascii", "backslashreplace").decode("ascii")


def _table_cards(name: str, table: NDArray[np.void]) -> dict[str, tuple[Any, str]]:
    kinds = table.dtype
    cards: dict[str, tuple[Any, str]] = {
        "XTENSION": ("BINTABLE", "binary table extension"),
        "BITPIX": (8, "array data type"),
        "NAXIS": (2, "number of array dimensions"),
        "NAXIS1": (sum(kinds[column].itemsize for column in kinds.names or ()), "bytes of a row"),
        "NAXIS2": (len(table), "rows"),
        "PCOUNT": (0, "number of group parameters"),
        "GCOUNT": (1, "number of groups"),
        "TFIELDS": (len(kinds.names or ()), "number of table fields"),
    }
    for number, column in enumerate(kinds.names or (), 1):
        cards[f"TTYPE{number}"] = (column, "")
        cards[f"TFORM{number}"] = (_form(kinds[column]), "")
        if kinds[column].kind == "u":
            cards[f"TZERO{number}"] = (_UNSIGNED, "")
    cards["EXTNAME"] = (name, "")
    return cards


def _form(kind: np.dtype[Any]) -> str:
    if kind.kind == "S":
        return f"{kind.itemsize}A"
    return {"b1": "L", "i4": "J", "u4": "J", "f4": "E", "f8": "D"}[f"{kind.kind}{kind.itemsize}"]
