"""The reference frame: the first frames of a run laid over each other, to find stars and place apertures on."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roque.calibration.apply import Calibrator
from roque.frames import CCD, Box, Geometry
from roque.photometry.find import Stars, find_stars, typical_fwhm
from roque.photometry.match import IDENTITY, Transform, match_positions

__all__ = ["Reference", "average_frames", "positions"]

Floats = NDArray[np.floating[Any]]

_FARTHEST = 60.0  # shift from one frame to the next, binned pixels
_NEAR = 0.7  # of the FWHM: positions in two frames that are one star
_STARS = 100  # brightest ones, enough to lay frames over each other


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """The average of one CCD's first frames, in the coordinates of the first that shows stars."""

    images: dict[str, Floats]
    """Median of the processed counts less the sky, by label of the window; shape (ny, nx), NaN where no frame reaches."""
    brightest: dict[str, Floats]
    """Largest raw counts of any frame, on the same pixels."""
    geometries: dict[str, Geometry]
    """Where the windows lie."""
    offsets: dict[str, tuple[float, float]]
    """What to take off positions on an image to have them in the first frame's coordinates, unbinned pixels."""
    anchor: int
    """Index of the frame whose coordinates are used."""
    count: int
    """How many frames are averaged."""
    first: Stars
    """Stars of the frame whose coordinates are used, all windows, brightest first."""
    step: float
    """Largest shift of the field from one frame to the next, unbinned pixels."""
    fwhm: float
    """Median over the frames (or of the average if no single frame shows a star), unbinned pixels; NaN without stars."""
    noise: float
    """Noise of the sky in one frame, RMS counts per binned pixel."""


def average_frames(name: str, ccds: Sequence[CCD], calibrator: Calibrator) -> Reference:
    """Lay the frames of a CCD over each other and take their median.

    Parameters
    ----------
    name : str
        Label of the CCD.
    ccds : sequence of CCD
        The CCD in one frame after the other, at least one; read-outs without data left out.
    calibrator : Calibrator
        Masters, prepared for the run.

    Returns
    -------
    Reference
        The average. Its FWHM is NaN if it shows no star.

    Notes
    -----
    Frames are laid over each other by their own stars, each with the frame before as a guess, so that a field may drift by
    many pixels in all. A frame in which the stars are not recognised is left out (clouds). Whole pixels are moved: hot
    pixels stay single ones, and the median drops those that the field has drifted over. If no frame shows a star, all are
    averaged as they lie.
    """
    frames = [_look(name, ccd, calibrator) for ccd in ccds]
    geometries = {label: window.geometry for label, window in ccds[0].windows.items()}
    stars = [frame.stars for frame in frames]
    fwhm = _seeing(stars)
    anchor, transforms = _register(stars, fwhm, _binning(geometries))
    averages, brightest, offsets = {}, {}, {}
    for label, geometry in geometries.items():
        stack = np.stack([_laid(frames[k].counts[label], geometry, t) for k, t in transforms.items()])
        averages[label] = _median_of_known(stack)
        raw = (_laid(np.asarray(ccds[k].windows[label].read(_whole(geometry))), geometry, t) for k, t in transforms.items())
        brightest[label] = functools.reduce(np.fmax, raw)
        offsets[label] = _offset(geometry, list(transforms.values()))
    return Reference(
        images=averages,
        brightest=brightest,
        geometries=geometries,
        offsets=offsets,
        anchor=anchor,
        count=len(transforms),
        first=stars[anchor],
        step=_largest_step(geometries, list(transforms.values())),
        fwhm=fwhm if math.isfinite(fwhm) else _seeing([find_stars(averages[k], g).stars for k, g in geometries.items()]),
        noise=_median([noise for frame in frames for noise in frame.noises]),
    )


class _Look(NamedTuple):
    """One frame."""

    counts: dict[str, Floats]
    """Processed counts less their median."""
    stars: Stars
    noises: list[float]


def _look(name: str, ccd: CCD, calibrator: Calibrator) -> _Look:
    counts, stars, noises = {}, [], []
    for label in ccd.windows:
        calibrated = calibrator.window(name, ccd, label)
        field = find_stars(calibrated.proc, calibrated.geometry, window=label, gain=float(np.median(calibrated.G)))
        counts[label] = calibrated.proc - _level(calibrated.proc)
        stars.append(field.stars)
        noises.append(field.noise)
    together = np.concatenate(stars)
    return _Look(counts, together[np.argsort(-together["flux"], kind="stable")], [n for n in noises if math.isfinite(n)])


def _level(counts: Floats) -> float:
    known = counts[np.isfinite(counts)]
    return float(np.median(known)) if known.size else 0.0


def _seeing(stars: list[Stars]) -> float:
    return _median([typical_fwhm(s) for s in stars if len(s)])


