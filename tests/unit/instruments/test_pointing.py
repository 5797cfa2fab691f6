from dataclasses import replace

import pytest

from roque.instruments import load_camera
from roque.instruments.pointing import pointing
from roque.instruments.rules import Rule

HIPERCAM = load_camera("hipercam")
DESCRIBED = load_camera("microobservatory")


def test_degrees_are_preferred_to_sexagesimal_text():
    header = {"RADEG": 106.925, "DECDEG": 66.5, "RA": "12:00:00", "DEC": "+10:00:00"}
    assert pointing(header, HIPERCAM) == (106.925, 66.5)


def test_right_ascension_in_hours_becomes_degrees():
    # 7 h 7 min 42 s = 106.925 degrees; -0 d 30' has its sign
    assert pointing({"RA": "07:07:42.0", "DEC": "-00:30:00"}, HIPERCAM) == pytest.approx((106.925, -0.5))
    assert pointing({"RA": "07 07 42", "DEC": "66 30 00"}, None) == pytest.approx((106.925, 66.5))


def test_the_rules_of_a_described_camera_hold():
    assert pointing({"RA": 31.3, "DEC": 46.8}, DESCRIBED) == (31.3, 46.8)
    hours = replace(DESCRIBED, header=replace(DESCRIBED.header, ra=Rule(keywords=("OBJRA",), factor=15.0)))
    assert pointing({"OBJRA": "02:00:00", "DEC": 46.8, "RA": 99.0}, hours) == pytest.approx((30.0, 46.8))


@pytest.mark.parametrize(
    "header",
    [{}, {"RADEG": 10.0}, {"RADEG": 400.0, "DECDEG": 0.0}, {"RADEG": 10.0, "DECDEG": -91.0}, {"RA": "unknown", "DEC": "none"}],
)
def test_a_header_that_names_no_place_in_the_sky_gives_none(header):
    assert pointing(header, HIPERCAM) is None
