"""Frames of RATIR, LMI and RIMAS become runs by descriptions alone, each frame as its night's truth expects."""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict

import numpy as np
import pytest
from astropy.io import fits

from roque.errors import BadInput
from roque.instruments import cameras
from roque.instruments.explain import readings
from roque.spool import data_source, inspect

KNOWN = cameras()
KINDS = {"bias": "bias", "dark": "dark", "flat": "flat", "object": "science", "other": "other"}
REFUSED = ("header keyword", "file is cut short", "not a FITS file")
"""Reasons of `expected.csv` for which a file is no frame at all; other rejects are those of calibration."""


@pytest.fixture(scope="module")
def night(golden):
    """Of every file of the simulated night: what it was told to be, or why it was refused."""
    found = {}
    for path in sorted((golden / "photopipe").glob("*/raw/*")):
        try:
            found[path.name.rsplit(".", 1)[0]] = inspect(path, KNOWN)
        except BadInput as error:
            found[path.name.rsplit(".", 1)[0]] = error
    return found


def expected(golden):
    with (golden / "photopipe" / "truth" / "expected.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_frame_is_told_for_what_it_is_and_every_bad_one_is_refused_with_its_reason(golden, night):
    rows = expected(golden)
    assert len(rows) == len(night) == 76
    for row in rows:
        told = night[row["file"]]
        if row["reason"].startswith(REFUSED):
            assert isinstance(told, BadInput), row
            for word in row["reason"].split():
                assert not word.isupper() or word in str(told) or word == "FITS", (row, str(told))
            continue
        assert told.kind == KINDS[row["kind"]], row
        letter = row["file"].removesuffix(".fits")
        camera = {"lmi": "lmi", "ratir": f"ratir-c{letter[16:17]}", "rimas": f"rimas-c{letter[-1]}"}[row["instrument"]]
        assert told.camera == camera, row


def test_each_camera_has_runs_of_its_own_with_gain_saturation_and_middle_of_the_exposure(golden, night):
    runs = defaultdict(list)
    for told in night.values():
        if not isinstance(told, BadInput):
            runs[told.camera, told.group].append(told.path)
    science = {camera: paths for (camera, group), paths in runs.items() if group[2] == "" and group[3] != "g"}
    assert {camera: len(paths) for camera, paths in science.items()} == {
        "ratir-c0": 10,
        "ratir-c3": 6,
        "lmi": 6,
        "rimas-c0": 5,
        "rimas-c1": 4,
    }
    limits = {
        "ratir-c0": (16.80 / 4, 65536 / 4 - 1, "r", 1, "SDATE"),
        "ratir-c3": (2.4 / 2, 36000 / 2 - 1, "J/H", 1, "SDATE"),
        "lmi": (2.89, 65000.0, "SDSS-R", 2, "DATE-OBS"),
        "rimas-c0": (2.1, 45000.0, "J", 1, "DATE-BEG"),
        "rimas-c1": (2.1, 45000.0, "H", 1, "DATE-BEG"),
    }
    for camera, paths in science.items():
        gain, saturation, band, binning, stamp = limits[camera]
        with data_source("fits", paths, camera=KNOWN[camera]) as run:
            assert run.info.filters == {"1": band}
            assert (run.info.xbin, run.info.ybin) == (binning, binning)
            assert run.problems == []
            for frame in run:
                (ccd,) = frame.ccds.values()
                start = np.datetime64(frame.header[stamp])
                middle = np.datetime64("1858-11-17") + np.timedelta64(round(ccd.mjd * 86400e6), "us")
                assert abs((middle - start) / np.timedelta64(1, "s") - ccd.exposure / 2) < 1e-4
                assert ccd.header["GAIN"] == pytest.approx(gain)
                assert ccd.header["SATURATE"] == pytest.approx(saturation)
                assert ccd.time_ok


def test_pixels_and_pointing_are_those_of_the_file(golden, night):
    truth = json.loads((golden / "photopipe" / "truth" / "lmi.json").read_text())
    assert truth
    path = next(p for p in (golden / "photopipe" / "lmi" / "raw").iterdir() if p.name.startswith("lmi.0016"))
    with fits.open(path) as hdus, data_source("fits", path) as run:
        frame = run.frame(1)
        np.testing.assert_array_equal(frame.ccds["1"].windows["1"].data, hdus[1].data.astype(np.float32))
        assert frame.header["RADEG"] == hdus[1].header["CRVAL1"]
        assert frame.header["DECDEG"] == hdus[1].header["CRVAL2"]


def test_the_header_of_a_real_ratir_frame_with_its_1469_cards_is_understood(golden, tmp_path):
    cards = gzip.decompress((golden / "photopipe" / "real_ratir_header.txt.gz").read_bytes()).decode().splitlines()
    real = fits.Header.fromstring("".join(card.ljust(80) for card in cards))
    real["NAXIS1"], real["NAXIS2"] = 36, 43
    fits.PrimaryHDU(np.ones((43, 36), np.int16), real).writeto(tmp_path / "20190904T021338C3f.fits", output_verify="silentfix")
    told = inspect(tmp_path / "20190904T021338C3f.fits", KNOWN)
    assert (told.camera, told.kind, told.object, str(told.night)) == ("ratir-c3", "flat", "2012A-0008-vis0", "2019-09-03")
    with data_source("fits", told.path, camera=KNOWN["ratir-c3"]) as run:
        (ccd,) = run.frame(1).ccds.values()
    assert (ccd.exposure, ccd.header["GAIN"], ccd.header["SATURATE"]) == (10.0, 1.2, 17999.0)


@pytest.mark.parametrize(
    ("first", "second", "band"),
    [("OPEN", "V", "V"), ("V", "OPEN", "V"), ("OPEN", "OPEN", "OPEN"), ("ND", "V", "ND-V"), ("V", None, None)],
)
def test_filters_of_lmi_stand_in_two_wheels(first, second, band):
    header = {"FILTER1": first, "FILTER2": second}
    assert KNOWN["lmi"].header.filter.text(header) == band


@pytest.mark.parametrize(
    ("common", "own", "band"),
    [("open", "H", "H"), ("blank", "H", "blank"), ("CaH", "open", "CaH"), ("CaH", "H", "CaH+H"), ("open", None, None)],
)
def test_filters_of_rimas_stand_in_a_wheel_for_both_cameras_and_one_of_each(common, own, band):
    assert KNOWN["rimas-c1"].header.filter.text({"FILTER3": common, "FILTER2": own, "FILTER1": "J"}) == band


def test_figures_that_nobody_measured_are_marked_where_they_are_used():
    found = {r.name: r for r in readings({"GAIN0": 2.1}, KNOWN["rimas-c0"])}
    assert found["gain"].note == ""
    assert "not measured" in found["read_noise"].note
