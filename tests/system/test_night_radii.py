"""A recipe that asks for radii, from the command line to the record: every radius is that of a reduction with it alone."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from sqlalchemy import select

from roque.archive.bulk import load_measurements, load_radii
from roque.archive.models import Recipe, Reduction
from roque.lightcurves import Hlog

RUN, FACTORS = "run0008", [1.0, 1.4, 2.2]


@pytest.fixture(scope="module")
def night(shared_home, golden_runs, tmp_path_factory):
    """A run reduced with three further radii, and with each of two of them as its only one."""
    folder = tmp_path_factory.mktemp("night")
    for name in ("run0001", "run0003", RUN):
        shutil.copy(golden_runs / f"{name}.fits", folder)
    home = shared_home
    assert home.roque("db", "upgrade").returncode == 0
    changes = {"swept": f"radii={json.dumps(FACTORS)}", "narrow": "target.factor=1.4", "wide": "target.factor=2.2"}
    for recipe, change in changes.items():
        done = home.roque("recipe", "set", recipe, "--camera", "hipercam", f"extraction.*.{change}")
        assert done.returncode == 0, done.stderr
        if recipe != "swept":
            assert home.roque("job", "submit", RUN, "--recipe", recipe).returncode == 0
        done = home.roque("night", "reduce", folder, "--recipe", recipe, timeout=600)
        assert done.returncode == 0, done.stderr
    return SimpleNamespace(home=home, folder=tmp_path_factory.mktemp("files"))


def of(session, recipe):
    wanted = select(Reduction).join(Recipe, Recipe.id == Reduction.recipe_id).where(Recipe.name == recipe)
    (reduction,) = session.scalars(wanted).unique()
    assert reduction.state == "done"
    return reduction.id


def test_every_radius_is_recorded_as_if_it_were_the_only_one(night):
    with night.home.reading() as session:
        swept = of(session, "swept")
        assert len(load_radii(session, swept)) == len(FACTORS) * len(load_measurements(session, swept))
        for recipe, factor in (("narrow", 1.4), ("wide", 2.2)):
            alone, mine = load_measurements(session, of(session, recipe)), load_radii(session, swept, factor=factor)
            for name in ("frame", "ccd", "aperture", "peak", "flag"):
                assert mine[name].tolist() == alone[name].tolist()
            for name in ("counts", "countse"):
                assert mine[name].tobytes() == alone[name].tobytes()
        assert np.isfinite(mine["counts"]).mean() > 0.9
        assert len(load_radii(session, of(session, "narrow"))) == 0


def test_a_log_of_a_radius_is_the_log_of_the_reduction_with_it(night):
    logs = {}
    for folder, words in (("swept", ("--recipe", "swept", "--radius", "1.4")), ("narrow", ("--recipe", "narrow"))):
        done = night.home.roque("hlog", "export", RUN, "--format", "fits", "--output", night.folder / folder, *words)
        assert done.returncode == 0, done.stderr
        logs[folder] = Hlog.from_fits(night.folder / folder / f"{RUN}.fits")
    for ccd in logs["narrow"]:
        assert logs["swept"][ccd].tobytes() == logs["narrow"][ccd].tobytes()


def test_the_best_radius_is_told_and_taken(night):
    done = night.home.roque("run", "radii", RUN, "--recipe", "swept", "--json")
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    best = {one["ccd"]: one["best"] for one in told if one["best"] is not None}
    assert best
    assert set(best.values()) <= set(FACTORS)
    target = night.folder / "best.csv"
    done = night.home.roque("lightcurve", "export", RUN, "--recipe", "swept", "--radius", "best", "-o", target, "--json")
    assert done.returncode == 0, done.stderr
    taken = json.loads(done.stdout)["radius"]
    assert taken["factor"] == best
    assert set(taken["the recipe's own"]) == {one["ccd"] for one in told if one["best"] is None}
    assert len(target.read_text().splitlines()) > 10
