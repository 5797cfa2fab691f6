"""Doing a night by hand: the system of a laptop, for one folder, until nothing is left to do."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click
from sqlalchemy import select

from roque.archive import Record
from roque.archive.models import RawFile, Run
from roque.archive.progress import Left, left_to_do
from roque.errors import Conflict
from roque.jobs.retries import request_runs
from roque.process import stop_on_signals
from roque.settings import Settings
from services.cli.app import App
from services.cli.idle import Idle
from services.cli.system import System, only_one

__all__ = ["reduce_folder", "show_progress"]


def reduce_folder(app: App, folder: Path, hints: dict[str, Any]) -> None:
    """Register a folder and wait until the system is at rest, starting what does not run yet.

    Raises
    ------
    Abort
        Somebody pressed Ctrl-C, or the like, before that.
    """
    settings = app.settings.model_copy(
        update={
            "incoming": [folder],
            "servers": [],
            "silent_seconds": 0.0,
            "hints": hints,
            "urgent": True,
            "log_format": "console",
            "health_port": None,
        }
    )
    record = app.new_record
    _try_again(record)
    _ask_for(record, folder)
    idle = Idle(record, settings)
    if not hints and idle.now():
        app.say(f"nothing new in {folder}")
        return
    stop = stop_on_signals()
    settings.folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((settings.folder / "night.log").open("ab"))
        lock = stack.enter_context(contextlib.ExitStack())  # let go when the processes below have ended
        system = stack.enter_context(System(settings, ("ingest",), log))
        show = stack.enter_context(show_progress(app, record))
        alone = _take_over(lock, system, settings)
        if not alone:
            app.say("roque runs on this home folder: the work is left to it")
        while not idle.reached():
            if stop.wait(0.1):
                raise click.Abort
            system.revive()
            # whoever ran may have been stopped
            alone = alone or _take_over(lock, system, settings)
            show()


def _try_again(record: Record) -> None:
    """Have files looked at that the world kept from being read and that it gives now: nothing else shows it."""
    with record.writing() as session:
        for file in session.scalars(select(RawFile).where(RawFile.sha256 == "")):
            if _readable(Path(file.path)):
                file.sha256 = None


def _ask_for(record: Record, folder: Path) -> None:
    """Ask for runs of the folder that were registered as an archive's."""
    inside = select(RawFile.run_id).where(RawFile.path.startswith(f"{folder}/", autoescape=True))
    with record.writing() as session:
        request_runs(session, Run.id.in_(inside))


def _readable(path: Path) -> bool:
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            return False
        with path.open("rb") as file:
            file.read(1)
    except OSError:
        return False
    return True


def _take_over(lock: contextlib.ExitStack, system: System, settings: Settings) -> bool:
    """Do the work too, if nobody else does; returns whether it is so."""
    try:
        lock.enter_context(only_one(settings))
    except Conflict:
        return False
    system.start("planner", "worker")
    return True


@contextlib.contextmanager
def show_progress(app: App, record: Record) -> Iterator[Any]:
    """Show what is left to do: one line that changes on a terminal, a line now and then elsewhere."""
    terminal = sys.stderr.isatty() and not app.quiet
    every = 0.5 if terminal else 5.0
    began = asked = time.monotonic()
    asked -= every

    def show() -> None:
        nonlocal asked
        if time.monotonic() - asked < every or app.quiet:
            return
        asked = time.monotonic()
        with record.reading() as session:
            line = _line(left_to_do(session), asked - began)
        _write(sys.stderr, f"\r{line}\x1b[K" if terminal else f"{line}\n")

    yield show
    if terminal:
        _write(sys.stderr, "\r\x1b[K")


def _line(left: Left, seconds: float) -> str:
    parts = [f"{seconds:4.0f} s", f"{left.growing + left.unsettled} runs and {left.jobs} jobs left"]
    if left.frames:
        parts.append(f"{left.frames_done} of {left.frames} frames reduced")
    return ", ".join(parts)


def _write(file: IO[str], text: str) -> None:
    file.write(text)
    file.flush()
