"""Pictures of light curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from roque.errors import BadInput
from roque.frames.files import write_whole
from roque.lightcurves.ensemble import LightCurve
from roque.photometry.flags import TRACKING, Flag

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["COLOURS", "limits", "plot_light_curves"]

COLOURS = ("#5b4fc4", "#1f7a3d", "#c05a00", "#b3282d", "#6b2b2b")
_UNITS = ((86400.0, "Seconds"), (1440.0, "Minutes"), (24.0, "Hours"))
_BEHIND = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
_MANY = 240.0  # of a unit from which on the next one is clearer


def plot_light_curves(
    path: Path, curves: Mapping[str, LightCurve], *, title: str, bands: Mapping[str, str] | None = None
) -> None:
    """Draw light curves as a PNG, a panel for each CCD; it appears whole or not at all.

    Parameters
    ----------
    path : Path
        File to write; replaced if it exists.
    curves : mapping of str to LightCurve
        By CCD. Ratios are divided by their median over good points. Points whose time cannot be trusted are left out.
    title : str
        What is shown: star, run, night.
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

    # a point without a time has no place on the axis of time
    timed = {ccd: replace(curve, rows=curve.rows[curve.rows["flags"] & Flag.BAD_TIME == 0]) for ccd, curve in curves.items()}
    shown = {ccd: curve for ccd, curve in timed.items() if np.isfinite(curve.rows["ratio"]).any()}
    if not shown:
        raise BadInput("no point of the light curve could be measured", remedy="look at the flags of its measurements")
    start = min(_mjd(curve)[0] for curve in shown.values())
    length = max(_mjd(curve)[-1] for curve in shown.values()) - start
    scale, unit = next(((s, u) for s, u in _UNITS if length * s < _MANY), _UNITS[-1])
    figure = Figure(figsize=(9.0, 1.2 + (3.6 if len(shown) == 1 else 1.9 * len(shown))), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for k, (axis, (ccd, curve)) in enumerate(zip(axes, shown.items(), strict=True)):
        band = (bands or {}).get(ccd, "")
        _panel(
            axis,
            curve,
            (_mjd(curve) - start) * scale,
            f"CCD {ccd}" + (f", {band}" if band else ""),
            COLOURS[k % len(COLOURS)],
        )
    axes[-1].set_xlabel(f"{unit} from MJD {start:.6f} (UTC, middle of exposures)")
    figure.supylabel("Flux relative to comparison stars")
    figure.suptitle(title)
    _legend(figure, axes)
    with write_whole(path) as part:
        figure.savefig(part, format="png", metadata={"Software": None})


def _panel(axis: Axes, curve: LightCurve, times: NDArray[np.float64], label: str, colour: str) -> None:
    rows = curve.rows
    known = np.isfinite(rows["ratio"])
    flagged = known & (rows["flags"] & ~np.uint32(TRACKING) != Flag.ALL_OK)
    good = known & ~flagged
    level = float(np.median(rows["ratio"][good if good.any() else known]))
    values, errors = rows["ratio"] / level, rows["ratio_error"] / level
    axis.errorbar(
        times[good],
        values[good],
        errors[good],
        fmt="o",
        markersize=2.3,
        elinewidth=0.8,
        ecolor="0.62",
        color=colour,
        label="measured, one sigma",
    )
    low, high = limits(values[good if good.any() else known], errors[good if good.any() else known])
    axis.set_ylim(low, high)
    inside = np.clip(values, low + 0.04 * (high - low), high - 0.04 * (high - low))
    axis.plot(
        times[flagged],
        inside[flagged],
        "x",
        color="k",
        markersize=5.0,
        markeredgewidth=1.1,
        label="flagged" if flagged.any() else "",
    )
    for wild, marker in ((good & (values > high), "^"), (good & (values < low), "v")):
        axis.plot(
            times[wild], inside[wild], marker, color=colour, markersize=5.0, label="beyond the panel" if wild.any() else ""
        )
    if (~known).any():
        axis.plot(times[~known], np.full((~known).sum(), low + 0.04 * (high - low)), "|", color="0.4", label="not measured")
    axis.text(0.012, 0.06, label, transform=axis.transAxes, color=colour, fontweight="bold", bbox=_BEHIND)
    axis.grid(color="0.92", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.margins(x=0.015)


def limits(values: NDArray[np.float64], errors: NDArray[np.float64]) -> tuple[float, float]:
    """Range of an axis that shows all points but wild ones, which would squeeze the rest."""
    first, last = np.percentile(values, [3.0, 97.0])
    reach = 1.5 * (last - first) + 5.0 * float(np.nanmedian(errors))
    low, high = max(values.min(), first - reach), min(values.max(), last + reach)
    room = 0.08 * (high - low) + 1.5 * float(np.nanmedian(errors))
    return (low - room, high + room) if np.isfinite(room) and room > 0 else (low - 0.1, high + 0.1)


def _legend(figure: Any, axes: Any) -> None:
    entries: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    figure.legend(
        list(entries.values()), list(entries), loc="outside lower right", ncols=len(entries), frameon=False, fontsize=8
    )


def _mjd(curve: LightCurve) -> NDArray[np.float64]:
    return np.asarray(curve.rows["mjd_int"] + curve.rows["mjd_frac"])
