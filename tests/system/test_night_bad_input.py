"""A night folder with runs that are bad in part: what can be measured is, and the rest is said with file, place and remedy."""

from __future__ import annotations

import json
import random
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from sqlalchemy import select

from roque.archive.models import Frame, Run
from tests.support.damage import GONE, Raw, errors, place

NIGHT = "2026-03-14"
GOOD = ["good", "longer", "object", "escape", "copied", "placed", "bad_times", "naxis3_less"]


@pytest.fixture(scope="module")
def night(shared_home, golden, golden_runs, tmp_path_factory):
    """The folder, reduced."""
    parent = tmp_path_factory.mktemp("parent")
    folder = parent / "night"
    raw, drift = (Raw((golden_runs / f"{name}.fits").read_bytes()) for name in ("run0008", "run0012"))
    files = {
        "good": raw.data,
        "cut_in_frame": raw.cut(4.4),
        "header_alone": raw.cut(0.0),
        "longer": raw.data + bytes(100_000),
        "naxis3_less": raw.number("NAXIS3", 6),
        "naxis3_more": raw.number("NAXIS3", 99),
        "naxis3_zero": raw.number("NAXIS3", 0),
        "bad_times": raw.stamped({3: b"\xff" * 36}),
        "object": raw.card("OBJECT ", "OBJECT  = '../../../evil'"),
        "escape": raw.card("OBJECT ", "OBJECT  = 'a\x1b[31mred\x07'"),
        "a/twice": raw.data,
        "b/twice": raw.flipped(),
        "a/copied": raw.data,
        "b/copied": raw.data,
        **dict.fromkeys(["outside", "one_outside", "no_ccd", "no_apertures", "no_text"], raw.data),
        "no_star": drift.data,
        "placed": drift.data,
    }
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.fits").write_bytes(data)
    shutil.copy(golden_runs / "run0001.fits", folder)
    place(folder / "outside.ape", ("1", "1", 5.0, 5.0), ("2", "1", 900.0, 5.0))
    place(folder / "one_outside.ape", ("1", "1", 5.0, 5.0), ("1", "2", 411.0, 162.0))
    place(folder / "no_ccd.ape", ("7", "1", 411.0, 162.0))
    place(folder / "placed.ape", ("1", "1", 410.0, 6.0))
    (folder / "no_apertures.ape").write_text('["hipercam.MccdAper", [')
    (folder / "no_text.ape").write_bytes(b"\xff\xfe\x00")
    images(golden, folder / "images")
    before = set(parent.rglob("*"))
    done = shared_home.roque("night", "reduce", folder, "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return SimpleNamespace(
        home=shared_home, folder=folder, done=done, lines=lines, appeared=set(parent.rglob("*")) - before,
        states={line["name"]: line["state"] for line in lines if line["state"] != "conflict"},
    )  # fmt: skip


def images(golden, folder) -> None:
    """Six frames of a described camera: one with damaged pixels, one cut short, one without exposure, one without a time."""
    folder.mkdir()
    for place_in_run, path in enumerate(sorted((golden / "hatp32" / "raw").iterdir())[:6]):
        data = bytearray(path.read_bytes())
        match place_in_run:
            case 2:
                data[-60_000:-50_000] = random.Random(5).randbytes(10_000)
            case 3:
                data = data[:100_000]
            case 4:
                data[(start := data.index(b"EXPTIME =")) : start + 80] = GONE.encode().ljust(80)
            case 5:
                data[(start := data.index(b"UT-OBS  =")) : start + 80] = b"UT-OBS  = '2017-99-99T77:00:00'".ljust(80)
        (folder / path.name).write_bytes(data)


def shown(night, name: str) -> dict:
    """`run show` of a run of the night."""
    return night.home.show(f"hipercam/{NIGHT}/{name}")


def only_error(night, name: str) -> dict:
    """The one thing that went wrong with a run; it names its file and says what to do."""
    (error,) = errors(shown(night, name))
    assert error["file"].startswith(str(night.folder)) or error["file"] == f"hipercam/{NIGHT}/{name}"
    assert error["place"]
    assert error["remedy"]
    return error


def test_the_exit_status_says_that_something_failed_and_no_traceback_is_to_be_seen(night):
    assert night.done.returncode == 1
    assert "Traceback" not in night.done.stdout + night.done.stderr + night.home.log()


@pytest.mark.parametrize("name", GOOD)
def test_everything_good_is_reduced(night, name):
    assert night.states[f"hipercam/{NIGHT}/{name}"] == "done"
    report = shown(night, name)
    assert [reduction["state"] for reduction in report["reductions"]] == ["done"]
    assert not errors(report)


def test_nothing_is_written_outside_the_home_folder(night):
    assert night.appeared == set()
    products = (night.home.folder / "products").rglob("*")
    assert all(".." not in str(path.relative_to(night.home.folder)).split("/") for path in products)
    assert not list(night.home.folder.parent.glob("evil*"))


def test_a_run_cut_inside_a_frame_is_measured_up_to_it(night):
    error = only_error(night, "cut_in_frame")
    assert "cut short inside frame 5: 6 of 10 frames are lost" in error["message"]
    report = shown(night, "cut_in_frame")
    assert (report["state"], report["frames"], report["frames_missing"]) == ("done", 4, 6)
    whole, cut = (night.home.measurements(name, ccd="2") for name in ("good", "cut_in_frame"))
    assert sorted(set(cut["frame"].tolist())) == [n for n in range(1, 5) if n in whole["frame"]]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("header_alone", "cut short before the end of its first frame"),
        ("naxis3_more", "89 of 99 frames are lost"),
        ("naxis3_zero", "NAXIS3 is 0"),
    ],
)
def test_frames_that_the_header_promises_and_the_file_lacks_are_an_error(night, name, message):
    assert message in only_error(night, name)["message"]


