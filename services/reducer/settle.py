"""What a run is reduced with: recipe and apertures, from files of the user's or from the stars of its first frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from roque.archive import models
from roque.archive.found import problem
from roque.calibration.apply import Calibrator, Masters
from roque.frames import Frame, Geometry
from roque.instruments import CameraDescription
from roque.photometry import apertures as aperture_files
from roque.photometry import reduce_file as reduce_files
from roque.photometry.apertures import Apertures
from roque.photometry.automatic import AutomaticApertures, NoStar, automatic_apertures
from roque.photometry.by_hand import misplaced, nearest, recipe_for
from roque.photometry.defaults import default_recipe
from roque.photometry.recipe import Recipe

__all__ = ["Settled", "settle"]

Note = dict[str, Any]
"""As the record keeps it: kind and text; of a fault also severity, message, file, place and remedy."""


@dataclass(frozen=True)
class Settled:
    """What a reduction is done with."""

    recipe: Recipe
    apertures: Apertures
    target: str
    origin: str  # automatic, file
    source: str
    notes: list[Note]


def settle(
    run: models.Run,
    row: models.Recipe,
    frames: list[Frame],
    masters: Masters,
    hints: Mapping[str, Any],
    camera: CameraDescription,
) -> Settled:
    """Settle recipe and apertures.

    Parameters
    ----------
    run : Run
    row : Recipe
        Parameters stored for its camera.
    frames : list of Frame
        The first `frames_needed` of the run.
    masters : Masters
    hints : mapping
        What was said of the run: apertures and reduce file, if there are, and the position of the target.
    camera : CameraDescription

    Raises
    ------
    BadInput
        A file cannot be understood, or all its apertures lie outside; or there is none and no star is found.
    """
    placed, named = hints.get("apertures"), hints.get("reduce_file")
    target = tuple(hints["target"]) if hints.get("target") else None
    if placed:
        apertures = aperture_files.loads(placed["text"], file=placed["file"])
        notes = _misplaced(apertures, run, placed["file"])
        if named:
            recipe = Recipe.from_reduce_file(reduce_files.loads(named["text"], apertures, file=named["file"]))
        else:
            found, told = _attempt(run, frames, masters, camera)
            notes += told
            recipe = _with_parameters(recipe_for(apertures, found, frames, _calibrator(frames, masters, camera), camera), row)
        return Settled(recipe, apertures, nearest(apertures, target), "file", placed["file"], notes)
    automatic = _find(run, frames, masters, camera, target)
    notes = [_note(text) for text in automatic.notes]
    recipe = _with_parameters(default_recipe(camera, automatic, binning=max(run.xbin, run.ybin)), row)
    if named:
        recipe = Recipe.from_reduce_file(reduce_files.loads(named["text"], automatic.apertures, file=named["file"]))
    source = f"stars of the first {len(frames)} frames"
    return Settled(recipe, automatic.apertures, automatic.target, "automatic", source, notes)


def _find(
    run: models.Run,
    frames: list[Frame],
    masters: Masters,
    camera: CameraDescription,
    target: tuple[float, float] | None = None,
) -> AutomaticApertures:
    levels = {name: camera.detector(name) for name in frames[0].ccds}
    return automatic_apertures(
        frames,
        _calibrator(frames, masters, camera),
        run=run.path,
        gain={name: d.gain for name, d in levels.items()},
        saturation={name: d.saturation for name, d in levels.items()},
        target=target,
    )


def _attempt(
    run: models.Run, frames: list[Frame], masters: Masters, camera: CameraDescription
) -> tuple[AutomaticApertures | None, list[Note]]:
    """Find stars for the seeing alone: where a person has placed the apertures, a field without any is measured too."""
    try:
        found = _find(run, frames, masters, camera)
    except NoStar as error:
        return None, [_note(f"{error.message}: the apertures keep the radii that they were placed with")]
    return found, [_note(text) for text in found.notes]


def _calibrator(frames: list[Frame], masters: Masters, camera: CameraDescription) -> Calibrator:
    usual = camera.detector(camera.reference)
    return Calibrator(masters, frames[0], readout=usual.read_noise, gain=usual.gain)


def _misplaced(apertures: Apertures, run: models.Run, file: str) -> list[Note]:
    """Refuse apertures that all lie outside; say which ones do."""
    windows = {ccd: {k: Geometry(*numbers) for k, numbers in members.items()} for ccd, members in run.windows.items()}
    return [
        {"kind": "apertures", "text": f"{error.place}: {error.message}", **problem(error)}
        for error in misplaced(apertures, windows, file)
    ]


def _note(text: str) -> Note:
    return {"kind": "apertures", "text": text}


def _with_parameters(recipe: Recipe, row: models.Recipe) -> Recipe:
    """Give a recipe the parameters that were stored for its camera."""
    return recipe.changed({name: value for name, value in row.parameters.items() if _concerns(name, recipe)})


def _concerns(name: str, recipe: Recipe) -> bool:
    """Whether a parameter is about this run: not if it is of a CCD that shows no star."""
    section, _, rest = name.partition(".")
    ccd = rest.partition(".")[0]
    return section not in ("extraction", "detectors") or ccd == "*" or ccd in recipe.extraction
