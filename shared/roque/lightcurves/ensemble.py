"""The light of a star over that of the other good stars of its CCD."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.errors import NotFound
from roque.lightcurves._running import running_median, scatter
from roque.lightcurves.scintillation import Scintillation
from roque.lightcurves.series import Series
from roque.photometry.flags import TRACKING, Flag
from roque.photometry.measurements import Measurements

__all__ = ["HARMLESS", "LIGHT_CURVE", "Comparison", "LightCurve", "light_curves"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LIGHT_CURVE = np.dtype(
    [
        ("frame", "i4"),
        ("mjd_int", "i4"),  # mid-exposure MJD(UTC), integer part
        ("mjd_frac", "f8"),
        ("exposure", "f8"),  # s
        ("ratio", "f8"),
        ("ratio_error", "f8"),
        ("flags", "u4"),
    ]
)

HARMLESS = Flag.SKY_AT_EDGE | Flag.BAD_TIME | TRACKING | Flag.BAD_PIXELS | Flag.COSMIC_RAY
"""Flags with which a comparison star is used all the same; with any other one it is left out of the frame."""

_DAY = 86400.0
_PRESENT = 0.9  # part of the frames that a comparison star must be measured in
_SATURATED = 0.02  # part of the frames in which it may be saturated
_USUAL = 1.25  # times the expected scatter up to which a star counts in full: scatters are not known better
_NOISY = 3.0  # times the scatter expected of it, and seen in the others
_OUTLIER = 6.0  # sigma at which a star is left out of a frame
_TREND = 21  # frames that a trend is followed over
_TURNS = 6


@dataclass(frozen=True)
class Comparison:
    """What was made of a comparison star: its weight in the sum, at most 1, or 0 and why."""

    label: str
    weight: float
    reason: str


@dataclass(frozen=True)
class LightCurve:
    """Light curve of a star in a CCD.

    Parameters
    ----------
    ccd, star : str
        Labels of the CCD and of the aperture.
    comparisons : tuple of Comparison
        The other stars, used or not.
    rows : array of dtype `LIGHT_CURVE`
        A row for each frame, NaN where it was not measured. Flags are those of the star; those of the comparison stars are
        added where they were asked for by name, and where none of them could be used.
    """

    ccd: str
    star: str
    comparisons: tuple[Comparison, ...]
    rows: NDArray[np.void]

    def series(self) -> Series:
        """As a series: times are MJD(UTC), exposures in days."""
        rows = self.rows
        mjd, exposure = rows["mjd_int"] + rows["mjd_frac"], rows["exposure"] / _DAY
        return Series(mjd, rows["ratio"].copy(), rows["ratio_error"].copy(), rows["flags"].copy(), exposure)


@dataclass(frozen=True)
class _Stars:
    """Other stars of a CCD; arrays of shape (frames, stars)."""

    labels: list[str]
    counts: Floats
    errors: Floats
    flags: NDArray[np.uint32]
    good: Bools

    def take(self, which: Sequence[int] | NDArray[np.intp]) -> _Stars:
        index = np.asarray(which, np.intp)
        labels = [self.labels[k] for k in index]
        return _Stars(labels, self.counts[:, index], self.errors[:, index], self.flags[:, index], self.good[:, index])


def light_curves(
    measurements: Measurements,
    star: str,
    *,
    comparisons: Sequence[str] | None = None,
    times: NDArray[np.void] | None = None,
    scintillation: Scintillation | None = None,
) -> dict[str, LightCurve]:
    r"""Divide a star by the sum of the good other stars, CCD by CCD.

    Parameters
    ----------
    measurements : array of dtype `MEASUREMENT`
        Of one run.
    star : str
        Label of its aperture.
    comparisons : sequence of str, optional
        Labels of the stars to divide by, all of which are then used, whatever their flags. By default good ones are
        chosen: measured in nearly all frames, not saturated, and no noisier against the rest than expected and usual, the
        worst left out one by one.
    times : structured array, optional
        Frames of the run with fields frame, ccd, mjd_int, mjd_frac, exposure, time_ok, data_ok: those in which the CCD was read
        out and that have no measurement get a row of NaN with the flag NO_DATA.
    scintillation : Scintillation, optional
        What to add to the errors of every star, target and comparisons, before they are divided: each scintillates for itself.
        Where it is not known (NaN) nothing is added.

    Returns
    -------
    dict of str to LightCurve
        By CCD, for all CCDs that have the star. Where no other star can be used, ratios are NaN.

    Raises
    ------
    NotFound
        No CCD has the star, or a CCD that has it lacks one of the comparison stars asked for.

    Notes
    -----
    The sum is over weighted counts, with weights :math:`w_i = \min(1, (1.25 e_i/s_i)^2)`, scaled to a largest one of 1: a
    star whose scatter :math:`s_i` against the others is about its expected :math:`e_i` counts in full, a noisier one less.
    In a frame where a star is not measured, or stands more than 6 sigma off (of three stars or more), the sum is that of
    the others, scaled by its usual part in the sum. Errors are propagated from those of the counts.
    """
    found = {}
    for ccd in dict.fromkeys(measurements["ccd"].tolist()):
        mine = measurements[measurements["ccd"] == ccd]
        if np.any(mine["aperture"] == star):
            found[ccd] = _light_curve(ccd, mine, star, comparisons, times, scintillation)
    if not found:
        labels = sorted(set(measurements["aperture"].tolist()))
        raise NotFound(f"no star {star} was measured", remedy=f"choose one of {', '.join(labels)}")
    return found


def _light_curve(
    ccd: str,
    measurements: Measurements,
    star: str,
    wanted: Sequence[str] | None,
    times: NDArray[np.void] | None,
    scintillation: Scintillation | None,
) -> LightCurve:
    rows, place, time_ok = _frames(ccd, measurements, times)
    labels = list(dict.fromkeys(measurements["aperture"].tolist()))
    everything = _matrix(measurements, labels, place, len(rows))
    if scintillation is not None:
        share = np.nan_to_num(scintillation.of(rows["mjd_int"] + rows["mjd_frac"], rows["exposure"]))
        everything = replace(everything, errors=np.hypot(everything.errors, everything.counts * share[:, np.newaxis]))
    target = everything.take([labels.index(star)])
    others = everything.take([k for k, label in enumerate(labels) if label != star])
    if wanted is not None:
        missing = [label for label in wanted if label not in others.labels]
        if missing:
            raise NotFound(
                f"CCD {ccd} has no star {', '.join(missing)} beside {star}", remedy=f"it has {', '.join(others.labels)}"
            )
        others = others.take([others.labels.index(label) for label in wanted])
        verdicts = [Comparison(label, 1.0, "asked for") for label in others.labels]
        others = replace(others, good=np.isfinite(others.counts) & np.isfinite(others.errors))
    else:
        others = _without_outliers(others)
        verdicts = _choose(others)
    kept = [k for k, verdict in enumerate(verdicts) if verdict.weight > 0]
    total, error = _sum(others.take(kept), np.array([verdicts[k].weight for k in kept]))
    told = np.bitwise_or.reduce(others.flags, axis=1, initial=0) if wanted is not None else np.uint32(0)
    unused = np.bitwise_or.reduce(others.flags, axis=1, initial=Flag.NO_DATA)
    bits = np.where(np.isfinite(total), told, unused).astype(np.uint32)
    with np.errstate(divide="ignore", invalid="ignore"):
        counts, counts_error = target.counts[:, 0], target.errors[:, 0]
        rows["ratio"] = counts / total
        rows["ratio_error"] = np.hypot(counts_error, counts * error / total) / total
    rows["flags"] = target.flags[:, 0] | bits | np.where(time_ok, 0, Flag.BAD_TIME).astype(np.uint32)
    return LightCurve(ccd, star, tuple(verdicts), rows)


def _frames(
    ccd: str, measurements: Measurements, times: NDArray[np.void] | None
) -> tuple[NDArray[np.void], NDArray[np.intp], Bools]:
    """Rows of the light curve with their times, the row of each measurement, and whether the times are good."""
    fields = ["frame", "mjd_int", "mjd_frac", "exposure", "time_ok"]
    known = measurements[fields]
    if times is not None:
        read_out = times[(times["ccd"] == ccd) & times["data_ok"]][fields]
        known = np.concatenate([known.astype(read_out.dtype), read_out])
    frames, first = np.unique(known["frame"], return_index=True)
    rows = np.zeros(len(frames), LIGHT_CURVE)
    for field in fields[:-1]:
        rows[field] = known[field][first]
    return rows, np.searchsorted(frames, measurements["frame"]), known["time_ok"][first]


def _matrix(measurements: Measurements, labels: list[str], place: NDArray[np.intp], frames: int) -> _Stars:
    shape = (frames, len(labels))
    counts, errors = np.full(shape, np.nan), np.full(shape, np.nan)
    flags = np.full(shape, Flag.NO_DATA, np.uint32)
    for k, label in enumerate(labels):
        mine = measurements["aperture"] == label
        for matrix, field in ((counts, "counts"), (errors, "countse"), (flags, "flag")):
            matrix[place[mine], k] = measurements[field][mine]
    with np.errstate(invalid="ignore"):
        good = np.isfinite(counts) & (counts > 0) & (errors > 0) & (flags & ~np.uint32(HARMLESS) == 0)
    return _Stars(labels, counts, errors, flags, good)


def _choose(stars: _Stars) -> list[Comparison]:
    """Choose the stars to sum, and their weights."""
    reasons = _unfit(stars)
    kept = [k for k, reason in enumerate(reasons) if not reason]
    weights = np.zeros(len(reasons))
    while kept:
        quality, weights[kept] = _weigh(stars.take(kept))
        worst = int(np.argmax(quality))
        if len(kept) < 3 or quality[worst] <= _NOISY * max(1.0, float(np.median(quality))):
            break
        k = kept.pop(worst)
        weights[k] = 0.0
        reasons[k] = f"scatter {quality[worst]:.1f} times what is expected of it"
    return [
        Comparison(label, float(weight), reason or "used")
        for label, weight, reason in zip(stars.labels, weights, reasons, strict=True)
    ]


def _unfit(stars: _Stars) -> list[str]:
    """Say why a star is no comparison star by itself, or nothing."""
    usable = stars.good.any(axis=1)
    if not usable.any():
        return ["never measured well" for _ in stars.labels]
    saturated = (stars.flags & np.uint32(Flag.TARGET_SATURATED | Flag.TARGET_NONLINEAR) > 0)[usable].mean(axis=0)
    present = stars.good[usable].mean(axis=0)
    # where clouds hide most stars in many frames, the one seen longest still serves
    enough = min(_PRESENT, float(present.max(where=saturated <= _SATURATED, initial=0.0)))
    reasons = []
    for part, burnt in zip(present, saturated, strict=True):
        if burnt > _SATURATED:
            reasons.append(f"saturated or not linear in {burnt:.0%} of the frames")
        elif part < enough or part == 0:
            reasons.append(f"measured well in {part:.0%} of the frames only")
        else:
            reasons.append("")
    return reasons


def _weigh(stars: _Stars) -> tuple[Floats, Floats]:
    """Scatter of each star against the weighted sum of the others, over what is expected of it; weights that follow from it.

    Weights are found in turns: a noisy star spoils the sum that the others are held against until it weighs little in it.
    """
    quality = weights = np.ones(len(stars.labels))
    level = _levels(stars)[0]
    for _ in range(_TURNS if len(stars.labels) > 1 else 0):
        counts = weights * np.where(stars.good, stars.counts, 0.0)
        variances = (weights * np.where(stars.good, stars.errors, 0.0)) ** 2
        usual = weights * stars.good * level
        rest, part, variance = (m.sum(axis=1, keepdims=True) - m for m in (counts, usual, variances))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(stars.good & (part > 0), counts / usual * part / rest, np.nan)
            relative = np.where(np.isfinite(ratio), np.sqrt(variances / counts**2 + variance / rest**2), np.nan)
        seen = np.array([scatter(column) for column in ratio.T])
        quality = np.nan_to_num(seen / _medians(relative.T), nan=1.0)
        weights = np.maximum(quality / _USUAL, 1.0) ** -2.0
        weights /= weights.max()
    return quality, weights


def _sum(stars: _Stars, weights: Floats) -> tuple[Floats, Floats]:
    """Weighted sum of counts in each frame, and its error; NaN where there is no star to sum."""
    if not stars.labels:
        nothing = np.full(len(stars.counts), np.nan)
        return nothing, nothing
    usual = weights * _levels(stars)[0]
    counts, errors = np.where(stars.good, stars.counts, 0.0), np.where(stars.good, stars.errors, 0.0)
    part = (stars.good * usual).sum(axis=1) / max(usual.sum(), np.finfo(float).tiny)
    scale = 1.0 / np.where(part > 0, part, np.nan)
    total = scale * (weights * counts).sum(axis=1)
    return total, scale * np.sqrt(((weights * errors) ** 2).sum(axis=1))


def _levels(stars: _Stars) -> tuple[Floats, Floats]:
    """Usual counts of each star, and the transmission of each frame: the median over stars of counts over usual counts."""
    counts = np.where(stars.good, stars.counts, np.nan)
    transmission = np.ones(len(counts))
    level = np.ones(counts.shape[1])
    for _ in range(3):
        level = _medians((counts / transmission[:, None]).T)
        transmission = _medians(counts / level)
    return np.where(np.isfinite(level), level, 0.0), transmission


def _without_outliers(stars: _Stars) -> _Stars:
    """Take a star for not measured where it stands off its own trend by far more than it usually does."""
    if len(stars.labels) < 3:  # of two nobody can say which is off
        return stars
    level, transmission = _levels(stars)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(stars.good, stars.errors / stars.counts, np.nan)
        value = np.where(stars.good, stars.counts / (level * transmission[:, None]), np.nan)
    good = stars.good.copy()
    for k in range(len(stars.labels)):
        off = value[:, k] - running_median(value[:, k], _TREND)
        with np.errstate(invalid="ignore"):
            good[:, k] &= ~(np.abs(off) > _OUTLIER * np.maximum(scatter(off), relative[:, k]))
    return replace(stars, good=good)


def _medians(matrix: NDArray[np.floating[Any]]) -> Floats:
    """Median of each row without its NaN; NaN for a row that has nothing else."""
    count = np.isfinite(matrix).sum(axis=1)
    ordered = np.sort(matrix, axis=1)  # NaN come last
    rows = np.arange(len(matrix))
    middle = 0.5 * (ordered[rows, np.maximum(count - 1, 0) // 2] + ordered[rows, np.minimum(count // 2, matrix.shape[1] - 1)])
    return np.where(count > 0, middle, np.nan)
