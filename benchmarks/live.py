"""How soon a frame is in the record while a run is being written: a camera of 20 frames/s, the whole system beside it.

    python benchmarks/live.py [--seconds 30] [--rate 20] [--size laptop|observatory] [--camera hipercam|ultracam] [--served]
                              [--runs 1] [--compare] [--json]

Bias and flat of the night are there. Another process then writes runs frame by frame, HiPERCAM's with two windows of 50 x 46
pixels per quadrant on five CCDs (three stars, Moffat profiles), or ULTRACAM's, whose pixels are those of the golden run002 over
and over and whose masters are made of run001; with --served, into a folder that a stand-in for the camera file server serves.
Ingest, planner and workers run with their default settings. A frame's delay runs from the end of its write until a reader finds
its measurements committed; the record is asked every 10 ms. A run of the same kind goes first, as that of a cold system.

The beginning of a run is told apart as well: apertures are placed on the average of 16 frames. It ends with the first frame
that was written after the first measurements were there. With --compare the files are reduced anew in one go, when they have
ended, and every value of every measurement must have the same bits. --served and ultracam need ROQUE_GOLDEN.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from figures import Figure, Load, cpu_seconds, descendants, note, options, show
from idle import ROQUE, kind
from numpy.typing import NDArray
from observatory import observatory
from one_run import made_masters
from sqlalchemy import func, select

from roque.archive import Record
from roque.archive.models import Job, Measurement, Reduction, Run
from roque.archive.schema import upgrade
from roque.errors import Transient
from roque.settings import load_settings
from roque.simulation import benchmark_plan, simulate_night, simulate_run
from services.cli.system import System, only_one
from tests.support.file_servers import servable, stand_in
from tests.support.ultra import golden_calibrations, golden_stars

LOOK_SECONDS = 0.01
LONGEST_SECONDS = 300.0
MEDIAN_LIMIT, P95_LIMIT = 0.5, 1.0  # s
WARM_FRAMES = 200
BLOCK = 2880
NIGHT = "2026-03-14"
PROCESSES = ("ingest", "planner", "worker")
MEASURED = [column for column in Measurement.__table__.columns if column.name != "reduction_id"]


@dataclass(frozen=True)
class Plan:
    """A run to be written: what it begins with, and its frames one after the other in a file."""

    name: str
    file: Path
    start: int
    size: int
    frames: int
    header: Path | None = None  # a file of its own


def hipercam(folder: Path, name: str, frames: int, seed: int) -> Plan:
    """Simulate a HiPERCAM run."""
    path = folder / f"{name}.fits"
    simulate_run(path, replace(benchmark_plan(frames), seed=seed))
    path.write_bytes(servable(path.read_bytes()))
    head = path.read_bytes()[: 64 * BLOCK]
    card = next(k for k in range(0, len(head), 80) if head[k : k + 80].rstrip() == b"END")
    size = 2 * int(next(head[k + 10 : k + 30] for k in range(0, card, 80) if head[k : k + 8] == b"NAXIS1  "))
    return Plan(name, path, -(-(card + 80) // BLOCK) * BLOCK, size, frames)


def ultracam(folder: Path, name: str, frames: int, seed: int) -> Plan:
    """Write the pixels of a golden run over and over, each with the next time stamp."""
    path = folder / f"{name}.dat"
    return Plan(name, path, 0, golden_stars(_golden(), path, frames, seed), frames, path.with_suffix(".xml"))


def calibrations(camera: str, folder: Path, night: Path) -> None:
    """Put bias and flat into a night."""
    if camera == "hipercam":
        simulate_night(folder / "night", seed=1, frames=1)
        for run in ("run0001.fits", "run0002.fits"):
            (folder / "night" / run).rename(night / run)
        return
    golden_calibrations(_golden(), night)


def _golden() -> Path:
    return Path(os.environ["ROQUE_GOLDEN"])


def write(plans: list[dict[str, Any]], rate: float) -> None:
    """Be the camera: write frames at a rate into every run, and note when each was written."""
    written = np.zeros((len(plans), max(plan["frames"] for plan in plans)))
    with ExitStack() as stack:
        sources = [stack.enter_context(Path(plan["file"]).open("rb")) for plan in plans]
        targets = [stack.enter_context(Path(plan["target"]).open("ab", buffering=0)) for plan in plans]
        for plan, source, target in zip(plans, sources, targets, strict=True):
            target.write(source.read(plan["start"]))
        began = time.monotonic()
        for n in range(written.shape[1]):
            time.sleep(max(0.0, began + n / rate - time.monotonic()))
            for k, (plan, source, target) in enumerate(zip(plans, sources, targets, strict=True)):
                target.write(source.read(plan["size"]))
                written[k, n] = time.monotonic()
        for source, target in zip(sources, targets, strict=True):
            target.write(source.read())  # what fills the last block
    np.save(plans[0]["notes"], written)


@dataclass(frozen=True)
class Followed:
    """What became of a run, by times of the same clock as the camera's."""

    written: NDArray[np.float64]
    registered: NDArray[np.float64]
    measured: NDArray[np.float64]

    @property
    def beginning(self) -> int:
        """Frames that were there before the first measurements, but for the last of a run that had ended by then."""
        return min(int(np.searchsorted(self.written, self.measured[0])), len(self.written) - 1)


