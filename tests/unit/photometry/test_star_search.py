from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from roque.photometry.kernels.search import make_search_memory, nearest_peak, smoothing


def reference_peak(proc, column, row, threshold, fwhm, fft):
    """The search as one would write it with scipy: smoothed by a Gaussian, nearest local maximum."""
    back = np.median(proc)
    if fwhm > 0.0:
        sigma = fwhm / np.sqrt(8.0 * np.log(2.0))
        if fft:
            size = int(np.ceil(8.0 * sigma)) | 1
            grid = np.arange(size) - size // 2
            line = np.exp(-0.5 * (grid / sigma) ** 2)
            kernel = np.outer(line, line) / line.sum() ** 2
            smooth = ndimage.convolve(proc.astype(np.float64), kernel, mode="constant", cval=back)
        else:
            smooth = ndimage.gaussian_filter(proc, sigma, mode="constant", cval=back)
    else:
        smooth = proc
    peaks = (smooth == ndimage.maximum_filter(smooth, size=3, mode="nearest")) & (smooth > back + np.float32(threshold))
    rows, columns = np.nonzero(peaks)
    if not rows.size:
        return None
    nearest = np.argmin((columns - column) ** 2 + (rows - row) ** 2)
    return columns[nearest], rows[nearest]


def field(seed, ny, nx):
    """Noise with some stars, a cosmic ray and a bright column at the edge."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:ny, :nx]
    counts = rng.normal(100.0, 6.0, (ny, nx))
    for _ in range(4):
        height, x0, y0 = rng.uniform(30.0, 400.0), rng.uniform(0, nx), rng.uniform(0, ny)
        counts += height * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 2.0 / 1.8**2)
    if seed % 4 == 0:
        counts[rng.integers(ny), rng.integers(nx)] += 3000.0
    return counts.astype(np.float32)


@pytest.mark.parametrize("fwhm", [0.0, 2.0, 4.4, 9.0])
@pytest.mark.parametrize("fft", [False, True])
def test_the_nearest_peak_is_the_one_that_scipy_finds(fwhm, fft):
    found = 0
    for seed in range(61):
        ny, nx = (17, 17) if seed % 2 else (23, 11)
        proc = field(seed, ny, nx)
        column, row = nx / 2.0 - 0.3, ny / 2.0 + 0.4
        threshold = (5.0, 40.0, 400.0)[seed % 3]
        memory = make_search_memory(fwhm, ny * nx, proc.dtype, fft=fft)
        has = nearest_peak(proc.ravel(), nx, ny, column, row, threshold, not fft, memory)
        expected = reference_peak(proc, column, row, threshold, fwhm, fft)
        assert has == (expected is not None)
        if expected is not None:
            assert tuple(memory.pixel) == expected
            found += 1
    assert 15 <= found <= 60


def test_the_smoothed_counts_are_scipys_to_the_bit():
    proc = field(99, 17, 21)
    memory = make_search_memory(4.4, proc.size, proc.dtype, fft=False)
    nearest_peak(proc.ravel(), 21, 17, 10.0, 8.0, 10.0, True, memory)
    sigma = 4.4 / np.sqrt(8.0 * np.log(2.0))
    expected = ndimage.gaussian_filter(proc, sigma, mode="constant", cval=np.median(proc))
    np.testing.assert_array_equal(memory.smooth.reshape(17, 21).astype(np.float32), expected)


@pytest.mark.parametrize("fwhm", [1.0, 4.4, 20.0])
@pytest.mark.parametrize("fft", [False, True])
def test_smoothing_keeps_the_light(fwhm, fft):
    half = smoothing(fwhm, fft=fft)
    assert 2.0 * half.sum() - half[0] == pytest.approx(1.0, abs=1e-15)
    assert (np.diff(half) < 0.0).all()


def test_of_two_peaks_as_near_the_first_row_wins():
    proc = np.zeros((9, 9), np.float32)
    proc[2, 4] = proc[6, 4] = 100.0
    memory = make_search_memory(0.0, 81, proc.dtype, fft=False)
    assert nearest_peak(proc.ravel(), 9, 9, 4.0, 4.0, 10.0, True, memory)
    assert tuple(memory.pixel) == (4, 2)
