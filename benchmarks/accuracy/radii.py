"""What many radii give, and what they cost: scatter in the usual and the best radius, light before and after its correction.

    python benchmarks/accuracy/radii.py [--frames 600] [--json]

Fields of constant stars, a target and three comparison stars, in a seeing that wanders between about 3.5 and 8 pixels; photon
and read noise. Target and sky are bright or faint. Of each field the relative scatter of the target over the comparison stars
is told in the usual radius (1.8 FWHM), in that in which the comparison stars scatter least, and in that in which the target
does; then the counts of the target over the light that falls on the chip within the largest radius, before and after the
correction by the curve of growth, and the deviation of the corrected ones in units of their errors. At last the processor time
of a frame with one and with twelve further radii, of a windowed HiPERCAM run and of one of these fields.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # figures.py

from figures import Figure, Load, note, options, show

from roque.calibration.apply import Masters
from roque.frames import CCD, Frame, Geometry, Window
from roque.instruments import load_camera
from roque.lightcurves.radii import judge, light_within, stack
from roque.photometry.apertures import Aperture
from roque.photometry.recipe import Recipe
from roque.photometry.recipe_sections import Detector, Extraction, Radius, Sky, Tracking
from roque.photometry.reduce import Reducer
from roque.simulation.night import COMPARISONS, TARGET, simulate_night
from roque.spool import data_source

PLACES = {"1": (35.3, 35.8), "2": (105.1, 34.2), "3": (35.7, 105.4), "4": (104.6, 104.9)}
SIDE, ANNULUS = 140, (21.0, 33.0)  # pixels
BETA, NOISE, GAIN = 4.0, 3.0, 1.1
USUAL = 1.8
RADII = (0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4, 2.6, 2.8)
COSTLY = (1.0, 1.15, 1.3, 1.45, 1.6, 1.75, 1.9, 2.05, 2.2, 2.35, 2.5, 2.65)
COST = 1.15
"""Processor time with twelve radii over that without."""


@dataclass(frozen=True)
class Field:
    """Counts of the target, of each comparison star, and of a pixel of the sky."""

    target: float
    comparison: float
    sky: float


FIELDS = {
    "bright stars, dark sky": Field(100_000.0, 100_000.0, 10.0),
    "equal stars, bright sky": Field(15_000.0, 15_000.0, 400.0),
    "faint target, bright comparisons": Field(3_000.0, 100_000.0, 60.0),
    "faint stars, bright sky": Field(3_000.0, 8_000.0, 400.0),
}


def frames(number: int, field: Field, seed: int) -> Iterator[tuple[Frame, float]]:
    """Frames of a field, each with its FWHM."""
    rng = np.random.default_rng(seed)
    g = Geometry(1, 1, 1, 1, SIDE, SIDE)
    x, y = np.meshgrid(1.0 + np.arange(SIDE), 1.0 + np.arange(SIDE))
    wander = 0.0
    for n in range(1, number + 1):
        wander = 0.97 * wander + np.sqrt(1.0 - 0.97**2) * rng.normal()
        fwhm = 5.3 * np.exp(0.2 * np.clip(wander, -2.0, 2.0))
        dx, dy = rng.normal(0.0, 0.4, 2)
        clear = 1.0 - 0.1 * abs(rng.normal())
        light = np.full(x.shape, field.sky)
        for star, (x0, y0) in PLACES.items():
            flux = clear * (field.target if star == "1" else field.comparison)
            light += _star(x - x0 - dx, y - y0 - dy, fwhm, flux)
        counts = rng.poisson(GAIN * light) / GAIN + rng.normal(0.0, NOISE, x.shape)
        ccd = CCD({"A": Window(g, counts.astype(np.float32))}, 300, 300, mjd_int=61000, mjd_frac=0.2 + n / 1e5, exposure=clear)
        yield Frame({"1": ccd}, n), fwhm


def recipe() -> Recipe:
    """Make a recipe with the usual radius and all the others."""
    line = Extraction(
        target=Radius(factor=USUAL, least=2.0, greatest=ANNULUS[0]),
        inner_sky=Radius(factor=3.0, least=ANNULUS[0], greatest=ANNULUS[0]),
        outer_sky=Radius(factor=4.0, least=ANNULUS[1], greatest=ANNULUS[1]),
        radii=RADII,
    )
    tracking = Tracking(
        search_half_width=8.0, search_smooth_fwhm=4.0, fit_fwhm=5.3, fit_fwhm_min=1.5, fit_fwhm_max=40.0, fit_half_width=14.0,
        fit_max_shift=5.0, fit_diff=2.0,
    )  # fmt: skip
    return Recipe(apertures=tracking, extraction={"1": line}, detectors={"1": Detector(readout=NOISE, gain=GAIN)}, sky=Sky())


def apertures() -> dict[str, dict[str, Aperture]]:
    """Place apertures; the comparison stars are the references."""
    return {"1": {k: Aperture(x, y, 9.0, *ANNULUS, ref=k != "1", link="" if k != "1" else "2") for k, (x, y) in PLACES.items()}}


def measured(number: int, name: str) -> list[Figure]:
    """Scatter and light of a field."""
    field = FIELDS[name]
    made = list(frames(number, field, 11))
    swept: list[np.ndarray] = []
    rows, _, _ = Reducer(recipe(), apertures(), Masters()).reduce_range((frame for frame, _ in made), None, swept)
    radii = stack("1", swept)
    verdict = judge(radii, "1")
    of_target = float(radii.factors[np.nanargmin(verdict.target_scatter)])
    scatters = {factor: _scatter(radii, factor) for factor in (USUAL, verdict.best, of_target)}
    k = radii.stars.index("1")
    clear = rows["exposure"][rows["aperture"] == "1"]
    widths = rows["mfwhm"][rows["aperture"] == "1"]
    whole = np.array([clear[i] * _within(field.target, fwhm, RADII[-1] * widths[i]) for i, (_, fwhm) in enumerate(made)])
    r = int(np.searchsorted(radii.factors, of_target))
    counts, errors = radii.counts[r][:, k], radii.errors[r][:, k]
    share, doubt = light_within(radii, of_target, "1")
    corrected, corrected_errors = counts / share, np.hypot(errors, counts / share * doubt) / share
    known = np.isfinite(whole * corrected)
    counts, corrected, corrected_errors, whole = (v[known] for v in (counts, corrected, corrected_errors, whole))
    deviation = float(np.sqrt(np.mean(((corrected - whole) / corrected_errors) ** 2)))
    before, after = (float(np.sum(v) / np.sum(whole)) - 1.0 for v in (counts, corrected))
    doubtful = 3.0 * float(np.std(corrected / whole)) / np.sqrt(number) + 0.002  # the sky annulus holds some light of the star
    gain = scatters[USUAL] / scatters[of_target]
    return [
        Figure(f"{name}: scatter at {USUAL} FWHM", 100 * scatters[USUAL], "%"),
        Figure(f"    at {verdict.best:g}, best by comparison stars", 100 * scatters[verdict.best], "%"),
        Figure(f"    at {of_target:g}, best by the target", 100 * scatters[of_target], "%", "no more", gain > 0.98),
        Figure("    usual over best by the target", gain),
        Figure(f"    light within {of_target:g} FWHM less all", 100 * before, "%"),
        Figure("    the same, corrected", 100 * after, "%", f"within {100 * doubtful:.2f}", abs(after) < doubtful),
        Figure("    deviation over stated error, rms", deviation, "", "0.85 to 1.15", 0.85 < deviation < 1.15),
        Figure("    frames without a width", 100 * float(np.mean(~known)), "%"),
    ]


def cost(number: int) -> list[Figure]:
    """Processor time with no, one and twelve further radii: of a windowed run of five CCDs, and of a field with wide stars."""
    with tempfile.TemporaryDirectory() as name:
        truth = simulate_night(Path(name), seed=7, frames=number)
        with data_source("hl", Path(name) / f"{truth.science}.fits", camera=load_camera("hipercam")) as run:
            windowed = [run.frame(place) for place in range(1, run.available + 1)]
            stars = {str(i): Aperture(s.x, s.y, 9.0, 13.0, 20.0, ref=i == 2) for i, s in enumerate((TARGET, *COMPARISONS), 1)}
            figures = _cost("5 CCDs with 3 stars, 4 pixels wide", windowed, dict.fromkeys("12345", stars), limit=COST)
    field = [frame for frame, _ in frames(number, FIELDS["bright stars, dark sky"], 3)]
    return figures + _cost("4 stars, 5 pixels wide", field, apertures(), limit=None)


def _cost(name: str, made: list[Frame], placed: dict[str, dict[str, Aperture]], *, limit: float | None) -> list[Figure]:
    choices = {"no": (), "one": (USUAL,), "twelve": COSTLY}
    line, detector = recipe().extraction["1"], recipe().detectors["1"]
    lines = {k: {ccd: replace(line, radii=some) for ccd in placed} for k, some in choices.items()}
    reducers = {
        k: Reducer(replace(recipe(), extraction=lines[k], detectors=dict.fromkeys(placed, detector)), placed, Masters())
        for k in choices
    }
    seconds: dict[str, list[float]] = {k: [] for k in choices}
    for turn in range(6):
        for k, reducer in reducers.items():
            began = time.process_time()
            reducer.reduce_range(made, None, [])
            if turn:  # the first one compiles
                seconds[k].append((time.process_time() - began) / len(made))
    best = {k: min(some) for k, some in seconds.items()}
    ratio = best["twelve"] / best["no"]
    wanted = (f"at most {limit}", ratio <= limit) if limit else ("", None)
    return [
        Figure(f"a frame of {name}, no further radii", 1e6 * best["no"], "us of CPU"),
        Figure("    one over none", best["one"] / best["no"]),
        Figure(f"    twelve, {COSTLY[0]:g} to {COSTLY[-1]:g} FWHM, over none", ratio, "", *wanted),
    ]


def _star(dx: np.ndarray, dy: np.ndarray, fwhm: float, flux: float) -> np.ndarray:
    a = 4.0 * (2.0 ** (1.0 / BETA) - 1.0) / fwhm**2
    return flux * (BETA - 1.0) * a / np.pi * (1.0 + a * (dx**2 + dy**2)) ** -BETA


def _within(flux: float, fwhm: float, radius: float) -> float:
    a = 4.0 * (2.0 ** (1.0 / BETA) - 1.0) / fwhm**2
    return flux * (1.0 - (1.0 + a * radius**2) ** (1.0 - BETA))


def _scatter(radii, factor: float) -> float:
    r, k = int(np.searchsorted(radii.factors, factor)), radii.stars.index("1")
    ratio = radii.counts[r][:, k] / np.delete(radii.counts[r], k, axis=1).sum(axis=1)
    return float(np.nanstd(ratio) / np.nanmean(ratio))


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--frames", type=int, default=600, help="frames of each field (default 600)")
    given = parser.parse_args()
    figures = []
    with Load() as load:
        for name in FIELDS:
            figures += measured(given.frames, name)
            note(name)
        figures += cost(100)
    return show("radii of the target", figures, load, as_json=given.json)


if __name__ == "__main__":
    raise SystemExit(main())
