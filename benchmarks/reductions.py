"""What benchmarks of reductions reduce: simulated HiPERCAM runs of 5 CCDs with 3 stars each, and how."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from figures import note

from roque.calibration.masters import make_bias, make_flat
from roque.frames.hcm import write_hcm
from roque.lightcurves import Hlog, LogHeader, write_log
from roque.photometry.apertures import Aperture, Apertures, write_apertures
from roque.photometry.measurements import Measurements, empty
from roque.photometry.recipe import Recipe
from roque.photometry.recipe_sections import Detector, Extraction, Radius, Tracking
from roque.simulation import benchmark_plan, simulate_night, simulate_run
from roque.simulation.night import COMPARISONS, TARGET
from roque.simulation.plan import RunPlan, WindowPlan
from roque.spool import data_source

__all__ = ["CHANGES", "apertures", "disagreements", "make_full_frames", "make_log", "make_windowed", "recipe"]

CCDS = "12345"
CHANGES: dict[str, dict[str, object]] = {
    "moffat": {},
    "optimal": {"extraction.*.method": "optimal"},
    "gaussian": {"apertures.fit_method": "gaussian"},
    "fixed": {"apertures.location": "fixed", "extraction.*.resize": "fixed"},
}
"""Ways to reduce, and how their recipes differ from `recipe`."""

FULL_FRAME = (WindowPlan(xs=(0, 0, 0, 0), ys=0, nx=1024, ny=512),)
_TIMES = {"x": 0.01, "y": 0.01, "fwhm": 0.02, "beta": 0.02, "counts": 0.01}
_BY = {
    "mfwhm": 0.01,
    "mbeta": 0.01,
    "x": 1e-4,
    "y": 1e-4,
    "fwhm": 1e-3,
    "beta": 1e-3,
    "counts": 0.1,
    "countse": 0.1,
    "sky": 0.02,
}
_BY |= {"skye": 0.01, "MJD": 2e-11, "nsky": 2}
_PART = {"xe": 0.01, "ye": 0.01, "fwhme": 0.01, "betae": 0.01, "countse": 2e-4, "Exptim": 1e-7}
_PRINTED = {"xe": 1e-4, "ye": 1e-4, "fwhme": 1e-3, "betae": 1e-3}


def recipe() -> Recipe:
    """Give the recipe that the HiPERCAM pipeline was timed with: its `genred`'s, seeing 4.5 pixels."""
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
    return Recipe(
        parity=True, apertures=tracking, extraction=dict.fromkeys(CCDS, line), detectors=dict.fromkeys(CCDS, detector)
    )


def apertures() -> Apertures:
    """Place them on the stars of the simulated runs."""
    stars = (TARGET, *COMPARISONS)
    members = {
        str(i): Aperture(s.x, s.y, 9.0, 13.0, 20.0, ref=i == 2)  # the second is the brightest
        for i, s in enumerate(stars, 1)
    }
    return {ccd: dict(members) for ccd in CCDS}


def make_windowed(folder: Path, frames: int) -> None:
    """Write a run of two windows of 50 x 46 pixels per quadrant as windowed.fits, with bias, flat and reduce files."""
    note(f"{frames} windowed frames are simulated")
    simulate_night(folder / "night", seed=1, frames=1)
    simulate_run(folder / "windowed.fits", benchmark_plan(frames))
    _write_masters(folder, "windowed", folder / "night" / "run0001.fits", folder / "night" / "run0002.fits")
    for name, changes in CHANGES.items():
        _write_reduce_file(folder, name, "windowed", changes)


def make_full_frames(folder: Path, frames: int) -> None:
    """Write a run of full frames, 2048 x 1024 pixels, as full.fits, with bias, flat and a reduce file."""
    note(f"{frames} full frames are simulated")
    plan = replace(benchmark_plan(frames), windows=FULL_FRAME, distinct=10)
    still = RunPlan(detector=plan.detector, seed=3, windows=FULL_FRAME, frames=5, clear=True)
    light = 40_000.0
    simulate_run(folder / "full.fits", plan)
    simulate_run(folder / "dark.fits", replace(still, exposure=0.001, image_type="bias"))
    simulate_run(folder / "sky.fits", replace(still, seed=4, image_type="flat", twilight=(light,) * 5, twilight_decay=1e6))
    _write_masters(folder, "full", folder / "dark.fits", folder / "sky.fits")
    _write_reduce_file(folder, "full", "full", {})


