"""`roque job cancel` and `roque job retry`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from services.cli.app import App, pass_app
from services.cli.output import json_line, json_option

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from roque.archive.models import Job

__all__ = ["cancel", "retry"]


@click.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@json_option
@pass_app
def cancel(app: App, ids: tuple[str, ...], *, as_json: bool) -> None:
    """Cancel jobs that have not ended. An ID may be the beginning of an id, if only one job begins so.

    A worker at the job stops within seconds, and nothing of what it was doing is recorded. A reduction whose range is
    cancelled stops with it. All are cancelled, or, if one cannot be, none.

    \b
    Example:
      roque job cancel 019a4000-0001
    """
    from roque.jobs.cancelling import cancel_job

    _each(app, ids, cancel_job, "cancelled", as_json=as_json)


@click.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@json_option
@pass_app
def retry(app: App, ids: tuple[str, ...], *, as_json: bool) -> None:
    """Start failed or cancelled jobs afresh, after the cause is gone.

    Jobs that were given up because of one start with it. All are started, or, if one cannot be, none.

    \b
    Examples:
      roque job retry 019a4000-0001
      roque job list --state failed --json
    """
    from roque.jobs.retries import retry_job

    _each(app, ids, retry_job, "started afresh", as_json=as_json)


def _each(app: App, ids: tuple[str, ...], do: Callable[[Session, str], Job], what: str, *, as_json: bool) -> None:
    from roque.archive.names import find_job

    with app.record.writing() as session:
        found = [do(session, find_job(session, prefix).id) for prefix in ids]
        for row in found:
            session.refresh(row)
    for row in found:
        if as_json:
            json_line({"name": row.id, "state": row.state, "kind": row.kind})
        else:
            click.echo(row.id)
    app.say(f"{len(found)} {'job' if len(found) == 1 else 'jobs'} {what}")
