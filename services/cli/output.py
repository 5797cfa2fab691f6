"""What commands print: tables for people, JSON lines for programs, nothing in either that could command a terminal."""

from __future__ import annotations

import datetime as dt
import json
import math
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import click

__all__ = ["Column", "clean", "days", "field", "json_line", "json_option", "moment", "size", "table", "width"]

GOOD = {"done", "complete", "good"}
BUSY = {"growing", "running", "queued", "waiting", "working", "reducing"}
BAD = {"failed", "conflict", "bad", "error"}

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")


class Column(NamedTuple):
    """A column of a table: its heading, whether it holds numbers, and whether it gives way when the terminal is narrow."""

    title: str
    number: bool = False
    shrinks: bool = False


def clean(text: str) -> str:
    """One line of text without control characters: headers and file names are written by others."""
    plain = "".join(" " if char in "\t\r\n" else char for char in text if char in "\t\r\n" or not _controls(char))
    return plain.encode("utf-8", "replace").decode("utf-8")


def json_line(value: Any) -> None:
    """Print a value as one line of JSON: times in ISO form, NaN as null."""
    click.echo(json.dumps(_plain(value), allow_nan=False))


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: fitted to the terminal if there is one, plain columns two blanks apart if not.

    Where the terminal is too narrow, the last column goes under its row if it may shrink, and then the others that may.
    """
    cleaned = [[clean(cell) for cell in row] for row in rows]
    rooms = [max([len(column.title), *(len(row[i]) for row in cleaned)]) for i, column in enumerate(columns)]
    terminal = on_terminal()
    below = terminal and columns[-1].shrinks and _total(rooms) > width()
    if below:
        columns, rooms = columns[:-1], rooms[:-1]
    if terminal:
        _shrink(columns, rooms)
    click.secho(_row([column.title for column in columns], columns, rooms), bold=terminal)
    for row in cleaned:
        click.echo(_row(row[: len(columns)], columns, rooms))
        if below and row[-1]:
            click.echo(textwrap.fill(row[-1], width(), initial_indent="    ", subsequent_indent="    "))


def field(name: str, text: str, *, indent: int = 2, hang: int = 12, style: str | None = None) -> None:
    """Print a named item of a report; on a terminal wrapped, with what follows under the beginning."""
    lead = " " * indent + (name.ljust(hang) if len(name) < hang or not hang else f"{name}  ")
    text = clean(text)
    lines = [lead + text]
    if on_terminal():
        lines = textwrap.wrap(
            lead + text, width(), subsequent_indent=" " * len(lead), break_on_hyphens=False, break_long_words=False
        )
    for line in lines:
        click.secho(line, fg=style) if style else click.echo(line)


def colour(state: str) -> str | None:
    """Colour of a state."""
    return "green" if state in GOOD else "yellow" if state in BUSY else "red" if state in BAD else None


def on_terminal() -> bool:
    """Whether a person reads what is printed."""
    return sys.stdout.isatty()


def width() -> int:
    """Columns of the terminal."""
    return shutil.get_terminal_size().columns


def moment(time: dt.datetime | None) -> str:
    """Write a time for people: UTC, to the second."""
    return f"{time:%Y-%m-%d %H:%M:%S}" if time is not None else "-"


def days(mjd: float | None) -> str:
    """Write an MJD as date and time of day, UTC."""
    if mjd is None:
        return "-"
    return moment(dt.datetime(1858, 11, 17, tzinfo=dt.UTC) + dt.timedelta(days=mjd))


def size(n: int) -> str:
    """Write a number of bytes for people."""
    if n < 10_000:
        return f"{n} B"
    power = min(3, int(math.log10(n)) // 3)
    return f"{n / 1000.0**power:.4g} {('B', 'kB', 'MB', 'GB')[power]}"


def _controls(char: str) -> bool:
    # Cc: escape sequences begin with one; Cf: marks that turn the direction of writing; Zl, Zp: new lines
    return unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp"}


def _plain(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dt.datetime() | dt.date():
            return value.isoformat()
        case dict():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case bool() | int() | str() | None:
            return value
        case Decimal():
            return float(value)
        case _:  # what a database may answer beside
            return str(value)


def _row(cells: Sequence[str], columns: Sequence[Column], rooms: Sequence[int]) -> str:
    placed = []
    for cell, column, room in zip(cells, columns, rooms, strict=True):
        shown = cell if len(cell) <= room else f"{cell[: room - 1]}\N{HORIZONTAL ELLIPSIS}"
        shown = shown.rjust(room) if column.number else shown.ljust(room)
        placed.append(click.style(shown, fg=colour(cell)) if colour(cell) else shown)
    # click takes colours away where there is no terminal, so what is left of them must not hide trailing blanks
    line = "  ".join(placed)
    return line.rstrip() if on_terminal() else click.unstyle(line).rstrip()


def _shrink(columns: Sequence[Column], rooms: list[int]) -> None:
    """Take room from the widest columns that may shrink, until the table fits or their headings are reached."""
    giving = [i for i, column in enumerate(columns) if column.shrinks]
    while _total(rooms) > width():
        widest = max(giving, key=lambda i: rooms[i] - len(columns[i].title), default=None)
        if widest is None or rooms[widest] <= len(columns[widest].title):
            return
        rooms[widest] -= 1


def _total(rooms: Sequence[int]) -> int:
    return sum(rooms) + 2 * (len(rooms) - 1)
