"""What bad pixels, cosmic rays and saturated cores do to light curves, with these pixels left in and left out.

    python benchmarks/accuracy/pixels.py [--frames 1000] [--json]

Constant stars that wander over dead columns and hot pixels, that are hit by cosmic rays, or that are brighter than the detector
takes. They are no Moffat profiles, but a sum of two, a little elongated, in a seeing that changes by a factor of two; the fit
knows nothing of that. Every frame is made a second time without the damage and with the same noise, so that what differs is the
damage alone: its mean, its scatter, and the share of frames that it spoils by more than five of their errors.

Cosmic rays at 2 400 m come at some 2 a minute and cm2: on the 15 um pixels of HiPERCAM 4.5e-6 a pixel in exposures of 60 s, so
one in 900 frames of a star. Here they come a hundred times as often, to be counted; the share of frames spoilt is given for
their true rate.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))  # figures.py

from errors import recipe
from figures import Figure, Load, note, options, show

from roque.calibration.apply import Masters
from roque.calibration.defects import Defect
from roque.frames import CCD, Frame, Geometry, Window
from roque.photometry.apertures import Aperture
from roque.photometry.flags import Flag
from roque.photometry.recipe import Recipe
from roque.photometry.reduce import Reducer

STEP, RADII = 60, (9.0, 15.0, 27.0)  # pixels
NOISE, GAIN, SKY, FULL = 4.0, 1.1, 40.0, 60_000.0
BRIGHT, MIDDLE, FAINT = 400_000.0, 40_000.0, 4_000.0
BOOST, RATE = 100.0, 4.5e-6  # rays of a pixel in an exposure

STARS: dict[str, tuple[str, float]] = {
    "reference": ("none", BRIGHT),
    "undamaged, bright": ("none", BRIGHT),
    "undamaged, faint": ("none", FAINT),
    "dead column, bright": ("column", BRIGHT),
    "dead column, middle": ("column", MIDDLE),
    "dead column, faint": ("column", FAINT),
    "hot and dead pixels, bright": ("pixels", BRIGHT),
    "hot and dead pixels, middle": ("pixels", MIDDLE),
    "hot and dead pixels, faint": ("pixels", FAINT),
    "rays, bright": ("rays", BRIGHT),
    "rays, middle": ("rays", MIDDLE),
    "rays, faint": ("rays", FAINT),
    "peak 1.3 times saturation": ("full", 1.3),
    "peak 2 times saturation": ("full", 2.0),
}
COLUMN = 2  # right of the middle of a cell
PIXELS = ((-3, 1, 6000.0), (1, -2, 0.0), (4, 4, 900.0), (-1, 5, 0.0))  # from the middle of a cell, counts; 0: dead


def places() -> dict[str, tuple[float, float]]:
    """Middle of the cell of each star."""
    return {name: (30.0 + STEP * (k % 5), 30.0 + STEP * (k // 5)) for k, name in enumerate(STARS)}


def defects() -> dict[str, list[Defect]]:
    """What a defect file would say."""
    found = []
    for name, (x, y) in places().items():
        if STARS[name][0] == "column":
            found.append(Defect(x + COLUMN, y - 29, x + COLUMN, y + 29, severe=True))
        elif STARS[name][0] == "pixels":
            found += [Defect(x + dx, y + dy, x + dx, y + dy, severe=True) for dx, dy, _ in PIXELS]
    return {"1": found}


def light(fwhm: float, flux: float, dx: NDArray[np.float64], dy: NDArray[np.float64]) -> NDArray[np.float64]:
    """A star: three quarters of its light in a Moffat profile with faint wings, the rest in one twice as wide; elongated."""
    r2 = (dx * 1.04) ** 2 + (dy / 1.04) ** 2
    total = np.zeros_like(dx)
    for share, width, beta in ((0.75, 0.95 * fwhm, 4.0), (0.25, 1.9 * fwhm, 3.0)):
        a = 4.0 * (2.0 ** (1.0 / beta) - 1.0) / width**2
        total += share * (beta - 1.0) * a / np.pi * (1.0 + a * r2) ** -beta
    return flux * total


def ray(rng: np.random.Generator, counts: NDArray[np.float64], x: float, y: float) -> None:
    """A trace through the silicon: some thousand electrons in each of a few pixels on a line, and what diffuses beside it."""
    angle, length = rng.uniform(0.0, np.pi), rng.exponential(3.0)
    charge = rng.uniform(500.0, 4000.0) / GAIN
    for step in np.arange(0.0, length + 1e-9, 0.25):
        j, i = int(y + step * np.sin(angle)), int(x + step * np.cos(angle))
        for dj, di, part in ((0, 0, 0.8), (0, 1, 0.05), (0, -1, 0.05), (1, 0, 0.05), (-1, 0, 0.05)):
            if 0 <= j + dj < counts.shape[0] and 0 <= i + di < counts.shape[1]:
                counts[j + dj, i + di] += 0.25 * part * charge if length > 0.25 else part * charge


def frames(number: int) -> Iterator[tuple[Frame, Frame]]:
    """Frames without damage, and the same with it."""
    rng = np.random.default_rng(11)
    g = Geometry(1, 1, 1, 1, 5 * STEP, 3 * STEP)
    x, y = np.meshgrid(1.0 + np.arange(g.nx), 1.0 + np.arange(g.ny))
    for n in range(1, number + 1):
        fwhm = 5.0 * 2.0 ** (0.5 * np.sin(n / 37.0))
        sx, sy = 1.5 * np.sin(n / 23.0) + rng.normal(0.0, 0.3), 1.5 * np.cos(n / 31.0) + rng.normal(0.0, 0.3)
        model = np.full(x.shape, SKY)
        for name, (x0, y0) in places().items():
            kind, flux = STARS[name]
            flux = flux * FULL / light(4.2, 1.0, np.zeros(1), np.zeros(1))[0] if kind == "full" else flux
            cell = np.s_[int(y0) - 30 : int(y0) + 30, int(x0) - 30 : int(x0) + 30]
            model[cell] += light(fwhm, flux, x[cell] - x0 - sx, y[cell] - y0 - sy)
        clean = rng.poisson(GAIN * model) / GAIN + rng.normal(0.0, NOISE, x.shape)
        spoilt = clean.copy()
        for name, (x0, y0) in places().items():
            kind, i, j = STARS[name][0], int(x0) - 1, int(y0) - 1
            if kind == "column":
                spoilt[j - 29 : j + 30, i + COLUMN] = rng.normal(0.0, NOISE, 59)
            elif kind == "pixels":
                for dx, dy, amount in PIXELS:
                    spoilt[j + dy, i + dx] = spoilt[j + dy, i + dx] + amount if amount else rng.normal(0.0, NOISE)
            elif kind == "rays":
                for _ in range(rng.poisson(BOOST * RATE * STEP**2)):
                    ray(rng, spoilt, x0 + rng.uniform(-30.0, 30.0), y0 + rng.uniform(-30.0, 30.0))
        yield _frame(g, clean, n), _frame(g, np.minimum(spoilt, FULL), n)


def _frame(g: Geometry, counts: NDArray[np.float64], n: int) -> Frame:
    window = Window(g, counts.astype(np.float32))
    return Frame({"1": CCD({"A": window}, 300, 300, mjd_int=61000, mjd_frac=0.2 + n / 1e5, exposure=60.0)}, n)


def settings(**changes: object) -> Recipe:
    """Recipe for either treatment."""
    return recipe().changed({"detectors.1.saturation": FULL, "detectors.1.nonlinear": FULL, **changes})


def measured(number: int) -> dict[str, NDArray[np.void]]:
    """Rows by treatment: of the frames without damage, with bad pixels left in, and with these left out."""
    apertures = {
        str(k): Aperture(x, y, *RADII, ref=k == 0, link="0" if k else "") for k, (x, y) in enumerate(places().values())
    }
    out = {"pixels.saturated": True, "pixels.cosmic_rays": True, "pixels.defects": "bad.dft"}
    reducers = {
        "undamaged": Reducer(settings(), {"1": apertures}, Masters()),
        "undamaged, rays looked for": Reducer(settings(**{"pixels.cosmic_rays": True}), {"1": apertures}, Masters()),
        "left in": Reducer(settings(), {"1": apertures}, Masters()),
        "left out": Reducer(settings(**out), {"1": apertures}, Masters(defects=defects())),
    }
    states, tables = dict.fromkeys(reducers), {name: [] for name in reducers}
    batch: list[tuple[Frame, Frame]] = []
    for pair in frames(number):
        batch.append(pair)
        if len(batch) == 200 or pair[0].number == number:
            for name, reducer in reducers.items():
                chosen = [pair[0] if name.startswith("undamaged") else pair[1] for pair in batch]
                rows, states[name], _ = reducer.reduce_range(chosen, states[name])
                tables[name].append(rows)
            batch = []
            note(f"{pair[0].number} of {number} frames")
    return {name: np.concatenate(table) for name, table in tables.items()}


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--frames", type=int, default=1000, help="frames (default 1000)")
    given = parser.parse_args()
    with Load() as load:
        found = measured(given.frames)
    figures = []
    for k, name in enumerate(STARS):
        of = {treatment: rows[rows["aperture"] == str(k)] for treatment, rows in found.items()}
        truth = of["undamaged"]
        rate = BOOST if STARS[name][0] == "rays" else 1.0
        for treatment in ("left in", "left out"):
            mine = of[treatment]
            known = np.isfinite(mine["counts"])
            off = (mine["counts"] / truth["counts"] - 1.0)[known]
            spoilt = np.abs(mine["counts"] - truth["counts"])[known] > 5.0 * np.hypot(mine["countse"], 0.0)[known]
            bias, scatter = 100.0 * float(off.mean()), 100.0 * float(off.std())
            share = 100.0 * (float(spoilt.sum()) + float((~known).sum())) / len(mine) / rate
            figures.append(Figure(f"{name}, {treatment}: bias", bias, "%"))
            figures.append(Figure("    scatter", scatter, "%"))
            figures.append(Figure("    frames spoilt or lost", share, "%"))
        figures.append(
            Figure("    error that is stated", 100.0 * float(np.nanmean(of["left out"]["countse"] / truth["counts"])), "%")
        )
        figures.append(Figure("    no counts given", 100.0 * float(np.isnan(of["left out"]["counts"]).mean()), "%"))
    alarms = found["undamaged, rays looked for"]["flag"] & int(Flag.COSMIC_RAY) > 0
    figures.append(Figure("rays found where there are none", 100.0 * float(alarms.mean()), "% of rows", "0", not alarms.any()))
    return show("pixels left in and left out", figures, load, as_json=given.json)


if __name__ == "__main__":
    raise SystemExit(main())
