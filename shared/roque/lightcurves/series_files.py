"""Series as files of text and as tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from roque.errors import BadInput, NotFound
from roque.frames.files import write_whole
from roque.frames.handle import OpenFile

if TYPE_CHECKING:
    from roque.lightcurves.series import Series

__all__ = ["columns_of_file", "columns_of_table", "write_columns"]

_REMEDY = "give a file with the columns t te y ye flags, as Series.write makes it"
_HEADER = "# t, te (exposure, in the unit of t), y, ye, bits of roque.photometry.flags.Flag\n"


def write_columns(series: Series, path: Path, *, lcurve: bool, overwrite: bool) -> None:
    """Write a series as text: see `roque.lightcurves.series.Series.write`."""
    last = [1] * len(series) if lcurve else series.bmask.tolist()
    columns = [column.tolist() for column in (series.t, series.te, series.y, series.ye)]
    form = "%.16g %.3e %.6e %.3e 1 %d\n" if lcurve else "%.16g %.3e %.6e %.3e %d\n"
    with write_whole(path, overwrite=overwrite) as part:
        part.write_text(("" if lcurve else _HEADER) + "".join(form % row for row in zip(*columns, last, strict=True)))


def columns_of_file(path: Path) -> tuple[NDArray[Any], ...]:
    """Columns t, y, ye, bmask, te of a file of text: see `roque.lightcurves.series.Series.read`."""
    try:
        with OpenFile(path):  # what is no file is refused
            text = path.read_text(encoding="utf-8")
    except NotFound as error:
        raise NotFound("no such series", file=str(path)) from error
    except UnicodeDecodeError as error:
        raise BadInput("not a series: it is not text", file=str(path), place=f"byte {error.start}", remedy=_REMEDY) from error
    numbers: list[tuple[float, ...]] = []
    flags = bytearray()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            t, te, y, ye, bits = words
            flags += int(bits).to_bytes(4, "big")
            numbers.append((float(t), float(y), float(ye), float(te)))
        except (ValueError, OverflowError):
            message = "not four numbers and flags"
            raise BadInput(message, file=str(path), place=f"line {number}", remedy=_REMEDY) from None
    columns = np.array(numbers, np.float64).reshape(-1, 4).T.copy()
    return (*columns[:3], np.frombuffer(flags, ">u4").astype(np.uint32), columns[3])


def columns_of_table(table: Any) -> tuple[NDArray[Any], ...]:
    """Columns t, y, ye, bmask, te of a table: see `roque.lightcurves.series.Series.from_table`."""
    names = set(getattr(table, "colnames", table))
    missing = [name for name in ("t", "y") if name not in names]
    if missing:
        remedy = "name its columns t, y, ye, te, bmask; t and y must be there"
        raise BadInput(f"the table has no column {missing[0]}", place=f"columns {', '.join(sorted(names))}", remedy=remedy)
    t, y = _plain(table["t"]), _plain(table["y"])
    ye = _plain(table["ye"]) if "ye" in names else np.zeros(len(y), y.dtype)
    te = _plain(table["te"]) if "te" in names else np.zeros(len(y))
    bits = np.asarray(table["bmask"]).astype(np.uint32) if "bmask" in names else np.zeros(len(y), np.uint32)
    return t.astype(np.float64), y, ye, bits, te.astype(np.float64)


def _plain(column: Any) -> NDArray[np.floating[Any]]:
    """Numbers of a column: a time as MJD, times with a unit in days, what is masked as NaN."""
    if hasattr(column, "mjd"):
        return np.asarray(column.mjd, np.float64)
    if getattr(column, "unit", None) is not None and column.unit.physical_type == "time":
        column = column.to("d") if hasattr(column, "to") else column.quantity.to("d")
    values = np.ma.filled(np.ma.asarray(getattr(column, "value", column)).astype(float, copy=False), np.nan)
    kind = np.dtype(getattr(column, "dtype", values.dtype))
    return np.asarray(values, kind if kind.kind == "f" else np.float64)
