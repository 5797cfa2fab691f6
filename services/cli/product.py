"""`roque product`: list and fetch products."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from services.cli.app import App, pass_app
from services.cli.options import make_way
from services.cli.output import Column, json_line, json_option, moment, size, table

__all__ = ["product"]


@click.group()
def product() -> None:
    """List and fetch products."""


@product.command(name="list")
@click.option("--run", "run_name", metavar="RUN", help="Only products of this run.")
@click.option("--kind", metavar="KIND", help="Only products of this kind: master, log, fits_log ...")
@click.option("--all", "superseded", is_flag=True, help="Also those that newer ones have superseded.")
@json_option
@pass_app
def list_(app: App, run_name: str | None, kind: str | None, *, superseded: bool, as_json: bool) -> None:
    """List what was made: masters, logs, tables, plots.

    \b
    Examples:
      roque product list --run run0012
      roque product list --kind master --json
    """
    from sqlalchemy import select

    from roque.archive.models import Product
    from roque.archive.names import find_run
    from roque.archive.summaries import run_names

    wanted = select(Product).order_by(Product.id)
    if kind is not None:
        wanted = wanted.where(Product.kind == kind)
    if not superseded:
        wanted = wanted.where(Product.state == "current")
    with app.record.reading() as session:
        if run_name is not None:
            wanted = wanted.where(Product.run_id == find_run(session, run_name).id)
        products = list(session.scalars(wanted))
        runs = run_names(session, {row.run_id for row in products if row.run_id is not None})
    if as_json:
        for row in products:
            json_line(
                {"name": row.uri, "state": row.state, "id": row.id, "kind": row.kind, "run": runs.get(row.run_id or 0),
                 "size": row.size, "sha256": row.sha256, "made_at": row.made_at, "code_version": row.code_version}
            )  # fmt: skip
        return
    table(
        [Column("ID", number=True), Column("KIND"), Column("RUN"), Column("SIZE", number=True), Column("MADE (UTC)"),
         Column("NAME", shrinks=True)],
        [
            (str(row.id), row.kind, runs.get(row.run_id or 0, ""), size(row.size), moment(row.made_at), row.uri)
            for row in products
        ],
    )  # fmt: skip


@product.command()
@click.argument("product_id", metavar="ID")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, allow_dash=True), default=".", show_default="here, under its own name",
    help="File or folder to write to; - for stdout.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@json_option
@pass_app
def get(app: App, product_id: str, output: Path, *, overwrite: bool, as_json: bool) -> None:
    """Fetch a product, its bytes checked against the record.

    ID is the number or the name that `roque product list` gives.

    \b
    Examples:
      roque product get 12
      roque product get 12 --output - | less
    """
    from roque.archive.names import find_product

    with app.record.reading() as session:
        row = find_product(session, product_id)
    app.products.verify(row)
    with app.products.open(row) as source:
        if str(output) == "-":
            shutil.copyfileobj(source, sys.stdout.buffer)
            return
        target = output / Path(row.uri).name if output.is_dir() else output
        with make_way(target, overwrite=overwrite) as part, part.open("wb") as copy:
            shutil.copyfileobj(source, copy)
    if as_json:
        json_line({"name": row.uri, "state": row.state, "id": row.id, "file": str(target), "sha256": row.sha256})
    else:
        click.echo(str(target))
