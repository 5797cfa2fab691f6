"""Every hcm file of the golden folders: read as astropy reads it, and written so that it says the same."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from roque.frames.hcm import read_hcm, write_hcm

STRUCTURE = {"", "COMMENT", "HISTORY", "FILENAME", "NFRAME", "DATASUM", "EXTNAME"}


def files(golden, golden_runs):
    return sorted(golden_runs.glob("*.hcm")) + sorted((golden / "foreign").glob("*/*.hcm"))


def test_pixels_and_places_are_those_that_astropy_reads(golden, golden_runs):
    paths = files(golden, golden_runs)
    assert len(paths) > 50
    for path in paths:
        frame = read_hcm(path)
        windows = [(label, name, w) for label, ccd in frame.ccds.items() for name, w in ccd.windows.items()]
        with fits.open(path) as hdus:
            images = [hdu for hdu in hdus if hdu.data is not None]
            assert len(images) == len(windows), path
            for hdu, (label, name, window) in zip(images, windows, strict=True):
                assert (label, name) == (str(hdu.header["CCD"]), str(hdu.header["WINDOW"]))
                g = window.geometry
                assert [g.llx, g.lly, g.xbin, g.ybin] == [hdu.header[k] for k in ("LLX", "LLY", "XBIN", "YBIN")]
                np.testing.assert_array_equal(window.data, hdu.data)


@pytest.mark.parametrize("name", ["run0004_0031", "bias", "flat", "fmap", "run0008_0009"])
def test_what_we_write_says_what_the_pipeline_wrote(golden_runs, tmp_path, name):
    theirs = golden_runs / f"{name}.hcm"
    write_hcm(tmp_path / "ours.hcm", read_hcm(theirs))
    with fits.open(tmp_path / "ours.hcm") as found, fits.open(theirs) as wanted:
        assert len(found) == len(wanted)
        for ours, other in zip(found, wanted, strict=True):
            for keyword in set(other.header) - STRUCTURE:
                assert ours.header[keyword] == other.header[keyword], (name, keyword)
            assert ours.header.get("EXTNAME") == other.header.get("EXTNAME")
            if other.data is not None:
                assert ours.data.dtype == other.data.dtype
                np.testing.assert_array_equal(ours.data, other.data)
