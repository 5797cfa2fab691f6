"""`roque archive`: the record against the disk."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from services.cli.app import App, pass_app
from services.cli.output import Column, json_line, json_option, size, table

if TYPE_CHECKING:
    from roque.archive.verify import Progress

__all__ = ["archive"]

TELL_SECONDS = 2.0
"""Time between two words on how far it is."""


@click.group()
def archive() -> None:
    """Compare the record with the disk."""


@archive.command()
@click.option("--raw", is_flag=True, help="Raw files too.")
@json_option
@pass_app
def verify(app: App, *, raw: bool, as_json: bool) -> None:
    """Read every product, and compare it with its record.

    A file that is missing, or has other bytes than were recorded, is damage: the exit status is then 1. A file of the
    product folder that nobody has recorded is listed too; the planner removes it. Everything may run meanwhile.

    \b
    Examples:
      roque archive verify
      roque archive verify --raw --json
    """
    from roque.archive.verify import verify_products, verify_raw_files

    counts = {"product": 0, "raw": 0}
    found = list(verify_products(app.record, app.products, _progress(app, "products", counts, "product")))
    if raw:
        found += verify_raw_files(app.record, _progress(app, "raw files", counts, "raw"))
    damaged = sum(one.damage for one in found)
    if as_json:
        for one in found:
            json_line({"name": one.name, "state": one.state, "kind": one.kind, "detail": one.detail, "remedy": one.remedy})
        state = "damaged" if damaged else "good"
        whole = {"products": counts["product"], "raw_files": counts["raw"] if raw else None, "damaged": damaged}
        json_line({"name": "archive", "state": state, **whole})
    else:
        if found:
            table(
                [Column("KIND"), Column("STATE"), Column("FILE", shrinks=True), Column("WHAT AND WHAT TO DO", shrinks=True)],
                [(one.kind, one.state, one.name, f"{one.detail}; {one.remedy}") for one in found],
            )
        files = f"{counts['product']} products" + (f" and {counts['raw']} raw files" if raw else "")
        click.echo(f"{files} read: {f'{damaged} of them are damaged' if damaged else 'all as they were recorded'}")
    sys.exit(1 if damaged else 0)


def _progress(app: App, what: str, counts: dict[str, int], kind: str) -> Progress:
    told = time.monotonic()

    def tell(done: int, whole: int, read: int) -> None:
        nonlocal told
        counts[kind] = done
        if time.monotonic() - told > TELL_SECONDS:
            told = time.monotonic()
            app.say(f"{done} of {whole} {what}, {size(read)}")

    return tell
