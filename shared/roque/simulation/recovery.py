"""What came out of a simulated night, beside what was put in."""

from __future__ import annotations

import math
from dataclasses import dataclass

from roque.lightcurves.ensemble import light_curves
from roque.photometry.apertures import Aperture, Apertures
from roque.photometry.measurements import Measurements
from roque.simulation.eclipse import DAY, Eclipse, EclipseFit, fit_eclipse
from roque.simulation.night import COMPARISONS, TARGET, NightTruth
from roque.simulation.plan import Star

__all__ = ["Recovery", "recover_eclipses"]


@dataclass(frozen=True)
class Recovery:
    """An eclipse as it was measured, and as it was put in.

    Parameters
    ----------
    fit : EclipseFit
        Its `mid` counts from the integer day of the mid-time put in.
    put_in : Eclipse
        The truth.
    """

    fit: EclipseFit
    put_in: Eclipse

    @property
    def depth_pull(self) -> float:
        """Depth measured less depth put in, over its error."""
        return (self.fit.depth - self.put_in.depth) / self.fit.depth_error

    @property
    def depth_error(self) -> float:
        """Error of the depth, as a fraction of the depth put in."""
        return self.fit.depth_error / self.put_in.depth

    @property
    def mid_offset(self) -> float:
        """Mid-time measured less mid-time put in, s."""
        return (self.fit.mid - self.put_in.mid_frac) * DAY

    @property
    def mid_pull(self) -> float:
        """The same over its error."""
        return self.mid_offset / self.fit.mid_error


def recover_eclipses(measurements: Measurements, apertures: Apertures, truth: NightTruth) -> dict[str, Recovery]:
    """Fit the eclipse in the light curve of each CCD: the target over the sum of the comparison stars.

    Parameters
    ----------
    measurements : array of dtype `MEASUREMENT`
        Of the run with the eclipse.
    apertures : Apertures
        Where its stars were measured: each star is that of the nearest aperture.
    truth : NightTruth
        What was put in.

    Returns
    -------
    dict of str to Recovery
        By CCD. Flagged points are left out.

    Raises
    ------
    BadInput
        No eclipse can be fitted.
    NotFound
        A star was not measured.
    """
    found = {}
    for ccd, eclipse in truth.eclipses.items():
        mine = measurements[measurements["ccd"] == ccd]
        target, *others = (_label(apertures[ccd], star) for star in (TARGET, *COMPARISONS))
        rows = light_curves(mine, target, comparisons=others)[ccd].rows
        rows = rows[rows["flags"] == 0]
        times = (rows["mjd_int"] - eclipse.mid_int) + rows["mjd_frac"]
        found[ccd] = Recovery(fit_eclipse(times, rows["exposure"], rows["ratio"], rows["ratio_error"]), eclipse)
    return found


def _label(apertures: dict[str, Aperture], star: Star) -> str:
    return min(apertures, key=lambda label: math.hypot(apertures[label].x - star.x, apertures[label].y - star.y))