def _binning(geometries: Mapping[str, Geometry]) -> int:
    return max(max(g.xbin, g.ybin) for g in geometries.values())


def _whole(geometry: Geometry) -> Box:
    return Box(0, geometry.ny, 0, geometry.nx)


def positions(stars: Stars) -> NDArray[np.float64]:
    """Positions of stars, shape (n, 2)."""
    return np.stack([stars["x"], stars["y"]], axis=-1)


def _median(values: list[float]) -> float:
    return float(np.median(values)) if values else math.nan


def _register(stars: list[Stars], fwhm: float, binning: int) -> tuple[int, dict[int, Transform]]:
    """Frame to start from, the first with its fair share of stars, and the transforms from it to those that match it."""
    most = max(len(s) for s in stars)
    if not most:
        return 0, dict.fromkeys(range(len(stars)), IDENTITY)
    anchor = next(k for k, s in enumerate(stars) if len(s) >= 0.5 * most)
    transforms, guess = {anchor: IDENTITY}, IDENTITY
    start = positions(stars[anchor][:_STARS])
    tolerance = max(_NEAR * fwhm, 1.5 * binning)
    for k in range(anchor + 1, len(stars)):
        match = match_positions(
            start, positions(stars[k][:_STARS]), tolerance=tolerance, max_shift=_FARTHEST * binning, guess=guess
        )
        if match is not None and len(match.first) >= 0.5 * min(len(start), len(stars[k]), _STARS):
            transforms[k] = guess = match.transform
    return anchor, transforms


def _largest_step(geometries: Mapping[str, Geometry], transforms: list[Transform]) -> float:
    places = np.stack([transform(np.array([_centre(g) for g in geometries.values()])) for transform in transforms])
    steps = np.diff(places, axis=0)
    return float(np.hypot(steps[..., 0], steps[..., 1]).max(initial=0.0))


def _centre(geometry: Geometry) -> tuple[float, float]:
    return (geometry.xlo + geometry.xhi) / 2.0, (geometry.ylo + geometry.yhi) / 2.0


def _shift(geometry: Geometry, transform: Transform) -> tuple[float, float]:
    """Shift of a window's centre, binned pixels."""
    centre = np.array(_centre(geometry))
    dx, dy = (transform(centre) - centre).tolist()
    return dx / geometry.xbin, dy / geometry.ybin


def _offset(geometry: Geometry, transforms: list[Transform]) -> tuple[float, float]:
    """Mean of what is lost by moving whole pixels."""
    shifts = np.array([_shift(geometry, t) for t in transforms if _is_shift(geometry, t)])
    if not len(shifts):
        return 0.0, 0.0
    lost = (shifts - np.rint(shifts)).sum(axis=0) / len(transforms)
    return float(lost[0]) * geometry.xbin, float(lost[1]) * geometry.ybin


def _is_shift(geometry: Geometry, transform: Transform) -> bool:
    """Whether rotation and scale move the corners of a window by less than half a pixel against its centre."""
    reach = math.hypot(geometry.nx, geometry.ny) / 2.0
    return math.hypot(transform.a - 1.0, transform.b) * reach < 0.5


def _laid(image: Floats, geometry: Geometry, transform: Transform) -> Floats:
    """Counts of the nearest pixel of a frame at each pixel of the reference; NaN beyond the window."""
    ny, nx = image.shape
    j, i = np.arange(ny)[:, None], np.arange(nx)[None, :]
    if _is_shift(geometry, transform):
        dx, dy = _shift(geometry, transform)
        rows, columns = np.broadcast_arrays(j + round(dy), i + round(dx))
    else:
        x, y = np.broadcast_arrays(geometry.x(0) + i * geometry.xbin, geometry.y(0) + j * geometry.ybin)
        there = transform(np.stack([x, y], axis=-1))
        columns = np.rint((there[..., 0] - geometry.x(0)) / geometry.xbin).astype(np.intp)
        rows = np.rint((there[..., 1] - geometry.y(0)) / geometry.ybin).astype(np.intp)
    inside = (rows >= 0) & (rows < ny) & (columns >= 0) & (columns < nx)
    laid: Floats = image[rows.clip(0, ny - 1), columns.clip(0, nx - 1)]
    laid[~inside] = np.nan
    return laid


def _median_of_known(stack: Floats) -> Floats:
    """Median over the first axis of what is finite; NaN where nothing is."""
    stack[~np.isfinite(stack)] = np.nan
    ordered = np.sort(stack, axis=0)  # NaN comes last
    count = np.isfinite(ordered).sum(axis=0)
    low, high = np.maximum(count - 1, 0) // 2, np.maximum(count, 1) // 2
    middle = (np.take_along_axis(ordered, low[None], axis=0)[0] + np.take_along_axis(ordered, high[None], axis=0)[0]) / 2.0
    median: Floats = np.where(count > 0, middle, np.nan)
    return median
