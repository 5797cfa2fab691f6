"""Apertures that a person placed: what is wrong with them, and how they are measured where no star was found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from roque.calibration.apply import Calibrator
from roque.errors import BadInput
from roque.frames import Frame, Geometry
from roque.instruments import CameraDescription
from roque.photometry.apertures import Aperture, Apertures
from roque.photometry.automatic import AutomaticApertures
from roque.photometry.defaults import default_recipe
from roque.photometry.find import find_stars
from roque.photometry.place import Radii
from roque.photometry.recipe import Recipe

__all__ = ["misplaced", "nearest", "recipe_for"]

_ABOVE_NOISE = 8.0  # height from which a peak near a reference is the reference, in units of the sky's noise

Windows = Mapping[str, Mapping[str, Geometry]]
"""By CCD and label."""


def misplaced(apertures: Apertures, windows: Windows, file: str) -> list[BadInput]:
    """Say which apertures lie in no window.

    Parameters
    ----------
    apertures : Apertures
        By CCD and label.
    windows : mapping
        Windows of the run, by CCD and label.
    file : str
        The aperture file.

    Returns
    -------
    list of BadInput
        One for each of them.

    Raises
    ------
    BadInput
        There is no aperture, or none of them lies in a window: nothing can be measured.
    """
    found = [
        _nowhere(aperture, windows.get(ccd, {}), file, f"CCD {ccd}, aperture {label}")
        for ccd, members in apertures.items()
        for label, aperture in members.items()
        if not any(g.distance(aperture.x, aperture.y) > 0.0 for g in windows.get(ccd, {}).values())
    ]
    count = sum(len(members) for members in apertures.values())
    if count == 0:
        raise BadInput("the file holds no aperture", file=file, remedy="place one, or take the file away")
    if len(found) == count:
        first = found[0]
        message = first.message if count == 1 else f"none of its {count} apertures lies in a window; the first: {first.message}"
        raise BadInput(message, file=file, place=first.place, remedy="place them on a frame of this run, or take the file away")
    return found


def nearest(apertures: Apertures, target: tuple[float, float] | None) -> str:
    """Label of the target: the aperture nearest to its position, or the first, as is the custom."""
    places = [(label, a.x, a.y) for members in apertures.values() for label, a in members.items()]
    if target is None:
        return places[0][0]
    return min(places, key=lambda place: math.dist(place[1:], target))[0]


def recipe_for(
    apertures: Apertures,
    found: AutomaticApertures | None,
    frames: Sequence[Frame],
    calibrator: Calibrator,
    camera: CameraDescription,
) -> Recipe:
    """Make the recipe for apertures that were placed by hand.

    Parameters
    ----------
    apertures : Apertures
        By CCD and label.
    found : AutomaticApertures or None
        What was measured of the stars of the run; None if none were found.
    frames : sequence of Frame
        The first of the run.
    calibrator : Calibrator
        Masters, prepared for the run.
    camera : CameraDescription
        Whose run it is.

    Notes
    -----
    On CCDs where no star was found the radii are those that the person chose, whatever becomes of the fits, and the seeing is
    that of the other CCDs, or the usual one.
    """
    seeing = dict(found.seeing) if found is not None else {}
    radii = dict(found.radii) if found is not None else {}
    ccds = [ccd for ccd, members in apertures.items() if members and ccd in frames[0].ccds]
    blind = [ccd for ccd in ccds if ccd not in radii]
    usual = max(seeing.values(), default=camera.seeing / camera.pixel_scale)
    for ccd in blind:
        seeing[ccd] = usual
        radii[ccd] = Radii(*(max(getattr(a, name) for a in apertures[ccd].values()) for name in ("rtarg", "rsky1", "rsky2")))
    known = AutomaticApertures(
        apertures={ccd: apertures[ccd] for ccd in ccds},
        target="",
        seeing=seeing,
        radii=radii,
        thresholds=found.thresholds if found is not None else {ccd: _threshold(ccd, frames, calibrator) for ccd in blind},
        step=found.step if found is not None else 0.0,
        notes=[],
    )
    geometries = [w.geometry for ccd in frames[0].ccds.values() for w in ccd.windows.values()]
    recipe = default_recipe(camera, known, binning=max(max(g.xbin, g.ybin) for g in geometries))
    return recipe.changed({name: value for ccd in blind for name, value in _as_placed(ccd, apertures[ccd]).items()})


def _as_placed(ccd: str, members: Mapping[str, Aperture]) -> dict[str, object]:
    """Parameters that leave the radii of a CCD's apertures as they are."""
    values: dict[str, object] = {f"extraction.{ccd}.resize": "fixed"}
    for radius, name in (("target", "rtarg"), ("inner_sky", "rsky1"), ("outer_sky", "rsky2")):
        chosen = [getattr(aperture, name) for aperture in members.values()]
        values |= {f"extraction.{ccd}.{radius}.least": min(chosen), f"extraction.{ccd}.{radius}.greatest": max(chosen)}
    return values


def _threshold(name: str, frames: Sequence[Frame], calibrator: Calibrator) -> float:
    """Height of what stands out of the noise of a CCD, ADU."""
    ccd = next((frame.ccds[name] for frame in frames if frame.ccds[name].data_ok), None)
    if ccd is None:
        return 0.0  # its first data come later
    looks = [calibrator.window(name, ccd, label) for label in ccd.windows]
    noises = [find_stars(look.proc, look.geometry).noise for look in looks]
    known = [noise for noise in noises if math.isfinite(noise)]
    return _ABOVE_NOISE * float(np.median(known)) if known else 0.0


def _nowhere(aperture: Aperture, windows: Mapping[str, Geometry], file: str, place: str) -> BadInput:
    where = f"the aperture at ({aperture.x:.1f}, {aperture.y:.1f})"
    if not windows:
        return BadInput(
            f"{where} is of a CCD that the run does not have", file=file, place=place, remedy="take it out of the file"
        )
    spans = "; ".join(f"{label}: x {g.xlo:g} to {g.xhi:g}, y {g.ylo:g} to {g.yhi:g}" for label, g in windows.items())
    return BadInput(
        f"{where} lies in no window and is not measured", file=file, place=place, remedy=f"move it into one of them ({spans})"
    )
