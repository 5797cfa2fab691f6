"""Matching two lists of positions."""

import math

import numpy as np
import pytest

from roque.photometry.match import IDENTITY, Transform, match_positions


def field(n, seed=3, size=600.0):
    return np.random.default_rng(seed).uniform(0.0, size, (n, 2))


@pytest.mark.parametrize(
    "truth",
    [
        Transform(dx=3.4, dy=-7.9),
        Transform(dx=-31.0, dy=22.0),
        Transform(a=math.cos(0.004), b=math.sin(0.004), dx=2.0, dy=5.0),
        Transform(a=1.01 * math.cos(0.03), b=1.01 * math.sin(0.03), dx=-8.0, dy=4.0),
    ],
)
def test_shift_rotation_and_scale_are_found_again(truth):
    first = field(40)
    rng = np.random.default_rng(9)
    order = rng.permutation(40)[:34]  # some stars are missing, some are new, the order of brightness is another
    second = np.concatenate([truth(first)[order] + rng.normal(0.0, 0.1, (34, 2)), field(6, seed=11)])
    match = match_positions(first, second, tolerance=1.5, max_shift=60.0)
    assert match is not None
    pairs = dict(zip(match.first.tolist(), match.second.tolist(), strict=True))
    right = {int(k): place for place, k in enumerate(order)}
    assert all(right.get(k) == place for k, place in pairs.items() if place < 34)
    assert len(pairs) >= 33
    assert np.abs(match.transform(first) - truth(first)).max() < 0.2


def test_one_star_is_enough_for_a_shift():
    match = match_positions(np.array([[100.0, 50.0]]), np.array([[104.0, 47.5]]), tolerance=2.0, max_shift=20.0)
    assert match is not None
    assert (match.transform.dx, match.transform.dy) == pytest.approx((4.0, -2.5))


def test_among_equal_shifts_the_one_nearest_to_the_guess_wins():
    first, second = np.array([[100.0, 50.0]]), np.array([[115.0, 50.0], [101.0, 50.5]])
    near = match_positions(first, second, tolerance=2.0, max_shift=40.0)
    led = match_positions(first, second, tolerance=2.0, max_shift=40.0, guess=Transform(dx=14.0))
    assert near is not None
    assert led is not None
    assert near.second.tolist() == [1]
    assert led.second.tolist() == [0]


def test_a_guess_leads_far():
    first = field(12)
    truth = Transform(dx=240.0, dy=-90.0)
    assert match_positions(first, truth(first), tolerance=2.0, max_shift=30.0, guess=Transform(dx=230.0, dy=-80.0)) is not None


def test_lists_that_have_nothing_in_common_do_not_match():
    assert match_positions(np.array([[0.0, 0.0]]), np.array([[500.0, 0.0]]), tolerance=2.0, max_shift=50.0) is None
    assert match_positions(np.zeros((0, 2)), field(4), tolerance=2.0, max_shift=50.0) is None


def test_the_inverse_leads_back():
    transform = Transform(a=0.998, b=0.02, dx=12.0, dy=-5.0)
    xy = field(10)
    assert np.allclose(transform.inverse()(transform(xy)), xy)
    assert np.array_equal(IDENTITY(xy), xy)
