"""`roque camera`: the cameras whose files are understood."""

from __future__ import annotations

import click

from services.cli.app import App, pass_app
from services.cli.output import Column, json_line, json_option, table

__all__ = ["camera"]

_FILES = {"hl": "HiPERCAM raw", "ul": "ULTRACAM raw", "hf": "hcm files"}


@click.group()
def camera() -> None:
    """List the cameras whose files are understood."""


@camera.command(name="list")
@json_option
@pass_app
def list_(app: App, *, as_json: bool) -> None:
    """List cameras: those that come with roque, and those described in the folder of the setting `cameras`.

    \b
    Example:
      roque camera list
    """
    known = sorted(app.cameras.values(), key=lambda camera: camera.name)
    if as_json:
        for found in known:
            site = found.site
            json_line(
                {"name": found.name, "state": "known", "telescope": site.telescope, "longitude": site.longitude,
                 "latitude": site.latitude, "height": site.height, "pixel_scale": found.pixel_scale,
                 "ccds": list(found.detectors), "files": _FILES.get(found.source, "FITS images")}
            )  # fmt: skip
        return
    table(
        [Column("CAMERA"), Column("TELESCOPE"), Column("CCDS"), Column("ARCSEC/PIXEL", number=True), Column("FILES")],
        [
            (found.name, found.site.telescope, " ".join(found.detectors), f"{found.pixel_scale:g}",
             _FILES.get(found.source, "FITS images"))
            for found in known
        ],
    )  # fmt: skip
