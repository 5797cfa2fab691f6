"""Descriptions of cameras: those that come with roque, and mistakes in others."""

from __future__ import annotations

from pathlib import Path

import pytest

from roque.errors import BadInput, NotFound
from roque.instruments import cameras, identify, known_cameras, load_camera
from roque.instruments.camera import read_camera

GOOD = """
name = "small"
source = "fits"
pixel_scale = 0.5
seeing = 2.0

[identify]
INSTRUME = "SBIG.*"

[site]
telescope = "0.5 m"
longitude = -17.9
latitude = 28.8
height = 2400

[[ccd]]
label = "1"
gain = 1.5
read_noise = 6
nonlinear = 40000
saturation = 60000

[header.time]
keyword = "DATE-OBS"

[header.exposure]
keyword = "EXPTIME"
"""


def test_hipercam_is_as_the_instrument_is():
    camera = load_camera("hipercam")
    assert list(camera.detectors) == ["1", "2", "3", "4", "5"]
    assert camera.source == "hl"
    assert (camera.pixel_scale, camera.reference, camera.site.telescope) == (0.081, "2", "GTC")
    for detector in camera.detectors.values():
        assert (detector.nxtot, detector.nytot, detector.nxpad, detector.nypad) == (2048, 1024, 50, 8)
        assert (detector.gain, detector.read_noise, detector.nonlinear, detector.saturation) == (1.1, 4.2, 50000.0, 64000.0)


def test_every_description_that_comes_with_roque_can_be_read():
    assert set(cameras()) >= {"hipercam", "microobservatory", "other"}
    with pytest.raises(NotFound, match="known are"):
        load_camera("nothing")


def test_a_folder_adds_cameras_and_replaces_those_of_the_same_name(tmp_path):
    (tmp_path / "small.toml").write_text(GOOD)
    (tmp_path / "mine.toml").write_text(GOOD.replace('"small"', '"hipercam"'))
    known = cameras(tmp_path)
    assert known["small"].detectors["1"].gain == 1.5
    assert known["hipercam"].pixel_scale == 0.5
    assert cameras()["hipercam"].pixel_scale == 0.081


def test_a_header_is_told_by_whole_values_and_the_most_conditions_win():
    small = read_camera(GOOD.encode(), "small.toml")
    strict = read_camera(
        GOOD.replace("[site]", 'TELESCOP = "A"\n\n[site]').replace('"small"', '"strict"').encode(), "strict.toml"
    )
    known = {c.name: c for c in (small, strict)}
    assert identify({"INSTRUME": "sbig stl"}, known) is small
    assert identify({"INSTRUME": "SBIG", "TELESCOP": "A"}, known) is strict
    with pytest.raises(BadInput, match="INSTRUME = 'an SBIG'"):
        identify({"INSTRUME": "an SBIG"}, known)
    with pytest.raises(BadInput, match="names neither"):
        identify({}, known)


