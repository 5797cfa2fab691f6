"""All that is recorded of a run, as one object."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from roque.archive.models import Job, Master, Product, RangeDone, RawFile, Reduction, Run
from roque.archive.progress import run_state

__all__ = ["Report", "gather"]

Report = dict[str, Any]
"""What JSON can hold, times aside."""


def gather(session: Session, run: Run) -> Report:
    """Collect what is recorded of a run."""
    come_to = run_state(session, run)
    site = run.instrument.site
    return {
        "name": run.path,
        "state": come_to.word,
        "detail": come_to.detail,
        "files_state": run.state,
        "version": run.version,
        "kind": run.kind,
        "object": run.object,
        "site": site.name if site is not None else None,
        "mode": run.mode,
        "xbin": run.xbin,
        "ybin": run.ybin,
        "speed": run.speed,
        "exposure": run.exposure,
        "filters": run.filters,
        "nskips": run.nskips,
        "clear": run.clear,
        "windows": run.windows,
        "mjd_first": run.mjd_first,
        "mjd_last": run.mjd_last,
        "frames": run.frames,
        "frames_expected": run.frames_expected,
        "frames_dropped": run.frames_dropped,
        "frames_missing": run.frames_missing,
        "bad_times": run.bad_times,
        "waiting": run.waiting,
        "on_request": run.on_request,
        "hints": run.hints,
        "registered_at": run.registered_at,
        "grown_at": run.grown_at,
        "files": [_file(file) for file in sorted(run.files, key=lambda file: (file.duplicate, file.position))],
        "problems": run.problems,
        "reductions": [_reduction(session, row) for row in _reductions(session, run)],
        "masters": [_master(row) for row in session.scalars(select(Master).where(Master.run_id == run.id).order_by(Master.id))],
        "jobs": _jobs(session, run),
        "products": [_product(row) for row in session.scalars(_products(run))],
        "other_versions": [_version(row) for row in _other_versions(session, run)],
    }


def _file(file: RawFile) -> Report:
    return {"path": file.path, "size": file.size, "sha256": file.sha256, "second_location": file.duplicate}


def _reductions(session: Session, run: Run) -> list[Reduction]:
    return list(session.scalars(select(Reduction).where(Reduction.run_id == run.id).order_by(Reduction.id.desc())))


def _reduction(session: Session, row: Reduction) -> Report:
    spent: Counter[str] = Counter()
    for seconds in session.scalars(select(RangeDone.seconds).where(RangeDone.reduction_id == row.id)):
        spent.update(seconds)
    masters = {}
    for kind, reference in row.masters.items():
        # the id of a master, or the file that a reduce file named
        master = session.get(Master, reference) if isinstance(reference, int) else None
        named = reference["file"] if isinstance(reference, dict) else None
        masters[kind] = {
            "master": reference,
            "from": master.run.path if master is not None else named,
            "state": master.state if master is not None else None,
            "why": str(row.choices.get(kind, "")).removeprefix(f"without {kind}: "),
        }
    apertures = row.aperture_set
    return {
        "name": row.name,
        "state": row.state,
        "recipe": f"{row.recipe.name} v{row.recipe.version}",
        "frames_done": row.frames_done,
        "target": row.target,
        "apertures": f"{apertures.origin}: {apertures.source}",
        "masters": masters,
        "notes": row.notes,
        "seconds": dict(spent),
        "code_version": row.code_version,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
    }


def _master(row: Master) -> Report:
    return {
        "id": row.id,
        "kind": row.kind,
        "state": row.state,
        "product": row.product.uri,
        "product_id": row.product_id,
        "report": row.report,
    }


def _jobs(session: Session, run: Run) -> Report:
    counts: Counter[str] = Counter(session.scalars(select(Job.state).where(Job.run_id == run.id).order_by(Job.state)))
    telling = session.scalars(
        select(Job).where(Job.run_id == run.id, Job.state.in_(("failed", "waiting"))).order_by(Job.created_at, Job.id)
    ).all()
    return {
        "counts": dict(counts),
        "failed": [{"name": job.id, "kind": job.kind, "error": job.error or {}} for job in telling if job.state == "failed"],
        "waiting": [
            {"name": job.id, "kind": job.kind, "reason": job.reason} for job in telling if job.state == "waiting" and job.reason
        ],
    }


def _products(run: Run) -> Any:
    return select(Product).where(Product.run_id == run.id, Product.state == "current").order_by(Product.id)


def _product(row: Product) -> Report:
    return {"id": row.id, "name": row.uri, "kind": row.kind, "size": row.size, "sha256": row.sha256}


def _other_versions(session: Session, run: Run) -> list[Run]:
    return list(
        session.scalars(
            select(Run)
            .where(Run.instrument_id == run.instrument_id, Run.night_id == run.night_id, Run.name == run.name, Run.id != run.id)
            .order_by(Run.version)
        )
    )


def _version(row: Run) -> Report:
    return {"version": row.version, "state": row.state, "files": [f.path for f in row.files], "problems": row.problems}
