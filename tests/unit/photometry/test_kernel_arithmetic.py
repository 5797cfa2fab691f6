"""The small parts of the kernels: elementary functions, sums, medians, boxes."""

from __future__ import annotations

import copy
import math
import pickle
import platform

import numpy as np
import pytest
from numba import njit

from roque.frames import Geometry
from roque.photometry.kernels import compiled
from roque.photometry.kernels.elementary import exponential, exponential_of_product, logarithm, logarithm_parts, square
from roque.photometry.kernels.search import median
from roque.photometry.kernels.sums import make_sum_memory, mean_and_rms, pairwise_sum
from roque.photometry.kernels.windows import cut_box, make_table, set_geometry


@njit
def all_logarithms(x):
    return np.array([logarithm(value) for value in x])


@njit
def all_exponentials(x):
    return np.array([exponential(value) for value in x])


def test_the_logarithm_is_right_to_two_units_in_the_last_place():
    x = 1.0 + 10.0 ** np.linspace(-15, 30, 2001)
    np.testing.assert_allclose(all_logarithms(x), np.log(x), rtol=4.5e-16, atol=0)
    assert all_logarithms(np.array([1.0]))[0] == 0.0


def test_the_exponential_is_right_to_two_units_in_the_last_place():
    x = np.linspace(-707.0, 707.0, 5001)
    np.testing.assert_allclose(all_exponentials(x), np.exp(x), rtol=4.5e-16, atol=0)
    assert all_exponentials(np.array([0.0]))[0] == 1.0


@njit
def all_powers(x, y):
    made = np.zeros(x.size)
    for i in range(x.size):
        high, low = logarithm_parts(x[i])
        made[i] = exponential_of_product(y[i], high, low)
    return made


@njit
def all_squares(x):
    return np.array([square(value) for value in x])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the bits are those of the GNU C library")
def test_logarithms_exponentials_powers_and_squares_are_the_librarys_to_the_bit():
    rng = np.random.default_rng(4)
    x = np.concatenate(
        [1.0 + 10.0 ** rng.uniform(-15, 2, 50000), rng.uniform(1.0, 1.2, 20000), 10.0 ** rng.uniform(0, 30, 20000)]
    )
    y = -rng.uniform(0.01, 9.0, x.size)
    np.testing.assert_array_equal(all_logarithms(x), [math.log(v) for v in x])
    np.testing.assert_array_equal(all_powers(x, y), [math.pow(*v) for v in zip(x, y, strict=True)])
    np.testing.assert_array_equal(all_exponentials(55.0 * y), [math.exp(v) for v in 55.0 * y])
    np.testing.assert_array_equal(all_squares(1.0 / x), [math.pow(v, 2.0) for v in 1.0 / x])


def test_the_exponential_of_hopeless_arguments_stays_finite():
    low, high = all_exponentials(np.array([-1e300, 1e300]))
    assert 0.0 < low < 1e-300
    assert 1e300 < high < np.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_means_and_rms_are_numpys_to_the_bit(dtype):
    rng = np.random.default_rng(1)
    memory = make_sum_memory(np.dtype(dtype))
    for n in [*range(1, 300), 511, 512, 513, 1000, 1023, 1025, 4099, 20000]:
        values = rng.normal(1000.0, 30.0, n).astype(dtype)
        assert dtype(pairwise_sum(values, n, memory)) == values.sum()
        mean, rms = mean_and_rms(values, n, np.zeros(n, dtype), memory)
        assert (dtype(mean), dtype(rms)) == (values.mean(), values.std())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_medians_are_numpys(dtype):
    rng = np.random.default_rng(2)
    for n in [1, 2, 3, 4, 5, 8, 17, 100, 289, 1369]:
        for values in (rng.normal(0.0, 3.0, n), rng.integers(0, 4, n), np.arange(n), np.arange(n)[::-1], np.full(n, 7.0)):
            counts = np.ascontiguousarray(values, dtype)
            kept = counts.copy()
            assert dtype(median(counts, n, np.zeros(n, dtype))) == np.median(counts)
            np.testing.assert_array_equal(counts, kept)


@pytest.mark.parametrize("binning", [(1, 1), (2, 3), (4, 4)])
def test_boxes_are_those_of_the_window(binning):
    geometry = Geometry(llx=101, lly=33, xbin=binning[0], ybin=binning[1], nx=40, ny=25)
    table = make_table(1)
    set_geometry(table, 0, geometry)
    rng = np.random.default_rng(3)
    box = np.zeros(4, np.int64)
    empty = 0
    for _ in range(2000):
        x, y = rng.uniform(60.0, 320.0), rng.uniform(0.0, 200.0)
        xhalf, yhalf = rng.uniform(0.2, 30.0, 2)
        if rng.random() < 0.5:  # half of them on half-integers, where edges coincide
            x, y, xhalf, yhalf = (np.round(2.0 * v) / 2.0 for v in (x, y, xhalf, yhalf))
        expected = geometry.box(x - xhalf, x + xhalf, y - yhalf, y + yhalf)
        assert cut_box(table, 0, x, y, xhalf, yhalf, box) == (not expected.empty)
        empty += expected.empty
        if not expected.empty:
            assert (box[0], box[0] + box[2]) == (expected.x0, expected.x1)
            assert (box[1], box[1] + box[3]) == (expected.y0, expected.y1)
    assert 100 < empty < 1900


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_a_position_gone_astray_has_no_box(value):
    table = make_table(1)
    set_geometry(table, 0, Geometry(1, 1, 1, 1, 50, 50))
    assert not cut_box(table, 0, value, 25.0, 5.0, 5.0, np.zeros(4, np.int64))


def test_what_was_compiled_of_other_kernels_is_not_read(tmp_path):
    names = {name for name, _, _ in compiled._STAMP}
    assert {"ccd.py", "tracking.py", "fit.py", "levmar.py", "profiles.py", "extraction.py", "windows.py"} <= names
    file = copy.copy(pairwise_sum._cache._cache_file)
    file._index_path = tmp_path / "index"
    version = file._version.replace(str(compiled._STAMP), "")
    assert version != file._version
    # the rest may name what is no longer there
    file._index_path.write_bytes(pickle.dumps(version) + b"cmodule\nlong_gone\n.")
    assert file._load_index() == {}
