"""`roque init`: a settings file that explains itself, for either size."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from services.cli.app import App, pass_app
from services.cli.options import read_folder
from services.cli.output import clean, json_line, json_option

__all__ = ["init"]

ADDRESSES = {
    "database_url": "postgresql://roque:PASSWORD@localhost:5432/roque",
    "broker_url": "amqp://roque:PASSWORD@localhost:5672/roque",
}
"""Addresses with passwords, each kept in a file of its own: what is written where none is given."""

EXAMPLES: dict[str, Any] = {
    **ADDRESSES,
    "database_url_file": "/run/secrets/database_url",
    "broker_url_file": "/run/secrets/broker_url",
    "products_url": "/data/products",
    "incoming": ["/data/incoming"],
    "servers": ["hipercam://localhost:8007/", "ultracam://localhost:8007/"],
    "cameras": "/data/cameras",
    "health_port": 9180,
}
"""What a setting without a default may look like."""

HEAD = """\
# Settings of roque, {size} size. A line with a '#' shows the default, or an example: take the '#' away to set it.
# The environment goes before this file: ROQUE_WORKERS=4 is workers = 4. 'roque doctor' says whether all is in order.
"""


@click.command(name="init")
@click.option(
    "--size", type=click.Choice(["laptop", "observatory"]), default="laptop", show_default=True, help="For which size."
)
@click.option(
    "--incoming",
    multiple=True,
    metavar="FOLDER",
    callback=read_folder,
    help="Folder to watch for raw files; may be said again.",
)
@json_option
@pass_app
def init(app: App, size: str, incoming: tuple[Path, ...], *, as_json: bool) -> None:
    """Write settings.toml into the home folder, every setting explained; a file that is there is never changed.

    A laptop needs no more. For an observatory, the addresses of PostgreSQL and RabbitMQ, with their passwords, go into files
    that only you can read: taken from ROQUE_DATABASE_URL and ROQUE_BROKER_URL if these are set, asked for on a terminal, else
    to be filled in.

    \b
    Examples:
      roque init --incoming /data/incoming
      roque --home /var/lib/roque init --size observatory
    """
    from roque.errors import Conflict

    home = Path(app.home or os.environ.get("ROQUE_HOME") or "roque-data").expanduser().absolute()
    file = home / "settings.toml"
    if file.exists():
        raise Conflict("there are settings already", file=str(file), remedy="change that file, or name another --home")
    home.mkdir(parents=True, exist_ok=True)
    given: dict[str, Any] = {"incoming": [str(path) for path in incoming]} if incoming else {}
    written, open_ = [], []
    if size == "observatory":
        given |= {"log_format": "json", "health_port": EXAMPLES["health_port"]}
        for name, example in ADDRESSES.items():
            secret = home / "secrets" / name
            given[f"{name}_file"] = str(secret)
            if secret.exists():
                app.say(f"{secret} is there already, and is kept")
                continue
            address = _address(name)
            _write_new(secret, f"{address or example}\n")
            written.append(secret)
            if address is None:
                open_.append(secret)
    _write_new(file, "\n".join([HEAD.format(size=size), *_lines(given)]))
    for path in [*written, file]:
        json_line({"name": str(path), "state": "written"}) if as_json else click.echo(clean(str(path)))
    for path in open_:
        app.say(f"put the address into {path}")
    app.say("then 'roque doctor' says whether all is in order")


def _lines(given: dict[str, Any]) -> Iterator[str]:
    """Every setting with what it is for; those that are not given as comments."""
    from roque.settings import Settings

    for name, field in Settings.model_fields.items():
        if name == "home":  # this file lies in it
            continue
        yield f"# {field.description}"
        default = field.get_default(call_default_factory=True)
        shown = given.get(name, EXAMPLES.get(name) if default in (None, []) else default)
        yield f"{'' if name in given else '# '}{name} = {_toml(shown)}\n"


def _toml(value: Any) -> str:
    """Write a value as TOML; strings, numbers, lists and empty tables look as in JSON."""
    return json.dumps(value)


def _address(name: str) -> str | None:
    variable = f"ROQUE_{name.upper()}"
    if os.environ.get(variable):
        return os.environ[variable]
    if not sys.stdin.isatty():
        return None
    said: str = click.prompt(f"{name} (not shown; empty: later)", default="", hide_input=True, show_default=False, err=True)
    return said.strip() or None


def _write_new(path: Path, text: str) -> None:
    """Write a file that only its owner can read; one that has come meanwhile is left alone."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
