"""Time stamps and mid-exposure times against the format's formulas, worked out here frame by frame."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pytest

from roque.instruments.hipercam import Timing
from roque.spool import data_source
from roque.spool.stamps import frame_numbers, read_stamps

EPOCH = dt.datetime(1858, 11, 17)


def open_with(make_raw, tmp_path, stamps, **kwargs):
    raw = make_raw(len(stamps), **kwargs)
    raw.stamps = stamps
    return data_source("hl", raw.write(tmp_path / "run0001.fits"))


@pytest.mark.parametrize(
    "when",
    [
        dt.datetime(2026, 1, 1),
        dt.datetime(2024, 12, 31, 23, 59, 59, 999999),
        dt.datetime(2024, 2, 29, 12),
        dt.datetime(1999, 12, 31, 1, 2, 3, 4),
        dt.datetime(2100, 3, 1),
    ],
)
def test_dates_become_mjd(make_stamp, when):
    stamps = read_stamps(make_stamp(41, when))
    assert stamps.counter.tolist() == [41]
    exact = when - EPOCH
    assert stamps.day.tolist() == [exact.days]
    assert stamps.fraction[0] == pytest.approx((exact - dt.timedelta(days=exact.days)) / dt.timedelta(days=1), abs=2e-16)
    assert stamps.valid.all()
    assert stamps.locked.all()


YEAR, DAY, HOUR, MINUTE, SECOND, NANO = range(2, 8)


@pytest.mark.parametrize(
    ("field", "value"),
    [(YEAR, 0), (YEAR, 1581), (YEAR, 60000), (DAY, 0), (DAY, 366), (HOUR, 24), (MINUTE, 60), (SECOND, 60), (NANO, 10**9)],
)
def test_dates_that_cannot_be_are_found_and_replaced(make_raw, make_stamp, tmp_path, field, value):
    when = dt.datetime(2026, 3, 14, 23, 59, 59)
    stamps = [make_stamp(i, when) for i in range(3)]
    stamps[1] = make_stamp(1, when, fields={field: value})
    with open_with(make_raw, tmp_path, stamps) as run:
        frame = run.frame(2)
        assert frame.header["GOODTIME"] is False
        assert frame.header["TIMSTAMP"] == "2000-01-01T00:00:02.000000000"
        assert frame.header["MJDINT"] + frame.header["MJDFRAC"] == pytest.approx(51544 + 2 / 86400, abs=1e-11)
        assert not any(ccd.time_ok for ccd in frame.ccds.values())
        assert all(ccd.data_ok for ccd in frame.ccds.values())
        assert [p.message for p in run.problems] == ["the time stamp has an impossible date"]


def test_the_last_day_of_a_leap_year_exists_and_no_more(make_stamp):
    when = dt.datetime(2024, 6, 1)
    assert read_stamps(make_stamp(0, when, fields={DAY: 366})).valid.tolist() == [True]
    assert read_stamps(make_stamp(0, when, fields={DAY: 367})).valid.tolist() == [False]


@pytest.mark.parametrize(
    ("satellites", "synced", "good"),
    [(7, 1, True), (7, 0, False), (-1, -1, False), (0, -1, True), (-1, 1, True), (-1, 0, False)],
)
def test_a_clock_that_is_not_synchronised_is_not_trusted_but_kept(make_raw, make_stamp, tmp_path, satellites, synced, good):
    when = dt.datetime(2026, 3, 14, 23, 59, 59)
    stamps = [make_stamp(0, when, satellites=satellites, synced=synced)]
    with open_with(make_raw, tmp_path, stamps) as run:
        header = run.frame(1).header
        assert header["GOODTIME"] is good
        assert header["TIMSTAMP"] == "2026-03-14T23:59:59.000000000"
        assert len(run.problems) == (not good)


def test_runs_of_bad_stamps_are_one_problem(make_raw, make_stamp, tmp_path):
    when = dt.datetime(2026, 3, 14, 23, 59, 59)
    stamps = [make_stamp(i, when, synced=int(i not in {3, 4, 5, 9})) for i in range(12)]
    with open_with(make_raw, tmp_path, stamps) as run:
        assert [p.place for p in run.problems] == ["frames 4 to 6", "frame 10"]


def by_the_book(mode, clear, skips, n, t, nwins):
    """Offset of the middle from the stamp, and length, both s, as the format's table has them."""
    if clear:
        delta = t.read + t.clear + t.expose
        off, length = t.expose / 2, t.expose
    elif mode == "Drift":
        delta = 0.0
        line = t.expose + t.read + t.line_dump
        off, length = t.expose + t.line_shift + line / 2 - nwins * (line + t.line_shift), line
    else:
        delta = t.read + t.expose
        r = t.read - t.transfer
        first = n == skips + 1
        off, length = (t.expose / 2, t.expose) if first else ((t.expose - r) / 2, r + t.expose)
    return 1e-3 * (off - delta * skips / 2), 1e-3 * (delta * skips + length)


