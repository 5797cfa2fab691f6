"""Profile fits against scipy's least_squares, which runs MINPACK's lmder."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import least_squares

from roque.photometry.kernels import outcome as o
from roque.photometry.kernels.fit import FitSettings, fit_star, make_fit_memory
from roque.photometry.kernels.profiles import GAUSSIAN, MOFFAT

XFIRST, YFIRST = 100.0, 200.0
READOUT, GAIN = 4.2, 1.1
CASES = list(itertools.product((GAUSSIAN, MOFFAT), (0, 3), ((1, 1), (2, 3))))


def offsets(ndiv, nbin):
    if ndiv == 0:
        return [0.0]
    return [i - (nbin - 1) / 2 - (ndiv - 1) / (2 * ndiv) + k / ndiv for i in range(nbin) for k in range(ndiv)]


def point_derivatives(method, p, dx, dy):
    """P and its derivatives by x, y, fwhm, beta."""
    r2 = dx**2 + dy**2
    if method == GAUSSIAN:
        a = 4.0 * np.log(2.0) / p[4] ** 2
        P = np.exp(-a * r2)
        return np.array([P, 2 * a * P * dx, 2 * a * P * dy, 2 * a * P * r2 / p[4], 0 * P])
    b = max(0.01, p[5])
    root = 2.0 ** (1.0 / b)
    a = 4.0 * (root - 1.0) / p[4] ** 2
    u = 1.0 + a * r2
    P = u**-b
    dadb = -4.0 * root * np.log(2.0) / (b * p[4]) ** 2
    slope = 2.0 * a * b * P / u
    return np.array([P, slope * dx, slope * dy, slope * r2 / p[4], -P * (np.log(u) + b * r2 / u * dadb)])


def model_and_jacobian(method, ndiv, binning, p, x, y):
    points = [
        point_derivatives(method, p, x + xoff - p[2], y + yoff - p[3])
        for yoff in offsets(ndiv, binning[1])
        for xoff in offsets(ndiv, binning[0])
    ]
    P, *rest = np.mean(points, axis=0)
    jacobian = np.array([np.ones_like(P), P, *(p[1] * d for d in rest)])
    return p[0] + p[1] * P, jacobian[: 6 if method == MOFFAT else 5]


def star(method, ndiv, binning, height, seed, *, true=(4.5, 3.5)):
    """A star in noise: counts, pixel centres, errors, and a start beside the truth."""
    rng = np.random.default_rng(seed)
    nx, ny = 37 // binning[0], 37 // binning[1]
    x, y = np.meshgrid(XFIRST + binning[0] * np.arange(nx), YFIRST + binning[1] * np.arange(ny))
    centre = XFIRST + binning[0] * (nx - 1) / 2 + rng.normal(), YFIRST + binning[1] * (ny - 1) / 2 + rng.normal()
    clean, _ = model_and_jacobian(method, ndiv, binning, np.array([60.0, height, *centre, *true]), x, y)
    counts = (rng.poisson(clean * GAIN) / GAIN + rng.normal(0.0, READOUT, clean.shape)).astype(np.float32)
    sigma = np.sqrt(READOUT**2 + np.maximum(0.0, counts) / GAIN)
    sky = np.median(counts)
    start = np.array([sky, counts.max() - sky, centre[0] + 0.4, centre[1] - 0.4, 5.0, 5.0])
    return counts, x, y, sigma, start


def circle(x, y):
    half = min(np.ptp(x), np.ptp(y)) / 2
    return np.hypot(x - x.mean(), y - y.mean()) < 1.01 * half


def fit(method, ndiv, binning, counts, start, *, fwhm_min=1.5, beta_max=20.0, threshold=8.0, fwhm_fixed=False):
    ny, nx = counts.shape
    memory = make_fit_memory(counts.size, max(1, ndiv) * max(binning))
    memory.start[:] = start
    settings = FitSettings(method, ndiv, fwhm_fixed, fwhm_min, beta_max, threshold)
    R, G = np.full(counts.size, READOUT, np.float32), np.full(counts.size, GAIN, np.float32)
    flat = counts.ravel()
    status = fit_star(settings, flat, flat, R, G, np.zeros(flat.size, np.uint8), XFIRST, YFIRST, *binning, nx, ny, memory)
    return status, memory.parameters.copy(), memory.errors.copy()


def reference_fit(method, ndiv, binning, counts, x, y, sigma, start, used, held=None):
    """Least squares by scipy over the used pixels; `held` gives parameters that don't vary."""
    values = start.copy()
    for index, value in (held or {}).items():
        values[index] = value
    free = [j for j in range(6 if method == MOFFAT else 5) if j not in (held or {})]

    def full(q):
        p = values.copy()
        p[free] = q
        return p

    def residuals(q):
        return ((counts - model_and_jacobian(method, ndiv, binning, full(q), x, y)[0]) / sigma)[used]

    def jacobian(q):
        return -(model_and_jacobian(method, ndiv, binning, full(q), x, y)[1][free] / sigma)[:, used].T

    result = least_squares(residuals, values[free], jac=jacobian, method="lm")
    scale = np.sqrt(2.0 * result.cost / used.sum())
    errors = np.full(6, -1.0)
    errors[free] = scale * np.sqrt(np.diag(np.linalg.inv(result.jac.T @ result.jac)))
    return full(result.x), errors, result, scale


