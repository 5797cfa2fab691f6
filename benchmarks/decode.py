"""Speed of reading raw runs: whole frames of HiPERCAM, ULTRACAM and ULTRASPEC, small boxes, times.

    python benchmarks/decode.py [--repeats 7] [--json]

On one core, with the files in memory; each figure is the best of several short repeats, in processor time. Whole frames: every
pixel to float32 in its window. A box is 40 x 40 pixels of each of 5 CCDs of a full frame, nothing else of which is touched.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from figures import Figure, Load, note, options, show
from raw_runs import TWO_WINDOWS, ULTRACAM, ULTRACAM_PAIRS, ULTRASPEC, WINDOW, write_hipercam, write_ultra

from roque.frames import Box, Frame
from roque.spool import data_source
from roque.spool.hipercam import HipercamRun
from roque.spool.ultra import UltraRun

BOX = Box(200, 240, 300, 340)
FULL_RATE, WINDOWED_RATE, BOX_TIME = 1500.0, 8000.0, 150.0  # MB/s, frames/s, microseconds


def best(work: Callable[[], object], repeats: int) -> float:
    """Processor time of the quickest of several calls, s."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def each(work: Callable[[int], object], n: int) -> None:
    for i in range(1, n + 1):
        work(i)


def decode(frame: Frame) -> None:
    for ccd in frame.ccds.values():
        for window in ccd.windows.values():
            window.pixels[:, :]


def boxes(frame: Frame) -> None:
    for ccd in frame.ccds.values():
        ccd.windows["E1"].read(BOX)


def read(title: str, run: HipercamRun | UltraRun, repeats: int) -> list[Figure]:
    """Figures that every run has."""
    n, size = run.available, run.read_out.frame_bytes
    run.times()
    whole = best(lambda: each(run.load, n), repeats) / n
    by_window = best(lambda: each(lambda i: decode(run.frame(i)), n), repeats) / n
    bare = best(lambda: each(run.frame, n), repeats) / n
    rate, speed = 1 / whole, size / whole / 1e6
    full, windowed = title == "HiPERCAM full frames", title == "HiPERCAM two windows"
    return [
        limited(f"{title}: raw bytes", speed, "MB/s", FULL_RATE if full else None),
        limited(f"{title}: frames", rate, "frames/s", WINDOWED_RATE if windowed else None),
        Figure(f"{title}: window by window", size / by_window / 1e6, "MB/s"),
        Figure(f"{title}: frame, no pixel read", 1e6 * bare, "microseconds"),
    ]


def limited(name: str, value: float, unit: str, least: float | None) -> Figure:
    """Make a figure that must not be less than a limit, if it has one."""
    return Figure(name, value, unit) if least is None else Figure(name, value, unit, f">= {least:.0f}", value >= least)


def read_boxes(run: HipercamRun, repeats: int) -> list[Figure]:
    """Small boxes of frames that were asked for before, and of ones that were not."""
    n = run.available
    frames = [run.frame(i) for i in range(1, n + 1)]
    known = 1e6 * best(lambda: [boxes(frame) for frame in frames], 3 * repeats) / n

    def anew() -> None:
        run.refresh()
        each(lambda i: boxes(run.frame(i)), n)

    cold = 1e6 * best(anew, 3 * repeats) / n
    limit = f"< {BOX_TIME:.0f}"
    return [
        Figure("40 x 40 box of 5 CCDs", known, "microseconds", limit, known < BOX_TIME),
        Figure("the same, newly mapped, frame included", cold, "microseconds", limit, cold < BOX_TIME),
    ]


def main() -> int:
    parser = options(__doc__ or "")
    parser.add_argument("--repeats", type=int, default=7, help="of which the best counts")
    chosen = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name, Load() as load:
        folder = Path(name)
        runs = {
            "HiPERCAM two windows": ("hl", write_hipercam(folder / "run0001.fits", "TwoWindow", 2 * WINDOW, 400, TWO_WINDOWS)),
            "HiPERCAM full frames": ("hl", write_hipercam(folder / "run0002.fits", "FullFrame", 1024 * 512, 8, {})),
            "ULTRACAM two pairs": (
                "ul",
                write_ultra(
                    folder / "run003", "ULTRACAM", "ap6_window2pair", ULTRACAM | ULTRACAM_PAIRS, 12 * WINDOW, 400
                ),
            ),
            "ULTRACAM full frames": (
                "ul", write_ultra(folder / "run004", "ULTRACAM", "ap9_fullframe_mindead", ULTRACAM, 6 * 512 * 1024, 16)
            ),
            "ULTRASPEC full frames": (
                "ul", write_ultra(folder / "run005", "ULTRASPEC", "ccd201_winbin_cfg", ULTRASPEC, 1056 * 1072, 32)
            ),
        }  # fmt: skip
        for title, (source, path) in runs.items():
            note(title)
            with data_source(source, path) as run:
                assert isinstance(run, HipercamRun | UltraRun)
                figures += read(title, run, chosen.repeats)
                if isinstance(run, HipercamRun) and title.endswith("full frames"):
                    figures += read_boxes(run, chosen.repeats)
    return show("Reading raw runs, per second of processor time", figures, load, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
