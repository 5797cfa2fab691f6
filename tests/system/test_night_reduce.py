"""`roque night reduce` on golden runs: registered, reduced with masters and apertures of its own, traced, left alone."""

from __future__ import annotations

import json
import resource
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from sqlalchemy import func, select

from roque.archive.models import Aperture, Frame, Job, Reduction, Run
from roque.photometry.flags import Flag

FIRST = [f"run{n:04d}" for n in range(1, 6)]
REST = [f"run{n:04d}" for n in range(6, 14)]
MODES = {"run0004": "TwoWindow", "run0010": "TwoWindow", "run0012": "Drift", "run0013": "FullFrame"}  # the others: OneWindow
NO_STAR = {"run0010", "run0012"}
"""Runs made to test read-out modes: their stars lie outside the windows or drown in the noise."""


def copy(golden_runs, folder, names):
    for name in names:
        shutil.copy(golden_runs / f"{name}.fits", folder)


def jobs(home):
    with home.reading() as session:
        return session.scalar(select(func.count()).select_from(Job))


def processor_seconds():
    """Processor time of the commands so far: how long one takes to the eye depends on what else the machine does."""
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


@pytest.fixture(scope="module")
def first(shared_home, golden_runs, tmp_path_factory):
    """Runs 1 to 5, reduced, and once more."""
    folder = tmp_path_factory.mktemp("night")
    copy(golden_runs, folder, FIRST)
    code, runs = shared_home.night(folder)
    before = jobs(shared_home)
    began = processor_seconds()
    again = shared_home.roque("night", "reduce", folder)
    shows = {name: shared_home.show(name) for name in FIRST}
    return SimpleNamespace(
        home=shared_home, folder=folder, code=code, runs=runs, again=again, seconds=processor_seconds() - began,
        new_jobs=jobs(shared_home) - before, shows=shows,
    )  # fmt: skip


@pytest.fixture(scope="module")
def everything(first, golden_runs):
    """All 13 runs: the others came into the same folder."""
    copy(golden_runs, first.folder, REST)
    code, runs = first.home.night(first.folder)
    return SimpleNamespace(home=first.home, code=code, runs=runs)


def truth_of(golden, run):
    return json.loads((golden / "hipercam" / "truth" / f"{run}.truth.json").read_text())


def test_every_run_comes_to_its_end_and_the_exit_status_says_so(first):
    assert first.code == 0
    assert {name: run["state"] for name, run in first.runs.items()} == dict.fromkeys(FIRST, "done")
    assert {name: run["kind"] for name, run in first.runs.items()} == {
        "run0001": "bias", "run0002": "dark", "run0003": "flat", "run0004": "science", "run0005": "science",
    }  # fmt: skip
    assert [bool(run["reduction"]) for run in first.runs.values()] == [False, False, False, True, True]


def test_a_second_time_nothing_is_done_in_seconds(first):
    assert first.again.returncode == 0
    assert "nothing new" in first.again.stderr
    assert first.new_jobs == 0
    assert first.seconds < 12  # with five more commands that ask


def test_masters_are_chosen_by_themselves_and_the_choice_is_said(first):
    for name in ("run0004", "run0005"):
        (reduction,) = first.shows[name]["reductions"]
        used = {kind: master["from"] for kind, master in reduction["masters"].items()}
        assert used["bias"] == "hipercam/2026-03-14/run0001"
        assert used["flat"] == "hipercam/2026-03-14/run0003"
    assert "the only one that matches" in first.runs["run0004"]["choices"]["bias"]
    assert first.runs["run0004"]["choices"]["dark"].endswith("the only one that matches")
    # read out 2x2, the bias 1x1
    assert first.runs["run0005"]["choices"]["bias"].startswith("of finer binning, averaged: ")
    assert "dark" not in first.shows["run0005"]["reductions"][0]["masters"]  # none of its binning, and none is insisted on


