"""What changes in a folder between two nights at hand has made anew what depends on it, and nothing else."""

from __future__ import annotations

import os
import shutil
from types import SimpleNamespace

import pytest
from sqlalchemy import select

from roque.archive.models import Job, Master, Product, Reduction, Run

SMALL, LATER = "run0008", "run0011"


@pytest.fixture(scope="module")
def night(shared_home, golden_runs, tmp_path_factory):
    """A bias run and two small science runs; tests go on from each other in the order of this file."""
    folder = tmp_path_factory.mktemp("night")
    for name in ("run0001", SMALL):
        shutil.copy(golden_runs / f"{name}.fits", folder)
    return SimpleNamespace(home=shared_home, folder=folder, raw=golden_runs)


def facts(home):
    """Reductions and masters by name of their run, oldest first, and how many jobs were done of each kind."""
    with home.reading() as session:
        reductions = session.scalars(select(Reduction).order_by(Reduction.id)).unique().all()
        masters = session.scalars(select(Master).order_by(Master.id)).unique().all()
        jobs = session.scalars(select(Job.kind).where(Job.state == "done")).all()
    by_run: dict[str, list] = {}
    for reduction in reductions:
        by_run.setdefault(reduction.run.name, []).append(reduction)
    return SimpleNamespace(
        reductions=by_run,
        masters=[(m.run.name, m.run.version, m.state) for m in masters],
        jobs={kind: jobs.count(kind) for kind in ("build_master", "prepare_reduction", "reduce_range", "export_reduction")},
    )


def test_a_flat_that_comes_later_has_the_run_reduced_anew_with_it(night):
    code, runs = night.home.night(night.folder)
    assert code == 0
    assert runs[SMALL]["choices"]["flat"] == "without flat: no flat is recorded"
    shutil.copy(night.raw / "run0003.fits", night.folder)
    code, runs = night.home.night(night.folder)
    assert code == 0
    assert runs[SMALL]["choices"]["flat"].endswith("the only one that matches")
    found = facts(night.home)
    assert [r.state for r in found.reductions[SMALL]] == ["superseded", "done"]
    assert found.jobs == {"build_master": 2, "prepare_reduction": 2, "reduce_range": 2, "export_reduction": 2}


def test_a_new_file_is_reduced_and_nothing_else_is_touched(night):
    before = facts(night.home)
    shutil.copy(night.raw / f"{LATER}.fits", night.folder)
    code, _ = night.home.night(night.folder)
    after = facts(night.home)
    assert code == 0
    assert {kind: after.jobs[kind] - before.jobs[kind] for kind in after.jobs} == {
        "build_master": 0, "prepare_reduction": 1, "reduce_range": 1, "export_reduction": 1,
    }  # fmt: skip
    assert [r.name for r in after.reductions[SMALL]] == [r.name for r in before.reductions[SMALL]]


def test_other_bytes_of_a_calibration_run_supersede_its_master_and_all_that_was_made_with_it(night):
    before = facts(night.home)
    path = night.folder / "run0001.fits"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))
    code, runs = night.home.night(night.folder)
    after = facts(night.home)
    assert code == 0
    assert after.masters == [
        ("run0001", 1, "superseded"), ("run0003", 1, "superseded"), ("run0001", 2, "good"), ("run0003", 1, "good"),
    ]  # fmt: skip
    for name in (SMALL, LATER):
        old = [r.name for r in before.reductions[name]]
        assert [(r.name in old, r.state) for r in after.reductions[name]] == [
            *[(True, "superseded")] * len(old), (False, "done"),
        ]  # fmt: skip
        assert runs[name]["reduction"] == after.reductions[name][-1].name
    assert after.jobs["build_master"] - before.jobs["build_master"] == 2
    assert after.jobs["reduce_range"] - before.jobs["reduce_range"] == 2
    with night.home.reading() as session:
        products = session.execute(select(Product.kind, Product.state, Product.reduction_id).order_by(Product.id)).all()
    current = {after.reductions[name][-1].id for name in (SMALL, LATER)}
    assert {r for kind, state, r in products if state == "current" and kind != "master"} == current
    assert [state for kind, state, _ in products if kind == "master"] == ["superseded", "superseded", "current", "current"]
    versions = night.home.show("run0001")
    assert (versions["version"], [v["state"] for v in versions["other_versions"]]) == (2, ["superseded"])


