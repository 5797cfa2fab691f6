"""How fast masters are made of full HiPERCAM frames (5 CCDs of 2048 x 1024), and boxes calibrated.

    python benchmarks/masters.py [--frames 12] [--memory 256]

Simulates a bias and a twilight run, makes bias and flat from raw file to frame, and an average of either kind, and prints
frames/s and the peak memory in use; then the time to calibrate a box of a star. The HiPERCAM pipeline (2 cores,
100 frames): makebias 2.3, makeflat 1.3, averun 2.1 (clipped mean) and 1.6 (median) frames/s.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from roque.calibration.apply import Calibrator, Masters
from roque.calibration.combine import combine
from roque.calibration.masters import make_bias, make_flat
from roque.calibration.stack import Stack
from roque.frames import Box
from roque.simulation.plan import Detector, RunPlan, WindowPlan
from roque.simulation.run import simulate_run
from roque.spool import data_source

QUADRANTS = WindowPlan(xs=(0, 0, 0, 0), ys=0, nx=1024, ny=512)
PEER = {"bias": 2.3, "flat": 1.3, "average, clipped mean": 2.1, "average, median": 1.6}


def simulate(path, kind, frames, **other):
    plan = RunPlan(
        detector=Detector(seed=1),
        seed=2,
        windows=(QUADRANTS,),
        frames=frames,
        start=datetime(2026, 3, 14, 19, tzinfo=UTC),
        exposure=0.5,
        read_out=2.0,
        clear=True,
        object_name=kind,
        image_type=kind,
        distinct=4,
        **other,
    )
    simulate_run(path, plan)


def simulate_both(folder, frames):
    simulate(folder / "run0001.fits", "bias", frames)
    simulate(folder / "run0002.fits", "flat", frames, twilight=40000.0, twilight_decay=20.0)


def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=12, help="frames in each run (21 MB each)")
    parser.add_argument("--memory", type=int, default=256, help="MB of counts held at a time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # in a process of its own: its memory is not to count
        simulation = multiprocessing.get_context("spawn").Process(target=simulate_both, args=(folder, options.frames))
        simulation.start()
        simulation.join()
        biases, flats = (data_source("hl", folder / f"run000{n}.fits") for n in (1, 2))
        memory = options.memory << 20
        bias, _ = make_bias(biases, range(1, 3))  # compiles what is not compiled yet
        make_flat(flats, bias, None, range(1, 3), lower=0, upper=65000)
        print(f"{options.frames} full frames, {memory >> 20} MB at a time; {megabytes():.0f} MB in use before")
        masters = {
            "bias": lambda: make_bias(biases, memory=memory, parity=True),
            "flat": lambda: make_flat(flats, bias, None, lower=0, upper=65000, ngroup=5, memory=memory),
            "average, clipped mean": lambda: combine(
                Stack(flats, masters=Masters(bias=bias), memory=memory), method="clipped mean"
            ),
            "average, median": lambda: combine(Stack(flats, masters=Masters(bias=bias), memory=memory)),
        }
        for kind, make in masters.items():
            start = time.perf_counter()
            made, _ = make()
            rate = options.frames / (time.perf_counter() - start)
            print(
                f"{kind:22s} {rate:6.1f} frames/s, peer {PEER[kind]} ({rate / PEER[kind]:.0f} times); peak {megabytes():.0f} MB"
            )
            bias = made if kind == "bias" else bias
        boxes(flats, Masters(bias=bias, flat=made))
        biases.close()
        flats.close()


def boxes(source, masters):
    first = source.frame(1)
    calibrator = Calibrator(masters, first, readout=4.2, gain=1.1)
    number = 2000
    for side in (1, 20, 40):
        box = Box(100, 100 + side, 200, 200 + side)
        calibrator.box("3", first.ccds["3"], "E1", box)
        start = time.perf_counter()
        for _ in range(number):
            calibrator.box("3", first.ccds["3"], "E1", box)
        print(
            f"a box of {side:2d} x {side:2d} pixels: {(time.perf_counter() - start) / number * 1e6:.1f} us, decoding included"
        )


if __name__ == "__main__":
    main()
