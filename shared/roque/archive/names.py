"""From what a user types to the row that is meant: runs, reductions, jobs, products.

A run is named ``[INSTRUMENT/]NIGHT/NAME``, or ``NAME`` where that is unique. What is out of use (superseded, conflicting)
answers to a name only where nothing in use does.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from roque.archive.models import Instrument, Job, Night, Product, Reduction, Run
from roque.errors import NotFound

__all__ = ["find_job", "find_product", "find_product_of_file", "find_reduction", "find_run", "runs_named"]

SHOWN = 10
"""Candidates that an error message names."""


def find_run(session: Session, name: str) -> Run:
    """Find the run that a name means.

    Parameters
    ----------
    session : Session
    name : str
        ``[INSTRUMENT/]NIGHT/NAME`` or ``NAME``; the night as in 2026-11-01.

    Raises
    ------
    NotFound
        No run has that name, or several have: the message lists them.
    """
    found = runs_named(session, name)
    if not found:
        raise NotFound("no run has this name", place=name, remedy="'roque run list' shows which there are")
    if len(found) > 1:
        raise NotFound(f"{len(found)} runs have this name", place=name, remedy=f"say which: {_listed([r.path for r in found])}")
    return found[0]


def runs_named(session: Session, name: str) -> list[Run]:
    """Find the newest versions of the runs that a name, as of `find_run`, may mean.

    Raises
    ------
    NotFound
        It is no name of a run.
    """
    *before, last = name.split("/")
    wanted = select(Run).join(Instrument).join(Night).where(Run.name == last)
    if before:
        wanted = wanted.where(Night.date == _night(name, before[-1]))
    if len(before) == 2:
        wanted = wanted.where(Instrument.name == before[0])
    elif len(before) > 2:
        raise _misnamed(name)
    rows = session.scalars(wanted.order_by(Night.date, Instrument.name, Run.version.desc())).all()
    in_use = [run for run in rows if run.state in ("growing", "complete", "failed")]
    newest: dict[str, Run] = {}
    for run in in_use or rows:
        newest.setdefault(run.path, run)
    return list(newest.values())


def find_reduction(session: Session, run: Run, name: str | None = None, recipe: str | None = None) -> Reduction:
    """Find a reduction of a run: the newest finished one, or the one that is named, or the newest finished of a recipe.

    Parameters
    ----------
    session : Session
    run : Run
    name : str, optional
        Short id of a reduction, or its unique beginning; of any version of the run and in whatever state: a paper may cite it.
    recipe : str, optional
        Name of a recipe.

    Raises
    ------
    NotFound
        There is none such.
    """
    versions = select(Run.id).where(Run.instrument_id == run.instrument_id, Run.night_id == run.night_id, Run.name == run.name)
    rows = session.scalars(
        select(Reduction).where(Reduction.run_id.in_(versions)).order_by(Reduction.finished_at.desc(), Reduction.id.desc())
    ).all()
    if name is not None:
        return _named(rows, name)
    done = [row for row in rows if row.state == "done" and row.run_id == run.id]
    if recipe is not None:
        done = [row for row in done if row.recipe.name == recipe]
    if done:
        return done[0]
    what = f"no finished reduction with recipe {recipe}" if recipe is not None else "no finished reduction"
    raise NotFound(f"the run has {what}", place=run.path, remedy=f"'roque run show {run.path}' says how far it is")


def find_job(session: Session, prefix: str) -> Job:
    """Find the job whose id begins so.

    Raises
    ------
    NotFound
        None does, or several do.
    """
    found = _beginning(session, prefix.lower())
    if len(found) == 1 or (found and found[0].id == prefix.lower()):
        return found[0]
    if not found:
        raise NotFound("no job has this id", place=prefix, remedy="'roque job list' shows which there are")
    raise NotFound(
        "more than one job begins like this", place=prefix, remedy=f"say more of it: {_listed([job.id for job in found])}"
    )


def find_product(session: Session, name: str) -> Product:
    """Find a product by its number, its address in the store, or the file name at the end of that.

    Raises
    ------
    NotFound
        There is none.
    """
    if name.isdecimal():
        product = session.get(Product, int(name)) if len(name) < 10 else None
    else:
        product = session.scalar(select(Product).where(Product.uri == name))
        if product is None and "/" not in name:
            ending = Product.uri.endswith(f"/{name}", autoescape=True)
            product = session.scalar(select(Product).where(ending).order_by(Product.id.desc()).limit(1))
    if product is None:
        raise NotFound("there is no such product", place=name, remedy="'roque product list' shows which there are")
    return product


def find_product_of_file(session: Session, path: Path) -> Product:
    """Find the product whose bytes a file has, wherever it lies and whatever it is called.

    Raises
    ------
    NotFound
        No product has these bytes.
    """
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    product = session.scalar(select(Product).where(Product.sha256 == sha256).order_by(Product.id.desc()).limit(1))
    if product is None:
        raise NotFound(
            "no product has the bytes of this file", file=str(path), remedy="it was changed, or is of another record"
        )
    return product


def _named(rows: Sequence[Reduction], name: str) -> Reduction:
    fitting = [row for row in rows if row.name == name] or [row for row in rows if row.name.startswith(name)]
    if len(fitting) == 1:
        return fitting[0]
    what = "more than one reduction begins like this" if fitting else "the run has no reduction of this id"
    known = _listed([row.name for row in fitting or rows])
    raise NotFound(what, place=name, remedy=f"there are {known}" if known else "it has none at all yet")


def _beginning(session: Session, prefix: str) -> Sequence[Job]:
    if set(prefix) - set("0123456789abcdef-"):
        return []
    return session.scalars(select(Job).where(Job.id.startswith(prefix)).order_by(Job.id).limit(SHOWN + 1)).all()


def _night(name: str, text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise _misnamed(name) from None


def _misnamed(name: str) -> NotFound:
    return NotFound(
        "this is not how a run is named",
        place=name,
        remedy="write NAME, NIGHT/NAME or INSTRUMENT/NIGHT/NAME, the night as 2026-11-01",
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "")
