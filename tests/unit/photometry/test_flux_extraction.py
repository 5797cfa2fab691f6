"""Extraction against a plain numpy version of the same definitions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from roque.photometry.flags import Flag
from roque.photometry.kernels.extraction import ExtractionSettings, extract, make_extraction_memory, resize
from roque.photometry.kernels.windows import Patch

XBIN, YBIN, NX, NY = 2, 1, 30, 55
XFIRST, YFIRST = 101.5, 200.0  # centre of the first pixel


def settings(**changes):
    values = {
        "resize": True,
        "optimal": False,
        "normalised": False,
        "radii": np.array([[1.8, 3.0, 9.0], [2.5, 12.0, 13.0], [3.0, 19.0, 20.0]]),
        "clipped": True,
        "variance": True,
        "threshold": 2.5,
        "nonlinear": 50000.0,
        "saturation": 60000.0,
        "ndiv": 0,
        "further": np.zeros(0),
        "rays": False,
    }
    return ExtractionSettings(**(values | changes))


@pytest.fixture(scope="module")
def patch():
    """A star of 2000 counts on a sky of 60, read with a bias of 300, in float32 as always."""
    rng = np.random.default_rng(1)
    x, y = grid()
    light = 60.0 + 2000.0 * np.exp(-((x - 130.3) ** 2 + (y - 227.6) ** 2) / 2.0 / 2.0**2)
    deb = rng.poisson(light).astype(np.float32) + rng.normal(0.0, 3.0, light.shape).astype(np.float32)
    flat = rng.normal(1.0, 0.02, light.shape).astype(np.float32)
    planes = (deb + 300.0, deb, deb / flat, np.float32(3.0) / flat, np.float32(1.2) * flat)
    return Patch(*(np.ascontiguousarray(plane, np.float32).ravel() for plane in planes), np.zeros(NX * NY, np.uint8))


def grid():
    return np.meshgrid(XFIRST + XBIN * np.arange(NX), YFIRST + YBIN * np.arange(NY))


def measure(s, patch, x, y, radii, *, mask=(), extra=(), mfwhm=4.7, mbeta=-1.0):
    memory = make_extraction_memory(NX * NY, 8, np.dtype(np.float32))
    arrays = np.array(mask, float).reshape(-1, 3), np.array(extra, float).reshape(-1, 2)
    extract(s, patch, XFIRST, YFIRST, XBIN, YBIN, NX, NY, x, y, np.array(radii, float), *arrays, mfwhm, mbeta, memory)
    return memory.result[:4].copy(), memory.numbers.copy()


def reference(s, patch, x0, y0, radii, *, mask=(), extra=(), mfwhm=4.7, mbeta=-1.0):
    """Counts, error, sky, its error, sky pixels, peak: as the specification has it, with numpy."""
    raw, deb, proc, R, G = (plane.reshape(NY, NX) for plane in patch[:5])
    x, y = grid()
    dx, dy = x - x0, y - y0
    r = np.hypot(dx, dy)
    rtarg, rsky1, rsky2 = radii
    sky = (r > rsky1) & (r < rsky2)
    for mx, my, mr in mask:
        sky &= np.hypot(dx - mx, dy - my) > mr
    for ex, ey in extra:
        sky &= np.hypot(dx - ex, dy - ey) > rtarg
    values = proc[sky]
    rms = np.float32(0.0)
    if not values.size:
        level, skye, nsky = np.float32(np.nan), np.nan, 0
    elif s.clipped:
        while True:
            level, rms = values.mean(), values.std()
            keep = np.abs(values - level) < np.float32(s.threshold) * rms
            if keep.all():
                break
            values = values[keep]
        nsky = values.size
        skye = rms / np.sqrt(nsky)
    else:
        level, nsky = np.median(values), values.size
        skye = np.sqrt((R[sky] ** 2 + np.maximum(0.0, values) / G[sky]).sum(dtype=float)) / nsky
    size = np.sqrt(XBIN * YBIN)
    weight = np.zeros_like(r)
    for ex, ey in ((0.0, 0.0), *extra):
        weight = np.maximum(weight, np.clip((rtarg + size / 2.0 - np.hypot(dx - ex, dy - ey)) / size, 0.0, 1.0))
    used = weight > 0.0
    if s.optimal:
        points = [(0.0, 0.0)]
        if s.ndiv:
            points = [(i, j) for i in offsets(s.ndiv, XBIN) for j in offsets(s.ndiv, YBIN)]
        weight = weight * np.mean([shape(np.hypot(dx + i, dy + j), mfwhm, mbeta) for i, j in points], axis=0)
    D = proc - level
    if s.variance and nsky:
        noise = rms**2 + np.maximum(np.float32(0.0), D) / G
    else:
        noise = R**2 + np.maximum(np.float32(0.0), deb) / G
    counts = (weight * D)[used].sum()
    variance = (weight**2 * noise)[used].sum()
    if skye > 0.0:
        variance += (weight[used].sum() * skye) ** 2
    return counts, np.sqrt(variance), level, skye, nsky, int(raw[r < rtarg + size / 2.0].max())


def offsets(ndiv, nbin):
    return [i - (nbin - 1) / 2 - (ndiv - 1) / (2 * ndiv) + k / ndiv for i in range(nbin) for k in range(ndiv)]


def shape(r, fwhm, beta):
    if beta > 0.0:
        return (1.0 + 4.0 * (2.0 ** (1.0 / beta) - 1.0) * (r / fwhm) ** 2) ** -beta
    return np.exp(-4.0 * np.log(2.0) * (r / fwhm) ** 2)


VARIANTS = [
    {"clipped": clipped, "variance": clipped and variance, "optimal": optimal, "ndiv": ndiv}
    for clipped, variance, optimal, ndiv in itertools.product((True, False), (True, False), (True, False), (0, 2))
]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("mbeta", [-1.0, 3.2])
def test_fluxes_are_those_of_the_definitions(variant, mbeta, patch):
    s = settings(**variant)
    places = [
        (130.3, 227.6, {}),
        (107.0, 249.2, {"mask": ((5.0, -9.0, 6.0),)}),
        (141.2, 220.0, {"extra": ((-6.0, 9.0), (3.0, 3.5))}),
    ]
    for x, y, circles in places:
        radii = (8.46, 12.0, 19.0)
        result, numbers = measure(s, patch, x, y, radii, mbeta=mbeta, **circles)
        counts, error, sky, skye, nsky, peak = reference(s, patch, x, y, radii, mbeta=mbeta, **circles)
        assert numbers[0] == nsky
        assert numbers[1] == 0
        assert numbers[2] == peak
        assert np.float32(result[2]) == np.float32(sky)
        np.testing.assert_allclose(result, [counts, error, sky, skye], rtol=2e-6)


def test_circles_across_the_edge_of_the_box_are_flagged(patch):
    s = settings()
    x, y = XFIRST - XBIN / 2 + 25.0, YFIRST - YBIN / 2 + 25.0  # 25 pixels from two edges
    for radii, flags in (
        ((8.0, 12.0, 25.0), Flag.ALL_OK),
        ((8.0, 12.0, 25.01), Flag.SKY_AT_EDGE),
        ((25.01, 12.0, 19.0), Flag.TARGET_AT_EDGE),
        ((26.0, 27.0, 28.0), Flag.SKY_AT_EDGE | Flag.TARGET_AT_EDGE),
    ):
        assert measure(s, patch, x, y, radii)[1][3] == flags
    # an extra circle counts in all directions, wherever it is
    assert measure(s, patch, x, y, (8.0, 12.0, 19.0), extra=((10.0, 14.0),))[1][3] == Flag.TARGET_AT_EDGE


@pytest.mark.parametrize(("level", "flags"), [(65000.0, 48), (60000.0, 48), (59999.9, 32), (50000.0, 32), (49999.9, 0)])
def test_levels_are_compared_with_the_truncated_peak_of_the_raw_counts(level, flags, patch):
    raw = patch.raw.copy()
    raw[27 * NX + 14] = level  # at (129.5, 227)
    raw[0] = 65535.0  # outside the aperture
    result, numbers = measure(settings(), patch._replace(raw=raw), 130.3, 227.6, (8.0, 12.0, 19.0))
    assert numbers[2] == int(level)
    assert numbers[3] == flags
    assert np.isfinite(result).all()


def test_without_sky_pixels_counts_are_unknown_but_have_an_error(patch):
    result, numbers = measure(settings(), patch, 130.3, 227.6, (8.0, 12.0, 12.0))
    assert numbers[0] == 0
    assert numbers[3] == Flag.NO_SKY
    assert np.isnan(result[[0, 2, 3]]).all()
    assert result[1] > 0.0


def test_a_sky_of_equal_counts_is_all_clipped(patch):
    flat = np.full_like(patch.proc, 100.0)
    result, numbers = measure(settings(), patch._replace(proc=flat), 130.3, 227.6, (8.0, 12.0, 19.0))
    assert numbers[0] == 0
    assert numbers[3] == Flag.NO_SKY
    assert result[2:].tolist() == [0.0, -1.0]
    # counts are then not sky-subtracted: 100 in each pixel of a soft circle of radius 8
    assert result[0] == pytest.approx(100.0 * np.pi * 8.0**2 / (XBIN * YBIN), rel=0.01)


def test_an_aperture_without_pixels_gives_nothing(patch):
    result, numbers = measure(settings(), patch, XFIRST - 30.0, YFIRST + 20.0, (8.0, 12.0, 40.0))
    assert np.isnan(result).all()
    assert numbers.tolist() == [0, 0, 0, Flag.SKY_AT_EDGE | Flag.TARGET_AT_EDGE | Flag.NO_DATA | Flag.NO_EXTRACTION]


def test_optimal_weights_after_failed_references_give_no_number(patch):
    result, numbers = measure(settings(optimal=True), patch, 130.3, 227.6, (8.0, 12.0, 19.0), mfwhm=np.nan, mbeta=np.nan)
    assert np.isnan(result[:2]).all()
    assert np.isfinite(result[2:]).all()
    assert numbers[3] == 0


@pytest.mark.parametrize("changes", [{"resize": True}, {"resize": False, "optimal": True}])
@pytest.mark.parametrize(
    ("mfwhm", "expected"),
    [(4.0, [7.2, 12.0, 19.0]), (1.0, [3.0, 12.0, 19.0]), (20.0, [9.0, 13.0, 20.0]), (np.nan, [9.0, 13.0, 20.0])],
)
def test_radii_follow_the_width_between_their_limits(changes, mfwhm, expected):
    radii = np.array([5.0, 6.0, 7.0])
    assert resize(settings(**changes), mfwhm, radii)
    np.testing.assert_allclose(radii, expected)


def test_without_a_width_radii_that_need_one_stay():
    radii = np.array([5.0, 6.0, 7.0])
    assert not resize(settings(), -1.0, radii)
    assert radii.tolist() == [5.0, 6.0, 7.0]


def test_fixed_radii_are_kept_between_their_limits():
    radii = np.array([5.0, 6.0, 70.0])
    assert resize(settings(resize=False), -1.0, radii)
    assert radii.tolist() == [5.0, 12.0, 20.0]


@pytest.mark.parametrize("rtarg", [4.0, 6.0, 9.0])
@pytest.mark.parametrize("mbeta", [-1.0, 0.9])
def test_normalised_weights_give_the_flux_of_the_whole_profile(rtarg, mbeta, patch):
    radii = (rtarg, 12.0, 19.0)
    (counts, error, *_), _ = measure(
        settings(optimal=True, normalised=True), patch, 130.3, 227.6, radii, mfwhm=4.7096, mbeta=mbeta
    )
    (plain, plain_error, *_), _ = measure(settings(optimal=True), patch, 130.3, 227.6, radii, mfwhm=4.7096, mbeta=mbeta)
    assert counts / error == pytest.approx(plain / plain_error, rel=1e-9 if mbeta < 0.0 else 0.1)
    if mbeta < 0.0:
        assert counts == pytest.approx(2000.0 * 2.0 * np.pi * 2.0**2 / (XBIN * YBIN), rel=0.02)
    assert np.isfinite(counts)  # also with wings whose light is not finite
