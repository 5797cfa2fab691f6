"""Stars on images made here, pixel by pixel, from known positions, fluxes and widths."""

import math

import numpy as np
import pytest

from roque.frames import Geometry
from roque.photometry.find import APERTURE, _measure, find_stars, typical_fwhm

SKY, NOISE = 120.0, 3.0


def image_of(geometry, stars, *, fwhm, seed=1, noise=NOISE):
    """Gaussian stars (x, y, flux), sampled at 5 x 5 points per unbinned pixel, on a noisy sky."""
    rng = np.random.default_rng(seed)
    n = 5
    x = geometry.llx - 0.5 + (np.arange(geometry.nx * geometry.xbin * n) + 0.5) / n
    y = geometry.lly - 0.5 + (np.arange(geometry.ny * geometry.ybin * n) + 0.5) / n
    sigma = fwhm / math.sqrt(8 * math.log(2))
    fine = np.zeros((len(y), len(x)))
    for x0, y0, flux in stars:
        fine += (
            flux / (2 * math.pi * sigma**2 * n**2) * np.exp(-((x[None, :] - x0) ** 2 + (y[:, None] - y0) ** 2) / (2 * sigma**2))
        )
    binned = fine.reshape(geometry.ny, geometry.ybin * n, geometry.nx, geometry.xbin * n).sum(axis=(1, 3))
    return (binned + SKY + rng.normal(0.0, noise, binned.shape)).astype(np.float32)


def test_positions_widths_and_fluxes_are_those_put_in():
    geometry = Geometry(1001, 51, 1, 1, 120, 100)
    put = [(1030.3, 80.6, 20000.0), (1080.7, 95.2, 8000.0), (1060.0, 130.4, 3000.0)]
    stars = find_stars(image_of(geometry, put, fwhm=4.5), geometry, window="W1").stars
    assert len(stars) == 3
    assert set(stars["window"]) == {"W1"}
    for star, (x, y, flux) in zip(stars, put, strict=True):  # both are in order of brightness
        assert math.hypot(star["x"] - x, star["y"] - y) < 0.1
        assert star["fwhm"] == pytest.approx(4.5, rel=0.08)
        inside = 1.0 - 2.0 ** (-4.0 * APERTURE**2)  # of a Gaussian, in a circle of that many FWHM
        assert star["flux"] == pytest.approx(inside * flux, rel=0.05)
        assert star["edge"] == pytest.approx(geometry.distance(x, y), abs=0.1)
        assert star["elongation"] < 1.2