def follow(record: Record, folder: Path, incoming: Path, plans: list[Plan], rate: float) -> list[Followed]:
    """Let the camera write runs, and look when their frames turn up."""
    told = []
    for plan in plans:
        if plan.header is not None:
            (incoming / plan.file.name).touch()  # a server serves what has both
            (incoming / plan.header.name).write_bytes(plan.header.read_bytes())
        told.append(
            {"file": str(plan.file), "target": str(incoming / plan.file.name), "start": plan.start, "size": plan.size}
            | {"frames": plan.frames, "notes": str(folder / "written.npy")}
        )
    names = [plan.name for plan in plans]
    seen = {what: np.zeros((len(plans), plans[0].frames)) for what in ("registered", "measured")}
    counts = {what: [0] * len(plans) for what in seen}
    camera = subprocess.Popen([sys.executable, __file__, "--write", json.dumps(told), str(rate)])
    done = select(func.max(Reduction.frames_done)).where(Reduction.run_id == Run.id).scalar_subquery()
    asked = select(Run.name, Run.frames, func.coalesce(done, 0)).where(Run.name.in_(names), Run.state != "superseded")
    end = time.monotonic() + LONGEST_SECONDS + plans[0].frames / rate
    while min(counts["measured"]) < plans[0].frames:
        with record.reading() as session:
            rows = session.execute(asked).all()
        now = time.monotonic()
        for name, registered, measured in rows:
            k = names.index(name)
            for what, count in (("registered", registered), ("measured", measured)):
                seen[what][k, counts[what][k] : count] = now
                counts[what][k] = max(count, counts[what][k])
        if now > end:
            raise SystemExit(f"not all frames came: {counts}; see the logs in {folder}")
        time.sleep(LOOK_SECONDS)
    if camera.wait():
        raise SystemExit("the camera failed")
    written = np.load(folder / "written.npy")
    return [Followed(written[k], seen["registered"][k], seen["measured"][k]) for k in range(len(plans))]


@contextmanager
def laptop(folder: Path, settings: dict[str, Any]) -> Iterator[tuple[Record, int]]:
    """Run the processes of `roque up`; gives the record, and the process above them all."""
    loaded = load_settings(home=folder / "roque-data", log_format="json", **settings)
    record = Record(loaded.database)
    upgrade(record)
    with only_one(loaded), (folder / "up.log").open("ab") as log, System(loaded, PROCESSES, log):
        yield record, os.getpid()
    record.close()


@contextmanager
def containers(folder: Path, settings: dict[str, Any]) -> Iterator[tuple[Record, int]]:
    """Run the services of an observatory, with PostgreSQL and RabbitMQ."""
    with observatory(folder, **settings) as site:
        for module in ("ingest", "planner"):
            site.start(f"services.{module}")
        for module in ("calibrator", "exporter"):
            site.start(f"services.{module}", "--processes", "1")
        site.start("services.reducer", "--processes", "2")
        yield site.record, os.getpid()


