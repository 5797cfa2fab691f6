"""Shape of a simulated eclipse and the fit of it."""

from __future__ import annotations

import numpy as np
import pytest

from roque.errors import BadInput
from roque.simulation import Eclipse, eclipse_flux, fit_eclipse

SHAPE = {"depth": 0.4, "width": 200.0, "ingress": 18.0}


def instantaneous(t, depth, width, ingress):
    edge = width / 2
    return 1 - depth * (np.tanh((edge + t) / ingress) + np.tanh((edge - t) / ingress)) / (2 * np.tanh(edge / ingress))


def light_curve(rng, sigma, mid, n=360):
    times = 61113.9 + np.arange(n) * 2.15 / 86400
    exposures = np.full(n, 2.14)
    flux = 0.25 * eclipse_flux((times - mid) * 86400, exposures, **SHAPE)
    errors = sigma * flux**0.5
    return times, exposures, flux + errors * rng.standard_normal(n), errors


def test_flux_is_the_mean_over_the_exposure_of_the_smooth_box():
    for t in (-130.0, -100.0, -60.0, 0.0, 95.0, 400.0):
        sub = t + 30.0 * (np.arange(20000) + 0.5) / 20000 - 15.0
        assert eclipse_flux(t, 30.0, **SHAPE) == pytest.approx(instantaneous(sub, **SHAPE).mean(), abs=1e-9)


def test_depth_is_lost_at_the_centre_half_of_it_at_the_edges_and_nothing_far_away():
    flux = eclipse_flux([0.0, 100.0, -100.0, 5000.0], 1e-3, **SHAPE)
    np.testing.assert_allclose(flux, [0.6, 0.8, 0.8, 1.0], atol=1e-5)


def test_an_eclipse_is_placed_by_its_mid_time_in_two_parts():
    eclipse = Eclipse(mid_int=61113, mid_frac=0.99, **SHAPE)
    flux = eclipse.flux(np.array([61113, 61114]), np.array([0.99, -0.01 + 100.0 / 86400]), 1e-3)
    np.testing.assert_allclose(flux, [0.6, 0.8], atol=1e-5)


def test_pulls_of_a_hundred_light_curves_have_rms_one():
    pulls, chi2 = [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        mid = 61113.9 + rng.uniform(350, 420) / 86400
        fit = fit_eclipse(*light_curve(rng, 0.006, mid))
        pulls.append(((fit.depth - SHAPE["depth"]) / fit.depth_error, (fit.mid - mid) * 86400 / fit.mid_error))
        chi2.append(fit.reduced_chi2)
    rms = np.sqrt(np.mean(np.square(pulls), axis=0))
    assert np.all((rms > 0.8) & (rms < 1.2)), rms
    assert np.mean(chi2) == pytest.approx(1.0, abs=0.03)


def test_errors_agree_with_the_normal_matrix_of_scipy():
    from scipy.optimize import curve_fit

    rng = np.random.default_rng(3)
    mid = 61113.9 + 390 / 86400
    times, exposures, values, errors = light_curve(rng, 0.006, mid)
    seconds = (times - times[0]) * 86400

    def model(t, level, depth, middle, width, ingress):
        return level * eclipse_flux(t - middle, exposures, depth=depth, width=width, ingress=ingress)

    start = (0.25, 0.4, 390.0, 200.0, 18.0)
    best, covariance = curve_fit(model, seconds, values, start, errors, absolute_sigma=True, xtol=1e-12, ftol=1e-12)
    fit = fit_eclipse(times, exposures, values, errors)
    assert fit.depth == pytest.approx(best[1], abs=1e-3 * fit.depth_error)
    assert (fit.mid - times[0]) * 86400 == pytest.approx(best[2], abs=1e-3 * fit.mid_error + 1e-6)
    assert fit.depth_error == pytest.approx(np.sqrt(covariance[1, 1]), rel=1e-3)
    assert fit.mid_error == pytest.approx(np.sqrt(covariance[2, 2]), rel=1e-3)


def test_points_that_are_not_usable_change_nothing():
    rng = np.random.default_rng(5)
    times, exposures, values, errors = light_curve(rng, 0.006, 61113.9 + 390 / 86400)
    whole = fit_eclipse(times[3:], exposures[3:], values[3:], errors[3:])
    values[0], errors[1], values[2] = np.nan, -1.0, np.inf
    fit = fit_eclipse(times, exposures, values, errors)
    assert fit.points == len(times) - 3
    assert fit.depth == pytest.approx(whole.depth, rel=1e-7)


def test_light_curves_without_an_eclipse_are_refused():
    times = 61113.9 + np.arange(100) * 2.15 / 86400
    with pytest.raises(BadInput, match="no eclipse"):
        fit_eclipse(times, np.full(100, 2.0), np.ones(100), np.full(100, 0.01))
    with pytest.raises(BadInput, match="too few"):
        fit_eclipse(times[:5], np.full(5, 2.0), np.ones(5), np.full(5, 0.01))
