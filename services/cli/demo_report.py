"""What the demo says at its end: runs, masters, the eclipse measured beside the eclipse put in, and where everything is."""

from __future__ import annotations

import math
from pathlib import Path

import click
import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from roque.archive import Record
from roque.archive.bulk import load_measurements
from roque.archive.models import Aperture, Job, Product, Reduction, Run
from roque.archive.products import ProductStore
from roque.archive.progress import run_state
from roque.simulation.eclipse import Eclipse, EclipseFit, fit_eclipse
from roque.simulation.night import COMPARISONS, TARGET, NightTruth
from services.cli.output import Column, table
from services.cli.summary import summarise

__all__ = ["measure", "report"]

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
        fits = measure(session, reduction, truth)
        products = session.scalars(select(Product).where(Product.run_id == run.id, Product.state == "current")).all()
    click.echo("\nMasters chosen for the binary")
    table([Column("MASTER"), Column("WHY")], sorted(reduction.choices.items()))
    click.echo("\nThe eclipse, measured and put in")
    faults += _eclipses(fits, truth)
    click.echo("\nProducts of the binary")
    table([Column("KIND"), Column("FILE")], [(product.kind, str(store.path(product.uri))) for product in products])
    for fault in faults:
        click.secho(f"NOT AS IT SHOULD BE: {fault}", fg="red")
    return not faults


def measure(session: Session, reduction: Reduction, truth: NightTruth) -> dict[str, EclipseFit]:
    """Fit the eclipse in the light curve of each CCD: the target over the sum of the comparison stars.

    Times count from the integer day of the mid-time put in.
    """
    places = session.scalars(select(Aperture).where(Aperture.aperture_set_id == reduction.aperture_set_id)).all()
    fits = {}
    for ccd in truth.eclipses:
        curves = {}
        for star in (TARGET, *COMPARISONS):
            label = min((a for a in places if a.ccd == ccd), key=lambda a: math.hypot(a.x - star.x, a.y - star.y)).label
            curves[star.name] = load_measurements(session, reduction.id, ccd=ccd, aperture=label)
        target, *others = curves.values()
        total = np.sum([other["counts"] for other in others], axis=0)
        noise = np.sqrt(np.sum([other["countse"] ** 2 for other in others], axis=0))
        ratio = target["counts"] / total
        error = np.abs(ratio) * np.hypot(target["countse"] / target["counts"], noise / total)
        good = np.all([curve["flag"] == 0 for curve in curves.values()], axis=0) & target["time_ok"]
        times = (target["mjd_int"] - truth.eclipses[ccd].mid_int) + target["mjd_frac"]
        fits[ccd] = fit_eclipse(times[good], target["exposure"][good], ratio[good], error[good])
    return fits


def _eclipses(fits: dict[str, EclipseFit], truth: NightTruth) -> list[str]:
    rows: list[tuple[str, ...]] = []
    faults: list[str] = []
    for ccd, fit in fits.items():
        put_in: Eclipse = truth.eclipses[ccd]
        seconds = (fit.mid - put_in.mid_frac) * 86400.0
        depth_pull, mid_pull = (fit.depth - put_in.depth) / fit.depth_error, seconds / fit.mid_error
        rows.append(
            (ccd, f"{fit.depth:.5f}", f"{fit.depth_error:.5f}", f"{put_in.depth:.5f}", f"{depth_pull:+.1f}",
             f"{seconds:+.3f}", f"{fit.mid_error:.3f}", f"{mid_pull:+.1f}")
        )  # fmt: skip
        if abs(depth_pull) > SIGMAS or fit.depth_error > DEPTH_ERROR * put_in.depth:
            faults.append(f"CCD {ccd}: depth {fit.depth:.5f} +- {fit.depth_error:.5f}, put in {put_in.depth:.5f}")
        if abs(mid_pull) > SIGMAS or abs(seconds) > MID_SECONDS:
            faults.append(f"CCD {ccd}: mid-time off by {seconds:+.3f} +- {fit.mid_error:.3f} s")
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
