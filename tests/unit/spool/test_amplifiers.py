"""Images of described cameras that two amplifiers read, with the overscan of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import roque.instruments
from roque.calibration.apply import Calibrator, Masters
from roque.errors import BadInput
from roque.frames import Geometry
from roque.instruments.camera import read_camera
from roque.spool import data_source
from tests.support.described import STAR

TEXT = (Path(roque.instruments.__file__).parent / "cameras" / "microobservatory.toml").read_text()
AMPLIFIERS = """saturation = 4095.0

[[ccd.amplifier]]
data.default = "[11:40,1:20]"
overscan.default = "[1:10,1:20]"

[[ccd.amplifier]]
data.default = "[41:70,1:20]"
overscan = { keyword = "BIASSEC" }

[header.llx]
default = -9
"""


def camera(amplifiers=AMPLIFIERS):
    return read_camera(TEXT.replace("saturation = 4095.0\n", amplifiers).encode(), "two.toml")


def write(path, levels=(300.0, 450.0), rows=None, **changes):
    """Two halves with levels of their own, 100 counts of light on both; overscan left and right."""
    rng = np.random.default_rng(3)
    counts = rng.normal(0.0, 2.0, (20, 80)) + (0.0 if rows is None else rows[:, np.newaxis])
    counts[:, :40] += levels[0]
    counts[:, 40:] += levels[1]
    counts[:, 10:70] += 100.0
    fits.PrimaryHDU(counts.astype(np.float32), fits.Header(STAR | {"BIASSEC": "[71:80,1:20]"} | changes)).writeto(path)
    return path


def test_each_amplifier_is_a_window_and_its_overscan_another(tmp_path):
    path = write(tmp_path / "a.fits")
    with data_source("fits", [path], camera=camera()) as run:
        frame, info = run.frame(1), run.info
    windows = frame.ccds["1"].windows
    assert {label: w.geometry for label, w in windows.items()} == {
        "1": Geometry(1, 1, 1, 1, 30, 20),
        "1O": Geometry(-9, 1, 1, 1, 10, 20),
        "2": Geometry(31, 1, 1, 1, 30, 20),
        "2O": Geometry(61, 1, 1, 1, 10, 20),
    }
    assert info.windows["1"] == {label: w.geometry for label, w in windows.items()}
    np.testing.assert_array_equal(windows["2"].data, fits.getdata(path)[:, 40:70])


def test_levels_of_both_are_taken_off(tmp_path):
    pattern = np.random.default_rng(1).normal(0.0, 15.0, 20)
    with data_source("fits", [write(tmp_path / "a.fits", rows=pattern)], camera=camera()) as run:
        frame = run.frame(1)
    for overscan, scatter in (("level", 17.0), ("rows", 2.5)):
        calibrator = Calibrator(Masters(), frame, readout=2, gain=1, overscan=overscan)
        for label in "12":
            deb = calibrator.window("1", frame.ccds["1"], label).deb
            assert deb.mean() == pytest.approx(100.0, abs=0.5)
            assert deb.std() < scatter


def test_without_amplifiers_the_image_is_one_window(tmp_path):
    with data_source("fits", [write(tmp_path / "a.fits")], camera=camera("saturation = 4095.0\n")) as run:
        assert run.frame(1).ccds["1"].windows["1"].geometry == Geometry(1, 1, 1, 1, 80, 20)


@pytest.mark.parametrize("section", ["gone", "[71:81,1:20]", "[80:71,1:20]", "left", "[0:10,1:20]"])
def test_sections_that_make_no_sense_are_refused_by_name(tmp_path, section):
    path = write(tmp_path / "a.fits", BIASSEC=section)
    if section == "gone":
        fits.delval(path, "BIASSEC")
    with pytest.raises(BadInput, match="BIASSEC") as told, data_source("fits", [path], camera=camera()) as run:
        run.frame(1)
    assert told.value.file == str(path)


def test_a_misspelt_amplifier_is_refused():
    with pytest.raises(BadInput, match=r"ccd\.amplifier\.overscn"):
        camera(AMPLIFIERS.replace("overscan.default", "overscn.default"))
