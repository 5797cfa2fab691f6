"""Rules that get values out of headers."""

from __future__ import annotations

import pytest

from roque.errors import BadInput
from roque.instruments.rules import Rule, TimeRule, parse_iso


@pytest.mark.parametrize(
    ("rule", "header", "text"),
    [
        (Rule(("A",)), {"A": " x "}, "x"),
        (Rule(("A", "B")), {"B": 2}, "2"),
        (Rule(("A",)), {}, None),
        (Rule(("A",)), {"A": None}, None),
        (Rule(("A",), default="d"), {}, "d"),
        (Rule(("A",), pattern=r"([a-z]+)\d*"), {"A": "rs42"}, "rs"),
        (Rule(("A",), pattern="yes"), {"A": "no"}, None),
        (Rule(("A",), map={"sky.*": "flat", ".*": "science"}), {"A": "SKY FLAT"}, "flat"),
        (Rule(("A",), map={"sky.*": "flat"}), {"A": "object"}, None),
        # two wheels, of which one stands open
        (Rule(("F1", "F2"), pattern="(?!OPEN$).*", combine="join", separator="-"), {"F1": "OPEN", "F2": "R"}, "R"),
        (Rule(("F1", "F2"), pattern="(?!OPEN$).*", combine="join", separator="-"), {"F1": "ND", "F2": "R"}, "ND-R"),
        (Rule(("F1", "F2"), pattern="(?!OPEN$).*", default="OPEN"), {"F1": "OPEN", "F2": "OPEN"}, "OPEN"),
        (Rule(("D", "T"), combine="join", separator="T"), {"D": "2020-01-02", "T": "03:04:05"}, "2020-01-02T03:04:05"),
    ],
)
def test_texts_are_found_matched_joined_and_replaced(rule, header, text):
    assert rule.text(header) == text


@pytest.mark.parametrize(
    ("rule", "header", "number"),
    [
        (Rule(("A",)), {"A": 3}, 3.0),
        (Rule(("A",)), {"A": "060.0"}, 60.0),
        (Rule(("A",)), {"A": "12:30:00"}, 12.5),
        (Rule(("A",)), {"A": "-00 30 36.0"}, -0.51),
        (Rule(("A",), factor=15.0), {"A": "02:05:15"}, 15 * (2 + 5 / 60 + 15 / 3600)),
        (Rule(("A",)), {"A": "long"}, None),
        (Rule(("A",)), {"A": "nan"}, None),
        (Rule(("A",), default=2), {}, 2.0),
        (Rule(("A", "B"), combine="product"), {"A": 2, "B": 1024}, 2048.0),
        (Rule(("A", "B"), combine="product"), {"A": 2}, None),
        (Rule(("A",), factor=16.8, power=-1), {"A": 2}, 8.4),
        (Rule(("A",), factor=65536, power=-1, offset=-1), {"A": 2}, 32767.0),
        (Rule(("A",), power=-1), {"A": 0}, None),
        (Rule(("A",), power=0.5), {"A": -1}, None),
        (Rule(("A",), power=400), {"A": 1e9}, None),
        (Rule(("A",), pattern=r"\d+\s+(\d+)"), {"A": "2 4"}, 4.0),
    ],
)
def test_numbers_are_found_and_scaled(rule, header, number):
    assert rule.number(header) == (None if number is None else pytest.approx(number))


def test_what_is_missing_is_named():
    rule = Rule(("EXPTIME", "EXPOSURE"))
    with pytest.raises(BadInput, match="keyword EXPTIME or EXPOSURE is missing"):
        rule.needed_number({}, "a.fits")
    with pytest.raises(BadInput, match="EXPTIME = 'x' does not give a number"):
        rule.needed_number({"EXPTIME": "x"}, "a.fits")
    with pytest.raises(BadInput):
        rule.needed_text({}, "a.fits")


