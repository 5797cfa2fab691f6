"""A long simulated run, reduced by the real system with one pool process: ingest, planner, relay and worker on SQLite."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from figures import Load, note
from reductions import apertures, recipe
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from roque.archive import Record
from roque.archive.aperture_sets import load_apertures
from roque.archive.models import Job, Master, Measurement, RangeDone, Reduction, Run
from roque.archive.products import ProductStore
from roque.archive.schema import upgrade
from roque.photometry.apertures import write_apertures
from roque.photometry.recipe import Recipe
from roque.settings import load_settings
from roque.simulation import benchmark_plan, simulate_night, simulate_run
from services.cli.system import System, only_one

NAME, WARM_NAME = "run0009", "run0008"
LOOK_SECONDS = 0.1
LONGEST_SECONDS = 3600.0
WARM_FRAMES = 100
CCDS, STARS = 5, 3


@dataclass(frozen=True)
class Reduced:
    """How a run was reduced. Times in seconds."""

    frames: int
    rows: int
    seconds: float  # from the claim of the first range until the last is committed
    after_copy: float  # from the file's appearance until the last range is committed
    stages: dict[str, float]
    ranges: int
    worker: int  # process number of the pool process


def reduce_one_run(
    folder: Path, frames: int, look: Callable[[int, int], None] | None = None, *, automatic: bool = False
) -> tuple[Reduced, Load]:
    """Simulate a night's bias and flat and a run of `frames` frames, and let the system reduce it.

    Two windows of 50 x 46 pixels per quadrant, five CCDs, three stars, Moffat profiles, bias and flat applied. A short run goes
    first, so that the pool process has loaded its kernels when the clock starts.

    Parameters
    ----------
    folder : Path
        Empty; a frame takes 184 kB.
    frames : int
        Frames of the run.
    look : function of (int, int), optional
        Called a few times a second with the pool process and the number of frames that are committed.
    automatic : bool
        Whether apertures and recipe are left to the system. Otherwise RUN.ape and RUN.red lie beside the run, with the
        radii and boxes that the HiPERCAM pipeline was timed with.

    Returns
    -------
    Reduced, Load
        How it went, and how busy the machine was meanwhile.
    """
    incoming = folder / "incoming"
    _simulate(folder, incoming, frames)
    settings = load_settings(
        home=folder / "roque-data", incoming=[incoming], silent_seconds=0.0, urgent=True, workers=1, log_format="json"
    )
    record = Record(settings.database)
    upgrade(record)
    with (
        only_one(settings),
        (settings.folder / "up.log").open("ab") as log,
        System(settings, ("ingest", "planner", "worker"), log) as system,
    ):
        note("bias and flat are made")
        _wait(system, lambda: made_masters(record) == 2)
        if not automatic:
            for name in (WARM_NAME, NAME):
                write_settings(record, settings.products, incoming, name)
        note("a short run goes first")
        (folder / ".warm.fits").rename(incoming / f"{WARM_NAME}.fits")
        _wait(system, lambda: exported(record, WARM_NAME))
        note(f"a run of {frames} frames goes in")
        with Load() as load:
            appeared = time.time()
            (folder / ".run.fits").rename(incoming / f"{NAME}.fits")
            _wait(system, lambda: _done(record, NAME, frames), lambda: look and _look(record, look))
        _wait(system, lambda: exported(record, NAME))
    with record.reading() as session:
        found = _times(session, appeared)
    record.close()
    return found, load


def _simulate(folder: Path, incoming: Path, frames: int) -> None:
    note(f"simulating {frames} frames")
    incoming.mkdir(parents=True)
    night = folder / "night"
    simulate_night(night, seed=1, frames=1)
    for name in ("run0001.fits", "run0002.fits"):
        (night / name).rename(incoming / name)
    simulate_run(folder / ".warm.fits", benchmark_plan(WARM_FRAMES))
    simulate_run(folder / ".run.fits", benchmark_plan(frames))


def write_settings(record: Record, products: Path, folder: Path, name: str) -> None:
    """Write apertures and reduce file of benchmarks/reductions.py beside a run, as an astronomer would."""
    store = ProductStore(products)
    with record.reading() as session:
        masters = {master.kind: str(store.path(master.product.uri)) for master in session.scalars(select(Master)).unique()}
    write_apertures(folder / f"{name}.ape", apertures())
    (folder / f"{name}.red").write_text(recipe().to_reduce_file(apertures(), f"{name}.ape", masters))


def _wait(system: System, done: Callable[[], bool], between: Callable[[], object] = lambda: None) -> None:
    end = time.monotonic() + LONGEST_SECONDS
    while not done():
        if time.monotonic() > end:
            raise SystemExit(f"not done after {LONGEST_SECONDS:.0f} s: see up.log in the home folder")
        if system.revive():
            raise SystemExit("a process of the system died: see up.log in the home folder")
        between()
        time.sleep(LOOK_SECONDS)


def made_masters(record: Record) -> int:
    with record.reading() as session:
        return session.scalar(select(func.count()).select_from(Master)) or 0


def _done(record: Record, name: str, frames: int) -> bool:
    with record.reading() as session:
        failed = session.scalars(select(Job).where(Job.state == "failed")).first()
        if failed is not None:
            raise SystemExit(f"{failed.kind} failed: {failed.error}")
        return session.scalar(select(Reduction.frames_done).join(Run).where(Run.name == name)) == frames


def exported(record: Record, name: str) -> bool:
    with record.reading() as session:
        return session.scalar(select(Job.state).join(Run, Run.id == Job.run_id).where(
            Run.name == name, Job.kind == "export_reduction")) == "done"  # fmt: skip


def _look(record: Record, look: Callable[[int, int], None]) -> None:
    with record.reading() as session:
        found = session.execute(
            select(Job.worker, Reduction.frames_done)
            .join(Reduction, Reduction.id == Job.reduction_id)
            .join(Run, Run.id == Reduction.run_id)
            .where(Run.name == NAME, Job.kind == "reduce_range", Job.state == "running")
        ).first()
    if found is not None and found.worker:
        look(_process(found.worker), found.frames_done)


def _process(worker: str) -> int:
    return int(worker.split("/")[2].partition(".")[0])


def _times(session: Session, appeared: float) -> Reduced:
    run = session.scalars(select(Run).where(Run.name == NAME)).unique().one()
    reduction = session.scalars(select(Reduction).where(Reduction.run_id == run.id)).unique().one()
    _check(session, reduction)
    mine = select(Job).where(Job.reduction_id == reduction.id)
    jobs = session.scalars(mine.where(Job.kind == "reduce_range").order_by(Job.started_at)).all()
    # the exporter's claim is the first thing recorded after the last commit: at most its message's way too late
    export = session.scalars(mine.where(Job.kind == "export_reduction")).one()
    told = session.scalars(select(RangeDone.seconds).where(RangeDone.reduction_id == reduction.id)).all()
    spent = {stage: sum(part[stage] for part in told) for stage in told[0]}
    inside = sum((job.finished_at - job.started_at).total_seconds() for job in jobs)
    between = sum((after.started_at - job.finished_at).total_seconds() for job, after in pairwise([*jobs, export]))
    whole = (export.started_at - jobs[0].started_at).total_seconds()
    return Reduced(
        frames=run.frames,
        rows=session.scalar(select(func.count()).where(Measurement.reduction_id == reduction.id)) or 0,
        seconds=whole,
        after_copy=export.started_at.timestamp() - appeared,
        stages=spent | {"claim, look up, open": inside - sum(spent.values()), "commit, next message": between},
        ranges=len(jobs),
        worker=_process(jobs[-1].worker or ""),
    )


def _check(session: Session, reduction: Reduction) -> None:
    """See that what was reduced is what the benchmark is about."""
    placed = load_apertures(session, reduction.aperture_set_id)
    used = Recipe.from_dict(reduction.parameters)
    masters = {kind for kind, master in reduction.masters.items() if master is not None}
    if [len(members) for members in placed.values()] != [STARS] * CCDS:
        raise SystemExit(f"not three stars on five CCDs: { {ccd: len(members) for ccd, members in placed.items()} }")
    if used.apertures.fit_method != "moffat" or not {"bias", "flat"} <= masters:
        raise SystemExit(f"not Moffat profiles with bias and flat: {used.apertures.fit_method}, {masters}")
