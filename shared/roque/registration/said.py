"""What is said of runs beside their data: by files of their name, and by whoever started this process."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from roque.archive.hints import SIDECARS, sidecar_hints
from roque.archive.models import RawFile, Run
from roque.registration.content import file_digest
from roque.settings import Settings
from roque.spool.folders import Stat

__all__ = ["hints_for", "sidecar_changed", "sidecar_gone", "tell_registered"]


def hints_for(folder: Path, name: str, settings: Settings) -> dict[str, Any]:
    """What is said of a run in a folder."""
    return {**sidecar_hints(folder, name), **settings.hints}


def sidecar_changed(session: Session, path: Path, stat: Stat, now: dt.datetime) -> int:
    """Let the runs that an aperture or reduce file belongs to know of it; returns their number.

    The file is recorded, so that it is known when nothing about it is new.
    """
    row = session.scalar(select(RawFile).where(RawFile.path == str(path)))
    if row is None:
        row = RawFile(path=str(path))
        session.add(row)
    row.size, row.mtime_ns, row.seen_at = stat.size, stat.mtime_ns, now
    try:
        row.sha256 = file_digest(path)
    except OSError:
        row.sha256 = ""  # what is wrong stands in the hint
    hint = SIDECARS[path.suffix.lower()]
    said = sidecar_hints(path.parent, path.stem).get(hint)
    runs = _beside(session, path)
    for run in runs:
        if said is not None and run.hints.get(hint) != said:
            run.hints, run.unsettled = {**run.hints, hint: said}, True
    return len(runs)


def sidecar_gone(session: Session, path: Path, found: Collection[str]) -> int:
    """Let the runs whose aperture or reduce file was taken away do without; returns their number.

    Only if their data are still there: a disk that is away takes nothing back.
    """
    hint, changed = SIDECARS[path.suffix.lower()], 0
    for run in _beside(session, path):
        said = run.hints.get(hint)
        if said is not None and said["file"] == str(path) and any(file.path in found for file in run.files):
            run.hints, run.unsettled = {name: value for name, value in run.hints.items() if name != hint}, True
            changed += 1
    session.execute(delete(RawFile).where(RawFile.path == str(path)))
    return changed


def tell_registered(session: Session, settings: Settings) -> None:
    """Say of the runs that are registered already what is said now."""
    for folder in settings.watched if settings.hints or settings.urgent else ():
        inside = select(RawFile.run_id).where(RawFile.path.startswith(f"{folder}/", autoescape=True))
        ours = Run.id.in_(inside), Run.state.in_(("growing", "complete"))
        if settings.urgent:
            session.execute(update(Run).where(*ours, Run.unsettled).values(urgent=True))
        for run in session.scalars(select(Run).where(*ours, Run.kind == "science")).unique() if settings.hints else ():
            if run.hints != {**run.hints, **settings.hints}:
                run.hints, run.unsettled = {**run.hints, **settings.hints}, True
            if "recipe" in settings.hints:  # named again: its newest version
                run.recipe_id, run.unsettled = None, True


def _beside(session: Session, path: Path) -> Sequence[Run]:
    """Science runs that a sidecar belongs to: of its name, with data in its folder."""
    inside = select(RawFile.run_id).where(RawFile.path.startswith(f"{path.parent}/", autoescape=True))
    wanted = select(Run).where(Run.name == path.stem, Run.id.in_(inside), Run.state != "superseded", Run.kind == "science")
    return session.scalars(wanted).unique().all()
