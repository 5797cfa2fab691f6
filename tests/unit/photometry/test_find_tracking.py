"""Following a field whose references come and go, outside parity."""

import math

import numpy as np
import pytest

from roque.calibration.apply import Masters
from roque.frames import CCD, Frame, Geometry, Window
from roque.photometry.apertures import Aperture
from roque.photometry.flags import Flag
from roque.photometry.kernels.agreement import agree, mean_shift
from roque.photometry.kernels.outcome import NO_PEAK, OK, REFERENCES_DISAGREE
from roque.photometry.recipe import Recipe
from roque.photometry.reduce import Reducer

GEOMETRY = Geometry(1, 1, 1, 1, 160, 120)
STARS = {"1": (30.0, 60.0, 9000.0), "2": (90.0, 40.0, 8000.0), "3": (110.0, 90.0, 7000.0), "4": (70.0, 85.0, 3000.0)}
STEP = (-2.1, 0.4)
RECIPE = Recipe.from_dict(
    {
        "apertures": {
            "search_half_width": 8.0,
            "search_smooth_fwhm": 3.0,
            "fit_fwhm": 4.0,
            "fit_fwhm_min": 1.5,
            "fit_fwhm_max": 20.0,
            "fit_half_width": 9.0,
            "fit_height_min_ref": 60.0,
            "fit_max_shift": 2.0,
            "fit_diff": 1.0,
        },
        "extraction": {
            "1": {
                "resize": "fixed",
                "target": {"factor": 1.8, "least": 1.0, "greatest": 20.0},
                "inner_sky": {"factor": 2.5, "least": 1.0, "greatest": 20.0},
                "outer_sky": {"factor": 3.0, "least": 1.0, "greatest": 20.0},
            }
        },
        "detectors": {"1": {"readout": 3.0, "gain": 1.0}},
    }
)
APERTURES = {"1": {label: Aperture(x, y, 7.0, 9.0, 14.0, ref=label != "4") for label, (x, y, _) in STARS.items()}}


def frame(number, *, light=None, moved=None):
    """Frame of a field that drifts by STEP; `light` dims stars by label, `moved` displaces them."""
    rng = np.random.default_rng(number)
    x, y = np.arange(GEOMETRY.nx) + 1.0, np.arange(GEOMETRY.ny) + 1.0
    image = rng.normal(100.0, 3.0, (GEOMETRY.ny, GEOMETRY.nx))
    sigma2 = 16.0 / (8 * math.log(2))
    for label, (x0, y0, counts) in STARS.items():
        px = x0 + STEP[0] * (number - 1) + (moved or {}).get(label, 0.0)
        py = y0 + STEP[1] * (number - 1)
        r2 = (x[None, :] - px) ** 2 + (y[:, None] - py) ** 2
        image += (light or {}).get(label, 1.0) * counts / (2 * math.pi * sigma2) * np.exp(-r2 / (2 * sigma2))
    return Frame({"1": CCD({"W": Window(GEOMETRY, image.astype(np.float32))}, 160, 120)}, number)


def measured(frames, *, parity=False):
    recipe = RECIPE.changed({"parity": parity})
    rows, _, notes = Reducer(recipe, APERTURES, Masters()).reduce_range(frames)
    return rows, notes


def row(rows, number, label):
    return rows[(rows["frame"] == number) & (rows["aperture"] == label)][0]


def true_x(label, number):
    return STARS[label][0] + STEP[0] * (number - 1)


def test_a_reference_that_leaves_the_field_does_not_take_the_others_along():
    last = 20  # star 1 is 10 pixels beyond the edge by then
    rows, _ = measured([frame(k) for k in range(1, last + 1)])
    for label in "234":
        assert row(rows, last, label)["x"] == pytest.approx(true_x(label, last), abs=0.2)
        assert not row(rows, last, label)["flag"] & Flag.LOST
    gone = row(rows, last, "1")
    assert gone["x"] == pytest.approx(true_x("1", last), abs=2.5)  # it goes on as the others do
    assert np.isnan(gone["xe"])
    assert gone["flag"] & (Flag.NO_EXTRACTION | Flag.TARGET_AT_EDGE)