@pytest.mark.parametrize(("xbin", "ybin"), [(2, 2), (1, 2), (4, 4)])
def test_positions_and_widths_of_binned_images_are_in_unbinned_pixels(xbin, ybin):
    geometry = Geometry(201, 301, xbin, ybin, 200 // xbin, 160 // ybin)
    put = [(260.4, 350.7, 60000.0), (330.2, 400.1, 40000.0)]
    stars = find_stars(image_of(geometry, put, fwhm=9.0), geometry).stars
    assert len(stars) == 2
    for star, (x, y, _) in zip(stars, put, strict=True):
        assert math.hypot(star["x"] - x, star["y"] - y) < 0.15
        # a pixel widens a profile: its variance is 1/12 of its side squared
        wide = math.sqrt(9.0**2 + 8 * math.log(2) * (xbin**2 + ybin**2) / 24)
        assert star["fwhm"] == pytest.approx(wide, rel=0.05)


def test_signal_to_noise_is_that_of_repeated_measurements():
    geometry = Geometry(1, 1, 1, 1, 80, 80)
    found = [find_stars(image_of(geometry, [(40.3, 39.8, 2500.0)], fwhm=4.0, seed=k), geometry, gain=1e9) for k in range(60)]
    fluxes = np.array([field.stars["flux"][0] for field in found])
    assert np.median([f.stars["snr"][0] for f in found]) == pytest.approx(fluxes.mean() / fluxes.std(), rel=0.3)
    assert np.median([field.noise for field in found]) == pytest.approx(NOISE, rel=0.05)


def test_hot_pixels_are_no_stars_even_beside_undersampled_ones():
    geometry = Geometry(1, 1, 1, 1, 150, 150)
    put = [(40.2, 40.4, 5000.0), (100.5, 90.5, 2000.0)]
    image = image_of(geometry, put, fwhm=1.7)
    image[20, 70] += 3000.0
    image[120, 30] += 500.0
    stars = find_stars(image, geometry).stars
    assert len(stars) == 2
    assert np.allclose(stars["x"], [40.2, 100.5], atol=0.15)


def test_a_track_of_a_cosmic_ray_is_no_star():
    geometry = Geometry(1, 1, 1, 1, 100, 100)
    image = image_of(geometry, [(50.0, 50.0, 9000.0)], fwhm=4.0)
    for k in range(12):
        image[20 + k, 20 + k // 3] += 700.0
    stars = find_stars(image, geometry).stars
    assert len(stars) == 1
    assert stars["x"][0] == pytest.approx(50.0, abs=0.1)


@pytest.mark.parametrize("fill", [0.0, 2500.0, math.nan])
def test_an_image_without_contrast_shows_nothing(fill):
    field = find_stars(np.full((40, 50), fill, np.float32), Geometry(1, 1, 1, 1, 50, 40))
    assert len(field.stars) == 0
    assert math.isnan(typical_fwhm(field.stars))


def test_noise_alone_shows_nothing():
    geometry = Geometry(1, 1, 1, 1, 128, 128)
    assert sum(len(find_stars(image_of(geometry, [], fwhm=4.0, seed=k), geometry).stars) for k in range(20)) == 0


def test_pixels_that_are_not_known_do_no_harm():
    geometry = Geometry(1, 1, 1, 1, 100, 100)
    image = image_of(geometry, [(50.0, 50.0, 9000.0)], fwhm=4.0)
    image[:, :12] = np.nan
    image[70, 70] = np.inf
    stars = find_stars(image, geometry).stars
    assert len(stars) == 1


def test_a_window_of_few_pixels_is_no_error():
    geometry = Geometry(1, 1, 1, 1, 3, 50)
    assert len(find_stars(image_of(geometry, [], fwhm=4.0), geometry).stars) == 0


def test_stars_that_touch_are_two():
    geometry = Geometry(1, 1, 1, 1, 100, 100)
    put = [(45.0, 50.0, 20000.0), (55.5, 50.0, 12000.0)]
    stars = find_stars(image_of(geometry, put, fwhm=4.5), geometry).stars
    assert len(stars) == 2
    assert np.allclose(stars["x"], [45.0, 55.5], atol=0.3)


def moments(counts, column, row, xbin, ybin):
    """Centre, FWHM and elongation under a round Gaussian weight, over the whole image: plain numpy."""
    j, i = np.indices(counts.shape)
    x, y, s = float(column), float(row), 1.5 * math.sqrt(xbin * ybin)
    for _ in range(200):
        dx, dy = (i - x) * xbin, (j - y) * ybin
        near = (np.abs(dx) <= 4 * s + xbin) & (np.abs(dy) <= 4 * s + ybin)
        w = np.where(near, np.exp(-(dx**2 + dy**2) / (2 * s**2)) * counts, 0.0)
        w /= w.sum()
        mx, my = (w * dx).sum(), (w * dy).sum()
        xy = (w * dx * dy).sum() - mx * my
        covariance = 2 * np.array([[(w * dx * dx).sum() - mx**2, xy], [xy, (w * dy * dy).sum() - my**2]])
        x, y, s = x + 2 * mx / xbin, y + 2 * my / ybin, math.sqrt(np.trace(covariance) / 2)
    axes = np.linalg.eigvalsh(covariance)
    return x, y, math.sqrt(8 * math.log(2)) * s, math.sqrt(axes[1] / axes[0])


@pytest.mark.parametrize(("xbin", "ybin"), [(1, 1), (2, 1)])
def test_the_compiled_moments_are_those_of_numpy(xbin, ybin):
    geometry = Geometry(1, 1, xbin, ybin, 60 // xbin, 60)
    image = image_of(geometry, [(31.3, 28.8, 30000.0), (33.0, 30.5, 9000.0)], fwhm=5.0, noise=0.0).astype(np.float64) - SKY
    shapes = np.empty((1, 4))
    column, row = round(31.3 / xbin), 28
    _measure(image, np.array([column]), np.array([row]), float(xbin), float(ybin), shapes)
    assert shapes[0] == pytest.approx(moments(image, column, row, xbin, ybin), rel=1e-3)
    assert shapes[0, 3] > 1.02
