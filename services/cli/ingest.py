"""`roque ingest`: years of archive, registered."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from services.cli.app import App, pass_app
from services.cli.options import read_folder, read_night
from services.cli.output import clean, json_line, json_option

if TYPE_CHECKING:
    import datetime as dt

    from roque.registration.batch import Outcome

__all__ = ["ingest"]

SHOWN = 20
"""Bad files that are told of as they are met; the record has them all."""


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), callback=read_folder)
@click.option("--since", metavar="DATE", callback=read_night, help="Only this night (the date of its evening) and later ones.")
@click.option("--until", metavar="DATE", callback=read_night, help="Only this night and earlier ones.")
@click.option("--reduce", is_flag=True, help="Have the runs reduced too, after everything that is observed now.")
@click.option("--dry-run", is_flag=True, help="Say what would be registered, by the headers, and change nothing.")
@json_option
@pass_app
def ingest(
    app: App,
    folder: Path,
    since: dt.date | None,
    until: dt.date | None,
    *,
    reduce: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Register the runs in FOLDER and the folders in it, years of them, without reducing any.

    Files are taken as ended. What is registered and has not changed is passed over unread, so that after Ctrl-C, or whatever
    else stops it, the same command goes on where it was. 'roque job submit' has a run reduced later, with the calibrations of
    its night.

    \b
    Examples:
      roque ingest /archive/hipercam --since 2018-01-01
      roque ingest /archive --since 2025-10-01 --until 2025-10-31 --reduce
      roque ingest /archive --since 2018-01-01 --dry-run --json
    """
    from roque.process import stop_on_signals
    from roque.registration.archive import Archive

    if since is not None and until is not None and until < since:
        raise click.UsageError("--until is before --since")
    tally = _Tally(app, dry_run=dry_run, as_json=as_json)
    archive = Archive(app.new_record, app.settings, app.cameras, tally.count, since=since, until=until, reduce=reduce)
    stop = stop_on_signals()
    try:
        (archive.foresee if dry_run else archive.register)(folder, stop)
    finally:
        tally.end(stopped=stop.is_set())
    if stop.is_set():
        app.say("stopped: the same command goes on from here")
        raise click.Abort
    raise click.exceptions.Exit(1 if tally.counts["failed"] or tally.counts["left"] else 0)


class _Tally:
    """Counts what became of runs and files, and shows how far it is."""

    def __init__(self, app: App, *, dry_run: bool, as_json: bool) -> None:
        self.counts: Counter[str] = Counter()
        self._app = app
        self._dry_run = dry_run
        self._as_json = as_json
        self._frames = 0
        self._terminal = sys.stderr.isatty()
        self._began = self._shown = time.monotonic()

    def count(self, outcome: Outcome) -> None:
        """Take note of an outcome."""
        self.counts[outcome.what] += 1
        self._frames += outcome.frames
        if outcome.error is not None and self.counts["failed"] <= SHOWN:
            self._line("")
            self._app.say(str(outcome.error))
        if self._dry_run and outcome.what == "new":
            self._foretell(outcome)
        every = 0.5 if self._terminal else 10.0
        if time.monotonic() - self._shown > every:
            self._shown = time.monotonic()
            where = str(Path(outcome.files[0]).parent)
            self._line(f"{self._text()}; now in {where}" if self._terminal else f"{self._text()}; now in {where}\n")

    def end(self, *, stopped: bool) -> None:
        """Say what was done."""
        self._line("")
        seconds = time.monotonic() - self._began
        if self._as_json and not self._dry_run:
            told: dict[str, Any] = {name.replace(" ", "_"): self.counts[name] for name in _WORDS}
            json_line({**told, "frames": self._frames, "seconds": round(seconds, 3), "stopped": stopped})
        else:
            self._app.say(self._text()) if self._dry_run else click.echo(self._text())
        if self.counts["failed"] and not self._dry_run:
            self._app.say("what is wrong with bad files, and what to do: roque run list --state failed")

    def _foretell(self, outcome: Outcome) -> None:
        if self._as_json:
            json_line({"name": outcome.run, "state": "new", "file": outcome.files[0]})
        else:
            click.echo(clean(f"{outcome.run}  {outcome.files[0]}"))

    def _text(self) -> str:
        seconds = time.monotonic() - self._began
        runs = sum(self.counts[name] for name in _RUNS)
        parts = [f"{self.counts[name]} {words}" for name, words in _WORDS.items() if self.counts[name] or name == "new"]
        if not self._dry_run:
            parts.append(f"{self._frames} frames, {seconds:.0f} s, {runs / max(seconds, 1e-3):.0f} runs/s")
        return ", ".join(parts)

    def _line(self, text: str) -> None:
        if not self._app.quiet and (self._terminal or text):
            sys.stderr.write(f"\r{clean(text)}\x1b[K" if self._terminal else text)
            sys.stderr.flush()


_WORDS = {
    "new": "runs new",
    "grown": "grown or the same",
    "changed": "changed",
    "second location": "second locations",
    "conflict": "in conflict",
    "failed": "bad files",
    "left": "files that changed meanwhile: try again",
    "known": "files known",
    "outside": "files outside of the dates",
}
_RUNS = ("new", "grown", "changed", "second location", "conflict")
