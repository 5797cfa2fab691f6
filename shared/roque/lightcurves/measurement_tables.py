"""Measurements as tables of one row per star, frame and CCD: Parquet, and ECSV for astropy."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.errors import BadInput
from roque.frames.files import write_whole
from roque.lightcurves.barycentre import Barycentre
from roque.photometry.measurements import MEASUREMENT, Measurements

__all__ = ["write_ecsv", "write_parquet"]

_UNITS = {
    **dict.fromkeys(("mjd_int", "mjd_frac", "bjd_tdb", "hjd_utc"), "d"),
    "exposure": "s",
    **dict.fromkeys(("mfwhm", "x", "xe", "y", "ye", "fwhm", "fwhme", "radius"), "pix"),
    **dict.fromkeys(("counts", "countse", "sky", "skye", "peak"), "adu"),
}

_Columns = dict[str, NDArray[Any]]


def write_ecsv(
    path: Path,
    parts: Iterable[Measurements],
    about: Mapping[str, Any],
    barycentre: Barycentre | None = None,
    dtype: np.dtype[np.void] = MEASUREMENT,
) -> None:
    """Write measurements as ECSV, whole or not at all: ``astropy.table.Table.read(path)`` gives every bit of them again.

    Parameters
    ----------
    path : Path
        File to write; replaced if it exists.
    parts : iterable of arrays of dtype `MEASUREMENT`
        Written one after another, so that a long run fits into memory.
    about : mapping
        What else to say, of text without line breaks, numbers, lists and mappings; it becomes the table's ``meta``.
    barycentre : Barycentre, optional
        For the columns bjd_tdb and hjd_utc.
    dtype : dtype
        Of the parts: `MEASUREMENT`, or that with further fields.
    """
    with write_whole(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        file.write(_ecsv_header(about, barycentre, dtype))
        lines = csv.writer(file, lineterminator="\n")
        for measurements in parts:
            columns = _columns(measurements, barycentre).values()
            lines.writerows(zip(*(_texts(column) for column in columns), strict=True))


def write_parquet(
    path: Path,
    parts: Iterable[Measurements],
    about: Mapping[str, str],
    barycentre: Barycentre | None = None,
    dtype: np.dtype[np.void] = MEASUREMENT,
) -> None:
    """Write measurements as Parquet, whole or not at all; parameters as of `write_ecsv`, `about` of texts alone.

    Raises
    ------
    BadInput
        pyarrow is not installed: at 165 MB nobody has to carry it along.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError:
        remedy = "install it with 'pip install pyarrow', or export another format"
        raise BadInput("Parquet needs the package pyarrow, which is not installed", remedy=remedy) from None
    kinds = {name: column.dtype for name, column in _columns(np.zeros(0, dtype), barycentre).items()}
    fields = [
        pa.field(name, pa.string() if kind.kind == "U" else pa.from_numpy_dtype(kind), nullable=False)
        for name, kind in kinds.items()
    ]
    fields = [field.with_metadata({"unit": _UNITS[field.name]}) if field.name in _UNITS else field for field in fields]
    schema = pa.schema(fields, metadata=dict(about))
    with write_whole(path) as part, pq.ParquetWriter(part, schema, compression="zstd") as file:
        for measurements in parts:
            columns = _columns(measurements, barycentre)
            arrays = [pa.array(columns[field.name], field.type, from_pandas=False) for field in schema]
            file.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _columns(measurements: Measurements, barycentre: Barycentre | None) -> _Columns:
    columns = {name: np.ascontiguousarray(measurements[name]) for name in measurements.dtype.names or ()}
    if barycentre is not None:
        times = columns["mjd_int"], columns["mjd_frac"]
        columns |= {"bjd_tdb": barycentre.bjd(*times), "hjd_utc": barycentre.hjd(*times)}
    return columns


def _ecsv_header(about: Mapping[str, Any], barycentre: Barycentre | None, dtype: np.dtype[np.void]) -> str:
    from astropy.table import Table  # noqa: PLC0415 - a third of a second

    table = Table(_columns(np.zeros(0, dtype), barycentre), meta=dict(about))
    for name, unit in _UNITS.items():
        if name in table.colnames:
            table[name].unit = unit
    text = io.StringIO()
    table.write(text, format="ascii.ecsv", delimiter=",")
    return text.getvalue()


def _texts(column: NDArray[Any]) -> list[str]:
    """Shortest texts that give the same numbers again."""
    if column.dtype.kind == "b":
        return ["True" if value else "False" for value in column.tolist()]
    if column.dtype.kind == "f":
        return [repr(value) for value in column.tolist()]
    return [str(value) for value in column.tolist()]
