"""A simulated night: masters' runs, an eclipsing binary, and two files that are damaged."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from roque.simulation.eclipse import Eclipse
from roque.simulation.plan import CCDS, Detector, PerCCD, RunPlan, Star, WindowPlan
from roque.simulation.raw_fits import STAMP_WORDS
from roque.simulation.run import simulate_run
from roque.simulation.truth import RunTruth

__all__ = ["COMPARISONS", "SCIENCE_WINDOWS", "TARGET", "NightTruth", "simulate_night"]

SCIENCE_WINDOWS = (
    WindowPlan(xs=(391, 431, 511, 471), ys=123, nx=50, ny=46),
    WindowPlan(xs=(391, 431, 511, 471), ys=175, nx=50, ny=46),
)
CALIBRATION_WINDOWS = (WindowPlan(xs=(382, 422, 502, 462), ys=118, nx=68, ny=108),)
"""Hold both sets of the science windows, so that masters made from them suit."""

TARGET = Star(name="target", x=416.3, y=146.8, flux=(3500.0, 8500.0, 8800.0, 8200.0, 6900.0))
COMPARISONS = (
    Star(name="comparison 1", x=1592.4, y=147.2, flux=(5200.0, 17000.0, 19500.0, 18500.0, 16000.0)),
    Star(name="comparison 2", x=417.1, y=198.4, flux=(3800.0, 11700.0, 13300.0, 12700.0, 11000.0)),
)

_DEPTHS = (0.62, 0.55, 0.48, 0.42, 0.37)
_SKY: PerCCD = (4.0, 12.0, 16.0, 18.0, 22.0)
_FLAT_LEVEL: PerCCD = (48000.0, 48000.0, 48000.0, 38500.0, 38500.0)
_MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)


@dataclass(frozen=True)
class NightTruth:
    """What was put into a night.

    Parameters
    ----------
    night : date
        Date of its evening.
    seed : int
        Seed that it was made with.
    runs : dict of str to RunTruth
        By name of the run; the one that is cut short has all frames it should have had.
    science : str
        Name of the run with the eclipse.
    eclipses : dict of str to Eclipse
        By CCD label.
    damaged : dict of str to str
        File name to what is wrong with it.
    whole_frames : dict of str to int
        Frames that can be read, by name of the run.
    """

    night: date
    seed: int
    runs: dict[str, RunTruth]
    science: str
    eclipses: dict[str, Eclipse]
    damaged: dict[str, str]
    whole_frames: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Everything in types that JSON knows."""
        return {
            "night": self.night.isoformat(),
            "seed": self.seed,
            "science": self.science,
            "eclipses": {ccd: asdict(eclipse) for ccd, eclipse in self.eclipses.items()},
            "damaged": self.damaged,
            "whole_frames": self.whole_frames,
            "runs": {name: truth.to_dict() for name, truth in self.runs.items()},
        }