@pytest.mark.parametrize("skips", [0, 1, 4])
@pytest.mark.parametrize(("mode", "clear"), [("OneWindow", True), ("OneWindow", False), ("Drift", False)])
def test_mid_times_and_exposures_follow_the_table(make_raw, make_stamp, tmp_path, mode, clear, skips):
    timing = Timing(480.0, 150.0, 7.8, 20.0, 0.3, 0.3, 4)
    start = dt.datetime(2026, 3, 14, 23, 59, 58)
    whens = [start + i * dt.timedelta(seconds=0.7) for i in range(11)]
    cards = {"ESO DET CLRCCD": clear, "ESO DET NSKIPS2": skips}
    with open_with(make_raw, tmp_path, [make_stamp(i, w) for i, w in enumerate(whens)], mode=mode, cards=cards) as run:
        for frame, when in zip(run, whens, strict=True):
            n = frame.number
            for label, ccd in frame.ccds.items():
                own = skips if label == "2" else 0
                offset, length = by_the_book(mode, clear, own, n, timing, 4)
                exact = (when - EPOCH).total_seconds() + offset
                found = ccd.mjd_int * 86400.0 + ccd.mjd_frac * 86400.0
                assert found == pytest.approx(exact, abs=2e-6)  # of the doubles here; the parts are finer
                assert ccd.mjd_frac < 1.0
                assert ccd.exposure == pytest.approx(length, abs=1e-12)
                cycle = n % (own + 1) == 0
                assert ccd.time_ok == cycle
                assert ccd.data_ok == (cycle and (mode != "Drift" or n > 4))
                assert ccd.header["NCYCLE"] == own + 1


def test_a_day_is_carried_forwards_and_not_backwards(make_raw, make_stamp, tmp_path):
    whens = [dt.datetime(2026, 3, 14, 23, 59, 59, 999000), dt.datetime(2026, 3, 15, 0, 0, 0, 1000)]
    cards = {"ESO DET NSKIPS5": 3}
    with open_with(make_raw, tmp_path, [make_stamp(i, w) for i, w in enumerate(whens)], cards=cards) as run:
        late, early = run.frame(1).ccds["1"], run.frame(2).ccds["5"]
    assert late.mjd_int == 61114
    assert 0.0 <= late.mjd_frac < 1e-5
    assert early.mjd_int == 61114
    assert -1e-4 < early.mjd_frac < 0.0


def test_numbers_follow_counters_and_damaged_ones_are_filled_in():
    cases = {
        (0, 1, 2, 3): [1, 2, 3, 4],
        (0, 3, 4, 8, 9): [1, 4, 5, 9, 10],
        (0, 1, 999, 3, 4): [1, 2, 3, 4, 5],
        (0, 1, 2, 999, 4): [1, 2, 3, 4, 5],
        (5, 1, 2, 3, 4): [1, 2, 3, 4, 5],
        (0, 5, 999, 7, 8): [1, 6, 7, 8, 9],
        (0, 0, 0, 0): [1, 2, 3, 4],
        (2**32 - 1, 2**32 - 1): [1, 2],
        (7,): [8],
    }
    for counters, numbers in cases.items():
        number, junk = frame_numbers(np.array(counters, np.int64))
        assert number.tolist() == numbers, counters
        assert (junk == (number != np.array(counters) + 1)).all()
        assert (np.diff(number) > 0).all()
    assert not math.isnan(frame_numbers(np.array([10, 11], np.int64), first=11)[0].sum())
