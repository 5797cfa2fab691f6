"""Apertures without a hand: which stars are measured, numbered the same on all CCDs, and with which radii."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from roque.calibration.apply import Calibrator
from roque.errors import BadInput
from roque.frames import Frame
from roque.photometry.apertures import Apertures
from roque.photometry.candidates import Candidates, find_candidates
from roque.photometry.catalogue import Catalogue, FieldStar, make_catalogue
from roque.photometry.find import APERTURE
from roque.photometry.place import Radii, place_apertures
from roque.photometry.reference import Reference, average_frames

__all__ = ["AutomaticApertures", "NoStar", "automatic_apertures"]

_MOST_STARS = 32  # per CCD
_MEASURABLE = 10.0  # signal to noise in one frame of a comparison star
_SPILL = 0.03  # neighbours' light in the aperture of an isolated star, in units of its own
_CLOSE = 5.0  # distance of the named target from the star that is meant, unbinned pixels at binning 1


class NoStar(BadInput):
    """No CCD shows a star that can be measured."""


@dataclass(frozen=True, slots=True, eq=False)
class AutomaticApertures:
    """Apertures found on the first frames of a run, and what was measured on the way."""

    apertures: Apertures
    """By CCD and label: '1' is the brightest star, and a label is one star on all CCDs."""
    target: str
    """Label of the target."""
    seeing: dict[str, float]
    """FWHM in the first frames, by CCD, unbinned pixels."""
    radii: dict[str, Radii]
    """Radii of the apertures, by CCD."""
    thresholds: dict[str, float]
    """Height above the sky from which a peak near a reference is the reference, by CCD, ADU."""
    step: float
    """Largest shift of the field from one of the first frames to the next, on any CCD, unbinned pixels."""
    notes: list[str]
    """What a person should know: CCDs and stars left out, and why."""


def automatic_apertures(
    frames: Sequence[Frame],
    calibrator: Calibrator,
    *,
    run: str,
    gain: Mapping[str, float],
    saturation: Mapping[str, float],
    target: tuple[float, float] | None = None,
) -> AutomaticApertures:
    """Find the stars of a run on its first frames and place apertures on them.

    Parameters
    ----------
    frames : sequence of Frame
        The first `frames_needed` frames, or all if there are fewer.
    calibrator : Calibrator
        Masters, prepared for the run.
    run : str
        Name of the run, for messages.
    gain : dict of str to float
        Electrons per count, by CCD.
    saturation : dict of str to float
        Raw level from which pixels are saturated, by CCD, ADU.
    target : (float, float), optional
        Position of the target on the first frame, unbinned pixels. Without it the target is the brightest star that is no
        reference: comparison stars are chosen brighter than what is observed against them.

    Returns
    -------
    AutomaticApertures
        Positions are those on the first frame.

    Raises
    ------
    NoStar
        No CCD shows a star that can be measured.
    BadInput
        No star lies where the target is said to be.

    Notes
    -----
    Stars that are isolated, unsaturated and bright enough on one CCD at least get a number, the brightest 32 of them; the
    named target gets one in any case. `roque.photometry.place` says how they are measured on each CCD.
    """
    notes: list[str] = []
    used = {name: [f.ccds[name] for f in frames if name in f.ccds and f.ccds[name].data_ok] for name in frames[0].ccds}
    notes += [f"CCD {name} has no data in the first {len(frames)} frames" for name, ccds in used.items() if not ccds]
    references = {name: average_frames(name, ccds, calibrator) for name, ccds in used.items() if ccds}
    candidates = {name: find_candidates(r, gain=gain[name], saturation=saturation[name]) for name, r in references.items()}
    catalogue = make_catalogue(candidates, {name: r.fwhm for name, r in references.items()}, _binning(references))
    notes += [f"the stars of CCD {name} were not recognised on the other CCDs" for name in catalogue.unmatched]
    named = None if target is None else _named(catalogue, target, run, _binning(references))
    chosen = _choose(catalogue, named)
    if not chosen:
        raise _nothing(run, candidates, len(frames))
    return _assemble(chosen, named, catalogue, candidates, references, notes)


def _binning(references: Mapping[str, Reference]) -> int:
    return max((max(g.xbin, g.ybin) for r in references.values() for g in r.geometries.values()), default=1)


def _choose(catalogue: Catalogue, named: FieldStar | None) -> list[FieldStar]:
    """Stars to be measured, brightest first."""

    def comparison(star: FieldStar) -> bool:
        return any(
            row["snr"] >= _MEASURABLE and row["spill"] < _SPILL and row["level"] < 1.0 and row["edge"] > APERTURE * row["fwhm"]
            for row in star.seen.values()
        )

    good = [star for star in catalogue.stars if comparison(star)][:_MOST_STARS]
    return [star for star in catalogue.stars if star is named or any(star is other for other in good)]


def _named(catalogue: Catalogue, target: tuple[float, float], run: str, binning: int) -> FieldStar:
    """Find the star that lies nearest to where the target is said to be, on any CCD."""

    def nearest(star: FieldStar) -> tuple[float, float, float]:
        places = [(float(row["x"]), float(row["y"])) for row in star.seen.values()]
        return min((math.dist(target, place), *place) for place in places)

    ranked = sorted(catalogue.stars, key=nearest)
    if ranked and nearest(ranked[0])[0] <= _CLOSE * binning:
        return ranked[0]
    seen = ", ".join(f"({x:.1f}, {y:.1f})" for _, x, y in map(nearest, ranked[:3]))
    raise BadInput(
        f"no star within {_CLOSE * binning:.0f} pixels of the target's position ({target[0]:.1f}, {target[1]:.1f})",
        file=run,
        place="first frame",
        remedy=f"name one of the nearest stars: {seen}" if seen else "no star was found at all: look at the first frame",
    )


def _nothing(run: str, candidates: Mapping[str, Candidates], count: int) -> NoStar:
    some = any(len(found) for found in candidates.values())
    ccds = ", ".join(candidates) or "none"
    return NoStar(
        "all stars are saturated, blended, at the edge or too faint" if some else "no star found",
        file=run,
        place=f"CCD {ccds}, average of the first {count} frames" if count > 1 else f"CCD {ccds}, the only frame",
        remedy=f"look at the frames, place apertures by hand and put them beside the run as {run.rpartition('/')[2]}.ape,"
        " or name their file with --apertures",
    )


def _assemble(
    chosen: list[FieldStar],
    named: FieldStar | None,
    catalogue: Catalogue,
    candidates: Mapping[str, Candidates],
    references: Mapping[str, Reference],
    notes: list[str],
) -> AutomaticApertures:
    labels = {str(k): star for k, star in enumerate(chosen, 1)}
    target = next((label for label, star in labels.items() if star is named), None)
    placed = {}
    for ccd, reference in references.items():
        mine = place_apertures(ccd, labels, target, catalogue, candidates[ccd], reference)
        if mine is None:
            notes.append(f"CCD {ccd} shows none of the stars unsaturated: it is left out")
            continue
        placed[ccd] = mine
        notes += mine.notes
    if target is None:
        target = _default_target(labels, {label for ccd in placed.values() for label in ccd.guides})
    return AutomaticApertures(
        apertures={ccd: p.apertures for ccd, p in placed.items()},
        target=target,
        seeing={ccd: references[ccd].fwhm for ccd in placed},
        radii={ccd: p.radii for ccd, p in placed.items()},
        thresholds={ccd: p.threshold for ccd, p in placed.items()},
        step=max(references[ccd].step for ccd in placed),
        notes=notes,
    )


def _default_target(labels: Mapping[str, FieldStar], guides: set[str]) -> str:
    """Brightest star that is no reference on any CCD; the faintest one if all are."""
    return next((label for label in labels if label not in guides), list(labels)[-1])