def test_a_ccd_that_is_not_described_is_like_the_reference():
    camera = load_camera("other")
    assert camera.detector("5").saturation == 62000.0
    assert load_camera("hipercam").detector("3").label == "3"


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('name = "small"', "", "entry name"),
        ('name = "small"', 'name = "a/b"', "entry name"),
        ("seeing = 2.0", 'seeing = "good"', "entry seeing"),
        ("seeing = 2.0", "seeing = 2.0\nseing = 1.0", "entry seing"),
        ("pixel_scale = 0.5", "pixel_scale = 0", "entry pixel_scale"),
        ('source = "fits"', 'source = "tape"', "entry source"),
        ("longitude = -17.9", "longitude = 182.1", "entry name"),
        ("gain = 1.5", "", "entry ccd.gain"),
        ("gain = 1.5", "gain = true", "entry ccd.gain"),
        ("gain = 1.5", "gain = nan", "entry ccd.gain"),
        ("pixel_scale = 0.5", "pixel_scale = inf", "entry pixel_scale"),
        ("height = 2400", "height = " + "9" * 400, "entry site.height"),
        ('INSTRUME = "SBIG.*"', 'INSTRUME = "a{99999999999999999999}"', "entry identify.INSTRUME"),
        ('label = "1"', 'label = "1"\nflavour = "sweet"', "entry ccd.flavour"),
        ("[[ccd]]", "[ccd]", "entry ccd"),
        ('INSTRUME = "SBIG.*"', 'INSTRUME = "("', "entry identify.INSTRUME"),
        ('keyword = "DATE-OBS"', 'keyword = "DATE-OBS"\nformat = "julian"', "entry header.time.format"),
        ('keyword = "DATE-OBS"', "keyword = [1]", "entry header.time.keyword"),
        ('keyword = "EXPTIME"', 'keyword = "EXPTIME"\npattern = "["', "entry header.exposure.pattern"),
        ('keyword = "EXPTIME"', 'keyword = "EXPTIME"\nmap = {a = 1}', "entry header.exposure.map"),
        ('keyword = "EXPTIME"', 'keyword = "EXPTIME"\nmap = {"(a)b" = \'\\2\'}', "entry header.exposure.map"),
        ("seeing = 2.0", 'seeing = 2.0\nplaceholders = ["colour"]', "entry placeholders"),
        ('keyword = "EXPTIME"', 'keyword = "EXPTIME"\ndefault = []', "entry header.exposure.default"),
        ("[header.exposure]", "[header.exposition]", "entry header.exposure"),
        ('[header.exposure]\nkeyword = "EXPTIME"', "", "entry header.exposure"),
    ],
)
def test_mistakes_in_a_description_are_named_by_entry(old, new, place):
    assert old in GOOD
    with pytest.raises(BadInput) as error:
        read_camera(GOOD.replace(old, new).encode(), "small.toml")
    assert error.value.place == place
    assert error.value.file == "small.toml"
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b"name = ", "line 1"),
        (b"\xff", "line 1"),
        (b"a = 1\n= 1", "line 2, column 1"),
        (b"a = " + b"[" * 100_000, "line 1"),
        (b"a = " + b"9" * 5000, "line 1"),
    ],
)
def test_what_is_not_toml_is_refused(text, place):
    with pytest.raises(BadInput, match="not TOML") as error:
        read_camera(text, "x.toml")
    assert error.value.place == place
    assert error.value.remedy


def test_a_description_that_is_wrong_does_not_take_the_others_down(tmp_path):
    (tmp_path / "a.toml").write_text(GOOD.replace("gain = 1.5", "gain = true"))
    (tmp_path / "b.toml").write_text(GOOD + "[oops\n")
    (tmp_path / "c.toml").write_text(GOOD)
    (tmp_path / "d.toml").write_text(GOOD)
    (tmp_path / "e.toml").mkdir()
    known = known_cameras(tmp_path)
    assert known.cameras["small"].detectors["1"].gain == 1.5
    assert set(known.cameras) == {*cameras(), "small"}
    found = {Path(problem.file).name: problem for problem in known.problems}
    assert set(found) == {"a.toml", "b.toml", "d.toml", "e.toml"}
    assert found["a.toml"].place == "entry ccd.gain"
    assert found["b.toml"].place == f"line {GOOD.count(chr(10)) + 1}, column 6"
    assert "c.toml describes camera small too" in found["d.toml"].message
    assert all(problem.remedy for problem in known.problems)


def test_a_folder_of_cameras_that_is_not_there_is_named(tmp_path):
    (problem,) = known_cameras(tmp_path / "none").problems
    assert problem.file == str(tmp_path / "none")


def test_a_camera_is_as_the_header_of_a_run_says_that_it_was_set():
    camera = load_camera("ratir-c3")
    (usual,), (set_,) = camera.detectors.values(), camera.as_in({"SOFTGAIN": 1}).detectors.values()
    assert (usual.gain, usual.saturation) == (1.2, 17999.0)
    assert (set_.gain, set_.saturation, set_.read_noise) == (2.4, 35999.0, usual.read_noise)
    assert set_.nonlinear == pytest.approx(usual.nonlinear * 35999 / 17999)
    for header in ({}, {"SOFTGAIN": 0}, {"SOFTGAIN": -1}, {"SOFTGAIN": "none"}, {"SOFTGAIN": 1e9}):
        (kept,) = camera.as_in(header).detectors.values()
        assert kept.gain > 0
        assert kept.saturation > 0
    hipercam = load_camera("hipercam")
    assert hipercam.as_in({"GAIN": 3.0}) is hipercam


def test_the_example_of_the_documentation_can_be_read():
    text = (Path(__file__).resolve().parents[3] / "docs" / "cameras.md").read_text()
    example = text.split("```toml\n")[1].split("```")[0]
    camera = read_camera(example.encode(), "cameras.md")
    assert camera.header.time.value.text({"DATE-OBS": "2026-01-02", "TIME-OBS": "03:04:05"}) == "2026-01-02T03:04:05"
    assert camera.header.gain.number({"SOFTGAIN": 4}) == pytest.approx(4.2)
