"""How soon frames of a run that is being written are handed on, following a camera of 1 000 frames/s with 5 CCDs.

    python benchmarks/following.py [--seconds 4] [--rate 1000] [--repeats 3] [--json]

Another process writes a HiPERCAM run, two windows of 50 x 46 pixels per quadrant (184 kB a frame), a frame each millisecond,
and notes when each was on disk; this one follows it, with all pixels decoded. A frame's delay runs from the end of its write to
when it is handed on; frames behind are those on disk and not yet handed on. Of several runs the one of the smallest largest
delay is told.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from figures import Figure, Load, note, options, show
from raw_runs import TWO_WINDOWS, WINDOW, hipercam_header, hipercam_pixels, hipercam_stamp

from roque.spool import data_source, follow

PIXELS = 2 * WINDOW
DISTINCT = 50
"""Frames whose pixels are made; they are written in turn, each with its own time stamp."""

DELAY = 100.0  # ms


def camera(path: Path, notes: Path, frames: int, rate: float) -> None:
    """Write frames at a rate, and when each was written."""
    pixels = [hipercam_pixels(PIXELS, n) for n in range(DISTINCT)]
    stamps = [hipercam_stamp(n) for n in range(frames)]
    written = np.zeros(frames)
    with path.open("ab", buffering=0) as file:
        start = time.monotonic()
        for n in range(frames):
            wait = start + n / rate - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            file.write(pixels[n % DISTINCT] + stamps[n])
            written[n] = time.monotonic()
    np.save(notes, written)


def measure(folder: Path, frames: int, rate: float) -> dict[str, float]:
    """Follow a camera for as many frames; delays in ms."""
    path, notes = folder / "run0001.fits", folder / "written.npy"
    path.write_bytes(hipercam_header("TwoWindow", PIXELS, frames, TWO_WINDOWS))
    handed = np.zeros(frames)
    process = subprocess.Popen([sys.executable, __file__, "--camera", path, notes, str(frames), str(rate)])
    came = 0
    with data_source("hl", path) as run:
        began = time.process_time()
        for frame in follow(run, tmax=20.0, whole=True):
            handed[came] = time.monotonic()
            came += 1
            assert frame.number == came
        used = time.process_time() - began
    if process.wait() or came != frames:
        raise SystemExit(f"the camera ended with {process.returncode}, and {came} of {frames} frames came")
    written = np.load(notes)
    path.unlink()
    delay = 1e3 * (handed - written)
    behind = np.searchsorted(written, handed, side="right") - np.arange(frames)
    return {
        "rate": (frames - 1) / float(written[-1] - written[0]),
        "median": float(np.median(delay)),
        "p95": float(np.percentile(delay, 95)),
        "max": float(delay.max()),
        "behind": float(behind.max()),
        "core": 100.0 * used / float(handed[-1] - written[0]),
    }


def main() -> int:
    parser = options(__doc__ or "")
    parser.add_argument("--seconds", type=float, default=4.0, help="that the camera writes")
    parser.add_argument("--rate", type=float, default=1000.0, help="frames per second")
    parser.add_argument("--repeats", type=int, default=3, help="runs")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Load() as load:
        found = []
        for k in range(chosen.repeats):
            found.append(measure(Path(folder), int(chosen.seconds * chosen.rate), chosen.rate))
            note(f"run {k + 1}: {', '.join(f'{name} {value:.1f}' for name, value in found[-1].items())}")
    best = min(found, key=lambda one: one["max"])
    limit = f"< {DELAY:.0f}"
    figures = [
        Figure("camera", best["rate"], "frames/s", f">= {0.95 * chosen.rate:.0f}", best["rate"] >= 0.95 * chosen.rate),
        Figure("delay, median", best["median"], "ms", limit, best["median"] < DELAY),
        Figure("delay, 95 of 100 frames", best["p95"], "ms", limit, best["p95"] < DELAY),
        Figure("delay, largest", best["max"], "ms", limit, best["max"] < DELAY),
        Figure("frames behind, most", best["behind"], "frames"),
        Figure("processor time of the follower", best["core"], "% of a core"),
    ]
    return show("Following a HiPERCAM run that is being written", figures, load, as_json=chosen.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--camera"]:
        camera(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
        sys.exit()
    sys.exit(main())
