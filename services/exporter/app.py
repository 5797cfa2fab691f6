"""The exporter: writes the files of a finished reduction as products."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from roque.archive.export_files import curves_of, write_ascii_log, write_fits_log, write_light_curve, write_plot
from roque.archive.exports import Export, load_export
from roque.archive.models import Product, Reduction, Run
from roque.archive.products import Stored, record_product
from roque.archive.provenance import raw_inputs, reduction_input
from roque.errors import BadInput, NotFound
from roque.instruments import cameras
from roque.jobs.handlers import Context, Handler, JobSnapshot, Outcome
from roque.jobs.kinds import ExportReduction, Kind
from roque.jobs.outbox import emit

__all__ = ["HANDLERS", "KINDS"]

KINDS = ("log", "fits_log", "light_curve", "light_curve_plot")
"""Kinds of product that a reduction gives."""

_NAME = 40  # letters of a run's name that go into the names of products


class _File(NamedTuple):
    """A product to be written: its kind, the ending of its name, and what writes it to a path."""

    kind: str
    ending: str
    write: Callable[[Path], None]


def export(context: Context, job: JobSnapshot) -> Outcome:
    """Write log, FITS log, light curve and its picture of a reduction."""
    wanted = job.parameters
    if not isinstance(wanted, ExportReduction):
        raise TypeError(f"not the parameters of an export: {wanted!r}")
    stored: dict[str, Stored] = {}
    without: dict[str, str] = {}
    with context.record.reading() as session:
        reduction = session.get_one(Reduction, wanted.reduction_id)
        inputs = [reduction_input(reduction), *raw_inputs(reduction.run.files)]
        run_id, run_path = reduction.run_id, reduction.run.path
        loaded = load_export(session, reduction, cameras(context.settings.cameras))
        stem = f"{loaded.run_name[:_NAME]}_{loaded.reduction}"
        for file in _files(loaded):
            try:
                with context.products.new(file.kind, f"{stem}.{file.ending}") as new:
                    file.write(new.path)
            except (BadInput, NotFound) as error:
                # a run of a single star has no light curve to draw, one without data not even a table: the log is good
                without[file.kind] = str(error)
            else:
                stored[file.kind] = new.stored

    def store(session: Session) -> None:
        made = [
            record_product(
                session, found, kind=kind, run_id=run_id, reduction_id=wanted.reduction_id, job_id=job.id, inputs=inputs
            )
            for kind, found in stored.items()
        ]
        for product in made:
            product.state = "current"  # the same bytes may have been superseded in between
        _supersede(session, wanted.reduction_id, [product.id for product in made])
        for product in made:
            about = {"run": run_path, "reduction": loaded.reduction, "product": product.id, "kind": product.kind}
            emit(session, "product.ready", about)

    return Outcome(store, {**{kind: found.uri for kind, found in stored.items()}, **without})


def _files(loaded: Export) -> Iterator[_File]:
    yield _File("log", "log", lambda path: write_ascii_log(loaded, path))
    yield _File("fits_log", "fits", lambda path: write_fits_log(loaded, path))
    curves = cache(lambda: curves_of(loaded, "target"))
    yield _File("light_curve", "csv", lambda path: write_light_curve(loaded, curves(), path))
    yield _File("light_curve_plot", "png", lambda path: write_plot(loaded, curves(), path))


def _supersede(session: Session, reduction_id: int, made: list[int]) -> None:
    """Older files of this reduction, and those of reductions of the run that are no longer in use, are kept as superseded."""
    reduction = session.get_one(Reduction, reduction_id)
    run = reduction.run
    versions = select(Run.id).where(Run.instrument_id == run.instrument_id, Run.night_id == run.night_id, Run.name == run.name)
    gone = select(Reduction.id).where(Reduction.run_id.in_(versions), Reduction.state == "superseded")
    session.execute(
        update(Product)
        .where(Product.id.not_in(made))
        .where((Product.kind.in_(KINDS) & (Product.reduction_id == reduction_id)) | Product.reduction_id.in_(gone))
        .values(state="superseded")
        .execution_options(synchronize_session=False)
    )


HANDLERS: dict[Kind, Handler] = {Kind.EXPORT_REDUCTION: export}
