"""Residuals and derivatives of a profile: those of plain arithmetic, operation by operation and bit for bit."""

from __future__ import annotations

import math
import platform

import numpy as np
import pytest
from numba import njit

from roque.photometry.kernels.fit import make_fit_memory
from roque.photometry.kernels.linearise import _fill, _star, divide_pixels, invert_errors, linearise
from roque.photometry.kernels.profiles import GAUSSIAN, MOFFAT, subgrid
from roque.photometry.kernels.stages import TOGETHER

BITS = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the bits are those of the GNU C library")


def pixels(n, seed=0, *, sigma=(1.0, 60.0), reach=12.0):
    """Memory of a fit that holds n random pixels around (100, 50)."""
    rng = np.random.default_rng(seed)
    memory = make_fit_memory(n, 8)
    p = memory.pixels
    p.x[:n], p.y[:n] = 100.0 + rng.uniform(-reach, reach, n), 50.0 + rng.uniform(-reach, reach, n)
    p.data[:n], p.sigma[:n] = rng.normal(300.0, 20.0, n), rng.uniform(*sigma, n)
    p.x[n:], p.y[n:], p.data[n:], p.sigma[n:] = p.x[n - 1], p.y[n - 1], 0.0, np.inf
    invert_errors(p, n)
    return memory


def plain(method, parameters, p, n, xbin, ybin, ndiv):
    """Do it pixel by pixel with the mathematics library."""
    sky, height, x0, y0, fwhm, beta = parameters
    xs, ys = np.zeros(64), np.zeros(64)
    kx, ky, points = subgrid(ndiv, xbin, xs), subgrid(ndiv, ybin, ys), max(ndiv, 1)
    share = height / xbin / ybin / ndiv**2 if ndiv > 0 else height
    b = max(0.01, beta)
    root = math.pow(2.0, 1.0 / b)
    a = (4.0 * math.log(2.0) if method == GAUSSIAN else 4.0 * (root - 1.0)) / (fwhm * fwhm)
    slope = 2.0 * a * (height if method == GAUSSIAN else b)
    order = [
        (xs[i * points + u], ys[j * points + v])
        for j in range(ky // points) for i in range(kx // points) for v in range(points) for u in range(points)
    ]  # fmt: skip
    rows = np.zeros((n, 8))
    for i in range(n):
        sums = [0.0] * 6
        for xoffset, yoffset in order:
            dx, dy = p.x[i] + xoffset - x0, p.y[i] + yoffset - y0
            r2 = dx * dx + dy * dy
            if method == GAUSSIAN:
                g = math.exp(-a * r2)
                terms = [g, slope * g * dx, slope * g * dy, slope / fwhm * g * r2, 0.0, g]
            else:
                u = 1.0 + a * r2
                g, q, log = math.pow(u, -b), height * math.pow(u, -b - 1.0), math.log(u)
                by_beta = -log * height * g + 4.0 * math.log(2.0) * root / b / (fwhm * fwhm) * (q * r2)
                terms = [g, slope * dx * q, slope * dy * q, slope / fwhm * (q * r2), by_beta, share * g]
            sums = [old + new for old, new in zip(sums, terms, strict=True)]
        *derivatives, light = sums
        model = sky + (share * light if method == GAUSSIAN else light)
        columns = [-1.0, *(-(one / len(order)) for one in derivatives), p.data[i] - model, 0.0]
        rows[i] = np.array(columns) / p.sigma[i]
    return rows


@njit
def filled(parameters, given, n, plainly, stages, rows, squares):
    _fill(MOFFAT, _star(MOFFAT, parameters, 1, 1, 0), given, n, 1, plainly, stages, rows, squares)


def made(method, parameters, memory, n, xbin=1, ybin=1, ndiv=0):
    """Rows of the kernel, and its sums of squares."""
    rows, squares = memory.solver.rows, np.zeros(8)
    divide_pixels(ndiv, xbin, ybin, memory.pixels)
    linearise(method, np.array(parameters), memory.pixels, n, xbin, ybin, ndiv, memory.solver.stages, rows, squares)
    return rows[:n], squares


@BITS
@pytest.mark.parametrize("method", [GAUSSIAN, MOFFAT], ids=["gaussian", "moffat"])
@pytest.mark.parametrize("ndiv", [0, 1, 3])
@pytest.mark.parametrize("n", [1, 8, 3 * TOGETHER + 5])
def test_rows_are_those_of_plain_arithmetic_to_the_bit(method, ndiv, n):
    memory, parameters = pixels(n), (290.0, 5000.0, 100.3, 49.8, 4.4, 3.7)
    rows, squares = made(method, parameters, memory, n, 2, 1, ndiv)
    np.testing.assert_array_equal(rows, plain(method, parameters, memory.pixels, n, 2, 1, ndiv))
    total = np.zeros(8)
    for row in rows:
        total += row * row
    np.testing.assert_array_equal(squares, total)


@BITS
@pytest.mark.parametrize(
    ("method", "fwhm", "beta"), [(GAUSSIAN, 0.9, 0.0), (MOFFAT, 0.01, 90.0), (MOFFAT, 4.0, 2.0e15), (MOFFAT, 4.0, -1.0)]
)
def test_what_lies_far_out_is_left_to_the_library(method, fwhm, beta):
    memory, parameters = pixels(50, reach=40.0), (290.0, 5000.0, 100.0, 50.0, fwhm, beta)
    rows, _ = made(method, parameters, memory, 50)
    np.testing.assert_array_equal(rows, plain(method, parameters, memory.pixels, 50, 1, 1, 0))


@BITS
@pytest.mark.parametrize("sigma", [(1e-70, 1e-69), (1e60, 1e61), (1e-170, 1e-169)])
def test_quotients_are_right_where_products_would_overflow_or_lose_digits(sigma):
    memory, parameters = pixels(50, sigma=sigma), (290.0, 5000.0, 100.3, 49.8, 4.4, 3.7)
    rows, _ = made(MOFFAT, parameters, memory, 50)
    np.testing.assert_array_equal(rows, plain(MOFFAT, parameters, memory.pixels, 50, 1, 1, 0))


def test_products_with_inverses_are_the_quotients():
    n = 100_000
    memory, parameters = pixels(n, seed=5), np.array((290.0, 5000.0, 100.3, 49.8, 4.4, 3.7))
    found = []
    for plainly in (0, 1):
        rows = np.zeros_like(memory.solver.rows)
        filled(parameters, memory.pixels, n, plainly, memory.solver.stages, rows, np.zeros(8))
        found.append(rows[:n])
    np.testing.assert_array_equal(*found)
