"""The ledger: all that a night left in the record and the product store, in a form that does not depend on how it went.

Numbers of rows, names of processes and times of day differ from night to night; nothing else may. So two ledgers are equal
or something was lost, done twice, or came out with other bits.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from roque.archive import Record
from roque.archive.models import Frame, Job, Master, Measurement, Outbox, Product, RangeDone, RawFile, Reduction, Run
from roque.archive.products import ProductStore
from roque.errors import RoqueError
from roque.jobs.keys import digest

__all__ = ["Ledger", "differences", "faults_of", "ledger_of"]

Ledger = dict[str, Any]
"""Name of a fact to the fact."""

_MEASURED = [column for column in Measurement.__table__.columns if column.name != "reduction_id"]
_FRAME = [column for column in Frame.__table__.columns if column.name != "run_id"]


def ledger_of(record: Record, products: Path) -> Ledger:
    """Read all that a night left."""
    with record.reading() as session:
        facts = {**_runs(session), **_masters(session), **_reductions(session), **_products(session), **_work(session)}
    files = [path for path in products.rglob("*") if path.is_file()]
    facts["files"] = {str(path.relative_to(products)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return facts


def differences(found: Ledger, expected: Ledger) -> list[str]:
    """Say in words where two ledgers differ."""
    said = []
    for name in sorted(found.keys() | expected.keys()):
        ours, theirs = found.get(name), expected.get(name)
        if ours == theirs:
            continue
        if isinstance(ours, dict) and isinstance(theirs, dict):
            keys = [key for key in sorted(ours.keys() | theirs.keys()) if ours.get(key) != theirs.get(key)]
            said += [f"{name}, {key}: {ours.get(key)!r}, not {theirs.get(key)!r}" for key in keys]
        else:
            said.append(f"{name}: {ours!r}, not {theirs!r}")
    return said


def faults_of(record: Record, products: Path) -> list[str]:
    """Say what a night left that none may leave, whatever it was: work without an end, gaps, damage, files of nobody."""
    said = []
    with record.reading() as session:
        open_jobs = select(Job.id, Job.kind, Job.state).where(Job.state.in_(("waiting", "queued", "running")))
        said += [f"job {job.id} ({job.kind}) is {job.state}" for job in session.execute(open_jobs)]
        said += [f"{run.path} is unsettled" for run in session.scalars(select(Run).where(Run.unsettled)).unique()]
        if unsent := session.scalar(select(func.count()).where(Outbox.sent_at.is_(None))):
            said.append(f"{unsent} messages are not sent")
        for reduction in session.scalars(select(Reduction)).unique():
            ends = session.execute(
                select(RangeDone.first, RangeDone.last).where(RangeDone.reduction_id == reduction.id).order_by(RangeDone.first)
            ).all()
            starts = [1, *(last + 1 for _, last in ends)]
            if [first for first, _ in ends] != starts[:-1] or starts[-1] != reduction.frames_done + 1:
                said.append(f"ranges of {reduction.name} have gaps or overlap: {ends}")
        recorded = session.scalars(select(Product)).all()
    store = ProductStore(products)
    for product in recorded:
        try:
            store.verify(product)
        except RoqueError as error:
            said.append(str(error))
    known = {product.uri for product in recorded}
    files = [str(path.relative_to(products)) for path in products.rglob("*") if path.is_file()]
    return said + [f"{uri} is recorded nowhere" for uri in files if uri not in known]


def _runs(session: Session) -> Ledger:
    runs = session.scalars(select(Run)).unique().all()
    files = session.execute(select(RawFile, Run).outerjoin(Run, Run.id == RawFile.run_id)).unique().all()
    return {
        "runs": Counter(
            f"{run.path} version {run.version}: {run.state}, {run.frames} frames, {run.bad_times} bad times, {run.waiting}"
            for run in runs
        ),
        "problems": {run.path: [problem["message"] for problem in run.problems] for run in runs},
        "frames of": {run.path: _rows(session, _FRAME, Frame.run_id == run.id, Frame.number, Frame.ccd) for run in runs},
        "raw files": Counter(
            f"{Path(file.path).name}: {file.size} bytes {file.sha256} {file.data_sha256} of {run.path if run else None}"
            for file, run in files
        ),
    }


def _masters(session: Session) -> Ledger:
    masters = session.scalars(select(Master)).unique()
    return {"masters": Counter(f"{m.kind} of {m.run.path}: {m.state}, {m.product.sha256}, {digest(m.report)}" for m in masters)}


def _reductions(session: Session) -> Ledger:
    reductions = session.scalars(select(Reduction)).unique().all()
    last = {
        reduction.key: session.scalar(
            select(RangeDone.state)
            .where(RangeDone.reduction_id == reduction.id, RangeDone.last == reduction.frames_done)
            .limit(1)
        )
        for reduction in reductions
    }
    order = Measurement.frame, Measurement.ccd, Measurement.aperture
    return {
        "reductions": Counter(
            f"{one.name} of {one.run.path}: {one.state}, {one.frames_done} frames, {one.aperture_set.digest}, "
            f"target {one.target}, {digest(one.parameters)}, {one.notes}"
            for one in reductions
        ),
        "last states of": {key: digest(state) for key, state in last.items()},
        "measurements of": {
            one.key: _rows(session, _MEASURED, Measurement.reduction_id == one.id, *order) for one in reductions
        },
        "measurements": session.scalar(select(func.count()).select_from(Measurement)),
    }


def _products(session: Session) -> Ledger:
    products = session.scalars(select(Product)).all()
    return {
        "products": Counter(
            f"{product.kind} {product.uri}: {product.state}, {product.size} bytes, {product.sha256}, made from "
            f"{sorted((item['kind'], Path(item['name']).name, item['sha256']) for item in product.inputs)}"
            for product in products
        )
    }


def _work(session: Session) -> Ledger:
    """How often things were done and told of; how a growing run was cut into ranges is chance."""
    jobs = session.execute(select(Job.kind, Job.state).where((Job.kind != "reduce_range") | (Job.state != "done")))
    told = session.scalars(select(Outbox.topic).where(Outbox.topic.not_like("job.%")))
    return {"jobs": Counter(f"{kind} {state}" for kind, state in jobs), "events": Counter(told)}


def _rows(session: Session, columns: list[Any], where: Any, *order: Any) -> str:
    """Digest of rows, every double by its bits."""
    found, count = hashlib.sha256(), 0
    for row in session.execute(select(*columns).where(where).order_by(*order)):
        found.update("\t".join(map(_bits, row)).encode() + b"\n")
        count += 1
    return f"{count} rows {found.hexdigest()}"


def _bits(value: Any) -> str:
    if isinstance(value, float):
        return value.hex()
    return value.isoformat() if isinstance(value, dt.date) else repr(value)
