"""Apertures without a hand, on small simulated runs of two or three CCDs."""

import functools
import math

import numpy as np
import pytest

from roque.calibration.apply import Calibrator, Masters
from roque.errors import BadInput
from roque.frames import CCD, Frame, Geometry, Window
from roque.photometry.apertures import dumps, loads
from roque.photometry.automatic import automatic_apertures
from roque.photometry.beginning import frames_needed

WINDOW = Geometry(101, 51, 1, 1, 200, 180)
FWHM = 4.0
OFFSETS = {"1": (0.0, 0.0), "2": (6.3, -4.1), "3": (-2.5, 3.2)}
# x, y on CCD 1, and counts on CCDs 1, 2 and 3
STARS = {
    "bright": (150.3, 120.8, (20000.0, 30000.0, 26000.0)),
    "second": (240.6, 170.2, (12000.0, 15000.0, 14000.0)),
    "variable": (190.1, 90.4, (6000.0, 9000.0, 7000.0)),
    "red": (260.8, 100.9, (0.0, 2500.0, 5000.0)),
    "faint": (170.5, 190.3, (700.0, 900.0, 800.0)),
}


def frame(number, stars=STARS, ccds=("1", "2", "3"), *, drift=(0.8, -0.5), window=WINDOW, blank=()):
    made = {}
    for index, name in enumerate(ccds):
        rng = np.random.default_rng(100 * number + index)
        image = rng.normal(1000.0, 4.0, (window.ny, window.nx))
        sigma2 = FWHM**2 / (8 * math.log(2))
        x, y = window.llx + np.arange(window.nx), window.lly + np.arange(window.ny)
        for x0, y0, counts in stars.values():
            px = x0 + OFFSETS[name][0] + drift[0] * (number - 1)
            py = y0 + OFFSETS[name][1] + drift[1] * (number - 1)
            r2 = (x[None, :] - px) ** 2 + (y[:, None] - py) ** 2
            star = counts[index] / (2 * math.pi * sigma2) * np.exp(-r2 / (2 * sigma2))
            image += rng.normal(star, np.sqrt(star))
        image = np.minimum(image, 60000.0).astype(np.float32)
        made[name] = CCD({"W": Window(window, image)}, 400, 300, data_ok=name not in blank)
    return Frame(made, number)


def run_of(n=16, **how):
    return [frame(k, **how) for k in range(1, n + 1)]


@functools.cache
def plain_run():
    return run_of()


def automatic(frames, **how):
    calibrator = Calibrator(Masters(), frames[0], readout=4.0, gain=1.0)
    ccds = frames[0].ccds
    return automatic_apertures(
        frames, calibrator, run="run0042", gain=dict.fromkeys(ccds, 1.0), saturation=dict.fromkeys(ccds, 60000.0), **how
    )


def place(star, ccd, stars=STARS):
    x, y, _ = stars[star]
    return x + OFFSETS[ccd][0], y + OFFSETS[ccd][1]


def close(aperture, star, ccd, within=0.3):
    x, y = place(star, ccd)
    return math.hypot(aperture.x - x, aperture.y - y) < within


def test_a_number_is_one_star_on_all_ccds_in_order_of_brightness():
    result = automatic(plain_run())
    names = dict(zip("12345", STARS, strict=True))
    for ccd, apertures in result.apertures.items():
        assert list(apertures) == ["1", "2", "3", "4", "5"]
        for label, aperture in apertures.items():
            assert close(aperture, names[label], ccd, 0.7 if label in "45" else 0.3), (ccd, label)


def test_positions_are_those_of_the_first_frame_although_the_field_drifts():
    result = automatic(run_of(drift=(2.5, 1.5)))
    assert close(result.apertures["2"]["1"], "bright", "2")


def test_a_star_that_a_ccd_does_not_show_gets_its_place_there_and_follows_a_reference():
    own = automatic(plain_run()).apertures["1"]
    red = own["4"]
    assert close(red, "red", "1", 0.7)
    assert red.link
    assert own[red.link].ref
    assert not own[red.link].link


def test_bright_stars_are_references_and_follow_nobody():
    for apertures in automatic(plain_run()).apertures.values():
        assert {label for label, a in apertures.items() if a.ref} <= {"1", "2", "3"}
        assert 1 <= sum(a.ref for a in apertures.values()) <= 2
        assert all(not a.link for a in apertures.values() if a.ref)


