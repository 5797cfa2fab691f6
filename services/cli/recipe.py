"""`roque recipe`: stored reduction parameters of a camera."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from services.cli.app import App, pass_app
from services.cli.output import Column, clean, field, json_line, json_option, moment, table

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from roque.archive import models
    from roque.instruments import CameraDescription

__all__ = ["recipe"]


def _checked_name(_context: click.Context, _parameter: click.Parameter, name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name):
        raise click.BadParameter("a name is made of letters, digits, '.', '_' and '-', 64 at most")
    return name


def _checked_comment(_context: click.Context, _parameter: click.Parameter, comment: str) -> str:
    if len(comment) > 200:
        raise click.BadParameter("a comment has 200 characters at most")
    return comment


camera_option = click.option("--camera", "camera_name", metavar="CAM", required=True, help="Camera that the recipe is for.")
comment_option = click.option("--comment", default="", callback=_checked_comment, help="What it is for.")


@click.group()
def recipe() -> None:
    """List, show, change and import stored reduction parameters.

    A recipe holds what differs from the usual parameters of its camera. Runs are reduced with the newest version of the
    recipe 'default', unless another one is named for them.
    """


@recipe.command(name="list")
@json_option
@pass_app
def list_(app: App, *, as_json: bool) -> None:
    """List recipes, every version.

    \b
    Example:
      roque recipe list
    """
    from sqlalchemy import select

    from roque.archive.models import Recipe

    with app.record.reading() as session:
        rows = list(session.scalars(select(Recipe).order_by(Recipe.camera, Recipe.name, Recipe.version)))
    newest = {(row.camera, row.name): row.version for row in rows}
    entries = [_plain(row, current=row.version == newest[row.camera, row.name]) for row in rows]
    if as_json:
        for entry in entries:
            json_line(entry)
        return
    table(
        [Column("CAMERA"), Column("NAME"), Column("VERSION", number=True), Column("STATE"), Column("CHANGES", number=True),
         Column("CREATED (UTC)"), Column("COMMENT", shrinks=True)],
        [
            (entry["camera"], entry["name"], str(entry["version"]), entry["state"], str(len(entry["parameters"])),
             moment(entry["created_at"]), entry["comment"])
            for entry in entries
        ],
    )  # fmt: skip


@recipe.command()
@click.argument("name", default="default")
@camera_option
@click.option("--version", type=click.IntRange(1), help="This version; default: the newest.")
@click.option("--red", is_flag=True, help="As a reduce file, with lengths for the camera's usual seeing.")
@json_option
@pass_app
def show(app: App, name: str, camera_name: str, version: int | None, *, red: bool, as_json: bool) -> None:
    """Show every parameter of a recipe under its full name, and which ones it changes.

    \b
    Examples:
      roque recipe show --camera hipercam
      roque recipe show bright --camera hipercam --red > bright.red
    """
    camera = _camera(app, camera_name)
    if name == "default" and not _has_record(app):
        entry = _usual(camera)
    else:
        with app.record.reading() as session:
            entry = _find(session, camera, name, version)
    if red:
        click.echo(_as_reduce_file(camera, entry["parameters"]))
    elif as_json:
        json_line(entry)
    else:
        _print(camera, entry)


@recipe.command(name="set")
@click.argument("name", callback=_checked_name)
@camera_option
@click.argument("changes", metavar="KEY=VALUE...", nargs=-1, required=True)
@comment_option
@json_option
@pass_app
def set_(app: App, name: str, camera_name: str, changes: tuple[str, ...], comment: str, *, as_json: bool) -> None:
    """Change parameters of a recipe, as a new version; KEY= without a value takes a change back.

    Keys are full names, as `roque recipe show` has them; * stands for every CCD. Lists are written [A, B, C].

    \b
    Examples:
      roque recipe set default --camera hipercam sky.thresh=2.5
      roque recipe set bright --camera hipercam 'extraction.*.method=optimal'
      roque recipe set bright --camera hipercam sky.thresh=
      roque recipe set radii --camera hipercam 'extraction.*.radii=[1, 1.4, 2]'
    """
    camera = _camera(app, camera_name)
    said = [_change(change) for change in changes]

    def changed(parameters: dict[str, Any]) -> dict[str, Any]:
        merged = parameters | dict(said)
        return {key: value for key, value in sorted(merged.items()) if value is not None}

    _store(app, camera, name, changed, comment, as_json=as_json)


@recipe.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@camera_option
@click.option(
    "--name", required=True, callback=_checked_name, help="Recipe to store it as; one of this name gets its next version."
)
@comment_option
@json_option
@pass_app
def import_(app: App, file: Path, camera_name: str, name: str, comment: str, *, as_json: bool) -> None:
    """Make a recipe of a reduce file (.red).

    Lengths that would follow the seeing are fixed as the file has them. Apertures are not part of a recipe.

    \b
    Example:
      roque recipe import run0012.red --camera hipercam --name eclipse
    """
    from roque.photometry.recipe import Recipe
    from roque.photometry.reduce_file import read_reduce_file
    from roque.photometry.typical import differences

    camera = _camera(app, camera_name)
    parameters = differences(Recipe.from_reduce_file(read_reduce_file(file)), camera)
    _store(app, camera, name, lambda _: parameters, comment or f"from {file.name}"[:200], as_json=as_json)


def _store(app: App, camera: CameraDescription, name: str, change: Any, comment: str, *, as_json: bool) -> None:
    """Check changed parameters and store them as the newest version."""
    from roque.archive.recipes import recipe_versions, store_recipe
    from roque.errors import BadInput
    from roque.jobs.outbox import clock
    from roque.photometry.typical import typical_recipe

    with app.new_record.writing() as session:
        versions = recipe_versions(session, camera.name, name)
        before = versions[-1] if versions else None
        parameters = change(dict(before.parameters) if before is not None else {})
        try:
            checked = typical_recipe(camera).changed(parameters).to_dict()
        except BadInput as error:
            raise click.UsageError(str(error)) from None
        # 3 and 3.0 are the same recipe
        parameters = {key: _value_at(checked, key.split(".")) for key in parameters}
        row = store_recipe(session, camera.name, name, parameters, comment, clock(session))
        entry = _plain(row, current=True)
    title = f"{camera.name}/{name} v{entry['version']}"
    if as_json:
        json_line(entry)
    else:
        click.echo(clean(title))
    if before is not None and before.version == entry["version"]:
        app.say("nothing differs from the newest version: it stays")
    else:
        app.say(_use(name))


def _use(name: str) -> str:
    if name == "default":
        return "runs that come are reduced with it; 'roque run retry RUN' reduces an earlier one again"
    return f"'roque night reduce FOLDER --recipe {name}' reduces with it"


def _value_at(values: Any, path: list[str]) -> Any:
    """Value of a parameter; * stands for every CCD, and so for the first."""
    for part in path:
        values = next(iter(values.values())) if part == "*" else values[part]
    return values


def _camera(app: App, name: str) -> CameraDescription:
    from roque.errors import NotFound

    known = app.cameras
    if name not in known:
        raise NotFound(f"no camera is called {name}", remedy=f"there are {', '.join(sorted(known))}")
    return known[name]


def _has_record(app: App) -> bool:
    from roque.errors import Unreachable

    try:
        app.insist_on_record()
    except Unreachable:
        return False
    return True


def _find(session: Session, camera: CameraDescription, name: str, version: int | None) -> dict[str, Any]:
    from roque.archive.recipes import recipe_versions
    from roque.errors import NotFound

    rows = recipe_versions(session, camera.name, name)
    if not rows and name == "default" and version in (None, 1):
        return _usual(camera)  # made when the first run of the camera is planned
    fitting = [row for row in rows if version in (None, row.version)]
    if not fitting:
        what = f"recipe {name}" if not rows else f"version {version} of recipe {name}"
        raise NotFound(f"there is no {what} for {camera.name}", remedy="'roque recipe list' shows which there are")
    return _plain(fitting[-1], current=fitting[-1] is rows[-1])


def _usual(camera: CameraDescription) -> dict[str, Any]:
    return {
        "name": "default",
        "state": "current",
        "camera": camera.name,
        "version": 1,
        "comment": "what the camera's description says",
        "parameters": {},
        "sha256": None,
        "created_at": None,
    }


def _plain(row: models.Recipe, *, current: bool) -> dict[str, Any]:
    return {
        "name": row.name,
        "state": "current" if current else "superseded",
        "camera": row.camera,
        "version": row.version,
        "comment": row.comment,
        "parameters": row.parameters,
        "sha256": row.digest,
        "created_at": row.created_at,
    }


def _print(camera: CameraDescription, entry: dict[str, Any]) -> None:
    from roque.photometry.typical import flat, following, typical_recipe

    usual = typical_recipe(camera)
    before = flat(usual.to_dict())
    follows = following(camera)
    changed = flat(usual.changed(entry["parameters"]).to_dict())
    click.secho(clean(f"{entry['camera']}/{entry['name']} v{entry['version']}"), bold=True, nl=False)
    click.echo(clean(f"  {entry['comment']}"))
    said = set(entry["parameters"])
    for key, value in changed.items():
        if key in said or before.get(key) != value:
            field(key, f"{json.dumps(value)}  {_instead_of(key, before, follows)}", hang=34, style="yellow")
        else:
            field(key, "follows the run" if key in follows else json.dumps(value), hang=34)


def _instead_of(key: str, usual: dict[str, Any], follows: set[str]) -> str:
    if key in follows:
        return "(it would follow the run)"
    return f"(usually {json.dumps(usual[key])})" if key in usual else "(not usual)"


def _as_reduce_file(camera: CameraDescription, parameters: dict[str, Any]) -> str:
    from roque.photometry.apertures import Aperture
    from roque.photometry.typical import typical_recipe

    settled = typical_recipe(camera).changed(parameters)
    # the plots of a reduce file must name apertures: those that every run has, a target and a comparison
    pair = {label: Aperture(0.0, 0.0, 1.0, 2.0, 3.0) for label in ("1", "2")}
    return settled.to_reduce_file(dict.fromkeys(settled.extraction, pair), "NAME.ape")


def _change(text: str) -> tuple[str, Any]:
    """Read KEY=VALUE; None stands for a value taken back."""
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise click.UsageError(f"{text!r} is not of the form KEY=VALUE")
    return key.strip(), _value(value.strip())


def _value(text: str) -> Any:
    words = {"yes": True, "true": True, "no": False, "false": False, "": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    if text.startswith("[") and text.endswith("]"):
        return [_value(part.strip()) for part in text[1:-1].split(",") if part.strip()]
    return [_value(part.strip()) for part in text.split(",")] if "," in text else text
