"""Bulk rows go into the record and come back with the same bits."""

from __future__ import annotations

import datetime as dt
import struct
import threading

import numpy as np
import pytest
from sqlalchemy import func, select, text

from roque.archive.bulk import insert_frames, insert_measurements, insert_radii, load_measurements, load_radii
from roque.archive.models import Frame, Measurement, Night, Run
from roque.archive.pgcopy import binary_rows
from roque.photometry.measurements import MEASUREMENT, RADIUS, empty

NIGHT = dt.date(2024, 5, 1)
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -1.0, 5e-324, 1.7976931348623157e308, 0.1, 1 / 3, 60431.123456789012]


def rows(frames=4, seed=1):
    rng = np.random.default_rng(seed)
    labels = [(ccd, aperture) for ccd in "12" for aperture in ("1", "10", "sky")]
    made = empty(frames * len(labels))
    for i, row in enumerate(made):
        row["ccd"], row["aperture"] = labels[i % len(labels)]
        row["frame"] = i // len(labels) + 1
    for name in MEASUREMENT.names:
        kind = made[name].dtype.kind
        if kind == "f":
            ordinary = rng.normal(size=len(made)) * 10.0 ** rng.integers(-300, 300, len(made))
            made[name] = np.where(rng.random(len(made)) < 0.4, rng.choice(SPECIAL, len(made)), ordinary)
        elif kind == "b":
            made[name] = rng.random(len(made)) < 0.5
    made["mjd_int"], made["nsky"], made["nrej"], made["peak"] = 60431, 812, 3, 65535
    made["flag"] = rng.integers(0, 2**32, len(made), dtype="u4")
    return made


def bits(measurements):
    same = np.sort(measurements, order=("frame", "ccd", "aperture")).copy()
    for name in MEASUREMENT.names:
        if same[name].dtype.kind == "f":
            same[name][np.isnan(same[name])] = np.nan
    return same.tobytes()


def store(record, reduction, measurements):
    with record.writing() as session:
        insert_measurements(session, NIGHT, reduction, measurements)


def load(record, reduction, **only):
    with record.reading() as session:
        return load_measurements(session, reduction, **only)


def test_measurements_come_back_with_the_same_bits(record, reduction):
    made = rows(50)
    store(record, reduction, made)
    back = load(record, reduction)
    assert back.dtype == MEASUREMENT
    assert bits(back) == bits(made)


def test_nan_is_null_in_the_record(record, reduction):
    made = rows(1)
    made["sky"] = np.nan
    store(record, reduction, made)
    with record.reading() as session:
        assert session.scalar(select(func.count()).where(Measurement.sky.is_(None))) == len(made)


def test_a_negative_zero_is_stored_as_zero(record, reduction):
    made = rows(1)
    made["counts"] = -0.0
    store(record, reduction, made)
    assert not np.signbit(load(record, reduction)["counts"]).any()


def test_a_range_that_is_done_again_leaves_the_same_rows(record, reduction):
    made = rows(10)
    store(record, reduction, made[:40])
    store(record, reduction, made)
    store(record, reduction, made)
    assert bits(load(record, reduction)) == bits(made)


def test_one_ccd_and_one_aperture_can_be_asked_for_in_the_order_of_frames(record, reduction):
    made = rows(5)
    store(record, reduction, made[::-1])
    back = load(record, reduction, ccd="2", aperture="10")
    assert back["frame"].tolist() == [1, 2, 3, 4, 5]
    assert bits(back) == bits(made[(made["ccd"] == "2") & (made["aperture"] == "10")])
    assert len(load(record, reduction, ccd="9")) == 0


def test_rows_of_a_transaction_that_fails_are_not_there(record, reduction):
    def fail():
        with record.writing() as session:
            insert_measurements(session, NIGHT, reduction, rows(1))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert len(load(record, reduction)) == 0


def test_people_find_them_in_the_views(record, reduction):
    store(record, reduction, rows(2))
    with record.reading() as session:
        found = session.execute(text("SELECT run, night, frame, ccd, aperture, flag FROM measurements")).all()
    assert {(row.run, str(row.night)) for row in found} == {("run1", "2024-05-01")}
    assert len(found) == 12


def test_frames_are_registered_once_with_their_latest_times(record, reduction):
    times = np.zeros(6, "i4, U8, i4, f8, f8, ?, ?")
    times.dtype.names = ("frame", "ccd", "mjd_int", "mjd_frac", "exposure", "time_ok", "data_ok")
    times["frame"], times["ccd"] = [1, 1, 2, 2, 3, 3], ["1", "2"] * 3
    times["mjd_int"], times["mjd_frac"], times["exposure"] = 60431, np.arange(6) / 7, np.nan
    times["data_ok"] = [True, False] * 3
    with record.writing() as session:
        insert_frames(session, 1, times[:4])
    times["time_ok"] = True
    with record.writing() as session:
        insert_frames(session, 1, times)
    with record.reading() as session:
        found = session.scalars(select(Frame).order_by(Frame.number, Frame.ccd)).all()
    assert [(f.number, f.ccd, f.mjd_frac, f.exposure, f.time_ok, f.data_ok) for f in found] == [
        (i // 2 + 1, "12"[i % 2], i / 7, None, True, i % 2 == 0) for i in range(6)
    ]


def test_the_copy_format_of_postgresql_is_met_byte_for_byte():
    columns = [
        np.array([1.5, np.nan]),
        np.array([-2, 7], "i4"),
        np.array([2**32 - 1, 0], "u4"),
        np.array([True, False]),
        np.array(["é", "abc"]),
        np.array(["2000-01-02", "1999-12-31"], "M8[D]"),
    ]
    header = b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0)
    first = struct.pack(">hidiiiqib", 6, 8, 1.5, 4, -2, 8, 2**32 - 1, 1, 1) + struct.pack(">i2sii", 2, "é".encode(), 4, 1)
    second = struct.pack(">hiiiiqib", 6, -1, 4, 7, 8, 0, 1, 0) + struct.pack(">i3sii", 3, b"abc", 4, -1)
    assert b"".join(binary_rows(columns)) == header + first + second + struct.pack(">h", -1)


