"""The .xml of ULTRACAM and ULTRASPEC runs: what it says, what is wrong with it, and what must not be believed."""

from __future__ import annotations

import datetime as dt
import os
import re
import time
import tracemalloc
from importlib import resources

import pytest

from roque.errors import BadInput, NotFound
from roque.instruments import cameras
from roque.spool import data_source, inspect
from roque.spool.ultra_xml import parse_ultra_xml
from tests.support.ultra import pairs, spec_windows, ultracam_run, ultraspec_run

WINDOW = (41, 561, 181, 24, 16)
PIXELS = 6 * 24 * 16
SPEC_PIXELS = 24 * 16


def run_of(**changes):
    """A run of one pair of windows; parameters that are None are left out."""
    run = ultracam_run("appl5_window1pair_cfg", pairs(WINDOW), PIXELS)
    run.parameters = {k: v for k, v in (run.parameters | changes).items() if v is not None}
    return run


def spec_run(**changes):
    run = ultraspec_run("ccd201_winbin_cfg", spec_windows((109, 209, 24, 16)), SPEC_PIXELS)
    run.parameters = {k: v for k, v in (run.parameters | changes).items() if v is not None}
    return run


def refused(run, tmp_path):
    with pytest.raises(BadInput) as error, data_source("ul", run.write(tmp_path)):
        pass
    assert error.value.file == str(tmp_path / "run012.xml")
    assert error.value.place
    assert error.value.remedy
    return error.value


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"GAIN_SPEED": None}, "parameter GAIN_SPEED is missing"),
        ({"GAIN_SPEED": 3294}, "GAIN_SPEED 3294 is none of 3293, 4027, 4061"),
        ({"EXPOSE_TIME": "long"}, "parameter EXPOSE_TIME cannot be 'long'"),
        ({"EXPOSE_TIME": -5}, "parameter EXPOSE_TIME cannot be '-5'"),
        ({"EXPOSE_TIME": "nan"}, "parameter EXPOSE_TIME cannot be 'nan'"),
        ({"X_BIN_FAC": 0}, "parameter X_BIN_FAC cannot be '0'"),
        ({"X_BIN_FAC": None}, "parameter X_BIN_FAC is missing"),
        ({"X1L_START": 0}, "parameter X1L_START cannot be '0'"),
        ({"X1R_START": 1070}, "window 2 reaches beyond the CCD of 1080 x 1032 pixels"),
        ({"Y1_START": 1020}, "window 1 reaches beyond the CCD of 1080 x 1032 pixels"),
        ({"X1_SIZE": 25}, "windows of 4800 bytes and a header of 32 in a frame of 4640"),
        ({"X1_SIZE": "9" * 5000}, "parameter X1_SIZE cannot be"),
        ({"REVISION": 999}, "version 999 of the camera's software is not known"),
        ({"REVISION": 70514}, "version 70514 of the camera's software does not write 16 header words"),
        ({"REVISION": None}, "version -1 of the camera's software does not write 16 header words"),
        ({"REVISION": "new"}, "parameter REVISION cannot be 'new'"),
        ({"NBLUE": 0}, "parameter NBLUE cannot be '0'"),
        ({"NBLUE": 10**9}, "parameter NBLUE cannot be"),
    ],
)
def test_what_is_wrong_with_a_parameter_is_said(tmp_path, changes, said):
    assert said in refused(run_of(**changes), tmp_path).message


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"DWELL": None}, "parameter DWELL is missing"),
        ({"EN_CLR": None}, "parameter EN_CLR is missing"),
        ({"OUTPUT": None}, "parameter OUTPUT is missing"),
        ({"X1_SIZE": 0}, "parameter X1_SIZE cannot be '0'"),
        ({"X2_SIZE": 4, "Y2_SIZE": 4}, "windows of 800 bytes"),
        ({"Y1_START": 1070}, "reaches beyond the CCD of 1056 x 1072 pixels"),
    ],
)
def test_what_is_wrong_with_a_parameter_of_ultraspec_is_said(tmp_path, changes, said):
    assert said in refused(spec_run(**changes), tmp_path).message


@pytest.mark.parametrize("words", [0, 8, 12])
def test_a_header_too_short_for_a_time_stamp_is_refused(tmp_path, words):
    run = run_of()
    run.stamps = [b"\0" * 2 * words] * 3
    assert f"{words} header words cannot hold a time stamp of 26 bytes" in refused(run, tmp_path).message


def test_an_unknown_application_or_instrument_is_named(tmp_path):
    run = run_of()
    run.application = "ap99_new"
    assert "ULTRACAM has no application 'ap99_new'" in refused(run, tmp_path).message
    run.instrument = "Hawk-I"
    assert "the instrument is called 'Hawk-I'" in refused(run, tmp_path).message


def test_versions_that_two_lists_disagree_on_are_read(tmp_path):
    for version in (110921, 130303, 130307):
        with data_source("ul", run_of(REVISION=version).write(tmp_path)) as source:
            assert (source.available, source.read_out.stamp_format) == (3, 2)


