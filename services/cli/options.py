"""Arguments and options that several commands take."""

from __future__ import annotations

import datetime as dt
from typing import Any

import click

__all__ = ["NIGHT", "run_argument"]


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
