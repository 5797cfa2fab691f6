"""What a product was made from, in the form that the record keeps and `roque trace` follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from roque.archive.models import ApertureSet, Master, RawFile, Recipe, Reduction

__all__ = ["aperture_input", "master_input", "raw_inputs", "recipe_input", "reduction_input"]


def raw_inputs(files: Sequence[RawFile]) -> list[dict[str, Any]]:
    """Raw files, with the digest of the file, or of the frames read so far if it still grows."""
    return [
        {"kind": "raw", "name": file.path, "sha256": file.sha256 or file.data_sha256} for file in files if not file.duplicate
    ]


def master_input(master: Master) -> dict[str, Any]:
    """A master, by its product."""
    return {"kind": "product", "name": master.product.uri, "id": master.product_id, "sha256": master.product.sha256}


def recipe_input(recipe: Recipe) -> dict[str, Any]:
    """A version of a recipe."""
    return {
        "kind": "recipe",
        "name": f"{recipe.camera}/{recipe.name} v{recipe.version}",
        "id": recipe.id,
        "sha256": recipe.digest,
    }


def aperture_input(apertures: ApertureSet) -> dict[str, Any]:
    """A set of apertures."""
    return {"kind": "apertures", "name": apertures.source, "id": apertures.id, "sha256": apertures.digest}


def reduction_input(reduction: Reduction) -> dict[str, Any]:
    """A reduction, whose key is the digest of all that went into it."""
    return {"kind": "reduction", "name": reduction.name, "id": reduction.id, "sha256": reduction.key}