def test_the_users_version_comes_first_and_must_not_contradict(tmp_path):
    run = run_of(REVISION=None, VERSION=120813)
    run.user["revision"] = "120813"
    with data_source("ul", run.write(tmp_path)) as source:
        assert source.frame(1).header["VERSION"] == 120813
    run.user["revision"] = "120716"
    assert "the user element says version 120716, the parameters 120813" in refused(run, tmp_path).message


def test_a_user_element_sets_the_unit_of_time_unless_it_makes_no_sense(tmp_path):
    run = run_of()
    for user, exposure in (
        ({"target": "a"}, 1.0),
        ({}, 1.0),
        (None, 10.0),
        ({"target": "a", "revision": "x"}, 10.0),
        ({"target": "a", "SlidePos": " "}, 10.0),
    ):
        run.user = user
        with data_source("ul", run.write(tmp_path)) as source:
            assert source.info.exposure == exposure
            assert source.info.object == ("a" if exposure == 1.0 and user else "")


def test_what_the_observer_entered_is_in_the_header(tmp_path):
    run = run_of()
    run.user = {"target": "V1 &amp; V2", "SlidePos": "1100.0 pixels", "Dec": "-01:02", "flags": "flat", "filters": "us,gs,rs"}
    with data_source("ul", run.write(tmp_path)) as source:
        header, info = source.frame(1).header, source.info
    assert {k: header[k] for k in ("TARGET", "SLIDEPOS", "DEC", "DTYPE")} == {
        "TARGET": "V1 & V2",
        "SLIDEPOS": "1100.0",
        "DEC": "-01:02",
        "DTYPE": "flat",
    }
    assert (info.kind, info.filters, info.speed) == ("flat", {"1": "us", "2": "gs", "3": "rs"}, "cdd")
    assert info.header["PARAMETERS"]["X1_SIZE"] == "24"
    assert info.header["USER"]["SlidePos"] == "1100.0"


def test_a_missing_clock_means_the_standard_one_of_that_application(tmp_path):
    run = run_of(V_FT_CLK=None)
    with data_source("ul", run.write(tmp_path)) as source:
        assert source.read_out.shift_clock == 0
    three = ultracam_run("appl7_window3pair_cfg", pairs(WINDOW, WINDOW, WINDOW), 3 * PIXELS)
    del three.parameters["V_FT_CLK"]
    with data_source("ul", three.write(tmp_path, "run013")) as source:
        assert source.read_out.shift_clock == 140


BOMB = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
HOSTILE = {
    "entities": f'<!DOCTYPE d [<!ENTITY a0 "x">{BOMB}]><d>&a9;</d>',
    "a file of the system": '<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]><d>&e;</d>',
    "parameter entities": "<!DOCTYPE d [<!ENTITY % p \"<!ENTITY q 'r'>\"> %p;]><d>&q;</d>",
    "an outer description": '<!DOCTYPE d SYSTEM "http://127.0.0.1:9/x.dtd"><d>&e;</d>',
    "a million tags": "<d>" + "<e/>" * 200_000 + "</d>",
    "a deep nest": "<d>" * 5000 + "</d>" * 5000,
    "too much of it": "<d>" + " " * (2 << 20) + "</d>",
    "long names": f"<{'d' * 900_000}/>",
    "nothing": "",
    "no XML": "framesize=12",
    "half of it": "<datainfo><data_status framesize='12'>",
    "zeros": "\0" * 3000,
    "an unknown encoding": '<?xml version="1.0" encoding="klingon"?><d/>',
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_xml_is_refused_soon_and_in_little_memory(tmp_path, kind):
    run_of().write(tmp_path)
    (tmp_path / "run012.xml").write_text(HOSTILE[kind])
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(BadInput) as error:
        inspect(tmp_path / "run012.xml", cameras())
    assert time.perf_counter() - start < 2.0
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()
    assert error.value.file == str(tmp_path / "run012.xml")
    assert error.value.place
    assert error.value.remedy


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("framesize", "size"), "attribute framesize of data_status is missing"),
        (("headerwords", "words"), "attribute headerwords of header_status is missing"),
        (("data_status", "status"), "element data_status is missing"),
        (("instrument_status", "status"), "element instrument_status is missing"),
        (("SDSU Exec", "Linux"), "no application_status with the id SDSU Exec"),
        (("<name>Ultracam</name>", ""), "element name is missing"),
        ((' value="3293"', ""), "attribute value of parameter_status is missing"),
    ],
)
def test_what_is_missing_is_named(change, said):
    text = run_of().xml().replace(*change)
    with pytest.raises(BadInput, match=re.escape(said)):
        parse_ultra_xml(text.encode(), "run012.xml")


