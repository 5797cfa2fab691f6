"""`roque camera`: what is known, and what is made of a file, keyword by keyword."""

from __future__ import annotations

import gzip
import json

import pytest
from click.testing import CliRunner

from services.cli.main import cli
from tests.support.described import image

OWN = """
name = "dome"
source = "fits"
pixel_scale = 0.5
seeing = 2.0
[identify]
INSTRUME = "Main"
SITE = "Dome [0-9]"
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
keyword = "EXPOSED"
"""


@pytest.fixture
def ask(tmp_path, monkeypatch):
    (tmp_path / "cameras").mkdir()
    monkeypatch.setenv("ROQUE_CAMERAS", str(tmp_path / "cameras"))

    def of(*words):
        result = CliRunner().invoke(cli, ["--home", str(tmp_path / "home"), "camera", *map(str, words)])
        assert "Traceback" not in result.output
        return result

    return of


def one(result):
    return json.loads(result.stdout)


def test_a_file_is_told_rule_by_rule(ask, tmp_path):
    path = image(tmp_path / "a.fits", GAIN=3.5)
    result = ask("check", path)
    assert result.exit_code == 0, result.output
    said = result.stdout
    assert "microobservatory, since CREATOR = 'MicroObservatory2014-05-23' is 'MicroObservatory.*'" in said
    assert said.count("  not  ") == 3
    assert "UT-OBS = '2017-12-20T01:33:43.317-0000'" in said
    assert "2017-12-20 01:34:13 UTC, MJD 58107.065431" in said
    assert 'the header has GAIN = 3.5: [header.gain] keyword = "GAIN" would use it' in said
    assert "HATP-32_Clear_65x50" in said

    found = one(ask("check", "--json", path))
    assert (found["state"], found["camera"], found["error"]) == ("good", "microobservatory", None)
    assert found["rules"]["exposure"] == {
        "seen": {"EXPTIME": 60.0}, "value": 60.0, "origin": "header", "missing": False, "note": "",
    }  # fmt: skip
    assert found["rules"]["gain"]["origin"] == "description"
    assert found["rules"]["xbin"]["origin"] == "rule"
    assert found["rules"]["nytot"] | {"note": ""} == {
        "seen": {},
        "value": 500.0,
        "origin": "description",
        "missing": False,
        "note": "",
    }
    assert found["facts"]["night"] == "2017-12-19"


def test_what_is_missing_comes_with_how_to_write_the_rule(ask, tmp_path):
    (tmp_path / "cameras" / "dome.toml").write_text(OWN)
    path = image(tmp_path / "a.fits", {"DATE-OBS": "2017-12-20T01:00:00", "SITE": "Dome 4", "CREATOR": "me"})
    result = ask("check", path)
    assert result.exit_code == 1
    assert "dome, since INSTRUME = 'Main' is 'Main' and SITE = 'Dome 4' is 'Dome [0-9]'" in result.stdout
    assert "microobservatory: CREATOR = 'me' is not 'MicroObservatory.*'" in result.stdout
    assert "MISSING" in result.stdout
    assert 'the header has EXPTIME = 60.0: [header.exposure] keyword = "EXPTIME" would use it' in result.stdout
    assert "keyword EXPOSED is missing" in result.stderr
    rule = one(ask("check", "--json", path))["rules"]["exposure"]
    assert rule["missing"]
    assert rule["seen"] == {"EXPOSED": None}


def test_a_file_of_nobody_names_the_nearest_cameras_and_what_they_miss(ask, tmp_path):
    path = image(tmp_path / "a.fits", CREATOR="somebody")
    result = ask("check", path)
    assert result.exit_code == 1
    assert "none is known that writes such a file" in result.stdout
    assert "microobservatory: CREATOR = 'somebody' is not" in result.stdout
    assert "name one with --camera" in result.stdout
    assert "no camera is known that writes such a header (INSTRUME = 'Main')" in result.stderr


def test_a_camera_can_be_said_and_its_placeholders_are_marked(ask, golden):
    path = golden / "foreign" / "pt5m" / "raw" / "pt5m_1.fits"
    result = ask("check", "--camera", "pt5m", path)
    assert result.exit_code == 0, result.output
    assert "pt5m, as was asked for" in result.stdout
    assert "placeholders in the description of pt5m, not measured: pixel scale, gain" in result.stdout
    assert ask("check", "--camera", "nothing", path).exit_code == 4


def test_what_stands_in_the_header_is_no_placeholder(ask, golden):
    found = one(ask("check", "--json", "--camera", "ltio", golden / "foreign" / "ltio" / "raw" / "ltio_1.fits"))
    assert found["rules"]["gain"]["origin"] == "header"
    assert found["warnings"][-1] == "placeholders in the description of ltio, not measured: nonlinear, saturation"


@pytest.mark.parametrize(
    ("file", "camera", "source", "frames"),
    [("run0008.fits", "hipercam", "hl", 10), ("bias.hcm", "hipercam", "hf", 1)],
)
def test_what_has_its_own_reader_is_told_by_it(ask, golden_runs, file, camera, source, frames):
    result = ask("check", "--json", golden_runs / file)
    found = one(result)
    assert result.exit_code == 0, result.output
    assert (found["camera"], found["facts"]["source"], found["facts"]["frames"]) == (camera, source, frames)
    assert found["rules"] == {}
    assert set(found["facts"]["windows"]) == {"1", "2", "3", "4", "5"}
    assert "CCD 1" in ask("check", golden_runs / file).stdout


