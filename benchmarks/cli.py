"""How long short commands take, from the shell's call to their end.

    python benchmarks/cli.py [--runs 1000] [--repeats 7] [--json]

`roque --help`, `roque --version`, and `roque run list` on an SQLite record that holds 1 000 runs with their frames, jobs and
reductions. Median of 7 calls, the first of which is not counted: the files are in memory then.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from figures import Figure, Load, note, options, show
from sqlalchemy.orm import Session

from roque import __version__
from roque.archive import Record
from roque.archive.aperture_sets import store_apertures
from roque.archive.found import FoundFile, FoundRun
from roque.archive.models import Job, Reduction, Run
from roque.archive.recipes import DEFAULT, digest, latest_recipe
from roque.archive.runs import Verdict, register
from roque.archive.schema import upgrade
from roque.instruments import load_camera
from roque.jobs.keys import uuid7
from roque.photometry.apertures import Aperture
from roque.settings import load_settings
from roque.simulation import benchmark_plan, simulate_run
from roque.spool import data_source

FRAMES = 20
RUNS_A_NIGHT = 25
RANGES = 3
FIRST_NIGHT = dt.date(2026, 3, 1)
LIMITS = {"--help": 0.2, "--version": 0.2, "run list": 0.7}  # s


def fill(folder: Path, number: int) -> None:
    """Make a record that holds a number of reduced runs, each as ingest registers it."""
    simulate_run(folder / "run0001.fits", benchmark_plan(FRAMES))
    camera = load_camera("hipercam")
    with data_source("hl", folder / "run0001.fits", camera=camera) as source:
        info, times = source.info, source.times()
    record = Record(load_settings(home=folder).database)
    upgrade(record)
    with record.writing() as session:
        for k in range(number):
            night = FIRST_NIGHT + dt.timedelta(days=k // RUNS_A_NIGHT)
            name = f"run{k % RUNS_A_NIGHT + 1:04d}"
            file = FoundFile(f"/data/{night}/{name}.fits", 1, 1, digest(k), digest(-k), 0, 1)
            here = dataclasses.replace(info, name=name, night=night)
            found = FoundRun(info=here, camera=camera, files=(file,), times=times, frames=FRAMES, ended=True)
            reduced(session, register(session, found, Verdict.NEW, now()))
    record.close()


def reduced(session: Session, run: Run) -> None:
    """Give a run the rows that a finished reduction leaves."""
    apertures = {ccd: {str(star): Aperture(100.0, 100.0, 9.0, 13.0, 20.0) for star in range(1, 4)} for ccd in run.windows}
    recipe = latest_recipe(session, run.instrument.name, DEFAULT, now())
    key = digest(run.path)
    reduction = Reduction(
        name=key[:8], key=key, run_id=run.id, recipe_id=recipe.id, parameters=recipe.parameters, state="done",
        aperture_set=store_apertures(session, apertures, "automatic", "benchmark", now()), hints={}, masters={}, choices={},
        frames_done=FRAMES, code_version=__version__, created_at=now(), finished_at=now(),
    )  # fmt: skip
    session.add(reduction)
    session.flush()
    kinds = ["prepare_reduction", *["reduce_range"] * RANGES, "export_reduction"]
    session.add_all(
        Job(
            id=uuid7(), kind=kind, service="reducer", key=digest([run.path, place]), parameters={}, state="done", run_id=run.id,
            reduction_id=reduction.id if place else None, created_at=now(), started_at=now(), finished_at=now(),
        )
        for place, kind in enumerate(kinds)
    )  # fmt: skip
    run.unsettled = False


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def seconds(arguments: Sequence[str], folder: Path, repeats: int, lines: int) -> float:
    """Median time of a command that must print so many lines at least."""
    roque = Path(sys.executable).with_name("roque")
    environment = {**os.environ, "ROQUE_HOME": str(folder)}
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        done = subprocess.run([roque, *arguments], env=environment, capture_output=True, text=True, check=True)
        times.append(time.perf_counter() - began)
        if len(done.stdout.splitlines()) < lines:
            raise SystemExit(f"roque {' '.join(arguments)} printed {done.stdout[:200]!r}")
    return statistics.median(times[1:])


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="runs in the record (default 1000)")
    parser.add_argument("--repeats", type=int, default=7, help="calls of each command that count (default 7)")
    given = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory(prefix="roque-cli-") as name:
        folder = Path(name)
        note(f"a record of {given.runs} runs is made")
        fill(folder, given.runs)
        with Load() as load:
            for words, limit in LIMITS.items():
                lines = given.runs if words == "run list" else 1
                median = seconds(words.split(), folder, given.repeats, lines)
                figures.append(Figure(f"roque {words}", median, "s", f"< {limit}", median < limit))
    return show(f"short commands, {given.runs} runs in the record", figures, load, as_json=given.json)


if __name__ == "__main__":
    raise SystemExit(main())
