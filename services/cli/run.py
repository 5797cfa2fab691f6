"""`roque run`: list, show and retry runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from services.cli.app import App, pass_app
from services.cli.options import read_night, run_argument
from services.cli.output import Column, days, json_line, json_option, table

if TYPE_CHECKING:
    import datetime as dt

    from roque.archive.progress import RunState
    from roque.archive.summaries import RunSummary

__all__ = ["run"]

# as in roque.archive.summaries, which must not be imported to show help; a test compares them
STATES = ["growing", "waiting", "working", "reducing", "done", "registered", "failed", "conflict", "superseded"]
KINDS = ["bias", "dark", "flat", "science", "other"]


@click.group()
def run() -> None:
    """List, show and retry runs."""


@run.command(name="list")
@click.option("--night", metavar="DATE", callback=read_night, help="Only runs of this night (the date of its evening).")
@click.option("--since", metavar="DATE", callback=read_night, help="Only this night and later ones.")
@click.option("--state", type=click.Choice(STATES), metavar="STATE", help=f"Only runs in this state: {', '.join(STATES)}.")
@click.option("--kind", type=click.Choice(KINDS), help="Only runs of this kind.")
@click.option("--object", "target", metavar="TEXT", help="Only runs whose object has this in its name.")
@click.option("--instrument", metavar="NAME", help="Only runs of this instrument.")
@json_option
@pass_app
def list_(
    app: App,
    night: dt.date | None,
    since: dt.date | None,
    state: str | None,
    kind: str | None,
    target: str | None,
    instrument: str | None,
    *,
    as_json: bool,
) -> None:
    """List runs, and what each has come to.

    \b
    Examples:
      roque run list --since 2026-11-01 --state failed
      roque run list --object 'HS 0705' --json
    """
    from roque.archive.summaries import Filters, list_runs

    filters = Filters(night=night, since=since, state=state, kind=kind, object=target, instrument=instrument)
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


@run.command()
@run_argument
@json_option
@pass_app
def retry(app: App, name: str, *, as_json: bool) -> None:
    """Try again what failed of a run, after its cause is gone.

    Failed jobs start afresh, and the planner looks at the run again. A file that could not be read is looked at again when
    `roque up` or `roque night reduce` is started next.

    \b
    Example:
      roque run retry run0012
    """
    from roque.archive.names import find_run
    from roque.jobs.retries import retry_run

    with app.record.writing() as session:
        row = find_run(session, name)
        path, unreadable = row.path, row.state == "failed"
        retried = retry_run(session, row)
    if as_json:
        json_line({"name": path, "state": "failed" if unreadable else "working", "retried": retried})
        return
    for job in retried:
        click.echo(job)
    if unreadable:
        app.say(f"{path}: its file is looked at again when 'roque up' or 'roque night reduce' is started next")
    elif retried:
        app.say(f"{path}: {len(retried)} failed {'job starts' if len(retried) == 1 else 'jobs start'} afresh")
    else:
        app.say(f"{path}: no job of it has failed; the planner looks at it again")


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
