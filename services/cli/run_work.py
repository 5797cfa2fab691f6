"""`roque run cancel`, `roque run retry` and `roque job submit`: stopping the work on runs, and starting it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from services.cli.app import App, pass_app
from services.cli.output import clean, json_line, json_option
from services.cli.selection import dry_run_option, run_options, runs_meant

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from roque.archive.models import Run
    from roque.archive.summaries import Filters

__all__ = ["cancel", "retry", "submit"]

BATCH = 200
"""Runs of a transaction: others want to write too."""

PRIORITIES = ["live", "archive"]
"""As in roque.jobs.priority, which must not be imported to show help; a test compares them."""

_Entry = dict[str, Any]


@click.command()
@run_options
@dry_run_option
@json_option
@pass_app
def cancel(app: App, names: tuple[str, ...], filters: Filters, *, dry_run: bool, as_json: bool) -> None:
    """Cancel what is under way or to come of runs.

    A worker stops within seconds, and nothing of what it was doing is recorded; what was recorded before stays. Nothing more
    is begun for these runs until 'roque run retry' or 'roque job submit'. Runs of which nothing is under way are left alone.

    \b
    Examples:
      roque run cancel run0012
      roque run cancel --night 2026-11-01 --state waiting --dry-run
    """

    def stop(session: Session, run: Run) -> _Entry | None:
        from roque.jobs.cancelling import cancel_run, is_under_way

        if not is_under_way(session, run):
            return None
        jobs = cancel_run(session, run)
        return {"name": run.path, "state": "cancelled", "jobs": jobs}

    done = _each(app, names, filters, stop, dry_run=dry_run, as_json=as_json)
    jobs = sum(len(entry["jobs"]) for entry in done)
    app.say(
        f"{_would(dry_run)}{_count(len(done), 'run')} cancelled, with {_count(jobs, 'job')}" if done else "nothing is under way"
    )


@click.command()
@run_options
@dry_run_option
@json_option
@pass_app
def retry(app: App, names: tuple[str, ...], filters: Filters, *, dry_run: bool, as_json: bool) -> None:
    """Try again what failed or was cancelled of runs, after its cause is gone.

    Jobs that failed or were cancelled start afresh, and the planner looks at the runs again. A file that could not be read is
    looked at again when the ingest, `roque up` or `roque night reduce` is started next.

    \b
    Examples:
      roque run retry run0012
      roque run retry --since 2026-11-01 --state failed
    """
    unreadable = []

    def again(session: Session, run: Run) -> _Entry:
        from roque.jobs.retries import retry_run

        if run.state == "failed":
            unreadable.append(run.path)
        state = "failed" if run.state == "failed" else "working"
        return {"name": run.path, "state": state, "retried": retry_run(session, run)}

    done = _each(app, names, filters, again, dry_run=dry_run, as_json=as_json)
    jobs = sum(len(entry["retried"]) for entry in done)
    app.say(f"{_would(dry_run)}{_count(len(done), 'run')} tried again, {_count(jobs, 'stopped job')} started afresh")
    for path in unreadable[:5]:
        app.say(f"{path}: its file is looked at again when ingest, 'roque up' or 'roque night reduce' is started next")


@click.command()
@run_options
@click.option("--recipe", metavar="NAME", help="Reduce with this recipe from now on; default: the one that the run has.")
@click.option("--priority", type=click.Choice(PRIORITIES), help="Before or after others; default: live if of the last night.")
@dry_run_option
@json_option
@pass_app
def submit(
    app: App,
    names: tuple[str, ...],
    filters: Filters,
    *,
    recipe: str | None,
    priority: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Reduce runs again, with the newest version of a recipe.

    Earlier reductions with other recipes stay. One that has the very same parameters and masters already is not made anew.

    \b
    Examples:
      roque job submit run0012 --recipe bright
      roque job submit --night 2026-11-01 --recipe bright --priority live
    """
    from dataclasses import replace

    def begin(session: Session, run: Run) -> _Entry | None:
        from roque.jobs.retries import submit_run

        if not names and run.state not in ("growing", "complete"):
            return None
        row = submit_run(session, run, recipe=recipe, priority=priority)
        return {"name": run.path, "state": "working", "recipe": f"{row.name} v{row.version}", "priority": priority}

    if not names:
        if filters.kind not in (None, "science"):
            raise click.UsageError(f"runs of the kind {filters.kind} are not reduced")
        filters = replace(filters, kind="science")
    done = _each(app, names, filters, begin, dry_run=dry_run, as_json=as_json)
    app.say(f"{_would(dry_run)}{_count(len(done), 'run')} submitted; 'roque run watch RUN' shows how far one is")


def _each(
    app: App,
    names: tuple[str, ...],
    filters: Filters,
    do: Callable[[Session, Run], _Entry | None],
    *,
    dry_run: bool,
    as_json: bool,
) -> list[_Entry]:
    """Do something to every run that is meant, and print which it was done to; for a dry run all is taken back."""
    from roque.archive.models import Run

    with app.record.reading() as session:
        ids = runs_meant(session, names, filters)
    done: list[_Entry] = []
    for begin in range(0, len(ids), BATCH):
        with app.record.writing() as session:
            entries = [do(session, session.get_one(Run, run_id)) for run_id in ids[begin : begin + BATCH]]
            if dry_run:
                session.rollback()
        for entry in entries:
            if entry is not None:
                done.append(entry)
                json_line(entry) if as_json else click.echo(clean(entry["name"]))
    return done


def _would(dry_run: bool) -> str:
    return "dry run, nothing is changed: " if dry_run else ""


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
