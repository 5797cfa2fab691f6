"""`roque camera`: the cameras whose files are understood, and what is made of a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from services.cli.app import App, pass_app
from services.cli.output import Column, field, json_line, json_option, table

if TYPE_CHECKING:
    from roque.instruments import CameraDescription

__all__ = ["camera"]

_FILES = {"hl": "HiPERCAM raw", "ul": "ULTRACAM raw", "hf": "hcm files", "fits": "FITS images"}


@click.group()
def camera() -> None:
    """List and show the cameras whose files are understood, and check what is made of a file."""


@camera.command(name="list")
@json_option
@pass_app
def list_(app: App, *, as_json: bool) -> int:
    """List cameras: those that come with roque and plug-ins, and those described in the folder of the setting `cameras`.

    Exit status 1 if a description or a plug-in cannot be used; the others can.

    \b
    Example:
      roque camera list
    """
    known = sorted(app.known_cameras.cameras.values(), key=lambda camera: camera.name)
    if as_json:
        for found in known:
            json_line(_facts(found))
    else:
        table(
            [Column("CAMERA"), Column("TELESCOPE"), Column("CCDS"), Column("ARCSEC/PIXEL", number=True), Column("FILES"),
             Column("PLACEHOLDERS", shrinks=True)],
            [
                (found.name, found.site.telescope, " ".join(found.detectors), f"{found.pixel_scale:g}",
                 _FILES.get(found.source, f"{found.source} (plug-in)"), ", ".join(found.placeholders))
                for found in known
            ],
        )  # fmt: skip
    return _say_problems(app)


@camera.command()
@click.argument("name")
@json_option
@pass_app
def show(app: App, name: str, *, as_json: bool) -> None:
    """Show what is known of a camera.

    \b
    Example:
      roque camera show ltio
    """
    from roque.instruments.known import named

    found = named(name, app.cameras)
    if as_json:
        json_line(_facts(found))
        return
    site = found.site
    click.echo(found.name)
    field("files", _FILES.get(found.source, f"{found.source}, read by a plug-in"))
    field(
        "told by", ", ".join(f"{k} = {v!r}" for k, v in found.identify.items()) or "nothing in a header: name it with --camera"
    )
    field("site", f"{site.telescope or 'not known'}, {site.longitude:g} degrees east, {site.latitude:g}, {site.height:g} m")
    field("scale", f"{found.pixel_scale:g} arcsec per unbinned pixel, seeing of {found.seeing:g} arcsec to begin with")
    for label, ccd in found.detectors.items():
        size = f"{ccd.nxtot} x {ccd.nytot} pixels, " if ccd.nxtot else ""
        field(
            f"CCD {label}",
            f"{size}gain {ccd.gain:g} electrons per ADU, read noise {ccd.read_noise:g} ADU, "
            f"non-linear from {ccd.nonlinear:g} ADU, saturated from {ccd.saturation:g}",
        )
    for key, value in found.recipe.items():
        field("recipe", f"{key} = {value}")
    if found.placeholders:
        field("placeholder", f"{', '.join(found.placeholders)}: of the usual order, not measured", style="yellow")


@camera.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--camera", "name", help="Whose files they are, where nothing in them tells it.")
@json_option
@pass_app
def check(app: App, files: tuple[Path, ...], name: str | None, *, as_json: bool) -> int:
    """Tell what is made of files, keyword by keyword: whose they are and why, what each rule finds, what run comes of it.

    Nothing is registered. Exit status 1 if a file cannot be used.

    \b
    Examples:
      roque camera check image_0001.fits
      roque camera check --camera pt5m *.fits
      roque camera check --json run0012.fits
    """
    from roque.instruments.known import named
    from roque.spool.check import check as look
    from services.cli.camera_check import as_json as plain
    from services.cli.camera_check import print_checked
    from services.cli.errors import report

    known = app.known_cameras.cameras
    given = named(name, known) if name else None
    worst = 0
    for path in files:
        found = look(path, known, given)
        if as_json:
            json_line(plain(found))
        else:
            print_checked(found, asked=given is not None)
        if found.error is not None:
            worst = max(worst, report(found.error, app))
    return max(worst, _say_problems(app))


def _say_problems(app: App) -> int:
    """Name the descriptions and plug-ins that cannot be used."""
    from services.cli.errors import report

    return max((report(problem, app) for problem in app.known_cameras.problems), default=0)


def _facts(found: CameraDescription) -> dict[str, Any]:
    site = found.site
    return {
        "name": found.name,
        "state": "known",
        "telescope": site.telescope,
        "longitude": site.longitude,
        "latitude": site.latitude,
        "height": site.height,
        "pixel_scale": found.pixel_scale,
        "seeing": found.seeing,
        "ccds": list(found.detectors),
        "detectors": {
            label: {"nxtot": d.nxtot, "nytot": d.nytot, "gain": d.gain, "read_noise": d.read_noise, "nonlinear": d.nonlinear,
                    "saturation": d.saturation}
            for label, d in found.detectors.items()
        },
        "identify": found.identify,
        "source": found.source,
        "files": _FILES.get(found.source, found.source),
        "placeholders": list(found.placeholders),
        "recipe": found.recipe,
    }  # fmt: skip
