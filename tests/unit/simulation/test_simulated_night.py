"""The demo's night."""

from __future__ import annotations

import json
from datetime import date

import numpy as np
import pytest
from astropy.io import fits

from roque.simulation import simulate_night
from roque.simulation.layout import patches
from roque.simulation.night import CALIBRATION_WINDOWS, SCIENCE_WINDOWS


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    folder = tmp_path_factory.mktemp("night") / "incoming"
    return folder, simulate_night(folder, seed=5, frames=40)


def test_the_folder_holds_the_runs_and_nothing_of_the_truth(night):
    folder, _ = night
    assert sorted(path.name for path in folder.iterdir()) == [f"run000{k}.fits" for k in range(1, 6)]


def test_the_truth_is_json_and_tells_the_eclipse_of_each_ccd(night):
    _, truth = night
    told = json.loads(json.dumps(truth.to_dict()))
    assert told["night"] == "2026-03-14"
    assert list(told["eclipses"]) == ["1", "2", "3", "4", "5"]
    depths = [eclipse["depth"] for eclipse in told["eclipses"].values()]
    assert len(set(depths)) == 5
    assert all(0.3 < depth < 0.7 for depth in depths)
    rows = told["runs"]["run0003"]["frames"]
    assert len(rows) == 40 * 5
    assert len(rows[0][1]) == 3


def test_the_target_loses_its_depth_in_mid_eclipse_and_the_comparisons_nothing(night):
    _, truth = night
    run = truth.runs[truth.science]
    light = run.stars["electrons"] / (run.frames["exposure"] * run.frames["transmission"])[:, :, None]
    for ccd, (label, eclipse) in enumerate(truth.eclipses.items()):
        loss = 1 - light[:, ccd, 0].min() / light[:, ccd, 0].max()
        assert loss == pytest.approx(eclipse.depth, abs=0.02), label
        np.testing.assert_allclose(light[:, ccd, 1], light[0, ccd, 1], rtol=1e-12)


def test_windows_of_the_masters_contain_those_of_the_science_runs():
    wide = {(p.ccd, p.quadrant): p.geometry for p in patches(CALIBRATION_WINDOWS, 1, 1)}
    for patch in patches(SCIENCE_WINDOWS, 1, 1):
        assert wide[patch.ccd, patch.quadrant].contains(patch.geometry)


def test_the_flat_run_fades_through_the_levels_that_flats_are_made_of(night):
    folder, truth = night
    sky = truth.runs["run0002"].frames["sky"] / 1.1
    assert np.all(np.diff(sky, axis=0) < 0)
    # at least three groups of three frames between the limits of 5000 and 50000 ADU, bias taken off
    assert np.all(((sky > 5500) & (sky < 45000)).sum(axis=0) >= 9)
    assert fits.getheader(folder / "run0002.fits")["IMAGETYP"] == "flat"


def test_one_run_is_cut_inside_a_frame_and_one_file_is_not_fits(night):
    folder, truth = night
    assert truth.damaged == {"run0004.fits": "cut short inside frame 31", "run0005.fits": "not FITS"}
    header = fits.Header.fromfile(folder / "run0004.fits")
    begin, frame = len(header.tostring()), 2 * header["NAXIS1"]
    whole, rest = divmod((folder / "run0004.fits").stat().st_size - begin, frame)
    assert (whole, truth.whole_frames["run0004"], header["NAXIS3"]) == (30, 30, 48)
    assert rest > 0
    assert not (folder / "run0005.fits").read_bytes().startswith(b"SIMPLE")


def test_seeds_differ_in_depth_and_mid_time(tmp_path, night):
    _, truth = night
    other = simulate_night(tmp_path, seed=6, frames=12, evening=date(2026, 3, 15))
    assert other.night == date(2026, 3, 15)
    assert other.eclipses["1"].depth != truth.eclipses["1"].depth
    assert other.eclipses["1"].mid_int - truth.eclipses["1"].mid_int in {1, 2}
