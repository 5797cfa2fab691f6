"""Apertures placed by hand: those that lie nowhere are named, and a field without a star is measured all the same."""

from __future__ import annotations

import numpy as np
import pytest

from roque.calibration.apply import Calibrator, Masters
from roque.errors import BadInput
from roque.frames import CCD, Frame, Geometry, Window
from roque.instruments import load_camera
from roque.photometry.apertures import Aperture
from roque.photometry.by_hand import misplaced, nearest, recipe_for
from roque.photometry.reduce import Reducer

WINDOW = Geometry(1, 1, 1, 1, 60, 40)
RADII = (4.0, 8.0, 12.0)
SKY, NOISE = 100.0, 5.0
CAMERA = load_camera("hipercam")


def empty_field(number: int) -> Frame:
    counts = np.random.default_rng(number).normal(SKY, NOISE, (40, 60)).astype(np.float32)
    ccd = CCD({"E1": Window(WINDOW, counts)}, 60, 40, 0, 0, 61000, 0.1 + number / 1000, 1.0)
    return Frame({"1": ccd, "2": ccd}, number, {})


def test_apertures_in_no_window_are_named_with_the_windows_there_are():
    apertures = {
        "1": {"in": Aperture(30.0, 20.0, *RADII), "out": Aperture(90.0, 20.0, *RADII)},
        "7": {"a": Aperture(9, 9, *RADII)},
    }
    out, lost = misplaced(apertures, {"1": {"E1": WINDOW}}, "run.ape")
    assert (out.file, out.place) == ("run.ape", "CCD 1, aperture out")
    assert "(90.0, 20.0)" in out.message
    assert "E1: x 0.5 to 60.5, y 0.5 to 40.5" in out.remedy
    assert (lost.place, "does not have" in lost.message) == ("CCD 7, aperture a", True)


@pytest.mark.parametrize(
    ("apertures", "message"),
    [
        ({}, "no aperture"),
        ({"1": {}}, "no aperture"),
        ({"1": {"a": Aperture(0.4, 20.0, *RADII)}}, r"\(0.4, 20.0\) lies in no window"),
        ({"1": {"a": Aperture(99.0, 20.0, *RADII)}, "2": {"a": Aperture(5.0, 5.0, *RADII)}}, "none of its 2 apertures"),
    ],
)
def test_apertures_that_all_lie_nowhere_are_refused(apertures, message):
    with pytest.raises(BadInput, match=message) as refused:
        misplaced(apertures, {"1": {"E1": WINDOW}}, "run.ape")
    assert refused.value.file == "run.ape"
    assert refused.value.remedy


def test_the_target_is_the_first_aperture_or_the_one_nearest_to_its_position():
    apertures = {"1": {"a": Aperture(10.0, 10.0, *RADII), "b": Aperture(40.0, 30.0, *RADII)}}
    assert nearest(apertures, None) == "a"
    assert nearest(apertures, (38.0, 33.0)) == "b"


def test_a_field_without_a_star_is_measured_with_the_radii_that_were_chosen():
    wide = (6.0, 9.0, 14.0)
    apertures = {"2": {"1": Aperture(20.0, 20.0, *RADII), "2": Aperture(42.0, 20.0, *wide)}}
    frames = [empty_field(number) for number in range(1, 9)]
    calibrator = Calibrator(Masters(), frames[0], readout=4.0, gain=1.1)
    recipe = recipe_for(apertures, None, frames, calibrator, CAMERA)
    assert recipe.apertures.fit_height_min_ref == pytest.approx(8.0 * NOISE, rel=0.1)
    rows, _, _ = Reducer(recipe, apertures, Masters()).reduce_range(frames)
    assert (rows["ccd"] == "2").all()
    for label, radius in (("1", RADII[0]), ("2", wide[0])):
        mine = rows[rows["aperture"] == label]
        assert np.isfinite(mine["counts"]).all()
        # nothing but the sky's noise in a circle of that radius
        assert mine["counts"].std() == pytest.approx(NOISE * np.sqrt(np.pi) * radius, rel=0.8)
        np.testing.assert_allclose(mine["sky"], SKY, atol=2.0)
