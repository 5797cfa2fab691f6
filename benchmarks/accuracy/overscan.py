"""What drifting levels and rows of an amplifier do to light curves, with its overscan subtracted and without.

    python benchmarks/accuracy/overscan.py [--frames 500] [--json]

Constant stars that wander by a few pixels over a flat field of 2 % from pixel to pixel and 20 % from one side to the other. The
level of their amplifier drifts away from that of the bias by up to 60 counts, and each row of each frame has one of its own, of
1.5 counts. What is not taken off before the flat is divided out stays as a pattern of the flat, through which the stars
wander; an annulus cannot know it. Every frame is made a second time with the same noise and a level that stays, so that what
differs is the level alone: its mean, its scatter, and how far the sky is off.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # figures.py

from errors import recipe
from figures import Figure, Load, note, options, show
from pixels import light

from roque.calibration.apply import Masters
from roque.frames import CCD, Frame, Geometry, Window
from roque.photometry.apertures import Aperture
from roque.photometry.reduce import Reducer

DATA, SCAN = Geometry(1, 1, 1, 1, 300, 120), Geometry(-49, 1, 1, 1, 50, 120)
PEDESTAL, DRIFT, ROWS = 2400.0, 60.0, 1.5  # counts
NOISE, GAIN, SKY = 4.0, 1.1, 40.0
RADII = 9.0, 15.0, 27.0  # pixels
STARS = {"bright": (60.0, 60.0, 400_000.0), "middle": (150.0, 60.0, 40_000.0), "faint": (240.0, 60.0, 4_000.0)}
TREATMENTS = ("none", "level", "rows")


def flat() -> Frame:
    """Flat field, of mean 1."""
    rng = np.random.default_rng(5)
    slope = np.linspace(0.9, 1.1, DATA.nx)
    return _frame(slope * rng.normal(1.0, 0.02, (DATA.ny, DATA.nx)), np.ones((SCAN.ny, SCAN.nx)), 1)


def bias() -> Frame:
    """Bias: the level at which the amplifier stood."""
    return _frame(np.full((DATA.ny, DATA.nx), PEDESTAL), np.full((SCAN.ny, SCAN.nx), PEDESTAL), 1)


def frames(number: int, response: np.ndarray) -> Iterator[tuple[Frame, Frame]]:
    """Frames whose level stays, and the same with one that drifts and differs from row to row."""
    rng = np.random.default_rng(7)
    x, y = np.meshgrid(1.0 + np.arange(DATA.nx), 1.0 + np.arange(DATA.ny))
    for n in range(1, number + 1):
        sx, sy = 4.0 * np.sin(n / 23.0) + rng.normal(0.0, 0.3), 4.0 * np.cos(n / 31.0) + rng.normal(0.0, 0.3)
        model = np.full(x.shape, SKY)
        for x0, y0, flux in STARS.values():
            model += light(5.0, flux, x - x0 - sx, y - y0 - sy)
        seen = rng.poisson(GAIN * model * response) / GAIN + rng.normal(PEDESTAL, NOISE, x.shape)
        scan = rng.normal(PEDESTAL, NOISE, (SCAN.ny, SCAN.nx))
        level = DRIFT * np.sin(n / 90.0) + rng.normal(0.0, ROWS, (DATA.ny, 1))
        yield _frame(seen, scan, n), _frame(seen + level, scan + level, n)


def _frame(data: np.ndarray, scan: np.ndarray, n: int) -> Frame:
    windows = {"E1": Window(DATA, data.astype(np.float32)), "E1P": Window(SCAN, scan.astype(np.float32))}
    return Frame({"1": CCD(windows, 2048, 1024, mjd_int=61000, mjd_frac=0.2 + n / 1e5, exposure=10.0)}, n)


def measured(number: int) -> dict[str, np.ndarray]:
    """Rows by treatment, and those of frames whose level stays."""
    masters = Masters(bias=bias(), flat=flat())
    response = masters.flat.ccds["1"].windows["E1"].data.astype(np.float64)
    first = next(iter(STARS))
    apertures = {
        name: Aperture(x, y, *RADII, ref=name == first, link="" if name == first else first)
        for name, (x, y, _) in STARS.items()
    }
    note(f"{number} frames are reduced in {len(TREATMENTS) + 1} ways")
    pairs = list(frames(number, response))
    still, drifting = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    rows = {"level that stays": Reducer(recipe(), {"1": apertures}, masters).reduce_range(still)[0]}
    for how in TREATMENTS:
        reducer = Reducer(recipe().changed({"pixels.overscan": how}), {"1": apertures}, masters)
        rows[how] = reducer.reduce_range(drifting)[0]
    return rows


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--frames", type=int, default=500, help="frames (default 500)")
    given = parser.parse_args()
    with Load() as load:
        found = measured(given.frames)
    figures, scatter = [], {}
    for name in STARS:
        of = {treatment: rows[rows["aperture"] == name] for treatment, rows in found.items()}
        truth = of["level that stays"]
        for how in TREATMENTS:
            off = of[how]["counts"] / truth["counts"] - 1.0
            scatter[name, how] = float(off.std())
            figures.append(Figure(f"{name}, overscan {how}: bias", 100.0 * float(off.mean()), "%"))
            figures.append(Figure("    scatter", 100.0 * scatter[name, how], "%"))
            figures.append(Figure("    sky off by", float(np.abs(of[how]["sky"] - truth["sky"]).mean()), "counts"))
        figures.append(Figure("    error that is stated", 100.0 * float((truth["countse"] / truth["counts"]).mean()), "%"))
    for how in TREATMENTS[1:]:
        better = max(scatter[name, how] / scatter[name, "none"] for name in STARS)
        figures.append(Figure(f"scatter of '{how}' in that without, at most", better, "", "< 1", better < 1.0))
    return show("levels of amplifiers", figures, load, as_json=given.json)


if __name__ == "__main__":
    raise SystemExit(main())
