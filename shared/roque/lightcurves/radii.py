"""Stars measured in several radii: in which one comparison stars scatter least, and how much of the light is in each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.errors import NotFound
from roque.lightcurves._running import running_median, scatter
from roque.lightcurves.ensemble import HARMLESS
from roque.photometry.measurements import RadiusRows

__all__ = ["Judgement", "Radii", "judge", "light_within", "stack"]

Floats = NDArray[np.float64]

_PRESENT = 0.9  # part of the frames that a comparison star must be measured in
_USABLE = 0.5  # part of the frames in which they must be without flags for a radius to be considered
_FEWEST = 5  # frames that a scatter is told from
_WILD = 4.0  # times the scatter from which differences are left out
_GROUP = 51  # frames over which the share of light is followed


@dataclass(frozen=True, eq=False)
class Radii:
    """Stars of a CCD in several radii; arrays of shape (radii, frames, stars), or of one of these.

    Parameters
    ----------
    ccd : str
    stars : tuple of str
        Labels of their apertures.
    factors : array of float64
        Radii as the recipe has them, increasing.
    frames : array of int
        Numbers of the frames, increasing.
    counts, errors : arrays of float64
        NaN where a star was not measured.
    flags : array of uint32
    """

    ccd: str
    stars: tuple[str, ...]
    factors: Floats
    frames: NDArray[np.int32]
    counts: Floats
    errors: Floats
    flags: NDArray[np.uint32]

    @property
    def good(self) -> NDArray[np.bool_]:
        """Where a measurement can be compared with others."""
        with np.errstate(invalid="ignore"):
            return np.asarray((self.counts > 0) & (self.errors > 0) & (self.flags & ~np.uint32(HARMLESS) == 0))


@dataclass(frozen=True, eq=False)
class Judgement:
    """What speaks for each radius of a CCD; arrays of shape (radii,).

    Parameters
    ----------
    ccd : str
    factors : array of float64
    scatter : array of float64
        Relative scatter from point to point of comparison stars against each other; NaN where it cannot be told.
    target_scatter : array of float64
        The same of the target against the comparison stars.
    share, share_error : arrays of float64
        Light in the radius over that in the largest one, the median of the frames, and its scatter from frame to frame.
    best : float or None
        Factor of the radius with the least scatter.
    basis : str
        What was compared, or why nothing could be.
    """

    ccd: str
    factors: Floats
    scatter: Floats
    target_scatter: Floats
    share: Floats
    share_error: Floats
    best: float | None
    basis: str

    @property
    def best_of_target(self) -> float | None:
        """Factor of the radius with the least scatter of the target."""
        known = np.isfinite(self.target_scatter)
        return float(self.factors[np.nanargmin(self.target_scatter)]) if known.any() else None


def stack(ccd: str, parts: Iterable[RadiusRows]) -> Radii:
    """Arrange rows of a CCD as arrays.

    Parameters
    ----------
    ccd : str
    parts : iterable of arrays of dtype `RADIUS`
        In any order.
    """
    kept = []
    for part in parts:
        for star in dict.fromkeys(part["aperture"].tolist()):
            mine = part[part["aperture"] == star]
            kept.append((star, {name: mine[name].copy() for name in ("frame", "factor", "counts", "countse", "flag")}))
    nothing = np.zeros(0)
    stars = list(dict.fromkeys(star for star, _ in kept))
    frames = np.unique(np.concatenate([nothing.astype(np.int32), *(rows["frame"] for _, rows in kept)]))
    factors = np.unique(np.concatenate([nothing, *(rows["factor"] for _, rows in kept)]))
    shape = len(factors), len(frames), len(stars)
    counts, errors = np.full(shape, np.nan), np.full(shape, np.nan)
    flags = np.zeros(shape, np.uint32)
    for star, rows in kept:
        place = np.searchsorted(factors, rows["factor"]), np.searchsorted(frames, rows["frame"]), stars.index(star)
        counts[place], errors[place], flags[place] = rows["counts"], rows["countse"], rows["flag"]
    return Radii(ccd, tuple(stars), factors, frames, counts, errors, flags)


def judge(radii: Radii, target: str) -> Judgement:
    r"""Tell in which radius comparison stars scatter least against each other.

    Parameters
    ----------
    radii : Radii
    target : str
        Label of the star that is no comparison star.

    Notes
    -----
    Each comparison star is divided by the sum of the others; its scatter is the root mean square of the differences of
    successive ratios, less wild ones, over :math:`\sqrt2` and the mean ratio: slow changes, of a star or of the extinction,
    do not count. That of a radius is the mean over the stars, with weights :math:`\min_r(\sigma_s)^{-2}`, so that each speaks
    with the relative gain that a radius means for it. All radii are judged by the same frames. Of a single comparison star the
    ratio with the target is taken. What is best for bright stars need not be so for a target that is much fainter: the
    target's own scatter is given beside it.
    """
    n = len(radii.factors)
    nothing = np.full(n, np.nan)
    share, error = _usual_share(radii)
    mine = radii.stars.index(target) if target in radii.stars else None
    others, usable = _comparisons(radii, mine)
    if not others or (len(others) == 1 and mine is None):
        return Judgement(radii.ccd, radii.factors, nothing, nothing, share, error, None, "there is no comparison star")
    of_target = nothing if mine is None else _scatters(radii, mine, others, usable)
    if len(others) == 1:
        found, basis = of_target, f"star {target} over {radii.stars[others[0]]}: there is one comparison star alone"
    else:
        single = np.array([_scatters(radii, k, [other for other in others if other != k], usable) for k in others])
        least = np.where(np.isfinite(single), single, np.inf).min(axis=1)[:, np.newaxis]
        weights = np.where(np.isfinite(least) & (least > 0), least, np.inf) ** -2.0
        with np.errstate(invalid="ignore"):
            found = np.sqrt(np.where(weights > 0, weights * single**2, 0.0).sum(axis=0) / weights.sum())
        basis = f"stars {', '.join(radii.stars[k] for k in others)} against each other"
    known = np.isfinite(found)
    if not known.any():
        return Judgement(radii.ccd, radii.factors, found, of_target, share, error, None, "too few frames without flags")
    best = float(radii.factors[int(np.nanargmin(found))])
    return Judgement(radii.ccd, radii.factors, found, of_target, share, error, best, basis)


def light_within(radii: Radii, factor: float, star: str) -> tuple[Floats, Floats]:
    r"""Share of the light of a star within a radius, of that within the largest one, frame by frame, told from the other stars.

    Parameters
    ----------
    radii : Radii
    factor : float
        One of its radii.
    star : str
        Label of the star that is to be corrected.

    Returns
    -------
    share, error : array of float64, shape (frames,)
        Counts over the share are those of the largest radius, with the noise of the smaller one (Howell 1989, PASP 101, 616).

    Raises
    ------
    NotFound
        No other star can be used in any frame.

    Notes
    -----
    In a frame it is the ratio :math:`f` of weighted sums over the stars, with weights :math:`T/\sigma_T^2` of their counts in
    the largest radius; its variance follows from :math:`{\rm var}(A - fT) = (1 - 2f)\sigma_A^2 + f^2\sigma_T^2`, as the
    light of the small radius is a part of the large one's. Where stars are too faint to tell it frame by frame, that of the
    frames around counts: each share is drawn towards their running median as far as noise explains that it differs from it.
    """
    others = [k for k, label in enumerate(radii.stars) if label != star]
    share, variance = _shares(radii, int(np.searchsorted(radii.factors, factor)), others)
    if not np.isfinite(share).any():
        remedy = "export without the correction"
        raise NotFound(f"no star beside {star} tells how the light spreads", place=f"CCD {radii.ccd}", remedy=remedy)
    usual = running_median(share, _GROUP)
    usual = np.where(np.isfinite(usual), usual, np.nanmedian(share))
    noise = float(np.nanmedian(variance))
    real = max(0.0, scatter(share - usual) ** 2 - noise)
    part = np.where(np.isfinite(share), real / (real + variance), 0.0) if real > 0 else np.zeros(len(share))
    told = usual + part * (np.nan_to_num(share) - usual) * np.isfinite(share)
    # of a median of n values: 1.25 sigma/sqrt(n)
    floor = 1.25**2 * (noise + real) / min(_GROUP, len(share))
    left = np.where(np.isfinite(share), part * np.nan_to_num(variance), real)
    return told, np.sqrt(left + (1.0 - part) ** 2 * floor)


def _comparisons(radii: Radii, mine: int | None) -> tuple[list[int], NDArray[np.bool_]]:
    """Stars to compare, and the radii that can be judged by them."""
    if not radii.counts.size:
        return [], np.zeros(len(radii.factors), bool)
    good = radii.good
    present = good.mean(axis=1)  # (radii, stars)
    best = present.max(axis=0)
    others = [k for k in range(len(radii.stars)) if k != mine and best[k] > 0]
    enough = _PRESENT * max((best[k] for k in others), default=0.0)
    others = [k for k in others if best[k] >= enough]
    together = good[:, :, others].all(axis=2).mean(axis=1) if others else np.zeros(len(radii.factors))
    return others, together >= _USABLE * together.max(initial=0.0) if together.any() else np.zeros(len(together), bool)


def _scatters(radii: Radii, star: int, others: list[int], usable: NDArray[np.bool_]) -> Floats:
    """Scatter of a star over the sum of others in each radius, all of the same frames."""
    found = np.full(len(radii.factors), np.nan)
    all_of_them = [star, *others]
    good = np.asarray(radii.good[:, :, all_of_them].all(axis=2))
    frames = np.asarray(good[usable].all(axis=0)) if usable.any() else np.zeros(len(radii.frames), bool)
    for r in np.flatnonzero(usable) if frames.sum() >= _FEWEST else ():
        counts = radii.counts[r][frames]
        found[r] = _point_to_point(counts[:, star] / counts[:, others].sum(axis=1))
    return found


def _point_to_point(values: Floats) -> float:
    steps = np.diff(values) / values.mean()
    usual = scatter(steps)
    kept = steps[np.abs(steps) <= _WILD * usual] if usual > 0 else steps
    return float(np.sqrt(np.mean(kept**2) / 2.0))


def _shares(radii: Radii, r: int, stars: list[int]) -> tuple[Floats, Floats]:
    """Share of the light within a radius in each frame, and its variance; NaN where no star tells it."""
    good = (radii.good[r] & radii.good[-1])[:, stars]
    inner, whole = radii.counts[r][:, stars], radii.counts[-1][:, stars]
    inner_error, whole_error = radii.errors[r][:, stars], radii.errors[-1][:, stars]
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = _medians(np.where(good, whole, np.nan)) / _medians(np.where(good, whole_error, np.nan)) ** 2
        weights = np.where(good, np.nan_to_num(weights, posinf=0.0), 0.0)
        total = np.sum(weights * np.where(good, whole, 0.0), axis=1)
        share = np.sum(weights * np.where(good, inner, 0.0), axis=1) / total
        f = share[:, np.newaxis]
        single = (1.0 - 2.0 * f) * inner_error**2 + (f * whole_error) ** 2
        variance = np.sum(weights**2 * np.where(good, single, 0.0), axis=1) / total**2
    return share, np.maximum(variance, 0.0)


def _usual_share(radii: Radii) -> tuple[Floats, Floats]:
    everything = list(range(len(radii.stars)))
    found = [_shares(radii, r, everything)[0] for r in range(len(radii.factors))] if radii.counts.size else []
    return (
        np.array([_medians(share[:, np.newaxis])[0] for share in found]),
        np.array([scatter(share) for share in found]),
    )


def _medians(columns: NDArray[Any]) -> Floats:
    """Median of each column without its NaN; NaN for a column that has nothing else."""
    return np.array([np.median(known) if len(known := column[np.isfinite(column)]) else np.nan for column in columns.T])
