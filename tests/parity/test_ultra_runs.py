"""ULTRACAM and ULTRASPEC runs against what the HiPERCAM pipeline grabbed and listed of them, and against the truth put in."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.ndimage

from roque.errors import BadInput, NoData
from roque.frames.hcm import read_hcm
from roque.spool import data_source

RUNS = [*(f"run{n:03d}" for n in range(1, 9)), *(f"times/run{n}" for n in (*range(101, 115), *range(121, 127)))]
# frames that the pipeline grabbed, and from which one on it read the run: it knew no stamps before that
GRABBED = {
    "run002_001": 1,
    "run002_002": 1,
    "run002_003": 1,
    "run002_009": 9,
    "run003_012": 12,
    "run005_001": 1,
    "run005_002": 1,
    "run006_002": 2,
    "run007_001": 1,
    "run007_002": 1,
}
CALIBRATED = {"run002_010": 10, "run002_011": 10, "run005_008": 8}
# the pipeline calls these times good although they are made of stamps that do not follow each other
UNSOUND = {"times/run109": {9}, "times/run113": {11, 12}}
MICROSECOND = 1e-6 / 86400.0


def read(golden, name, firsts):
    run, number = name.split("_")
    with data_source("ul", golden / "ultracam" / run, firsts[name]) as source:
        return source.frame(int(number)), source.load(int(number)), read_hcm(golden / "ultracam" / f"{name}.hcm")


@pytest.mark.parametrize("name", GRABBED)
def test_pixels_and_windows_equal_those_grabbed(golden, name):
    lazy, loaded, expected = read(golden, name, GRABBED)
    for frame in (lazy, loaded):
        assert list(frame.ccds) == list(expected.ccds)
        for label, ccd in expected.ccds.items():
            assert list(frame.ccds[label].windows) == list(ccd.windows)
            for key, window in ccd.windows.items():
                ours = frame.ccds[label].windows[key]
                assert (ours.geometry, ours.outamp) == (window.geometry, window.outamp)
                np.testing.assert_array_equal(ours.data, window.data)


@pytest.mark.parametrize("name", [*GRABBED, *CALIBRATED])
def test_headers_times_flags_and_reasons_equal_those_grabbed(golden, name):
    frame, _, expected = read(golden, name, GRABBED | CALIBRATED)
    assert frame.number == expected.number
    left_out = {"COMMENT", "HISTORY", "RUN"}  # RUN is the name as given, with its folder
    assert {k: v for k, v in frame.header.items() if k != "RUN"} == {
        k: v for k, v in expected.header.items() if k not in left_out
    }
    for label, ccd in expected.ccds.items():
        ours = frame.ccds[label]
        assert (ours.nxtot, ours.nytot, ours.nxpad, ours.nypad) == (ccd.nxtot, ccd.nytot, ccd.nxpad, ccd.nypad)
        assert (ours.mjd_int, ours.mjd_frac, ours.exposure) == (ccd.mjd_int, ccd.mjd_frac, ccd.exposure)
        assert (ours.time_ok, ours.data_ok) == (ccd.time_ok, ccd.data_ok)
        assert ours.header == ours.header | {k: v for k, v in ccd.header.items() if k not in left_out}


def listed(path):
    """Lines of a listing, in words."""
    return [line.replace(",", "").split() for line in path.read_text().splitlines()]


@pytest.mark.parametrize("run", RUNS)
def test_times_equal_the_listing_digit_by_digit(golden, run):
    lines = listed(golden / "ultracam" / f"{run}.ltimes.txt")
    with data_source("ul", golden / "ultracam" / run) as source:
        times, table, ccds = source.exposures(), source.times(), len(source.read_out.ccds)
    assert len(times.mid) == len(lines)  # one more than there are frames where the last is cut short after its stamp
    for i, line in enumerate(lines):
        ours = [f"{times.stamp[i]:.12f}", f"{times.mid[i]:.12f}", str(int(times.reason[i] == 0)), f"{times.exposure[i]:.5f}"]
        assert [line[1], line[3], line[5], line[6]] == ours
        if ccds == 3:
            assert [line[7], line[9]] == [f"{times.blue_mid[i]:.12f}", str(int(times.blue_data[i]))]
    for row, line in zip(table.reshape(-1, ccds), lines, strict=False):
        assert row["mjd_int"][0] + row["mjd_frac"][0] == float(line[3])
        assert row["time_ok"][0] == (line[5] == "1" and row["frame"][0] not in UNSOUND.get(run, set()))
        assert row["data_ok"].all() or (ccds == 3 and line[9] == "0")


@pytest.mark.parametrize("run", [*(f"run{n:03d}" for n in range(1, 9))])
def test_stamps_and_cycles_are_those_that_were_put_in(golden, run):
    truth = json.loads((golden / "ultracam" / f"{run}.truth.json").read_text())
    with data_source("ul", golden / "ultracam" / run) as source:
        times = source.exposures()
    bad = {"run005": 12}.get(run)  # a stamp of zeros
    good = np.flatnonzero((times.reason == 0) & times.sound)
    for i, frame in enumerate(truth["frames"]):
        seconds, ticks = frame["unix"]
        if frame["frame"] != bad:
            assert times.stamp[i] == pytest.approx(40587 + (seconds + ticks * 1e-7) / 86400, abs=MICROSECOND)
    follow = good[1:][np.diff(good) == 1]
    apart = 86400 * (times.mid[follow] - times.mid[follow - 1])
    first = {"run007": 1}.get(run, 0)  # the first exposure of this mode is shorter than the others
    assert apart[first:] == pytest.approx(np.full(len(apart) - first, truth["cycle"]), abs=2e-6)
    assert (times.exposure[good] >= truth["exposure"] - 0.011).all()
    assert (times.exposure[good] <= max(truth["cycle"], truth["exposure"])).all()


@pytest.mark.parametrize("run", ["run002", "run003", "run005", "run006", "run007"])
def test_stars_lie_where_they_were_put(golden, run):
    truth = json.loads((golden / "ultracam" / f"{run}.truth.json").read_text())
    with data_source("ul", golden / "ultracam" / run) as source:
        for number in range(1, source.available + 1):
            stars = truth["frames"][number - 1]["stars"]
            ccd = source.frame(number).ccds["1"]
            bright = max(star["flux"][0] for star in stars)
            for star in (s for s in stars if s["flux"][0] > max(3000.0, 0.3 * bright)):
                x = star["x"]
                window = next(w for w in ccd.windows.values() if w.geometry.distance(x, star["y"]) > 12)
                assert centroid(window, x, star["y"]) == pytest.approx((x, star["y"]), abs=0.6 * window.geometry.xbin)


def centroid(window, x, y):
    g = window.geometry
    box = g.box(x - 12, x + 12, y - 12, y + 12)
    counts = window.read(box).astype(float)
    counts = scipy.ndimage.median_filter(counts, 3)  # cosmic rays
    counts = np.clip(counts - np.median(window.data) - 0.3 * (counts.max() - np.median(window.data)), 0.0, None)
    columns, rows = np.arange(box.x0, box.x1), np.arange(box.y0, box.y1)
    weight = counts.sum()
    return g.x((counts.sum(axis=0) * columns).sum() / weight), g.y((counts.sum(axis=1) * rows).sum() / weight)


def test_a_frame_that_is_cut_short_is_an_error_and_not_the_end(golden):
    with data_source("ul", golden / "ultracam" / "run008") as source:
        assert (source.available, source.timed) == (3, 4)
        with pytest.raises(BadInput, match="cut short inside frame 4") as error:
            source.frame(4)
        assert (error.value.file, error.value.place) == (str(golden / "ultracam" / "run008.dat"), "byte 324191")
        seen = []
        with pytest.raises(BadInput, match="cut short"):
            seen.extend(frame.number for frame in source)
        assert [p.place for p in source.problems] == ["byte 324191"]
        assert len(source.times()) == 9


def test_a_run_that_says_power_on_has_a_header_and_no_data(golden):
    with data_source("ul", golden / "ultracam" / "run009") as source:
        assert (source.info.mode, source.info.kind, source.info.object, source.available) == ("PONOFF", "other", "SIM", 0)
        assert source.problems == []
        assert len(source.times()) == 0
        for read_some in (lambda: source.frame(1), lambda: source.load(1), lambda: list(source)):
            with pytest.raises(NoData, match="switched the power"):
                read_some()


@pytest.mark.parametrize("run", [*(f"run{n:03d}" for n in range(1, 9))])
def test_every_golden_run_is_registered_for_what_it_is(golden, run):
    truth = json.loads((golden / "ultracam" / f"{run}.truth.json").read_text())
    made = next(r for r in json.loads((golden / "ultracam" / "night.json").read_text())["runs"] if r["name"] == run)
    with data_source("ul", golden / "ultracam" / run) as source:
        info = source.info
        assert source.available == made["nframe"] - (run == "run008")
    mode = {"USPEC": f"USPEC-{len(made.get('windows', []))}"}.get(truth["mode"], truth["mode"])
    assert (info.instrument, info.name, info.mode, info.exposure) == (truth["instrument"], run, mode, truth["exposure"])
    assert (info.xbin, info.ybin) == (made.get("xbin", 1), made.get("ybin", 1))
    assert info.nskips.get("3", 0) == truth["nblue"] - 1
    user = made.get("user") or {}
    assert info.object == user.get("target", info.object)
    assert info.kind == ("bias" if user.get("flags") == "bias" else "science")
    night = {"ultraspec": "2019-01-12"}.get(truth["instrument"], "2006-03-09" if run == "run007" else "2018-06-05")
    assert str(info.night) == night
