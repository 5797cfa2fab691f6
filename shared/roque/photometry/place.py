"""Apertures of one CCD for stars that have been chosen: references, links, radii, masks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from roque.photometry.apertures import Aperture
from roque.photometry.candidates import Candidates
from roque.photometry.catalogue import Catalogue, FieldStar
from roque.photometry.find import APERTURE
from roque.photometry.reference import Reference

__all__ = ["Placed", "Radii", "place_apertures"]

_LINKED = 10.0  # signal to noise in one frame below which a fit would fail often
_MOST_GUIDES = 5
_GUIDE = 20.0  # signal to noise in one frame that further references have at least
_AS_GOOD = 0.4  # merit of further references, in units of the first one's
_HEADROOM = 0.7  # of the saturation level: a reference stays below it in better seeing
_ALONE = 0.3  # height, in units of a reference's, of stars that it may be taken for
_CLEAR = 6.0  # distance from such stars that is enough, FWHM

_LOWEST = 0.25  # of a reference's height, at which it is always found
_ABOVE_NOISE, _ABOVE_OTHERS = 8.0, 1.5  # threshold for references, in units of the sky's noise and of the heights of stars near
_REACH = 5.0  # radius within which stars are near, FWHM

_SKY = (3.0, 4.5)  # radii of the sky annulus, FWHM
_SKY_PIXELS = 400.0  # wanted in the annulus
_MARGIN = 2.0  # between annulus and edge of the window, FWHM/2
_MASK = 1.5  # radius of the mask over a neighbour as bright as the star, FWHM
_DISTURBS = 5.0  # signal to noise in one frame of a neighbour that is masked


@dataclass(frozen=True, slots=True)
class Radii:
    """Radii of a CCD's apertures, unbinned pixels."""

    rtarg: float
    rsky1: float
    rsky2: float


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Apertures of one CCD."""

    apertures: dict[str, Aperture]
    guides: list[str]
    """Labels of the references, best first."""
    radii: Radii
    threshold: float
    """Height above the sky from which a peak near a reference is the reference, ADU."""
    notes: list[str]


def place_apertures(
    ccd: str,
    labels: Mapping[str, FieldStar],
    target: str | None,
    catalogue: Catalogue,
    candidates: Candidates,
    reference: Reference,
) -> Placed | None:
    """Place the apertures of one CCD.

    Parameters
    ----------
    ccd : str
        Label of the CCD.
    labels : dict of str to FieldStar
        Stars to measure, brightest first.
    target : str or None
        Label of the named target: it gets an aperture even if it is saturated.
    catalogue : Catalogue
        All stars of the field.
    candidates : Candidates
        All stars of this CCD.
    reference : Reference
        The CCD's reference frame.

    Returns
    -------
    Placed or None
        A star that this CCD does not show gets its place by reckoning, if that lies inside a window. Such a star, and one
        that is too faint to be fitted frame by frame, is linked to the nearest reference. None if the CCD shows none of the
        stars, or only saturated ones.

    Notes
    -----
    References are bright, below saturation, far from edges and from stars they could be taken for. There are up to five, but
    always some stars that are none. The named target is one only where no other star will do, since it may vanish.
    """
    edges = [float(star.seen[ccd]["edge"]) for star in labels.values() if ccd in star.seen]
    if not edges:
        return None
    radii = _radii(reference, edges)
    places, notes = {}, []
    for label, star in labels.items():
        x, y = catalogue.place(star, ccd)
        seen = star.seen.get(ccd)
        if seen is not None and seen["level"] >= 1.0 and label != target:
            notes.append(f"star {label} is saturated on CCD {ccd} and not measured there")
        elif seen is None and max(g.distance(x, y) for g in reference.geometries.values()) < radii.rtarg:
            notes.append(f"star {label} lies outside the windows of CCD {ccd}")
        else:
            places[label] = (x, y)
    seen_here = {label: labels[label].seen[ccd] for label in places if ccd in labels[label].seen}
    if not seen_here:
        return None
    guides = _references(seen_here, candidates, reference, target)
    apertures = {}
    for label, (x, y) in places.items():
        own = seen_here.get(label)
        follows = label not in guides and (own is None or own["snr"] < _LINKED)
        link = min(guides, key=lambda guide: math.dist(places[guide], (x, y))) if follows else ""
        apertures[label] = Aperture(
            x=x,
            y=y,
            rtarg=radii.rtarg,
            rsky1=radii.rsky1,
            rsky2=radii.rsky2,
            ref=label in guides,
            mask=_masks(x, y, own, candidates, radii, reference.fwhm),
            link=link,
        )
    return Placed(apertures, guides, radii, _threshold([seen_here[label] for label in guides], candidates, reference), notes)


def _references(seen: Mapping[str, np.void], candidates: Candidates, reference: Reference, target: str | None) -> list[str]:
    """Labels of the stars to follow the field with, best first."""
    sizes = {label: min(g.nx * g.xbin, g.ny * g.ybin) / 2.0 for label, g in reference.geometries.items()}

    def merit(label: str) -> float:
        row = seen[label]
        others = candidates[(candidates["peak"] > _ALONE * row["peak"]) & (candidates["window"] == row["window"])]
        apart = np.hypot(others["x"] - row["x"], others["y"] - row["y"])
        clear = float(apart[apart > 0.0].min(initial=math.inf)) / (_CLEAR * reference.fwhm)
        value = math.sqrt(row["snr"]) * row["edge"] / sizes[str(row["window"])] * min(1.0, clear)
        value *= 1.0 if row["level"] < _HEADROOM else 0.01
        return float(value * (0.1 if label == target else 1.0))

    ranked = sorted(seen, key=lambda label: -merit(label))
    best = ranked[0]
    others = [x for x in ranked[1:] if merit(x) > _AS_GOOD * merit(best) and seen[x]["snr"] >= _GUIDE]
    most = min(max(len(seen) // 3 + 1, 1), _MOST_GUIDES)
    return [best, *others[: most - 1]]


def _threshold(guides: list[np.void], candidates: Candidates, reference: Reference) -> float:
    """Height between that of the references and that of what is near them: noise and other stars.

    Not higher than it must be: the references are to be found through clouds.
    """
    reach = max(_REACH * reference.fwhm, 2.0 * reference.step)
    height, disturbing = math.inf, 0.0
    for row in guides:
        apart = np.hypot(candidates["x"] - row["x"], candidates["y"] - row["y"])
        height = min(height, float(row["peak"]))
        disturbing = max(disturbing, float(candidates["peak"][(apart > 0.0) & (apart < reach)].max(initial=0.0)))
    return min(_LOWEST * height, max(_ABOVE_NOISE * reference.noise, _ABOVE_OTHERS * disturbing))


def _radii(reference: Reference, edges: list[float]) -> Radii:
    """Radii from the seeing; the annulus is kept inside the windows where that leaves enough of it."""
    fwhm, geometry = reference.fwhm, next(iter(reference.geometries.values()))
    binning, area = max(geometry.xbin, geometry.ybin), geometry.xbin * geometry.ybin
    rtarg = max(APERTURE * fwhm, 1.5 * binning)
    rsky1 = max(_SKY[0] * fwhm, rtarg + 2.0 * binning)
    wide = max(_SKY[1] * fwhm, math.sqrt(rsky1**2 + _SKY_PIXELS * area / math.pi))
    rsky2 = max(min(wide, float(np.median(edges)) - _MARGIN * fwhm / 2.0), rsky1 + fwhm)
    return Radii(round(rtarg, 2), round(rsky1, 2), round(rsky2, 2))


def _masks(
    x: float, y: float, own: np.void | None, candidates: Candidates, radii: Radii, fwhm: float
) -> tuple[tuple[float, float, float], ...]:
    """Circles over the neighbours in the sky annulus, larger over brighter ones."""
    flux = float(own["flux"]) if own is not None else 0.0
    masks = []
    for other in candidates[candidates["snr"] > _DISTURBS]:
        dx, dy = float(other["x"]) - x, float(other["y"]) - y
        brighter = float(other["flux"]) / max(flux, 1e-3 * float(other["flux"]))
        radius = fwhm * (_MASK + 0.5 * max(0.0, math.log10(brighter)))
        distance = math.hypot(dx, dy)
        if 0.5 * fwhm < distance and radii.rsky1 - radius < distance < radii.rsky2 + radius:
            masks.append((round(dx, 2), round(dy, 2), round(radius, 2)))
    return tuple(masks)
