"""`roque run`: list, show, watch, judge, cancel and retry runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from services.cli.app import App, pass_app
from services.cli.options import run_argument
from services.cli.output import Column, days, json_line, json_option, table
from services.cli.run_radii import radii
from services.cli.run_work import cancel, retry
from services.cli.selection import filter_options
from services.cli.watch import watch

if TYPE_CHECKING:
    from roque.archive.progress import RunState
    from roque.archive.summaries import Filters, RunSummary

__all__ = ["run"]


@click.group()
def run() -> None:
    """List, show, watch, cancel and retry runs."""


@run.command(name="list")
@filter_options
@json_option
@pass_app
def list_(app: App, filters: Filters, *, as_json: bool) -> None:
    """List runs, and what each has come to.

    \b
    Examples:
      roque run list --since 2026-11-01 --state failed
      roque run list --object 'HS 0705' --json
      roque run list --header 'OBSERVER~dhillon' --header 'EXPTIME<2'
    """
    from roque.archive.summaries import list_runs

    with app.record.reading() as session:
        runs = list_runs(session, filters)
    if as_json:
        for summary, come_to in runs:
            json_line(_plain(summary, come_to))
        return
    table(
        [Column("RUN"), Column("KIND"), Column("OBJECT", shrinks=True), Column("FRAMES", number=True), Column("STATE"),
         Column("DETAIL", shrinks=True)],
        [
            (summary.name, summary.kind, summary.object, _frames(summary), come_to.word, _detail(summary, come_to))
            for summary, come_to in runs
        ],
    )  # fmt: skip
    if not runs:
        app.say("no such run; 'roque run list' without options lists them all")


@run.command()
@run_argument
@json_option
@pass_app
def show(app: App, name: str, *, as_json: bool) -> None:
    """Show all that is known of a run: files, frames, problems, reductions, masters and why, jobs.

    RUN is [INSTRUMENT/]NIGHT/NAME, or NAME where that is unique.

    \b
    Examples:
      roque run show run0012
      roque run show hipercam/2026-11-01/run0012 --json
    """
    from roque.archive.names import find_run
    from services.cli.run_facts import gather
    from services.cli.run_page import print_report

    with app.record.reading() as session:
        report = gather(session, find_run(session, name))
    if as_json:
        json_line(report)
    else:
        print_report(report)


for _command in (watch, radii, cancel, retry):
    run.add_command(_command)


def _plain(run: RunSummary, come_to: RunState) -> dict[str, object]:
    return {
        "name": run.name,
        "state": come_to.word,
        "detail": come_to.detail,
        "files": run.state,
        "version": run.version,
        "kind": run.kind,
        "object": run.object,
        "exposure": run.exposure,
        "frames": run.frames,
        "frames_expected": run.frames_expected,
        "frames_dropped": run.frames_dropped,
        "frames_missing": run.frames_missing,
        "bad_times": run.bad_times,
        "mjd_first": run.mjd_first,
        "mjd_last": run.mjd_last,
        "begin": days(run.mjd_first) if run.mjd_first is not None else None,
        "reduction": run.reduction,
        "problems": len(run.problems),
    }


def _frames(run: RunSummary) -> str:
    if run.frames_expected is None or run.frames_expected == run.frames:
        return str(run.frames)
    return f"{run.frames}/{run.frames_expected}"


def _detail(run: RunSummary, come_to: RunState) -> str:
    if come_to.detail:
        return come_to.detail
    return f"reduction {run.reduction}" if run.reduction else ""
