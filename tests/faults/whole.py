"""The whole system as `roque up` runs it, and what it measured."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from sqlalchemy import select

from roque.archive import Record
from roque.archive.models import Measurement, Reduction, Run

__all__ = ["MEASURED", "command", "environment", "family", "record_of", "rows"]

ROQUE = [sys.executable, "-c", "from services.cli.main import main; main()"]
MEASURED = [column for column in Measurement.__table__.columns if column.name != "reduction_id"]


def command(home: Path, *words: str) -> list[str]:
    """Words that call `roque`."""
    return [*ROQUE, "--home", str(home), *words]


def environment(**settings: str) -> dict[str, str]:
    """Variables of such a system: of the usual settings some of a test, and those given here."""
    usual = {"silent_seconds": "2", "calibration_wait_seconds": "600", "log_format": "console"}
    return {**os.environ, **{f"ROQUE_{name.upper()}": value for name, value in {**usual, **settings}.items()}}


def record_of(home: Path) -> Record:
    """Open the record of a laptop."""
    return Record(f"sqlite:///{home / 'record.sqlite'}")


def rows(record: Record) -> dict[str, list[tuple]]:
    """Every measurement of a finished reduction, by name of the run."""
    with record.reading() as session:
        names = session.execute(
            select(Run.name, Reduction.id).join(Reduction, Reduction.run_id == Run.id).where(Reduction.state == "done")
        ).all()
        found = {
            name: [
                tuple(row)
                for row in session.execute(
                    select(*MEASURED)
                    .where(Measurement.reduction_id == number)
                    .order_by(Measurement.frame, Measurement.ccd, Measurement.aperture)
                )
            ]
            for name, number in names
        }
    assert len(found) == len(names), "a run has two finished reductions"
    return found


def family(parent: int) -> list[int]:
    """A process and all below it."""
    found = [parent]
    for pid in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found
