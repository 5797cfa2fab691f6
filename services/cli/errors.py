"""How a command ends that went wrong: one line on stderr, and an exit status."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import click

from roque.errors import NotFound, RoqueError, Unreachable
from services.cli.output import clean

if TYPE_CHECKING:
    from services.cli.app import App

__all__ = ["FAILED", "NOT_FOUND", "STOPPED", "UNREACHABLE", "USAGE", "report"]

FAILED, USAGE, UNREACHABLE, NOT_FOUND, STOPPED = 1, 2, 3, 4, 130
"""Exit statuses; 130 is what shells give to a command that Ctrl-C has ended."""


def report(error: Exception, app: App) -> int:
    """Say on stderr what went wrong and what to do; returns the exit status.

    Errors that were not foreseen go with their traceback to ``errors.log`` in the home folder.
    """
    match error:
        case BrokenPipeError():
            # what is still buffered has no reader: let the interpreter write it to nowhere when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FAILED
        case click.Abort():
            _say("stopped")
            return STOPPED
        case click.exceptions.NoArgsIsHelpError():
            error.show()
            return USAGE
        case click.UsageError():
            name = error.ctx.command_path if error.ctx else "roque"
            where = name.removeprefix("roque").strip()
            _say(f"{where + ': ' if where else ''}{_lower(error.format_message())}; '{name} --help' says how it is used")
            return USAGE
        case click.ClickException():
            _say(_lower(error.format_message()))
            return FAILED
        case RoqueError():
            _say(str(error))
            return NOT_FOUND if isinstance(error, NotFound) else UNREACHABLE if isinstance(error, Unreachable) else FAILED
        case OSError(filename=str(), strerror=str(reason)):
            _say(f"{error.filename}: {_lower(reason)}; check the path, its permissions and the room on the disk")
            return FAILED
        case _:
            _say(f"unexpected {type(error).__name__}: {error}; please report it with the traceback in {_keep(error, app)}")
            return FAILED


def _say(text: str) -> None:
    click.echo(f"roque: {clean(text)}", err=True)


def _lower(message: str) -> str:
    """Begin a message of click's as ours begin, and end it without its full stop."""
    return (message[:1].lower() + message[1:]).rstrip().removesuffix(".")


def _keep(error: Exception, app: App) -> Path:
    """Append the traceback to the log of errors; if that cannot be written, to a new temporary file."""
    import datetime as dt

    from roque import __version__

    heading = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M:%S} UTC, roque {__version__}: {' '.join(sys.argv)}"
    text = f"{heading}\n{''.join(traceback.format_exception(error))}\n"
    try:
        app.error_log.parent.mkdir(parents=True, exist_ok=True)
        with app.error_log.open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(text)
    except OSError:
        handle, name = tempfile.mkstemp(prefix="roque-", suffix=".log")
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as log:
            log.write(text)
        return Path(name)
    return app.error_log
