"""Levels of amplifiers, from what they read beside the chip."""

from __future__ import annotations

import numpy as np
import pytest

from roque.calibration.apply import Calibrator, Masters
from roque.frames import CCD, Box, Frame, Geometry, Window
from roque.photometry.kernels.windows import calibrate_box, make_patch
from roque.photometry.pixels import PixelTable
from roque.spool import data_source

DATA = {"E1": Geometry(1, 1, 2, 2, 40, 30), "H1": Geometry(1, 401, 2, 2, 40, 30)}
SCANS = {"E1P": Geometry(-49, 1, 2, 2, 25, 30), "H1P": Geometry(-49, 401, 2, 2, 25, 30)}
PEDESTAL = {"E": 2400.0, "H": 2150.0}


def frame(signal, drift, *, seed=0, rows=None, labels=(*DATA, *SCANS), header=None, ray=False):
    """A frame whose amplifiers have pedestals of their own, plus a drift and a pattern of rows."""
    rng = np.random.default_rng(seed)
    windows = {}
    for label in labels:
        g = DATA.get(label) or SCANS[label]
        level = PEDESTAL[label[0]] + drift[label[0]] + (0.0 if rows is None else rows[:, np.newaxis])
        values = level + rng.normal(0.0, 3.0, (g.ny, g.nx)) + (signal if label in DATA else 0.0)
        if ray and label in SCANS:
            values[5, 3:8] += 20_000.0
        windows[label] = Window(g, values.astype(np.float32))
    return Frame({"1": CCD(windows, 2048, 1024)}, 1, header or {})


STILL = {"E": 0.0, "H": 0.0}
DRIFT = {"E": 37.0, "H": -12.0}


@pytest.mark.parametrize("ray", [False, True])
def test_drifts_of_each_amplifier_are_taken_out(ray):
    data, bias = frame(500.0, DRIFT, seed=1, ray=ray), frame(0.0, STILL, seed=2)
    calibrator = Calibrator(Masters(bias=bias), data, readout=3, gain=1, overscan="level")
    plain = Calibrator(Masters(bias=bias), data, readout=3, gain=1)
    for label in DATA:
        got = calibrator.window("1", data.ccds["1"], label)
        assert got.deb.mean() == pytest.approx(500.0, abs=0.6)
        assert got.proc.mean() == pytest.approx(500.0, abs=0.6)
        np.testing.assert_array_equal(got.raw, data.ccds["1"].windows[label].data)
        assert plain.window("1", data.ccds["1"], label).deb.mean() == pytest.approx(500.0 + DRIFT[label[0]], abs=0.6)
    assert calibrator.notes == []


def test_without_a_bias_the_level_itself_is_taken_off():
    data = frame(500.0, DRIFT)
    calibrator = Calibrator(Masters(), data, readout=3, gain=1, overscan="level")
    assert calibrator.window("1", data.ccds["1"], "H1").deb.mean() == pytest.approx(500.0, abs=0.6)


def test_patterns_of_rows_are_taken_out_row_by_row():
    pattern = np.random.default_rng(9).normal(0.0, 20.0, 30)
    data, bias = frame(500.0, DRIFT, rows=pattern, seed=1), frame(0.0, STILL, seed=2)
    spread = {}
    for overscan in ("level", "rows"):
        calibrator = Calibrator(Masters(bias=bias), data, readout=3, gain=1, overscan=overscan)
        spread[overscan] = np.std(calibrator.window("1", data.ccds["1"], "E1").deb.mean(axis=1))
    assert spread["level"] > 12.0
    assert spread["rows"] < 2.0  # what 25 pixels of data and scans leave of the read noise, twice


def test_what_has_no_overscan_stays_and_is_told_of():
    data = frame(500.0, DRIFT, labels=tuple(DATA))
    calibrator = Calibrator(Masters(), data, readout=3, gain=1, overscan="level")
    np.testing.assert_array_equal(calibrator.window("1", data.ccds["1"], "E1").deb, data.ccds["1"].windows["E1"].data)
    assert calibrator.notes == ["CCD 1 has no overscan: no level of its amplifiers is subtracted"]


