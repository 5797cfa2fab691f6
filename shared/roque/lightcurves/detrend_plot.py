"""Pictures of light curves before and after their trends are divided out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from roque.errors import BadInput
from roque.frames.files import write_whole
from roque.lightcurves.detrend import Detrended
from roque.lightcurves.plots import COLOURS, limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_detrended"]

_BEHIND = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}


def plot_detrended(path: Path, curves: Mapping[str, Detrended], *, title: str, bands: Mapping[str, str] | None = None) -> None:
    """Draw light curves as a PNG, a row of two panels for each CCD: with the trend, and without; whole or not at all.

    Parameters
    ----------
    path : Path
        File to write; replaced if it exists.
    curves : mapping of str to Detrended
        By CCD. Values are over the level of the fit. Points that were not fitted are grey; wild ones may lie
        outside.
    title : str
        What is shown.
    bands : mapping of str to str, optional
        Name of the filter, by CCD.

    Raises
    ------
    BadInput
        No curve has a point that could be drawn.
    """
    # matplotlib takes half a second to import, which only who draws should pay
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    times = np.concatenate([c.raw.t[np.isfinite(c.raw.t) & np.isfinite(c.raw.y)] for c in curves.values()])
    if not len(times):
        raise BadInput("no point of the light curve could be measured", remedy="look at the flags of its measurements")
    start = float(times.min())
    figure = Figure(figsize=(11.0, 1.3 + (3.2 if len(curves) == 1 else 1.8 * len(curves))), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(curves), 2, sharex=True, sharey="row", squeeze=False)
    for k, (ccd, found) in enumerate(curves.items()):
        band = (bands or {}).get(ccd, "")
        label = f"CCD {ccd}" + (f", {band}" if band else "")
        _row(axes[k], found, (found.raw.t - start) * 24.0, label, COLOURS[k % len(COLOURS)])
    axes[0, 0].set_title("raw, and its trend", fontsize=10)
    axes[0, 1].set_title("detrended", fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel(f"Hours from MJD {start:.6f} (UTC)")
    figure.supylabel("Relative flux")
    figure.suptitle(title)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower right", ncols=len(labels), frameon=False, fontsize=8)
    with write_whole(path) as part:
        figure.savefig(part, format="png", metadata={"Software": None})


def _row(axes: NDArray[np.object_], found: Detrended, hours: NDArray[np.floating[Any]], label: str, colour: str) -> None:
    level = found.trend.level
    before, after = found.raw.y / level, found.series.y / level
    errors = found.raw.ye / level
    for axis, values, bars in ((axes[0], before, errors), (axes[1], after, errors / found.factor)):
        _points(axis, hours, values, bars, found.used, colour)
    order = np.argsort(hours)
    axes[0].plot(hours[order], found.factor[order], "-", color="k", linewidth=1.0, label="trend")
    axes[1].axhline(1.0, color="k", linewidth=0.7)
    shown = np.concatenate([before, after])
    known = np.isfinite(shown)
    axes[0].set_ylim(*limits(shown[known], np.concatenate([errors, errors])[known]))
    raw, left = found.scatter
    for axis, rms in ((axes[0], raw), (axes[1], left)):
        text = f"{label}: rms {100.0 * rms:.3g} %"
        axis.text(0.012, 0.06, text, transform=axis.transAxes, color=colour, fontweight="bold", fontsize=8, bbox=_BEHIND)


def _points(
    axis: Axes,
    hours: NDArray[np.floating[Any]],
    values: NDArray[np.floating[Any]],
    errors: NDArray[np.floating[Any]],
    used: NDArray[np.bool_],
    colour: str,
) -> None:
    for these, style, label in ((~used, "0.6", "not fitted"), (used, colour, "fitted, one sigma")):
        axis.errorbar(
            hours[these], values[these], errors[these], fmt="o", markersize=2.0, elinewidth=0.7, ecolor="0.75", color=style,
            label=label,
        )  # fmt: skip
    axis.grid(color="0.92", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.margins(x=0.015)
