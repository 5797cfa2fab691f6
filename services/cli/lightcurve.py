"""`roque lightcurve`: light curves as pictures and tables."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import click

from services.cli.app import App, pass_app
from services.cli.detrend import detrend
from services.cli.options import (
    at_barycentre,
    at_radius,
    barycentric_options,
    make_way,
    radius_option,
    reduction_options,
    run_argument,
    say_which,
    scintillation_option,
)
from services.cli.output import json_line, json_option

__all__ = ["lightcurve"]

star_option = click.option("--star", default="target", show_default=True, metavar="LABEL", help="The star, or 'target'.")
against_option = click.option(
    "--against", default="ensemble", show_default=True, metavar="LABEL",
    help="What to divide by: a star, or the ensemble of the other good ones.",
)  # fmt: skip
ccd_option = click.option("--ccd", metavar="LABEL", help="This CCD alone.")


@click.group()
def lightcurve() -> None:
    """Plot, export and detrend light curves."""


@lightcurve.command()
@run_argument
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="PNG file to write, over what is there; default: RUN.png."
)
@star_option
@against_option
@ccd_option
@radius_option
@scintillation_option
@reduction_options
@json_option
@pass_app
def plot(
    app: App,
    name: str,
    output: Path | None,
    star: str,
    against: str,
    ccd: str | None,
    radius: str | float | None,
    reduction_name: str | None,
    recipe_name: str | None,
    *,
    scintillation: bool,
    as_json: bool,
) -> None:
    """Draw the light curve of a run, a panel for each CCD.

    \b
    Examples:
      roque lightcurve plot run0012
      roque lightcurve plot run0012 --star 3 --ccd 2 --output star3.png
    """
    chosen = _Reduction(name, reduction_name, recipe_name)
    _export(app, chosen, output, ".png", star, against, ccd, radius, scintillating=scintillation, as_json=as_json)


@lightcurve.command()
@run_argument
@star_option
@click.option("--format", "form", type=click.Choice(["csv"]), default="csv", show_default=True, help="Form of the table.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write, over what is there; default: RUN.csv.")
@against_option
@ccd_option
@radius_option
@scintillation_option
@barycentric_options
@reduction_options
@json_option
@pass_app
def export(
    app: App,
    name: str,
    star: str,
    form: str,
    output: Path | None,
    against: str,
    ccd: str | None,
    radius: str | float | None,
    position: str | None,
    reduction_name: str | None,
    recipe_name: str | None,
    *,
    scintillation: bool,
    bjd: bool,
    as_json: bool,
) -> None:
    """Write the light curve of a star as a table with a row for every frame.

    Columns: mjd_mid_utc, exposure_s, ratio, ratio_error, flags, airmass, with --bjd or --position bjd_tdb and hjd_utc, and ccd
    if there are several. What could not be measured is nan, with a flag.

    \b
    Examples:
      roque lightcurve export run0012 --star target --output run0012.csv
      roque lightcurve export run0012 --star 1 --against 2 --ccd 3
      roque lightcurve export run0012 --bjd
      roque lightcurve export run0012 --radius best
    """
    chosen = _Reduction(name, reduction_name, recipe_name)
    _export(
        app, chosen, output, f".{form}", star, against, ccd, radius, scintillating=scintillation, as_json=as_json, bjd=bjd,
        position=position,
    )  # fmt: skip


lightcurve.add_command(detrend)


class _Reduction(NamedTuple):
    """How a user named a reduction."""

    run: str
    name: str | None
    recipe: str | None


def _export(
    app: App,
    chosen: _Reduction,
    output: Path | None,
    ending: str,
    star: str,
    against: str,
    ccd: str | None,
    radius: str | float | None,
    *,
    scintillating: bool,
    as_json: bool,
    bjd: bool = False,
    position: str | None = None,
) -> None:
    from roque.archive.export_files import curves_of, write_light_curve, write_plot
    from roque.archive.exports import load_export
    from roque.archive.names import find_reduction, find_run

    write = write_plot if ending == ".png" else write_light_curve
    with app.record.reading() as session:
        reduction = find_reduction(session, find_run(session, chosen.run), chosen.name, chosen.recipe)
        say_which(app, reduction)
        loaded = at_barycentre(app, load_export(session, reduction, app.cameras), position, bjd=bjd)
        loaded = at_radius(app, loaded, radius)
        curves = curves_of(loaded, star, None if against == "ensemble" else against, ccd, scintillating=scintillating)
        path = output or Path(f"{loaded.run_name}{ending}")
        with make_way(path, overwrite=True) as free:
            write(loaded, curves, free)
        about = {"name": loaded.run, "state": reduction.state, "reduction": loaded.reduction}
        about |= {key: told for key, told in loaded.provenance.items() if key in ("barycentre", "radius")}
    if as_json:
        stars = {key: [c.label for c in curve.comparisons if c.weight > 0] for key, curve in curves.items()}
        json_line({**about, "file": str(path), "comparisons": stars})
        return
    for key, curve in curves.items():
        used = ", ".join(comparison.label for comparison in curve.comparisons if comparison.weight > 0)
        app.say(f"CCD {key}: star {curve.star} over {used or 'nothing: no other star can be used'}")
    click.echo(str(path))
