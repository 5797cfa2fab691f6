"""Compile every kernel and fill its cache: ``python -m roque.warm``. A small simulated night goes all the way through."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from roque.calibration.apply import Calibrator, Masters
from roque.calibration.combine import combine
from roque.calibration.masters import make_bias, make_dark, make_flat
from roque.calibration.stack import FrameList, Stack
from roque.frames import Frame
from roque.instruments import load_camera
from roque.lightcurves import Hlog
from roque.lightcurves.log_writer import LogHeader, write_log
from roque.photometry.automatic import AutomaticApertures, automatic_apertures
from roque.photometry.defaults import default_recipe
from roque.photometry.reduce import Reducer
from roque.photometry.targets import Search, find_targets
from roque.simulation.night import simulate_night
from roque.spool import FrameSource, data_source
from roque.spool._ultra_decode import warm_plain_words

__all__ = ["warm"]

_FRAMES = 20


def warm(folder: Path) -> Iterator[str]:
    """Reduce a small simulated night; gives the name of each step before it is done."""
    yield "decoding"
    warm_plain_words()
    yield "simulation"
    truth = simulate_night(folder, seed=1, frames=_FRAMES)
    camera = load_camera("hipercam")
    yield "masters"
    with _open(folder, "run0001") as source:
        bias, _ = make_bias(source)
        make_dark(source, bias)
    with _open(folder, "run0002") as source:
        flat, _ = make_flat(source, bias, None, lower=3000.0, upper=60000.0)
    masters = Masters(bias=bias, flat=flat)
    with _open(folder, truth.science) as source:
        frames = [source.frame(place) for place in range(1, _FRAMES + 1)]
        yield "automatic apertures"
        found = _apertures(frames, masters)
        recipe = default_recipe(camera, found, binning=1)
        yield "profile fits and extraction"
        measured, _, _ = Reducer(recipe, found.apertures, masters).reduce_range(frames[:2])
        yield "fits to groups of stars"
        Reducer(recipe.changed({"psf_photom.use_psf": True}), found.apertures, masters).reduce_range(frames[:2])
        yield "averages and targets"
        _averages(frames, masters)
        yield "logs"
        write_log(folder / "warm.log", measured, found.apertures, LogHeader(version="warm"))
        Hlog.from_ascii(folder / "warm.log")


def _averages(frames: list[Frame], masters: Masters) -> None:
    """What only commands on single files need."""
    stack = Stack(FrameList(frames), masters=masters)
    average, _ = combine(stack, method="median")
    combine(stack, method="clipped mean", adjust="scale", level="median")
    window = next(iter(average.ccds["2"].windows.values()))
    find_targets(window.data, window.geometry, Search(rmin=5.0, emax=10.0), frame=1, window="E1")


def _apertures(frames: list[Frame], masters: Masters) -> AutomaticApertures:
    camera = load_camera("hipercam")
    usual = camera.detector(camera.reference)
    calibrator = Calibrator(masters, frames[0], readout=usual.read_noise, gain=usual.gain)
    ccds = list(frames[0].ccds)
    return automatic_apertures(
        frames,
        calibrator,
        run="warm",
        gain={ccd: camera.detector(ccd).gain for ccd in ccds},
        saturation={ccd: camera.detector(ccd).saturation for ccd in ccds},
    )


def _open(folder: Path, name: str) -> FrameSource:
    return data_source("hl", folder / f"{name}.fits")


def main() -> None:
    """Compile, saying what and how long it took."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="roque-") as folder:
        for step in warm(Path(folder)):
            sys.stderr.write(f"compiling kernels, once: {step}\n")
    sys.stderr.write(f"kernels compiled and cached in {time.monotonic() - began:.0f} s\n")


if __name__ == "__main__":
    main()
