"""Light curves as tables of text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.frames.files import write_whole
from roque.lightcurves.barycentre import Barycentre
from roque.lightcurves.ensemble import LightCurve

__all__ = ["write_csv"]

_COLUMNS = ("mjd_mid_utc", "exposure_s", "ratio", "ratio_error", "flags", "airmass")


def write_csv(
    path: Path,
    curves: Mapping[str, LightCurve],
    airmasses: Mapping[str, NDArray[np.float64]],
    barycentre: Barycentre | None = None,
) -> None:
    """Write light curves as CSV, whole or not at all.

    Parameters
    ----------
    path : Path
        File to write; replaced if it exists.
    curves : mapping of str to LightCurve
        By CCD. If there are several they follow each other, and a last column `ccd` says which is which.
    airmasses : mapping of str to array
        Airmass of each row, by CCD; CCDs that are not in it get nan.
    barycentre : Barycentre, optional
        For the columns bjd_tdb and hjd_utc, behind that of the airmass.

    Notes
    -----
    Columns: MJD(UTC) of mid-exposure, exposure (s), ratio and its error, flags (an integer of bits, 0 if all is well), airmass.
    """
    several = len(curves) > 1
    names = [*_COLUMNS, *(("bjd_tdb", "hjd_utc") if barycentre else ())]
    lines = [",".join([*names, "ccd"] if several else names)]
    for ccd, curve in curves.items():
        rows = curve.rows
        airmass = airmasses.get(ccd, np.full(len(rows), np.nan))
        columns: tuple[NDArray[Any], ...] = (
            rows["mjd_int"] + rows["mjd_frac"],
            rows["exposure"],
            rows["ratio"],
            rows["ratio_error"],
            rows["flags"],
            airmass,
        )
        form = "{:.10f},{:.9g},{:.9g},{:.6g},{:d},{:.5f}"
        if barycentre is not None:
            times = rows["mjd_int"], rows["mjd_frac"]
            columns = (*columns, barycentre.bjd(*times), barycentre.hjd(*times))
            form += ",{:.10f},{:.10f}"
        end = f",{ccd}" if several else ""
        lines += [form.format(*row) + end for row in zip(*(column.tolist() for column in columns), strict=True)]
    with write_whole(path) as part:
        part.write_text("\n".join(lines) + "\n")
