"""Nights, kinds, filters and names of runs."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from roque.spool.naming import folder_night, night_of, run_kind, run_name, safe_name, split_filters


@pytest.mark.parametrize(
    ("utc", "longitude", "night"),
    [
        ("2026-03-14T23:59", -17.9, "2026-03-14"),
        ("2026-03-15T05:00", -17.9, "2026-03-14"),
        ("2026-03-15T13:11", -17.9, "2026-03-14"),  # mean local noon at 13:11:36
        ("2026-03-15T13:12", -17.9, "2026-03-15"),
        ("2017-12-20T01:33", -110.9, "2017-12-19"),
        ("2020-01-01T10:00", 149.1, "2020-01-01"),  # evening in Australia
        ("2020-01-01T17:00", 149.1, "2020-01-01"),
    ],
)
def test_nights_go_from_local_noon_to_local_noon(utc, longitude, night):
    mjd = (dt.datetime.fromisoformat(utc) - dt.datetime(1858, 11, 17)) / dt.timedelta(days=1)
    assert str(night_of(mjd, longitude)) == night


@pytest.mark.parametrize(
    ("folder", "night"),
    [
        ("2026-03-14", dt.date(2026, 3, 14)),
        ("2026_03_14", dt.date(2026, 3, 14)),
        ("2026-03_14", None),
        ("2026-02-30", None),
        ("raw", None),
    ],
)
def test_a_folder_named_after_a_night_tells_it(folder, night):
    assert folder_night(Path("/data") / folder / "run0001.fits") == night


@pytest.mark.parametrize(
    ("image_type", "name", "kind"),
    [
        ("bias", "Bias", "bias"),
        ("BIAS", "star", "bias"),
        ("data", "Eclipser A", "science"),
        ("data", "Dark Doodad nebula", "science"),
        ("object", "flat", "science"),
        ("flat", "Twilight flat", "flat"),
        ("SKY FLAT", "", "flat"),
        ("DOME_FLAT", "", "flat"),
        ("skyflat", "", "flat"),
        ("acquire", "HD 1", "other"),
        ("technical", "", "other"),
        ("", "Bias", "bias"),
        ("", "zero", "bias"),
        ("", "dark 10s", "dark"),
        ("", "Twilight r", "flat"),
        ("", "HAT-P-32", "science"),
        ("", "Flatiron", "science"),
        ("", "Darkstar", "science"),
        ("", "focus", "science"),
        ("", "", "science"),
    ],
)
def test_the_kind_follows_the_image_type_then_the_object(image_type, name, kind):
    assert run_kind(image_type, name) == kind


def test_filters_are_dealt_to_ccds_in_order():
    ccds = ("1", "2", "3", "4", "5")
    expected = dict(zip(ccds, ("us", "gs", "rs", "is", "zs"), strict=True))
    assert split_filters("us,gs,rs,is,zs", ccds) == expected
    assert split_filters(" us gs  rs is zs ", ccds) == expected
    assert split_filters("r", ("1",)) == {"1": "r"}
    assert split_filters("V", ("1", "2")) == {"1": "V", "2": "V"}
    assert split_filters("", ("1",)) == {"1": ""}


@pytest.mark.parametrize(
    ("file", "name"),
    [("run0001.fits", "run0001"), ("a.b.FITS.fz", "a.b"), ("run0001.fits.gz", "run0001"), ("x.hcm", "x"), ("x.lis", "x")],
)
def test_names_of_runs_lose_endings_of_files(file, name):
    assert run_name(Path(file)) == name


def test_safe_names_keep_words_apart_and_leave_out_empty_ones():
    assert safe_name("HAT-P-32 b", "", "Clear", "650x500") == "HAT-P-32-b_Clear_650x500"
    assert safe_name("", " ") == "run"
