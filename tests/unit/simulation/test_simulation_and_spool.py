"""What the simulation writes is what the spool reads: two programs after one description."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from roque.errors import BadInput
from roque.simulation import Detector, RunPlan, Star, WindowPlan, simulate_night, simulate_run
from roque.spool import data_source, inspect

WINDOWS = (
    WindowPlan(xs=(391, 431, 511, 471), ys=123, nx=50, ny=46),
    WindowPlan(xs=(380, 420, 500, 460), ys=175, nx=40, ny=30),
)
STARS = (
    Star(name="lower", x=416.3, y=146.8, flux=(3e5,) * 5),
    Star(name="upper", x=1512.6, y=880.3, flux=(3e5,) * 5),
)


@pytest.mark.parametrize("clear", [False, True])
@pytest.mark.parametrize("binning", [1, 2])
def test_times_windows_and_pixels_are_read_as_they_were_put_in(tmp_path, clear, binning):
    plan = RunPlan(
        detector=Detector(seed=1),
        seed=2,
        windows=WINDOWS,
        frames=6,
        clear=clear,
        nskips=(2, 0, 1, 0, 0),
        xbin=binning,
        ybin=binning,
        stars=STARS,
        jitter=1.0,
        start=dt.datetime(2026, 3, 14, 23, 59, 58, tzinfo=dt.UTC),
    )
    truth = simulate_run(tmp_path / "run0001.fits", plan)
    with data_source("hl", tmp_path / "run0001.fits") as source:
        frames = list(source)
        assert source.problems == []
    assert [frame.number for frame in frames] == [1, 2, 3, 4, 5, 6]
    for frame, rows, places in zip(frames, truth.frames, truth.stars, strict=True):
        for ccd, row, stars in zip(frame.ccds.values(), rows, places, strict=True):
            assert ccd.data_ok == row["data_ok"]
            if not row["data_ok"]:
                continue
            assert ccd.time_ok
            assert (ccd.mjd_int - row["mjd_int"] + ccd.mjd_frac - row["mjd_frac"]) * 86400 == pytest.approx(0, abs=2e-9)
            assert ccd.exposure == pytest.approx(row["exposure"], abs=1e-9)
            for star in stars:
                assert centroid(ccd, star["x"], star["y"], 8) == pytest.approx((star["x"], star["y"]), abs=0.12 * binning)


def centroid(ccd, x, y, half):
    """Of the window around a place, sky taken off."""
    window = next(w for w in ccd.windows.values() if w.geometry.distance(x, y) > 0)
    g = window.geometry
    xs, ys = np.array([g.x(i) for i in range(g.nx)]), np.array([g.y(j) for j in range(g.ny)])
    box = np.ix_(np.abs(ys - y) <= half, np.abs(xs - x) <= half)
    light = window.data[box] - np.median(window.data)
    return float((light * xs[box[1][0]]).sum() / light.sum()), float((light * ys[box[0][:, 0]][:, None]).sum() / light.sum())


def test_the_demo_night_is_recognised_and_its_damage_is_told(tmp_path):
    truth = simulate_night(tmp_path, seed=3, frames=12)
    kinds = {}
    for name in truth.runs:
        with data_source("hl", tmp_path / f"{name}.fits") as source:
            kinds[name] = source.info.kind
            assert source.available == truth.whole_frames[name]
            assert source.info.night == truth.night
            assert bool(source.problems) == (f"{name}.fits" in truth.damaged)
    assert kinds == {"run0001": "bias", "run0002": "flat", "run0003": "science", "run0004": "science"}
    with pytest.raises(BadInput):
        inspect(tmp_path / "run0005.fits", {})