def matched(first, golden, run):
    """Apertures with the names of the true stars nearest to them on the first frame that shows them, by CCD and label."""
    truth = truth_of(golden, run)
    with first.home.reading() as session:
        wanted = select(Reduction).join(Run, Run.id == Reduction.run_id).where(Run.name == run, Reduction.state == "done")
        reduction = session.scalars(wanted).unique().one()
        rows = session.scalars(select(Aperture).where(Aperture.aperture_set_id == reduction.aperture_set_id)).all()
    stars = {}
    for (_, ccd, *_), places in truth["frames"]:
        if places:
            stars.setdefault(str(ccd), places)
    found = {}
    for row in rows:
        away = [np.hypot(row.x - star[0], row.y - star[1]) for star in stars[row.ccd]]
        assert min(away) < 2.0, (run, row.ccd, row.label)
        found[row.ccd, row.label] = truth["stars"][int(np.argmin(away))]
    return found


@pytest.mark.parametrize("run", ["run0004", "run0005"])
def test_a_number_is_the_same_star_on_every_ccd(first, golden, run):
    names = matched(first, golden, run)
    by_label = {}
    for (_, label), name in names.items():
        by_label.setdefault(label, set()).add(name)
    assert all(len(stars) == 1 for stars in by_label.values()), by_label
    assert len(set.union(*by_label.values())) == len(by_label)


@pytest.mark.parametrize("ccd", ["1", "2", "3", "4", "5"])
def test_the_eclipse_comes_out_as_it_was_put_in(first, golden, ccd):
    label = {name: label for (c, label), name in matched(first, golden, "run0004").items() if c == ccd}
    truth = truth_of(golden, "run0004")
    places = [truth["stars"].index(name) for name in ("1", "2")]
    put = {}
    for (frame, chip, *_), stars in truth["frames"]:
        if str(chip) == ccd:
            put[frame] = stars[places[0]][3] / stars[places[1]][3]
    one, two = (first.home.measurements("run0004", ccd=ccd, aperture=label[name]) for name in ("1", "2"))
    assert one["frame"].tolist() == sorted(put)
    ratio = one["counts"] / two["counts"]
    error = np.abs(ratio) * np.hypot(one["countse"] / one["counts"], two["countse"] / two["counts"])
    true = np.array([put[frame] for frame in one["frame"].tolist()])
    pull = (ratio - true) / error
    # 54 frames: the mean has an error of 0.14, the rms of 0.1; the flat field adds a little
    assert abs(pull.mean()) < 0.6
    assert 0.75 < np.sqrt(np.mean(pull**2)) < 1.35
    assert np.abs(pull).max() < 4.5
    in_eclipse, outside = true < 0.3 * true.max(), true > 0.95 * true.max()
    assert in_eclipse.sum() > 5
    depth, put_in = (1 - r[in_eclipse].mean() / r[outside].mean() for r in (ratio, true))
    # errors of the two means
    spread = [np.sqrt(np.sum(error[part] ** 2)) / part.sum() for part in (in_eclipse, outside)]
    assert abs(depth - put_in) < 3.5 * np.hypot(spread[0], spread[1] * (1 - put_in)) / true[outside].mean()


def test_bad_time_stamps_are_flagged_and_their_counts_kept(first):
    rows = first.home.measurements("run0004", ccd="2", aperture="1")
    assert rows["frame"][~rows["time_ok"]].tolist() == [17, 31, 45]
    assert np.isfinite(rows["counts"]).all()
    assert not np.any(rows["flag"] & np.uint32(Flag.NO_DATA))
    problems = first.shows["run0004"]["problems"]
    assert [(p["severity"], p["place"]) for p in problems] == [("warning", f"frame {n}") for n in (17, 31, 45)]
    assert first.shows["run0004"]["bad_times"] == 3


