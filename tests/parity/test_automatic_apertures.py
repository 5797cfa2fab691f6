"""Apertures without a hand on the golden runs, judged by the truth that went into them."""

import csv
import json
import math

import pytest

from roque.calibration.apply import Calibrator, Masters
from roque.photometry.automatic import automatic_apertures
from roque.photometry.beginning import frames_needed
from roque.spool import data_source

CCDS = ("1", "2", "3", "4", "5")
# run -> stars that must be found, and those that must not: why
RUNS = {
    "run0004": ({"1", "2", "3", "4"}, set()),
    "run0005": ({"1", "2", "3"}, set()),
    # 1 and 1b: S/N of 5 in a frame, apertures that overlap; 3n: 4 % of its light is its neighbour's; 5: walks off its window
    "run0006": ({"2", "3", "4", "6"}, {"1", "1b", "3n", "5"}),
}


def found(folder, run):
    with data_source("hl", folder / f"{run}.fits") as source:
        frames = [source.frame(k) for k in range(1, min(frames_needed(source.info.nskips), source.available) + 1)]
        calibrator = Calibrator(Masters(), frames[0], readout=4.2, gain=1.1)
        return automatic_apertures(
            frames, calibrator, run=run, gain=dict.fromkeys(CCDS, 1.1), saturation=dict.fromkeys(CCDS, 64000.0)
        ), frames


@pytest.fixture(scope="module", params=sorted(RUNS))
def case(request, golden, golden_runs):
    truth = json.loads((golden / "hipercam" / "truth" / f"{request.param}.truth.json").read_text())
    result, frames = found(golden_runs, request.param)
    return request.param, truth, result, frames


def true_places(truth, frames, ccd):
    """True positions on the first frame in which a CCD has data."""
    number = next(frame.number for frame in frames if frame.ccds[ccd].data_ok)
    entry = next(entry for entry in truth["frames"] if entry[0][:2] == [number, int(ccd)])
    return {name: (star[0], star[1]) for name, star in zip(truth["stars"], entry[1], strict=True)}


def meant(truth, frames, ccd, aperture):
    """Name and distance of the true star nearest to an aperture."""
    places = true_places(truth, frames, ccd)
    return min((math.dist(place, (aperture.x, aperture.y)), name) for name, place in places.items())


def test_apertures_stand_on_true_stars(case):
    _, truth, result, frames = case
    assert set(result.apertures) == set(CCDS)
    for ccd, apertures in result.apertures.items():
        for label, aperture in apertures.items():
            assert meant(truth, frames, ccd, aperture)[0] < 0.5, (ccd, label)


def test_a_number_is_one_star_on_all_ccds(case):
    _, truth, result, frames = case
    for label in {label for apertures in result.apertures.values() for label in apertures}:
        names = {meant(truth, frames, ccd, a[label])[1] for ccd, a in result.apertures.items() if label in a}
        assert len(names) == 1, (label, names)


def test_every_star_that_can_be_measured_is_found_and_no_other(case):
    run, truth, result, frames = case
    wanted, unwanted = RUNS[run]
    names = {meant(truth, frames, ccd, a)[1] for ccd, apertures in result.apertures.items() for a in apertures.values()}
    assert names == wanted
    assert not names & unwanted


def test_saturated_stars_are_not_measured(golden_runs):
    result, _ = found(golden_runs, "run0006")
    # the star of 600 000 electrons fits into the 16 bits of CCD 1 alone
    assert [ccd for ccd, apertures in result.apertures.items() if "1" in apertures] == ["1"]


def test_references_are_the_brightest_constant_stars(case):
    _, truth, result, frames = case
    variable = {star["name"] for star in truth["run"]["stars"] if "variable" in star}
    for ccd, apertures in result.apertures.items():
        names = {meant(truth, frames, ccd, a)[1] for a in apertures.values() if a.ref}
        assert 1 <= len(names) <= 2
        assert not names & variable


def test_the_default_target_is_the_variable_star_where_comparisons_are_brighter(case):
    run, truth, result, frames = case
    assert not any(apertures[result.target].ref for apertures in result.apertures.values() if result.target in apertures)
    assert run == "run0006" or meant(truth, frames, "3", result.apertures["3"][result.target])[1] == "1"


def test_seeing_is_that_put_in(case):
    _, truth, result, frames = case
    width = truth["run"]["xbin"]
    for ccd, seeing in result.seeing.items():
        numbers = [frame.number for frame in frames if frame.ccds[ccd].data_ok]
        true = [entry[0][7] for entry in truth["frames"] if entry[0][0] in numbers and entry[0][1] == int(ccd)]
        mean = sum(true) / len(true)
        pixel = 8 * math.log(2) * width**2 / 12
        # moments under a Gaussian weight see a Moffat profile some 5 to 10 % wider than it is
        assert math.sqrt(mean**2 + pixel) < seeing < 1.12 * math.sqrt(mean**2 + pixel), ccd


@pytest.fixture(scope="module")
def transit(golden, tmp_path_factory):
    paths = sorted((golden / "hatp32" / "raw").iterdir())[:16]
    with data_source("fits", paths, cache=tmp_path_factory.mktemp("cache")) as source:
        frames = [source.frame(k) for k in range(1, 17)]
    calibrator = Calibrator(Masters(), frames[0], readout=2.0, gain=10.0)
    return automatic_apertures(
        frames, calibrator, run="HAT-P-32", gain={"1": 10.0}, saturation={"1": 4095.0}, target=(423.0, 286.2)
    )


def test_the_target_of_real_frames_is_found_by_its_position(transit, golden):
    with (golden / "hatp32" / "reference_wcs.csv").open() as file:
        first = next(csv.DictReader(file))
    target = transit.apertures["1"][transit.target]
    place = float(first["target_x0"]) + 1.0, float(first["target_y0"]) + 1.0  # counted from 0 there
    assert math.dist(place, (target.x, target.y)) < 0.3


def test_real_comparison_stars_are_many_and_a_reference_will_stay_in_the_field(transit):
    apertures = transit.apertures["1"]
    assert len(apertures) >= 20
    # the field will drift by 272 pixels in x and 63 in y
    references = [a for a in apertures.values() if a.ref]
    assert references
    for a in references:
        assert min(a.x, 650 - a.x, a.y, 500 - a.y) > 100.0
