"""Speed of reductions, raw file to measurements in one process. Usage: python benchmarks/reduce.py [FRAMES]

Simulates a HiPERCAM run of two windows of 50 x 46 pixels per quadrant with 3 stars on each of 5 CCDs, and reduces it with bias
and flat. Prints frames/s of wall clock and of processor time, the best of three, and the ratio of the latter to the HiPERCAM
pipeline's figures for the same shape of run, which were measured on a machine of this kind when it was quiet: both keep one
processor busy, and on a quiet machine the two clocks agree.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from roque.calibration.apply import Masters
from roque.calibration.masters import make_bias, make_flat
from roque.instruments import load_camera
from roque.photometry.apertures import Aperture, Apertures
from roque.photometry.recipe import Recipe
from roque.photometry.recipe_sections import Detector, Extraction, Radius, Tracking
from roque.photometry.reduce import Reducer
from roque.simulation.night import COMPARISONS, TARGET, simulate_night
from roque.spool import data_source

PEER = {"moffat": 20.6, "optimal": 19.9, "gaussian": 24.4, "fixed": 243.0}  # frames/s on a quiet machine
CHANGES: dict[str, dict[str, object]] = {
    "moffat": {},
    "optimal": {"extraction.*.method": "optimal"},
    "gaussian": {"apertures.fit_method": "gaussian"},
    "fixed": {"apertures.location": "fixed", "extraction.*.resize": "fixed"},
}


def recipe() -> Recipe:
    line = Extraction(
        target=Radius(factor=1.8, least=4.0, greatest=14.0),
        inner_sky=Radius(factor=2.5, least=13.0, greatest=13.0),
        outer_sky=Radius(factor=3.0, least=20.0, greatest=20.0),
    )
    detector = Detector(readout=4.2, gain=1.1, nonlinear=50000.0, saturation=64000.0)
    tracking = Tracking(
        search_half_width=9.3,
        search_smooth_fwhm=4.4,
        fit_fwhm=4.4,
        fit_fwhm_min=1.5,
        fit_fwhm_max=27.8,
        fit_half_width=18.5,
        fit_max_shift=2.3,
        fit_diff=1.54,
    )
    ccds = "12345"
    return Recipe(
        parity=True, apertures=tracking, extraction=dict.fromkeys(ccds, line), detectors=dict.fromkeys(ccds, detector)
    )


def apertures() -> Apertures:
    stars = (TARGET, *COMPARISONS)
    members = {
        str(i): Aperture(s.x, s.y, 9.0, 13.0, 20.0, ref=i == 2)  # the second is the brightest
        for i, s in enumerate(stars, 1)
    }
    return {ccd: dict(members) for ccd in "12345"}


def masters(folder: Path) -> Masters:
    with data_source("hl", folder / "run0001.fits") as run:
        bias, _ = make_bias(run)
    with data_source("hl", folder / "run0002.fits") as run:
        flat, _ = make_flat(run, bias, None, lower=3000.0, upper=60000.0)
    return Masters(bias=bias, flat=flat)


def reduce_once(path: Path, settings: Recipe, frames: Masters) -> tuple[int, float, float]:
    """Frames, and seconds of wall clock and processor."""
    wall, processor = time.perf_counter(), time.process_time()
    with data_source("hl", path, camera=load_camera("hipercam")) as run:
        number = run.available
        rows, _, _ = Reducer(settings, apertures(), frames).reduce_range(run)
    if rows.size != number * 15:
        raise SystemExit(f"{rows.size} rows of {number * 15}")
    return number, time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    frames = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth = simulate_night(folder, seed=7, frames=frames)
        path, calibration = folder / f"{truth.science}.fits", masters(folder)
        print(f"{'':10s} frames/s    per CPU s    the peer's frames/s    ratio")
        for kind, changes in CHANGES.items():
            settings = recipe().changed(changes)
            reduce_once(path, settings, calibration)  # compiled, and the file in memory
            times = [reduce_once(path, settings, calibration) for _ in range(3)]
            number = times[0][0]
            wall, processor = min(t[1] for t in times), min(t[2] for t in times)
            rate = number / processor
            print(f"{kind:10s} {number / wall:8.1f} {rate:12.1f} {PEER[kind]:22.1f} {rate / PEER[kind]:8.1f}")


if __name__ == "__main__":
    main()
