"""A night of ULTRACAM and one of ULTRASPEC through the whole system: masters, automatic apertures, light curves."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

RUNS = ("run001", "run002", "run004", "run005", "run009")
BAD_TIMES = {"run002": (1, 2, 9, 16), "run005": (1, 2, 12, 13, 14)}


@pytest.fixture(scope="module")
def night(shared_home, golden, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ultra")
    for run in RUNS:
        for ending in ("xml", "dat"):
            shutil.copyfile(golden / "ultracam" / f"{run}.{ending}", folder / f"{run}.{ending}")
    code, said = shared_home.night(folder)
    return SimpleNamespace(home=shared_home, code=code, said=said)


def test_every_run_comes_to_an_end_with_the_masters_of_its_camera(night):
    assert night.code == 0
    assert {name: line["state"] for name, line in night.said.items()} == {
        "run001": "done",
        "run002": "done",
        "run004": "done",
        "run005": "done",
        "run009": "registered",
    }
    for run, bias in (("run002", "ultracam/2018-06-05/run001"), ("run005", "ultraspec/2019-01-12/run004")):
        (reduction,) = night.home.show(run)["reductions"]
        assert reduction["masters"]["bias"]["from"] == bias


@pytest.mark.parametrize("run", BAD_TIMES)
def test_light_curves_are_those_that_were_put_in(night, golden, run):
    truth = json.loads((golden / "ultracam" / f"{run}.truth.json").read_text())
    rows = night.home.measurements(run)
    stars = truth["frames"][9]["stars"]
    for column, ccd in enumerate(np.unique(rows["ccd"])):
        mine = rows[rows["ccd"] == ccd]
        target, comparison = (
            mine[mine["aperture"] == nearest(mine, stars[place], frame=10 if ccd != "3" else 9)] for place in (0, 1)
        )
        frames, ours, theirs = np.intersect1d(target["frame"], comparison["frame"], return_indices=True)
        ratio = target["counts"][ours] / comparison["counts"][theirs]
        error = ratio * np.hypot(
            target["countse"][ours] / target["counts"][ours], comparison["countse"][theirs] / comparison["counts"][theirs]
        )
        put_in = [truth["frames"][n - 1]["stars"] for n in frames]
        wanted = np.array([one[0]["flux"][column] / one[1]["flux"][column] for one in put_in])
        off = np.abs(ratio - wanted) / error
        assert np.isfinite(off).sum() >= 5
        # cosmic rays fall on some
        assert np.mean(off < 3.0) >= 0.9
        if ccd != "3":
            assert frames.tolist() == list(range(1, len(truth["frames"]) + 1))
            assert sorted(set(mine["frame"][~mine["time_ok"]].tolist())) == list(BAD_TIMES[run])
        else:
            assert frames.tolist() == [3, 6, 9, 12, 15, 18, 21]


def nearest(rows, star, frame):
    """Aperture of a star in a frame."""
    here = rows[rows["frame"] == frame]
    return here["aperture"][np.nanargmin(np.hypot(here["x"] - star["x"], here["y"] - star["y"]))]
