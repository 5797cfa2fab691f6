"""Read ASCII reduce logs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roque.errors import BadInput, NotFound
from roque.frames.handle import OpenFile
from roque.lightcurves._text import BAD_COUNT, KINDS, index_rows, parse_rows

__all__ = ["read_log"]

_REMEDY = "give the ASCII log of a reduction; one of the C++ ULTRACAM pipeline is read with origin=u, or Hlog.from_ulog"
_MOST_COMMENTS = 100_000  # lines; real ones have some hundred
_PIECE = 1 << 14  # rows that a thread reads at a time
_NAMES = ("Start of column name definitions", "End of column name definitions")
_TYPES = ("Start of data type definitions", "End of data type definitions")


def read_log(path: Path) -> tuple[list[str], dict[str, NDArray[np.void]]]:
    """Read an ASCII reduce log.

    Returns
    -------
    comments : list of str
        The lines before the first row.
    tables : dict of str to structured array
        By CCD label, in the order of the definitions; columns and types as the log defines them.

    Raises
    ------
    NotFound
        There is no such file.
    BadInput
        Not a log, or a row that does not fit the columns.
    """
    try:
        with OpenFile(path):  # what is no file is refused
            text = np.fromfile(path, np.uint8)
        if not text.size or text[-1] != ord("\n"):
            text = np.append(text, np.uint8(ord("\n")))
    except NotFound as error:
        raise NotFound("no such log", file=str(path)) from error
    comments, start = _comments(text, path)
    kinds = _layout(comments, path)
    labels = list(kinds)
    encoded = np.array([label.encode() for label in labels])
    width = encoded.dtype.itemsize
    table_of_labels = encoded.view(np.uint8).reshape(len(labels), width)
    begins, ends, ccds = index_rows(text, start, table_of_labels, np.char.str_len(encoded).astype(np.int64))
    if np.any(ccds < 0):
        row = int(np.argmax(ccds < 0))
        wrong = "its CCD has no column definitions" if ccds[row] == -1 else "there is a character in it that is no text"
        raise _bad_row(wrong, text, int(begins[row]), path)
    tables: dict[str, NDArray[np.void]] = {}
    pieces = []
    for index, (label, dtype) in enumerate(kinds.items()):
        mine = np.flatnonzero(ccds == index)
        tables[label] = np.empty(len(mine), dtype)
        for first in range(0, len(mine), _PIECE):
            rows = mine[first : first + _PIECE]
            pieces.append((tables[label][first : first + _PIECE], begins[rows], ends[rows]))
    with ThreadPoolExecutor(max_workers=2) as pool:  # the kernels run without the interpreter's lock
        list(pool.map(lambda piece: _fill(text, path, *piece), pieces))
    return comments, tables


def _fill(
    text: NDArray[np.uint8], path: Path, table: NDArray[np.void], begins: NDArray[np.int64], ends: NDArray[np.int64]
) -> None:
    """Read some rows of a CCD."""
    dtype = table.dtype
    codes = np.array([KINDS.index(_code(dtype[name])) for name in dtype.names or ()], np.int64)
    offsets = np.array([place for _, place, *_ in (dtype.fields or {}).values()], np.int64)
    row, fault = parse_rows(text, begins, ends, codes, offsets, table.view(np.uint8).reshape(len(table), dtype.itemsize))
    if row >= 0:
        wrong = f"not {len(codes) + 1} items" if fault == BAD_COUNT else "something in it is not a number of its column's type"
        raise _bad_row(wrong, text, int(begins[row]), path)


def _comments(text: NDArray[np.uint8], path: Path) -> tuple[list[str], int]:
    """Lines before the first row, and where it begins."""
    place = 0
    size = 1 << 20
    lines: list[str] = []
    while place < len(text):
        piece = text[place : place + size].tobytes()
        whole = piece.rfind(b"\n") + 1 if place + size < len(text) else len(piece)
        if whole == 0:
            break
        for line in piece[:whole].splitlines(keepends=True):
            if line.strip() and not line.startswith(b"#"):
                return lines, place
            if len(lines) == _MOST_COMMENTS:
                wrong, where = f"more than {_MOST_COMMENTS} lines before its first row", f"line {_MOST_COMMENTS + 1}"
                raise BadInput(f"not a reduce log: {wrong}", file=str(path), place=where, remedy=_REMEDY)
            try:
                lines.append(line.decode().rstrip("\r\n"))
            except UnicodeDecodeError as error:
                where = f"line {len(lines) + 1}"
                raise BadInput("not a reduce log: it is not text", file=str(path), place=where, remedy=_REMEDY) from error
            place += len(line)
    return lines, len(text)


def _layout(comments: list[str], path: Path) -> dict[str, np.dtype[np.void]]:
    """Types of the rows by CCD, without the label that each row begins with."""
    names = _definitions(comments, _NAMES)
    types = _definitions(comments, _TYPES)
    if not names or names.keys() != types.keys():
        message, where = "not a reduce log: it does not define its columns", f"line {len(comments) + 1}"
        raise BadInput(message, file=str(path), place=where, remedy=_REMEDY)
    layout = {}
    for ccd, columns in names.items():
        kinds = ["?" if kind == "bool" else kind for kind in types[ccd]]
        sound = len(columns) == len(kinds) == len({*columns}) and columns[:1] == ["CCD"]
        if not sound or not set(kinds[1:]) <= set(KINDS):
            raise BadInput("names and types of columns do not match", file=str(path), place=f"CCD {ccd}", remedy=_REMEDY)
        layout[ccd] = np.dtype(list(zip(columns[1:], kinds[1:], strict=True)))
    return layout


def _definitions(comments: list[str], marks: tuple[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    inside = False
    for line in comments:
        if marks[0] in line:
            inside = True
        elif marks[1] in line:
            inside = False
        elif inside and " = " in line:
            label, words = line.removeprefix("#").split(" = ", 1)
            found[label.strip()] = words.split()
    return found


def _code(kind: np.dtype[np.generic]) -> str:
    return "?" if kind.kind == "b" else f"{kind.kind}{kind.itemsize}"


def _bad_row(wrong: str, text: NDArray[np.uint8], place: int, path: Path) -> BadInput:
    line = int(np.count_nonzero(text[:place] == ord("\n"))) + 1
    return BadInput(
        f"a row cannot be read: {wrong}", file=str(path), place=f"line {line}", remedy="reduce again, or mend the line"
    )
