"""A HiPERCAM command as one of roque's: words in, lines or JSON out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from services.cli.app import App
from services.cli.hcam.parameters import Parameter, Values, resolve
from services.cli.output import clean, json_line, json_option

__all__ = ["HcamCommand", "Tell", "hcam_command"]


class Tell:
    """Where a command says what it found.

    Parameters
    ----------
    app : App
        The global options.
    as_json : bool
        Whether data are printed as JSON, an object a line.
    """

    def __init__(self, app: App, *, as_json: bool) -> None:
        self.as_json = as_json
        self.say = app.say

    def line(self, text: str, **data: Any) -> None:
        """Print a line of data: `text` for people and scripts that know the HiPERCAM pipeline, `data` as JSON."""
        if self.as_json:
            json_line(data)
        else:
            click.echo(text)

    def block(self, text: str) -> None:
        """Print many lines at once, and at once."""
        sys.stdout.write(text)
        sys.stdout.flush()

    def made(self, path: Path) -> None:
        """Name a file that was written."""
        self.line(clean(str(path)), file=str(path))


class HcamCommand(click.Command):
    """A command whose arguments are ``name=value`` words."""

    def __init__(self, parameters: tuple[Parameter, ...], run: Callable[[Values, Tell], None]) -> None:
        self.parameters = parameters

        @click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[NAME=VALUE]...")
        @json_option
        @click.pass_obj
        def callback(app: App, words: tuple[str, ...], *, as_json: bool) -> None:
            values, told = resolve(parameters, words)
            if told:
                for name, value in values.items():
                    app.say(f"{name} = {value}")
            run(values, Tell(app, as_json=as_json))

        super().__init__(
            name=run.__name__.rstrip("_"),
            callback=callback,
            params=list(reversed(callback.__click_params__)),
            help=run.__doc__,
            # a bare value may be a negative number
            context_settings={"ignore_unknown_options": True},
        )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the parameters with defaults and meanings, then the options."""
        if self.parameters:
            with formatter.section("Parameters"):
                formatter.write_dl([(_with_default(p), _meaning(p)) for p in self.parameters], col_max=26)
        super().format_options(ctx, formatter)


def hcam_command(*parameters: Parameter) -> Callable[[Callable[[Values, Tell], None]], HcamCommand]:
    """Make a command of a function that takes the values of its parameters."""
    return lambda run: HcamCommand(parameters, run)


def _with_default(parameter: Parameter) -> str:
    default = parameter.default
    if callable(default) or default is None:
        return f"{parameter.name}="
    if isinstance(default, bool):
        default = "yes" if default else "no"
    return f"{parameter.name}={default}"


def _meaning(parameter: Parameter) -> str:
    choices = f" ({', '.join(parameter.choices)})" if parameter.choices else ""
    return f"{parameter.meaning}{choices}{' [by name alone]' if parameter.hidden else ''}"
