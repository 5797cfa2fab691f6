"""Texts of times: digit by digit what Python's own formatting gives."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from roque.spool.listing import _clock, _days


@given(st.lists(st.floats(32768.0, 65535.999999999), min_size=1, max_size=20), st.floats(-1e5, 1e6) | st.none())
def test_days_are_written_to_the_last_digit_as_python_does(days, odd):
    for values in (days, days if odd is None else [*days, odd]):
        assert _days(np.array(values)) == [f"{day:.12f}" for day in values]


def test_days_that_end_on_a_half_or_on_a_whole_day_are_rounded_as_python_does():
    halves = 61113 + np.arange(1, 40001, 2) * 2.0**-13  # multiples of 2**-13 have 13 decimals, the last of which is 5
    near = np.nextafter(np.array([61114.0, 51544.0, 65535.0]), 0)
    for values in (halves, near, np.array([51544.0])):
        assert _days(values) == [f"{day:.12f}" for day in values.tolist()]


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 9))
def test_times_of_day_are_those_that_integers_give(fraction, digits):
    ticks = int(np.floor(fraction * (86400 * 10**digits) + 0.5)) % (86400 * 10**digits)
    seconds, rest = divmod(ticks, 10**digits)
    wanted = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:0{digits}d}"
    assert _clock(np.array([51544 * 0.0 + fraction]), digits) == [wanted]
