"""Logs as FITS tables, read: whatever is in the file, the answer is a table or `BadInput`."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.errors import BadInput, NotFound
from roque.frames.images import FitsFile, Hdu
from roque.spool.unpack import unpack

__all__ = ["read_tables"]

_FORM = re.compile(r"1?([LBIJKED])")
_STORED = {"L": "u1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_OFFSETS = {"I": 1 << 15, "J": 1 << 31}  # of unsigned numbers
_REMEDY = "export it again"


def read_tables(path: str | os.PathLike[str]) -> dict[str, NDArray[np.void]]:
    """Read the tables of CCDs in a FITS file, plain or packed.

    Returns
    -------
    dict of str to structured array
        By CCD; whole numbers are int32 or uint32, real ones float32 or float64, logicals bool.

    Raises
    ------
    NotFound
        There is no such file.
    BadInput
        Not FITS, damaged, or a table that is none of a log.
    """
    tables: dict[str, NDArray[np.void]] = {}
    with tempfile.TemporaryDirectory(prefix="roque-") as own:
        try:
            plain = unpack(Path(path), Path(own))
        except NotFound:
            raise NotFound("no such log", file=os.fspath(path)) from None
        except BadInput as error:
            raise _wrong(error.message, os.fspath(path), error.place) from None
        with FitsFile(plain, os.fspath(path)) as file:
            try:
                for hdu in file.hdus():
                    label = str(hdu.header.get("CCDNAME", ""))
                    if "TFIELDS" in hdu.header and label:
                        if label in tables:
                            raise _wrong(f"two tables of CCD {label}", file.name, f"HDU {hdu.index}")
                        tables[label] = _table(file, hdu)
            except BadInput as error:
                message = error.message.removeprefix("not a FITS log: ")
                raise _wrong(message, file.name, error.place) from None
    return tables


def _wrong(message: str, file: str, place: str | None) -> BadInput:
    return BadInput(f"not a FITS log: {message}", file=file, place=place or "byte 0", remedy=_REMEDY)


def _table(file: FitsFile, hdu: Hdu) -> NDArray[np.void]:
    """Rows of a table, as the types of a log."""
    stored, zeros = _columns(file, hdu)
    if len(hdu.shape) not in {0, 2} or stored.itemsize != hdu.header.get("NAXIS1"):
        message = f"columns of {stored.itemsize} bytes in rows of {hdu.header.get('NAXIS1')}"
        raise _wrong(message, file.name, f"HDU {hdu.index}, keyword NAXIS1")
    data = file.read(hdu.start, hdu.nbytes)
    file.check_sum(hdu, data)
    rows = np.frombuffer(data, stored, hdu.header["NAXIS2"] if hdu.shape else 0)
    columns = {
        name: _native(rows[name], zeros[name], f"HDU {hdu.index}, column {name}", file.name) for name in stored.names or ()
    }
    table = np.empty(len(rows), [(name, values.dtype) for name, values in columns.items()])
    for name, values in columns.items():
        table[name] = values
    return table


def _columns(file: FitsFile, hdu: Hdu) -> tuple[np.dtype[np.void], dict[str, Any]]:
    """Columns as they are stored, and the code and the zero of each."""
    header, fields, zeros = hdu.header, [], {}
    number = header.get("TFIELDS")
    for i in range(1, number + 1 if isinstance(number, int) and 0 < number < 1000 else 1):
        name, form, zero = header.get(f"TTYPE{i}"), header.get(f"TFORM{i}"), header.get(f"TZERO{i}", 0)
        code = _FORM.fullmatch(form.strip()) if isinstance(form, str) else None
        place = f"HDU {hdu.index}, keyword TTYPE{i}"
        if code is None or not isinstance(name, str) or not name or header.get(f"TSCAL{i}", 1) != 1:
            raise _wrong(f"column {i} is called {name!r} and holds {form!r}: no numbers of a log", file.name, place)
        if name in zeros or zero not in (0, _OFFSETS.get(code[1], 0)):
            raise _wrong(f"column {name} stands twice, or has a TZERO of {zero!r}", file.name, place)
        zeros[name] = code[1], zero != 0
        fields.append((name, _STORED[code[1]]))
    if not fields:
        raise _wrong(f"a table of {number!r} columns", file.name, f"HDU {hdu.index}, keyword TFIELDS")
    return np.dtype(fields), zeros


def _native(values: NDArray[Any], told: tuple[str, bool], place: str, file: str) -> NDArray[Any]:
    code, unsigned = told
    if code == "L":
        return np.asarray(values == ord("T"))
    if code in {"E", "D"}:
        return values.astype("f4" if code == "E" else "f8")
    if unsigned:
        return (values.astype(np.int64) + _OFFSETS[code]).astype("u4")
    if values.size and not (values.min() >= -(1 << 31) and values.max() < 1 << 31):
        raise _wrong("whole numbers of more than 32 bits", file, place)
    return values.astype("i4")