def test_every_special_value_of_the_reduction_comes_back(record, reduction):
    # counts, sky and fits of stars without a sky, a fit, a FWHM, or whose sky was clipped away
    special = {
        "xe": np.nan, "ye": np.nan, "fwhm": np.nan, "fwhme": np.nan, "beta": 0.0, "betae": -1.0, "mfwhm": np.nan,
        "mbeta": np.nan, "counts": np.nan, "countse": 12.5, "sky": 0.0, "skye": -1.0, "mjd_frac": np.nan, "exposure": np.nan,
    }  # fmt: skip
    made = rows(3)
    for name, value in special.items():
        made[name] = value
    made["flag"], made["peak"], made["nsky"] = 2**32 - 1, -(2**31), 0
    store(record, reduction, made)
    back = load(record, reduction)
    assert bits(back) == bits(made)
    assert back["flag"].tolist() == [2**32 - 1] * len(made)


def test_labels_that_are_not_ascii_and_of_full_length_come_back_in_the_order_of_their_bytes(record, reduction):
    made = rows(1)
    labels = ["a" * 16, "B", "é", "Å", "a", "µ" * 16]
    made["aperture"], made["ccd"] = labels, "1"
    store(record, reduction, made)
    assert load(record, reduction)["aperture"].tolist() == sorted(labels, key=str.encode)


def test_more_rows_than_go_over_the_wire_at_a_time_come_back(record, reduction):
    made = rows(1100)
    store(record, reduction, made)
    assert bits(load(record, reduction)) == bits(made)


def test_two_that_write_the_same_rows_at_once_leave_them_once(record, reduction):
    made, failed = rows(2000), []

    def go():
        try:
            store(record, reduction, made)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=go) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert bits(load(record, reduction)) == bits(made)


def test_rows_that_replace_others_keep_what_was_done_before_in_the_transaction(record, reduction):
    made = rows(2)
    store(record, reduction, made)
    with record.writing() as session:
        session.add(Night(date=dt.date(2001, 1, 1)))
        insert_measurements(session, NIGHT, reduction, made)
    with record.reading() as session:
        assert session.scalar(select(func.count()).where(Night.date == dt.date(2001, 1, 1))) == 1


def test_json_comes_back_as_it_was_written(record, reduction):
    header = {"ZZ": 1e22, "A": -0.0, "tiny": 5e-324, "big": 1.7976931348623157e308, "nul": "a\x00b", "n": 2**60, "": []}
    with record.writing() as session:
        session.scalars(select(Run)).one().header = header
    with record.reading() as session:
        assert repr(session.scalars(select(Run)).one().header) == repr(header)


def test_a_text_is_as_long_as_it_likes(record, reduction):
    with record.writing() as session:
        session.scalars(select(Run)).one().object = "x" * 5000
    with record.reading() as session:
        assert session.scalar(select(func.length(Run.object))) == 5000


def radius_rows(frames=4, factors=(0.1, 1.4, 2.0 / 3.0)):
    made = np.zeros(frames * len(factors) * 2, RADIUS)
    order = [(f"{k}", frame, factor) for k in (1, 2) for frame in range(1, frames + 1) for factor in factors]
    for row, (aperture, frame, factor) in zip(made, order, strict=True):
        row["ccd"], row["aperture"], row["frame"], row["factor"] = "3", aperture, frame, factor
    rng = np.random.default_rng(3)
    for name in ("radius", "counts", "countse"):
        made[name] = np.where(rng.random(len(made)) < 0.4, rng.choice(SPECIAL, len(made)), rng.normal(size=len(made)))
    made["peak"], made["flag"] = 65535, rng.integers(0, 2**32, len(made), dtype="u4")
    return made


def test_radii_come_back_with_the_same_bits_and_are_replaced_when_a_range_is_done_again(record, reduction):
    made = radius_rows(50)
    for part in (made[:77], made, made):
        with record.writing() as session:
            insert_radii(session, NIGHT, reduction, part)
    with record.reading() as session:
        back = load_radii(session, reduction)
        assert back.dtype == RADIUS
        assert back.tobytes() == np.sort(made, order=("frame", "ccd", "aperture", "factor")).tobytes()
        some = load_radii(session, reduction, ccd="3", aperture="2", factor=2.0 / 3.0, frames=(11, 20))
        assert some["frame"].tolist() == list(range(11, 21))
        assert set(some["factor"]) == {2.0 / 3.0}
        assert len(load_radii(session, reduction + 1)) == 0


def test_people_find_radii_with_their_times_in_a_view(record, reduction):
    mine = empty(1, ccd="3", aperture="1", frame=2, mjd_int=60431, mjd_frac=0.5)
    with record.writing() as session:
        insert_measurements(session, NIGHT, reduction, mine)
        insert_radii(session, NIGHT, reduction, radius_rows(2))
    with record.reading() as session:
        found = session.execute(text("SELECT run, mjd, factor FROM radii WHERE factor = 1.4")).all()
    assert [tuple(row) for row in found] == [("run1", 60431.5, 1.4)]