@pytest.mark.parametrize(("name", "bytes_left"), [("longer", 100_000), ("naxis3_less", 4 * 30_756)])
def test_bytes_beyond_the_frames_of_the_header_are_told_of(night, name, bytes_left):
    (told,) = (p for p in shown(night, name)["problems"] if "are left out" in p["message"])
    assert told["severity"] == "warning"
    assert abs(int(told["message"].split()[0]) - bytes_left) < 2880
    assert "NAXIS3" in told["remedy"]


def test_frames_with_bad_times_are_flagged_and_measured_like_the_others(night):
    report = shown(night, "bad_times")
    assert report["bad_times"] == shown(night, "good")["bad_times"] + 1
    assert any(problem["place"] == "frame 3" for problem in report["problems"])
    page = night.home.roque("run", "show", f"hipercam/{NIGHT}/bad_times").stdout
    assert "frame 3" in page
    assert "the counts are used; the times are flagged" in page
    one, other = (night.home.measurements(name, ccd="2") for name in ("good", "bad_times"))
    np.testing.assert_array_equal(one["counts"], other["counts"])
    assert (one["time_ok"] & ~other["time_ok"]).tolist() == (one["frame"] == 3).tolist()


def test_control_characters_of_a_header_do_not_reach_the_terminal(night):
    page = night.home.roque("run", "show", f"hipercam/{NIGHT}/escape").stdout
    assert "a?[31mred?" in page
    assert "\x1b" not in page + night.home.roque("run", "list").stdout


def test_of_two_contents_of_one_name_the_first_stays_in_use_and_the_other_is_a_conflict(night):
    report = shown(night, "twice")
    assert (report["state"], report["version"]) == ("done", 1)
    assert [file["path"] for file in report["files"]] == [str(night.folder / "a" / "twice.fits")]
    (other,) = report["other_versions"]
    assert other["state"] == "conflict"
    error = other["problems"][0]
    assert error["file"] == str(night.folder / "b" / "twice.fits")
    assert "rename" in error["remedy"]
    page = night.home.roque("run", "show", f"hipercam/{NIGHT}/twice").stdout
    assert error["message"] in page


def test_the_same_content_in_two_places_is_one_run(night):
    report = shown(night, "copied")
    assert [(file["path"].split("/")[-2], file["second_location"]) for file in report["files"]] == [("a", False), ("b", True)]
    assert report["other_versions"] == []


@pytest.mark.parametrize(
    ("name", "state", "message", "where"),
    [
        ("outside", "failed", "none of its 2 apertures lies in a window", "CCD 1, aperture 1"),
        ("one_outside", "done", "(5.0, 5.0) lies in no window", "CCD 1, aperture 1"),
        ("no_ccd", "failed", "of a CCD that the run does not have", "CCD 7, aperture 1"),
        ("no_apertures", "failed", "not an aperture file", "line 1, column 24"),
        ("no_text", "failed", "not text", "byte 0"),
    ],
)
def test_apertures_that_cannot_be_measured_are_named_with_their_file(night, name, state, message, where):
    assert night.states[f"hipercam/{NIGHT}/{name}"] == state
    error = only_error(night, name)
    assert error["file"] == str(night.folder / f"{name}.ape")
    assert message in error["message"]
    assert error["place"] == where
    assert error["message"] in night.home.roque("run", "show", f"hipercam/{NIGHT}/{name}").stdout


def test_the_other_apertures_of_a_file_are_measured(night):
    rows = night.home.measurements("one_outside")
    assert np.isnan(rows["counts"][rows["aperture"] == "1"]).all()
    assert np.isfinite(rows["counts"][rows["aperture"] == "2"]).all()


def test_a_field_without_a_star_is_an_error_unless_apertures_were_placed_in_it(night):
    error = only_error(night, "no_star")
    assert error["code"] == "bad_input"
    assert "CCD 1, 2, 3, 4, 5" in error["place"]
    assert "no_star.ape" in error["remedy"]
    rows = night.home.measurements("placed")
    with night.home.reading() as session:
        wanted = (
            select(Frame.number).join(Run, Run.id == Frame.run_id).where(Run.name == "placed", Frame.ccd == "1", Frame.data_ok)
        )
        assert rows["frame"].tolist() == session.scalars(wanted.order_by(Frame.number)).all()
    assert np.isfinite(rows["counts"]).all()
    assert any("keep the radii" in note["text"] for note in shown(night, "placed")["reductions"][0]["notes"])


def test_damaged_images_are_left_out_of_their_run_and_named(night):
    (name,) = (name for name in night.states if name.startswith("microobservatory/"))
    report = night.home.show(name)
    assert (report["state"], report["frames"]) == ("done", 4)
    (warning,) = (problem for problem in report["problems"] if problem["severity"] == "warning")
    assert warning["message"].startswith("frame 4 has no time: UT-OBS")
    (error,) = errors(report)
    assert error["place"].startswith("frame 3")
    assert "damaged" in error["remedy"]
    rows = night.home.measurements(name.rpartition("/")[2], aperture="1")
    assert rows["frame"].tolist() == [1, 2, 4]
    told = {line["problems"][0]["message"] for line in night.lines if line["state"] == "failed" and "HATP" in line["name"]}
    assert len(told) == 2
    assert any("cut short" in text for text in told)
    assert any("EXPTIME" in text for text in told)
