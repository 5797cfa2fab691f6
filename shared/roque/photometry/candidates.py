"""The stars of one CCD and what decides whether they can be measured: signal, saturation, neighbours, edges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.photometry.find import APERTURE, STAR, Stars, find_stars
from roque.photometry.reference import Reference, positions

__all__ = ["CANDIDATE", "Candidates", "find_candidates"]

CANDIDATE = np.dtype(
    [
        *((name, STAR[name]) for name in STAR.names or ()),  # snr is that of one frame
        ("level", "f8"),  # brightest raw pixel in all frames, in units of the saturation level
        ("spill", "f8"),  # light of the neighbours in the star's aperture, in units of its own
    ]
)

Candidates = NDArray[np.void]
"""Structured array of dtype `CANDIDATE`, brightest first."""

Floats = NDArray[np.floating[Any]]

_SHAPES = (0.5, 2.0)  # FWHM on the average, in units of that on single frames
_SURE = 7.0  # signal to noise on the average below which a detection may be noise
_SHARP = 15.0  # signal to noise on one frame from which the position on that frame is better than the average's
_WINGS = 3.5  # beta of the Moffat profile that the light of neighbours is reckoned with


def find_candidates(reference: Reference, *, gain: float, saturation: float) -> Candidates:
    """Find the stars of a CCD on its reference frame and judge them on the frames that went into it.

    Parameters
    ----------
    reference : Reference
        Average of the frames.
    gain : float
        Electrons per count.
    saturation : float
        Raw level from which pixels are saturated, ADU.

    Returns
    -------
    Candidates
        Stars of all windows, brightest first, in the coordinates of the reference.
    """
    found = []
    for label, image in reference.images.items():
        stars = find_stars(image, reference.geometries[label], window=label, gain=gain * reference.count).stars
        stars["x"] -= reference.offsets[label][0]
        stars["y"] -= reference.offsets[label][1]
        found.append(stars)
    stars = np.concatenate(found)
    stars = stars[np.argsort(-stars["flux"], kind="stable")]
    if math.isfinite(reference.fwhm):
        relative = stars["fwhm"] / reference.fwhm
        stars = stars[(relative > _SHAPES[0]) & (relative < _SHAPES[1])]
    stars = stars[stars["snr"] > _SURE]
    candidates = np.zeros(len(stars), CANDIDATE)
    for field in STAR.names or ():
        candidates[field] = stars[field]
    candidates["snr"] = _signal_to_noise(stars, reference, gain)
    candidates["level"] = _levels(stars, reference) / saturation
    candidates["spill"] = _spill(stars)
    _place_on_first(candidates, reference)
    return candidates


def _signal_to_noise(stars: Stars, reference: Reference, gain: float) -> Floats:
    """Signal to noise in one frame."""
    area = {label: g.xbin * g.ybin for label, g in reference.geometries.items()}
    pixels = math.pi * (APERTURE * stars["fwhm"]) ** 2 / np.array([area[label] for label in stars["window"]])
    snr: Floats = stars["flux"] / np.sqrt(pixels * reference.noise**2 + np.maximum(stars["flux"], 0.0) / gain)
    return snr


def _levels(stars: Stars, reference: Reference) -> Floats:
    """Brightest raw count of each star in any frame, in the 3 x 3 pixels around its centre."""
    levels = np.zeros(len(stars))
    steps = np.array([-1, 0, 1])
    for label, geometry in reference.geometries.items():
        here = np.flatnonzero(stars["window"] == label)
        columns = np.rint((stars["x"][here] - geometry.x(0)) / geometry.xbin).astype(np.intp)
        rows = np.rint((stars["y"][here] - geometry.y(0)) / geometry.ybin).astype(np.intp)
        j = (rows[:, None, None] + steps[None, :, None]).clip(0, geometry.ny - 1)
        i = (columns[:, None, None] + steps[None, None, :]).clip(0, geometry.nx - 1)
        levels[here] = np.nan_to_num(reference.brightest[label][j, i]).max(axis=(1, 2), initial=0.0)
    return levels


def _spill(stars: Stars) -> Floats:
    """Light of all other stars in each star's aperture, in units of its own."""
    if len(stars) < 2:
        return np.zeros(len(stars))
    fwhm = float(np.median(stars["fwhm"]))
    xy = positions(stars)
    apart = np.sqrt(((xy[:, None, :] - xy[None, :, :]) ** 2).sum(axis=2)) / fwhm
    np.fill_diagonal(apart, np.inf)
    at = np.linspace(0.0, 12.0, 121)
    share = np.interp(apart, at, _share(at), right=0.0)
    spill: Floats = (share * stars["flux"][None, :]).sum(axis=1) / stars["flux"]
    return spill


def _share(at: Floats) -> Floats:
    """Share of a star's light that falls into an aperture at a distance; both in FWHM."""
    step = np.linspace(-APERTURE, APERTURE, 37)
    dx, dy = np.meshgrid(step, step)
    inside = np.hypot(dx, dy) < APERTURE
    r2 = (at[:, None] + dx[inside][None, :]) ** 2 + dy[inside][None, :] ** 2
    a = 4.0 * (2.0 ** (1.0 / _WINGS) - 1.0)
    profile = (_WINGS - 1.0) * a / math.pi * (1.0 + a * r2) ** -_WINGS
    share: Floats = profile.sum(axis=1) * (step[1] - step[0]) ** 2
    return share


def _place_on_first(candidates: Candidates, reference: Reference) -> None:
    """Take the position on the first frame where the star is bright enough there."""
    if not len(candidates) or not len(reference.first):
        return
    binning = max(max(g.xbin, g.ybin) for g in reference.geometries.values())
    first = positions(reference.first)
    square = ((positions(candidates)[:, None, :] - first[None, :, :]) ** 2).sum(axis=2)
    nearest = square.argmin(axis=1)
    reach = max(0.5 * reference.fwhm, binning)
    same = (candidates["snr"] > _SHARP) & (square[np.arange(len(candidates)), nearest] < reach**2)
    candidates["x"][same] = reference.first["x"][nearest[same]]
    candidates["y"][same] = reference.first["y"][nearest[same]]
