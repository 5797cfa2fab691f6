"""What became of a folder of raw files, in a table."""

from __future__ import annotations

from pathlib import Path

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from roque.archive import Record
from roque.archive.models import RawFile, Reduction, Run
from roque.archive.progress import run_state
from roque.spool.folders import scan, shown
from services.cli.output import Column, clean, json_line, table

__all__ = ["summarise"]

_NO_GOOD = ("failed", "conflict")
"""States of runs that count while their file is there: the remedy is to take it away, or to rename it."""


def summarise(record: Record, folder: Path, *, as_json: bool) -> bool:
    """Print a line for every run of a folder, and the problems below; returns whether something failed."""
    with record.reading() as session:
        runs = _runs(session, folder)
        states = {run.id: run_state(session, run) for run in runs}
        reductions = {run.id: _newest(session, run) for run in runs}
    if as_json:
        for run in runs:
            reduction = reductions[run.id]
            json_line(
                {
                    "name": run.path,
                    "state": states[run.id].word,
                    "detail": states[run.id].detail,
                    "kind": run.kind,
                    "frames": run.frames,
                    "problems": run.problems,
                    "reduction": reduction.name if reduction else None,
                    "choices": reduction.choices if reduction else {},
                }
            )
    else:
        table(
            [Column("RUN"), Column("KIND"), Column("OBJECT", shrinks=True), Column("FRAMES", number=True), Column("STATE"),
             Column("REDUCTION"), Column("", shrinks=True)],
            [
                (run.path, run.kind, run.object, str(run.frames), states[run.id].word,
                 reductions[run.id].name if reductions[run.id] else "", states[run.id].detail)  # type: ignore[union-attr]
                for run in runs
            ],
        )  # fmt: skip
        _problems(runs)
        failed = [run.path for run in runs if states[run.id].failed]
        if failed:
            click.echo(
                clean(f"{len(failed)} of {len(runs)} runs are not as they should be; what to do: roque run show {failed[0]}")
            )
    return any(state.failed for state in states.values())


def _runs(session: Session, folder: Path) -> list[Run]:
    inside = f"{folder}/"
    wanted = select(RawFile.run_id).where(RawFile.path.startswith(inside, autoescape=True))
    found = session.scalars(select(Run).where(Run.id.in_(wanted), Run.state != "superseded")).unique().all()
    files = {shown(path) for path in scan([folder], Path())}
    found = [run for run in found if run.state not in _NO_GOOD or any(file.path in files for file in run.files)]
    return sorted(found, key=lambda run: (run.night.date, run.instrument.name, run.name, run.version))


def _newest(session: Session, run: Run) -> Reduction | None:
    return session.scalar(
        select(Reduction)
        .where(Reduction.run_id == run.id, Reduction.state == "done")
        .order_by(Reduction.finished_at.desc(), Reduction.id.desc())
        .limit(1)
    )


def _problems(runs: list[Run]) -> None:
    for run in runs:
        for problem in run.problems:
            file = problem["file"] if problem["severity"] == "error" else None
            where = ", ".join(part for part in (file, problem["place"]) if part)
            text = f"{run.path}: {problem['severity']}: {where}: {problem['message']}"
            click.echo(clean(f"{text}; {problem['remedy']}" if problem["remedy"] else text))
