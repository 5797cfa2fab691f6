"""`roque run radii`: in which radius the comparison stars scatter least."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from services.cli.app import App, pass_app
from services.cli.options import make_way, reduction_options, run_argument, say_which
from services.cli.output import Column, json_line, json_option, table

if TYPE_CHECKING:
    from roque.lightcurves.radii import Judgement

__all__ = ["radii"]


@click.command()
@run_argument
@click.option(
    "--plot", type=click.Path(path_type=Path), help="PNG file to draw scatter and light against radius to, over what is there."
)
@reduction_options
@json_option
@pass_app
def radii(
    app: App, name: str, plot: Path | None, reduction_name: str | None, recipe_name: str | None, *, as_json: bool
) -> None:
    """Tell which radius of the target apertures is best: where comparison stars scatter least against each other.

    The reduction must have measured several: its recipe names their factors of the mean FWHM. Beside the scatter from point to
    point stand that of the target over the comparison stars, and the light within the radius over that within the largest.
    '--radius' of 'roque hlog export' and 'roque lightcurve' takes the best radius, or one that you name.

    \b
    Examples:
      roque recipe set radii --camera hipercam 'extraction.*.radii=[1, 1.4, 2]'
      roque job submit run0012 --recipe radii
      roque run radii run0012 --plot radii.png
      roque lightcurve export run0012 --radius best
    """
    from roque.archive.exports import load_export
    from roque.archive.names import find_reduction, find_run
    from roque.archive.radii import judge_radii

    with app.record.reading() as session:
        reduction = find_reduction(session, find_run(session, name), reduction_name, recipe_name)
        say_which(app, reduction)
        loaded = load_export(session, reduction, app.cameras)
        found = judge_radii(session, loaded.reduction_id, loaded.apertures, loaded.target, loaded.run)
        state = reduction.state
    if plot is not None:
        from roque.lightcurves.radii_plot import plot_radii

        with make_way(plot, overwrite=True) as free:
            plot_radii(free, found, title=f"{loaded.run}, reduction {loaded.reduction}", bands=loaded.filters)
    for judgement in found if as_json else ():
        about = {"name": loaded.run, "state": state, "reduction": loaded.reduction, **_plain(judgement)}
        json_line(about | ({"file": str(plot)} if plot is not None else {}))
    if as_json:
        return
    table(
        [Column("CCD"), Column("RADIUS/FWHM", number=True), Column("SCATTER %", number=True), Column("TARGET %", number=True),
         Column("LIGHT", number=True), Column("")],
        [row for judgement in found for row in _rows(judgement)],
    )  # fmt: skip
    for judgement in found:
        app.say(f"CCD {judgement.ccd}: {judgement.basis}")
    if plot is not None:
        click.echo(str(plot))


def _rows(judgement: Judgement) -> list[list[str]]:
    columns = (judgement.factors, judgement.scatter, judgement.target_scatter, judgement.share)
    return [
        [
            judgement.ccd,
            f"{factor:g}",
            _percent(scatter),
            _percent(target),
            f"{share:.4f}" if share == share else "-",  # noqa: PLR0124 - NaN
            "best" if factor == judgement.best else "",
        ]
        for factor, scatter, target, share in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _percent(value: float) -> str:
    return f"{100.0 * value:.3f}" if value == value else "-"  # noqa: PLR0124 - NaN


def _plain(judgement: Judgement) -> dict[str, object]:
    names = ("factor", "scatter", "target_scatter", "share", "share_error")
    columns = (judgement.factors, judgement.scatter, judgement.target_scatter, judgement.share, judgement.share_error)
    return {
        "ccd": judgement.ccd,
        "best": judgement.best,
        "basis": judgement.basis,
        "radii": [dict(zip(names, values, strict=True)) for values in zip(*(c.tolist() for c in columns), strict=True)],
    }
