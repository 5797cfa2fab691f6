"""A night folder full of files that are no runs: each ends as an error that says file, place and remedy."""

from __future__ import annotations

import gzip
import json
import os
import random
from types import SimpleNamespace

import pytest

from tests.support.damage import GONE, Raw

NO_RUNS = {
    # file: words of the message, place
    "cut_in_header.fits": ("no END card", "byte 2980"),
    "text.fits": ("not a FITS file", "byte 0"),
    "zeros.fits": ("begins with zeros", "byte 0"),
    "noise.fits": ("not a FITS file", "byte 0"),
    "empty.fits": ("it is empty", "byte 0"),
    "naxis1.fits": ("a frame has 2468 bytes by NAXIS1", "keyword NAXIS1"),
    "naxis1_huge.fits": ("NAXIS1 cannot be", "keyword NAXIS1"),
    "naxis3_negative.fits": ("NAXIS3", "keyword NAXIS3"),
    "no_naxis3.fits": ("NAXIS3 is missing", "keyword NAXIS3"),
    "no_speed.fits": ("ESO DET SPEED is missing", "keyword ESO DET SPEED"),
    "no_window.fits": ("ESO DET WIN1 NX is missing", "keyword ESO DET WIN1 NX"),
    "no_camera.fits": ("no camera is known", "keyword INSTRUME"),
    "cut_packed.fits.gz": ("cut short", "byte"),
    "flipped.fits.gz": ("damaged compressed data", "byte"),
    "text_packed.fits.gz": ("not a FITS file", "byte 0"),
    "text_tiled.fits.fz": ("not a FITS file", "byte 0"),
    "plain.fits.fz": ("no compressed image", "keyword ZIMAGE"),
    "dangling.fits": ("leads to '/nowhere/run.fits'", None),
    "loop.fits": ("too many levels of symbolic links", None),
    "a%2f..%2fetc.fits": ("cannot be the name of a run", "file name"),
    "run;rm -rf.fits": ("cannot be the name of a run", "file name"),
    "two\nlines\x1b[31m.fits": ("cannot be the name of a run", "file name"),
    "no\udcffutf8.fits": ("not text (UTF-8)", "file name"),
}  # fmt: skip


def no_runs(raw: Raw) -> dict[str, bytes]:
    """What the files hold that are no runs."""
    packed = gzip.compress(raw.data, 1)
    middle = len(packed) // 2
    return {
        "cut_in_header.fits": raw.data[:2980],
        "text.fits": b"The disk was full when this file should have been written.\n" * 100,
        "zeros.fits": bytes(28_800),
        "noise.fits": random.Random(3).randbytes(50_000),
        "empty.fits": b"",
        "naxis1.fits": raw.number("NAXIS1", 1234),
        "naxis1_huge.fits": raw.number("NAXIS1", 10**18),
        "naxis3_negative.fits": raw.number("NAXIS3", -3),
        "no_naxis3.fits": raw.card("NAXIS3", GONE),
        "no_speed.fits": raw.card("HIERARCH ESO DET SPEED", GONE),
        "no_window.fits": raw.card("HIERARCH ESO DET WIN1 NX", GONE),
        "no_camera.fits": raw.card("INSTRUME", GONE),
        "cut_packed.fits.gz": packed[:middle],
        "flipped.fits.gz": packed[:middle] + bytes(byte ^ 0xFF for byte in packed[middle : middle + 9]) + packed[middle + 9 :],
        "text_packed.fits.gz": b"no gzip\n" * 100,
        "text_tiled.fits.fz": b"no FITS\n" * 1000,
        **dict.fromkeys(
            ["plain.fits.fz", "a%2f..%2fetc.fits", "run;rm -rf.fits", "two\nlines\x1b[31m.fits", "no\udcffutf8.fits"], raw.data
        ),
    }


@pytest.fixture(scope="module")
def night(shared_home, golden_runs, tmp_path_factory):
    """The folder with one good run, reduced; lines of the summary by the name of their file."""
    folder = tmp_path_factory.mktemp("parent") / "night"
    (folder / "folder.fits").mkdir(parents=True)  # called like a file: what is in it counts
    raw = Raw((golden_runs / "run0008.fits").read_bytes())
    (folder / "folder.fits" / "good.fits").write_bytes(raw.data)
    for name, data in no_runs(raw).items():
        (folder / name).write_bytes(data)
    (folder / "dangling.fits").symlink_to("/nowhere/run.fits")
    (folder / "loop.fits").symlink_to("loop.fits")
    os.mkfifo(folder / "pipe.fits")
    done = shared_home.roque("night", "reduce", folder, "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return SimpleNamespace(
        home=shared_home, folder=folder, done=done, lines=lines, again=shared_home.roque("night", "reduce", folder)
    )


def spelled(name: str) -> str:
    """Name of a file as text: what is none in it as a number."""
    return name.replace("\udcff", "\\xff")


def line_of(night, name: str) -> dict:
    """Line of the summary about a file."""
    path = spelled(str(night.folder / name))
    (line,) = (line for line in night.lines if any(problem["file"] == path for problem in line["problems"]))
    return line


def test_the_good_run_is_reduced_and_the_exit_status_says_that_others_failed(night):
    assert night.done.returncode == 1
    good = [line for line in night.lines if line["name"] == "hipercam/2026-03-14/good"]
    assert [(line["state"], bool(line["reduction"])) for line in good] == [("done", True)]
    assert len(night.lines) == len(NO_RUNS) + 1
    assert "Traceback" not in night.done.stdout + night.done.stderr + night.home.log()


@pytest.mark.parametrize("name", NO_RUNS)
def test_a_file_that_is_no_run_is_recorded_with_place_and_remedy(night, name):
    message, place = NO_RUNS[name]
    line = line_of(night, name)
    assert line["state"] == "failed"
    report = night.home.show(line["name"])
    assert [file["path"] for file in report["files"]] == [spelled(str(night.folder / name))]
    (problem,) = report["problems"]
    assert problem["severity"] == "error"
    assert message in problem["message"]
    assert (problem["place"] or "").startswith(place or "")
    assert (problem["place"] is None) == (place is None)
    assert problem["remedy"]


@pytest.mark.parametrize("name", ["no_speed.fits", "two\nlines\x1b[31m.fits", "no\udcffutf8.fits"])
def test_the_page_of_a_run_says_it_in_plain_text(night, name):
    line = line_of(night, name)
    page = night.home.roque("run", "show", line["name"])
    assert page.returncode == 0
    assert line["problems"][0]["remedy"] in page.stdout
    assert "\x1b" not in page.stdout
    assert "lines\n" not in page.stdout


def test_the_summary_names_files_and_remedies_and_nothing_in_it_commands_a_terminal(night):
    assert night.again.returncode == 1
    assert "\x1b" not in night.again.stdout + night.again.stderr
    for name in ("zeros.fits", "dangling.fits", "cut_packed.fits.gz"):
        problem = line_of(night, name)["problems"][0]
        (told,) = (text for text in night.again.stdout.splitlines() if f"/{name}" in text)
        assert problem["message"] in told
        assert problem["remedy"] in told
    assert "what to do: roque run show" in night.again.stdout


def test_a_second_time_nothing_is_read_again(night):
    assert "nothing new" in night.again.stderr


def test_names_of_runs_are_harmless_whatever_the_files_are_called(night):
    for line in night.lines:
        name = line["name"].split("/")
        assert len(name) == 3
        assert set(name[2]) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        assert not name[2].startswith(".")