SIZES = {"laptop": laptop, "observatory": containers}
CAMERAS: dict[str, Callable[[Path, str, int, int], Plan]] = {"hipercam": hipercam, "ultracam": ultracam}


@contextmanager
def served(incoming: Path, folder: Path, chosen: bool) -> Iterator[dict[str, Any]]:
    """Settings of where runs come from: a folder that is watched, or also a server of what lies in another one."""
    if not chosen:
        yield {"incoming": [str(incoming)]}
        return
    with stand_in(_golden(), folder, folder.parent / "requests.jsonl") as server:
        yield {"incoming": [str(incoming)], "servers": [f"{{}}://localhost:{server.port}/"]}


def rows(record: Record, name: str) -> list[tuple[Any, ...]]:
    """Every value of the measurements of a run."""
    with record.reading() as session:
        mine = select(Reduction.id).join(Run).where(Run.name == name, Reduction.state.in_(("running", "done")))
        found = session.execute(
            select(*MEASURED)
            .where(Measurement.reduction_id.in_(mine))
            .order_by(Measurement.frame, Measurement.ccd, Measurement.aperture)
        )
        return [tuple(value.hex() if isinstance(value, float) else value for value in row[1:]) for row in found]


def at_once(folder: Path, incoming: Path, files: list[Path]) -> Record:
    """Reduce finished files in one go, with a record of their own."""
    night = folder / "finished" / NIGHT
    night.mkdir(parents=True)
    for path in [*incoming.iterdir(), *files]:
        (night / path.name).write_bytes(path.read_bytes())
    home = folder / "finished-data"
    words = [*ROQUE, "--home", str(home), "night", "reduce", str(night)]
    told = subprocess.run(words, check=False, capture_output=True, text=True)
    if told.returncode:
        raise SystemExit(f"the finished files could not be reduced:\n{told.stdout[-3000:]}{told.stderr[-3000:]}")
    return Record(load_settings(home=home).database)


def delays(title: str, found: list[Followed], *, promised: bool) -> list[Figure]:
    """Figures of runs that were followed."""
    late = np.concatenate([one.measured[one.beginning :] - one.written[one.beginning :] for one in found])
    heard = np.concatenate([one.registered[one.beginning :] - one.written[one.beginning :] for one in found])
    first = max(one.measured[0] - one.written[0] for one in found)
    caught = max(float(one.measured[one.beginning] - one.written[0]) for one in found)
    figures = [
        Figure(f"{title}: first measurements after", first, "s"),
        Figure(f"{title}: caught up after", caught, "s"),
        Figure(f"{title}: registered, median", float(np.median(heard)), "s"),
    ]
    limits = {"median": (float(np.median(late)), MEDIAN_LIMIT), "95 of 100 frames": (float(np.percentile(late, 95)), P95_LIMIT)}
    for what, (value, limit) in limits.items():
        told = (f"< {limit}", value < limit) if promised else ("", None)
        figures.append(Figure(f"{title}: in the record, {what}", value, "s", *told))
    return [*figures, Figure(f"{title}: in the record, most", float(late.max()), "s")]


def work(record: Record, names: list[str], frames: int) -> list[Figure]:
    """Figures of the jobs of runs."""
    with record.reading() as session:
        jobs = session.scalars(
            select(Job).join(Run, Run.id == Job.run_id).where(Run.name.in_(names), Job.kind == "reduce_range")
        ).all()
    spans = [
        ((job.started_at - job.queued_at).total_seconds(), (job.finished_at - job.started_at).total_seconds()) for job in jobs
    ]
    sent, worked = (float(np.median(part)) for part in zip(*spans, strict=True))
    return [
        Figure("ranges of frames", len(jobs)),
        Figure("frames of a range, mean", frames * len(names) / len(jobs)),
        Figure("range submitted until claimed, median", sent, "s"),
        Figure("range claimed until committed, median", worked, "s"),
    ]


