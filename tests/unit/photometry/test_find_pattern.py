"""The pattern of a field found again: which shifts are believed, and which are not."""

import numpy as np
import pytest

from roque.frames import Geometry
from roque.photometry.pattern import Pattern, View, find_pattern

WINDOW = Geometry(1, 1, 1, 1, 400, 300)
LIMIT, FWHM = 300.0, 4.0
FIELD = np.array(
    [[200.0, 150.0, 50_000.0], [120.0, 90.0, 20_000.0], [260.0, 210.0, 9_000.0], [230.0, 60.0, 6_000.0], [90.0, 220.0, 4_000.0]]
)
ANCHOR = (200.0, 150.0)


def seen(stars, shift=(0.0, 0.0), light=1.0):
    """What a frame shows of stars: those inside the window that are bright enough."""
    rows = np.column_stack([stars[:, 0] + shift[0], stars[:, 1] + shift[1], stars[:, 2] * light, np.full(len(stars), 50.0)])
    shown = (rows[:, 2] > LIMIT) & (rows[:, 0] > 2) & (rows[:, 0] < 399) & (rows[:, 1] > 2) & (rows[:, 1] < 299)
    rows = rows[shown]
    return View(rows[np.argsort(-rows[:, 2])], LIMIT, [WINDOW], FWHM)


def find(stars, view, *, anchor=ANCHOR, reach=10.0):
    return find_pattern(Pattern(stars, ANCHOR), view, anchor, tolerance=0.7 * FWHM, reach=reach)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (4.3, -2.2), (-37.0, 25.0), (60.0, 0.0), (110.0, -30.0)])
@pytest.mark.parametrize("light", [1.0, 0.3, 3.0])
def test_a_field_is_found_however_far_it_moved_and_whatever_the_transmission(shift, light):
    found = find(FIELD, seen(FIELD, shift, light))
    assert (found.dx, found.dy, found.sure) == (pytest.approx(shift[0]), pytest.approx(shift[1]), True)


def test_the_shift_is_counted_from_where_the_field_was_last():
    found = find(FIELD, seen(FIELD, (30.0, 10.0)), anchor=(ANCHOR[0] + 25.0, ANCHOR[1] + 15.0))
    assert (found.dx, found.dy) == pytest.approx((5.0, -5.0))


def test_a_star_that_vanished_and_one_that_appeared_are_forgiven():
    other = np.vstack([FIELD[[0, 2, 3, 4]], [[60.0, 60.0, 30_000.0]]])
    assert find(FIELD, seen(other, (20.0, 5.0))).sure


def test_another_field_is_not_recognised():
    rng = np.random.default_rng(4)
    other = np.column_stack([rng.uniform(20, 380, 6), rng.uniform(20, 280, 6), FIELD[[0, 0, 1, 2, 3, 4], 2]])
    assert find(FIELD, seen(other)) is None


def test_nothing_seen_says_nothing():
    assert find(FIELD, seen(FIELD, light=1e-3)) is None


def test_a_lonely_star_is_believed_within_reach_and_is_not_sure_where_others_were():
    cloudy = seen(FIELD, (7.0, 0.0), 0.01)  # the brightest alone
    assert len(cloudy.stars) == 1
    found = find(FIELD, cloudy, reach=10.0)
    assert (found.dx, found.dy, found.sure) == (pytest.approx(7.0), pytest.approx(0.0, abs=1e-9), False)
    assert find(FIELD, cloudy, reach=5.0) is None


def test_the_only_star_of_a_field_is_sure_while_its_brightness_is_that_of_before():
    alone = FIELD[:1]
    assert find(alone, seen(alone, (7.0, 0.0), 0.8)).sure
    assert not find(alone, seen(alone, (7.0, 0.0), 0.1)).sure
    assert find(alone, seen(alone, (7.0, 0.0), 4.0)) is None  # it was never so bright: another star


def test_of_two_shifts_that_are_as_good_none_is_believed():
    pair = np.array([[150.0, 150.0, 9_000.0], [180.0, 150.0, 9_000.0]])
    assert find(pair, seen(pair[:1], (30.0, 0.0)), reach=60.0) is None  # the first, moved, or the second, not moved


def test_crowded_fields_in_clouds_are_found_or_given_up_but_never_mistaken():
    rng = np.random.default_rng(11)
    found = wrong = 0
    for _ in range(60):
        n = int(rng.integers(20, 60))
        stars = np.column_stack([rng.uniform(-100, 500, n), rng.uniform(-100, 400, n), 10.0 ** rng.uniform(3.0, 5.0, n)])
        first = seen(stars)
        shift, light = rng.uniform(-60, 60, 2), 10.0 ** rng.uniform(-1.5, 0.0)
        view = seen(stars + np.array([*rng.normal(0.0, 0.05, 2), 0.0]), shift, light)
        result = find(first.stars[:, :3], view, reach=60.0)
        found += result is not None
        wrong += result is not None and np.hypot(result.dx - shift[0], result.dy - shift[1]) > 1.0
    assert wrong == 0
    assert found > 50
