"""How well a reduction went, from its log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roque.errors import BadInput
from roque.lightcurves.hlog import Hlog
from roque.photometry.apertures import Aperture

__all__ = ["CcdAnalysis", "StarAnalysis", "analyse"]

_DAY = 86400.0


class StarAnalysis(NamedTuple):
    """An aperture.

    `jumps` are the least, mean, median and largest distance, in pixels, between successive positions of fits that succeeded;
    NaN where there are less than two. A linked aperture has no fits of its own.
    """

    label: str
    role: str  # reference, non-reference
    link: str
    good: int
    total: int
    jumps: tuple[float, float, float, float]


class CcdAnalysis(NamedTuple):
    """A CCD: mean and largest time between frames, s, and its stars."""

    label: str
    mean_gap: float
    largest_gap: float
    stars: list[StarAnalysis]


def analyse(log: Hlog, apertures: Mapping[str, Mapping[str, Aperture]]) -> list[CcdAnalysis]:
    """Look at each CCD of a log.

    Parameters
    ----------
    log : Hlog
        The log.
    apertures : Apertures
        Those that it began with, which say what is linked and what is a reference.

    Raises
    ------
    BadInput
        The apertures are not those of the log.
    """
    return [_ccd(log, ccd, apertures.get(ccd, {})) for ccd in log]


def _ccd(log: Hlog, ccd: str, apertures: Mapping[str, Aperture]) -> CcdAnalysis:
    table = log[ccd]
    gaps = np.diff(table[log.time_column(ccd)]) * _DAY
    stars = []
    for label in log.apnames[ccd]:
        if label not in apertures:
            remedy = "give the aperture file that the reduction began with"
            raise BadInput(f"aperture {label} of the log is not in the aperture file", place=f"CCD {ccd}", remedy=remedy)
        stars.append(_star(table, label, apertures[label]))
    nothing = float("nan")
    return CcdAnalysis(ccd, *((float(gaps.mean()), float(gaps.max())) if gaps.size else (nothing, nothing)), stars)


def _star(table: NDArray[Any], label: str, aperture: Aperture) -> StarAnalysis:
    with np.errstate(invalid="ignore"):
        good = (table[f"xe_{label}"] > 0.0) & (table[f"ye_{label}"] > 0.0)
    x, y = (table[f"{axis}_{label}"][good].astype(np.float64) for axis in "xy")
    steps = np.hypot(np.diff(x), np.diff(y))
    found = (steps.min(), steps.mean(), np.median(steps), steps.max()) if steps.size else (np.nan,) * 4
    least, mean, median, largest = (float(value) for value in found)
    role = "reference" if aperture.ref else "non-reference"
    return StarAnalysis(label, role, aperture.link, int(good.sum()), len(table), (least, mean, median, largest))