def test_the_target_is_the_brightest_star_that_is_no_reference_unless_named():
    result = automatic(plain_run())
    guides = {label for apertures in result.apertures.values() for label, a in apertures.items() if a.ref}
    assert result.target not in guides
    assert result.target == min({"1", "2", "3", "4", "5"} - guides)
    assert automatic(plain_run(), target=place("second", "1")).target == "2"
    assert automatic(plain_run(), target=(259.0, 102.0)).target == "4"


def test_numbers_do_not_depend_on_the_target():
    frames = plain_run()
    assert [list(a) for a in automatic(frames).apertures.values()] == [
        list(a) for a in automatic(frames, target=place("faint", "1")).apertures.values()
    ]


def test_a_named_target_may_be_blended_faint_and_is_numbered_all_the_same():
    stars = STARS | {"companion": (196.5, 90.4, (3000.0, 4000.0, 3500.0))}
    result = automatic(run_of(stars=stars), target=(196.5, 90.4))
    companion = result.apertures["1"][result.target]
    assert math.hypot(companion.x - 196.5, companion.y - 90.4) < 1.0


def test_blends_are_not_chosen():
    stars = STARS | {"companion": (196.5, 90.4, (3000.0, 4000.0, 3500.0))}
    for ccd, apertures in automatic(run_of(stars=stars)).apertures.items():
        assert not any(close(a, "variable", ccd, 8.0) for a in apertures.values())


def test_a_position_without_star_is_refused_and_the_nearest_stars_are_named():
    with pytest.raises(
        BadInput, match=r"run0042, first frame: no star within 5 pixels .*nearest stars: \(156\.\d, 116\.\d\), "
    ):
        automatic(plain_run(), target=(165.0, 130.0))


def test_a_run_without_stars_is_refused_with_a_remedy():
    with pytest.raises(BadInput, match=r"run0042, CCD 1, 2, 3, average of the first 6 frames: no star found; .*--apertures"):
        automatic(run_of(6, stars={}))


def test_a_ccd_without_stars_is_left_out_with_a_note():
    stars = {name: (x, y, (0.0, b, c)) for name, (x, y, (_, b, c)) in STARS.items()}
    result = automatic(run_of(stars=stars))
    assert list(result.apertures) == ["2", "3"]
    assert any("CCD 1" in note for note in result.notes)


def test_a_star_that_saturates_on_one_ccd_is_not_measured_there():
    stars = STARS | {"star": (220.4, 210.2, (30000.0, 2.5e6, 40000.0))}
    result = automatic(run_of(stars=stars))
    assert "1" in result.apertures["1"]
    assert "1" not in result.apertures["2"]
    assert "star 1 is saturated on CCD 2 and not measured there" in result.notes


def test_read_outs_without_data_are_not_looked_at():
    frames = [frame(k, blank=() if k % 4 == 0 else ("1",)) for k in range(1, 17)]
    result = automatic(frames)
    x, y = place("bright", "1")
    first = result.apertures["1"]["1"]  # CCD 1 has its first data in frame 4
    assert math.hypot(first.x - x - 3 * 0.8, first.y - y + 3 * 0.5) < 0.3


def test_radii_follow_the_seeing_and_the_annulus_is_clear_of_the_star():
    result = automatic(plain_run())
    for ccd, radii in result.radii.items():
        assert result.seeing[ccd] == pytest.approx(FWHM, rel=0.05)
        assert radii.rtarg == pytest.approx(1.8 * FWHM, rel=0.05)
        assert radii.rsky1 > radii.rtarg + 0.5 * FWHM
        assert radii.rsky2**2 - radii.rsky1**2 > 2 * radii.rtarg**2


def test_neighbours_in_the_sky_are_masked():
    stars = STARS | {"neighbour": (150.3 + 15.0, 120.8, (2000.0, 2000.0, 2000.0))}
    bright = automatic(run_of(stars=stars)).apertures["1"]["1"]
    assert len(bright.mask) == 1
    dx, dy, radius = bright.mask[0]
    assert (dx, dy) == pytest.approx((15.0, 0.0), abs=0.5)
    assert radius >= FWHM


def test_apertures_can_be_written_and_read():
    apertures = automatic(plain_run()).apertures
    assert loads(dumps(apertures)) == apertures


def test_how_many_frames_are_needed_depends_on_the_skips_alone():
    assert frames_needed({}) == 16
    assert frames_needed({"1": 0, "2": 1}) == 16
    assert frames_needed({"1": 9, "2": 0}) == 40
    assert frames_needed({"1": 999}) == 100
