"""`roque db`: the tables of the record."""

from __future__ import annotations

import sys
from typing import Any

import click

from services.cli.app import App, pass_app, sqlite_file
from services.cli.output import colour, field, json_line, json_option

__all__ = ["db"]


@click.group()
def db() -> None:
    """Make and check the tables of the record."""


@db.command()
@json_option
@pass_app
def upgrade(app: App, *, as_json: bool) -> None:
    """Make the tables of the record, or bring them up to this version.

    It is done as a whole or not at all, and can be done while everything runs: services wait until it has ended. If
    somebody holds a table for more than 4 seconds, it gives up and can be tried again.

    \b
    Example:
      roque db upgrade
    """
    from roque.archive import Record, schema

    record = Record(app.settings.database)
    try:
        before = schema.tables(record).value
        schema.upgrade(record)
        name = record.name
    finally:
        record.close()
    if as_json:
        json_line({"name": name, "state": "current", "before": before})
    elif before == "current":
        click.echo(f"{name}: the tables are up to date")
    else:
        click.echo(f"{name}: the tables are up to date now; before, they were {before}")


@db.command()
@json_option
@pass_app
def check(app: App, *, as_json: bool) -> None:
    """Say whether the tables are those of this version; exit status 1 if not.

    On PostgreSQL it also counts the months ahead that measurements have a partition for.

    \b
    Example:
      roque db check --json
    """
    told = _state(app)
    if as_json:
        json_line(told)
    else:
        click.secho(f"{told['name']}: ", bold=True, nl=False)
        click.secho(told["state"], fg=colour("good" if told["state"] == "current" else "bad"))
        if told["partitions_ahead"] is not None:
            field("partitions", f"for {told['partitions_ahead']} months ahead", hang=14)
        if told["remedy"]:
            field("what to do", told["remedy"], hang=14)
    sys.exit(1 if told["remedy"] else 0)


def _state(app: App) -> dict[str, Any]:
    from roque.archive import Record, partitions, schema

    file = sqlite_file(app.settings)
    if file is not None and not file.is_file():  # asking must not make an empty one
        return _told(str(file), schema.Tables.MISSING.value, schema.remedy(schema.Tables.MISSING))
    record = Record(app.settings.database)
    try:
        found = schema.tables(record)
        if found is not schema.Tables.CURRENT or record.is_sqlite:
            return _told(record.name, found.value, schema.remedy(found))
        with record.reading() as session:
            ahead = partitions.partitions_ahead(session)
    finally:
        record.close()
    few = "look whether a planner runs, and what it says: it makes them" if ahead < partitions.FEWEST_AHEAD else None
    return _told(record.name, found.value, few, ahead)


def _told(name: str, state: str, remedy: str | None, ahead: int | None = None) -> dict[str, Any]:
    return {"name": name, "state": state, "partitions_ahead": ahead, "remedy": remedy}
