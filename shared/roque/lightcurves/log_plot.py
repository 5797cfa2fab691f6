"""Pictures of columns of a log."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roque.errors import BadInput
from roque.frames.files import write_whole
from roque.lightcurves.hlog import Hlog
from roque.lightcurves.series import Series
from roque.photometry.flags import Flag

__all__ = ["Column", "plot_columns"]

_NAMES = {"x": "x", "y": "y", "f": "fwhm", "b": "beta", "c": "counts", "s": "sky", "m": "cmax"}
_UNITS = {"x": "pixels", "y": "pixels", "fwhm": "pixels", "counts": "ADU", "sky": "ADU", "cmax": "ADU"}
_SIZE = (8.0, 5.0)  # inches
_COLOURS = ("#1f7a3d", "#5b4fc4")


class Column(NamedTuple):
    """A column of a log: CCD, aperture and letter (x, y, f FWHM, b beta, c counts, s sky, m maximum)."""

    ccd: str
    aperture: str
    letter: str

    @property
    def name(self) -> str:
        """Name of the column, without the aperture."""
        return _NAMES[self.letter]

    def __str__(self) -> str:
        return f"{self.name} of aperture {self.aperture}, CCD {self.ccd}"


def plot_columns(
    path: Path,
    log: Hlog,
    first: Column,
    second: Column | None,
    *,
    scheme: str = "b",
    title: str = "",
    size: tuple[float, float] = (0.0, 0.0),
    bad_times: bool = False,
) -> None:
    """Draw one or two columns of a log; the picture appears whole or not at all.

    Parameters
    ----------
    path : Path
        File to write; its ending says which kind. It is replaced if it exists.
    log : Hlog
        The log.
    first, second : Column, Column or None
        What is drawn.
    scheme : str
        With two columns: 'b' both against time, 'd' their difference, 'r' their ratio, 's' one against the other.
    title : str
        Above the picture.
    size : (float, float)
        Inches; 0 for the usual.
    bad_times : bool
        Whether points whose time cannot be trusted are drawn.

    Raises
    ------
    NotFound
        A CCD, aperture or column is not in the log.
    BadInput
        There is no point to draw, or the columns are of different frames and have to be paired.
    """
    # matplotlib takes half a second to import, which only who draws should pay
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    columns = [first] if second is None else [first, second]
    series = [log.tseries(c.ccd, c.aperture, c.name, ecol=c.name != "cmax") for c in columns]
    left_out = Flag.JUNK if bad_times else Flag.JUNK | Flag.BAD_TIME
    if second is not None and scheme != "b":
        _insist_on_pairs(log, first, second)
    figure = Figure((size[0] or _SIZE[0], size[1] or _SIZE[1]), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title)
    if second is not None and scheme == "s":
        x, y = series
        good = _good(x, left_out) & _good(y, left_out)
        _draw(axes, x.y[good], y.y[good], y.ye[good], _COLOURS[0], "", xe=x.ye[good])
        axes.set_xlabel(_label(first))
        axes.set_ylabel(_label(second))
    else:
        curves = _curves(series, columns, scheme)
        start = math.floor(min(c.t.min() for c, _ in curves if len(c.t)) if any(len(c.t) for c, _ in curves) else 0.0)
        for (curve, label), colour in zip(curves, _COLOURS, strict=False):
            good = _good(curve, left_out)
            _draw(axes, curve.t[good] - start, curve.y[good], curve.ye[good], colour, label)
        axes.set_xlabel(f"MJD - {start + log.offset(first.ccd)}")
        axes.set_ylabel(curves[0][1] if len(curves) == 1 else _UNITS.get(first.name, first.name))
        if len(curves) > 1:
            axes.legend()
    if not axes.has_data():
        raise BadInput("no point could be drawn", remedy="look at the flags and errors in the log")
    with write_whole(path) as part, part.open("wb") as file:
        figure.savefig(file, format=path.suffix.removeprefix(".").lower(), dpi=120)


def _curves(series: list[Series], columns: list[Column], scheme: str) -> list[tuple[Series, str]]:
    """Series against time that a scheme draws, with their labels."""
    if len(series) == 1 or scheme == "b":
        return [(s, _label(c)) for s, c in zip(series, columns, strict=True)]
    if scheme == "d":
        return [(series[0] - series[1], f"{columns[0]} - {columns[1]}")]
    return [(series[0] / series[1], f"{columns[0]} / {columns[1]}")]


def _insist_on_pairs(log: Hlog, first: Column, second: Column) -> None:
    one, two = (log[c.ccd]["nframe"] for c in (first, second))
    if not np.array_equal(one, two):
        place = f"CCDs {first.ccd} and {second.ccd}"
        raise BadInput("the columns are of different frames", place=place, remedy="take one CCD, or draw both (scheme b)")


def _good(series: Series, left_out: Flag) -> NDArray[np.bool_]:
    fine: NDArray[np.bool_] = np.isfinite(series.t) & np.isfinite(series.y) & (series.bmask & int(left_out) == 0)
    return fine


def _label(column: Column) -> str:
    unit = _UNITS.get(column.name)
    return f"{column} ({unit})" if unit else str(column)


def _draw(axes: Any, x: Any, y: Any, ye: Any, colour: str, label: str, xe: Any = None) -> None:
    if len(x):
        errors = {"yerr": np.where(ye > 0.0, ye, 0.0), "xerr": None if xe is None else np.where(xe > 0.0, xe, 0.0)}
        axes.errorbar(x, y, **errors, fmt=".", ms=4, color=colour, ecolor="#bbbbbb", elinewidth=0.8, label=label)
