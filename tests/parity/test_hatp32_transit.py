"""A real transit, from raw frames to its parameters, with nothing chosen by hand but the target's position."""

import math
import subprocess
import sys

import numpy as np
import pytest
from astropy.coordinates import EarthLocation, SkyCoord
from astropy.time import Time
from astropy.utils import iers
from scipy.optimize import least_squares

from roque.calibration.apply import Calibrator, Masters
from roque.instruments import load_camera
from roque.lightcurves.airmass import airmass
from roque.lightcurves.ensemble import light_curves
from roque.photometry.automatic import automatic_apertures
from roque.photometry.beginning import frames_needed
from roque.photometry.defaults import default_recipe
from roque.photometry.flags import Flag
from roque.photometry.reduce import Reducer
from roque.spool import data_source

STAR = SkyCoord("02h04m10.28s", "+46d41m16.2s")
T0, PERIOD = 2454420.447187, 2.15000800  # BJD(TDB), days
EPOCH = 1715
A_OVER_R, INCLINATION = 5.344, math.radians(88.98)
U1, U2 = 0.35, 0.25

# limb-darkened disc in 3000 rings of equal area
RINGS = np.sqrt((np.arange(3000) + 0.5) / 3000)
MU = np.sqrt(1.0 - RINGS**2)
LIGHT = 1.0 - U1 * (1.0 - MU) - U2 * (1.0 - MU) ** 2
LIGHT /= LIGHT.sum()


def transit(bjd, mid, k):
    """Flux while a dark disc of radius k stellar radii passes: of each ring, the part that it covers is dark."""
    phase = 2.0 * np.pi * (bjd - mid) / PERIOD
    z = A_OVER_R * np.sqrt(np.sin(phase) ** 2 + (np.cos(INCLINATION) * np.cos(phase)) ** 2)[:, None]
    cosine = (RINGS**2 + z**2 - k**2) / (2.0 * RINGS * z)
    return 1.0 - (LIGHT * np.arccos(np.clip(cosine, -1.0, 1.0))).sum(axis=1) / np.pi


def test_the_model_has_the_depth_of_a_uniform_disc_at_the_centre_of_the_star():
    # at z = 0 all of the disc lies where the star is brightest
    inside = RINGS < 0.15
    depth = 1.0 - transit(np.array([T0]), T0, 0.15)[0]
    assert depth == pytest.approx(LIGHT[inside].sum(), rel=0.02)


def fit(bjd, ratio, am):
    """Mid-time less the ephemeris (minutes), radius ratio, rms of the residuals; linear in time and airmass."""
    expected = T0 + EPOCH * PERIOD
    time, air = bjd - bjd.mean(), am - am.mean()

    def model(p):
        return transit(bjd, expected + p[3] / 1440.0, p[4]) * (p[0] + p[1] * time + p[2] * air)

    relative = ratio / np.median(ratio)
    found = least_squares(
        lambda p: relative - model(p),
        [1.0, 0.01, 0.01, 1.0, 0.15],
        x_scale=[1e-3, 1e-2, 1e-2, 1.0, 1e-2],
        diff_step=[1e-4, 1e-2, 1e-2, 0.1, 1e-3],
    )
    return found.x[3], found.x[4], float(np.std(relative - model(found.x)))


@pytest.fixture(scope="module")
def reduced(golden, tmp_path_factory):
    camera = load_camera("microobservatory")
    detector = camera.detector("1")
    with data_source("fits", sorted((golden / "hatp32" / "raw").iterdir()), cache=tmp_path_factory.mktemp("cache")) as source:
        first = [source.frame(k) for k in range(1, frames_needed(source.info.nskips) + 1)]
        calibrator = Calibrator(Masters(), first[0], readout=detector.read_noise, gain=detector.gain)
        found = automatic_apertures(
            first,
            calibrator,
            run=source.info.name,
            gain={"1": detector.gain},
            saturation={"1": detector.saturation},
            target=(423.0, 286.2),
        )
        recipe = default_recipe(camera, found, binning=1)
        rows, _, _ = Reducer(recipe, found.apertures, Masters()).reduce_range(source)
        return camera, found, rows, source.times()


def test_the_target_is_followed_through_the_whole_night(reduced, golden):
    _, found, rows, _ = reduced
    target = rows[rows["aperture"] == found.target]
    table = np.genfromtxt(golden / "hatp32" / "reference_wcs.csv", delimiter=",", names=True)
    assert len(target) == len(table) == 142
    # the reference's positions are known to 0.2 pixels, and count from 0
    away = np.hypot(target["x"] - table["target_x0"] - 1.0, target["y"] - table["target_y0"] - 1.0)
    assert away.max() < 1.0
    assert np.median(away) < 0.3
    assert not np.any(target["flag"] & np.uint32(Flag.LOST | Flag.NO_EXTRACTION | Flag.TARGET_AT_EDGE))


def test_the_transit_is_that_of_the_literature(reduced):
    camera, found, rows, times = reduced
    curve = light_curves(rows, found.target, times=times)["1"].rows
    assert len(curve) == 142
    assert np.all(np.isfinite(curve["ratio"]))
    site = EarthLocation(lon=camera.site.longitude, lat=camera.site.latitude, height=camera.site.height)
    with iers.conf.set_temp("auto_download", False):  # the tables that astropy brings reach back to 2017
        utc = Time(curve["mjd_int"], curve["mjd_frac"], format="mjd", scale="utc", location=site)
        bjd = (utc.tdb + utc.light_travel_time(STAR)).jd
    mjd = curve["mjd_int"] + curve["mjd_frac"]
    air = airmass(mjd, STAR.ra.deg, STAR.dec.deg, camera.site.longitude, camera.site.latitude)
    minutes, k, scatter = fit(bjd, curve["ratio"], air)
    print(f"mid-time {minutes:+.2f} min from the ephemeris, Rp/R* {k:.4f}, scatter {100 * scatter:.3f} %")
    assert abs(minutes) < 5.0
    assert 0.137 < k < 0.171
    assert scatter < 0.0065


def test_a_night_reduced_by_hand_exports_that_light_curve(reduced, golden, tmp_path):
    def roque(*words):
        run = [sys.executable, "-c", "from services.cli.main import main; main()", "--home", str(tmp_path / "home"), *words]
        done = subprocess.run(run, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr

    _, found, rows, times = reduced
    roque("night", "reduce", str(golden / "hatp32" / "raw"), "--target", "423.0,286.2")
    table = tmp_path / "target.csv"
    run = "HATP-32_Clear_650x500"
    roque("lightcurve", "export", run, "--star", "target", "--format", "csv", "--output", str(table))
    exported = np.genfromtxt(table, delimiter=",", names=True)
    assert exported.dtype.names == ("mjd_mid_utc", "exposure_s", "ratio", "ratio_error", "flags", "airmass")
    curve = light_curves(rows, found.target, times=times)["1"].rows
    assert len(exported) == 142
    np.testing.assert_allclose(exported["ratio"], curve["ratio"], rtol=1e-8)
    np.testing.assert_allclose(exported["mjd_mid_utc"], curve["mjd_int"] + curve["mjd_frac"], atol=1e-9, rtol=0)
    assert np.all(exported["airmass"] > 1.0)
