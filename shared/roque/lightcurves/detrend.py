"""Light curves without their trends: the raw one stays, and what was divided out can be put back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roque.errors import BadInput, NotFound
from roque.lightcurves.airmass import airmass
from roque.lightcurves.barycentre import MJD_ZERO, Barycentre
from roque.lightcurves.ensemble import HARMLESS
from roque.lightcurves.hlog import Hlog
from roque.lightcurves.series import Series
from roque.lightcurves.trend import Trend, fit_trend
from roque.photometry.flags import Flag
from roque.photometry.measurements import Measurements

__all__ = ["Detrended", "between", "detrend", "in_phase", "regressors_in_frames", "regressors_of"]

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]

_SPOILS = int(~np.uint32(HARMLESS & ~Flag.BAD_TIME))
"""Flags of points that are not fitted; a bad time may lie in the eclipse."""


@dataclass(frozen=True, eq=False)
class Detrended:
    """A light curve, its trend, and what is left of it.

    Parameters
    ----------
    raw : Series
        As it was measured.
    trend : Trend
        What was fitted.
    factor, factor_error : array of float64
        The trend at each point, 1 where all regressors have their means, and its standard error; NaN where a regressor is.
    used : array of bool
        Points that were fitted.
    """

    raw: Series
    trend: Trend
    factor: Floats
    factor_error: Floats
    used: Bools

    @property
    def series(self) -> Series:
        """The light curve divided by its trend; errors are those of the raw one divided by it too."""
        return self.raw / self.factor

    @property
    def scatter(self) -> tuple[float, float]:
        """Relative standard deviation of the fitted points, raw and detrended."""
        before, after = self.raw.y[self.used].astype(np.float64), self.series.y[self.used]
        return float(before.std() / before.mean()), float(after.std() / after.mean())

    def restored(self) -> Series:
        """Put the trend back: the raw light curve, to the rounding of a multiplication; NaN where the trend is not known."""
        return self.series * self.factor


def detrend(
    series: Series,
    against: Mapping[str, ArrayLike],
    terms: Sequence[str] | None = None,
    *,
    exclude: Sequence[tuple[float, float]] | Bools = (),
    clip: float = 5.0,
    prune: bool = False,
) -> Detrended:
    """Fit trends to a light curve and divide them out.

    Parameters
    ----------
    series : Series
        The light curve: fluxes, such as ratios of stars, not magnitudes.
    against : mapping of str to array
        Regressors, a value for each point: those of `regressors_of`, or any others. The times of the series are one more:
        `time`.
    terms : sequence of str, optional
        Which of them, in order of precedence, also as powers: ``["airmass", "x", "x^2"]``; by default all of `against`.
    exclude : sequence of (float, float), or array of bool
        Times between which points are not fitted, both included, as those of an eclipse; or those points.
    clip, prune
        As of `roque.lightcurves.trend.fit_trend`.

    Returns
    -------
    Detrended

    Raises
    ------
    NotFound
        A term names no regressor.
    BadInput
        A regressor has not the length of the series, or there are too few points.

    Notes
    -----
    Points that are bad or flagged (but for what is harmless, as SKY_AT_EDGE) are not fitted, and detrended like the others.
    """
    regressors = {name: np.asarray(values, np.float64) for name, values in against.items()} | {"time": series.t}
    for name, values in regressors.items():
        if values.shape != (len(series),):
            raise BadInput(f"{name} has shape {values.shape}, the light curve {len(series)} points", remedy="give one for each")
    left = exclude if isinstance(exclude, np.ndarray) else between(series.t, exclude)
    if left.shape != (len(series),) or left.dtype != np.bool_:
        raise BadInput("points to exclude are no array of bool, one for each", remedy="give times, or such an array")
    good = ~series.get_mask(_SPOILS) & ~left
    trend, used = fit_trend(
        series.y, series.ye, regressors, list(against) if terms is None else terms, good, clip=clip, prune=prune
    )
    factor, error = trend.factor(regressors)
    return Detrended(series, trend, factor, error, used)


def regressors_of(log: Hlog, ccd: str | int, ap: str | int, there: Barycentre | None = None) -> dict[str, Floats]:
    """What a log knows that may be behind trends of a star.

    Parameters
    ----------
    log : Hlog
        From a file or from the record.
    ccd, ap : str or int
        Labels.
    there : Barycentre, optional
        Place of the star and of the observatory, for airmasses.

    Returns
    -------
    dict of str to array
        ``x`` and ``y`` of its aperture (pixels), ``sky`` (counts per pixel), ``fwhm``, the mean of the CCD (pixels), and
        ``airmass`` if `there` is given.

    Raises
    ------
    NotFound
        There is no such CCD or aperture, or the log has no such columns.
    """
    ccd, ap = str(ccd), str(ap)
    if ccd not in log:
        raise NotFound(f"no CCD {ccd} in the log, only {', '.join(log)}")
    columns = {"x": f"x_{ap}", "y": f"y_{ap}", "sky": f"sky_{ap}", "fwhm": "mfwhm"}
    table = log[ccd]
    for column in columns.values():
        if column not in (table.dtype.names or ()):
            raise NotFound(f"CCD {ccd} has no column {column}", remedy=f"its apertures are {', '.join(log.apnames[ccd])}")
    found: dict[str, Floats] = {name: table[column].astype(np.float64) for name, column in columns.items()}
    if there is not None:
        mjd = table[log.time_column(ccd)] + log.offset(ccd)
        found["airmass"] = airmass(mjd, there.ra, there.dec, there.longitude, there.latitude)
    return found


def between(times: Floats, intervals: Sequence[tuple[float, float]]) -> Bools:
    """Points whose times lie in one of some intervals, ends included.

    Raises
    ------
    BadInput
        An interval ends before it starts.
    """
    inside = np.zeros(len(times), np.bool_)
    for start, end in intervals:
        if not start <= end:
            raise BadInput(f"an interval ends before it starts: {start} to {end}", remedy="give the earlier one first")
        inside |= (times >= start) & (times <= end)
    return inside


def in_phase(bmjd: Floats, intervals: Sequence[tuple[float, float]], ephemeris: tuple[float, float] | None) -> Bools:
    """Points whose phases lie in one of some intervals.

    Parameters
    ----------
    bmjd : array of float64
        Times, barycentric MJD(TDB).
    intervals : sequence of (float, float)
        Phases, in cycles; an interval of -0.1 to 0.1 is that of 0.9 to 1.1.
    ephemeris : (float, float)
        Time of phase 0, BJD(TDB) or barycentric MJD(TDB), and period, days.

    Raises
    ------
    BadInput
        There is no ephemeris, its period is not positive, or an interval ends before it starts.
    """
    if ephemeris is None or not ephemeris[1] > 0.0:
        raise BadInput("phases need an ephemeris with a positive period", remedy="say --ephemeris T0,PERIOD")
    start, period = ephemeris
    phase = (bmjd - (start - MJD_ZERO if start > MJD_ZERO else start)) / period
    inside = np.zeros(len(bmjd), np.bool_)
    for low, high in intervals:
        if not low <= high:
            raise BadInput(
                f"an interval ends before it starts: {low} to {high}", remedy="over phase 0 say -0.1..0.1 or 0.9..1.1"
            )
        inside |= (phase - low) % 1.0 <= high - low
    return inside


def regressors_in_frames(measurements: Measurements, star: str, frames: NDArray[np.integer]) -> dict[str, Floats]:
    """Give the same of measurements of a CCD, for frames of a light curve; NaN where the star was not measured."""
    mine = measurements[measurements["aperture"] == star]
    found: dict[str, Floats] = {}
    for name, field, rows in (("x", "x", mine), ("y", "y", mine), ("sky", "sky", mine), ("fwhm", "mfwhm", measurements)):
        found[name] = np.full(len(frames), np.nan)
        found[name][np.searchsorted(frames, rows["frame"])] = rows[field]
    return found
