"""Ratios of two apertures as columns of text: what hlog2col of the HiPERCAM pipeline writes."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from roque.errors import NotFound
from roque.frames.files import write_whole
from roque.lightcurves.hlog import Hlog
from roque.lightcurves.log_columns import BARYCENTRIC_COLUMNS
from roque.lightcurves.series import Series

__all__ = ["write_columns"]

_DAY = 86400.0
_MJD_ZERO = dt.date(1858, 11, 17)


def write_columns(
    hlog: Hlog, source: Path, folder: Path, ap1: str, ap2: str, *, kind: Literal["l", "m"] = "l", offset: float = 0.7
) -> list[Path]:
    """Write the ratio of two apertures, a file for each CCD that has both.

    Parameters
    ----------
    hlog : Hlog
        The log; days that were taken off its times are added again. Its columns BJD and HJD follow the others, if it has them.
    source : Path
        Where it came from: its name goes into the files and their names.
    folder : Path
        Where to write ``<YYYY-MM-DD>_<name>_<ccd>_<ap1>_<ap2>.asc``, over what is there.
    ap1, ap2 : str
        Labels of the apertures: the one divided, and the one it is divided by.
    kind : 'l' or 'm'
        Linear ratios or magnitudes.
    offset : float
        Days taken off the first time to find the date of the evening.

    Returns
    -------
    list of Path
        The files, each written whole.

    Raises
    ------
    NotFound
        No CCD has both apertures.
    """
    written = []
    for ccd, labels in hlog.apnames.items():
        if not {ap1, ap2} <= set(labels) or not len(hlog[ccd]):
            continue
        ratio = hlog.tseries(ccd, ap1) / hlog.tseries(ccd, ap2)
        times = ratio.t + hlog.offset(ccd)
        more = [name for name, _ in BARYCENTRIC_COLUMNS if name in hlog.cnames[ccd]]
        night = _MJD_ZERO + dt.timedelta(days=int(times[0] - offset))
        path = folder / f"{night}_{source.stem}_{ccd}_{ap1}_{ap2}.asc"
        what = f"aperture {ap1} / aperture {ap2}" if kind == "l" else f"mag (aperture {ap1}) - mag(aperture {ap2})"
        unit = "linear ratio, uncertainty" if kind == "l" else "mags, uncertainty (mags)"
        header = [
            f"# Data derived from {source.name}, taken on night starting {night}.",
            "# ",
            f"# CCD = {ccd}, {what}",
            "# ",
            "# Seven columns:" if more else "# Five columns:",
            "# ",
            f"# MJD (centre of exposure), exposure time (sec), {unit}, flag{', BJD (TDB), HJD (UTC)' if more else ''}",
            "#                     ",
        ]
        with write_whole(path) as part:
            part.write_text("\n".join([*header, *_rows(times, ratio, kind, [hlog[ccd][name] for name in more])]) + "\n")
        written.append(path)
    if not written:
        raise NotFound(f"no CCD has apertures {ap1} and {ap2}", file=str(source))
    return written


def _rows(
    times: NDArray[np.floating[Any]], ratio: Series, kind: Literal["l", "m"], more: Sequence[NDArray[np.float64]]
) -> list[str]:
    form = "%.10f %.3e %.4e %.3e %d"
    y, ye = ratio.y, ratio.ye
    if kind == "m":
        form = "%.10f %.3e %.4f %.4f %d"
        with np.errstate(divide="ignore", invalid="ignore"):
            # a negative ratio has no magnitude; its error then carries the sign, as in the HiPERCAM pipeline
            y, ye = -2.5 * np.log10(y), 2.5 / math.log(10.0) * ye / y
    columns = (times, ratio.te * _DAY, y, ye, ratio.bmask, *more)
    form += " %.10f" * len(more)
    return [form % row for row in zip(*(column.tolist() for column in columns), strict=True)]
