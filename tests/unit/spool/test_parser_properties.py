"""Time stamps, lists and .xml files of any content: the right answer, or an error with a type."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from roque.errors import BadInput
from roque.instruments.ultra_modes import ultra_read_out
from roque.spool import data_source
from roque.spool.hcm_list import read_list
from roque.spool.stamps import frame_numbers, iso_time, read_stamps
from roque.spool.ultra_stamps import read_ultra_stamps
from roque.spool.ultra_xml import parse_ultra_xml
from tests.support.damage import check_told
from tests.support.hipercam import make_run, stamp
from tests.support.ultra import pairs, stamp1, stamp2, ultracam_run

MJD_0 = dt.datetime(1858, 11, 17)
WHEN = st.datetimes(dt.datetime(1600, 1, 1), dt.datetime(9990, 1, 1))
EDGES = st.sampled_from([0, 1, 23, 24, 59, 60, 365, 366, 367, 999_999_999, 1_000_000_000, 1582, 9998, 9999, 2**31, 2**32 - 1])


def days(when):
    """MJD of a time: day, and fraction of it."""
    passed = when - MJD_0
    return passed.days, (passed.seconds + passed.microseconds * 1e-6) / 86400


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), WHEN), min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_a_stamp_of_any_date_is_read_as_it_was_written(written):
    found = read_stamps(b"".join(stamp(counter, when) for counter, when in written))
    assert found.counter.tolist() == [counter for counter, _ in written]
    assert found.valid.all()
    for i, (_, when) in enumerate(written):
        day, fraction = days(when)
        assert found.day[i] == day
        assert abs(found.fraction[i] - fraction) < 1e-12
        # the nanosecond written is that of the clock, but for the rounding of a fraction of a day
        told = dt.datetime.fromisoformat(iso_time(int(found.day[i]), float(found.fraction[i]))[:26])
        assert abs(told - when) < dt.timedelta(microseconds=2)


@given(st.lists(EDGES | st.integers(0, 2**32 - 1), min_size=8, max_size=8), st.integers(-128, 127), st.integers(-128, 127))
@settings(max_examples=400, deadline=None)
def test_any_numbers_are_a_date_or_none(values, satellites, synced):
    fields = dict(enumerate(values))
    found = read_stamps(stamp(0, dt.datetime(2026, 1, 1), satellites=satellites, synced=synced, fields=fields))
    _, _, year, yearday, hour, minute, second, nanosecond = values
    try:
        start = dt.datetime(year, 1, 1, hour, minute, second)
        same_year = yearday >= 1 and (start + dt.timedelta(yearday - 1)).year == year
        possible = same_year and 1582 <= year <= 9998 and nanosecond < 10**9
    except (ValueError, OverflowError):
        possible = False
    assert found.valid.tolist() == [possible]
    assert found.received.tolist() == [not satellites == synced == -1]
    if possible:
        day, fraction = days(start + dt.timedelta(yearday - 1))
        assert found.day[0] == day
        assert found.fraction[0] == pytest.approx(fraction + nanosecond / 86400e9, abs=1e-12)


@given(st.lists(st.integers(0, 40) | st.integers(0, 2**32 - 1), min_size=1, max_size=40))
@settings(max_examples=400, deadline=None)
def test_sound_counters_number_their_frames_and_the_others_follow_on(counters):
    number, junk = frame_numbers(np.array(counters, np.int64))
    for i, counter in enumerate(counters):
        before = number[i - 1] if i else 0
        assert number[i] == (before + 1 if junk[i] else counter + 1)
        assert number[i] >= i + 1


@given(st.lists(st.integers(0, 30), min_size=2, max_size=12))
@settings(max_examples=100, deadline=None)
@example([5, 6, 7, 8, 4, 5, 6, 7])
def test_numbers_of_a_run_rise_or_it_says_where_they_fall_back(tmp_path_factory, counters):
    path = tmp_path_factory.getbasetemp() / "run0001.fits"
    with data_source("hl", make_run(len(counters), counters=counters).write(path)) as run:
        numbers = [run.frame(n).number for n in range(1, len(counters) + 1)]
        falls = [n + 1 for n in range(1, len(numbers)) if numbers[n] <= numbers[n - 1]]
        if falls:
            with pytest.raises(BadInput, match="fall back") as error:
                run.times()
            assert error.value.place == f"frame {falls[0]}"
        else:
            assert run.times()["frame"][::5].tolist() == numbers


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=6), st.sampled_from([140331, 80127]))
@settings(max_examples=300, deadline=None)
def test_any_bytes_of_a_ultracam_stamp_are_a_time_and_a_reason(raw, version):
    stamps = [stamp2(1, 0)] * 3 if version == 140331 else [stamp1(1, 0, 0, (1, 1, 2006))] * 3
    run = ultracam_run("appl5_window1pair_cfg", pairs((41, 561, 181, 8, 6)), 288, stamps=stamps)
    run.parameters["REVISION"] = version
    setup = ultra_read_out(parse_ultra_xml(run.xml().encode(), "run012.xml"))
    found = read_ultra_stamps(b"".join(data[: 2 * setup.header_words] for data in raw), setup)
    assert np.isfinite(found.mjd).all()
    assert (found.mjd > 40000).all()
    assert found.number.tolist() == [int.from_bytes(data[4:8], "little") for data in raw]
    assert (found.reason >= 0).all()


NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, categories=["L", "N"]), min_size=1, max_size=20)


@given(st.lists(st.tuples(NAMES, st.sampled_from(["", ".hcm", ".hcm.gz", ".hcm.fz"])), min_size=1, max_size=10), st.booleans())
@settings(max_examples=150, deadline=None)
def test_names_of_a_list_come_back_in_order(tmp_path_factory, names, ended):
    path = tmp_path_factory.getbasetemp() / "a.lis"
    lines = [f"  {name}{ending} " for name, ending in names]
    path.write_text("# names\n\n" + "\n".join(lines) + "\n" * ended, encoding="utf-8")
    assert read_list(path) == [path.parent / f"{name}{ending or '.hcm'}" for name, ending in names]


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_list_of_paths_or_bad_input(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.lis"
    path.write_bytes(data)
    try:
        found = read_list(path)
    except BadInput as error:
        check_told(error, str(path))
    else:
        assert all(isinstance(name, Path) and str(name).isprintable() for name in found)


WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_categories=["C"]), max_size=20)


@given(
    st.dictionaries(WORDS.filter(str.strip), WORDS, max_size=8),
    st.dictionaries(
        st.from_regex(r"\A[A-Za-z_]{1,10}\Z").filter(lambda w: w not in {"revision", "SlidePos"}), WORDS, max_size=5
    ),
    WORDS,
)
@settings(max_examples=200, deadline=None)
def test_what_a_ultracam_xml_says_is_read_as_it_was_written(parameters, user, application):
    told = "".join(f"<parameter_status name={quoteattr(k)} value={quoteattr(v)}/>" for k, v in parameters.items())
    said = "".join(f"<{k}>{escape(v)}</{k}>" for k, v in user.items())
    text = (
        '<?xml version="1.0" encoding="utf-8"?><datainfo><data_status framesize="608"><header_status headerwords="16"/>'
        "</data_status><filesave_status><instrument_status><name>Ultracam</name>"
        f'<application_status id="SDSU Exec" name={quoteattr(application)}/>{told}</instrument_status>'
        f"</filesave_status><user>{said}</user></datainfo>"
    )
    header = parse_ultra_xml(text.encode(), "run012.xml")
    assert header.parameters == parameters
    assert header.application == application
    assert header.user == {k: v.strip() for k, v in user.items() if v.strip()}
    assert (header.frame_bytes, header.header_words, header.instrument) == ("608", "16", "Ultracam")
