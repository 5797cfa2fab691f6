"""Nine cameras that the HiPERCAM pipeline converts by code are read by descriptions alone, and give the same frames."""

from __future__ import annotations

import numpy as np
import pytest

from roque.frames.hcm import read_hcm
from roque.instruments import load_camera
from roque.spool import data_source

NAMES = ("hicks", "intwfc", "lcogt", "ltio", "ltrise", "osirisplus", "pt5m", "rosa", "whtcam")


@pytest.mark.parametrize("name", NAMES)
def test_frames_equal_those_that_the_pipeline_converted(golden, name):
    folder = golden / "foreign" / name
    camera = load_camera(name)
    with data_source("fits", sorted((folder / "raw").iterdir()), camera=camera) as source:
        assert source.available == 2
        for number, frame in enumerate(source, start=1):
            expected = read_hcm(folder / f"{name}_{number}.hcm")
            (ours,), (theirs,) = frame.ccds.values(), expected.ccds.values()
            (window,), (twin,) = ours.windows.values(), theirs.windows.values()
            np.testing.assert_array_equal(window.data, twin.data)
            geometry = twin.geometry
            if name == "intwfc":
                # the pipeline takes the corner of a window that is disabled
                assert (geometry.llx, geometry.lly) == (0, 0)
                assert (window.geometry.llx, window.geometry.lly) == (604, 501)
                assert (window.geometry.xbin, window.geometry.nx) == (geometry.xbin, geometry.nx)
            else:
                assert window.geometry == geometry
            assert (ours.nxtot, ours.nytot) == (theirs.nxtot, theirs.nytot)
            if name == "ltrise":  # the pipeline writes its time and exposure where nothing reads them
                mjd, exposure = expected.header["MJDINT"] + expected.header["MJDFRAC"], expected.header["EXPTIME"]
            else:
                mjd, exposure = theirs.mjd, theirs.exposure
            assert ours.exposure == exposure
            assert ours.mjd == pytest.approx(mjd, abs=1e-6 / 86400)


def test_gain_and_read_noise_of_a_header_win_over_the_description(golden):
    camera = load_camera("ltio")
    with data_source("fits", sorted((golden / "foreign" / "ltio" / "raw").iterdir()), camera=camera) as source:
        header = source.frame(1).ccds["1"].header
    assert (header["GAIN"], header["RONOISE"], header["SATURATE"]) == (2.2, 11.0, 62000.0)