@pytest.mark.parametrize(
    ("text", "zone", "day", "seconds"),
    [
        ("2017-12-20T01:33:43.317", 0.0, 58107, 5623.317),
        ("2017-12-20T01:33:43.317-0000", -7.0, 58107, 5623.317),
        ("2017-12-19T18:33:43.317-0700", 0.0, 58106, 66823.317 + 25200),
        ("2017-12-19T18:33:43.317", -7.0, 58106, 66823.317 + 25200),
        ("2017-12-20 01:33", 0.0, 58107, 5580.0),
        ("2017-12-20T01:33:43Z", 9.0, 58107, 5623.0),
        ("2017-12-20T01:33:43+05:30", 0.0, 58107, 5623.0 - 19800),
        ("2017-12-20", 0.0, 58107, 0.0),
        ("1858-11-17T00:00:00", 0.0, 0, 0.0),
    ],
)
def test_dates_are_read_with_their_offset_from_utc(text, zone, day, seconds):
    assert parse_iso(text, zone) == (day, pytest.approx(seconds, abs=1e-9))


@pytest.mark.parametrize(
    "text", ["", "now", "2017-02-30", "2017-12-20T24:00:00", "2017-12-20T01:60:00", "0000-01-01", "20/12/17"]
)
def test_what_is_no_date_gives_nothing(text):
    assert parse_iso(text) is None


@pytest.mark.parametrize(
    ("rule", "header", "middle"),
    [
        (TimeRule(Rule(("T",)), instant="start"), {"T": "2020-01-01T23:59:50"}, 58849 + 86390 / 86400 + 10 / 86400),
        (TimeRule(Rule(("T",)), instant="middle"), {"T": "2020-01-01T12:00:00"}, 58849.5),
        (TimeRule(Rule(("T",)), instant="end"), {"T": "2020-01-01T00:00:05"}, 58849 - 5 / 86400),
        (TimeRule(Rule(("T",)), format="mjd", instant="middle"), {"T": 58849.25}, 58849.25),
        (TimeRule(Rule(("T",)), format="jd", instant="middle"), {"T": 2458849.75}, 58849.25),
        (TimeRule(Rule(("T",)), format="unix", instant="middle"), {"T": 1577836800}, 58849.0),
        (TimeRule(Rule(("T",)), format="mjd", instant="middle", offset=43200.0), {"T": 58849.25}, 58849.75),
        (TimeRule(Rule(("T",)), instant="middle", zone=-7.0), {"T": "2020-01-01T00:00:00"}, 58849 + 7 / 24),
    ],
)
def test_the_middle_of_the_exposure_follows_from_any_time(rule, header, middle):
    day, fraction = rule.middle(header, 20.0, "a.fits")
    assert 0.0 <= fraction < 1.0
    assert day + fraction == pytest.approx(middle, abs=1e-8)


@pytest.mark.parametrize("value", [1e300, -1e300, 1e9])
def test_times_beyond_all_dates_are_refused(value):
    for form in ("mjd", "jd", "unix"):
        rule = TimeRule(Rule(("T",)), format=form)
        if not (form == "unix" and value == 1e9):
            with pytest.raises(BadInput, match="does not give a date"):
                rule.middle({"T": value}, 1.0, "a.fits")


@pytest.mark.parametrize(
    ("header", "text"),
    [({"A": "open", "B": "H"}, "H"), ({"A": "ND", "B": "open"}, "ND"), ({"A": "ND", "B": "H"}, "ND+H"), ({"A": "open"}, None)],
)
def test_a_replacement_may_hold_groups_and_all_that_is_joined_must_be_there(header, text):
    rule = Rule(("A", "B"), combine="join", separator="+", map={r"open\+(.+)": r"\1", r"(.+)\+open": r"\1", "(.+)": r"\1"})
    assert rule.text(header) == text


def test_a_date_without_its_time_of_day_is_no_time():
    rule = TimeRule(Rule(("DATE-OBS", "UTSTART"), combine="join", separator="T"))
    with pytest.raises(BadInput, match="keyword UTSTART is missing") as error:
        rule.middle({"DATE-OBS": "2020-01-02"}, 1.0, "a.fits")
    assert error.value.place == "keyword UTSTART"
    with pytest.raises(BadInput, match="does not give a date and time of day"):
        TimeRule(Rule(("DATE-OBS",))).middle({"DATE-OBS": "2020-01-02"}, 1.0, "a.fits")
