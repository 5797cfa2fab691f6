"""The 142 real frames of HAT-P-32: one run by the description of the camera, in order, at the right times."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from astropy.coordinates import EarthLocation, SkyCoord
from astropy.io import fits
from astropy.time import Time
from astropy.utils import iers

from roque.instruments import cameras
from roque.spool import data_source, inspect


@pytest.fixture(scope="module")
def raw(golden):
    return sorted((golden / "hatp32" / "raw").iterdir())


def test_all_files_are_frames_of_one_run(raw):
    known = cameras()
    found = [inspect(path, known) for path in raw]
    assert len(found) == 142
    assert {item.group for item in found} == {found[0].group}
    assert {(i.source, i.camera, i.name, i.kind, i.object) for i in found} == {
        ("fits", "microobservatory", "HATP-32_Clear_650x500", "science", "HATP-32")
    }
    assert {item.night for item in found} == {dt.date(2017, 12, 19)}


def test_frames_come_in_the_order_of_time_with_mid_exposures_in_utc(raw, golden):
    with data_source("fits", raw[::-1]) as source:
        times = source.times()
        paths = source.paths
        info = source.info
    assert [path.name for path in paths] == [path.name for path in raw]
    # the file's name has the start in UTC to the second, the header to the millisecond
    for path, row in zip(paths, times, strict=True):
        digits = path.name.removeprefix("HATP-32").split(".")[0]
        start = Time(dt.datetime.strptime(f"20{digits}", "%Y%m%d%H%M%S"), scale="utc").mjd
        late = (row["mjd_int"] - start + row["mjd_frac"]) * 86400 - 30.0
        assert -0.001 < late < 1.001, path.name
        assert row["exposure"] == 60.0
    assert times["frame"].tolist() == list(range(1, 143))
    assert info.windows["1"]["1"].nx == 650
    assert info.filters == {"1": "Clear"}
    assert info.camera == "microobservatory"


def test_times_agree_with_those_of_the_reference_light_curve(raw, golden):
    bjd = np.loadtxt(golden / "hatp32" / "reference_lightcurve.csv", delimiter=",", usecols=0)
    assert len(bjd) == 142
    site = cameras()["microobservatory"].site
    place = EarthLocation.from_geodetic(site.longitude, site.latitude, site.height)
    with data_source("fits", raw) as source:
        times = source.times()
    with iers.conf.set_temp("auto_download", False):
        ours = Time(times["mjd_int"], times["mjd_frac"], format="mjd", scale="utc", location=place)
        star = SkyCoord(31.0428, 46.6878, unit="deg")
        barycentric = ours.tdb + ours.light_travel_time(star, ephemeris="builtin")
    assert np.abs((barycentric.jd - bjd) * 86400).max() < 2.0


def test_pixels_equal_those_that_astropy_unpacks(raw, tmp_path):
    chosen = [raw[0], raw[77], raw[141]]
    for cache in (None, tmp_path / "cache"):
        with data_source("fits", chosen, cache=cache) as source:
            for path, frame in zip(chosen, source, strict=True):
                with fits.open(path) as hdus:
                    np.testing.assert_array_equal(frame.ccds["1"].windows["1"].data, hdus[1].data)


def test_a_frame_carries_where_the_telescope_was_asked_to_point(raw):
    with data_source("fits", raw[:1]) as source:
        header = source.frame(1).header
    assert (header["RADEG"], header["DECDEG"]) == (31.312099, 46.769087)
    site = cameras()["microobservatory"].site
    assert site.longitude == -110.88  # west, although the header has no sign
