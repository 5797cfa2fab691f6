"""Airmass against astropy's rigorous altitudes."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import AltAz, EarthLocation, SkyCoord
from astropy.time import Time
from astropy.utils import iers

from roque.lightcurves.airmass import airmass


@pytest.mark.parametrize(
    ("ra", "dec", "longitude", "latitude", "mjd"),
    [
        (180.0, 28.75, -17.8792, 28.7573, 61113.85),
        (31.0428, 46.6878, -110.8792, 31.6811, 58107.07),
        (250.0, -45.0, -70.7345, -29.2567, 53500.2),
    ],
)
def test_it_agrees_with_astropy_without_the_network(ra, dec, longitude, latitude, mjd):
    times = mjd + np.linspace(0.0, 0.35, 60)
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("iers_degraded_accuracy", "ignore"):
        site = EarthLocation.from_geodetic(longitude * units.deg, latitude * units.deg, 2300 * units.m)
        star = SkyCoord(ra * units.deg, dec * units.deg)
        secant = star.transform_to(AltAz(obstime=Time(times, format="mjd", scale="utc"), location=site)).secz.value
    expected = secant * (1 - 0.0012 * (secant**2 - 1))
    ours = airmass(times, ra, dec, longitude, latitude)
    up = (secant > 0) & (secant < 3)
    assert up.sum() > 30
    np.testing.assert_allclose(ours[up], expected[up], atol=1.5e-3)


def test_a_star_in_the_zenith_has_one_and_one_below_the_horizon_none():
    times = 61113.0 + np.linspace(0, 1, 1441)
    values = airmass(times, 180.0, 28.75, -17.88, 28.75)
    assert np.nanmin(values) == pytest.approx(1.0, abs=1e-3)
    assert np.isnan(values).sum() > 300
    assert np.nanmax(values) < 12
