"""How long the times of a run of 100 000 frames take to list, as a command from call to end.

    python benchmarks/long_run.py [--frames 100000] [--repeats 5] [--json]

`roque hcam ltimes` of a HiPERCAM run and of a ULTRACAM run, each a file of all its frames: time stamps are written, of the
pixels between them holes are left, which take no room. Best of 5 calls.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import Figure, Load, note, options, show
from raw_runs import TWO_WINDOWS, ULTRACAM, ULTRACAM_PAIRS, WINDOW, hipercam_header, hipercam_stamp, write_ultra

LIMIT = 1.5  # s
ROQUE = (sys.executable, "-c", "from services.cli.main import main; main()")
"""What the command does when it is called."""


def hipercam(folder: Path, frames: int) -> list[str]:
    """Write a HiPERCAM run; gives the words of the command."""
    size, head = 2 * (20 * 2 * WINDOW + 18), hipercam_header("TwoWindow", 2 * WINDOW, frames, TWO_WINDOWS)
    file = os.open(folder / "run0001.fits", os.O_WRONLY | os.O_CREAT)
    os.pwrite(file, head, 0)
    for n in range(frames):
        os.pwrite(file, hipercam_stamp(n), len(head) + (n + 1) * size - 36)
    os.close(file)
    return ["source=hl", "run=run0001"]


def ultracam(folder: Path, frames: int) -> list[str]:
    """Write a ULTRACAM run; gives the words of the command."""
    run = write_ultra(folder / "run002", "ULTRACAM", "ap6_window2pair", ULTRACAM | ULTRACAM_PAIRS, 12 * WINDOW, 0)
    size = 32 + 24 * WINDOW
    file = os.open(run.with_suffix(".dat"), os.O_WRONLY)
    for n in range(frames):
        second, tick = divmod(11_000_000 * n, 10**7)
        os.pwrite(file, struct.pack("<IIIIIIH", 0, n + 1, 10_000, 1528236603 + second, tick, 0, 0x14), n * size)
    os.ftruncate(file, frames * size)
    os.close(file)
    return ["source=ul", "run=run002"]


def main() -> int:
    parser = options(__doc__ or "")
    parser.add_argument("--frames", type=int, default=100_000, help="of each run")
    parser.add_argument("--repeats", type=int, default=5, help="calls, of which the best counts")
    chosen = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory() as name, Load() as load:
        for make in (hipercam, ultracam):
            words = ["roque", "hcam", "ltimes", *make(Path(name), chosen.frames), "first=1", "last=0"]
            note(" ".join(words))
            times = []
            for _ in range(chosen.repeats):
                start = time.perf_counter()
                said = subprocess.run([*ROQUE, *words[1:]], cwd=name, stdout=subprocess.PIPE, check=True).stdout
                times.append(time.perf_counter() - start)
                assert said.count(b"\n") == chosen.frames
            figures.append(
                Figure(f"ltimes, {make.__name__}, {chosen.frames} frames", min(times), "s", f"< {LIMIT}", min(times) < LIMIT)
            )
    return show("Listing the times of long runs", figures, load, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