def test_new_files_change_nothing_about_the_runs_before(everything, first):
    for name in FIRST:
        assert everything.runs[name]["reduction"] == first.runs[name]["reduction"]
    with everything.home.reading() as session:
        built = session.scalars(select(Job.run_id).where(Job.kind == "build_master")).all()
    assert len(built) == len(set(built)) == 3


def test_runs_without_a_star_fail_readably_and_the_others_are_reduced(everything):
    assert everything.code == 1
    assert {name for name, run in everything.runs.items() if run["state"] == "failed"} == NO_STAR
    assert {run["state"] for name, run in everything.runs.items() if name not in NO_STAR} == {"done"}
    page = everything.home.roque("run", "show", "run0012").stdout
    (job,) = everything.home.show("run0012")["jobs"]["failed"]
    assert job["error"]["code"] == "bad_input"
    assert "CCD" in job["error"]["place"]
    assert "--apertures" in job["error"]["remedy"]
    assert job["error"]["message"] in page
    assert "retry" in page


@pytest.mark.parametrize("run", FIRST + REST)
def test_every_run_is_registered_as_it_was_taken(everything, golden, golden_runs, run):
    truth = truth_of(golden, run)
    plan, shown = truth["run"], everything.home.show(run)
    assert shown["mode"] == MODES.get(run, "OneWindow")
    assert (shown["xbin"], shown["ybin"]) == (plan["xbin"], plan["ybin"])
    assert list(shown["nskips"].values()) == plan["nskips"]
    assert shown["clear"] == plan["clear"]
    assert shown["object"] == plan["object"]
    assert 5 * shown["frames"] == len(truth["frames"]) == 5 * shown["frames_expected"]
    with everything.home.reading() as session:
        wanted = select(Frame).join(Run, Run.id == Frame.run_id).where(Run.name == run)
        rows = {(row.number, row.ccd): row for row in session.scalars(wanted)}
    assert len(rows) == len(truth["frames"])
    for number, ccd, day, fraction, exposure, data_ok, time_ok, *_ in (values for values, _ in truth["frames"]):
        row = rows[number, str(ccd)]
        assert row.data_ok == data_ok, (number, ccd)
        if data_ok:
            assert row.time_ok == time_ok, (number, ccd)
        if time_ok and data_ok:
            assert abs((row.mjd_int - day) + (row.mjd_frac - fraction)) * 86400e6 < 1.0  # one microsecond
            assert row.exposure == pytest.approx(exposure, abs=1e-6)


def test_a_light_curve_leads_back_to_raw_bytes_masters_recipe_and_code(first, golden_runs):
    import hashlib

    product = next(p for p in first.shows["run0005"]["products"] if p["kind"] == "light_curve")
    tree = json.loads(first.home.roque("trace", product["id"], "--json").stdout)
    (reduction,) = tree["from"]
    assert tree["sha256"] == product["sha256"]
    assert reduction["name"] == first.runs["run0005"]["reduction"]
    assert reduction["code_version"]
    leaves = {node["kind"]: node for node in reduction["from"] if node["kind"] in ("recipe", "apertures", "raw")}
    assert leaves["recipe"]["name"] == "hipercam/default v1"
    assert len(leaves["recipe"]["sha256"]) == len(leaves["apertures"]["sha256"]) == 64

    def bytes_of(name):
        return hashlib.sha256((golden_runs / f"{name}.fits").read_bytes()).hexdigest()

    assert leaves["raw"]["sha256"] == bytes_of("run0005")
    masters = [node for node in reduction["from"] if node.get("what") == "master"]
    raw = {node["sha256"] for master in masters for node in master["from"] if node["kind"] == "raw"}
    assert raw == {bytes_of("run0001"), bytes_of("run0003")}
    flat = next(master for master in masters if "run0003" in master["name"])
    assert [node["what"] for node in flat["from"] if node["kind"] == "product"] == ["master"]  # the bias it was made with
    page = first.home.roque("trace", product["id"]).stdout
    assert "run0005.fits" in page
    assert "of finer binning, averaged" in page
