"""What registering costs: one long run, and an archive of many short ones.

    python benchmarks/register.py [--frames 100000] [--runs 20000] [--cards 300] [--json]

`roque ingest` registers a HiPERCAM run of 100 000 frames (two windows would be larger: 5 CCDs of 4 windows of 8 x 8 pixels), in
a record of its own; then an archive of 20 000 runs of one frame in 400 folders of nights, each with a header of 300 cards more
than the least. Wall-clock time and the highest resident memory of the command are those of a process of its own, its start and
the making of the tables included. Then the same command once more, which has nothing to register.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from figures import Figure, Load, note, options, show

from roque.simulation import Detector, RunPlan, WindowPlan, simulate_run

ROQUE = [sys.executable, "-c", "from services.cli.main import main; main()"]
SECONDS_LIMIT = 5.0
MEMORY_LIMIT = 250.0  # MB
RATE_LIMIT = 150.0  # runs/s
NIGHTS = 400
CARD, BLOCK = 80, 2880
WINDOW = WindowPlan(xs=(400, 400, 400, 400), ys=200, nx=8, ny=8)


def long_run(path: Path, frames: int) -> None:
    """Write a run of many frames."""
    simulate_run(
        path,
        RunPlan(
            detector=Detector(seed=1),
            seed=1,
            windows=(WINDOW,),
            frames=frames,
            image_type="data",
            object_name="Long",
            distinct=1,
        ),
    )


def archive(folder: Path, runs: int, cards: int) -> int:
    """Write many runs of one frame; returns the bytes of a header."""
    template = folder / ".template.fits"
    long_run(template, 1)
    data = template.read_bytes()
    template.unlink()
    end = data.index(b"END".ljust(CARD))
    more = b"".join(
        f"HIERARCH ESO DET BENCH{n:04d} VALUE = {n:6d} / no camera has it".encode().ljust(CARD) for n in range(cards)
    )
    header = data[:end] + more + b"END".ljust(CARD)
    header += b" " * (-len(header) % BLOCK)
    frames = data[-(-(end + CARD) // BLOCK) * BLOCK :]
    for k in range(runs):
        night = folder / f"{2010 + k % NIGHTS // 28:04d}-06-{1 + k % NIGHTS % 28:02d}"
        night.mkdir(exist_ok=True)
        # no two headers are the same: what was read of one must not serve another
        own = header.replace(b"BENCH0000 VALUE =      0 ", f"BENCH0000 VALUE = {k:6d} ".encode(), 1)
        (night / f"run{k:05d}.fits").write_bytes(own + frames)
    return len(header)


def ingest(home: Path, folder: Path) -> tuple[dict[str, Any], float, float]:
    """Register a folder; what the command says, its seconds, and its highest resident memory, MB."""
    began = time.monotonic()
    process = subprocess.Popen(
        [*ROQUE, "--home", str(home), "ingest", str(folder), "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    memory = 0.0
    while process.poll() is None:
        memory = max(memory, highest(process.pid))
        time.sleep(0.02)
    seconds = time.monotonic() - began
    said = process.communicate()[0]
    if process.returncode != 0:
        raise SystemExit(f"roque ingest failed: {said!r}")
    return json.loads(said), seconds, memory


def highest(pid: int) -> float:
    """Most resident memory that a process ever had, MB; what the system tells a parent would count the parent's own."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return max((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), default=0.0)


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--frames", type=int, default=100_000, help="frames of the long run (default 100000)")
    parser.add_argument("--runs", type=int, default=20_000, help="runs of the archive (default 20000)")
    parser.add_argument("--cards", type=int, default=300, help="cards of their headers beside the least (default 300)")
    given = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory(prefix="roque-register-") as name, Load() as load:
        folder = Path(name)
        note(f"a run of {given.frames} frames")
        (folder / "long").mkdir()
        long_run(folder / "long" / "run0001.fits", given.frames)
        told, seconds, memory = ingest(folder / "home1", folder / "long")
        if told["frames"] != given.frames:
            raise SystemExit(f"not all is registered: {told}")
        figures += [
            Figure(f"a run of {given.frames} frames", seconds, "s", f"< {SECONDS_LIMIT:.0f}", seconds < SECONDS_LIMIT),
            Figure("  memory", memory, "MB", f"< {MEMORY_LIMIT:.0f}", memory < MEMORY_LIMIT),
        ]
        note(f"{given.runs} runs")
        (folder / "archive").mkdir()
        size = archive(folder / "archive", given.runs, given.cards)
        told, seconds, memory = ingest(folder / "home2", folder / "archive")
        if told["new"] != given.runs:
            raise SystemExit(f"not all is registered: {told}")
        rate = given.runs / seconds
        figures += [
            Figure(f"{given.runs} runs, headers of {size} bytes", rate, "runs/s", f">= {RATE_LIMIT:.0f}", rate >= RATE_LIMIT),
            Figure("  memory", memory, "MB"),
        ]
        told, seconds, _ = ingest(folder / "home2", folder / "archive")
        if told["known"] != given.runs:
            raise SystemExit(f"not all is known: {told}")
        figures.append(Figure("  the same once more, nothing new", seconds, "s"))
    return show("registering", figures, load, as_json=given.json)


if __name__ == "__main__":
    raise SystemExit(main())
