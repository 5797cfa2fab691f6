"""Times at the barycentre of the solar system: BJD(TDB), and HJD for comparison with older work.

ERFA, the library under astropy, computes them from what it was compiled with: leap seconds and series for the Earth's orbit. No
table is looked up, so that nothing could ever be fetched.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roque.errors import BadInput

__all__ = ["MJD_ZERO", "Barycentre", "read_position"]

Floats = NDArray[np.float64]

MJD_ZERO = 2400000.5
"""JD of MJD 0."""

_DAY = 86400.0
_ASTRONOMICAL_UNIT = 149597870700.0  # m
_LIGHT = 299792458.0  # m/s
_TT_LESS_TAI = 32.184  # s
_STEP = 300.0 / _DAY  # days between computed moments: cubics between them err by less than 1 ns
_FARTHEST = 1e6  # days from MJD 0: what lies beyond is no time of an observation
_HOW = "give RA,DEC (ICRS): degrees as in 252.1093,-3.4 or hours and degrees as in 16:48:26.2,-03:24:00"
_PARTS = re.compile(r"([+-]?)(\d+)[: ](\d+)[: ](\d+(?:\.\d*)?)")


@dataclass(frozen=True, kw_only=True)
class Barycentre:
    """Carries times of a site over to the barycentre or to the Sun, for the light of one star.

    Parameters
    ----------
    ra, dec : float
        ICRS position of the star at the time of observation, degrees.
    longitude, latitude : float
        Of the site, degrees (WGS84), east and north positive.
    height : float
        Of the site, metres.

    Raises
    ------
    BadInput
        No position in the sky, or no place on Earth.

    Notes
    -----
    Good to 0.1 ms, if the position is: the Earth's orbit (ERFA's epv00) is off by at most 14 km, 0.05 ms; the delay in the
    Sun's field, left out, differs by less than 0.05 ms between stars farther than 10 degrees from the Sun; taking UT1 for UTC
    and leaving polar motion out costs 2 microseconds. The star is taken as infinitely far away: at 10 pc that costs up to
    0.12 ms, at 100 pc a tenth of it. An error of 1 arcmin in its position costs up to 0.15 s: where the telescope pointed is
    not where the star is. Leap seconds announced after the installed ERFA was released are not known to it. On a day with one,
    MJD(UTC) is taken as cameras write it, the second of the day over 86400.
    """

    ra: float
    dec: float
    longitude: float
    latitude: float
    height: float = 0.0

    def __post_init__(self) -> None:
        if not (0.0 <= self.ra <= 360.0 and -90.0 <= self.dec <= 90.0):
            raise BadInput("not a position in the sky", place=f"RA {self.ra}, Dec {self.dec}", remedy=_HOW)
        if not (-360.0 <= self.longitude <= 360.0 and -90.0 <= self.latitude <= 90.0 and np.isfinite(self.height)):
            place = f"longitude {self.longitude}, latitude {self.latitude}, height {self.height}"
            raise BadInput("not a place on Earth", place=place, remedy="correct the site in the camera's description")

    def bmjd(self, mjd: ArrayLike, fraction: ArrayLike = 0.0) -> Floats:
        """Barycentric MJD(TDB), that is BJD(TDB) less 2400000.5.

        Parameters
        ----------
        mjd : array_like
            MJD(UTC), middle of exposures; or its integer part.
        fraction : array_like
            The rest of it.

        Returns
        -------
        array of float64
            NaN where the time is not finite.
        """
        return self._shifted(mjd, fraction, heliocentric=False)

    def hmjd(self, mjd: ArrayLike, fraction: ArrayLike = 0.0) -> Floats:
        """Heliocentric MJD(UTC), that is HJD(UTC) less 2400000.5; otherwise as `bmjd`.

        For comparison with older work: the Sun moves by 4 s about the barycentre, and UTC leaps.
        """
        return self._shifted(mjd, fraction, heliocentric=True)

    def bjd(self, mjd: ArrayLike, fraction: ArrayLike = 0.0) -> Floats:
        """BJD(TDB); as one double it is rounded to 40 microseconds, which `bmjd` is not."""
        return self.bmjd(mjd, fraction) + MJD_ZERO

    def hjd(self, mjd: ArrayLike, fraction: ArrayLike = 0.0) -> Floats:
        """HJD(UTC); as one double it is rounded to 40 microseconds, which `hmjd` is not."""
        return self.hmjd(mjd, fraction) + MJD_ZERO

    def _shifted(self, mjd: ArrayLike, fraction: ArrayLike, *, heliocentric: bool) -> Floats:
        """UTC at the Sun, or TDB at the barycentre."""
        import erfa  # noqa: PLC0415 - who asks for UTC should not wait for it

        days, rest = np.broadcast_arrays(np.asarray(mjd, np.float64), np.asarray(fraction, np.float64))
        good = (np.abs(days) < _FARTHEST) & (np.abs(rest) < _FARTHEST)  # false for NaN
        days, rest = np.where(good, days, 0.0), np.where(good, rest, 0.0)
        whole = np.floor(days)
        rest = (days - whole) + rest
        with warnings.catch_warnings():
            # ERFA calls years beyond its release dubious: there may be leap seconds that it does not know
            warnings.simplefilter("ignore", erfa.ErfaWarning)
            # cameras write the second of the day over 86400, also on days that are a second longer: not ERFA's own way
            ahead = _TT_LESS_TAI + erfa.dat(*erfa.jd2cal(MJD_ZERO, whole + rest))
            seconds = self._interpolated(whole + rest + ahead / _DAY, heliocentric=heliocentric)
        if not heliocentric:
            seconds = seconds + ahead
        return np.where(good, whole + (rest + seconds / _DAY), np.nan)

    def _interpolated(self, terrestrial: Floats, *, heliocentric: bool) -> Floats:
        """Seconds to add to TT (to UTC for the Sun), by cubics through moments that are the same whatever is asked for."""
        cells = np.floor(terrestrial / _STEP)
        x = terrestrial / _STEP - cells
        moments = np.unique(cells[..., np.newaxis] + np.arange(-1.0, 3.0))
        values = self._seconds(moments * _STEP, heliocentric=heliocentric)
        first, second, third, fourth = (values[np.searchsorted(moments, cells + k)] for k in range(-1, 3))
        inner = (x + 1.0) * (x - 2.0) / 2.0 * (second * (x - 1.0) - third * x)
        outer = x * (x - 1.0) / 6.0 * (fourth * (x + 1.0) - first * (x - 2.0))
        return np.asarray(inner + outer)

    def _seconds(self, terrestrial: Floats, *, heliocentric: bool) -> Floats:
        """By how much light reaches the site earlier than Sun or barycentre; for the latter with TDB - TT."""
        import erfa  # noqa: PLC0415 - as above

        utc = terrestrial - (_TT_LESS_TAI + erfa.dat(*erfa.jd2cal(MJD_ZERO, terrestrial))) / _DAY
        x, y, z = place = self._place()
        wave = erfa.dtdb(MJD_ZERO, terrestrial, utc % 1.0, np.radians(self.longitude), np.hypot(x, y) / 1e3, z / 1e3)
        sun, barycentre = erfa.epv00(MJD_ZERO, terrestrial + wave / _DAY)  # outside 1900 to 2100 good to 0.3 ms only
        earth = (sun if heliocentric else barycentre)["p"] * _ASTRONOMICAL_UNIT
        site = np.einsum("...ji,j->...i", erfa.c2t00b(MJD_ZERO, terrestrial, MJD_ZERO, utc, 0.0, 0.0), place)
        star = erfa.s2c(np.radians(self.ra), np.radians(self.dec))
        delay = (earth + site) @ star / _LIGHT
        return np.asarray(delay if heliocentric else delay + wave)

    def _place(self) -> Any:
        """Terrestrial coordinates of the site, m."""
        import erfa  # noqa: PLC0415 - as above

        return erfa.gd2gc(erfa.WGS84, np.radians(self.longitude), np.radians(self.latitude), self.height)


def read_position(text: str) -> tuple[float, float]:
    """Read a position in the sky.

    Parameters
    ----------
    text : str
        ``RA,DEC``, ICRS: both in degrees, or hours and degrees with minutes and seconds.

    Returns
    -------
    tuple of float
        RA and Dec, degrees.

    Raises
    ------
    BadInput
        It is none.
    """
    words = [word.strip() for word in text.split(",")]
    parts = [_PARTS.fullmatch(word) for word in words]
    wrong = BadInput("not a position in the sky", place=repr(text), remedy=_HOW)
    if len(words) != 2 or (parts[0] is None) != (parts[1] is None):
        raise wrong
    try:
        ra, dec = (_sexagesimal(part) if part else float(word) for word, part in zip(words, parts, strict=True))
    except ValueError:
        raise wrong from None
    ra *= 15.0 if parts[0] else 1.0
    if not (0.0 <= ra <= 360.0 and -90.0 <= dec <= 90.0):
        raise wrong
    return ra, dec


def _sexagesimal(part: re.Match[str]) -> float:
    sign, whole, minutes, seconds = part.groups()
    if int(minutes) >= 60 or float(seconds) >= 60.0:
        raise ValueError
    value = int(whole) + int(minutes) / 60.0 + float(seconds) / 3600.0
    return -value if sign == "-" else value
