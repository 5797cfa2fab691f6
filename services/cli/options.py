"""Arguments and options that several commands take."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import click

__all__ = ["NIGHT", "insist_on_folder", "run_argument"]


class _Night(click.ParamType):
    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.date:
        """Read a date as in 2026-11-01."""
        if isinstance(value, dt.date):
            return value
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a date like 2026-11-01", param, ctx)


NIGHT = _Night()
"""A night, by the date of its evening."""

run_argument = click.argument("name", metavar="RUN")
"""A run, named as `roque.archive.names.find_run` has it."""


def insist_on_folder(path: Path) -> Path:
    """Refuse a file to write whose folder is not there; gives the path back.

    Raises
    ------
    BadInput
        There is no such folder.
    """
    from roque.errors import BadInput

    if not path.parent.is_dir():
        raise BadInput("there is no such folder", file=str(path.parent), remedy="make it, or name another")
    return path
