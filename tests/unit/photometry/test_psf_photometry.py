"""Photometry by profile fits: single stars, pairs and groups of known flux, near and far, bright and faint."""

from __future__ import annotations

import numpy as np
import pytest

from roque.calibration.apply import Masters
from roque.frames import CCD, Frame, Geometry, Window
from roque.photometry.apertures import Aperture
from roque.photometry.flags import Flag
from roque.photometry.kernels.followed import BETA_A, BETA_ERROR, FWHM_A, FWHM_ERROR, NVALUES
from roque.photometry.kernels.shape import mean_shape
from roque.photometry.recipe import Recipe
from roque.photometry.recipe_sections import Detector, Extraction, PsfPhotometry, Radius, Tracking
from roque.photometry.reduce import Reducer

FWHM, BETA, SKY, NOISE, GAIN = 5.0, 3.0, 60.0, 3.0, 1.4
RADII = (8.0, 16.0, 26.0)
FRAMES = 60
POINTS = 5
REFERENCE = (40.3, 44.8, 400_000.0)  # x, y, flux in ADU


def moffat(x, y, x0, y0, flux):
    a = 4.0 * (2.0 ** (1.0 / BETA) - 1.0) / FWHM**2
    return flux * (BETA - 1.0) * a / np.pi * (1.0 + a * ((x - x0) ** 2 + (y - y0) ** 2)) ** -BETA


def gaussian(x, y, x0, y0, flux):
    a = 4.0 * np.log(2.0) / FWHM**2
    return flux * a / np.pi * np.exp(-a * ((x - x0) ** 2 + (y - y0) ** 2))