def test_what_was_made_of_the_old_bytes_is_still_traced_to_them(night):
    import hashlib
    import json

    old = facts(night.home).reductions[SMALL][1]
    with night.home.reading() as session:
        log = session.scalar(select(Product.id).where(Product.reduction_id == old.id, Product.kind == "log"))
    tree = json.loads(night.home.roque("trace", log, "--json").stdout)
    text = json.dumps(tree)
    for name in ("run0001", "run0003", SMALL):
        assert hashlib.sha256((night.raw / f"{name}.fits").read_bytes()).hexdigest() in text, name


def test_other_bytes_of_a_science_run_have_that_run_alone_reduced_anew(night):
    before = facts(night.home)
    path = night.folder / f"{SMALL}.fits"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))
    code, _ = night.home.night(night.folder)
    after = facts(night.home)
    assert code == 0
    assert after.reductions[LATER][-1].name == before.reductions[LATER][-1].name
    assert [r.state for r in after.reductions[SMALL]] == ["superseded"] * len(before.reductions[SMALL]) + ["done"]
    assert after.reductions[SMALL][-1].run.version == 2
    assert after.jobs["build_master"] == before.jobs["build_master"]


def test_a_recipe_that_is_changed_is_for_new_runs_and_for_those_that_are_retried(night):
    before = facts(night.home)
    changed = night.home.roque("recipe", "set", "default", "--camera", "hipercam", "sky.thresh=2.5")
    assert changed.returncode == 0
    assert "run retry" in changed.stderr  # says how earlier runs get it
    shutil.copy(night.raw / "run0013.fits", night.folder)
    night.home.night(night.folder)
    after = facts(night.home)
    assert [(r.recipe.version, r.parameters["sky"]["thresh"]) for r in after.reductions["run0013"]] == [(2, 2.5)]
    for name in (SMALL, LATER):
        assert [r.name for r in after.reductions[name]] == [r.name for r in before.reductions[name]]
    assert night.home.roque("run", "retry", SMALL).returncode == 0
    code, runs = night.home.night(night.folder)
    last = facts(night.home)
    assert code == 0
    assert runs[SMALL]["reduction"] == last.reductions[SMALL][-1].name
    assert [(r.recipe.version, r.state) for r in last.reductions[SMALL]][-2:] == [(1, "superseded"), (2, "done")]
    assert [r.name for r in last.reductions[LATER]] == [r.name for r in before.reductions[LATER]]


def test_apertures_beside_a_run_are_used_when_they_come_and_forgotten_when_they_go(night):
    before = facts(night.home)
    own = night.home.show(SMALL)["reductions"][0]["name"]
    aperture = {"1": {"1": {"x": 420.0, "y": 160.0, "rtarg": 5.0, "rsky1": 8.0, "rsky2": 12.0}}}
    (night.folder / f"{SMALL}.ape").write_text(aperture_text(night, aperture))
    code, runs = night.home.night(night.folder)
    assert code == 0
    (placed,) = [r for r in night.home.show(SMALL)["reductions"] if r["state"] == "done"]
    assert placed["apertures"].startswith("file: ")
    assert runs[SMALL]["reduction"] == placed["name"] != own
    (night.folder / f"{SMALL}.ape").unlink()
    code, runs = night.home.night(night.folder)
    after = facts(night.home)
    assert code == 0
    assert runs[SMALL]["reduction"] == own  # what it had before: nothing is measured twice
    assert after.jobs["reduce_range"] == before.jobs["reduce_range"] + 1
    assert [r.name for r in after.reductions[LATER]] == [r.name for r in before.reductions[LATER]]
    with night.home.reading() as session:
        run = session.scalars(select(Run).where(Run.name == SMALL, Run.state == "complete")).unique().one()
        wanted = select(Product.reduction_id).where(Product.run_id == run.id, Product.state == "current")
        assert set(session.scalars(wanted)) == {next(r.id for r in after.reductions[SMALL] if r.name == own)}


def aperture_text(night, apertures):
    """Text of an aperture file."""
    from roque.photometry.apertures import Aperture, dumps

    return dumps({ccd: {label: Aperture(**values) for label, values in inner.items()} for ccd, inner in apertures.items()})
