"""The last measurements of a run, read as they come: what the page of `roque run watch` shows."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from roque.archive.aperture_sets import load_apertures
from roque.archive.bulk import load_measurements
from roque.archive.models import Measurement, Reduction, Run
from roque.errors import NotFound
from roque.lightcurves.ensemble import HARMLESS
from roque.photometry.apertures import Aperture, Apertures
from roque.photometry.flags import names
from roque.photometry.measurements import Measurements, empty

__all__ = ["Curve", "Curves", "Wanted"]

Floats = NDArray[np.float64]

_DAY = 86400.0
_BEST = 98.0  # percentile of a star's counts that stands for a clear sky: single frames may lie above it by chance


@dataclass(frozen=True)
class Wanted:
    """What a user wants to see; nothing said: all CCDs, the target over its comparison star."""

    ccds: tuple[str, ...] = ()
    star: str | None = None
    comparison: str | None = None
    frames: int = 600
    seconds: float | None = None  # instead of so many frames


@dataclass(frozen=True)
class Curve:
    """What was measured of the stars of a CCD in the last frames; arrays of shape (frames,), NaN where nothing was."""

    ccd: str
    band: str
    star: str
    comparison: str | None
    seconds: Floats
    """Mid-exposure, from that of the newest frame of all CCDs."""
    flux: Floats
    """Star over comparison, or the star's counts where there is none, in units of their median."""
    transmission: Floats
    """Counts of the comparison star for its exposure, in units of the best."""
    seeing: Floats
    """FWHM, arcsec, or unbinned pixels where nobody has said how large a pixel is."""
    x: Floats
    y: Floats
    """How far the comparison star has gone since apertures were placed, unbinned pixels."""
    flags: Mapping[str, int]
    """Flags of the two stars: name to number of frames."""


@dataclass
class _Stars:
    """Two stars of a CCD, frame by frame."""

    star: str
    comparison: str | None
    placed: Aperture
    rows: Measurements = field(default_factory=lambda: empty(0))
    others: Measurements = field(default_factory=lambda: empty(0))

    @property
    def last(self) -> int:
        return int(self.rows["frame"][-1]) if len(self.rows) else 0

    def add(self, rows: Measurements, others: Measurements) -> None:
        # between the two questions a range may have been committed
        _, mine, theirs = np.intersect1d(rows["frame"], others["frame"], return_indices=True)
        self.rows = np.concatenate([self.rows, rows[mine]])
        self.others = np.concatenate([self.others, others[theirs]])

    def forget(self, keep: int) -> None:
        self.rows, self.others = self.rows[-keep:], self.others[-keep:]


