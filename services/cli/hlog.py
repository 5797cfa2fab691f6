"""`roque hlog`: logs of measurements as files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from services.cli.app import App, pass_app
from services.cli.options import (
    at_barycentre,
    at_radius,
    barycentric_options,
    radius_option,
    reduction_options,
    run_argument,
    say_which,
)
from services.cli.output import json_line, json_option

if TYPE_CHECKING:
    from roque.archive.exports import Export

__all__ = ["hlog"]


@click.group()
def hlog() -> None:
    """Export logs of measurements."""


@hlog.command()
@run_argument
@click.option(
    "--format", "form", type=click.Choice(["ascii", "fits", "columns", "parquet", "ecsv"]), required=True,
    help="ascii: the reduce log; fits: the same as tables; columns: ratios of two stars as text; parquet, ecsv: a row for"
         " each star, frame and CCD.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), default=".", show_default="here",
    help="Folder to write to; made if it is not there.",
)  # fmt: skip
@click.option("--star", default="target", show_default=True, metavar="LABEL", help="For columns: the star.")
@click.option("--against", metavar="LABEL", help="For columns: the star to divide by; default: the first other one.")
@radius_option
@click.option(
    "--total", is_flag=True,
    help="With --radius: bring counts to those of the largest radius, by the light of the other stars in both.",
)  # fmt: skip
@barycentric_options
@reduction_options
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
@json_option
@pass_app
def export(
    app: App,
    name: str,
    form: str,
    output: Path,
    star: str,
    against: str | None,
    radius: str | float | None,
    position: str | None,
    reduction_name: str | None,
    recipe_name: str | None,
    *,
    total: bool,
    bjd: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write the log of a run: RUN.log, RUN.fits, RUN.parquet, RUN.ecsv, or a .asc file for each CCD.

    The newest finished reduction is taken unless --reduction or --recipe says otherwise; which one is told on stderr. With
    '--radius all' parquet and ecsv have a row for each radius that was measured.

    \b
    Examples:
      roque hlog export run0012 --format fits --output papers/
      roque hlog export run0012 --format ascii --reduction a1b2c3d4
      roque hlog export run0012 --format columns --star 1 --against 2
      roque hlog export run0012 --format fits --position 16:48:26.2,-03:24:00
      roque hlog export run0012 --format fits --radius best --total
    """
    from roque.archive.exports import load_export
    from roque.archive.names import find_reduction, find_run

    with app.record.reading() as session:
        reduction = find_reduction(session, find_run(session, name), reduction_name, recipe_name)
        say_which(app, reduction)
        loaded = at_barycentre(app, load_export(session, reduction, app.cameras), position, bjd=bjd)
        every = radius == "all" and form in ("parquet", "ecsv")
        if not every:
            loaded = at_radius(app, loaded, radius, total=total)
        files = _write(loaded, form, output, star, against, every=every, overwrite=overwrite)
        about = {"name": loaded.run, "state": reduction.state, "reduction": loaded.reduction}
        about |= {key: told for key, told in loaded.provenance.items() if key in ("barycentre", "radius")}
    if as_json:
        json_line({**about, "files": [str(file) for file in files]})
        return
    for file in files:
        click.echo(str(file))


def _write(
    loaded: Export, form: str, output: Path, star: str, against: str | None, *, every: bool, overwrite: bool
) -> list[Path]:
    from roque.archive import export_files
    from services.cli.options import make_way

    output.mkdir(parents=True, exist_ok=True)
    if form == "columns":
        label = loaded.target if star == "target" else star
        return export_files.write_columns(loaded, output, label, against, overwrite=overwrite)
    write, ending = {
        "ascii": (export_files.write_ascii_log, "log"),
        "fits": (export_files.write_fits_log, "fits"),
        "parquet": (partial(export_files.write_parquet, every_radius=every), "parquet"),
        "ecsv": (partial(export_files.write_ecsv, every_radius=every), "ecsv"),
    }[form]
    path = output / f"{loaded.run_name}.{ending}"
    with make_way(path, overwrite=overwrite) as free:
        write(loaded, free)
    return [path]
