"""The HiPERCAM pipeline's own reduce files, apertures and masters give its own logs, through the whole system."""

from __future__ import annotations

import importlib.util
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from roque.frames.hcm import read_hcm, write_hcm

NIGHTS = {"A": "run0004", "B": "run0005"}
MASTERS = ("bias.hcm", "dark.hcm", "flat.hcm")
GAUSS_FRAMES = 25
"""Frames of run 4 that the pipeline reduced with A_gauss."""


@pytest.fixture(scope="module")
def compare(golden):
    """The judge: reads two logs and finds where they differ by more than the tolerances."""
    spec = importlib.util.spec_from_file_location("compare_hlog", golden.parent / "tools" / "compare_hlog.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def judge(peer, ours, frames=None):
        theirs, mine = module.read(peer), module.read(ours)
        if frames is not None:
            cut = {ccd: {n: row for n, row in rows.items() if n <= frames} for ccd, rows in mine[0].items()}
            mine = (cut, mine[1])
        return module.compare(theirs, mine, module.table_options())

    return judge


@pytest.fixture(scope="module")
def night(shared_home, golden_runs, tmp_path_factory):
    """Two folders of a night, each with its run, the pipeline's masters, and the files of its Moffat reduction."""
    folder = tmp_path_factory.mktemp("parity")
    for letter, run in NIGHTS.items():
        place = folder / letter
        place.mkdir()
        shutil.copy(golden_runs / f"{run}.fits", place)
        for name in MASTERS:
            shutil.copy(golden_runs / name, place)
        shutil.copy(golden_runs / f"{letter}.ape", place / f"{run}.ape")
        shutil.copy(golden_runs / f"{letter}_moffat.red", place / f"{run}.red")
    return SimpleNamespace(home=shared_home, folder=folder, code=shared_home.night(folder)[0])


def export(night, run, tmp_path):
    done = night.home.roque("hlog", "export", run, "--format", "ascii", "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path / f"{run}.log"


def insist(judged):
    columns, problems = judged
    assert problems == []
    assert sum(column["n"] for column in columns) > 5_000
    bad = [(c["ccd"], c["aperture"], c["column"], c["bad"], c["first_bad_frame"]) for c in columns if c["bad"]]
    assert bad == []


@pytest.mark.parametrize("letter", NIGHTS)
def test_files_beside_a_run_give_the_pipelines_moffat_log(night, golden_runs, compare, tmp_path, letter):
    assert night.code == 0
    run = NIGHTS[letter]
    insist(compare(golden_runs / f"{letter}_moffat.log", export(night, run, tmp_path)))
    (reduction,) = night.home.show(run)["reductions"]
    assert {kind: master["from"] for kind, master in reduction["masters"].items()} == {
        kind: str(night.folder / letter / f"{kind}.hcm") for kind in reduction["masters"]
    }
    assert set(reduction["masters"]) >= {"bias", "flat"}


@pytest.mark.parametrize("letter", NIGHTS)
def test_files_that_are_named_give_the_pipelines_gaussian_log(night, golden_runs, compare, tmp_path, letter):
    run = NIGHTS[letter]
    words = ("--apertures", night.folder / letter / f"{run}.ape", "--reduce-file", night.folder / letter / "other.red")
    shutil.copy(golden_runs / f"{letter}_gauss.red", night.folder / letter / "other.red")
    code, _ = night.home.night(night.folder / letter, *words)
    assert code == 0
    log = export(night, run, tmp_path)
    insist(compare(golden_runs / f"{letter}_gauss.log", log, GAUSS_FRAMES if letter == "A" else None))


def test_a_log_leads_back_to_the_calibration_frames_that_its_reduce_file_names(night, tmp_path):
    import hashlib
    import json

    product = next(p for p in night.home.show("run0004")["products"] if p["kind"] == "log")
    tree = json.loads(night.home.roque("trace", product["id"], "--json").stdout)
    named = {node["kind"]: node for node in tree["from"][0]["from"]}
    bias = night.folder / "A" / "bias.hcm"
    assert (named["bias"]["name"], named["bias"]["sha256"]) == (str(bias), hashlib.sha256(bias.read_bytes()).hexdigest())


def test_frames_of_read_noise_and_gain_lie_beside_the_reduce_file_that_names_them(night, golden_runs, compare, tmp_path):
    place = night.folder / "frames"
    place.mkdir()
    for name in (*MASTERS, "A.ape"):
        shutil.copy(golden_runs / name, place)
    shutil.copy(golden_runs / "run0004.fits", place / "run0094.fits")
    shutil.copy(golden_runs / "A.ape", place / "run0094.ape")
    flat = read_hcm(golden_runs / "flat.hcm")
    for name, value in (("noise", 4.2), ("gains", 1.1)):
        write_hcm(place / f"{name}.hcm", flat.map(lambda _c, _l, w, v=value: np.full(w.data.shape, v, np.float32)))
    text = (golden_runs / "A_gauss.red").read_text()
    text = text.replace("readout = 4.2", "readout = noise").replace("gain = 1.1", "gain = gains")
    (place / "run0094.red").write_text(text)
    code, _ = night.home.night(place)
    assert code == 0
    insist(compare(golden_runs / "A_gauss.log", export(night, "run0094", tmp_path), GAUSS_FRAMES))
    (reduction,) = night.home.show("run0094")["reductions"]
    named = {kind: reduction["masters"][kind]["from"] for kind in ("readout", "gain")}
    assert named == {"readout": str(place / "noise.hcm"), "gain": str(place / "gains.hcm")}
