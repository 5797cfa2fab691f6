"""`roque sql`: ask the record in SQL, without changing it."""

from __future__ import annotations

import csv
import sys
from typing import TYPE_CHECKING, Any

import click

from services.cli.app import App, pass_app
from services.cli.output import Column, field, json_line, json_option, table

if TYPE_CHECKING:
    from roque.archive.console import Answer

__all__ = ["sql"]


@click.command()
@click.argument("statement", required=False)
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated values with a line of names.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="Rows at most.")
@click.option("--timeout", type=click.FloatRange(0.1), default=30.0, show_default=True, help="Seconds at most.")
@click.option("--views", is_flag=True, help="List the views, their columns and examples, and ask nothing.")
@pass_app
def sql(app: App, statement: str | None, *, as_json: bool, as_csv: bool, limit: int, timeout: float, views: bool) -> None:
    """Answer one SELECT; STATEMENT - reads it from stdin.

    The views runs, headers, frames, measurements, radii and light_curves keep their columns when the tables change.

    \b
    Examples:
      roque sql "SELECT run, object, frames FROM runs WHERE kind = 'science'"
      roque sql --csv --limit 100000 "SELECT * FROM light_curves
                                      WHERE run = 'run0012'" > run0012.csv
      roque sql --views
    """
    if views:
        _print_views(as_json=as_json)
        return
    if statement is None:
        raise click.UsageError("give a statement in quotes, or --views")
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    from roque.archive.console import ask

    app.insist_on_record()
    text = sys.stdin.read() if statement == "-" else statement
    answer = ask(app.settings.database, text, limit=limit, seconds=timeout)
    if as_json:
        for row in answer.rows:
            json_line(dict(zip(answer.columns, row, strict=True)))
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(answer.columns)
        writer.writerows(answer.rows)
    else:
        _print_table(answer)
    if answer.more:
        app.say(f"only the first {limit} rows are shown: say more with --limit")


def _print_table(answer: Answer) -> None:
    columns = [
        Column(name, number=all(isinstance(row[i], int | float | None) for row in answer.rows))
        for i, name in enumerate(answer.columns)
    ]
    table(columns, [[_cell(value) for value in row] for row in answer.rows])


def _cell(value: Any) -> str:
    return "NULL" if value is None else str(value)


def _print_views(*, as_json: bool) -> None:
    from roque.archive.view_columns import COLUMNS, EXAMPLES

    for view, columns in COLUMNS.items():
        if as_json:
            json_line({"name": view, "state": "current", "columns": columns, "example": EXAMPLES[view]})
            continue
        click.secho(view, bold=True)
        for name, meaning in columns.items():
            field(name, meaning, hang=18)
        field("example", f'roque sql "{EXAMPLES[view]}"', hang=18)
        click.echo()
