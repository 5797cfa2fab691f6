"""`roque backup` and `roque restore`: record and products into a folder, and back."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from services.cli.app import App, pass_app
from services.cli.output import json_line, json_option, size

__all__ = ["backup", "restore"]

DAMAGED = "these products were damaged or missing when it was made, and are not in it; 'roque archive verify' tells of each:"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
@pass_app
def backup(app: App, folder: Path, *, as_json: bool) -> None:
    """Copy the record and every product into a new FOLDER, as they are at this moment.

    Everything may run meanwhile. The folder appears when it is whole, every file with its SHA-256; if a product is
    damaged, the rest is written and the exit status is 1. Raw files and settings are not in it.

    \b
    Example:
      roque backup /backups/roque-2026-11-01
    """
    from roque.archive.backup import back_up

    done = back_up(app.record, app.products, folder)
    if as_json:
        state = "damaged" if done.damaged else "good"
        json_line(
            {"name": str(done.folder), "state": state, "products": done.products, "size": done.size, "damaged": done.damaged}
        )
    else:
        click.echo(f"{done.folder}: the record and {done.products} products, {size(done.size)}")
        _tell(app, done.damaged)
    sys.exit(1 if done.damaged else 0)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
@pass_app
def restore(app: App, folder: Path, *, as_json: bool) -> None:
    """Bring the backup in FOLDER back: into a home folder without a record, or into an empty database.

    The backup is checked first, as a whole. If this is interrupted, it can be done again. A backup of an older version is
    brought up to this one.

    \b
    Example:
      roque restore /backups/roque-2026-11-01
    """
    from roque.archive import Record
    from roque.archive.restore import restore as bring_back
    from services.cli.system import only_one

    with only_one(app.settings):
        record = Record(app.settings.database)
        try:
            done = bring_back(folder, record, app.products)
            name = record.name
        finally:
            record.close()
    if as_json:
        told = {"made_at": done.made_at, "products": done.products, "damaged": done.damaged}
        json_line({"name": name, "state": "damaged" if done.damaged else "good", **told})
    else:
        click.echo(f"{name}: the record of {done.made_at[:19].replace('T', ' ')} UTC and {done.products} products are back")
        _tell(app, done.damaged)
    sys.exit(1 if done.damaged else 0)


def _tell(app: App, damaged: list[str]) -> None:
    if damaged:
        app.say(DAMAGED)
        for uri in damaged:
            app.say(f"  {uri}")
