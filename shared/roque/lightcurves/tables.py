"""Light curves as tables of text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roque.frames.files import write_whole
from roque.lightcurves.ensemble import LightCurve

__all__ = ["write_csv"]

_COLUMNS = ("mjd_mid_utc", "exposure_s", "ratio", "ratio_error", "flags", "airmass")


def write_csv(path: Path, curves: Mapping[str, LightCurve], airmasses: Mapping[str, NDArray[np.float64]]) -> None:
    """Write light curves as CSV, whole or not at all.

    Parameters
    ----------
    path : Path
        File to write; replaced if it exists.
    curves : mapping of str to LightCurve
        By CCD. If there are several they follow each other, and a last column `ccd` says which is which.
    airmasses : mapping of str to array
        Airmass of each row, by CCD; CCDs that are not in it get nan.

    Notes
    -----
    Columns: MJD(UTC) of mid-exposure, exposure (s), ratio and its error, flags (an integer of bits, 0 if all is well), airmass.
    """
    several = len(curves) > 1
    lines = [",".join([*_COLUMNS, "ccd"] if several else _COLUMNS)]
    for ccd, curve in curves.items():
        rows = curve.rows
        airmass = airmasses.get(ccd, np.full(len(rows), np.nan))
        columns = (
            rows["mjd_int"] + rows["mjd_frac"],
            rows["exposure"],
            rows["ratio"],
            rows["ratio_error"],
            rows["flags"],
            airmass,
        )
        end = f",{ccd}" if several else ""
        lines += [
            f"{mjd:.10f},{exposure:.9g},{ratio:.9g},{error:.6g},{flags:d},{mass:.5f}{end}"
            for mjd, exposure, ratio, error, flags, mass in zip(*(column.tolist() for column in columns), strict=True)
        ]
    with write_whole(path) as part:
        part.write_text("\n".join(lines) + "\n")
