"""What the demo says at its end: runs, masters, the eclipse measured beside the eclipse put in, and where everything is."""

from __future__ import annotations

from pathlib import Path

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from roque.archive import Record
from roque.archive.aperture_sets import load_apertures
from roque.archive.bulk import load_measurements
from roque.archive.models import Job, Product, Reduction, Run
from roque.archive.products import ProductStore
from roque.archive.progress import run_state
from roque.simulation.night import NightTruth
from roque.simulation.recovery import Recovery, recover_eclipses
from services.cli.output import Column, table
from services.cli.summary import summarise

__all__ = ["report"]

SIGMAS = 3.0
DEPTH_ERROR = 0.01  # of the depth
MID_SECONDS = 3.0


def report(record: Record, store: ProductStore, truth: NightTruth, folder: Path) -> bool:
    """Print the report; returns whether everything is as it should be."""
    click.echo("\nRuns")
    summarise(record, folder / "incoming", as_json=False)
    with record.reading() as session:
        run = session.scalars(select(Run).where(Run.name == truth.science, Run.state == "complete")).unique().one()
        reduction = (
            session.scalars(select(Reduction).where(Reduction.run_id == run.id, Reduction.state == "done")).unique().one()
        )
        faults = _failures(session, truth)
        apertures = load_apertures(session, reduction.aperture_set_id)
        found = recover_eclipses(load_measurements(session, reduction.id), apertures, truth)
        products = session.scalars(select(Product).where(Product.run_id == run.id, Product.state == "current")).all()
    click.echo("\nMasters chosen for the binary")
    table([Column("MASTER"), Column("WHY")], sorted(reduction.choices.items()))
    click.echo("\nThe eclipse, measured and put in")
    faults += _eclipses(found)
    click.echo("\nProducts of the binary")
    table([Column("KIND"), Column("FILE")], [(product.kind, str(store.path(product.uri))) for product in products])
    for fault in faults:
        click.secho(f"NOT AS IT SHOULD BE: {fault}", fg="red")
    return not faults


def _eclipses(found: dict[str, Recovery]) -> list[str]:
    rows: list[tuple[str, ...]] = []
    faults: list[str] = []
    for ccd, one in found.items():
        fit, put_in = one.fit, one.put_in
        rows.append(
            (ccd, f"{fit.depth:.5f}", f"{fit.depth_error:.5f}", f"{put_in.depth:.5f}", f"{one.depth_pull:+.1f}",
             f"{one.mid_offset:+.3f}", f"{fit.mid_error:.3f}", f"{one.mid_pull:+.1f}")
        )  # fmt: skip
        if abs(one.depth_pull) > SIGMAS or one.depth_error > DEPTH_ERROR:
            faults.append(f"CCD {ccd}: depth {fit.depth:.5f} +- {fit.depth_error:.5f}, put in {put_in.depth:.5f}")
        if abs(one.mid_pull) > SIGMAS or abs(one.mid_offset) > MID_SECONDS:
            faults.append(f"CCD {ccd}: mid-time off by {one.mid_offset:+.3f} +- {fit.mid_error:.3f} s")
    titles = ("CCD", "DEPTH", "ERROR", "PUT IN", "SIGMAS", "MID-TIME OFF, s", "ERROR, s", "SIGMAS")
    table([Column(title, number=title != "CCD") for title in titles], rows)
    return faults


def _failures(session: Session, truth: NightTruth) -> list[str]:
    """What failed and should not have, and what should have been found damaged and was not."""
    damaged = {Path(name).stem for name in truth.damaged}
    runs = session.scalars(select(Run).where(Run.state != "superseded")).unique().all()
    faults = []
    for run in runs:
        state = run_state(session, run)
        if state.failed != (run.name in damaged):
            faults.append(f"{run.path} is {state.word} {state.detail}".strip())
    missing = set(truth.whole_frames) - {run.name for run in runs}
    faults += [f"{name} was not registered" for name in sorted(missing)]
    for run in runs:
        expected = truth.whole_frames.get(run.name, run.frames)
        if run.frames != expected:
            faults.append(f"{run.path} has {run.frames} frames, {expected} were written whole")
    for job in session.scalars(select(Job).where(Job.state == "failed")):
        faults.append(f"job {job.kind} failed: {(job.error or {}).get('message')}")
    return faults
