"""What a second reducer adds: windowed runs reduced by one worker, then by two, on PostgreSQL and RabbitMQ.

    python benchmarks/two_workers.py [--frames 8000] [--passes 3] [--json]

An observatory of its own with ingest, planner, a calibrator, an exporter and reducers of one pool process each. Two runs like
those of benchmarks/throughput.py go in together and are reduced by one reducer; then a second reducer is started, and two more
runs go in. Of several such passes the middle one is judged. Counted are the frames of both runs from the claim of the first
range until the last is committed. The servers and the other services share the machine's cores with the reducers: on two
cores what they need is taken from the second reducer.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

from figures import Figure, Load, note, options, show
from observatory import Observatory, observatory, wait
from one_run import exported, made_masters, write_settings
from sqlalchemy import func, select

from roque.archive.models import Job, Run
from roque.simulation import benchmark_plan, simulate_night, simulate_run

TIMES = 1.8
WARM_FRAMES = 100
LOOK_SECONDS = 0.5  # to look is work, too: the times are those that the record has


def together(site: Observatory, incoming: Path, first: int, count: int, frames: int) -> float:
    """Let runs of some frames each be reduced at the same time; returns the frames per second of all together."""
    names = [f"run{number:04d}" for number in range(first, first + count)]
    for number, name in enumerate(names, first):
        simulate_run(incoming.parent / f"{name}.fits", replace(benchmark_plan(frames), seed=number))
        write_settings(site.record, site.settings.products, incoming, name)
    os.sync()  # writing them is none of the reducers' work
    for name in names:
        (incoming.parent / f"{name}.fits").rename(incoming / f"{name}.fits")
    wait(site, lambda: all(exported(site.record, name) for name in names), step=LOOK_SECONDS)
    with site.record.reading() as session:
        ranges = select(func.min(Job.started_at), func.max(Job.finished_at)).join(Run, Run.id == Job.run_id)
        began, ended = session.execute(ranges.where(Job.kind == "reduce_range", Run.name.in_(names))).one()
    for name in names:
        (incoming / f"{name}.fits").unlink()  # gigabytes
    return count * frames / (ended - began).total_seconds()


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--frames", type=int, default=8000, help="frames of each of a pass's four runs (default 8000)")
    parser.add_argument("--passes", type=int, default=3, help="times that one reducer is compared with two (default 3)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="roque-two-workers-") as name:
        folder = Path(name)
        incoming = folder / "incoming"
        simulate_night(folder / "night", seed=1, frames=1)
        incoming.mkdir()
        for run in ("run0001.fits", "run0002.fits"):
            (folder / "night" / run).rename(incoming / run)
        with observatory(folder, incoming=[str(incoming)], silent_seconds=0.0, urgent=True) as site:
            for module in ("ingest", "planner"):
                site.start(f"services.{module}")
            for module in ("calibrator", "exporter", "reducer"):
                site.start(f"services.{module}", "--processes", "1")
            note("bias and flat are made")
            wait(site, lambda: made_masters(site.record) == 2)
            note("a short run goes first")
            together(site, incoming, 3, 1, WARM_FRAMES)
            alone, both = [], []
            with Load() as load:
                for first in range(10, 10 + 10 * given.passes, 10):
                    note("two runs for one reducer")
                    alone.append(together(site, incoming, first, 2, given.frames))
                    second = site.start("services.reducer", "--processes", "1")
                    note("two short runs, and two runs, for two reducers")
                    together(site, incoming, first + 2, 2, WARM_FRAMES)
                    both.append(together(site, incoming, first + 4, 2, given.frames))
                    site.stop(second)
    added = sorted(two / one for one, two in zip(alone, both, strict=True))
    times = statistics.median(added)
    figures = [
        Figure("one reducer", statistics.median(alone), "frames/s"),
        Figure("two reducers", statistics.median(both), "frames/s"),
        Figure("the second adds", times, "times", f">= {TIMES}", times >= TIMES),
        Figure("  in the worst pass", added[0], "times"),
        Figure("  in the best pass", added[-1], "times"),
    ]
    return show("windowed runs, Moffat, 5 CCDs x 3 apertures, on PostgreSQL and RabbitMQ", figures, load, as_json=given.json)


if __name__ == "__main__":
    raise SystemExit(main())