def test_a_raw_run_can_be_said_to_be_another_cameras(ask, golden_runs, golden):
    said = ask("check", "--camera", "hipercam", golden_runs / "run0008.fits")
    assert said.exit_code == 0, said.output
    assert "hipercam, as was asked for" in said.stdout
    found = one(ask("check", "--json", "--camera", "ultracam-vlt", golden / "ultracam" / "run002.xml"))
    assert (found["camera"], found["facts"]["frames"]) == ("ultracam-vlt", 21)
    wrong = ask("check", "--camera", "hipercam", golden / "foreign" / "pt5m" / "raw" / "pt5m_1.fits")
    assert wrong.exit_code == 1
    assert "pt5m_1.fits" in wrong.stderr


def test_a_list_of_frames_is_told_by_them(ask, golden_runs, tmp_path):
    (tmp_path / "two.lis").write_text(f"{golden_runs / 'run0008_001.hcm'}\n{golden_runs / 'run0008_003.hcm'}\n")
    found = one(ask("check", "--json", tmp_path / "two.lis"))
    assert (found["facts"]["source"], found["facts"]["run"], found["facts"]["frames"]) == ("hf", "two", 2)


def test_runs_of_ultracam_are_told_by_their_xml(ask, golden, tmp_path):
    for name in ("run002.xml", "run002.dat"):
        packed = next((golden / "ultracam").rglob(f"{name}*"))
        data = packed.read_bytes()
        (tmp_path / name).write_bytes(gzip.decompress(data) if packed.suffix == ".gz" else data)
    found = one(ask("check", "--json", tmp_path / "run002.xml"))
    assert (found["facts"]["source"], found["error"]) == ("ul", None)
    assert found["facts"]["mode"]
    said = ask("check", tmp_path / "run002.xml").stdout
    assert "ultracam, since INSTRUME = 'ULTRACAM' is 'ULTRACAM'" in said
    assert "ultraspec: INSTRUME = 'ULTRACAM' is not 'ULTRASPEC'" in said
    assert "non-linear from 28000 ADU, saturated from 64000 ADU (CCD 2 3)" in said


def test_limits_are_those_of_the_file(ask, tmp_path):
    header = {"INSTRUME": "C3", "SOFTGAIN": 1, "EXPTYPE": "object", "EXPTIME": 5.0, "SDATE": "2021-05-05T03:48:26.200"}
    path = image(tmp_path / "a.fits", header, common={}, PRPSLID="2021A-1003", VSTID="0")
    assert one(ask("check", "--json", path))["facts"]["limits"]["1"]["saturation"] == 35999.0
    assert "gain 2.4 electrons/ADU" in ask("check", path).stdout


def test_one_bad_file_does_not_hide_the_others(ask, tmp_path):
    bad = tmp_path / "b.fits"
    bad.write_bytes(b"SIMPLE  = nothing")
    result = ask("check", "--json", bad, image(tmp_path / "c.fits"), tmp_path / "none.fits")
    assert result.exit_code == 4
    states = [(json.loads(line)["state"], (json.loads(line)["error"] or {}).get("code")) for line in result.stdout.splitlines()]
    assert states == [("failed", "bad_input"), ("good", None), ("failed", "not_found")]


def test_a_time_that_cannot_be_read_is_a_warning(ask, tmp_path):
    path = image(tmp_path / "a.fits", {"UT-OBS": "gone", "DATE-OBS": "2017-12-20T01:33:43"})
    result = ask("check", path)
    assert result.exit_code == 0
    assert "keyword UT-OBS is missing: the frame is read, and its time is flagged as bad" in result.stdout
    assert "no time that can be trusted" in result.stdout


def test_a_description_that_cannot_be_used_is_named_with_those_that_can(ask, tmp_path):
    (tmp_path / "cameras" / "dome.toml").write_text(OWN)
    (tmp_path / "cameras" / "half.toml").write_text(OWN.replace('"dome"', '"half"').replace("gain = 1.5", ""))
    result = ask("list", "--json")
    assert result.exit_code == 1
    names = [json.loads(line)["name"] for line in result.stdout.splitlines()]
    assert "dome" in names
    assert "half" not in names
    assert "half.toml, entry ccd.gain: a number is needed" in result.stderr
    checks = CliRunner().invoke(cli, ["--home", str(tmp_path / "home"), "doctor", "--json"])
    lines = [json.loads(line) for line in checks.stdout.splitlines()]
    (bad,) = [line for line in lines if line["name"] == "cameras" and line["state"] == "fail"]
    assert "half.toml, entry ccd.gain" in bad["detail"]
    assert bad["do"]


def test_a_recipe_in_a_description_that_no_reduction_could_use_is_found_before_a_night_is(ask, tmp_path):
    (tmp_path / "cameras" / "dome.toml").write_text(OWN + '[recipe.extraction."*"]\nresise = "fixed"\n')
    checks = CliRunner().invoke(cli, ["--home", str(tmp_path / "home"), "doctor", "--json"])
    (bad,) = [
        line for line in map(json.loads, checks.stdout.splitlines()) if line["name"] == "cameras" and line["state"] == "fail"
    ]
    assert "camera dome" in bad["detail"]
    assert "resise" in bad["detail"]


def test_a_camera_can_be_shown(ask):
    shown = ask("show", "rimas-c0").stdout
    assert "INSTRUME = 'RIMAS', ASICINDX = '0'" in shown
    assert "LDT, -111.422 degrees east" in shown
    assert "gain, read_noise, nonlinear, saturation: of the usual order" in shown
    assert one(ask("show", "--json", "hipercam"))["detectors"]["3"]["nxtot"] == 2048
    assert ask("show", "nothing").exit_code == 4
