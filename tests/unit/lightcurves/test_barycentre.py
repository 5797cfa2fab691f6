"""Barycentric and heliocentric times against published values, hand-written orbits and astropy."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from roque.errors import BadInput
from roque.lightcurves.barycentre import MJD_ZERO, Barycentre, read_position

DAY = 86400.0
AU_SECONDS = 499.004784
LA_PALMA = {"longitude": -17.8919, "latitude": 28.7567, "height": 2267.0}
STARS = [(0.0, 0.0), (122.0333, 32.0), (252.1093, -3.4), (270.0, 66.5607), (310.0, -75.0), (83.0, -1.2)]
MJDS = np.array([51179.3, 53371.9, 56325.958333, 57754.5, 60676.0, 61345.97, 61502.04, 62000.61])

PLANETS = {
    # Keplerian elements at J2000 and their change a century, J2000 ecliptic (E M Standish, JPL, valid 1800 to 2050):
    # a (au), e, i, L, longitude of perihelion, longitude of node (degrees), and the Sun's mass in units of the planet's
    "earth": ((1.00000261, 0.01671123, -0.00001531, 100.46457166, 102.93768193, 0.0),
              (0.00000562, -0.00004392, -0.01294668, 35999.37244981, 0.32327364, 0.0), 328900.56),
    "jupiter": ((5.20288700, 0.04838624, 1.30439695, 34.39644051, 14.72847983, 100.47390909),
                (-0.00011607, -0.00013253, -0.00183714, 3034.74612775, 0.21252668, 0.20469106), 1047.3486),
    "saturn": ((9.53667594, 0.05386179, 2.48599187, 49.95424423, 92.59887831, 113.66242448),
               (-0.00125060, -0.00050991, 0.00193609, 1222.49362201, -0.41897216, -0.28867794), 3497.898),
    "uranus": ((19.18916464, 0.04725744, 0.77263783, 313.23810451, 170.95427630, 74.01692503),
               (-0.00196176, -0.00004397, -0.00242939, 428.48202785, 0.40805281, 0.04240589), 22902.98),
    "neptune": ((30.06992276, 0.00859048, 1.77004347, -55.12002969, 44.96476227, 131.78422574),
                (0.00026291, 0.00005105, 0.00035372, 218.45945325, -0.32241464, -0.00508664), 19412.24),
}  # fmt: skip


def place(planet, mjd):
    """Heliocentric place of a planet, equatorial J2000, au."""
    start, rate, _ = PLANETS[planet]
    a, e, i, mean, perihelion, node = (s + r * (mjd - 51544.5) / 36525.0 for s, r in zip(start, rate, strict=True))
    anomaly = math.radians((mean - perihelion) % 360.0)
    eccentric = anomaly
    for _ in range(50):
        eccentric = anomaly + e * math.sin(eccentric)
    x, y = a * (math.cos(eccentric) - e), a * math.sqrt(1 - e * e) * math.sin(eccentric)
    w, n, i = math.radians(perihelion - node), math.radians(node), math.radians(i)
    x, y = x * math.cos(w) - y * math.sin(w), x * math.sin(w) + y * math.cos(w)
    y, z = y * math.cos(i), y * math.sin(i)
    x, y = x * math.cos(n) - y * math.sin(n), x * math.sin(n) + y * math.cos(n)
    tilt = math.radians(23.43928)
    return np.array([x, y * math.cos(tilt) - z * math.sin(tilt), y * math.sin(tilt) + z * math.cos(tilt)])


def sun_from_barycentre(mjd):
    """Sun as the planets draw it, au."""
    return -sum(place(name, mjd) / (PLANETS[name][2] + 1.0) for name in ("jupiter", "saturn", "uranus", "neptune"))


def towards(ra, dec):
    ra, dec = math.radians(ra), math.radians(dec)
    return np.array([math.cos(dec) * math.cos(ra), math.cos(dec) * math.sin(ra), math.sin(dec)])


def leap_seconds(mjd):
    return {51179: 32, 53371: 32, 56325: 35, 57754: 37}.get(int(mjd), 37)


def test_published_light_times_of_la_palma_are_met():
    # light times of the WHT that agree with an independent SLALIB-based program to 20 microseconds (astropy's own tests)
    wht = {"longitude": 342.12 - 360.0, "latitude": 28.758333333333333, "height": 2327.0}
    there = Barycentre(ra=122.03333333333333, dec=32.0, **wht)
    mjd = 56325 + 23 / 24
    assert (there.hmjd(mjd) - mjd) * DAY == pytest.approx(461.43037870502235, abs=2e-5)
    tdb_less_utc = 35.0 + 32.184
    assert (there.bmjd(mjd) - mjd) * DAY == pytest.approx(460.58538779827836 + tdb_less_utc, abs=2e-3)


@pytest.mark.parametrize("star", STARS)
@pytest.mark.parametrize("mjd", MJDS)
def test_a_hand_written_orbit_gives_the_same_to_a_tenth_of_a_second(star, mjd):
    there = Barycentre(ra=star[0], dec=star[1], **LA_PALMA)
    # that the Earth is not the centre of Earth and Moon makes 16 ms, the observer's place on it 21 ms
    by_hand = place("earth", mjd) @ towards(*star) * AU_SECONDS
    assert (there.hmjd(mjd) - mjd) * DAY == pytest.approx(by_hand, abs=0.1)
    by_hand += sun_from_barycentre(mjd) @ towards(*star) * AU_SECONDS + 32.184 + leap_seconds(mjd)
    assert (there.bmjd(mjd) - mjd) * DAY == pytest.approx(by_hand, abs=0.1)


def test_light_of_a_star_at_the_pole_of_the_ecliptic_needs_no_correction_but_the_scale():
    mjd = np.arange(61000.0, 61365.0, 5.0)
    pole = Barycentre(ra=270.0, dec=66.56072, **LA_PALMA)
    assert np.abs((pole.hmjd(mjd) - mjd) * DAY).max() < 0.05


def test_over_a_year_the_delay_of_a_star_on_the_ecliptic_swings_by_the_light_time_of_the_orbit():
    mjd = np.arange(61000.0, 61365.25, 0.25)
    delay = (Barycentre(ra=0.0, dec=0.0, **LA_PALMA).hmjd(mjd) - mjd) * DAY
    # Roemer: one astronomical unit, more or less by the eccentricity
    assert 499.0 * (1 - 0.0168) < delay.max() < 499.0 * (1 + 0.0168)
    assert 499.0 * (1 - 0.0168) < -delay.min() < 499.0 * (1 + 0.0168)


def test_the_rotation_of_the_earth_moves_the_observer_by_its_radius():
    mjd = 61345.0 + np.arange(0.0, 1.0, 1 / 96)
    star = {"ra": 100.0, "dec": 0.0}
    here = Barycentre(**star, longitude=0.0, latitude=0.0)
    pole = Barycentre(**star, longitude=0.0, latitude=90.0)
    swing = (here.hmjd(mjd) - pole.hmjd(mjd)) * DAY
    assert swing.max() == pytest.approx(6378.137 / 299792.458, rel=3e-3)
    # highest when the star culminates: its right ascension is the sidereal time
    sidereal = (280.46061837 + 360.98564736629 * (mjd[swing.argmax()] - 51544.5)) % 360.0
    assert sidereal == pytest.approx(100.0, abs=3.0)


def test_astropy_agrees_to_a_tenth_of_a_millisecond():
    from astropy import units
    from astropy.coordinates import EarthLocation, SkyCoord, solar_system_ephemeris
    from astropy.time import Time
    from astropy.utils import iers

    mjds = MJDS[MJDS < 61000]  # astropy has no table of the Earth's rotation for later ones
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("auto_max_age", None):
        site = EarthLocation.from_geodetic(LA_PALMA["longitude"], LA_PALMA["latitude"], LA_PALMA["height"])
        times = Time(mjds, format="mjd", scale="utc", location=site)
        for ra, dec in STARS:
            there, star = Barycentre(ra=ra, dec=dec, **LA_PALMA), SkyCoord(ra * units.deg, dec * units.deg)
            with solar_system_ephemeris.set("builtin"):
                theirs = times.tdb + times.light_travel_time(star)
                suns = times + times.light_travel_time(star, "heliocentric")
            assert np.abs(there.bmjd(mjds) - theirs.tdb.mjd).max() * DAY < 1e-4
            assert np.abs(there.hmjd(mjds) - suns.utc.mjd).max() * DAY < 1e-4


def test_times_in_two_parts_keep_what_one_double_loses():
    there = Barycentre(ra=252.1, dec=-3.4, **LA_PALMA)
    fractions = 0.25 + np.arange(5) * 1e-6 / DAY
    whole = np.full(5, 61345)
    together = there.bmjd(whole, fractions)
    assert np.abs(together - there.bmjd(whole + fractions)).max() < 1.5e-11
    assert np.all(np.diff(together) >= 0)
    assert (there.bjd(61345.25) - MJD_ZERO) * DAY == pytest.approx(there.bmjd(61345.25) * DAY, abs=4e-5)
    assert (there.hjd(61345.25) - MJD_ZERO) * DAY == pytest.approx(there.hmjd(61345.25) * DAY, abs=4e-5)


def test_between_its_moments_the_light_time_is_that_of_the_orbit_to_a_nanosecond():
    there = Barycentre(ra=83.0, dec=-1.2, **LA_PALMA)
    terrestrial = 61345.0 + np.random.default_rng(2).uniform(0.0, 400.0, 500)
    for heliocentric in (True, False):
        direct = there._seconds(terrestrial, heliocentric=heliocentric)
        assert np.abs(there._interpolated(terrestrial, heliocentric=heliocentric) - direct).max() < 1e-9


def test_a_time_has_the_same_bits_alone_and_among_others():
    there = Barycentre(ra=83.0, dec=-1.2, **LA_PALMA)
    mjd = 61345.0 + np.random.default_rng(4).uniform(0.0, 1.0, 40)
    alone = np.array([there.bmjd(one) for one in mjd])
    assert alone.tobytes() == there.bmjd(mjd).tobytes()
    assert there.bmjd(mjd.reshape(8, 5)).tobytes() == alone.tobytes()


def test_what_is_no_time_stays_none():
    there = Barycentre(ra=252.1, dec=-3.4, **LA_PALMA)
    times = there.bmjd([61345.0, np.nan, np.inf, -np.inf, 1e300, 0.0])
    assert np.isfinite(times).tolist() == [True, False, False, False, False, True]
    assert there.bmjd([]).shape == (0,)


def test_the_second_of_the_day_counts_the_same_on_a_day_with_a_leap_second():
    there = Barycentre(ra=270.0, dec=66.56072, **LA_PALMA)  # light time changes by little here
    before, noon, after = there.bmjd([57753.25, 57753.5, 57754.5])
    assert (noon - before - 0.25) * DAY == pytest.approx(0.0, abs=0.05)
    assert (after - noon - 1.0) * DAY == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("text", "ra", "dec"),
    [
        ("252.1093,-3.4", 252.1093, -3.4),
        ("16:48:26.2,-03:24:00", 252.10916666, -3.4),
        ("16 48 26.2, -00 24 00", 252.10916666, -0.4),
        ("0,+90", 0.0, 90.0),
    ],
)
def test_positions_are_read_in_degrees_and_in_hours(text, ra, dec):
    assert read_position(text) == pytest.approx((ra, dec), abs=1e-7)


@pytest.mark.parametrize(
    "text", ["", "12", "1,2,3", "361,0", "10,91", "nan,0", "16:48:26,-3.4", "16:60:00,00:00:00", "25:00:00,00:00:00", "a,b"]
)
def test_what_is_no_position_is_refused_with_how_to_write_one(text):
    with pytest.raises(BadInput, match="RA,DEC"):
        read_position(text)


def test_a_place_that_is_not_on_earth_is_refused():
    with pytest.raises(BadInput, match="on Earth"):
        Barycentre(ra=1.0, dec=1.0, longitude=0.0, latitude=91.0)
    with pytest.raises(BadInput, match="in the sky"):
        Barycentre(ra=float("nan"), dec=1.0, longitude=0.0, latitude=9.0)


def test_no_socket_is_ever_opened_and_no_table_of_the_earths_rotation_read():
    code = """
import socket
def refuse(*_, **__): raise AssertionError("a socket was opened")
socket.socket = socket.create_connection = socket.getaddrinfo = refuse
from roque.lightcurves.barycentre import Barycentre
there = Barycentre(ra=10.0, dec=20.0, longitude=-17.9, latitude=28.7, height=2300.0)
assert there.bjd([45000.0, 61365.0, 75000.0, 88000.0]).min() > 0 and there.hjd([88000.0]).min() > 0
import sys
assert not any(name.startswith("astropy") for name in sys.modules), "astropy was loaded"
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
