"""Recipes in the record: stored, versioned sets of reduction parameters of a camera.

The parameters of a recipe are what differs from the camera's defaults, by their full name ("sky.thresh": 2.5). Numbers
that follow the seeing, such as radii and box sizes, are settled when a run is prepared; the settled recipe is kept with
the reduction.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from roque.archive.models import Recipe
from roque.errors import NotFound

__all__ = ["DEFAULT", "digest", "latest_recipe", "recipe_versions", "store_recipe"]

DEFAULT = "default"
"""Name of the recipe that a camera's runs are reduced with unless something else is said."""


def digest(parameters: Any) -> str:
    """SHA-256 of anything that is JSON, in its one canonical form."""
    return hashlib.sha256(json.dumps(parameters, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def latest_recipe(session: Session, camera: str, name: str, now: dt.datetime) -> Recipe:
    """Newest version of a recipe; the default one is made, empty, when a camera is first met.

    Raises
    ------
    NotFound
        There is no recipe of that name for the camera.
    """
    row = session.scalar(
        select(Recipe).where(Recipe.camera == camera, Recipe.name == name).order_by(Recipe.version.desc()).limit(1)
    )
    if row is not None:
        return row
    if name == DEFAULT:
        return store_recipe(session, camera, name, {}, "what the camera's description says", now)
    raise NotFound(f"there is no recipe {name} for {camera}", remedy="'roque recipe list' shows which there are")


def recipe_versions(session: Session, camera: str, name: str) -> list[Recipe]:
    """Every version of a recipe, oldest first."""
    return list(session.scalars(select(Recipe).where(Recipe.camera == camera, Recipe.name == name).order_by(Recipe.version)))


def store_recipe(
    session: Session, camera: str, name: str, parameters: dict[str, Any], comment: str, now: dt.datetime
) -> Recipe:
    """Store parameters as the newest version of a recipe; equal parameters as its newest version make no new one."""
    versions = recipe_versions(session, camera, name)
    mark = digest(parameters)
    if versions and versions[-1].digest == mark:
        return versions[-1]
    row = Recipe(
        camera=camera,
        name=name,
        version=versions[-1].version + 1 if versions else 1,
        digest=mark,
        parameters=parameters,
        comment=comment,
        created_at=now,
    )
    session.add(row)
    session.flush()
    return row