def make_log(path: Path, frames: int) -> None:
    """Write a log of frames of 5 CCDs with 3 apertures: random numbers of the size that measurements have."""
    note(f"a log of {frames} frames is written")
    rng = np.random.default_rng(11)
    n = frames * len(CCDS) * 3
    rows = empty(
        n,
        ccd=np.tile(np.repeat(list(CCDS), 3), frames),
        aperture=np.tile(list("123"), n // 3),
        frame=np.repeat(np.arange(1, frames + 1), n // frames),
        mjd_int=61114,
        mjd_frac=np.repeat(np.arange(frames) * 1e-6 + 0.0123456789, n // frames),
        time_ok=True,
        exposure=0.07813,
        mfwhm=4.4,
        mbeta=3.6,
    )
    sizes = {"x": 400.0, "y": 150.0, "fwhm": 4.4, "beta": 3.6, "counts": 31_415.9, "sky": 17.2}
    sizes |= {"xe": 0.01, "ye": 0.01, "fwhme": 0.03, "betae": 0.1, "countse": 212.3, "skye": 0.3}
    for name, size in sizes.items():
        rows[name] = size * (1.0 + 0.05 * rng.standard_normal(n))
    for name, size in {"nsky": 700, "nrej": 9, "peak": 2500}.items():
        rows[name] = rng.integers(size // 2, size, n)
    write_log(path, _parts(rows), apertures(), LogHeader(version="benchmark"))


def disagreements(peer: Hlog, ours: Hlog) -> int:
    """Count values of a log that are not those of the HiPERCAM pipeline within its specification's tolerances."""
    bad = 0
    for ccd, table in peer.items():
        here = ours[ccd]
        if len(here) != len(table) or here.dtype.names != table.dtype.names:
            return table.size * len(table.dtype.names or ())
        for column in table.dtype.names or ():
            bad += int(np.count_nonzero(~_agree(column, table, here)))
    return bad


def _agree(column, peer, ours):
    name, _, label = column.partition("_")
    a, b = peer[column].astype(np.float64), ours[column].astype(np.float64)
    error = np.abs(peer[f"{name}e_{label}"]) if name in _TIMES else 0.0
    allowed = np.maximum(_TIMES.get(name, 0.0) * error, _BY.get(name, 0.0))
    allowed = np.maximum(allowed, np.maximum(_PART.get(name, 0.0) * np.abs(a), _PRINTED.get(name, 0.0)))
    # numbers are printed: the last digit may turn, and float32 rounds
    return (np.isnan(a) & np.isnan(b)) | ~(np.abs(a - b) > 1.001 * np.nan_to_num(allowed) + 2e-7 * np.abs(a))


def _parts(rows: Measurements):
    step = 15 * 2000
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def _write_masters(folder: Path, name: str, dark: Path, sky: Path) -> None:
    with data_source("hl", dark) as run:
        bias, _ = make_bias(run)
    with data_source("hl", sky) as run:
        flat, _ = make_flat(run, bias, None, lower=3000.0, upper=60000.0)
    write_hcm(folder / f"{name}_bias.hcm", bias, overwrite=True)
    write_hcm(folder / f"{name}_flat.hcm", flat, overwrite=True)


def _write_reduce_file(folder: Path, name: str, run: str, changes: dict[str, object]) -> None:
    masters = {"bias": f"{run}_bias.hcm", "flat": f"{run}_flat.hcm"}
    write_apertures(folder / f"{name}.ape", apertures())
    text = recipe().changed(changes).to_reduce_file(apertures(), f"{name}.ape", masters)
    (folder / f"{name}.red").write_text(text)
