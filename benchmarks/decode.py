"""Speed of reading raw HiPERCAM runs: whole frames, small boxes, times. Usage: python benchmarks/decode.py

Prints, per second of processor time, the median of several repeats with the file in memory: MB/s of raw bytes and
frames/s of whole frames, microseconds for frames of which no pixel is asked for, microseconds for a 40 x 40 box of each of
5 CCDs, frames/s of the times alone.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from roque.frames import Box, Frame
from roque.frames.cards import format_header
from roque.instruments import load_camera
from roque.spool.hipercam import HipercamRun

BOX = Box(200, 240, 300, 340)


def header(mode: str, words: int, frames: int, windows: dict[str, int]) -> dict[str, object]:
    cards: dict[str, object] = {"SIMPLE": True, "BITPIX": 16, "NAXIS": 3, "NAXIS1": words, "NAXIS2": 1, "NAXIS3": frames}
    cards |= {"BSCALE": 1, "BZERO": 32768, "DATE": "2026-03-14T23:59:40", "INSTRUME": "HIPERCAM", "EXPTIME": 0.1}
    cards |= {"ESO DET READ CURNAME": mode, "ESO DET SPEED": 0, "ESO DET BINX1": 1, "ESO DET BINY1": 1}
    cards |= dict.fromkeys((f"ESO DET {k}" for k in ("CLRCCD", "DUMMY", "INCPRSCX", "INCOVSCY")), False)
    cards |= {"ESO DET TDELAY": 100.0, "ESO DET TREAD": 20.0, "ESO DET TFT": 7.8}
    cards |= {f"ESO DET NSKIPS{ccd}": 0 for ccd in range(1, 6)}
    return cards | windows


def write_run(path: Path, mode: str, pixels: int, frames: int, windows: dict[str, int]) -> None:
    words = 20 * pixels + 18
    rng = np.random.default_rng(1)
    with path.open("wb") as file:
        file.write(format_header(header(mode, words, frames, windows)))
        for number in range(frames):
            frame = rng.integers(2400, 2600, words).astype(">u2") ^ 0x8000
            fields = np.array([number, number, 2026, 73, 23, 59, 40, 1000 * number], "<u4")
            stamp = np.concatenate([fields.view("<u2"), np.array([0x0107], "<u2"), np.zeros(1, "<u2")])
            frame[-18:] = stamp.astype(">u2") ^ 0x8000
            file.write(frame.astype(">u2").tobytes())


def seconds(work: Callable[[], object], repeats: int) -> float:
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


def each(work: Callable[[int], object], n: int) -> None:
    for i in range(1, n + 1):
        work(i)


def decode(frame: Frame) -> None:
    for ccd in frame.ccds.values():
        for window in ccd.windows.values():
            window.pixels[:, :]


def measure(title: str, path: Path) -> None:
    with HipercamRun(path, 1, load_camera("hipercam")) as run:
        n, size = run.available, run.read_out.frame_bytes
        run.times()
        whole = seconds(lambda: each(run.load, n), 5) / n
        by_window = seconds(lambda: each(lambda i: decode(run.frame(i)), n), 3) / n
        bare = seconds(lambda: each(run.frame, n), 5) / n
        stamps = seconds(lambda: (run._blocks.clear(), run.times()), 5) / n  # noqa: SLF001  # without what it has kept
        print(f"{title}: {size} bytes a frame")
        print(f"  whole frames          {size / whole / 1e6:8.0f} MB/s  {1 / whole:8.0f} frames/s")
        print(f"  window by window      {size / by_window / 1e6:8.0f} MB/s  {1 / by_window:8.0f} frames/s")
        print(f"  frames, no pixel read {bare * 1e6:8.1f} microseconds each")
        print(f"  times alone           {1 / stamps:8.0f} frames/s")
        if size > 1 << 20:
            frames = [run.frame(i) for i in range(1, n + 1)]
            boxes = seconds(lambda: [c.windows["E1"].read(BOX) for f in frames for c in f.ccds.values()], 15) / n
            print(f"  40 x 40 box of 5 CCDs {boxes * 1e6:8.1f} microseconds a frame")
            cold = []
            for i in range(1, n + 1):
                run.refresh()
                start = time.process_time()
                frame = run.frame(i)
                for ccd in frame.ccds.values():
                    ccd.windows["E1"].read(BOX)
                cold.append(time.process_time() - start)
            print(
                f"  the same, newly mapped{statistics.median(cold) * 1e6:8.1f} microseconds a frame, frame and times included"
            )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run0001.fits"
        windows: dict[str, int] = {}
        for n in (1, 2):
            windows |= {f"ESO DET WIN{n} {k}": v for k, v in {"NX": 50, "NY": 46, "YS": 100 * n}.items()}
            windows |= {f"ESO DET WIN{n} XS{q}": 400 for q in "EFGH"}
        write_run(path, "TwoWindow", 2 * 50 * 46, 400, windows)
        measure("two windows of 50 x 46", path)
        write_run(path, "FullFrame", 1024 * 512, 8, {})
        measure("full frames", path)


if __name__ == "__main__":
    main()
