"""Frames of a drifting field laid over each other."""

import math

import numpy as np
import pytest

from roque.calibration.apply import Calibrator, Masters
from roque.frames import CCD, Frame, Geometry, Window
from roque.photometry.find import find_stars
from roque.photometry.reference import average_frames

GEOMETRY = Geometry(11, 21, 1, 1, 160, 140)
FIELD = np.array([[60.2, 80.7, 9000.0], [120.9, 60.3, 5000.0], [90.4, 120.8, 4000.0], [140.1, 130.2, 700.0]])
HOT = np.array(
    [
        (row, column)
        for row, column in np.random.default_rng(5).integers(0, 140, (60, 2))
        if np.hypot(FIELD[:, 0] - 11 - column, FIELD[:, 1] - 21 - row).min() > 8  # none on a star of the first frame
    ]
)


def exposure(shift, *, seed, turn=0.0, light=1.0, hot=True, fwhm=3.0, field=FIELD):
    rng = np.random.default_rng(seed)
    x = GEOMETRY.llx + np.arange(GEOMETRY.nx)
    y = GEOMETRY.lly + np.arange(GEOMETRY.ny)
    sigma = fwhm / math.sqrt(8 * math.log(2))
    image = rng.normal(300.0, 3.0, (GEOMETRY.ny, GEOMETRY.nx))
    for x0, y0, flux in field:
        px, py = x0 - 90.0, y0 - 90.0
        px, py = 90.0 + px * math.cos(turn) - py * math.sin(turn), 90.0 + px * math.sin(turn) + py * math.cos(turn)
        r2 = (x[None, :] - px - shift[0]) ** 2 + (y[:, None] - py - shift[1]) ** 2
        image += light * flux / (2 * math.pi * sigma**2) * np.exp(-r2 / (2 * sigma**2))
    if hot:
        image[HOT[:, 0], HOT[:, 1]] += 800.0
    return CCD({"W": Window(GEOMETRY, image.astype(np.float32))}, 200, 200)


def average(ccds):
    calibrator = Calibrator(Masters(), Frame({"1": ccds[0]}), readout=3.0, gain=1.0)
    return average_frames("1", ccds, calibrator)


def found(reference):
    stars = find_stars(reference.images["W"], GEOMETRY).stars
    dx, dy = reference.offsets["W"]
    return np.stack([stars["x"] - dx, stars["y"] - dy], axis=-1)


@pytest.mark.parametrize(("step", "turn"), [((0.0, 0.0), 0.0), ((1.37, -0.81), 0.0), ((-3.3, 2.2), 0.0), ((0.9, 1.1), 0.003)])
def test_stars_of_a_drifting_field_stand_where_the_first_frame_has_them(step, turn):
    ccds = [exposure((k * step[0], k * step[1]), seed=k, turn=k * turn) for k in range(10)]
    reference = average(ccds)
    assert reference.count == 10
    assert reference.anchor == 0
    assert reference.fwhm == pytest.approx(3.0, rel=0.1)
    assert reference.noise == pytest.approx(3.0, rel=0.1)
    assert reference.step == pytest.approx(math.hypot(*step), abs=0.4 if turn else 0.15)
    places = found(reference)
    assert len(places) == len(FIELD)
    for place, (x, y, flux) in zip(places, FIELD, strict=True):
        assert math.hypot(place[0] - x, place[1] - y) < (0.3 if flux > 1000 else 0.6)


def test_hot_pixels_vanish_where_the_field_drifts():
    ccds = [exposure((1.5 * k, -1.2 * k), seed=k) for k in range(10)]
    image = average(ccds).images["W"]
    away = np.hypot(*np.meshgrid(np.arange(160) + 11.0, np.arange(140) + 21.0)) > 0  # all
    for x, y, _ in FIELD:
        gx, gy = np.meshgrid(np.arange(160) + 11.0, np.arange(140) + 21.0)
        away &= np.hypot(gx - x, gy - y) > 12.0
    away[:15] = away[-15:] = False  # rows that few frames cover
    away[:, :15] = away[:, -15:] = False
    assert np.nanmax(image[away]) < 25.0


def test_a_clouded_frame_is_left_out():
    ccds = [exposure((k, 0.0), seed=k, light=0.0 if k in (3, 4) else 1.0) for k in range(10)]
    assert average(ccds).count == 8


def test_a_clouded_first_frame_hands_its_part_to_the_next():
    ccds = [exposure((2.0 * k, 0.0), seed=k, light=0.0 if k == 0 else 1.0) for k in range(6)]
    reference = average(ccds)
    assert reference.anchor == 1
    assert found(reference)[0] == pytest.approx([FIELD[0, 0] + 2.0, FIELD[0, 1]], abs=0.3)


def test_stars_too_faint_for_one_frame_show_on_the_average():
    faint = FIELD * [1.0, 1.0, 0.0] + [0.0, 0.0, 90.0]
    ccds = [exposure((0.0, 0.0), seed=k, hot=False, field=faint) for k in range(16)]
    reference = average(ccds)
    assert reference.count == 16
    assert len(found(reference)) >= 3
    assert math.isfinite(reference.fwhm)


def test_the_average_is_quieter_than_a_frame():
    reference = average([exposure((0.4 * k, 0.0), seed=k, hot=False) for k in range(16)])
    quiet = find_stars(reference.images["W"], GEOMETRY).noise
    assert quiet == pytest.approx(reference.noise * math.sqrt(math.pi / 2 / 16), rel=0.15)


def test_the_brightest_raw_pixel_of_any_frame_is_kept():
    ccds = [exposure((3.0 * k, 0.0), seed=k, hot=False, light=1.0 + 0.3 * (k == 2)) for k in range(5)]
    reference = average(ccds)
    peak = max(float(c.windows["W"].data.max()) for c in ccds)
    assert float(np.nanmax(reference.brightest["W"])) == peak


def test_one_frame_is_its_own_average():
    ccd = exposure((0.0, 0.0), seed=1)
    reference = average([ccd])
    assert reference.count == 1
    assert np.allclose(reference.images["W"], ccd.windows["W"].data - np.median(ccd.windows["W"].data))
