"""Kernels of the simulation against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from roque.simulation.layout import patches, word_order
from roque.simulation.plan import WindowPlan
from roque.simulation.render import add_stars, describe, sum_bins

WINDOWS = (WindowPlan(xs=(100, 110, 120, 130), ys=50, nx=24, ny=36),)


def reference(patch, flat, stars, fwhm, beta):
    """Every unbinned pixel sampled 3 x 3, within 8 FWHM of each star."""
    g = patch.geometry
    x = g.llx + np.arange(g.nx * g.xbin)
    y = g.lly + np.arange(g.ny * g.ybin)
    field = flat[patch.flat_start : patch.flat_start + x.size * y.size].reshape(y.size, x.size)
    total = np.zeros((y.size, x.size))
    for sx, sy, electrons in stars:
        value = np.zeros_like(total)
        for a in (-1 / 3, 0, 1 / 3):
            for b in (-1 / 3, 0, 1 / 3):
                r2 = (x + a - sx)[None, :] ** 2 + (y + b - sy)[:, None] ** 2
                if np.isinf(beta):
                    s = fwhm / np.sqrt(8 * np.log(2))
                    value += np.exp(-r2 / (2 * s * s)) / (2 * np.pi * s * s) / 9
                else:
                    a2 = fwhm**2 / (4 * (2 ** (1 / beta) - 1))
                    value += (beta - 1) / (np.pi * a2) * (1 + r2 / a2) ** -beta / 9
        near = (np.abs(x - sx)[None, :] <= 8 * fwhm) & (np.abs(y - sy)[:, None] <= 8 * fwhm)
        total += np.where(near, electrons * value, 0.0)
    total *= field
    return total.reshape(g.ny, g.ybin, g.nx, g.xbin).sum(axis=(1, 3))


@pytest.mark.parametrize("beta", [2.5, 4.0, np.inf])
@pytest.mark.parametrize("binning", [(1, 1), (2, 3)])
def test_stars_agree_with_plain_numpy(beta, binning):
    layout = patches(WINDOWS, *binning)
    last = layout[-1].geometry
    size = layout[-1].start + last.nx * last.ny
    rng = np.random.default_rng(1)
    flat = (1 + 0.02 * rng.standard_normal(20 * 24 * 36)).astype(np.float32)
    stars = np.array([[[113.2, 64.7, 1000.0], [2.0, 64.0, 5e4], [120.4, 990.0, 300.0]]] * 5)
    fwhm = np.array([3.0, 3.5, 4.0, 4.5, 5.0])
    expected = np.zeros(size)
    add_stars(expected, describe(layout), flat, stars, fwhm, beta)
    for patch in layout:
        g = patch.geometry
        ours = expected[patch.start : patch.start + g.nx * g.ny].reshape(g.ny, g.nx)
        # beyond two FWHM pixels are sampled once instead of nine times: some per cent of the little light there
        np.testing.assert_allclose(ours, reference(patch, flat, stars[patch.ccd], fwhm[patch.ccd], beta), rtol=0.05, atol=1e-3)


def test_sums_in_bins_agree_with_plain_numpy():
    layout = patches(WINDOWS, 2, 3)
    values = np.random.default_rng(2).random(20 * 24 * 36).astype(np.float32)
    summed = sum_bins(values, describe(layout), 20 * 12 * 12)
    for patch in layout:
        block = values[patch.flat_start : patch.flat_start + 24 * 36].reshape(12, 3, 12, 2).sum(axis=(1, 3), dtype=float)
        np.testing.assert_allclose(summed[patch.start : patch.start + 144], block.ravel(), rtol=1e-12)


def test_every_pixel_has_its_own_word():
    order = word_order(patches((*WINDOWS, *WINDOWS), 1, 1))
    np.testing.assert_array_equal(np.sort(order), np.arange(2 * 20 * 24 * 36))