class Curves:
    """The last frames of a run's newest reduction, kept up with it by `read`.

    Parameters
    ----------
    wanted : Wanted
    scale : float or None
        arcsec per unbinned pixel, if it is known.
    """

    def __init__(self, wanted: Wanted, scale: float | None) -> None:
        self._wanted, self._scale = wanted, scale
        self._reduction: int | None = None
        self._stars: dict[str, _Stars] = {}
        self._bands: dict[str, str] = {}
        self._newest = 0.0

    @property
    def newest(self) -> dt.datetime | None:
        """Mid-exposure of the last frame that was measured; None if there is none with a good time."""
        if not self._newest:
            return None
        return dt.datetime(1858, 11, 17, tzinfo=dt.UTC) + dt.timedelta(days=self._newest)

    @property
    def in_arcsec(self) -> bool:
        """Whether the seeing is in arcsec."""
        return self._scale is not None

    def read(self, session: Session, run: Run) -> list[Curve]:
        """Read what has come since the last time, and give the last frames of each CCD that is wanted.

        Raises
        ------
        NotFound
            The run has no such CCD or star.
        """
        newest = select(Reduction).where(Reduction.run_id == run.id, Reduction.state.in_(("running", "done")))
        reduction = session.scalars(newest.order_by(Reduction.state.desc(), Reduction.id.desc()).limit(1)).unique().first()
        if reduction is None:
            return []
        if reduction.id != self._reduction:
            self._begin(session, reduction)
        keep = self._keep(run)
        for ccd, stars in self._stars.items():
            self._read(session, reduction.id, ccd, stars, keep)
        times = [_mjd(stars.rows)[-1] for stars in self._stars.values() if len(stars.rows)]
        self._newest = max(times, default=0.0)
        return [self._curve(ccd, stars) for ccd, stars in self._stars.items() if len(stars.rows)]

    def _begin(self, session: Session, reduction: Reduction) -> None:
        apertures = load_apertures(session, reduction.aperture_set_id)
        ccds = self._wanted.ccds or tuple(apertures)
        star = self._wanted.star or reduction.target
        self._stars = {}
        for ccd in ccds:
            members = _insist(apertures, ccd, reduction.run.path)
            if star not in members and not self._wanted.ccds and any(star in other for other in apertures.values()):
                continue  # a star that this CCD does not show
            comparison = _comparison(members, star, self._wanted.comparison)
            for label in filter(None, (star, comparison)):
                if label not in members:
                    known = ", ".join(members)
                    raise NotFound(f"no star '{label}'", place=f"{reduction.run.path}, CCD {ccd}", remedy=f"it has {known}")
            self._stars[ccd] = _Stars(star, comparison, members[comparison or star])
        self._bands = {ccd: str(band) for ccd, band in reduction.run.filters.items() if band}
        self._reduction = reduction.id

    def _keep(self, run: Run) -> int:
        """How many frames are shown."""
        if self._wanted.seconds is None:
            return self._wanted.frames
        if run.mjd_first is None or run.mjd_last is None or run.frames < 2:
            return self._wanted.frames
        cadence = _DAY * (run.mjd_last - run.mjd_first) / (run.frames - 1)
        return max(2, math.ceil(self._wanted.seconds / max(cadence, 1e-4)))

    def _read(self, session: Session, reduction: int, ccd: str, stars: _Stars, keep: int) -> None:
        first = stars.last + 1
        if first == 1:  # of a long run only the end
            mine = Measurement.reduction_id == reduction, Measurement.ccd == ccd, Measurement.aperture == stars.star
            first = max(1, (session.scalar(select(func.max(Measurement.frame)).where(*mine)) or 0) - keep + 1)
        span = first, 2**31 - 1
        rows = load_measurements(session, reduction, ccd, stars.star, span)
        if len(rows):
            other = stars.comparison
            stars.add(rows, rows if other is None else load_measurements(session, reduction, ccd, other, span))
        stars.forget(keep)

    def _curve(self, ccd: str, stars: _Stars) -> Curve:
        rows, others = stars.rows, stars.others
        ours, theirs = _counts(rows), _counts(others)
        flux = ours / theirs if stars.comparison is not None else ours
        rate = theirs / np.where(others["exposure"] > 0, others["exposure"], np.nan)
        found = others["fwhm"] > 0  # 0 or NaN where the star was not fitted
        told = np.concatenate([rows["flag"], others["flag"]] if stars.comparison is not None else [rows["flag"]])
        flags: Counter[str] = Counter()
        for value, number in zip(*np.unique(told, return_counts=True), strict=True):
            flags.update(dict.fromkeys(names(int(value)), int(number)))
        return Curve(
            ccd=ccd,
            band=self._bands.get(ccd, ""),
            star=stars.star,
            comparison=stars.comparison,
            seconds=_DAY * (_mjd(rows) - self._newest),
            flux=flux / _usual(flux),
            transmission=rate / _best(rate),
            seeing=np.where(rows["mfwhm"] > 0, rows["mfwhm"], np.nan) * (self._scale or 1.0),
            x=np.where(found, others["x"] - stars.placed.x, np.nan),
            y=np.where(found, others["y"] - stars.placed.y, np.nan),
            flags=flags,
        )


def _insist(apertures: Apertures, ccd: str, run: str) -> Mapping[str, Aperture]:
    if ccd not in apertures:
        raise NotFound(f"no star of CCD '{ccd}' is measured", place=run, remedy=f"it has {', '.join(apertures)}")
    return apertures[ccd]


def _comparison(members: Mapping[str, Aperture], star: str, named: str | None) -> str | None:
    """Star to divide by: the one that was named, else the first other one, reference stars before the rest."""
    if named is not None:
        return named
    others = [label for label in members if label != star]
    return next((label for label in others if members[label].ref), others[0] if others else None)


def _counts(rows: Measurements) -> Floats:
    """Counts of a star where they can be used."""
    usable = (rows["flag"] & ~np.uint32(HARMLESS)) == 0
    return np.where(usable & (rows["counts"] > 0), rows["counts"], np.nan)


def _usual(values: Floats) -> float:
    good = values[np.isfinite(values)]
    return float(np.median(good)) if len(good) else 1.0


def _best(values: Floats) -> float:
    good = values[np.isfinite(values)]
    return float(np.percentile(good, _BEST)) if len(good) else 1.0


def _mjd(rows: Measurements) -> Floats:
    return np.asarray(rows["mjd_int"] + rows["mjd_frac"])
