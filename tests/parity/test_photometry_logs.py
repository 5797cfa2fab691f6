"""Reductions against the HiPERCAM pipeline's own logs, command line by command line of the golden manifests."""

from __future__ import annotations

import functools
import importlib.util
import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from roque.calibration.apply import Masters
from roque.calibration.fringe import read_fringe_pairs
from roque.frames.hcm import read_hcm
from roque.lightcurves import LogHeader, write_log
from roque.photometry.apertures import read_apertures
from roque.photometry.recipe import Recipe
from roque.photometry.recipe_files import aperture_file, calibration_names
from roque.photometry.reduce import Reducer
from roque.photometry.reduce_file import read_reduce_file
from roque.spool import data_source

STEPS = (
    "A_genred",
    "A_moffat",
    "A_gauss",
    "A_optimal",
    "A_optgauss",
    "A_fixed",
    "A_nocal",
    "A_photon",
    "A_biasonly",
    "A_noflat",
    "A_resize_fixed",
    "A_opt_fixedsize",
    "A_photon_nocal",
    "A_ndiv",
    "A_fwhmfixed",
    "A_fft",
    "A_toffset",
    "A_skipbadt_no",
    "A_thresh2",
    "A_demask",
    "A_first11",
    "B_genred",
    "B_moffat",
    "B_gauss",
    "B_optimal",
    "B_optgauss",
    "B_fixed",
    "B_nocal",
    "B_photon",
    "B_hf",
    "C_genred",
    "C_moffat",
    "C_gauss",
    "C_optimal",
    "C_optgauss",
    "C_fixed",
    "C_nocal",
    "C_photon",
    "C_defringe",
)
"""Every reduction of the golden manifest that the pipeline itself could do, but for one: see the test of its own."""

ULTRA = (
    "run002_normal",
    "run002_optimal",
    "run002_gaussian",
    "run003_normal",
    "run003_optimal",
    "run005_normal",
    "run005_optimal",
)

FOREIGN = ("hicks", "intwfc", "lcogt", "ltio", "osirisplus", "pt5m", "rosa", "whtcam")


