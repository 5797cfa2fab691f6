"""Tables of targets: detection and profile fits against what was put in."""

import numpy as np
import pytest

from roque.frames import Geometry
from roque.photometry.targets import Search, find_targets

STARS = {
    "alone": (40.0, 45.0, 3000.0),
    "pair": (100.0, 40.0, 2500.0),
    "near": (108.0, 40.0, 2000.0),
    "bright": (60.0, 100.0, 9e4),
}
"""Offsets from the corner of the window, and heights."""

FWHM, BETA = 5.0, 4.0


def image(binning=1, size=(140, 150)):
    """Moffat stars in noise on a sky of 100, and the geometry of the window."""
    g = Geometry(11, 21, binning, binning, size[1] // binning, size[0] // binning)
    x, y = np.meshgrid([g.x(i) for i in range(g.nx)], [g.y(j) for j in range(g.ny)])
    counts = np.full(x.shape, 100.0)
    for dx, dy, height in STARS.values():
        r2 = (x - 11 - dx) ** 2 + (y - 21 - dy) ** 2
        counts += height * (1.0 + 4.0 * (2.0 ** (1.0 / BETA) - 1.0) * r2 / FWHM**2) ** -BETA
    return (counts + np.random.default_rng(3).normal(0.0, 5.0, counts.shape)).astype(np.float32), g


def found(binning=1, **values):
    counts, g = image(binning)
    return find_targets(counts, g, Search(thresh=5.0, fwhm=3.0, rmin=15.0, **values), frame=7, window="E1")


def of(targets, name):
    x, y, _ = STARS[name]
    k = np.argmin(np.hypot(targets["x"] - 11 - x, targets["y"] - 21 - y))
    return targets[k]


@pytest.mark.parametrize("binning", [1, 2])
def test_every_star_is_found_where_it_is(binning):
    targets = found(binning)
    assert len(targets) == len(STARS)
    for name, (x, y, _) in STARS.items():
        # first moments of stars that touch lie a little towards each other
        most = 0.7 * binning if name in ("pair", "near") else 0.02
        assert np.hypot(of(targets, name)["x"] - 11 - x, of(targets, name)["y"] - 21 - y) < most
    assert (np.diff(targets["flux"]) <= 0).all()
    assert set(targets["nframe"]) == {7}
    assert set(targets["wnam"]) == {b"E1"}


@pytest.mark.parametrize("binning", [1, 2])
def test_profiles_are_fitted_to_stars_alone_within_the_limits_of_peaks(binning):
    targets = found(binning)
    fitted = {name: of(targets, name)["nfev"] == 1 for name in STARS}
    assert fitted == {"alone": True, "pair": False, "near": False, "bright": False}
    assert of(targets, "alone")["ffwhm"] == pytest.approx(FWHM, rel=0.03 * binning)
    assert of(targets, "alone")["beta"] == pytest.approx(BETA, rel=0.2 * binning)
    assert np.isnan(of(targets, "pair")["ffwhm"])


def test_only_so_many_are_fitted_and_the_brightest_first():
    assert found(pmax=1e6, nmax=1)["nfev"].tolist() == [1, 0, 0, 0]


def test_stars_of_few_pixels_are_left_out():
    assert len(found(minpix=10_000)) == 0


@pytest.mark.parametrize("counts", [np.zeros((20, 20)), np.full((20, 20), np.nan), np.zeros((2, 9))])
def test_a_window_without_noise_or_counts_has_no_targets(counts):
    assert len(find_targets(counts, Geometry(1, 1, 1, 1, *counts.shape[::-1]), Search(), frame=1, window="1")) == 0