def test_the_majority_outvotes_a_reference_that_was_mistaken():
    frames = [frame(1), frame(2, moved={"2": 4.0}), frame(3)]
    rows, notes = measured(frames)
    for label in "134":
        assert row(rows, 2, label)["x"] == pytest.approx(true_x(label, 2), abs=0.2)
    assert row(rows, 2, "2")["x"] == pytest.approx(true_x("2", 2), abs=0.2)  # it moves as the others do
    assert np.isnan(row(rows, 2, "2")["xe"])
    assert row(rows, 3, "2")["x"] == pytest.approx(true_x("2", 3), abs=0.2)
    assert any("differently" in note.text and note.aperture == "2" for note in notes)


def test_a_frame_without_references_is_flagged_as_lost_and_the_next_is_found_again():
    rows, _ = measured([frame(1), frame(2, light=dict.fromkeys(STARS, 0.0)), frame(3)])
    for label in STARS:
        assert row(rows, 2, label)["flag"] & Flag.LOST
        assert row(rows, 2, label)["x"] == row(rows, 1, label)["x"]
        assert not row(rows, 3, label)["flag"] & Flag.LOST
        assert row(rows, 3, label)["x"] == pytest.approx(true_x(label, 3), abs=0.4)


def test_one_of_three_is_not_believed_where_the_others_should_be_seen():
    clouds = dict.fromkeys("123", 0.0)
    rows, _ = measured([frame(1), frame(2, light=clouds | {"2": 1.0}), frame(3)])
    assert all(row(rows, 2, label)["flag"] & Flag.LOST for label in STARS)
    assert not any(row(rows, 3, label)["flag"] & Flag.LOST for label in STARS)


def test_two_that_disagree_lose_the_frame():
    rows, _ = measured([frame(1), frame(2, light={"1": 0.0}, moved={"2": 4.0})])
    assert all(row(rows, 2, label)["flag"] & Flag.LOST for label in STARS)


def test_in_parity_one_missing_reference_loses_the_frame_and_nothing_says_so():
    rows, _ = measured([frame(1), frame(2, light={"1": 0.0})], parity=True)
    for label in STARS:
        assert row(rows, 2, label)["x"] == row(rows, 1, label)["x"]
        assert row(rows, 2, label)["flag"] == 0
        assert np.isnan(row(rows, 2, label)["mfwhm"])


@pytest.mark.parametrize(
    ("strict", "shifts", "missing", "agreed", "disagreeing"),
    [
        (True, [(1.0, 0.0), (1.5, 0.0)], [], True, []),
        (True, [(1.0, 0.0), (1.5, 0.0), (3.0, 0.0)], [], False, [2]),
        (False, [(1.0, 0.0), (1.5, 0.0), (3.0, 0.0)], [], True, [2]),
        (False, [(9.0, 0.0), (1.5, 0.0), (1.0, 0.2)], [], True, [0]),
        (False, [(9.0, 0.0), (1.5, 0.0), (1.0, 0.2)], [1], False, [2]),
        (False, [(9.0, 0.0), (1.5, 0.0), (1.0, 0.2)], [0, 1], True, []),
        (False, [(9.0, 0.0), (1.5, 0.0)], [0, 1], False, []),
    ],
)
def test_who_agrees(strict, shifts, missing, agreed, disagreeing):
    number = len(shifts)
    outcomes = np.full(number, OK)
    outcomes[missing] = NO_PEAK
    details = np.zeros(number)
    assert agree(strict, 1.0, np.ones(number, bool), np.array(shifts), outcomes, details) is agreed
    assert np.flatnonzero(outcomes == REFERENCES_DISAGREE).tolist() == disagreeing


def test_the_mean_shift_is_weighted_by_the_errors_of_each_coordinate():
    shifts, errors = np.array([(1.0, 2.0), (4.0, 8.0), (9.0, 9.0)]), np.array([(0.1, 0.2), (0.2, 0.1), (1.0, 1.0)])
    outcomes = np.array([OK, OK, NO_PEAK])
    x, y, error = mean_shift(np.ones(3, bool), shifts, errors, outcomes)
    weights = errors[:2] ** -2.0
    assert (x, y) == pytest.approx(tuple((shifts[:2] * weights).sum(axis=0) / weights.sum(axis=0)))
    assert error == pytest.approx(math.sqrt((1.0 / weights.sum(axis=0)).sum()))
