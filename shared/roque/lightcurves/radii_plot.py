"""Picture of what speaks for each radius."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from roque.frames.files import write_whole
from roque.lightcurves.radii import Judgement

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_radii"]

_COMPARISONS, _TARGET, _LIGHT = "#1f7a3d", "#5b4fc4", "#c05a00"


def plot_radii(path: Path, judgements: Sequence[Judgement], *, title: str, bands: Mapping[str, str] | None = None) -> None:
    """Draw scatter and curve of growth against radius as a PNG, a row for each CCD; it appears whole or not at all.

    Parameters
    ----------
    path : Path
        File to write; replaced if it exists.
    judgements : sequence of Judgement
        One for each CCD.
    title : str
        What is shown: run, reduction.
    bands : mapping of str to str, optional
        Name of the filter, by CCD.
    """
    # matplotlib takes half a second to import, which only who draws should pay
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    rows = len(judgements)
    figure = Figure(figsize=(9.0, 1.2 + (3.6 if rows == 1 else 2.2 * rows)), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, 2, sharex="col", squeeze=False)
    for (left, right), judgement in zip(panels, judgements, strict=True):
        band = (bands or {}).get(judgement.ccd, "")
        _scatter(left, judgement, f"CCD {judgement.ccd}" + (f", {band}" if band else ""))
        right.errorbar(judgement.factors, judgement.share, judgement.share_error, fmt="o-", markersize=3, color=_LIGHT)
        right.set_ylabel("Light / largest radius")
        right.grid(color="0.92", linewidth=0.6)
    for axis in panels[-1]:
        axis.set_xlabel("Target radius / mean FWHM")
    figure.suptitle(title)
    with write_whole(path) as part:
        figure.savefig(part, format="png", metadata={"Software": None})


def _scatter(axis: Axes, judgement: Judgement, label: str) -> None:
    for values, colour, name, marker in (
        (judgement.scatter, _COMPARISONS, "comparison stars", "o-"),
        (judgement.target_scatter, _TARGET, "target", "s--"),
    ):
        if np.isfinite(values).any():
            axis.plot(judgement.factors, 100.0 * values, marker, markersize=3, color=colour, label=name)
    if judgement.best is not None:
        axis.axvline(judgement.best, color="0.5", linewidth=0.8, linestyle=":")
        axis.legend(frameon=False, fontsize=8, title=label, title_fontproperties={"weight": "bold", "size": 8})
    else:
        axis.set_title(f"{label}: {judgement.basis}", fontsize=8)
    axis.set_ylabel("Scatter, %")
    axis.grid(color="0.92", linewidth=0.6)
