"""`roque night reduce`: a folder of raw files, reduced now, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from services.cli.app import App, pass_app
from services.cli.options import read_folder
from services.cli.output import json_option

__all__ = ["night"]


@click.group()
def night() -> None:
    """Reduce a folder of raw files by hand."""


@night.command(name="reduce")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), callback=read_folder)
@click.option("--target", metavar="X,Y", help="Position of the target on the first frame, unbinned pixels.")
@click.option("--recipe", metavar="NAME", help="Recipe to reduce with; default: the camera's default one.")
@click.option("--apertures", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Aperture file (.ape) to use.")
@click.option("--reduce-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Reduce file (.red) to use.")
@json_option
@pass_app
def reduce(
    app: App,
    folder: Path,
    target: str | None,
    recipe: str | None,
    apertures: Path | None,
    reduce_file: Path | None,
    *,
    as_json: bool,
) -> None:
    """Register what is in FOLDER, reduce it, and end when nothing is left to do.

    Files are taken as ended. What was reduced before and has not changed is left as it is. RUN.ape and RUN.red beside a
    run are used for it. While `roque up` runs on the same home folder, the work is left to that, and waited for.

    \b
    Examples:
      roque night reduce /data/2026-11-01
      roque night reduce /data/hatp32 --target 423.0,286.2
    """
    from roque.archive.hints import text_hint
    from services.cli.nightly import reduce_folder
    from services.cli.summary import summarise

    hints: dict[str, Any] = {}
    if target is not None:
        hints["target"] = _position(target)
    if recipe is not None:
        hints["recipe"] = recipe
    if apertures is not None:
        hints["apertures"] = text_hint(apertures)
    if reduce_file is not None:
        hints["reduce_file"] = text_hint(reduce_file)
    reduce_folder(app, folder, hints)
    failed = summarise(app.record, folder, as_json=as_json)
    raise click.exceptions.Exit(1 if failed else 0)


def _position(text: str) -> list[float]:
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter("give two numbers with a comma between them: 423.0,286.2", param_hint="--target") from None
    return [x, y]
