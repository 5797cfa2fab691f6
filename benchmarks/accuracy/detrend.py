"""What detrending does to transits: depths and scatter, with the transit left out of the fit, partly left out, or fitted too.

    python benchmarks/accuracy/detrend.py [--nights 300] [--json]

Nights of 300 exposures with a transit 1 % deep and noise of 0.15 %; the star follows airmass (1 % per unit), its place on the
chip (0.5 % per pixel of a drift and of jitter) and the seeing (0.4 % per pixel). Depths are those of a fit of the transit's
known shape to what is left. The bias is in percent of the depth, and so is its error, from the scatter of the nights.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # figures.py

from figures import Figure, Load, options, show

from roque.lightcurves import Series
from roque.lightcurves.detrend import detrend

POINTS, DEPTH, NOISE = 300, 0.01, 0.0015
HALF, INGRESS = 0.17, 0.05  # of the night: from the middle of the transit to its end, and how long it takes to be full
TERMS = ["airmass", "x", "y", "sky", "fwhm"]
STEP = np.linspace(-0.5, 0.5, POINTS)


class Night(NamedTuple):
    """A simulated night: what was observed, what may be behind trends, and the transit."""

    series: Series
    against: dict[str, np.ndarray]
    shape: np.ndarray
    middle: float


def simulated(rng: np.random.Generator, *, trends: bool = True) -> Night:
    """Make a night."""
    middle = rng.uniform(-0.15, 0.15)
    shape = np.clip((HALF - np.abs(STEP - middle)) / INGRESS, 0.0, 1.0)
    least = rng.uniform(-0.6, 0.6)
    against = {
        "airmass": 1.05 + 1.2 * (STEP - least) ** 2,
        "x": 500.0 + rng.normal(0.0, 2.0) * STEP + rng.normal(0.0, 0.3, POINTS),
        "y": 300.0 + rng.normal(0.0, 2.0) * STEP + rng.normal(0.0, 0.3, POINTS),
        "sky": 50.0 + 10.0 * STEP**2 + rng.normal(0.0, 0.5, POINTS),
        "fwhm": 5.0 + rng.normal(0.0, 0.5) * STEP + rng.normal(0.0, 0.3, POINTS),
    }
    trend = np.ones(POINTS)
    if trends:
        trend += -0.01 * (against["airmass"] - 1.2) + 0.005 * (against["x"] - 500.0) + 0.004 * (against["fwhm"] - 5.0)
    flux = 0.7 * (1.0 - DEPTH * shape) * trend * (1.0 + rng.normal(0.0, NOISE, POINTS))
    errors = np.full(POINTS, 0.7 * NOISE)
    series = Series(61000.0 + STEP / 4.0, flux, errors, np.zeros(POINTS, np.uint32), np.full(POINTS, 1e-4))
    return Night(series, against, shape, middle)


def excluded(width: float, offset: float = 0.0) -> Callable[[Night], np.ndarray]:
    """Points left out of the fit: so many times the transit, around a place so far (of the night) from its middle."""
    return lambda night: np.abs(STEP - night.middle - offset) <= width * HALF


CASES: dict[str, tuple[Callable[[Night], np.ndarray] | None, dict[str, object], bool]] = {
    "raw": (None, {}, False),
    "transit left out": (excluded(1.0), {}, True),
    "transit left out, pruned by BIC": (excluded(1.0), {"prune": True}, True),
    "1.3 times the transit left out": (excluded(1.3), {}, True),
    "half the transit left out": (excluded(0.5), {}, False),
    "left out beside the transit": (excluded(1.0, 0.3), {}, False),
    "nothing left out": (excluded(0.0), {}, False),
}


def depth_and_scatter(night: Night, flux: np.ndarray) -> tuple[float, float]:
    """Depth of the transit in a light curve, and relative scatter about it."""
    design = np.stack([np.ones(POINTS), -night.shape], axis=1)
    (level, fall), *_ = np.linalg.lstsq(design, flux, rcond=None)
    return float(fall / level), float(np.std(flux / (level - fall * night.shape)))


def judged(case: str, nights: int, *, trends: bool) -> list[Figure]:
    """Figures of a case over many nights."""
    exclude, said, promised = CASES[case]
    rng = np.random.default_rng(11)
    found = []
    for _ in range(nights):
        night = simulated(rng, trends=trends)
        if exclude is None:
            flux = night.series.y
        else:
            flux = detrend(night.series, night.against, TERMS, exclude=exclude(night), **said).series.y  # type: ignore[arg-type]
        found.append(depth_and_scatter(night, flux))
    depths, scatters = np.array(found).T
    bias, spread = 100.0 * (depths.mean() / DEPTH - 1.0), 100.0 * depths.std() / DEPTH
    error = spread / np.sqrt(nights)
    name = case if trends else f"{case}, of a star without trends"
    good = abs(bias) < 3.0 * error if promised else None
    calm = scatters.mean() < 1.03 * NOISE if promised else None
    return [
        Figure(f"{name}: bias of the depth", bias, "%", f"0 +- {3.0 * error:.2f}" if promised else "", good),
        Figure("    scatter of the depth from night to night", spread, "%"),
        Figure(
            "    scatter of points", 100.0 * float(scatters.mean()), "%", f"< {103.0 * NOISE:.3g}" if promised else "", calm
        ),
    ]


def main() -> int:
    """Measure and print."""
    parser = options(__doc__ or "")
    parser.add_argument("--nights", type=int, default=300)
    given = parser.parse_args()
    with Load() as load:
        figures = [figure for case in CASES for figure in judged(case, given.nights, trends=True)]
        for case in ("raw", "transit left out", "transit left out, pruned by BIC", "nothing left out"):
            figures += judged(case, given.nights, trends=False)
    return show("transits", figures, load, as_json=given.json)


if __name__ == "__main__":
    raise SystemExit(main())
