"""Times of ULTRACAM and ULTRASPEC runs: what they hang on, how they are got out of order, and what spoils them."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from roque.spool import data_source
from roque.spool.ultra_times import REASONS
from tests.support.ultra import DAY, GOOD, pairs, spec_windows, stamp1, stamp2, steady, ultracam_run, ultraspec_run

WINDOW = (41, 561, 181, 24, 16)
PIXELS = 6 * 24 * 16
SHIFT = 6e-9 * (40 + 320 * (140 - 128))
SYNC_LOST = GOOD & ~0x4
MICROSECOND = 1e-6 / DAY


def long_run(**kwargs):
    """More frames than are worked out together, every third blue, some stamps bad, numbers that jump."""
    stamps = [stamp2(i, 1528236603 + i, 5 * i, junk=i % 3 != 0) for i in range(1, 701)]
    stamps[99] = stamp2(100, 0, 0)
    stamps[254] = stamp2(255, 1528236603 + 255, 0, status=SYNC_LOST)
    for i in range(300, 700):
        stamps[i] = stamp2(i + 6, 1528236603 + i, 5 * i, junk=i % 3 != 0)
    return ultracam_run("appl5_window1pair_cfg", pairs(WINDOW) | {"NBLUE": 3}, PIXELS, 700, stamps=stamps, **kwargs)


def drift_run(n=600):
    windows = pairs((121, 601, 301, 16, 120))
    return ultracam_run("appl8_driftscan_cfg", windows, 6 * 16 * 120, n, stamps=steady(n))


def early_run():
    """Of May 2002, with a stamp that goes back, so that all the later ones are 10 s late."""
    second = [414000 + i if i < 100 else 414000 + i - 3 for i in range(600)]
    stamps = [stamp1(i + 1, second[i], 123, (17, 5, 2002)) for i in range(600)]
    run = ultracam_run("ap5_window1pair", pairs(WINDOW), PIXELS, 600, stamps=stamps, user=None)
    del run.parameters["REVISION"], run.parameters["V_FT_CLK"]
    return run


@pytest.mark.parametrize("make", [long_run, drift_run, early_run])
def test_frames_in_any_order_have_the_times_of_a_run_read_in_sequence(tmp_path, make):
    path = make().write(tmp_path)
    with data_source("ul", path) as source:
        wanted = source.times()
        ccds = len(source.read_out.ccds)
    with data_source("ul", path) as source:
        for number in (source.available, 257, 1, 256, 258, 512, 101, 300, 302):
            for row, ccd in zip(wanted[(number - 1) * ccds : number * ccds], source.frame(number).ccds.values(), strict=True):
                assert (ccd.mjd_int, ccd.mjd_frac, ccd.exposure) == (row["mjd_int"], row["mjd_frac"], row["exposure"])
                assert (ccd.time_ok, ccd.data_ok) == (row["time_ok"], row["data_ok"])


def test_stamps_before_the_first_frame_asked_for_are_not_known(tmp_path):
    path = long_run().write(tmp_path)
    with data_source("ul", path) as whole, data_source("ul", path, 200) as late:
        frames = [frame for frame, _ in zip(late, range(4), strict=False)]
        assert [frame.number for frame in frames] == [200, 201, 202, 203]
        assert [frame.ccds["1"].header["MJDOKWHY"] for frame in frames] == [
            "cannot establish an accurate time with only one prior timestamp",
            "cannot establish an accurate time with only two prior timestamps",
            "",
            "",
        ]
        assert frames[2].ccds["1"].mjd_frac == whole.frame(202).ccds["1"].mjd_frac
        assert late.frame(199).ccds["1"].time_ok
        assert late.frame(600).ccds["3"].mjd_frac == whole.frame(600).ccds["3"].mjd_frac


def test_a_run_that_grows_has_the_times_of_the_finished_one(tmp_path):
    run = long_run()
    path, data = run.write(tmp_path), run.data()
    with data_source("ul", path) as source:
        wanted = source.times()
    size = len(data) // 700
    path.with_suffix(".dat").write_bytes(data[: 10 * size])
    with data_source("ul", path) as source:
        for n in (10, 11, 255, 256, 257, 520):
            path.with_suffix(".dat").write_bytes(data[: n * size + 100])
            assert source.refresh() == n
            np.testing.assert_array_equal(source.times(), wanted[: 3 * n])


def reference(stamp, asked, cycle, rows):
    """Middle and exposure of a frame without clear, read out after its stamp was taken, by way of what the CCD did.

    The stamp before a frame's own start marks the end of the read-out before; the exposure goes on, `asked` seconds after that
    the frame is transferred, which takes `rows` row shifts, and it began right after the transfer before.
    """
    end = stamp - cycle + asked
    begin = end - cycle + rows * SHIFT
    return (begin + end) / 2, end - begin


def test_times_follow_from_what_the_camera_did(tmp_path):
    asked, cycle = 1.0, 1.1
    run = ultracam_run("appl5_window1pair_cfg", pairs(WINDOW), PIXELS, 12, stamps=steady(12, cycle=cycle))
    with data_source("ul", run.write(tmp_path)) as source:
        t = source.exposures()
    for i in range(2, 12):
        middle, exposure = reference(1528236603 + i * cycle, asked, cycle, 1033)
        assert t.mid[i] == pytest.approx(40587 + middle / DAY, abs=1.5 * MICROSECOND)
        assert t.exposure[i] == pytest.approx(exposure, abs=2e-6)
    assert (t.reason[2:] == 0).all()


def test_a_blue_exposure_goes_over_all_its_frames(tmp_path):
    stamps = [stamp2(i, 1528236603 + i, 0, junk=i % 4 != 0) for i in range(1, 13)]
    run = ultracam_run("appl5_window1pair_cfg", pairs(WINDOW) | {"NBLUE": 4}, PIXELS, 12, stamps=stamps)
    with data_source("ul", run.write(tmp_path)) as source:
        t = source.exposures()
    assert t.blue_data.tolist() == [False, False, False, True] * 3
    start, end = (t.mid[4] - t.exposure[4] / 2 / DAY), (t.mid[7] + t.exposure[7] / 2 / DAY)
    assert t.blue_mid[7] == pytest.approx((start + end) / 2, abs=MICROSECOND)
    assert t.blue_exposure[7] == pytest.approx(4 - 1033 * SHIFT, abs=2e-6)
    assert REASONS[t.blue_reason[3]] == "time of start or end frame was unreliable"
    assert t.blue_reason[[7, 11]].tolist() == [0, 0]
    assert (t.blue_mid[4], t.blue_reason[4]) == (t.mid[4], t.reason[4])


@pytest.mark.parametrize(
    ("status", "units", "why"),
    [
        (GOOD | 0x200, 10000, "GPS antenna failed"),
        (GOOD | 0x80, 10000, "GPS battery was off"),
        (0x10, 10000, "GPS clock not yet synced since power up"),
        (GOOD | 0x1, 10000, "GPS position not verified"),
        (GOOD | 0x281, 9999, "exposure time in the time stamp is not the one asked for"),
        (GOOD | 0x281, 10000, "GPS antenna failed"),
    ],
)
def test_what_the_clock_says_of_itself_makes_a_time_bad_for_the_first_reason(tmp_path, status, units, why):
    stamps = steady(8)
    stamps[5] = stamp2(6, 1528236608, 5000000, status=status, units=units)
    with data_source(
        "ul", ultracam_run("appl5_window1pair_cfg", pairs(WINDOW), PIXELS, 8, stamps=stamps).write(tmp_path)
    ) as run:
        assert [frame.ccds["2"].time_ok for frame in run] == [False, False, True, True, True, False, True, True]
        assert run.frame(6).ccds["1"].header["MJDOKWHY"] == why
        assert [(p.message, p.place) for p in run.problems] == [(why, "frame 6")]


def test_a_wrong_date_spoils_the_exposures_after_it_too(tmp_path):
    for wrong in (stamp2(6, 1528236603 + 86400 * 300), stamp2(6, 1528236607, 4000000), stamp2(6, 0xFFFFFFFF, 0xFFFFFFFF)):
        stamps = steady(12)
        stamps[5] = wrong
        run = ultracam_run("appl5_window1pair_cfg", pairs(WINDOW), PIXELS, 12, stamps=stamps)
        with data_source("ul", run.write(tmp_path)) as source:
            times = source.times().reshape(-1, 3)["time_ok"][:, 0]
            exposures = source.exposures().exposure
            assert source.problems
        right = np.abs(exposures - (1.1 - 1033 * SHIFT)) < 1e-5
        assert times.tolist()[:6] == [False, False, True, True, True, True]
        assert not (times & ~right).any()
        assert times[9:].all()


def test_a_number_that_jumps_is_said_and_begins_the_sequence_anew(tmp_path):
    with data_source("ul", long_run().write(tmp_path)) as source:
        frame = source.frame(301)
        assert (frame.header["FRAMEERR"], frame.header["NFRAME"], frame.number) == (True, 301, 301)
        assert [source.frame(n).ccds["1"].time_ok for n in (300, 301, 302, 303)] == [True, False, False, True]
        assert "frames 301 to 700" in [p.place for p in source.problems]


@pytest.mark.parametrize(
    ("date", "second", "when"),
    [
        ((9, 3, 2006), 4 * 86400 + 100, "2006-03-09T00:01:40"),
        ((8, 3, 2006), 4 * 86400 + 100, "2006-03-09T00:01:40"),  # the date is a day behind
        ((31, 12, 2005), 0, "2006-01-01T00:00:00"),  # over a week's and a year's end
        ((29, 2, 2004), 3600, "2004-02-29T01:00:00"),
        ((0, 0, 0), 86400, "2002-09-09T00:00:00"),
        ((9, 9, 263), 86400, "2002-09-09T00:00:00"),
        ((21, 9, 2002), 100, "2002-09-22T00:01:40"),  # the seconds began a new week before the date did
        ((22, 9, 2002), 6 * 86400 + 86399, "2002-09-21T23:59:59"),  # and after it
    ],
)
def test_weeks_and_dates_of_the_first_format_are_put_together(tmp_path, date, second, when):
    stamps = [stamp1(i, second, 0, date) for i in (1, 2, 3)]
    run = ultracam_run("ap5_window1pair", pairs(WINDOW), PIXELS, stamps=stamps, user=None)
    del run.parameters["REVISION"]
    with data_source("ul", run.write(tmp_path)) as source:
        mjd = source.exposures().stamp[0]
        frame = source.frame(1)
    moment = dt.datetime(1858, 11, 17, tzinfo=dt.UTC) + dt.timedelta(days=float(mjd))
    assert abs(moment - dt.datetime.fromisoformat(when + "+00:00")) < dt.timedelta(milliseconds=1)
    assert frame.header["MIDNIGHT"] == (date in {(8, 3, 2006), (31, 12, 2005)})


@pytest.mark.parametrize(
    ("stamp", "why"),
    [
        (stamp1(3, 4 * 86400, 0, (9, 3, 2006), satellites=2), "too few satellites"),
        (stamp1(3, 4 * 86400, 0, (9, 3, 2006), satellites=-1), "no satellites"),
        (stamp1(3, 4 * 86400, 0, (31, 2, 2006)), "impossible date"),
        (stamp1(3, 4 * 86400, 0, (9, 13, 2006)), "impossible date"),
        (stamp1(3, 4 * 86400, 0, (9, 3, 65535)), "impossible date"),
    ],
)
def test_bad_stamps_of_the_first_format_say_why(tmp_path, stamp, why):
    stamps = [stamp1(i, 4 * 86400 + i, 0, (9, 3, 2006)) for i in (1, 2)] + [stamp]
    run = ultracam_run("ap5_window1pair", pairs(WINDOW), PIXELS, stamps=stamps, user=None)
    del run.parameters["REVISION"]
    with data_source("ul", run.write(tmp_path)) as source:
        assert source.frame(3).ccds["1"].header["MJDOKWHY"] == why
        assert not source.frame(3).ccds["1"].time_ok
        assert why in [p.message for p in source.problems]


def test_cleared_ultraspec_frames_begin_after_the_stamp_before(tmp_path):
    run = ultraspec_run("ccd201_winbin_cfg", spec_windows((109, 209, 24, 16)) | {"EN_CLR": 1}, 24 * 16, 5, stamps=steady(5))
    with data_source("ul", run.write(tmp_path)) as source:
        t = source.exposures()
        assert source.info.clear
        assert source.frame(2).header["CLEAR"] is False  # as in every header of ULTRASPEC
    assert t.mid[3] == pytest.approx(t.stamp[2] + (0.0309516 + 0.5) / DAY, abs=MICROSECOND)
    assert (t.reason == 0).tolist() == [False, True, True, True, True]


def test_two_hundred_mutants_of_stamps_never_break_the_reader(tmp_path):
    run = long_run()
    path, data = run.write(tmp_path), bytearray(run.data())
    size = len(data) // 700
    rng = np.random.default_rng(5)
    for _ in range(200):
        mutant = bytearray(data[: 40 * size])
        for frame in rng.integers(0, 40, 5):
            at = frame * size + rng.integers(0, 26)
            mutant[at] = rng.integers(256)
        path.with_suffix(".dat").write_bytes(mutant)
        with data_source("ul", path) as source:
            times = source.times()
            assert len(times) == 120
            assert np.isfinite(times["mjd_frac"]).all()
            assert np.isfinite(times["exposure"]).all()
            good = times[times["time_ok"] & (times["ccd"] == "1")]
            assert ((good["exposure"] >= 0) & (good["exposure"] < 62)).all()
            assert source.frame(40).header["TIMSTAMP"]
            assert len(source.problems) <= 101