def frames(stars, number=FRAMES, *, profile=moffat, binning=1, seed=1, wander=0.6):
    """Frames of a field that wanders, with photon and read noise; five points a pixel and axis are summed, as light does."""
    rng = np.random.default_rng(seed)
    g = Geometry(1, 1, binning, binning, 150 // binning, 90 // binning)
    points = (np.arange(POINTS) + 0.5) / POINTS - 0.5
    x = g.llx + (g.xbin - 1) / 2 + g.xbin * (np.arange(g.nx)[:, None] + points).ravel()
    y = g.lly + (g.ybin - 1) / 2 + g.ybin * (np.arange(g.ny)[:, None] + points).ravel()
    xx, yy = np.meshgrid(x, y)
    for n in range(1, number + 1):
        dx, dy = rng.normal(0.0, wander, 2)
        light = sum(profile(xx, yy, x0 + dx, y0 + dy, flux) for x0, y0, flux in stars)
        light = light.reshape(g.ny, POINTS, g.nx, POINTS).mean((1, 3)) * binning**2
        counts = rng.poisson(GAIN * (light + SKY)) / GAIN + rng.normal(0.0, NOISE, light.shape)
        window = Window(g, counts.astype(np.float32))
        yield Frame({"1": CCD({"A": window}, 150, 90, mjd_int=61000, mjd_frac=0.2 + n / 1e4, exposure=1.0)}, n)


def recipe(*, method="moffat", **psf):
    line = Extraction(
        target=Radius(factor=1.7, least=4.0, greatest=12.0),
        inner_sky=Radius(factor=3.0, least=16.0, greatest=18.0),
        outer_sky=Radius(factor=4.0, least=26.0, greatest=28.0),
    )
    tracking = Tracking(
        search_half_width=6.0, search_smooth_fwhm=4.0, fit_method=method, fit_fwhm=5.5, fit_fwhm_min=1.5, fit_fwhm_max=50.0,
        fit_half_width=14.0, fit_max_shift=5.0, fit_diff=2.0, fit_ndiv=4,
    )  # fmt: skip
    detector = Detector(readout=NOISE, gain=GAIN, nonlinear=50000.0, saturation=60000.0)
    return Recipe(
        apertures=tracking,
        extraction={"1": line},
        detectors={"1": detector},
        psf_photom=PsfPhotometry(use_psf=True, fit_half_width=12.0, gfac=5.0, psf_model=method, **psf),
    )


def measured(stars, settings, *, astray=0.0, **options):
    """Rows by label: 'r' the reference, then '1', '2' ..., which follow it, placed wrong by `astray` pixels."""
    x, y, _ = REFERENCE
    apertures = {"r": Aperture(x, y, *RADII, ref=True)}
    for k, (x0, y0, _) in enumerate(stars, 1):
        apertures[str(k)] = Aperture(x0 + astray, y0 - astray, *RADII, link="r")
    rows, _, _ = Reducer(settings, {"1": apertures}, Masters()).reduce_range(frames([REFERENCE, *stars], **options))
    return {label: rows[rows["aperture"] == label] for label in apertures}


def check(rows, flux, *, most=0.01):
    """Bias and scatter of a star by its own errors; what is left of systematics is a share of the flux."""
    counts, errors = rows["counts"], rows["countse"]
    assert not np.any(rows["flag"] & int(Flag.NO_EXTRACTION))
    pulls = (counts - flux) / errors
    assert abs(counts.mean() - flux) < 3.5 * errors.mean() / np.sqrt(len(rows)) + most * flux
    assert 0.7 < pulls.std() < 1.35


@pytest.mark.parametrize(("method", "profile"), [("moffat", moffat), ("gaussian", gaussian)])
@pytest.mark.parametrize("background", ["fixed", "free"])
def test_a_single_star_has_the_flux_it_was_made_with(method, profile, background):
    star = (100.2, 40.6, 30_000.0)
    rows = measured([star], recipe(method=method, background=background), profile=profile)
    check(rows["1"], star[2])
    reference = rows["r"]["counts"]  # its errors are those of ratios: what the shape does to all stars alike is not in them
    assert abs(reference.mean() - REFERENCE[2]) < 0.01 * REFERENCE[2]
    assert reference.std() < 2.0 * rows["r"]["countse"].mean()


@pytest.mark.parametrize("magnitudes", [0.0, 2.0, 4.0])
@pytest.mark.parametrize("separation", [1.0, 1.5, 2.0, 4.0])
def test_both_stars_of_a_pair_have_theirs(separation, magnitudes):
    bright = (100.2, 40.6, 100_000.0)
    angle = 0.7
    x, y = 100.2 + separation * FWHM * np.cos(angle), 40.6 + separation * FWHM * np.sin(angle)
    faint = (x, y, 100_000.0 * 10.0 ** (-0.4 * magnitudes))
    rows = measured([bright, faint], recipe())
    check(rows["1"], bright[2])
    # what the shape lacks of the bright star's light falls to the faint one
    share = 0.004 if separation < 2.0 else 0.001
    counts = rows["2"]["counts"]
    assert abs(counts.mean() - faint[2]) < 3.5 * counts.std() / np.sqrt(FRAMES) + 0.01 * faint[2] + share * bright[2]
    assert rows["2"]["countse"].mean() < 1.4 * counts.std()


def test_errors_are_those_of_ratios_also_for_the_star_that_makes_the_shape():
    # the shape comes from the reference alone: how well it is known changes the fluxes of all stars by one factor
    bright = (100.2, 40.6, 350_000.0)
    rows = measured([bright], recipe(), number=240)
    reference, star = rows["r"], rows["1"]
    ratio = reference["counts"] / star["counts"]
    error = ratio * np.hypot(reference["countse"] / reference["counts"], star["countse"] / star["counts"])
    chi = np.sum(((ratio - ratio.mean()) / error) ** 2) / (len(ratio) - 1)
    assert abs(chi - 1.0) < 3.0 * np.sqrt(2.0 / len(ratio))
    common = np.corrcoef(reference["counts"], star["counts"])[0, 1]
    assert common > 0.3
    assert reference["counts"].std() > 1.2 * reference["countse"].mean()


def test_the_fit_of_a_faint_star_with_wide_wings_does_not_make_the_shape():
    values = np.full((3, NVALUES), np.nan)
    values[0, [FWHM_A, FWHM_ERROR, BETA_A, BETA_ERROR]] = 5.0, 0.02, 3.0, 0.05  # bright
    values[1, [FWHM_A, FWHM_ERROR, BETA_A, BETA_ERROR]] = 4.0, 0.5, 1.01, 0.03  # faint
    ccd = np.array([4.9, 1.5, 5.0, 3.0])
    fwhm, beta = mean_shape(False, values, ccd)
    assert fwhm == pytest.approx(5.0, abs=0.01)
    assert beta == pytest.approx(3.0, abs=0.2)
    assert mean_shape(True, values, ccd) == (4.9, 1.5)  # in parity as logs have it


def test_without_a_fit_the_shape_is_that_of_the_frame():
    nothing = np.full((2, NVALUES), np.nan)
    assert mean_shape(False, nothing, np.array([-1.0, -1.0, 5.0, 3.0])) == (-1.0, -1.0)
    assert np.isnan(mean_shape(False, nothing, np.array([np.nan, np.nan, 5.0, 3.0]))).all()


def test_apertures_measure_both_stars_together_where_fits_do_not():
    pair = [(100.2, 40.6, 100_000.0), (107.0, 42.0, 15_000.0)]
    by_fit = measured(pair, recipe(), number=20)["2"]["counts"].mean()
    by_aperture = measured(pair, recipe().changed({"psf_photom.use_psf": False}), number=20)["2"]["counts"].mean()
    assert abs(by_fit - 15_000.0) < 1_000.0
    assert by_aperture > 40_000.0


def test_places_that_are_fitted_find_stars_that_were_placed_wrong():
    pair = [(100.2, 40.6, 100_000.0), (109.0, 44.0, 50_000.0)]
    wrong = measured(pair, recipe(), astray=0.7, number=30)
    right = measured(pair, recipe(positions="variable"), astray=0.7, number=30)
    assert abs(wrong["1"]["counts"].mean() / 100_000.0 - 1.0) > 0.005
    for label, (x, _, flux) in zip("12", pair, strict=True):
        check(right[label], flux)
        offset = right[label]["x"] - right["r"]["x"] - (x - REFERENCE[0])
        assert abs(offset.mean()) < 0.05
        assert 0.8 < np.std(offset / right[label]["xe"]) < 1.5


def test_what_is_known_of_places_keeps_a_faint_star_from_its_neighbour():
    pair = [(100.2, 40.6, 100_000.0), (105.0, 43.0, 1_500.0)]
    free = measured(pair, recipe(positions="variable"))["2"]
    tied = measured(pair, recipe(positions="variable", position_error=0.05))["2"]
    spread = np.nanstd(free["x"] - np.nanmean(free["x"]))
    assert np.std(tied["x"] - tied["x"].mean()) < spread or np.isnan(free["counts"]).any()
    assert abs(np.median(tied["counts"]) - 1_500.0) < 600.0


def test_a_group_of_five_is_taken_apart():
    group = [
        (95.0, 40.0, 50_000.0),
        (102.0, 43.0, 20_000.0),
        (104.0, 35.0, 30_000.0),
        (93.0, 32.0, 10_000.0),
        (110.0, 41.0, 5_000.0),
    ]
    rows = measured(group, recipe())
    for label, (_, _, flux) in zip("12345", group, strict=True):
        check(rows[label], flux, most=0.02)


@pytest.mark.parametrize("binning", [2, 3])
def test_binned_pixels_hold_the_same_light(binning):
    pair = [(100.2, 40.6, 60_000.0), (109.0, 44.0, 20_000.0)]
    wider = {"apertures.fit_half_width": 7.0 * binning, "apertures.search_half_width": 4.0 * binning}
    rows = measured(pair, recipe().changed({"psf_photom.fit_half_width": 12.0 / binning, **wider}), binning=binning)
    check(rows["1"], 60_000.0)
    check(rows["2"], 20_000.0, most=0.03)


def test_without_a_width_there_is_no_flux_and_a_flag_says_why():
    rows = measured([(100.2, 40.6, 30_000.0)], recipe().changed({"apertures.fit_height_min_ref": 1e7}), number=3)
    assert np.isnan(rows["1"]["counts"]).all()
    assert (rows["1"]["flag"] & int(Flag.NO_FWHM) != 0).all()


def test_a_star_at_the_edge_is_flagged_and_one_outside_every_window_not_extracted():
    rows = measured([(147.0, 40.0, 30_000.0), (400.0, 40.0, 30_000.0)], recipe(), number=3, wander=0.0)
    assert (rows["1"]["flag"] & int(Flag.TARGET_AT_EDGE) != 0).all()
    assert np.isfinite(rows["1"]["counts"]).all()
    assert (rows["2"]["flag"] & int(Flag.NO_EXTRACTION) != 0).all()
    assert np.isnan(rows["2"]["counts"]).all()
