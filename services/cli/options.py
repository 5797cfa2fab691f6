"""Arguments and options that several commands take."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from roque.archive.models import Reduction
    from services.cli.app import App

__all__ = ["insist_on_folder", "make_way", "read_folder", "read_night", "reduction_options", "run_argument", "say_which"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def read_night(_context: click.Context, _parameter: click.Parameter, value: str | None) -> dt.date | None:
    """Read a night, named by the date of its evening."""
    try:
        return dt.date.fromisoformat(value) if value is not None else None
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a date like 2026-11-01") from None


def read_folder(_context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
    """Write folders in the one way in which files in them are known: absolute, without '..'; links stay as they are."""
    if isinstance(value, tuple):
        return tuple(read_folder(_context, _parameter, path) for path in value)
    text = os.path.abspath(value)  # noqa: PTH100 - absolute() leaves '..' in, resolve() follows links
    try:
        text.encode()
    except UnicodeEncodeError:
        raise click.BadParameter("the name of the folder is not text (UTF-8)") from None
    return Path(text)


run_argument = click.argument("name", metavar="RUN")
"""A run, named as `roque.archive.names.find_run` has it."""


def reduction_options(command: _Command) -> _Command:
    """Options that name a reduction of a run; without them the newest finished one is meant."""
    by_id = click.option("--reduction", "reduction_name", metavar="ID", help="This reduction; default: the newest finished.")
    by_recipe = click.option("--recipe", "recipe_name", metavar="NAME", help="The newest finished one with this recipe.")
    return by_id(by_recipe(command))


def say_which(app: App, reduction: Reduction) -> None:
    """Tell which reduction was taken: it is the id that a paper cites."""
    from services.cli.output import moment

    ended = f"done {moment(reduction.finished_at)} UTC" if reduction.finished_at else f"{reduction.state}, not all of the run"
    recipe = reduction.recipe
    app.say(f"reduction {reduction.name} of {reduction.run.path}, recipe {recipe.name} v{recipe.version}, {ended}")


def insist_on_folder(path: Path) -> None:
    """Refuse a file to write whose folder is not there.

    Raises
    ------
    BadInput
        There is no such folder.
    """
    from roque.errors import BadInput

    if not path.parent.is_dir():
        raise BadInput("there is no such folder", file=str(path.parent), remedy="make it, or name another")


@contextmanager
def make_way(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a free path to write a file to, which then takes the place of `path`, whole or not at all.

    Raises
    ------
    Conflict
        A file is there, and must not be replaced.
    BadInput
        There is no such folder.
    """
    from roque.errors import Conflict
    from roque.frames.files import write_whole

    insist_on_folder(path)
    if path.exists() and not overwrite:
        raise Conflict("the file exists already", file=str(path), remedy="name another place, or say --overwrite")
    with write_whole(path, overwrite=overwrite) as part:
        yield part
