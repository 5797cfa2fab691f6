"""`roque doctor`: is everything in order, and what is to be done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from services.cli.app import App, pass_app
from services.cli.output import field, json_line, json_option

if TYPE_CHECKING:
    from services.cli.findings import Finding

__all__ = ["doctor"]

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@json_option
@pass_app
def doctor(app: App, *, as_json: bool) -> int:
    """Check settings, packages, folders, disk, clock, database, broker and the work; say what to do.

    Each line is ok, warn or fail. Exit status 1 if one is fail.

    \b
    Examples:
      roque doctor
      roque doctor --json
    """
    worst = 0
    for finding in _findings(app):
        worst = max(worst, ("ok", "warn", "fail").index(finding.state))
        if as_json:
            json_line(finding._asdict())
            continue
        click.secho(f"{finding.state:<5}", fg=_COLOURS[finding.state], nl=False)
        field(finding.name, finding.detail, indent=0, hang=14)
        if finding.do:
            field("", finding.do, indent=5, hang=14)
    return int(worst == 2)


def _findings(app: App) -> Iterator[Finding]:
    from roque.errors import RoqueError
    from services.cli import doctor_machine, doctor_servers
    from services.cli.findings import fail, ok

    yield from doctor_machine.packages()
    try:
        settings = app.settings
    except RoqueError as error:
        where = ", ".join(part for part in (error.file, error.place) if part)
        yield fail("settings", f"{where}: {error.message}" if where else error.message, error.remedy or "")
        return
    yield ok("settings", f"home folder {settings.folder}")
    yield from doctor_machine.machine(settings)
    yield from doctor_servers.servers(settings)
