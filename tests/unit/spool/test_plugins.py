"""Instruments of other packages, installed for real: from a file to frames, and what happens to those that are broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from roque.errors import BadInput, NotFound
from roque.frames.hcm import read_hcm
from roque.instruments import cameras, known_cameras
from roque.instruments.plugins import plugins
from roque.spool import data_source, inspect
from roque.spool.folders import is_raw, scan
from services.cli.main import cli
from tests.support.plugged import RUN, install


@pytest.fixture
def installed(tmp_path, monkeypatch):
    def with_entries(**entries):
        monkeypatch.syspath_prepend(str(install(tmp_path / "site", entries)))
        plugins.cache_clear()
        return plugins()

    yield with_entries
    monkeypatch.undo()
    sys.modules.pop("toycam", None)
    plugins.cache_clear()


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "night" / "run7.toy"
    path.parent.mkdir()
    path.write_text(RUN)
    return path


def test_without_plug_ins_nothing_is_known_of_their_files(run):
    assert plugins().readers == {}
    assert not is_raw("run7.toy")
    with pytest.raises(NotFound, match="known are hl, ul, hf, fits"):
        data_source("toy", run)


def test_a_plug_in_brings_cameras_and_a_reader_from_file_to_frames(installed, run):
    installed(toy="toycam:INSTRUMENT")
    assert {"toy-a", "toy-b"} <= set(cameras())
    assert list(scan([run.parent], Path("/nowhere"))) == [str(run)]
    told = inspect(run, cameras())
    assert (told.source, told.camera, told.name, str(told.night), told.object) == (
        "toy",
        "toy-b",
        "run7",
        "2026-03-14",
        "A star",
    )
    with data_source("toy:local", run.with_suffix("")) as source:
        assert source.info.name == "run7"
    with data_source("toy", run) as source:
        assert source.info.camera == "toy-b"
        assert [float(frame.ccds["1"].values()[0]) for frame in source] == [100.0, 101.0]
        with run.open("a") as file:
            file.write("02\n")
        assert source.refresh() == 3
        assert float(source.frame(3).ccds["1"].values()[0]) == 102.0


def test_a_description_of_the_observatory_may_name_a_reader_that_is_installed(installed, tmp_path):
    installed(toy="toycam:INSTRUMENT")
    own = plugins().cameras["toy-a"]
    (tmp_path / "mine.toml").write_text(sys.modules["toycam"].TOML.format(name="toy-a").replace("gain = 2.0", "gain = 7.0"))
    assert own.detectors["1"].gain == 2.0
    assert cameras(tmp_path)["toy-a"].detectors["1"].gain == 7.0


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("broken_toy:INSTRUMENT", "RuntimeError: made for another roque"),
        ("toycam:NOTHING", "AttributeError"),
        ("not_there:X", "ModuleNotFoundError"),
        ("toycam:NO_INSTRUMENT", "str is no roque.instruments.Instrument"),
        ("toycam:WRONG_TOML", "a text is needed"),
        ("toycam:SAME_SOURCE", "there is a source 'toy' already"),
        ("toycam:TAKEN_ENDING", "'.FITS' is no ending that is free"),
    ],
)
def test_a_plug_in_that_cannot_be_used_is_named_and_the_others_are_there(installed, entry, said):
    found = installed(alone="toycam:CAMERA_ALONE", toy="toycam:INSTRUMENT", zzz=entry)
    (problem,) = known_cameras().problems
    assert said in str(problem)
    assert f"plug-in zzz ({entry}, package toycam)" in problem.file
    assert set(found.readers) == {"toy"}
    assert {"alone", "toy-a", "hipercam"} <= set(cameras())


def test_a_camera_of_the_same_name_as_one_of_roque_is_refused(installed, tmp_path):
    found = installed(toy="toycam:INSTRUMENT")
    found.cameras["hipercam"] = found.cameras["toy-a"]
    known = known_cameras()
    assert known.cameras["hipercam"].source == "hl"
    assert "a plug-in has a camera hipercam" in str(known.problems[0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "IndexError"),
        ("TOY toy-c 40 30 x\n", "no camera is known"),
        ("TOY toy-a 40\n", "no header"),
        ("NOT toy-a 40 30 x\n", "the plug-in for 'toy' fails with ZeroDivisionError: a mistake of the plug-in's"),
    ],
)
def test_whatever_a_reader_raises_is_an_error_of_its_file(installed, run, text, said):
    installed(toy="toycam:INSTRUMENT")
    run.write_text(text)
    with pytest.raises(BadInput, match=said) as error:
        inspect(run, cameras())
    assert error.value.file == str(run)


def test_commands_of_the_hipercam_pipeline_take_their_runs(installed, run, monkeypatch):
    installed(toy="toycam:INSTRUMENT")
    monkeypatch.chdir(run.parent)
    words = [
        "hcam",
        "grab",
        "source=toy:local",
        "run=run7",
        "last=2",
        "trim=no",
        "bias=none",
        "dark=none",
        "flat=none",
        "fmap=none",
    ]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    assert float(read_hcm("run7_002.hcm").ccds["1"].values()[0]) == 101.0


def test_the_command_line_knows_them_and_doctor_names_those_that_are_broken(tmp_path, run):
    site = install(tmp_path / "site", {"toy": "toycam:INSTRUMENT", "zzz": "broken_toy:X"})
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), *sys.path]), "ROQUE_HOME": str(tmp_path / "home")}

    def roque(*words):
        command = [sys.executable, "-c", "from services.cli.main import main; main()", *map(str, words)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    checked = roque("camera", "check", "--json", run)
    found = json.loads(checked.stdout)
    assert (found["camera"], found["facts"]["source"], found["facts"]["frames"]) == ("toy-b", "toy", 2)
    assert checked.returncode == 1
    assert "made for another roque" in checked.stderr
    lines = [json.loads(line) for line in roque("doctor", "--json").stdout.splitlines()]
    assert any(line["name"] == "cameras" and line["state"] == "fail" and "plug-in zzz" in line["detail"] for line in lines)