def main() -> int:
    given = _parser().parse_args()
    frames = round(given.seconds * given.rate)
    with tempfile.TemporaryDirectory(prefix="roque-live-") as name, ExitStack() as stack:
        folder = Path(name)
        incoming, camera, remote = folder / "incoming" / NIGHT, folder / "camera", folder / "served"
        for made in (incoming, camera, remote):
            made.mkdir(parents=True)
        note("simulating")
        calibrations(given.camera, folder, incoming)
        form = "run{:04d}" if given.camera == "hipercam" else "run{:03d}"
        make = CAMERAS[given.camera]
        cold = make(camera, form.format(8), WARM_FRAMES, 8)
        plans = [make(camera, form.format(k), frames, k) for k in range(9, 9 + given.runs)]
        settings = stack.enter_context(served(incoming, remote, given.served))
        settings["servers"] = [url.format(given.camera) for url in settings.get("servers", [])]
        target = remote if given.served else incoming
        with SIZES[given.size](folder, settings) as (record, top):
            _wait(lambda: made_masters(record) == 2)
            note("the first run of a cold system")
            begun = follow(record, folder, target, [cold], given.rate)
            note(f"{len(plans)} runs of {frames} frames" if len(plans) > 1 else f"a run of {frames} frames")
            with Load() as load:
                before, clock = {pid: cpu_seconds(pid) for pid in descendants(top)}, time.monotonic()
                found = follow(record, folder, target, plans, given.rate)
                spent = _spent(top, before, time.monotonic() - clock)
            figures = delays("cold system", begun, promised=False) + delays("next run", found, promised=True)
            figures += work(record, [plan.name for plan in plans], frames) + spent
            ours = {plan.name: rows(record, plan.name) for plan in plans}
        if given.compare:
            note("the finished files are reduced at once")
            files = [path for plan in plans for path in (plan.file, plan.header) if path is not None]
            theirs = at_once(folder, incoming, files)
            same = all(measured == rows(theirs, run) and measured for run, measured in ours.items())
            figures.append(Figure("measurements as of the finished runs, bit by bit", float(same), "", "1", same))
    return show(f"{given.camera}, {given.runs} x {given.rate:g} frames/s, {given.size}", figures, load, as_json=given.json)


def _spent(top: int, before: dict[int, float], seconds: float) -> list[Figure]:
    spent: dict[str, float] = {}
    for pid in descendants(top):
        name = "this benchmark" if pid == top else kind(pid, top)
        spent[name] = spent.get(name, 0.0) + 100.0 * (cpu_seconds(pid) - before.get(pid, 0.0)) / seconds
    return [Figure(f"processor time, {name}", value, "% of a core") for name, value in sorted(spent.items())]


def _wait(done: Callable[[], bool]) -> None:
    end = time.monotonic() + LONGEST_SECONDS
    while not _answered(done):
        if time.monotonic() > end:
            raise SystemExit("no masters were made")
        time.sleep(0.2)


def _answered(done: Callable[[], bool]) -> bool:
    try:
        return done()
    except Transient:
        return False


def _parser() -> argparse.ArgumentParser:
    parser = options(__doc__ or "")
    parser.add_argument("--seconds", type=float, default=30.0, help="that a run is written (default 30)")
    parser.add_argument("--rate", type=float, default=20.0, help="frames per second (default 20)")
    parser.add_argument("--size", choices=SIZES, default="laptop", help="of the system (default laptop)")
    parser.add_argument("--camera", choices=CAMERAS, default="hipercam", help="whose runs (default hipercam)")
    parser.add_argument("--served", action="store_true", help="runs come from a file server")
    parser.add_argument("--runs", type=int, default=1, help="runs written at the same time (default 1)")
    parser.add_argument("--compare", action="store_true", help="compare with the finished runs reduced at once")
    return parser


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        write(json.loads(sys.argv[2]), float(sys.argv[3]))
        sys.exit()
    raise SystemExit(main())
