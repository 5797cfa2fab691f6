"""Detrended light curves as tables, with the model beside them, and read again."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.errors import BadInput, NotFound
from roque.frames.files import write_whole
from roque.lightcurves.barycentre import Barycentre
from roque.lightcurves.detrend import Detrended
from roque.lightcurves.ensemble import LightCurve
from roque.lightcurves.fits_table import text_table, write_primary, write_table
from roque.lightcurves.trend import Trend

__all__ = ["DetrendedCurve", "read_ecsv", "write_csv", "write_ecsv", "write_fits"]

_UNITS = {
    **dict.fromkeys(("mjd_mid_utc", "bjd_tdb", "hjd_utc"), "d"),
    "exposure_s": "s",
    **dict.fromkeys(("x", "y", "fwhm"), "pix"),
    "sky": "adu",
}

_Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class DetrendedCurve:
    """A light curve of the record without its trend: the curve, what its trend was looked for against, and what came out."""

    curve: LightCurve
    regressors: Mapping[str, NDArray[np.floating[Any]]]
    detrended: Detrended

    def columns(self, barycentre: Barycentre | None = None) -> _Columns:
        """Columns of a table: the raw curve, the regressors, the trend, the curve without it, and which points were fitted."""
        rows, found = self.curve.rows, self.detrended
        columns: _Columns = {
            "frame": rows["frame"].copy(),
            "mjd_mid_utc": rows["mjd_int"] + rows["mjd_frac"],
            "exposure_s": rows["exposure"].copy(),
            "ratio": rows["ratio"].copy(),
            "ratio_error": rows["ratio_error"].copy(),
            "flags": rows["flags"].copy(),
        }
        if barycentre is not None:
            times = rows["mjd_int"], rows["mjd_frac"]
            columns |= {"bjd_tdb": barycentre.bjd(*times), "hjd_utc": barycentre.hjd(*times)}
        return columns | {
            **self.regressors,
            "trend": found.factor,
            "trend_error": found.factor_error,
            "detrended": found.series.y,
            "detrended_error": found.series.ye,
            "fitted": found.used,
        }


def write_csv(path: Path, curves: Mapping[str, DetrendedCurve], barycentre: Barycentre | None = None) -> None:
    """Write the columns as CSV, every bit of them, whole or not at all.

    If there are several CCDs, a last column `ccd` says which. The model has no place in it: ECSV and FITS carry it.
    """
    lines: list[str] = []
    for ccd, curve in curves.items():
        columns = curve.columns(barycentre)
        if not lines:
            lines.append(",".join([*columns, "ccd"] if len(curves) > 1 else columns))
        end = f",{ccd}" if len(curves) > 1 else ""
        texts = [[str(value) for value in column.tolist()] for column in columns.values()]
        lines += [",".join(row) + end for row in zip(*texts, strict=True)]
    with write_whole(path) as part:
        part.write_text("\n".join(lines) + "\n")


def write_ecsv(
    path: Path, curves: Mapping[str, DetrendedCurve], about: Mapping[str, Any], barycentre: Barycentre | None = None
) -> None:
    """Write the columns as ECSV, with the trends in its meta; ``astropy.table.Table.read(path)`` gives every bit again.

    Parameters
    ----------
    path : Path
        File to write; replaced if it exists.
    curves : mapping of str to DetrendedCurve
        By CCD, which is the column `ccd`.
    about : mapping
        What else to say, as JSON can hold it.
    barycentre : Barycentre, optional
        For the columns bjd_tdb and hjd_utc.
    """
    from astropy.table import Table  # noqa: PLC0415 - a third of a second

    parts = {ccd: curve.columns(barycentre) for ccd, curve in curves.items()}
    names = next(iter(parts.values()))
    columns = {name: np.concatenate([part[name] for part in parts.values()]) for name in names}
    columns["ccd"] = np.concatenate([np.full(len(part["frame"]), ccd) for ccd, part in parts.items()])
    plain = json.loads(json.dumps(about))  # no tuples: YAML would mark them as Python's
    table = Table(columns, meta={**plain, "trends": json.dumps(_models(curves))})
    for name, unit in _UNITS.items():
        if name in table.colnames:
            table[name].unit = unit
    text = io.StringIO()
    table.write(text, format="ascii.ecsv", delimiter=",")
    with write_whole(path) as part:
        part.write_text(text.getvalue(), encoding="utf-8")


def write_fits(
    path: Path, curves: Mapping[str, DetrendedCurve], about: Mapping[str, Any], barycentre: Barycentre | None = None
) -> None:
    """Write the columns as FITS, a table for each CCD, with the trends and `about` as JSON in tables of text behind them."""
    with write_whole(path) as part, part.open("wb") as file:
        write_primary(file, {})
        for ccd, curve in curves.items():
            columns = curve.columns(barycentre)
            table = np.zeros(len(columns["frame"]), [(name, column.dtype) for name, column in columns.items()])
            for name, column in columns.items():
                table[name] = column
            write_table(file, f"CCD {ccd}", table, {"CCDNAME": (ccd, "CCD name")})
        for title, told in (("TRENDS", _models(curves)), ("ABOUT", about)):
            write_table(file, title, text_table(json.dumps(told, indent=1).splitlines()), {})


def read_ecsv(path: Path) -> dict[str, tuple[_Columns, Trend]]:
    """Read what `write_ecsv` has written: the columns of each CCD and its trend.

    Raises
    ------
    NotFound
        There is no such file.
    BadInput
        It is not such a table.
    """
    from astropy.table import Table  # noqa: PLC0415 - as above

    if not path.is_file():
        raise NotFound("no such light curve", file=str(path))
    try:
        table = Table.read(path, format="ascii.ecsv")
        models = json.loads(table.meta["trends"])
        ccds = np.asarray(table["ccd"]).astype(str)
        names = [name for name in table.colnames if name != "ccd"]
        return {
            ccd: ({name: np.asarray(table[name])[ccds == ccd] for name in names}, Trend.from_dict(model["trend"]))
            for ccd, model in models.items()
        }
    except (ValueError, KeyError, TypeError, OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"not a detrended light curve ({error})", file=str(path), remedy="give the ECSV that 'lightcurve detrend' wrote"
        ) from None


def _models(curves: Mapping[str, DetrendedCurve]) -> dict[str, Any]:
    return {
        ccd: {
            "star": curve.curve.star,
            "over": {c.label: c.weight for c in curve.curve.comparisons if c.weight > 0},
            "scatter": dict(zip(("raw", "detrended"), curve.detrended.scatter, strict=True)),
            "trend": curve.detrended.trend.to_dict(),
        }
        for ccd, curve in curves.items()
    }