@pytest.mark.parametrize(("lly", "extra"), [(-7, (0, 4)), (1, (4, 0)), (1, (0, 0))])
def test_rows_of_hipercams_prescan_are_those_of_its_window_though_it_holds_overscan_too(lly, extra):
    rows = np.arange(30.0) ** 2
    scan = np.concatenate([np.full(extra[0], -999.0), rows, np.full(extra[1], -999.0)])[:, np.newaxis] + np.zeros(25)
    where = {"E1": Geometry(1, 1 if lly == 1 else 101, 2, 2, 40, 30), "E1P": Geometry(-49, lly, 2, 2, 25, len(scan))}
    values = {"E1": rows[:, np.newaxis] + np.full(40, 7.0), "E1P": scan}
    windows = {label: Window(g, values[label].astype(np.float32)) for label, g in where.items()}
    data = Frame({"1": CCD(windows, 2048, 1024)})
    calibrator = Calibrator(Masters(), data, readout=3, gain=1, overscan="rows")
    np.testing.assert_array_equal(calibrator.window("1", data.ccds["1"], "E1").deb, 7.0)
    assert calibrator.notes == []


def test_a_bias_without_the_overscan_leaves_the_level():
    data, bias = frame(500.0, DRIFT), frame(0.0, STILL, labels=(*DATA, "E1P"))
    calibrator = Calibrator(Masters(bias=bias), data, readout=3, gain=1, overscan="level", crop=False)
    assert calibrator.window("1", data.ccds["1"], "E1").deb.mean() == pytest.approx(500.0, abs=0.6)
    assert calibrator.window("1", data.ccds["1"], "H1").deb.mean() == pytest.approx(488.0, abs=0.6)
    assert "the bias has not the overscan of window H1 of CCD 1: no level is subtracted" in calibrator.notes


def test_halves_of_ultracams_overscan_modes_have_their_columns():
    g = {"1": Geometry(1, 1, 1, 1, 8, 6), "2": Geometry(513, 1, 1, 1, 8, 6)}
    scans = {"3": Geometry(1025, 1, 1, 1, 28, 7), "4": Geometry(1053, 1, 1, 1, 28, 7)}
    levels = {"1": 300.0, "3": 280.0, "2": 500.0, "4": 490.0}
    windows = {
        label: Window(where, np.full((where.ny, where.nx), levels[label], np.float32)) for label, where in (g | scans).items()
    }
    data = Frame({"1": CCD(windows, 1080, 1032)}, 1, {"MODE": "FFOVER"})
    calibrator = Calibrator(Masters(), data, readout=3, gain=1, overscan="rows")
    assert calibrator.window("1", data.ccds["1"], "1").deb.mean() == 20.0
    assert calibrator.window("1", data.ccds["1"], "2").deb.mean() == 10.0


@pytest.mark.parametrize(("run", "overscan"), [("run0010", "level"), ("run0010", "rows"), ("run0013", "level")])
def test_kernels_take_off_the_levels_of_raw_runs_as_the_calibrator_does(run, overscan, golden_runs):
    with data_source("hl", golden_runs / f"{run}.fits") as source:
        frame = source.frame(1)
    calibrator = Calibrator(Masters(bias=frame), frame, readout=4.2, gain=1.1, overscan=overscan)
    bare = Calibrator(Masters(), frame, readout=4.2, gain=1.1, overscan=overscan)
    for name, ccd in frame.ccds.items():
        labels = [label for label in ccd.windows if label[-1] not in "PO"]
        for made in (calibrator, bare):
            pixels = PixelTable(name, ccd, labels, made)
            pixels.point(ccd)
            for i, label in enumerate(labels):
                g = ccd.windows[label].geometry
                box = Box(1, g.ny, 2, g.nx)
                patch = make_patch((g.ny - 1) * (g.nx - 2), pixels.dtype)
                calibrate_box(pixels.tables[0], i, np.array([2, 1, g.nx - 2, g.ny - 1]), 0.0, patch)
                wanted = made.box(name, ccd, label, box)
                np.testing.assert_array_equal(patch.deb.reshape(wanted.deb.shape), wanted.deb)
                np.testing.assert_array_equal(patch.proc.reshape(wanted.deb.shape), wanted.proc)
                if made is calibrator:
                    assert not wanted.deb.any()  # the frame is its own bias
                else:
                    scan = ccd.windows[label + ("P" if label + "P" in ccd.windows else "O")]
                    raw = ccd.windows[label].read(box)
                    assert (raw - wanted.deb).mean() == pytest.approx(np.median(scan.data), abs=2.0)
