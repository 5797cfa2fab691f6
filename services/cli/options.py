"""Arguments and options that several commands take."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from roque.archive.exports import Export
    from roque.archive.models import Reduction
    from services.cli.app import App

__all__ = [
    "at_barycentre",
    "at_radius",
    "barycentric_options",
    "insist_on_folder",
    "make_way",
    "radius_option",
    "read_folder",
    "read_night",
    "reduction_options",
    "run_argument",
    "say_which",
    "scintillation_option",
]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def read_night(_context: click.Context, _parameter: click.Parameter, value: str | None) -> dt.date | None:
    """Read a night, named by the date of its evening."""
    try:
        return dt.date.fromisoformat(value) if value is not None else None
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a date like 2026-11-01") from None


def read_folder(_context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
    """Write folders in the one way in which files in them are known: absolute, without '..'; links stay as they are."""
    if isinstance(value, tuple):
        return tuple(read_folder(_context, _parameter, path) for path in value)
    text = os.path.abspath(value)  # noqa: PTH100 - absolute() leaves '..' in, resolve() follows links
    try:
        text.encode()
    except UnicodeEncodeError:
        raise click.BadParameter("the name of the folder is not text (UTF-8)") from None
    return Path(text)


run_argument = click.argument("name", metavar="RUN")
"""A run, named as `roque.archive.names.find_run` has it."""


def reduction_options(command: _Command) -> _Command:
    """Options that name a reduction of a run; without them the newest finished one is meant."""
    by_id = click.option("--reduction", "reduction_name", metavar="ID", help="This reduction; default: the newest finished.")
    by_recipe = click.option("--recipe", "recipe_name", metavar="NAME", help="The newest finished one with this recipe.")
    return by_id(by_recipe(command))


def barycentric_options(command: _Command) -> _Command:
    """Options that ask for times at the barycentre."""
    wanted = click.option("--bjd", is_flag=True, help="Add the columns BJD(TDB) and HJD(UTC).")
    position = click.option(
        "--position", metavar="RA,DEC",
        help="The star, ICRS, in degrees or as hh:mm:ss,+dd:mm:ss; default: as 'roque target' has it, or where the telescope"
             " pointed.",
    )  # fmt: skip
    return wanted(position(command))


scintillation_option = click.option(
    "--scintillation", is_flag=True, help="Add scintillation to the errors, by Young's approximation for the telescope."
)


def at_barycentre(app: App, export: Export, position: str | None, *, bjd: bool) -> Export:
    """Add times at the barycentre if they are asked for, and tell for which position.

    Raises
    ------
    BadInput
        `position` is none, or nothing says where the telescope stood or pointed.
    """
    if not bjd and position is None:
        return export
    from roque.lightcurves.barycentre import read_position

    made = (export if position is None else export.at(read_position(position))).at_barycentre()
    there = made.barycentre
    if there is not None and position is None:
        told = f"BJD(TDB) for RA {there.ra:.6f}, Dec {there.dec:.6f}, {made.position_from}"
        doubt = "; for a star 1' from there it is up to 0.15 s wrong: say --position RA,DEC, or keep it with 'roque target set'"
        app.say(told if made.position_from.startswith("target") else told + doubt)
    return made


def _read_radius(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | float | None:
    if value in (None, "best", "target", "all"):
        return value
    try:
        return float(str(value))
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a factor of the FWHM, like 1.4, nor 'best' or 'target'") from None


radius_option = click.option(
    "--radius", metavar="FACTOR|best|target", callback=_read_radius,
    help="Take another radius that was measured, in units of the mean FWHM; best: that in which the comparison stars of"
         " each CCD scatter least, target: the target over them. 'roque run radii' lists them.",
)  # fmt: skip
"""A further radius of the target, as `at_radius` takes it."""


def at_radius(app: App, export: Export, radius: str | float | None, *, total: bool = False) -> Export:
    """Take another radius if one is asked for, and tell which.

    Raises
    ------
    NotFound
        It was not measured, or nothing tells which is best.
    """
    if radius is None:
        if total:
            raise click.UsageError("--total corrects counts of a radius: name one with --radius, or --radius best")
        return export
    if radius == "all":
        raise click.BadParameter("all radii go into the formats parquet and ecsv of 'roque hlog export' alone")
    made = export.at_radius(radius, total=total)
    told = made.provenance["radius"]
    factors = ", ".join(f"{factor:g} FWHM on CCD {ccd}" for ccd, factor in told["factor"].items())
    app.say(f"target radius {factors}: {told['chosen']}")
    for ccd, why in told["the recipe's own"].items():
        app.say(f"CCD {ccd} keeps the recipe's own radius: {why}")
    return made


def say_which(app: App, reduction: Reduction) -> None:
    """Tell which reduction was taken: it is the id that a paper cites."""
    from services.cli.output import moment

    ended = f"done {moment(reduction.finished_at)} UTC" if reduction.finished_at else f"{reduction.state}, not all of the run"
    recipe = reduction.recipe
    app.say(f"reduction {reduction.name} of {reduction.run.path}, recipe {recipe.name} v{recipe.version}, {ended}")


def insist_on_folder(path: Path) -> None:
    """Refuse a file to write whose folder is not there.

    Raises
    ------
    BadInput
        There is no such folder.
    """
    from roque.errors import BadInput

    if not path.parent.is_dir():
        raise BadInput("there is no such folder", file=str(path.parent), remedy="make it, or name another")


@contextmanager
def make_way(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a free path to write a file to, which then takes the place of `path`, whole or not at all.

    Raises
    ------
    Conflict
        A file is there, and must not be replaced.
    BadInput
        There is no such folder.
    """
    from roque.errors import Conflict
    from roque.frames.files import write_whole

    insist_on_folder(path)
    if path.exists() and not overwrite:
        raise Conflict("the file exists already", file=str(path), remedy="name another place, or say --overwrite")
    with write_whole(path, overwrite=overwrite) as part:
        yield part
