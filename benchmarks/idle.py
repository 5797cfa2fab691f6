"""What `roque up` costs when nothing happens, and how soon it sees a new file.

    python benchmarks/idle.py [--registered 2000] [--files 20] [--seconds 30] [--json]

`roque up` with its default settings watches a folder, first an empty one, then one with 2 000 small raw files that are
registered already. Processor time of all its processes over 30 s of rest, in per cent of a core. Then files of 20 frames are
written, each in two pieces half a second apart, at moments that have nothing to do with ours; the delay is the time from the
end of the last write until the record, asked every 5 ms, has the run with all its frames.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from figures import Figure, Load, command, cpu_seconds, descendants, note, options, show
from sqlalchemy import func, select

from roque.archive import Record
from roque.archive.models import RawFile, Run
from roque.settings import load_settings
from roque.simulation import Detector, RunPlan, WindowPlan, simulate_run

CPU_LIMIT = 2.0  # per cent of a core
DELAY_LIMIT = 0.5  # s
ROQUE = [sys.executable, "-c", "from services.cli.main import main; main()"]
STEP_SECONDS = 0.005
FRAMES = 20
SMALL = WindowPlan(xs=(400, 400, 400, 400), ys=200, nx=8, ny=8)
USUAL = WindowPlan(xs=(400, 400, 400, 400), ys=200, nx=50, ny=46)


def plan(window: WindowPlan, frames: int) -> RunPlan:
    # neither masters nor light curves are made of it: what is counted is the watching
    return RunPlan(
        detector=Detector(seed=1), seed=1, windows=(window,), frames=frames, image_type="focus", object_name="Focus", distinct=1
    )


def fill(folder: Path, number: int) -> None:
    """Put small raw files into a folder, in ten folders of nights."""
    first = folder / ".first.fits"
    simulate_run(first, plan(SMALL, 1))
    for k in range(number):
        night = folder / f"2026-03-{1 + k % 10:02d}"
        night.mkdir(exist_ok=True)
        shutil.copyfile(first, night / f"run{k:04d}.fits")
    first.unlink()


@contextmanager
def up(home: Path, incoming: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `roque up`."""
    environment = {**os.environ, "ROQUE_HOME": str(home)}
    with (home.parent / "up.log").open("ab") as log:
        process = subprocess.Popen([*ROQUE, "up", str(incoming), *more], env=environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def register(home: Path, incoming: Path) -> float:
    """Register everything; returns the seconds that took."""
    began = time.monotonic()
    os.environ["ROQUE_SILENT_SECONDS"] = "0"
    with up(home, incoming, "--until-idle") as process:
        process.wait(1800)
    del os.environ["ROQUE_SILENT_SECONDS"]
    return time.monotonic() - began


def at_rest(process: subprocess.Popen[bytes], seconds: float) -> dict[str, float]:
    """Processor time of each kind of process, per cent of a core."""
    before = {pid: cpu_seconds(pid) for pid in descendants(process.pid)}
    time.sleep(seconds)
    spent: dict[str, float] = {}
    for pid in descendants(process.pid):
        name = kind(pid, process.pid)
        spent[name] = spent.get(name, 0.0) + 100.0 * (cpu_seconds(pid) - before.get(pid, 0.0)) / seconds
    return spent


def kind(pid: int, top: int) -> str:
    told = command(pid)
    found = [name for name in ("ingest", "planner", "worker") if f".{name}" in told]
    return "roque up" if pid == top else found[0] if found else "other"


def delays(record: Record, incoming: Path, number: int, template: Path, prefix: str) -> list[float]:
    """Write files as a camera does; seconds from the last byte until the record has the whole run."""
    content = template.read_bytes()
    half = len(content) // 2
    rng = random.Random(1)
    found = []
    for k in range(number):
        time.sleep(rng.uniform(0.5, 1.5))
        path = incoming / f"{prefix}{k:04d}.fits"
        with path.open("wb", buffering=0) as file:
            file.write(content[:half])
            time.sleep(0.5)
            file.write(content[half:])
            written = time.monotonic()
        while not registered(record, path):
            if time.monotonic() - written > 60:
                raise SystemExit(f"{path.name} is not registered after a minute")
            time.sleep(STEP_SECONDS)
        found.append(time.monotonic() - written)
    return found


def registered(record: Record, path: Path) -> bool:
    with record.reading() as session:
        return session.scalar(select(Run.frames).join(RawFile).where(RawFile.path == str(path))) == FRAMES


def watch(home: Path, incoming: Path, template: Path, given: object) -> tuple[dict[str, float], list[float]]:
    """Let `roque up` rest, then give it files."""
    with up(home, incoming) as process:
        time.sleep(15)  # its processes start, the pool loads what it needs
        note(f"at rest for {given.seconds:.0f} s")
        spent = at_rest(process, given.seconds)
        note(f"{given.files} files")
        record = Record(load_settings(home=home).database)
        late = delays(record, incoming, given.files, template, f"new{int(time.time())}_")
        record.close()
        if process.poll() is not None:
            raise SystemExit("roque up ended by itself")
    return spent, late


def table(registered_files: int, spent: dict[str, float], late: list[float]) -> list[Figure]:
    whole = sum(spent.values())
    figures = [
        Figure("files registered beforehand", registered_files),
        Figure("processor time at rest", whole, "% of a core", f"< {CPU_LIMIT:.0f}", whole < CPU_LIMIT),
    ]
    figures += [Figure(f"  {name}", value, "% of a core") for name, value in sorted(spent.items())]
    for name, value in (("median", statistics.median(late)), ("most", max(late))):
        figures.append(Figure(f"new file registered, {name}", value, "s", f"< {DELAY_LIMIT}", value < DELAY_LIMIT))
    return figures


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--registered", type=int, default=2000, help="files that are there beforehand (default 2000)")
    parser.add_argument("--files", type=int, default=20, help="new files (default 20)")
    parser.add_argument("--seconds", type=float, default=30.0, help="seconds of rest (default 30)")
    given = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory(prefix="roque-idle-") as name:
        folder = Path(name)
        home, incoming, template = folder / "roque-data", folder / "incoming", folder / "template"
        incoming.mkdir()
        simulate_run(template, plan(USUAL, FRAMES))
        with Load() as load:
            figures += table(0, *watch(home, incoming, template, given))
            note(f"{given.registered} files are registered")
            fill(incoming, given.registered)
            seconds = register(home, incoming)
            with Record(load_settings(home=home).database).reading() as session:
                number = session.scalar(select(func.count()).where(RawFile.sha256.is_not(None))) or 0
            figures += table(number, *watch(home, incoming, template, given))
            figures.append(Figure("registering these files", number / seconds, "files/s"))
    return show("roque up at rest", figures, load, as_json=given.json)


if __name__ == "__main__":
    raise SystemExit(main())
