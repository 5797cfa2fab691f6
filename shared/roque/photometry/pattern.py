"""The pattern of a CCD's stars: kept from a frame in which they were surely followed, found again where that is in doubt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roque.frames import Geometry
from roque.photometry.match import pair_up

__all__ = ["Found", "Pattern", "View", "find_pattern"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Indices = NDArray[np.int64]

_TRIALS = 64  # shifts that most pairs of stars vote for
_ALIKE, _NOISE = math.log(1.5), 3.0  # difference of brightness of what may be the same star, and sigmas that are added
_FAINT = 1.5  # times the limit of detection from which a star should be seen
_MARGIN = 2.0  # FWHM from the edge of a window inside which a star should be seen
_MOST = 1.5  # stars that agree for each one that does not, but for one that may have vanished or appeared
_BRIGHTER = 3.0  # than it was: no lonely star is taken for the one that is missing
_FEW = 2  # stars that may not have moved far, and stars of a pattern of which a single one is enough
_DIMMER, _AS_BRIGHT = 0.2, 2.0  # between these brightnesses
_FARTHEST = 75.0  # that so few stars as one or two may have moved, binned pixels


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """Stars of a CCD on a frame."""

    stars: Floats
    """x, y (unbinned pixels) and flux (ADU) of each, brightest first."""
    anchor: tuple[float, float]
    """Mean position of the references on that frame."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Stars seen on a frame."""

    stars: Floats
    """x, y, flux and signal to noise of each, brightest first."""
    limit: float
    """Flux from which a star is seen, ADU."""
    windows: Sequence[Geometry]
    fwhm: float
    """Unbinned pixels."""


@dataclass(frozen=True, slots=True)
class Found:
    """Where the pattern is: shift since the frame before, unbinned pixels, and whether too few stars are seen to be sure."""

    dx: float
    dy: float
    sure: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """What speaks for a shift and against it."""

    shift: Floats
    ratio: float
    met: int
    missing: int
    new: int

    @property
    def score(self) -> int:
        return self.met - self.missing - self.new

    @property
    def distance(self) -> float:
        return math.hypot(*self.shift)


def find_pattern(pattern: Pattern, view: View, anchor: tuple[float, float], *, tolerance: float, reach: float) -> Found | None:
    """Find the stars of a pattern among those of a frame.

    Parameters
    ----------
    pattern : Pattern
        Stars of an earlier frame.
    view : View
        Stars of this one.
    anchor : (float, float)
        Mean position of the reference apertures before this frame: where the pattern was last.
    tolerance : float
        Distance up to which two positions are the same star, unbinned pixels.
    reach : float
        Farthest that a single star may have moved, unbinned pixels.

    Returns
    -------
    Found or None
        None where nothing is seen, or no shift can be believed.

    Notes
    -----
    Pairs of stars vote for shifts. For a shift speak the stars that meet and have one ratio of brightness, the transmission;
    against it those that should be seen and are not, and those that are seen and should have been. One of each is
    forgiven: stars vanish, that is why they are observed. Of several shifts that could be believed none is.
    """
    if not len(view.stars) or not len(pattern.stars):
        return None
    moved = np.array(anchor) - np.array(pattern.anchor)
    trials = _trials(pattern.stars[:, :2] + moved, pattern, view, tolerance)
    cases = [_judge(pattern, view, moved, *trial, tolerance) for trial in trials]
    farthest = _FARTHEST * max(max(g.xbin, g.ybin) for g in view.windows)
    cases = [case for case in cases if case.met > _FEW or case.distance <= farthest]
    if not cases:
        return None
    best = max(cases, key=lambda case: (case.score, -case.distance))
    rivals = [case.score for case in cases if math.hypot(*(case.shift - best.shift)) > 2.0 * tolerance]
    if max(rivals, default=-math.inf) > best.score - max(1, best.met // 2):
        return None
    return _believe(best, len(pattern.stars), reach)


def _believe(case: _Case, stars: int, reach: float) -> Found | None:
    missing, new = max(0, case.missing - 1), max(0, case.new - 1)
    sure = True
    if case.met > _FEW:
        believed = case.met >= _MOST * max(missing, new)
    elif case.met == 2:
        believed = missing == new == 0
    else:
        believed = missing == case.new == 0 and case.distance <= reach and case.ratio < _BRIGHTER
        sure = stars <= _FEW and _DIMMER < case.ratio < _AS_BRIGHT
    return Found(float(case.shift[0]), float(case.shift[1]), sure) if believed else None


def _trials(now: Floats, pattern: Pattern, view: View, tolerance: float) -> list[tuple[Floats, float]]:
    """Shifts to try, with the ratio of brightness of the pair of stars that each comes from."""
    shifts = (view.stars[None, :, :2] - now[:, None, :]).reshape(-1, 2)
    ratios = (view.stars[None, :, 2] / pattern.stars[:, None, 2]).ravel()
    cells = np.floor((shifts - shifts.min(axis=0)) / tolerance).astype(np.int64) + 1
    width = int(cells[:, 1].max()) + 2
    keys = cells[:, 0] * width + cells[:, 1]
    taken, counts = np.unique(keys, return_counts=True)
    votes = np.zeros(len(keys), np.int64)
    for step in (-width - 1, -width, -width + 1, -1, 0, 1, width - 1, width, width + 1):
        place = np.minimum(np.searchsorted(taken, keys + step), len(taken) - 1)
        votes += np.where(taken[place] == keys + step, counts[place], 0)
    order = np.lexsort((np.hypot(shifts[:, 0], shifts[:, 1]), -votes))[:_TRIALS]
    return [(shifts[k], float(ratios[k])) for k in order]


def _judge(pattern: Pattern, view: View, moved: Floats, shift: Floats, ratio: float, tolerance: float) -> _Case:
    """Weigh a shift; `moved` is how far the field had moved before."""
    now, flux = pattern.stars[:, :2] + moved, pattern.stars[:, 2]
    seen, light, snr = view.stars[:, :2], view.stars[:, 2], view.stars[:, 3]
    met = 0
    i = j = np.zeros(0, np.int64)
    for _ in range(2):
        i, j = pair_up(now + shift, seen, tolerance)
        difference = np.log(light[j] / flux[i] / ratio)
        alike = np.abs(difference) < _ALIKE + _NOISE / snr[j]
        met = int(alike.sum())
        if not met:
            break
        shift = np.median(seen[j[alike]] - now[i[alike]], axis=0)
        ratio *= math.exp(float(np.median(difference[alike])))
    missing = _inside(view, now + shift) & (flux * ratio > _FAINT * view.limit)
    new = _inside(view, seen - shift - moved) & _inside(view, seen) & (light / ratio > _FAINT * flux[-1])
    # a star that meets another of other brightness may be a variable one: it speaks neither for nor against
    missing[i] = new[j] = False
    return _Case(shift, ratio, met, int(missing.sum()), int(new.sum()))


def _inside(view: View, xy: Floats) -> Bools:
    """Whether positions are well inside a window."""
    margin = _MARGIN * view.fwhm
    inside = np.zeros(len(xy), np.bool_)
    for g in view.windows:
        inside |= (
            (xy[:, 0] > g.xlo + margin)
            & (xy[:, 0] < g.xhi - margin)
            & (xy[:, 1] > g.ylo + margin)
            & (xy[:, 1] < g.yhi - margin)
        )
    return inside