def test_the_last_of_equal_parameters_counts_and_elements_may_lie_anywhere():
    text = run_of().xml().replace("<instrument_status>", "<filesave_status><instrument_status>")
    text = text.replace(
        "</instrument_status>", '<a><parameter_status name="NBLUE" value="2"/></a></instrument_status></filesave_status>'
    )
    header = parse_ultra_xml(text.encode(), "run012.xml")
    assert header.parameters["NBLUE"] == "2"
    assert parse_ultra_xml(text.replace('"NBLUE"', '"GAIN_SPEED"').encode(), "x").parameters["GAIN_SPEED"] == "2"


def test_a_run_is_opened_by_its_name_by_one_file_or_by_both(tmp_path):
    path = run_of().write(tmp_path)
    xml, dat = path.with_suffix(".xml"), path.with_suffix(".dat")
    for resource in (path, str(path), xml, dat, [xml, dat]):
        with data_source("ul", resource) as source:
            assert (source.available, source.info.name) == (3, "run012")
            assert source.frame(1).header["RUN"] == str(path)
    run_of().write(tmp_path, "run013")
    with pytest.raises(BadInput, match="files of more than one run"):
        data_source("ul", [xml, tmp_path / "run013.dat"])
    with pytest.raises(BadInput, match="no files"):
        data_source("ul", [])


def test_the_original_of_a_corrected_file_is_read_where_it_is_asked_for(tmp_path):
    path = run_of().write(tmp_path)
    old = path.with_name("run012.dat.old")
    with data_source("ul", old) as source:  # this run was not corrected
        assert source.frame(3).header["FRAMEERR"] is False
    data = bytearray(path.with_suffix(".dat").read_bytes())
    at = 2 * len(data) // 3 + 4
    data[at : at + 4] = b"\0" * 4
    old.write_bytes(data)
    for resource, wrong in (
        (old, True),
        ([path.with_suffix(".xml"), old], True),
        (path, False),
        (path.with_suffix(".dat"), False),
    ):
        with data_source("ul", resource) as source:
            assert source.frame(3).header["FRAMEERR"] is wrong
            assert (source.info.name, source.frame(1).header["RUN"]) == ("run012", str(path))
    with data_source("ul", old) as source:
        assert source.problems[0].file == str(old)


def test_a_missing_file_is_named(tmp_path):
    path = run_of().write(tmp_path)
    path.with_suffix(".dat").unlink()
    with pytest.raises(NotFound, match=r"there is no run012\.dat") as error:
        data_source("ul", path)
    assert error.value.file == str(path.with_suffix(".xml"))
    with pytest.raises(NotFound, match=r"there is no run099\.xml and run099\.dat"):
        data_source("ul", tmp_path / "run099")


def test_inspecting_either_file_tells_the_same_run(tmp_path):
    path = run_of().write(tmp_path)
    known = cameras()
    one, two = (inspect(path.with_suffix(ending), known) for ending in (".xml", ".dat"))
    assert one.files == two.files == (path.with_suffix(".xml"), path.with_suffix(".dat"))
    assert (one.source, one.camera, one.name, one.kind, one.group) == ("ul", "ultracam", "run012", "science", two.group)
    assert str(one.night) == "2018-06-05"
    spec = inspect(spec_run().write(tmp_path, "run013").with_suffix(".xml"), known)
    assert (spec.camera, spec.info.mode, str(spec.night)) == ("ultraspec", "USPEC-1", "2018-06-05")  # before dawn


def test_runs_of_ultracam_belong_to_the_telescope_that_an_observatory_describes(tmp_path):
    shipped = resources.files("roque.instruments") / "cameras" / "ultracam-wht.toml"
    identify = '[identify]\nINSTRUME = "ULTRACAM"\nMODE = ".*"\n\n[site]'
    (tmp_path / "ours.toml").write_text(shipped.read_text().replace("[site]", identify, 1))
    known = cameras(tmp_path)
    assert inspect(run_of().write(tmp_path).with_suffix(".dat"), known).camera == "ultracam-wht"
    assert inspect(spec_run().write(tmp_path, "run013").with_suffix(".dat"), known).camera == "ultraspec"


def test_the_folder_tells_the_night_first(tmp_path):
    (tmp_path / "2018_06_04").mkdir()
    with data_source("ul", run_of().write(tmp_path / "2018_06_04")) as source:
        assert source.info.night == dt.date(2018, 6, 4)


def test_a_run_that_switched_the_power_belongs_to_the_night_it_was_written(tmp_path):
    run = run_of()
    run.application = "ap1_250_poweron"
    path = run.write(tmp_path)
    noon = dt.datetime(2019, 3, 5, 3, 0, tzinfo=dt.UTC).timestamp()
    os.utime(path.with_suffix(".dat"), (noon, noon))
    with data_source("ul", path) as source:
        assert str(source.info.night) == "2019-03-04"
        assert source.available == 0


def test_a_run_without_any_time_says_what_to_do(tmp_path):
    run = run_of()
    run.stamps = [bytes(32)] * 3
    with data_source("ul", run.write(tmp_path)) as source, pytest.raises(BadInput, match="the night cannot be told") as error:
        _ = source.info
    assert "YYYY-MM-DD" in error.value.remedy
