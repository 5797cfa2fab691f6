"""The demo's night with many seeds: are the errors of depths and mid-times honest?

    python benchmarks/demo_seeds.py [--seeds 100] [--frames 360] [--processes 2] [--json]

For each seed the night of `roque demo` is simulated, masters are made, apertures found, the run with the eclipse reduced by the
default recipe, and the eclipse of each of five CCDs fitted, with the library that the demo's services call, in process. A pull
is the value measured less the value put in, over its error: of all seeds and CCDs the rms should be 1.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from figures import Figure, Load, note, options, show

from roque.calibration.apply import Calibrator, Masters
from roque.calibration.masters import make_bias, make_flat
from roque.instruments import CameraDescription, load_camera
from roque.photometry.automatic import automatic_apertures
from roque.photometry.beginning import frames_needed
from roque.photometry.defaults import default_recipe
from roque.photometry.reduce import Reducer
from roque.simulation import NightTruth, Recovery, recover_eclipses, simulate_night
from roque.spool import FrameSource, data_source
from services.calibrator.app import FAINTEST_FLAT, FLAT_GROUP

PULLS = (0.8, 1.2)
DEPTH_ERROR = 1.0  # per cent of the depth
MID_SECONDS = 3.0
SIGMAS = 3.0


class Line(NamedTuple):
    """What was found in one CCD with one seed."""

    seed: int
    ccd: str
    depth_pull: float
    depth_error: float  # per cent of the depth
    mid_pull: float
    mid_offset: float  # s
    reduced_chi2: float


def one_seed(work: tuple[int, int]) -> list[Line]:
    """Simulate and reduce a night."""
    seed, frames = work
    with tempfile.TemporaryDirectory(prefix="roque-seed-") as folder:
        truth = simulate_night(Path(folder), seed, frames=frames)
        return [line(seed, ccd, one) for ccd, one in reduce(Path(folder), truth).items()]


def line(seed: int, ccd: str, one: Recovery) -> Line:
    return Line(seed, ccd, one.depth_pull, 100.0 * one.depth_error, one.mid_pull, one.mid_offset, one.fit.reduced_chi2)


def reduce(folder: Path, truth: NightTruth) -> dict[str, Recovery]:
    """Reduce a night as the calibrator and the reducer do."""
    camera = load_camera("hipercam")
    masters = make_masters(folder, camera)
    with source(folder, truth.science, camera) as run:
        first = [run.frame(place) for place in range(1, frames_needed(run.info.nskips) + 1)]
        usual = camera.detector(camera.reference)
        found = automatic_apertures(
            first,
            Calibrator(masters, first[0], readout=usual.read_noise, gain=usual.gain),
            run=truth.science,
            gain={ccd: camera.detector(ccd).gain for ccd in first[0].ccds},
            saturation={ccd: camera.detector(ccd).saturation for ccd in first[0].ccds},
        )
        recipe = default_recipe(camera, found, binning=1)
        rows, _, _ = Reducer(recipe, found.apertures, masters).reduce_range(run)
    return recover_eclipses(rows, found.apertures, truth)


def make_masters(folder: Path, camera: CameraDescription) -> Masters:
    with source(folder, "run0001", camera) as run:
        bias, _ = make_bias(run)
    with source(folder, "run0002", camera) as run:
        upper = {ccd: camera.detector(ccd).nonlinear for ccd in run.info.windows}
        lower = {ccd: FAINTEST_FLAT * level for ccd, level in upper.items()}
        flat, _ = make_flat(run, bias, None, lower=lower, upper=upper, ngroup=FLAT_GROUP)
    return Masters(bias=bias, flat=flat)


def source(folder: Path, name: str, camera: CameraDescription) -> FrameSource:
    return data_source("hl", folder / f"{name}.fits", camera=camera)


def nights(seeds: int, frames: int, processes: int) -> Iterator[list[Line]]:
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for number, lines in enumerate(pool.imap(one_seed, [(seed, frames) for seed in range(1, seeds + 1)]), 1):
            if number % 10 == 0:
                note(f"{number} of {seeds} seeds")
            yield lines


def table(lines: list[Line]) -> list[Figure]:
    figures = [Figure("eclipses fitted", len(lines))]
    for what, pulls in (("depth", [x.depth_pull for x in lines]), ("mid-time", [x.mid_pull for x in lines])):
        rms, mean = float(np.sqrt(np.mean(np.square(pulls)))), float(np.mean(pulls))
        far = sum(abs(pull) > SIGMAS for pull in pulls)
        limit = f"{PULLS[0]} - {PULLS[1]}"
        figures += [
            Figure(f"pulls of the {what}, rms", rms, "sigma", limit, PULLS[0] <= rms <= PULLS[1]),
            Figure("    mean", mean, "sigma"),
            Figure("    largest", max(pulls, key=abs), "sigma"),
            Figure(f"    beyond {SIGMAS:.0f} sigma, of {len(pulls)} (0.27 % of honest ones)", far),
        ]
    depth, mid = max(x.depth_error for x in lines), max(abs(x.mid_offset) for x in lines)
    chi2 = float(np.median([x.reduced_chi2 for x in lines]))
    return [
        *figures,
        Figure("largest error of a depth", depth, "% of depth", f"<= {DEPTH_ERROR:.0f}", depth <= DEPTH_ERROR),
        Figure("largest offset of a mid-time", mid, "s", f"<= {MID_SECONDS:.0f}", mid <= MID_SECONDS),
        Figure("chi squared per degree of freedom, median", chi2),
    ]


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="seeds, from 1 on (default 100)")
    parser.add_argument("--frames", type=int, default=360, help="frames of the eclipsing binary (default 360)")
    parser.add_argument("--processes", type=int, default=2, help="nights at a time (default 2)")
    given = parser.parse_args()
    with Load() as load:
        lines = [each for night in nights(given.seeds, given.frames, given.processes) for each in night]
    figures = [*table(lines), Figure("seconds a night", load.seconds / given.seeds, "s")]
    return show(f"the demo's night with {given.seeds} seeds", figures, load, as_json=given.json)


if __name__ == "__main__":
    raise SystemExit(main())
