"""Bad pixels, saturated ones and cosmic rays, left out: light curves of stars whose light is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from roque.calibration.apply import Masters
from roque.calibration.defects import Defect
from roque.errors import BadInput
from roque.frames import CCD, Frame, Geometry, Window
from roque.photometry.apertures import Aperture
from roque.photometry.flags import Flag
from roque.photometry.recipe import Recipe
from roque.photometry.recipe_sections import Detector, Extraction, PsfPhotometry, Radius, Tracking
from roque.photometry.reduce import Reducer

GEOMETRY = Geometry(11, 21, 1, 1, 130, 64)
STARS = {"r": (41.2, 52.7, 250_000.0), "s": (105.3, 53.4, 60_000.0)}
RADII = (9.0, 13.0, 22.0)
FWHM, BETA, NOISE, GAIN, SKY, FULL = 4.6, 3.2, 3.0, 1.2, 30.0, 60_000.0
SPOILT = int(Flag.BAD_PIXELS | Flag.COSMIC_RAY | Flag.MASKED_OUT | Flag.NO_EXTRACTION)


def grid():
    g = GEOMETRY
    return np.meshgrid(g.llx + np.arange(g.nx), g.lly + np.arange(g.ny))


def light(x0, y0, flux, fwhm=FWHM, beta=BETA, stretch=1.0):
    x, y = grid()
    a = 4.0 * (2.0 ** (1.0 / beta) - 1.0) / fwhm**2
    r2 = ((x - x0) * stretch) ** 2 + ((y - y0) / stretch) ** 2
    return flux * (beta - 1.0) * a / np.pi * (1.0 + a * r2) ** -beta


def counts(number=1, shift=(0.0, 0.0), star=light, **fluxes):
    """Counts of a frame, noise included."""
    rng = np.random.default_rng(number)
    model = SKY + sum(star(x + shift[0], y + shift[1], fluxes.get(name, flux)) for name, (x, y, flux) in STARS.items())
    return rng.poisson(GAIN * model) / GAIN + rng.normal(0.0, NOISE, model.shape)


def frame(values, number=1):
    ccd = CCD({"A": Window(GEOMETRY, np.asarray(values, np.float32))}, 200, 200, mjd_int=61000, mjd_frac=0.1 + number / 1e4)
    return Frame({"1": ccd}, number)


def at(x, y):
    """Index of the pixel at unbinned coordinates."""
    return y - GEOMETRY.lly, x - GEOMETRY.llx


def recipe(**changes):
    line = Extraction(
        target=Radius(factor=1.8, least=3.0, greatest=12.0),
        inner_sky=Radius(factor=3.0, least=13.0, greatest=13.0),
        outer_sky=Radius(factor=4.0, least=22.0, greatest=22.0),
    )
    tracking = Tracking(
        search_half_width=8.0, search_smooth_fwhm=4.0, fit_fwhm=4.5, fit_fwhm_min=1.5, fit_fwhm_max=30.0, fit_half_width=13.0,
        fit_max_shift=4.0, fit_diff=2.0,
    )  # fmt: skip
    made = Recipe(
        apertures=tracking,
        extraction={"1": line},
        detectors={"1": Detector(readout=NOISE, gain=GAIN, nonlinear=FULL, saturation=FULL)},
        psf_photom=PsfPhotometry(fit_half_width=9.0),
    )
    return made.changed(changes)


APERTURES = {"1": {name: Aperture(x, y, *RADII, ref=name == "r") for name, (x, y, _) in STARS.items()}}


def reduce(frames, defects=None, apertures=None, masters=None, **changes):
    named = {"pixels.defects": "bad.dft"} if defects is not None else {}
    masters = masters or Masters(defects=None if defects is None else {"1": defects})
    return Reducer(recipe(**named, **changes), apertures or APERTURES, masters).reduce_range(frames)


def of(rows, name):
    return rows[rows["aperture"] == name]


def off(rows, clean, name="s"):
    """How far counts are from those of the frames without damage, in their errors."""
    return (of(rows, name)["counts"] - of(clean, name)["counts"]) / of(rows, name)["countse"]


def point(x, y):
    return Defect(x, y, x, y, severe=True)


COLUMN = Defect(106, 21, 106, 84, severe=True)


def test_a_dead_column_through_a_star_is_made_up_for_and_told_of():
    clean = [counts(n) for n in range(1, 9)]
    damaged = [c.copy() for c in clean]
    for c in damaged:
        c[:, at(106, 0)[1]] = 0.0
    truth, _, _ = reduce([frame(c, n) for n, c in enumerate(clean, 1)])
    left_in, _, _ = reduce([frame(c, n) for n, c in enumerate(damaged, 1)])
    left_out, _, notes = reduce([frame(c, n) for n, c in enumerate(damaged, 1)], [COLUMN])
    assert (off(left_in, truth) < -15.0).all()
    assert np.abs(off(left_out, truth)).max() < 3.0
    assert abs(off(left_out, truth).mean()) < 1.5
    assert (of(left_out, "s")["flag"] & SPOILT == int(Flag.BAD_PIXELS)).all()
    assert (of(left_out, "s")["countse"] > 1.05 * of(truth, "s")["countse"]).all()
    assert (of(left_out, "r")["flag"] & SPOILT == 0).all()
    # the fit does not see the column either
    assert np.abs(of(left_out, "s")["fwhm"] - of(truth, "s")["fwhm"]).max() < 0.15
    (note,) = [n for n in notes if n.kind == "pixels"]
    assert (note.aperture, note.count) == ("s", 8)
    assert 5.0 < float(note.detail.split()[0].rstrip("%")) < 20.0  # of the light


def test_normalised_sums_and_profile_fits_leave_pixels_out_too():
    clean = counts(3)
    damaged = clean.copy()
    damaged[:, at(106, 0)[1]] = 0.0
    for changes in ({"extraction.1.method": "optimal"}, {"psf_photom.use_psf": True}):
        truth, _, _ = reduce([frame(clean)], **changes)
        left_in, _, _ = reduce([frame(damaged)], **changes)
        left_out, _, _ = reduce([frame(damaged)], [COLUMN], **changes)
        assert off(left_in, truth)[0] < -15.0
        assert abs(off(left_out, truth)[0]) < 3.0
        assert of(left_out, "s")["flag"][0] & SPOILT == int(Flag.BAD_PIXELS)


def test_where_most_light_is_gone_no_counts_are_invented():
    x, y = 105, 53
    core = [point(x + dx, y + dy) for dx in range(-2, 4) for dy in range(-2, 4)]
    for changes in ({}, {"extraction.1.method": "optimal"}, {"psf_photom.use_psf": True}):
        rows, _, _ = reduce([frame(counts())], core, **changes)
        assert np.isnan(of(rows, "s")["counts"][0])
        assert np.isnan(of(rows, "s")["countse"][0])
        assert of(rows, "s")["flag"][0] & SPOILT == int(Flag.BAD_PIXELS | Flag.MASKED_OUT | Flag.NO_EXTRACTION)
        assert np.isfinite(of(rows, "r")["counts"][0])


def test_without_a_profile_there_is_no_correction():
    fixed = {"apertures.location": "fixed", "extraction.1.resize": "fixed"}
    rows, _, _ = reduce([frame(counts())], [point(104, 55)], **fixed)
    assert of(rows, "s")["flag"][0] & SPOILT == int(Flag.BAD_PIXELS | Flag.MASKED_OUT | Flag.NO_EXTRACTION)
    assert np.isnan(of(rows, "s")["counts"][0])
    extra = {"1": APERTURES["1"] | {"s": replace(APERTURES["1"]["s"], extra=((5.0, 0.0),))}}
    rows, _, _ = reduce([frame(counts())], [point(104, 55)], extra)  # the light of two stars
    assert of(rows, "s")["flag"][0] & int(Flag.MASKED_OUT)


def test_bad_pixels_of_the_sky_are_left_out_of_it_alone():
    hot = [point(x, y) for x in range(84, 91) for y in range(48, 58)]  # 70 pixels, 15 to 21 from the star
    damaged = counts()
    for d in hot:
        damaged[at(int(d.x1), int(d.y1))] += 15.0  # too little to be clipped
    truth, _, _ = reduce([frame(counts())], **{"sky.thresh": 20.0})
    rows, _, _ = reduce([frame(damaged)], hot, **{"sky.thresh": 20.0})
    assert of(truth, "s")["nsky"][0] - of(rows, "s")["nsky"][0] == sum(
        13.0 < np.hypot(d.x1 - of(rows, "s")["x"][0], d.y1 - of(rows, "s")["y"][0]) < 22.0 for d in hot
    )
    assert abs(of(rows, "s")["sky"][0] - of(truth, "s")["sky"][0]) < 0.3
    assert of(rows, "s")["flag"][0] & SPOILT == 0
    clipped, _, _ = reduce([frame(damaged)], **{"sky.thresh": 20.0})
    assert of(clipped, "s")["sky"][0] - of(truth, "s")["sky"][0] > 0.8


@pytest.mark.parametrize("peak", [1.15, 1.6])
def test_saturated_cores_are_made_up_for_and_stay_flagged(peak):
    flux = peak * FULL / light(*STARS["s"][:2], 1.0).max()
    clean = [counts(n, s=flux) for n in range(1, 6)]
    full = [np.minimum(c, FULL) for c in clean]
    truth, _, _ = reduce([frame(c, n) for n, c in enumerate(clean, 1)])
    left_in, _, _ = reduce([frame(c, n) for n, c in enumerate(full, 1)])
    left_out, _, _ = reduce([frame(c, n) for n, c in enumerate(full, 1)], **{"pixels.saturated": True})
    share = of(left_out, "s")["counts"] / of(truth, "s")["counts"] - 1.0
    assert np.abs(share).max() < 0.004
    assert np.abs(share).max() < np.abs(of(left_in, "s")["counts"] / of(truth, "s")["counts"] - 1.0).min()
    assert (of(left_out, "s")["flag"] & int(Flag.TARGET_SATURATED) > 0).all()
    assert (of(left_out, "s")["flag"] & SPOILT == int(Flag.BAD_PIXELS)).all()


def test_a_star_that_is_far_too_bright_gets_no_counts():
    rows, _, _ = reduce([frame(np.minimum(counts(s=8e6), FULL))], **{"pixels.saturated": True})
    assert of(rows, "s")["flag"][0] & int(Flag.MASKED_OUT)
    assert np.isnan(of(rows, "s")["counts"][0])


RAYS = {
    "in the core": ([(105, 53), (106, 53), (107, 54)], 6000.0),
    "in the wings": ([(110, 56), (111, 57)], 900.0),
    "a long trace": ([(97 + k, 50 + k // 2) for k in range(14)], 2500.0),
}


@pytest.mark.parametrize("kind", RAYS)
def test_cosmic_rays_are_found_and_left_out(kind):
    pixels, charge = RAYS[kind]
    clean = [counts(n) for n in range(1, 7)]
    hit = [c.copy() for c in clean]
    for c in hit[2:]:
        for x, y in pixels:
            c[at(x, y)] += charge
    truth, _, _ = reduce([frame(c, n) for n, c in enumerate(clean, 1)])
    left_in, _, _ = reduce([frame(c, n) for n, c in enumerate(hit, 1)])
    rows, _, _ = reduce([frame(c, n) for n, c in enumerate(hit, 1)], **{"pixels.cosmic_rays": True})
    assert (off(left_in, truth)[2:] > 4.0).all()
    assert np.abs(off(rows, truth)).max() < 2.5
    flags = of(rows, "s")["flag"] & SPOILT
    assert (flags[:2] == 0).all()
    assert (flags[2:] == int(Flag.BAD_PIXELS | Flag.COSMIC_RAY)).all()
    assert (of(rows, "r")["flag"] & SPOILT == 0).all()


def strange(x0, y0, flux):
    """No Moffat profile: a sharp core, wide wings, elongated."""
    return light(x0, y0, 0.3 * flux, 3.4, 30.0, 1.08) + light(x0, y0, 0.7 * flux, 6.5, 2.2, 1.08)


@pytest.mark.parametrize("flux", [4e3, 6e4, 6e5])
def test_a_star_of_another_profile_raises_no_alarm(flux):
    rng = np.random.default_rng(2)
    frames = [frame(counts(n, rng.uniform(-0.5, 0.5, 2), strange, s=flux), n) for n in range(1, 41)]
    with_rays, _, _ = reduce(frames, **{"pixels.cosmic_rays": True})
    without, _, _ = reduce(frames)
    assert (with_rays["flag"] & SPOILT == 0).all()
    assert with_rays.tobytes() == without.tobytes()  # looking for them changes nothing else


def test_a_blend_is_no_ray():
    blended = counts() + light(109.1, 55.2, 3e4)
    rows, _, _ = reduce([frame(blended)], **{"pixels.cosmic_rays": True})
    assert (rows["flag"] & SPOILT == 0).all()


def test_hot_pixels_are_neither_stars_nor_the_peak():
    clean = counts(shift=(4.0, -4.0))
    damaged = clean.copy()
    hot = [point(x, y) for x in (40, 41, 42) for y in (52, 53, 54)]
    for d in hot:
        damaged[at(int(d.x1), int(d.y1))] = 65_000.0
    wrong, _, _ = reduce([frame(damaged)])
    right, _, _ = reduce([frame(damaged)], hot)
    truth, _, _ = reduce([frame(clean)])
    assert abs(of(right, "r")["x"][0] - STARS["r"][0] - 4.0) < 0.05
    assert not abs(off(wrong, truth, "r")[0]) < 100.0
    assert abs(off(right, truth, "r")[0]) < 2.0
    assert of(wrong, "r")["flag"][0] & int(Flag.TARGET_SATURATED)
    assert of(right, "r")["flag"][0] & int(Flag.TARGET_SATURATED) == 0
    assert of(right, "r")["peak"][0] == of(truth, "r")["peak"][0]  # of what can be trusted


def test_a_fit_may_start_on_a_bad_pixel():
    damaged = counts()
    damaged[at(105, 53)] = -400.0
    truth, _, _ = reduce([frame(counts())])
    rows, _, _ = reduce([frame(damaged)], [point(105, 53)])
    assert np.isfinite(of(rows, "s")["xe"][0])
    assert abs(off(rows, truth)[0]) < 2.0


def test_pixels_that_a_flat_makes_useless_are_left_out():
    flat = np.ones((GEOMETRY.ny, GEOMETRY.nx), np.float32)
    flat[at(104, 55)], flat[at(88, 50)] = 0.0, np.nan
    masters = Masters(flat=frame(flat))
    rows, _, _ = reduce([frame(counts())], masters=masters, **{"pixels.cosmic_rays": True})
    truth, _, _ = reduce([frame(counts())])
    assert abs(off(rows, truth)[0]) < 1.0
    assert of(rows, "s")["flag"][0] & SPOILT == int(Flag.BAD_PIXELS)


def test_what_is_left_out_does_not_depend_on_how_a_run_is_cut():
    frames = []
    for n in range(1, 9):
        c = np.minimum(counts(n, (0.4 * n, 0.1 * n), s=3.2e6), FULL)
        c[at(110, 56)] += 5000.0 * (n % 3)
        frames.append(frame(c, n))
    changes = {"pixels.saturated": True, "pixels.cosmic_rays": True, "pixels.defects": "bad.dft"}
    masters = Masters(defects={"1": [COLUMN]})
    whole, _, _ = Reducer(recipe(**changes), APERTURES, masters).reduce_range(frames)
    parts, state = [], None
    for cut in (slice(0, 3), slice(3, 4), slice(4, 8)):
        rows, state, _ = Reducer(recipe(**changes), APERTURES, masters).reduce_range(frames[cut], state)
        parts.append(rows)
    assert whole.tobytes() == np.concatenate(parts).tobytes()
    assert (whole["flag"] & SPOILT > 0).any()


def test_bad_pixels_that_are_named_must_be_given():
    with pytest.raises(BadInput, match=r"bad\.dft for its defects"):
        Reducer(recipe(**{"pixels.defects": "bad.dft"}), APERTURES, Masters())
