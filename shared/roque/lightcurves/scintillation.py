"""Scintillation: what the air does to the light of a star, by Young's approximation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roque.errors import BadInput
from roque.lightcurves.airmass import airmass
from roque.lightcurves.barycentre import Barycentre

__all__ = ["Scintillation", "scintillation"]

Floats = NDArray[np.float64]

_SCALE_HEIGHT = 8000.0  # of the air, m
_USUAL = 1.5  # median of Osborn et al. over eleven sites


def scintillation(diameter: float, exposure: ArrayLike, air: ArrayLike, height: float, coefficient: float = _USUAL) -> Floats:
    r"""Relative standard deviation of the flux of a star.

    Parameters
    ----------
    diameter : float
        Of the telescope's mirror, m.
    exposure : array_like
        s.
    air : array_like
        Airmass.
    height : float
        Of the observatory, m.
    coefficient : float
        :math:`C_Y` of Osborn et al., in m\ :sup:`2/3` s\ :sup:`1/2`: 1.3 on La Palma to 1.7 at the worst of their sites.

    Returns
    -------
    array of float64
        NaN where airmass or exposure is, or the exposure is not positive.

    Notes
    -----
    :math:`\sigma^2 = 10^{-5} C_Y^2 D^{-4/3} t^{-1} X^3 \exp(-2h/H)`, H = 8000 m: Young (1967, AJ 72, 747) as corrected by
    Osborn et al. (2015, MNRAS 452, 1707); the median of nights that differ by a factor of two. It holds for exposures longer
    than the air takes to cross the mirror (0.1 s for each metre or so); for shorter ones it gives too much.
    """
    t, x = np.asarray(exposure, np.float64), np.asarray(air, np.float64)
    variance = 1e-5 * coefficient**2 * diameter ** (-4.0 / 3.0) * x**3 * np.exp(-2.0 * height / _SCALE_HEIGHT)
    return np.asarray(np.sqrt(variance / np.where(t > 0.0, t, np.nan)))


@dataclass(frozen=True, kw_only=True)
class Scintillation:
    """Scintillation of the stars around a target, seen with one telescope.

    Parameters
    ----------
    there : Barycentre
        Place of the target and of the observatory.
    diameter : float
        Of the telescope's mirror, m.
    coefficient : float
        As of `scintillation`.

    Raises
    ------
    BadInput
        The diameter or the coefficient is not positive.

    Notes
    -----
    Stars farther apart than some arcseconds scintillate each for itself: the turbulence that does it is kilometres up.
    """

    there: Barycentre
    diameter: float
    coefficient: float = _USUAL

    def __post_init__(self) -> None:
        if not (self.diameter > 0.0 and self.coefficient > 0.0):
            place = f"diameter {self.diameter} m, coefficient {self.coefficient}"
            raise BadInput("no scintillation of such a telescope", place=place, remedy="give positive numbers")

    def of(self, mjd: ArrayLike, exposure: ArrayLike) -> Floats:
        """Relative standard deviation of the flux at MJD(UTC) in exposures of so many seconds; NaN below 5 degrees."""
        there = self.there
        air = airmass(mjd, there.ra, there.dec, there.longitude, there.latitude)
        return scintillation(self.diameter, exposure, air, there.height, self.coefficient)
