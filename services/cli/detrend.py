"""`roque lightcurve detrend`: trends of light curves fitted and divided out, as a product of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from services.cli.app import App, pass_app
from services.cli.options import make_way, reduction_options, run_argument, say_which, scintillation_option
from services.cli.output import Column, json_line, json_option, table

if TYPE_CHECKING:
    from roque.archive.exports import Export
    from roque.archive.models import Product, Reduction
    from roque.lightcurves.detrend_files import DetrendedCurve

__all__ = ["detrend"]

Intervals = tuple[tuple[float, float], ...]


def _terms(_context: click.Context, _parameter: click.Parameter, value: str | None) -> list[str] | None:
    return None if value is None else [word.strip() for word in value.split(",") if word.strip()]


def _intervals(_context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> Intervals:
    return tuple(_two(value, "..", parameter) for value in values)


def _ephemeris(_context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[float, float] | None:
    return None if value is None else _two(value, ",", parameter)


def _two(text: str, between: str, parameter: click.Parameter) -> tuple[float, float]:
    try:
        first, second = (float(word) for word in text.split(between))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not of the form {parameter.make_metavar(click.Context(detrend))}") from None
    return first, second


@click.command()
@run_argument
@click.option(
    "--against", "terms", metavar="TERMS", callback=_terms,
    help="What trends may follow: airmass,x,y,sky,fwhm (these are the default), time; x^2 is a power. The first have the say.",
)  # fmt: skip
@click.option("--exclude", metavar="T0..T1", multiple=True, callback=_intervals, help="Fit nothing between these MJD(UTC).")
@click.option("--mask-phase", "phases", metavar="A..B", multiple=True, callback=_intervals, help="Nor between these phases.")
@click.option("--ephemeris", metavar="T0,PERIOD", callback=_ephemeris, help="For them: BJD(TDB) of phase 0 and days.")
@click.option("--clip", type=click.FloatRange(1.0, min_open=True), default=5.0, show_default=True, help="Clip outliers, sigma.")
@click.option("--prune", is_flag=True, help="Leave out terms that are not worth their place, by BIC.")
@click.option("--star", default="target", show_default=True, metavar="LABEL", help="The star, or 'target'.")
@click.option("--comparison", metavar="LABEL", help="The star to divide by; default: the ensemble of the other good ones.")
@click.option("--ccd", metavar="LABEL", help="This CCD alone.")
@click.option("--position", metavar="RA,DEC", help="Where the star is; default: as 'roque target' has it, or the header.")
@click.option("--bjd", is_flag=True, help="Add the columns BJD(TDB) and HJD(UTC).")
@click.option("--format", "form", type=click.Choice(["csv", "ecsv", "fits"]), default="csv", show_default=True,
              help="Form of the table; ecsv and fits carry the model.")  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="File to write, over what is there; default: RUN_detrended.csv."
)
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="Draw it too, before and after, as PNG.")
@scintillation_option
@reduction_options
@json_option
@pass_app
def detrend(
    app: App,
    name: str,
    terms: list[str] | None,
    exclude: Intervals,
    phases: Intervals,
    ephemeris: tuple[float, float] | None,
    clip: float,
    star: str,
    comparison: str | None,
    ccd: str | None,
    position: str | None,
    form: str,
    output: Path | None,
    picture: Path | None,
    reduction_name: str | None,
    recipe_name: str | None,
    *,
    prune: bool,
    scintillation: bool,
    bjd: bool,
    as_json: bool,
) -> None:
    """Fit trends of a light curve and divide them out.

    The light curve stays as it is: the table has it, the trend, and the one without it; ratio = detrended*trend. Table, model
    and picture are kept as products too ('roque product list --run RUN'). Leave eclipses out of the fit, or trends take part
    of them away.

    \b
    Examples:
      roque lightcurve detrend run0012 --exclude 61113.02..61113.06
      roque lightcurve detrend run0012 --against airmass,x,y --prune --plot r.png
      roque lightcurve detrend run0012 --ephemeris 2454420.447,2.15 \\
          --mask-phase=-0.04..0.04
    """
    from roque.archive.export_files import curves_of, detrended_curves, write_detrended, write_detrended_plot
    from roque.archive.exports import load_export
    from roque.archive.names import find_reduction, find_run
    from roque.lightcurves.barycentre import read_position

    with app.record.reading() as session:
        reduction = find_reduction(session, find_run(session, name), reduction_name, recipe_name)
        say_which(app, reduction)
        loaded = load_export(session, reduction, app.cameras)
        loaded = loaded if position is None else loaded.at(read_position(position))
        loaded = loaded.at_barycentre() if bjd else loaded
        curves = curves_of(loaded, star, comparison, ccd, scintillating=scintillation)
        found = detrended_curves(
            loaded, curves, terms, exclude=exclude, phases=phases, ephemeris=ephemeris, clip=clip, prune=prune
        )
        said = {
            "exclude": exclude,
            "mask_phase": phases,
            "ephemeris": ephemeris,
            "clip": clip,
            "prune": prune,
            "scintillation": scintillation,
        }
        said = {"asked": said | {"position": [*(loaded.position or ()), loaded.position_from] if loaded.position else None}}
        path = output or Path(f"{loaded.run_name}_detrended.{form}")
        with make_way(path, overwrite=True) as free:
            write_detrended(loaded, found, free, form, **said)
        if picture is not None:
            with make_way(picture, overwrite=True) as free:
                write_detrended_plot(loaded, found, free)
        products = _keep(app, loaded, reduction, found, said)
    files = [str(file) for file in (path, picture) if file is not None]
    if as_json:
        trends = {key: _plain(curve) for key, curve in found.items()}
        about = {"name": loaded.run, "state": reduction.state, "reduction": loaded.reduction}
        json_line({**about, "files": files, "products": [row.uri for row in products], "trends": trends})
        return
    _print(app, found)
    if not exclude and not phases:
        app.say("nothing was left out of the fit: of an eclipse or transit it may have taken a third away; see --exclude")
    app.say(f"kept as {', '.join(f'product {row.id}' for row in products)}")
    for file in files:
        click.echo(file)


def _keep(
    app: App, loaded: Export, reduction: Reduction, found: dict[str, DetrendedCurve], said: dict[str, Any]
) -> list[Product]:
    """Keep table and picture as products."""
    from roque.archive.export_files import write_detrended, write_detrended_plot
    from roque.archive.products import record_product
    from roque.archive.provenance import raw_inputs, reduction_input

    stem = f"{loaded.run_name[:40]}_{loaded.reduction}"
    with app.products.new("detrended", f"{stem}.ecsv") as kept:
        write_detrended(loaded, found, kept.path, "ecsv", **said)
    with app.products.new("detrended_plot", f"{stem}.png") as drawn:
        write_detrended_plot(loaded, found, drawn.path)
    inputs = [reduction_input(reduction), *raw_inputs(reduction.run.files)]
    made = {"detrended": kept.stored, "detrended_plot": drawn.stored}
    with app.record.writing() as session:
        rows = [
            record_product(session, stored, kind=kind, run_id=reduction.run_id, reduction_id=reduction.id, inputs=inputs)
            for kind, stored in made.items()
        ]
        for row in rows:
            session.refresh(row)
            session.expunge(row)
    return rows


def _plain(found: DetrendedCurve) -> dict[str, Any]:
    before, after = found.detrended.scatter
    used = ", ".join(c.label for c in found.curve.comparisons if c.weight > 0)
    about = {"star": found.curve.star, "over": used, "scatter_raw": before, "scatter_detrended": after}
    return about | found.detrended.trend.to_dict()


def _print(app: App, found: dict[str, DetrendedCurve]) -> None:
    rows = []
    for ccd, curve in found.items():
        trend = curve.detrended.trend
        for term in trend.terms:
            size = f"{100 * term.coefficient:+.4f}", f"{100 * term.error:.4f}"
            rows.append((ccd, term.name, *size, f"{term.bic:+.1f}", "fitted"))
        rows += [(ccd, name, "", "", "", why) for name, why in trend.left_out]
    table(
        [Column("CCD"), Column("TERM"), Column("% PER SIGMA", number=True), Column("ERROR", number=True),
         Column("BIC WITHOUT", number=True), Column("STATE", shrinks=True)],
        rows,
    )  # fmt: skip
    for ccd, curve in found.items():
        trend, (before, after) = curve.detrended.trend, curve.detrended.scatter
        app.say(
            f"CCD {ccd}: scatter {100 * before:.3g} % -> {100 * after:.3g} %, {trend.points} points fitted, {trend.clipped}"
            f" clipped, reduced chi-square {trend.chi_square:.2f}"
        )
        for note in trend.notes:
            app.say(f"CCD {ccd}: {note}")
