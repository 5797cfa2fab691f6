"""Recipes: every parameter that decides what a reduction gives."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from roque.errors import BadInput
from roque.photometry.apertures import Aperture
from roque.photometry.flags import Flag
from roque.photometry.recipe_fields import build, each, subset
from roque.photometry.recipe_files import parameters_of, reduce_file_text
from roque.photometry.recipe_sections import (
    Calibration,
    Detector,
    Extraction,
    FocalMask,
    General,
    Pixels,
    PsfPhotometry,
    Sky,
    Tracking,
    Trim,
)
from roque.photometry.reduce_file import ReduceFile

__all__ = ["Recipe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Every parameter that decides what a reduction gives.

    Parameters
    ----------
    parity : bool
        Reproduce the HiPERCAM pipeline to the digit, its mistakes included.
    general, trim, apertures, sky, calibration, pixels, focal_mask, psf_photom
        Sections, named as in reduce files.
    extraction : dict of str to Extraction
        By CCD; the others are not reduced.
    detectors : dict of str to Detector
        By CCD.
    monitor : dict of str to tuple of str
        Names of flags to be told of, by label of aperture.
    """

    parity: bool = False
    general: General = field(default_factory=General)
    trim: Trim = field(default_factory=Trim)
    apertures: Tracking
    extraction: dict[str, Extraction]
    detectors: dict[str, Detector]
    sky: Sky = field(default_factory=Sky)
    calibration: Calibration = field(default_factory=Calibration)
    pixels: Pixels = field(default_factory=Pixels)
    focal_mask: FocalMask = field(default_factory=FocalMask)
    psf_photom: PsfPhotometry = field(default_factory=PsfPhotometry)
    monitor: dict[str, tuple[str, ...]] = field(
        default_factory=dict, metadata=each(subset(*(flag for flag in Flag.__members__)))
    )

    def __post_init__(self) -> None:
        """Check what a single value cannot say.

        Raises
        ------
        BadInput
            A CCD is extracted of which no detector is known, a median sky is to give a variance, or profile fits radii.
        """
        missing = [ccd for ccd in self.extraction if ccd not in self.detectors]
        if missing:
            raise BadInput("no read noise and gain are known", place=f"detectors.{missing[0]}", remedy="give them")
        if self.sky.method == "median" and self.sky.error == "variance":
            raise BadInput("a median has no variance", place="sky.error", remedy="set it to photon")
        swept = [ccd for ccd, line in self.extraction.items() if line.radii]
        if swept and self.psf_photom.use_psf:
            raise BadInput("profile fits have no radii", place=f"extraction.{swept[0]}.radii", remedy="leave them out")

    def to_dict(self) -> dict[str, Any]:
        """All values, as JSON can hold them; `from_dict` gives the same recipe back."""
        made: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return made

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Recipe from what `to_dict` gave; what has a default may be left out.

        Raises
        ------
        BadInput
            A key is missing or unknown, or a value not allowed; the key is named, as in 'apertures.fit_thresh'.
        """
        recipe: Recipe = build(cls, values, "")
        return recipe

    @classmethod
    def from_reduce_file(cls, file: ReduceFile) -> Recipe:
        """Make the recipe that a reduce file describes, for parity with the HiPERCAM pipeline.

        Calibration frames that it names are required, others never used. Where it names frames of read noise or gain, the
        recipe holds the names, and the numbers are 0 and 1.

        Raises
        ------
        BadInput
            A value is not allowed.
        """
        recipe = cls(parity=True, **parameters_of(file))
        try:
            # limits that reduce files do not know hold for every recipe
            return cls.from_dict(recipe.to_dict())
        except BadInput as error:
            raise BadInput(error.message, file=file.name, place=error.place, remedy=error.remedy) from None

    def to_reduce_file(
        self, apertures: Mapping[str, Mapping[str, Aperture]], aperfile: str, names: Mapping[str, str] | None = None
    ) -> str:
        """Text of a reduce file that the HiPERCAM pipeline accepts.

        Parameters
        ----------
        apertures : Apertures
            For the plot lines: target 1, comparison 2, or what there is.
        aperfile : str
            Name of the aperture file.
        names : mapping of str to str, optional
            Names of bias, dark, flat, fmap and fpair; none where one is absent.

        Raises
        ------
        BadInput
            The CCDs have different gains or read noises, which a reduce file cannot say, or none of them has an aperture.
        """
        return reduce_file_text(self, apertures, aperfile, names or {})

    def named_files(self) -> dict[str, str]:
        """Names of the files that the recipe names: readout, gain and defects, those of them that it does."""
        names = {
            "readout": self.calibration.readout_frame,
            "gain": self.calibration.gain_frame,
            "defects": self.pixels.defects,
        }
        return {kind: name for kind, name in names.items() if name}

    def digest(self) -> str:
        """SHA-256 of all values: equal recipes have equal digests, in every process and version."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def changed(self, parameters: Mapping[str, Any]) -> Recipe:
        """Make a recipe in which some values are others.

        Parameters
        ----------
        parameters : mapping
            New values by their full names: 'sky.thresh', 'extraction.2.method'; '*' stands for every CCD.

        Raises
        ------
        BadInput
            A name is unknown, or a value not allowed.
        """
        values = self.to_dict()
        for name, value in parameters.items():
            _set(values, name.split("."), value, name)
        return Recipe.from_dict(values)


def _set(values: dict[str, Any], path: list[str], value: Any, name: str) -> None:
    key, rest = path[0], path[1:]
    keys = list(values) if key == "*" else [key]
    for each_key in keys:
        if not rest and key != "*":
            # unknown names are found when the recipe is built again
            values[each_key] = value
        elif isinstance(values.get(each_key), dict) and rest:
            _set(values[each_key], rest, value, name)
        else:
            raise BadInput("no parameter has this name", place=name, remedy="'roque recipe show' lists all names")
