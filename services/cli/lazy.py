"""The group of commands that imports a command when it is called, and ends every error as one line and an exit status."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import click

from services.cli.app import App
from services.cli.errors import report

__all__ = ["Lazily", "LazyGroup"]


class Lazily(NamedTuple):
    """Where a command is, and its line in the help of the group."""

    at: str  # module:attribute
    summary: str


class LazyGroup(click.Group):
    """A group whose commands are named beforehand and imported when called.

    Parameters
    ----------
    commands_at : mapping of str to Lazily
        Command to where it is, in the order of the help.
    """

    def __init__(self, *args: Any, commands_at: Mapping[str, Lazily], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._at = dict(commands_at)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands, in the order of the help."""
        return list(self._at)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self._at:
            return None
        module, _, attribute = self._at[cmd_name].at.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self._at.items()])

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> Any:  # type: ignore[override]
        """Run a command line and exit: whatever happens ends as one readable line and an exit status."""
        app = App()
        extra |= {"obj": app, "standalone_mode": False}  # errors come here
        try:
            status = super().main(args, prog_name, **extra)
            sys.stdout.flush()  # a reader that has gone is noticed here, not when the interpreter ends
        except Exception as error:  # noqa: BLE001 - the boundary of the process: whatever it is, a person reads it
            status = report(error, app)
        finally:
            app.close()
        sys.exit(status if isinstance(status, int) else 0)