def simulate_night(folder: Path, seed: int, *, frames: int = 360, evening: date = date(2026, 3, 14)) -> NightTruth:
    """Write a HiPERCAM night of one eclipsing binary.

    Parameters
    ----------
    folder : Path
        Where to write: run0001.fits (bias), run0002.fits (twilight flat), run0003.fits (the binary), run0004.fits (a run cut
        short inside a frame), run0005.fits (not FITS). Made if missing.
    seed : int
        Seed of everything: noise, chips, depths and mid-time of the eclipse.
    frames : int
        Frames of the binary.
    evening : date
        Date of the night.

    Returns
    -------
    NightTruth
        What was put in; nothing of it is written into `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    detector = Detector(seed=seed)
    midnight = datetime(evening.year, evening.month, evening.day, tzinfo=UTC) + timedelta(days=1)
    science = _science(detector, seed, midnight - timedelta(minutes=7), frames)
    plans = {
        "run0001": _bias(detector, seed, midnight - timedelta(hours=5, minutes=20)),
        "run0002": _flat(detector, seed, midnight - timedelta(hours=4, minutes=25)),
        "run0003": science,
        "run0004": _standard(detector, seed, midnight + timedelta(hours=1)),
    }
    runs = {name: simulate_run(folder / f"{name}.fits", plan) for name, plan in plans.items()}
    kept = plans["run0004"].frames * 5 // 8
    _cut(folder / "run0004.fits", plans["run0004"], kept)
    (folder / "run0005.fits").write_text("The disk of the camera was full when this file should have been written.\n" * 40)
    target = science.stars[0].eclipses or ()
    return NightTruth(
        night=evening,
        seed=seed,
        runs=runs,
        science="run0003",
        eclipses=dict(zip(CCDS, target, strict=True)),
        damaged={"run0004.fits": f"cut short inside frame {kept + 1}", "run0005.fits": "not FITS"},
        whole_frames={name: kept if name == "run0004" else plan.frames for name, plan in plans.items()},
    )


def _bias(detector: Detector, seed: int, start: datetime) -> RunPlan:
    return RunPlan(
        detector=detector,
        seed=10 * seed + 1,
        windows=CALIBRATION_WINDOWS,
        frames=100,  # the noise of the master stays the same all run long: it must be small beside that of the light
        start=start,
        exposure=0.001,
        read_out=0.18,
        clear=True,
        object_name="Bias",
        image_type="bias",
    )


def _flat(detector: Detector, seed: int, start: datetime) -> RunPlan:
    flux = (2e5, 4e5, 4e5, 4e5, 3e5)
    places = ((410.0, 160.0), (1590.0, 190.0), (1515.0, 850.0), (500.0, 870.0))
    return RunPlan(
        detector=detector,
        seed=10 * seed + 2,
        windows=CALIBRATION_WINDOWS,
        frames=48,
        start=start,
        exposure=0.4,
        read_out=0.18,
        clear=True,
        object_name="Twilight flat",
        image_type="flat",
        stars=tuple(Star(name=f"field {k}", x=x, y=y, flux=flux) for k, (x, y) in enumerate(places, 1)),
        twilight=_FLAT_LEVEL,
        twilight_decay=60.0,
        dither=8.0,
    )


def _science(detector: Detector, seed: int, start: datetime, frames: int) -> RunPlan:
    exposure, read_out = 2.0, 0.15
    rng = np.random.default_rng([seed, 2])
    length = frames * (exposure + read_out)
    mid = start + timedelta(seconds=round(length * rng.uniform(0.45, 0.55), 3)) - _MJD_ZERO
    width, ingress = length * rng.uniform(0.26, 0.30), length * rng.uniform(0.02, 0.03)
    eclipses = [
        Eclipse(
            mid_int=mid.days,
            mid_frac=(mid - timedelta(days=mid.days)) / timedelta(days=1),
            depth=depth + rng.uniform(-0.03, 0.03),
            width=width * (1.0 - 0.01 * k),
            ingress=ingress,
        )
        for k, depth in enumerate(_DEPTHS)
    ]
    target = Star(name=TARGET.name, x=TARGET.x, y=TARGET.y, flux=TARGET.flux, eclipses=tuple(eclipses))  # type: ignore[arg-type]
    return RunPlan(
        detector=detector,
        seed=10 * seed + 3,
        windows=SCIENCE_WINDOWS,
        frames=frames,
        start=start,
        exposure=exposure,
        read_out=read_out,
        object_name="Simulated eclipser",
        stars=(target, *COMPARISONS),
        sky=_SKY,
        fwhm=4.2,
        fwhm_rms=0.2,
        fwhm_drift=0.4,
        drift=(1.8, -1.2),
        jitter=0.25,
        transparency_rms=0.05,
        scintillation=0.003,
    )


def _standard(detector: Detector, seed: int, start: datetime) -> RunPlan:
    return RunPlan(
        detector=detector,
        seed=10 * seed + 4,
        windows=SCIENCE_WINDOWS,
        frames=48,
        start=start,
        exposure=1.0,
        object_name="Simulated standard",
        stars=(TARGET, *COMPARISONS),
        sky=_SKY,
        fwhm=4.4,
        fwhm_rms=0.2,
        jitter=0.3,
        scintillation=0.003,
    )


def _cut(path: Path, plan: RunPlan, kept: int) -> None:
    """Leave `kept` frames and a part of the next one."""
    words = sum(20 * w.nx * w.ny for w in plan.windows) // (plan.xbin * plan.ybin) + STAMP_WORDS
    pad = -plan.frames * 2 * words % 2880
    header = path.stat().st_size - plan.frames * 2 * words - pad
    os.truncate(path, header + int((kept + 0.4) * 2 * words))
