"""Fields that vanish, jump and lose stars, followed by the pattern of their stars."""

import json
import math

import numpy as np
import pytest

from roque.calibration.apply import Masters
from roque.frames import CCD, Frame, Geometry, Window
from roque.lightcurves.ensemble import light_curves
from roque.photometry.apertures import Aperture
from roque.photometry.flags import Flag
from roque.photometry.recipe import Recipe
from roque.photometry.recovery import Recovery
from roque.photometry.reduce import Reducer
from roque.photometry.state import State

WINDOWS = {"L": Geometry(1, 1, 1, 1, 110, 120), "R": Geometry(111, 1, 1, 1, 110, 120)}
REFERENCE, TARGET, SECOND = (70.0, 60.0, 20_000.0), (140.0, 50.0, 6_000.0), (60.0, 90.0, 9_000.0)
STARS = [REFERENCE, TARGET, SECOND, (170.0, 85.0, 5_000.0), (95.0, 30.0, 4_000.0), (30.0, 35.0, 7_000.0)]
RADII = (7.0, 9.0, 14.0)
APERTURES = {
    "r": Aperture(*REFERENCE[:2], *RADII, ref=True),
    "t": Aperture(*TARGET[:2], *RADII),
    "s": Aperture(*SECOND[:2], *RADII),
}
PLACES = {"r": REFERENCE, "t": TARGET, "s": SECOND}
CLOUDY = Flag.LOST | Flag.UNCERTAIN
RECIPE = Recipe.from_dict(
    {
        "apertures": {
            "search_half_width": 8.0,
            "search_smooth_fwhm": 3.0,
            "fit_fwhm": 4.0,
            "fit_fwhm_min": 1.5,
            "fit_fwhm_max": 20.0,
            "fit_half_width": 9.0,
            "fit_height_min_ref": 25.0,
            "fit_max_shift": 2.0,
            "fit_diff": 1.0,
            "recover": True,
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


def frame(number, shift=(0.0, 0.0), *, light=1.0, without=(), stars=STARS):
    rng = np.random.default_rng(number)
    sigma2 = 16.0 / (8 * math.log(2))
    windows = {}
    for label, g in WINDOWS.items():
        x, y = g.llx + np.arange(g.nx), g.lly + np.arange(g.ny)
        image = np.full((g.ny, g.nx), 40.0)
        for star in stars:
            if star not in without:
                r2 = (x[None, :] - star[0] - shift[0]) ** 2 + (y[:, None] - star[1] - shift[1]) ** 2
                image += light * star[2] / (2 * math.pi * sigma2) * np.exp(-r2 / (2 * sigma2))
        counts = rng.poisson(image) + rng.normal(0.0, 3.0, image.shape)
        windows[label] = Window(g, counts.astype(np.float32))
    return Frame({"1": CCD(windows, 220, 120, mjd_int=61000, mjd_frac=0.1 + number / 1e4, exposure=1.0)}, number)


def reduced(frames, apertures=APERTURES, **changes):
    recipe = RECIPE.changed({f"apertures.{name}": value for name, value in changes.items() if name != "parity"})
    recipe = recipe.changed({"parity": changes.get("parity", False)})
    return Reducer(recipe, {"1": apertures}, Masters()).reduce_range(frames)[0]


def row(rows, number, label):
    return rows[(rows["frame"] == number) & (rows["aperture"] == label)][0]


def away(rows, number, label, shift=(0.0, 0.0)):
    r, (x, y, _) = row(rows, number, label), PLACES[label]
    return math.hypot(r["x"] - x - shift[0], r["y"] - y - shift[1])


@pytest.mark.parametrize("jump", [(5.0, 0.0), (-14.0, 9.0), (25.0, -12.0), (15.0, -20.0)])
def test_a_jump_of_the_telescope_is_followed(jump):
    rows = reduced([frame(1), frame(2), frame(3, jump), frame(4, jump), frame(5)])
    for number, shift in ((3, jump), (4, jump), (5, (0.0, 0.0))):
        for label in PLACES:
            assert away(rows, number, label, shift) < 0.3
            assert not row(rows, number, label)["flag"] & ~np.uint32(Flag.RECOVERED | Flag.SKY_AT_EDGE)
    far = math.hypot(*jump) > 8.0
    assert bool(row(rows, 3, "r")["flag"] & Flag.RECOVERED) == far  # others are within the ordinary search
    assert not row(rows, 4, "r")["flag"] & Flag.RECOVERED


def test_after_clouds_the_field_is_found_where_it_drifted_to():
    clouds = [frame(n, (3.0 * (n - 2), -1.0 * (n - 2)), light=0.002) for n in range(3, 9)]
    end = (21.0, -7.0)
    rows = reduced([frame(1), frame(2), *clouds, frame(9, end, light=0.5), frame(10, end)])
    for label in PLACES:
        assert all(row(rows, n, label)["flag"] & Flag.LOST for n in range(3, 9))
        assert away(rows, 9, label, end) < 0.3
        assert not row(rows, 9, label)["flag"] & CLOUDY
        assert row(rows, 9, label)["flag"] & Flag.RECOVERED
        assert not row(rows, 10, label)["flag"] & Flag.RECOVERED


def test_a_neighbour_that_comes_to_where_the_reference_was_is_not_taken_for_it():
    twin = (REFERENCE[0] + 30.0, REFERENCE[1], 19_000.0)
    stars = [*STARS, twin]
    jump = (-30.0, 0.3)
    rows = reduced([frame(1, stars=stars), frame(2, stars=stars), frame(3, jump, stars=stars), frame(4, stars=stars)])
    for label in PLACES:
        assert away(rows, 3, label, jump) < 0.3 or row(rows, 3, label)["flag"] & Flag.LOST
        assert away(rows, 4, label) < 0.3
    assert away(rows, 3, "r", jump) < 0.3


def test_other_stars_stand_in_for_the_only_reference():
    shifts = {n: (0.8 * (n - 1), -0.5 * (n - 1)) for n in range(1, 13)}
    rows = reduced([frame(n, s, without=(REFERENCE,) if n > 3 else ()) for n, s in shifts.items()])
    for number in range(4, 13):
        for label in PLACES:
            assert away(rows, number, label, shifts[number]) < 0.6
            assert not row(rows, number, label)["flag"] & Flag.LOST
        assert row(rows, number, "r")["flag"] & Flag.FIT_FAILED


def test_a_star_that_moves_into_another_window_is_measured_there():
    shifts = {n: (4.0 * (n - 1), 0.0) for n in range(1, 16)}
    rows = reduced([frame(n, s) for n, s in shifts.items()])
    last = row(rows, 15, "s")  # from x = 60 to 116, across the edge at 110.5
    assert away(rows, 15, "s", shifts[15]) < 0.3
    assert last["counts"] == pytest.approx(SECOND[2], rel=0.05)
    crossing = row(rows, 13, "s")
    assert crossing["flag"] & Flag.TARGET_AT_EDGE


def test_the_bottom_of_an_eclipse_is_flagged_as_not_fitted_and_stays_in_the_light_curve():
    number = 60
    rows = reduced([frame(n, (0.1 * n, 0.0), without=(TARGET,) if 5 < n <= 55 else ()) for n in range(1, number + 1)])
    deep = rows[(rows["aperture"] == "t") & (rows["frame"] > 5) & (rows["frame"] <= 55)]
    assert (deep["flag"] == Flag.FIT_FAILED).all()
    assert np.hypot(deep["x"] - TARGET[0] - 0.1 * deep["frame"], deep["y"] - TARGET[1]).max() < 0.5
    assert abs(deep["counts"].mean()) < 3.0 * math.sqrt((deep["countse"] ** 2).mean() / len(deep))
    curve = light_curves(rows, "t", comparisons=["r", "s"])["1"].rows
    assert np.isfinite(curve["ratio"]).all()
    assert abs(curve["ratio"][10:50].mean()) < 0.01


def test_in_parity_nothing_of_this_happens():
    frames = [frame(1), frame(2, without=(TARGET,)), frame(3, (25.0, 0.0))]
    rows = reduced(frames, parity=True)
    assert (rows["flag"] == 0).all()
    assert away(rows, 3, "r") < 0.5  # it stayed where it was


def test_without_the_option_a_failed_fit_is_flagged_and_a_jump_loses_the_field():
    frames = [frame(1), frame(2, without=(TARGET,)), frame(3, (25.0, 0.0))]
    rows = reduced(frames, recover=False, fit_height_min_nrf=40.0)
    assert row(rows, 2, "t")["flag"] == Flag.FIT_FAILED
    assert all(row(rows, 3, label)["flag"] & Flag.LOST for label in PLACES)


@pytest.mark.parametrize("length", [1, 3])
def test_ranges_give_the_bits_of_the_whole_through_jumps_and_clouds(length):
    shifts = [(0.0, 0.0)] * 3 + [(16.0, 5.0)] * 3 + [(20.0, 9.0)] * 4 + [(1.0, 1.0)] * 2
    lights = [1.0] * 6 + [0.002] * 3 + [0.4, 1.0, 1.0]
    frames = [frame(n, s, light=light) for n, (s, light) in enumerate(zip(shifts, lights, strict=True), 1)]
    whole, last, _ = Reducer(RECIPE, {"1": APERTURES}, Masters()).reduce_range(frames)
    assert (whole["flag"] & Flag.RECOVERED).any()
    parts, state = [], None
    for begin in range(0, len(frames), length):
        rows, state, _ = Reducer(RECIPE, {"1": APERTURES}, Masters()).reduce_range(frames[begin : begin + length], state)
        state = State.from_dict(json.loads(json.dumps(state.to_dict(), allow_nan=False)))
        parts.append(rows)
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert json.dumps(state.to_dict()) == json.dumps(last.to_dict())


@pytest.mark.parametrize("length", [1, 5, 20])
def test_a_pattern_that_could_not_be_had_is_asked_for_when_there_are_shapes_again_and_now_and_then(length, monkeypatch):
    asked = []

    def learn(_self, ccd, _values, _shape):
        asked.append(round((ccd.mjd_frac - 0.1) * 1e4))

    monkeypatch.setattr(Recovery, "learn", learn)
    frames = [frame(n, light=0.002 if n in (66, 67) else 1.0) for n in range(60, 72)]
    reducer, state = Reducer(RECIPE, {"1": APERTURES}, Masters()), None
    for start in range(0, len(frames), length):
        _, state, _ = reducer.reduce_range(frames[start : start + length], state)
    assert asked == [60, 64, 68]


def test_profile_fits_follow_a_jump_too():
    gaussian = {"apertures.fit_method": "gaussian", "psf_photom.psf_model": "gaussian"}
    recipe = RECIPE.changed({"psf_photom.use_psf": True, "psf_photom.fit_half_width": 8.0} | gaussian)
    rows, _, _ = Reducer(recipe, {"1": APERTURES}, Masters()).reduce_range([frame(1), frame(2, (20.0, 6.0))])
    for label in PLACES:
        assert row(rows, 2, label)["counts"] == pytest.approx(row(rows, 1, label)["counts"], rel=0.05)
        assert row(rows, 2, label)["flag"] & Flag.RECOVERED
