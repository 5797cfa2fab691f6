"""Doing a night by hand: the system of a laptop, for one folder, until nothing is left to do."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from roque.archive import Record
from roque.archive.progress import Left, left_to_do
from roque.process import stop_on_signals
from services.cli.app import App
from services.cli.idle import Idle
from services.cli.system import System, is_up, only_one

__all__ = ["reduce_folder", "show_progress"]


def reduce_folder(app: App, folder: Path, hints: dict[str, Any]) -> None:
    """Register a folder and wait until the system is at rest, starting what does not run yet."""
    settings = app.settings.model_copy(
        update={"incoming": [folder], "silent_seconds": 0.0, "hints": hints, "urgent": True, "log_format": "console"}
    )
    record = app.new_record
    idle = Idle(record, settings)
    if not hints and idle.now():
        app.say(f"nothing new in {folder}")
        return
    stop = stop_on_signals()
    settings.folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((settings.folder / "night.log").open("ab"))
        names: tuple[str, ...] = ("ingest",)
        if is_up(settings):
            app.say("roque up runs on this home folder: the work is left to it")
        else:
            stack.enter_context(only_one(settings))
            names = ("ingest", "planner", "worker")
        system = stack.enter_context(System(settings, names, log))
        with show_progress(app, record) as show:
            while not stop.wait(0.1):
                system.revive()
                show()
                if idle.reached():
                    break


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
    parts = [f"{seconds:4.0f} s", f"{left.unsettled} runs and {left.jobs} jobs left"]
    if left.frames:
        parts.append(f"{left.frames_done} of {left.frames} frames reduced")
    return ", ".join(parts)


def _write(file: IO[str], text: str) -> None:
    file.write(text)
    file.flush()
