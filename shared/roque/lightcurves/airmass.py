"""Airmass from the place, the star and the time alone: no tables of the Earth's rotation, no network."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["airmass"]

_J2000 = 51544.5
_CENTURY = 36525.0
_ARCSEC = np.pi / (180.0 * 3600.0)
_LOWEST = np.sin(np.radians(5.0))


def airmass(mjd: ArrayLike, ra: float, dec: float, longitude: float, latitude: float) -> NDArray[np.float64]:
    r"""Airmass of a star.

    Parameters
    ----------
    mjd : array_like
        MJD(UTC).
    ra, dec : float
        ICRS position, degrees.
    longitude, latitude : float
        Of the site, degrees, east and north positive.

    Returns
    -------
    array of float64
        NaN where the star is less than 5 degrees high.

    Notes
    -----
    The star is carried to the equinox of date with the precession angles of Capitaine, Wallace & Chapront (2003, A&A 412,
    567), the hour angle taken from the mean sidereal time of Aoki et al. (1982, A&A 105, 359) with UT1 = UTC; nutation,
    aberration and refraction are left out (30 arcsec). Airmass is :math:`\sec z\,[1 - 0.0012(\sec^2 z - 1)]` (Young & Irvine
    1967, AJ 72, 945). Together good to 0.001 up to airmass 3.
    """
    days = np.asarray(mjd, float) - _J2000
    right_ascension, declination = _of_date(days / _CENTURY, np.radians(ra), np.radians(dec))
    centuries = days / _CENTURY
    sidereal = 280.46061837 + 360.98564736629 * days + centuries**2 * (0.000387933 - centuries / 38710000.0)
    hour_angle = np.radians(sidereal + longitude) - right_ascension
    phi = np.radians(latitude)
    height = np.sin(phi) * np.sin(declination) + np.cos(phi) * np.cos(declination) * np.cos(hour_angle)
    secant = 1.0 / np.where(height > _LOWEST, height, np.nan)
    return np.asarray(secant * (1.0 - 0.0012 * (secant**2 - 1.0)))


def _of_date(t: NDArray[np.float64], ra: float, dec: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precess a position from J2000 by `t` Julian centuries; radians."""
    zeta = _ARCSEC * (2.650545 + t * (2306.083227 + t * (0.2988499 + t * 0.01801828)))
    z = _ARCSEC * (-2.650545 + t * (2306.077181 + t * (1.0927348 + t * 0.01826837)))
    theta = _ARCSEC * t * (2004.191903 + t * (-0.4294934 - t * 0.04182264))
    a = np.cos(dec) * np.sin(ra + zeta)
    b = np.cos(theta) * np.cos(dec) * np.cos(ra + zeta) - np.sin(theta) * np.sin(dec)
    c = np.sin(theta) * np.cos(dec) * np.cos(ra + zeta) + np.cos(theta) * np.sin(dec)
    return np.arctan2(a, b) + z, np.arcsin(c)
