"""Frames of the golden runs against those that the HiPERCAM pipeline grabbed, and its statistics of every window."""

from __future__ import annotations

import numpy as np
import pytest

from roque.frames.hcm import read_hcm
from roque.spool import data_source

# frames grabbed as they are; those of run0008 have the bias taken off
GRABBED = ["run0004_0031", "run0009_001", "run0010_001", "run0011_001", "run0012_001", "run0013_001"]
CALIBRATED = [*(f"run0008_{i:03d}" for i in range(1, 9)), "run0008_0009"]
# the pipeline writes 60 seconds where the last digit is rounded up
ROUNDED = {"2026-03-15T05:15:60.000000000": "2026-03-15T05:16:00.000000000"}


def grabbed(golden_runs, name):
    run, number = name.split("_")
    with data_source("hl", golden_runs / f"{run}.fits") as source:
        return source.frame(int(number)), source.load(int(number)), read_hcm(golden_runs / f"{name}.hcm")


@pytest.mark.parametrize("name", GRABBED)
def test_pixels_and_windows_equal_those_grabbed(golden_runs, name):
    lazy, loaded, expected = grabbed(golden_runs, name)
    for frame in (lazy, loaded):
        assert list(frame.ccds) == list(expected.ccds)
        for label, ccd in expected.ccds.items():
            ours = frame.ccds[label]
            assert (ours.nxtot, ours.nytot, ours.nxpad, ours.nypad) == (ccd.nxtot, ccd.nytot, ccd.nxpad, ccd.nypad)
            assert list(ours.windows) == list(ccd.windows)
            for key, window in ccd.windows.items():
                assert ours.windows[key].geometry == window.geometry
                np.testing.assert_array_equal(ours.windows[key].data, window.data)


@pytest.mark.parametrize("name", GRABBED + CALIBRATED)
def test_headers_times_and_flags_equal_those_grabbed(golden_runs, name):
    frame, _, expected = grabbed(golden_runs, name)
    assert frame.number == expected.number
    wanted = {
        k: ROUNDED.get(v, v) if k == "TIMSTAMP" else v for k, v in expected.header.items() if k not in {"COMMENT", "HISTORY"}
    }
    # written with 15 decimals
    assert frame.header.pop("MJDFRAC") == pytest.approx(wanted.pop("MJDFRAC"), abs=2e-15)
    assert frame.header == wanted
    for label, ccd in expected.ccds.items():
        ours = frame.ccds[label]
        assert (ours.mjd_int, ours.exposure, ours.time_ok, ours.data_ok) == (
            ccd.mjd_int,
            ccd.exposure,
            ccd.time_ok,
            ccd.data_ok,
        )
        assert ours.mjd_frac == pytest.approx(ccd.mjd_frac, abs=2e-15)
        assert ours.header == {k: v for k, v in ccd.header.items() if k in ours.header}


@pytest.mark.parametrize("run", ["run0008", "run0009", "run0010", "run0011", "run0012", "run0013"])
def test_statistics_of_every_window_of_every_frame_equal_the_pipelines(golden_runs, run):
    lines = [line.split() for line in (golden_runs / f"{run}.stats").read_text().splitlines() if not line.startswith("#")]
    table = {(int(frame), ccd, window): [float(v) for v in values] for frame, ccd, window, *values in lines}
    found = {}
    with data_source("hl", golden_runs / f"{run}.fits") as source:
        for place, frame in enumerate(source, start=1):
            for label, ccd in frame.ccds.items():
                for key, window in ccd.windows.items():
                    data = window.data.astype(float)
                    found[place, label, key] = [data.min(), data.max(), data.mean(), np.median(data), data.std()]
    assert found.keys() == table.keys()
    for place, values in found.items():
        assert values == pytest.approx(table[place], abs=6e-4)
