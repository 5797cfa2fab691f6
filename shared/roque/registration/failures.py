"""Recording files that are no run, or that the world keeps from being read."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from roque.archive import Record
from roque.archive.found import FoundFile
from roque.archive.runs import register_failure, register_refusal
from roque.errors import BadInput, RoqueError
from roque.jobs.outbox import clock, emit
from roque.spool.folders import Stat, shown
from roque.spool.naming import folder_night, run_name, safe_name

__all__ = ["night_of_file", "record_failure", "refusal"]


def record_failure(record: Record, path: str, stat: Stat, digest: str, error: RoqueError) -> None:
    """Record what is wrong with a file.

    Parameters
    ----------
    record : Record
    path : str
    stat : Stat
        The file as it was when it was looked at.
    digest : str
        Of the file; empty if it cannot be read.
    error : RoqueError
        What is wrong.
    """
    name = shown(path)
    found = FoundFile(name, stat.size, stat.mtime_ns, digest, digest, 0, stat.size)
    with record.writing() as session:
        row = register_refusal(session, found, error) if not digest else None
        row = row or register_failure(session, found, night_of_file(path, stat), _name(Path(path)), error, clock(session))
        emit(session, "run.failed", {"run": row.path, "error": error.code})


def night_of_file(path: str, stat: Stat) -> dt.date:
    """Night of a file whose headers don't tell: that of its folder, else the date of its last change."""
    return folder_night(Path(path)) or dt.datetime.fromtimestamp(stat.mtime_ns * 1e-9, dt.UTC).date()


def refusal(path: str, error: RoqueError | OSError) -> RoqueError:
    """Say why the world keeps a file from being read; it is tried again by itself."""
    if isinstance(error, RoqueError):
        return error
    if isinstance(error, FileNotFoundError):
        message, remedy = (
            f"the link leads to {shown(str(Path(path).readlink()))!r}, where nothing is",
            "bring that back, or remove the link",
        )
    else:
        message, remedy = f"the file cannot be read: {(error.strerror or str(error)).lower()}", "see to its disk and its rights"
    return BadInput(message, file=shown(path), remedy=f"{remedy}; it is tried again by itself")


def _name(file: Path) -> str:
    """Name for a file that is no run: its own if a run could have it."""
    try:
        return run_name(file)
    except BadInput:
        return safe_name(file.name)
