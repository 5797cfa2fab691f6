"""The recipe of a camera before any run is seen: what people change, and what follows from the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from roque.instruments import CameraDescription
from roque.photometry.automatic import AutomaticApertures
from roque.photometry.defaults import default_recipe
from roque.photometry.place import Radii
from roque.photometry.recipe import Recipe

__all__ = ["differences", "flat", "following", "typical_recipe"]

_SKY = (3.0, 4.5)  # radii of the sky annulus, FWHM
_HEIGHT = 1000.0  # of a reference star, ADU


def typical_recipe(camera: CameraDescription) -> Recipe:
    """Make the recipe of a camera for its usual seeing, unbinned."""
    return _recipe(camera, 1.0, 1)


def following(camera: CameraDescription) -> set[str]:
    """Full names of the parameters that follow the seeing, the stars or the binning of a run."""
    usual = flat(typical_recipe(camera).to_dict())
    other = flat(_recipe(camera, 7.0, 3).to_dict())
    return {name for name, value in usual.items() if other[name] != value}


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by their full names, as `Recipe.changed` takes them; '*' stands for every CCD where all have the same value.

    Parameters
    ----------
    values : mapping
        What `Recipe.to_dict` gives.
    """
    found = dict(_names(values))
    for section in ("extraction", "detectors"):
        ccds = list(values.get(section, {}))
        for name in [name for name in found if name.startswith(f"{section}.{ccds[0]}.")] if ccds else []:
            rest = name.split(".", 2)[2]
            alike = [found.get(f"{section}.{ccd}.{rest}") for ccd in ccds]
            if all(value == alike[0] for value in alike):
                for ccd in ccds:
                    del found[f"{section}.{ccd}.{rest}"]
                found[f"{section}.*.{rest}"] = alike[0]
    return dict(sorted(found.items()))


def differences(recipe: Recipe, camera: CameraDescription) -> dict[str, Any]:
    """Parameters of a recipe that a camera's runs would not have by themselves, by their full names.

    What follows the run unless it is said is among them, whatever its value. What a recipe does not decide is not: for which
    camera it is, and whether mistakes of the HiPERCAM pipeline are reproduced.
    """
    usual, follows = flat(typical_recipe(camera).to_dict()), following(camera)
    kept = {}
    for name, value in flat(recipe.to_dict()).items():
        told_apart = name in follows or _everywhere(name) in follows
        same = usual.get(name, usual.get(_everywhere(name))) == value
        if (told_apart or not same) and name not in ("parity", "general.instrument", "general.scale"):
            kept[name] = value
    return kept


def _everywhere(name: str) -> str:
    """Name of a parameter of one CCD as that of every CCD."""
    section, _, rest = name.partition(".")
    return f"{section}.*.{rest.partition('.')[2]}" if section in ("extraction", "detectors") else name


def _names(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _names(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _recipe(camera: CameraDescription, factor: float, binning: int) -> Recipe:
    fwhm = factor * camera.seeing / camera.pixel_scale
    ccds = list(camera.detectors)
    found = AutomaticApertures(
        apertures={ccd: {} for ccd in ccds},
        target="1",
        seeing=dict.fromkeys(ccds, fwhm),
        radii=dict.fromkeys(ccds, Radii(1.8 * fwhm, _SKY[0] * fwhm, _SKY[1] * fwhm)),
        thresholds=dict.fromkeys(ccds, factor * _HEIGHT),
        step=factor,
        notes=[],
    )
    return default_recipe(camera, found, binning=binning)