@functools.cache
def comparison(golden: Path):
    """Module of the tool that judges."""
    spec = importlib.util.spec_from_file_location("compare_hlog", golden.parent / "tools" / "compare_hlog.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def commands(golden: Path):
    """Parameters of the reductions of the manifest, by the name of their log."""
    steps = json.loads((golden / "hipercam" / "manifest.json").read_text())["steps"]
    made = {}
    for step in steps:
        words = shlex.split(step["command"])
        if words[0] == "reduce":
            parameters = dict(word.split("=", 1) for word in words[2:])
            made[parameters["log"].removesuffix(".log")] = parameters
    return made


@functools.cache
def master(path: Path):
    return read_hcm(path)


def masters_of(names, folder):
    made = {key: master(folder / names[key]) for key in ("bias", "dark", "flat") if names[key]}
    if names["fmap"]:
        made |= {"fringe_map": master(folder / names["fmap"]), "fringe_pairs": read_fringe_pairs(folder / names["fpair"])}
    return Masters(**made)


def frames_of(parameters, folder):
    """Frames that a command line asks for."""
    if parameters.get("source") == "hf":
        # the list names frames that the pipeline had cut out of this run, without calibrating them
        parameters = {"run": "run0005", "first": "1", "last": "12"}
    first, last = int(parameters["first"]), int(parameters["last"])
    with data_source("hl", folder / f"{parameters['run']}.fits") as run:
        return [run.frame(number) for number in range(first, (last or run.available) + 1)]


def reduction_of(step, golden, folder):
    """Reduce file, apertures, measurements and state."""
    parameters = commands(golden)[step]
    file = read_reduce_file(folder / f"{parameters['rfile']}.red")
    apertures = read_apertures(folder / aperture_file(file))
    reducer = Reducer(Recipe.from_reduce_file(file), apertures, masters_of(calibration_names(file), folder))
    rows, _, notes = reducer.reduce_range(frames_of(parameters, folder))
    return file, apertures, rows, notes


def disagreements(golden, peer, file, apertures, rows, tmp_path):
    """Columns that disagree by the tool's table, and its other complaints."""
    tool = comparison(golden)
    mine = tmp_path / "mine.log"
    write_log(
        mine, rows, apertures, LogHeader(version="test", reduce_file=file.lines, offset=file.integer("general", "toffset"))
    )
    columns, problems = tool.compare(tool.read(peer), tool.read(mine), tool.table_options())
    assert sum(column["n"] for column in columns) > 0
    return [column for column in columns if column["bad"]], problems


@pytest.mark.parametrize("step", STEPS)
def test_logs_agree_with_the_pipelines_in_every_value(step, golden, golden_runs, tmp_path):
    file, apertures, rows, _ = reduction_of(step, golden, golden_runs)
    bad, problems = disagreements(golden, golden_runs / f"{step}.log", file, apertures, rows, tmp_path)
    assert not bad
    assert not problems


def test_two_processes_of_the_pipeline_log_the_shape_of_the_last_frame_of_a_group(golden, golden_runs, tmp_path):
    file, apertures, rows, _ = reduction_of("A_ncpu2", golden, golden_runs)
    group = file.integer("general", "ngroup")
    for ccd in np.unique(rows["ccd"]):
        mine = rows["ccd"] == ccd
        groups = (rows["frame"][mine] - 1) // group
        for name in ("mfwhm", "mbeta"):
            values = rows[name][mine]
            rows[name][mine] = [values[groups == g][-1] for g in groups]
    bad, problems = disagreements(golden, golden_runs / "A_ncpu2.log", file, apertures, rows, tmp_path)
    assert not bad
    assert not problems


def test_a_median_sky_works_where_the_pipeline_crashed(golden, golden_runs):
    _, _, rows, _ = reduction_of("A_median", golden, golden_runs)
    _, _, clipped, _ = reduction_of("A_photon", golden, golden_runs)
    assert (rows["nrej"] == 0).all()
    assert (rows["nsky"] >= clipped["nsky"]).all()
    assert np.array_equal(rows["x"], clipped["x"], equal_nan=True)
    # of n pixels with a scatter s, median and mean differ by about 0.75 s/sqrt(n)
    scatter = clipped["skye"] * np.sqrt(clipped["nsky"])
    assert np.abs(rows["sky"] - clipped["sky"]).max() < 5.0 * (0.75 * scatter / np.sqrt(clipped["nsky"])).max()


@pytest.mark.parametrize("step", ULTRA)
def test_runs_of_ultracam_and_ultraspec_agree_with_the_pipelines_logs(step, golden, tmp_path):
    folder = golden / "ultracam"
    file = read_reduce_file(folder / f"{step}.red")
    apertures = read_apertures(folder / aperture_file(file))
    reducer = Reducer(Recipe.from_reduce_file(file), apertures, masters_of(calibration_names(file), folder))
    with data_source("ul", folder / step.partition("_")[0]) as run:
        rows, _, _ = reducer.reduce_range(run)
    bad, problems = disagreements(golden, folder / f"{step}.log", file, apertures, rows, tmp_path)
    assert not bad
    assert not problems


@pytest.mark.parametrize("camera", FOREIGN)
def test_frames_of_other_cameras_agree_with_the_pipelines_logs(camera, golden, tmp_path):
    folder = golden / "foreign" / camera
    file = read_reduce_file(folder / f"{camera}.red")
    apertures = read_apertures(folder / aperture_file(file))
    with data_source("hf", [folder / f"{camera}_{number}.hcm" for number in (1, 2)]) as frames:
        rows, _, _ = Reducer(Recipe.from_reduce_file(file), apertures, Masters()).reduce_range(frames)
    bad, problems = disagreements(golden, folder / f"{camera}.log", file, apertures, rows, tmp_path)
    assert not bad
    assert not problems