@pytest.mark.parametrize(("method", "ndiv", "binning"), CASES)
@pytest.mark.parametrize("height", [400.0, 2000.0, 30000.0])
def test_fits_end_where_scipys_do(method, ndiv, binning, height):
    for seed in range(3):
        counts, x, y, sigma, start = star(method, ndiv, binning, height, seed)
        status, p, errors = fit(method, ndiv, binning, counts, start)
        expected, expected_errors, _, _ = reference_fit(method, ndiv, binning, counts, x, y, sigma, start, circle(x, y))
        n = 6 if method == MOFFAT else 5
        assert status == o.OK
        np.testing.assert_array_less(np.abs(p - expected)[:n] / expected_errors[:n], 2e-6)
        np.testing.assert_allclose(errors[:n], expected_errors[:n], rtol=2e-6)
        assert (p[5], errors[5]) == (0.0, -1.0) or method == MOFFAT


@pytest.mark.parametrize(("method", "threshold"), [(GAUSSIAN, 6.0), (MOFFAT, 3.5)])
def test_cosmic_rays_are_rejected_and_the_fit_begins_again(method, threshold):
    counts, x, y, sigma, start = star(method, 0, (1, 1), 3000.0, 4)
    for j, i in ((10, 12), (20, 25), (18, 19)):
        counts[j, i] += 5000.0
    counts[24, 16] += 240.0
    sigma = np.sqrt(READOUT**2 + np.maximum(0.0, counts) / GAIN)
    used = circle(x, y)
    first = True
    passes = 0
    while True:
        expected, expected_errors, _, scale = reference_fit(method, 0, (1, 1), counts, x, y, sigma, start, used)
        residuals = np.abs(counts - model_and_jacobian(method, 0, (1, 1), expected, x, y)[0]) / sigma
        factor = 2.0 if first or method == MOFFAT else 1.0
        rejected = used & (residuals > factor * threshold * scale)
        passes += 1
        if not rejected.any() and not first:
            break
        used &= ~rejected
        first = False
    status, p, errors = fit(method, 0, (1, 1), counts, start, threshold=threshold)
    n = 6 if method == MOFFAT else 5
    assert status == o.OK
    assert passes >= 3
    assert circle(x, y).sum() - used.sum() >= 3
    np.testing.assert_array_less(np.abs(p - expected)[:n] / expected_errors[:n], 2e-6)
    np.testing.assert_allclose(errors[:n], expected_errors[:n], rtol=2e-6)


def test_beta_beyond_its_limit_is_held_there():
    counts, x, y, sigma, start = star(GAUSSIAN, 0, (1, 1), 2000.0, 6)  # a Moffat's limit
    status, p, errors = fit(MOFFAT, 0, (1, 1), counts, start)
    expected, expected_errors, _, _ = reference_fit(MOFFAT, 0, (1, 1), counts, x, y, sigma, start, circle(x, y), {5: 20.0})
    assert status == o.OK
    assert (p[5], errors[5]) == (20.0, -1.0)
    np.testing.assert_array_less(np.abs(p - expected)[:5] / expected_errors[:5], 2e-6)


def test_a_width_below_its_limit_is_held_there():
    counts, x, y, sigma, start = star(GAUSSIAN, 0, (1, 1), 2000.0, 7, true=(2.2, 0.0))
    status, p, errors = fit(GAUSSIAN, 0, (1, 1), counts, start, fwhm_min=3.0, threshold=1e6)
    expected, expected_errors, _, _ = reference_fit(GAUSSIAN, 0, (1, 1), counts, x, y, sigma, start, circle(x, y), {4: 3.0})
    assert status == o.OK
    assert (p[4], errors[4]) == (3.0, -1.0)
    np.testing.assert_array_less(np.abs(p - expected)[:4] / expected_errors[:4], 2e-6)


def test_a_fixed_width_stays_where_it_started():
    counts, x, y, sigma, start = star(MOFFAT, 0, (1, 1), 2000.0, 8)
    status, p, errors = fit(MOFFAT, 0, (1, 1), counts, start, fwhm_fixed=True)
    expected, expected_errors, _, _ = reference_fit(MOFFAT, 0, (1, 1), counts, x, y, sigma, start, circle(x, y), {4: 5.0})
    assert status == o.OK
    assert (p[4], errors[4]) == (5.0, -1.0)
    np.testing.assert_array_less((np.abs(p - expected) / expected_errors)[[0, 1, 2, 3, 5]], 2e-6)


def test_a_start_that_is_too_narrow_fails():
    counts, _, _, _, start = star(MOFFAT, 0, (1, 1), 2000.0, 9)
    start[4] = 1.4
    assert fit(MOFFAT, 0, (1, 1), counts, start)[0] == o.FIT_NARROW_START


def test_pixels_that_are_not_finite_fail():
    counts, _, _, _, start = star(MOFFAT, 0, (1, 1), 2000.0, 9)
    counts[18, 18] = np.nan
    assert fit(MOFFAT, 0, (1, 1), counts, start)[0] == o.FIT_NOT_FINITE


def test_a_box_of_too_few_pixels_fails():
    counts, _, _, _, start = star(MOFFAT, 0, (1, 1), 2000.0, 9)
    assert fit(MOFFAT, 0, (1, 1), np.ascontiguousarray(counts[17:20, 17:19]), start)[0] == o.FIT_FEW_PIXELS


def test_nothing_to_fit_fails_within_the_evaluations_allowed():
    rng = np.random.default_rng(3)
    failed = 0
    for _ in range(40):
        counts = rng.normal(60.0, READOUT, (37, 37)).astype(np.float32)
        start = np.array([np.median(counts), counts[18, 18] - np.median(counts), 118.0, 218.0, 5.0, 5.0])
        failed += fit(MOFFAT, 0, (1, 1), counts, start)[0] != o.OK
    assert failed > 0
