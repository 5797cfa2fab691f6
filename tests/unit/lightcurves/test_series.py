"""Series: arithmetic, masks, transformations."""

from __future__ import annotations

import numpy as np
import pytest

from roque.lightcurves import Series
from roque.lightcurves.series import ANY_FLAG
from roque.photometry.flags import Flag


def series(y, ye=0.1, bits=0, t=None, te=0.01):
    y = np.asarray(y, float)
    t = np.arange(len(y), dtype=float) if t is None else np.asarray(t, float)
    return Series(
        t, y, np.broadcast_to(ye, y.shape).astype(float), np.broadcast_to(bits, y.shape).astype(np.uint32), np.full(len(y), te)
    )


def simulated(function, y1, e1, y2, e2):
    """Standard deviation of a function of two noisy numbers, by drawing them."""
    rng = np.random.default_rng(0)
    return np.std(function(y1 + e1 * rng.standard_normal(400_000), y2 + e2 * rng.standard_normal(400_000)))


@pytest.mark.parametrize("operation", ["+", "-", "*", "/"])
def test_errors_of_arithmetic_are_those_of_independent_noise(operation):
    function = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}[operation]
    a, b = series([50.0], 0.5, 1), series([20.0], 0.1, 4)
    result = {"+": a + b, "-": a - b, "*": a * b, "/": a / b}[operation]
    assert result.y[0] == function(50.0, 20.0)
    assert result.ye[0] == pytest.approx(simulated(function, 50.0, 0.5, 20.0, 0.1), rel=0.01)
    assert result.bmask[0] == 5


def test_numbers_act_from_both_sides_and_leave_the_series_as_it_was():
    a = series([2.0, 4.0], 0.2, 8)
    np.testing.assert_allclose((a + 1).y, [3, 5])
    np.testing.assert_allclose((1 - a).y, [-1, -3])
    np.testing.assert_allclose((a * -3).ye, [0.6, 0.6])
    np.testing.assert_allclose((np.float64(8) / a).y, [4, 2])
    np.testing.assert_allclose((8 / a).ye, [0.4, 0.1])
    np.testing.assert_allclose((a / np.array([2.0, 4.0])).y, [1, 1])
    assert (2 * a).bmask.tolist() == [8, 8]
    assert a.y.tolist() == [2.0, 4.0]


def test_division_by_zero_and_nan_go_through_silently():
    ratio = series([1.0, np.nan, 1.0]) / series([0.0, 1.0, 2.0])
    assert ratio.bad.tolist() == [True, True, False]


def test_series_of_different_lengths_do_not_combine():
    with pytest.raises(ValueError, match="point by point"):
        series([1.0]) + series([1.0, 2.0])
    with pytest.raises(ValueError, match="one length"):
        Series(np.zeros(2), np.zeros(3), np.zeros(3), np.zeros(3, np.uint32), np.zeros(3))


def test_bad_and_flagged_are_independent():
    s = series([1.0, np.nan, 3.0, 4.0], bits=[0, 0, 4, 12])
    assert s.get_mask().tolist() == [False, True, False, False]
    assert s.get_mask(8).tolist() == [False, True, False, True]
    assert s.get_mask(ANY_FLAG, flag_bad=False).tolist() == [False, False, True, True]
    assert s.get_data(4)[2].tolist() == [1.0]
    assert s.get_data(4, flagged=True)[2][1:].tolist() == [3.0, 4.0]
    with pytest.raises(ValueError, match="ALL_OK"):
        s.get_mask(Flag.ALL_OK)


def test_bits_are_set_and_cleared_where_asked():
    s = series([1.0, 2.0], bits=[1, 1])
    where = np.array([True, False])
    assert s.set_bitmask(Flag.CLOUDS, where).bmask.tolist() == [1 | 256, 1]
    assert s.clear_bitmask(1, where).bmask.tolist() == [0, 1]


def test_bins_average_good_points_and_span_their_exposures():
    s = series(
        [1.0, 3.0, 100.0, 5.0, np.nan, 7.0, 9.0, 2.0], ye=[0.3, 0.4, 9, 1, 1, 1, 1, 1], bits=[0, 2, 8, 0, 0, 8, 8, 0], te=0.5
    )
    b = s.bin(3, bitmask=8)
    assert len(b) == 2
    assert b.y.tolist() == [2.0, 5.0]
    assert b.t.tolist() == [0.5, 3.0]
    assert b.ye[0] == pytest.approx(0.25)
    assert b.te.tolist() == [1.5, 0.5]
    assert b.bmask.tolist() == [2, 0]
    empty = series([np.nan, np.nan]).bin(2)
    assert np.isnan([empty.t[0], empty.y[0], empty.ye[0], empty.te[0]]).all()


def test_magnitudes_and_back():
    s = series([100.0, 1.0, -1.0], [1.0, 0.01, 0.1])
    m = s.to_mag()
    assert m.y[:2].tolist() == [-5.0, 0.0]
    assert m.ye[0] == pytest.approx(2.5 / np.log(10) * 0.01)
    assert np.isnan(m.y[2])
    np.testing.assert_allclose(m.from_mag().y[:2], s.y[:2])
    np.testing.assert_allclose(m.from_mag().ye[:2], s.ye[:2])


def test_phases_fold_into_half_a_cycle_around_zero():
    s = series([0.0, 1.0, 2.0, 3.0], t=[10.0, 10.5, 11.4, 12.75], te=0.25)
    p = s.phase(10.0, 0.5)
    np.testing.assert_allclose(p.t, [0, 1, 2.8, 5.5])
    np.testing.assert_allclose(p.te, 0.5)
    folded = s.phase(10.0, 0.5, fold=True)
    np.testing.assert_allclose(folded.t, [-0.2, 0, 0, 0.5], atol=1e-12)
    assert folded.y.tolist() == [2.0, 0.0, 1.0, 3.0]


def test_outliers_are_flagged_against_the_points_around_them_and_an_eclipse_is_none():
    rng = np.random.default_rng(1)
    t = np.arange(200)
    y = 1.0 - 0.5 * (np.abs(t - 100) < 30) + 0.01 * rng.standard_normal(200)
    y[[20, 105]] += 0.2
    y[50] = np.nan
    flagged = series(y, 0.01).flag_outliers(sigma=6.0)
    assert set(np.flatnonzero(flagged.bmask)) == {20, 105}
    assert flagged.bmask[20] == Flag.OUTLIER


def test_normalise_mean_and_percentiles_use_good_points():
    s = series([1.0, 2.0, 3.0, 1000.0], ye=[0.1, 0.1, 0.2, 0.1], bits=[0, 0, 0, 8])
    assert s.normalise(8).y.tolist() == [0.5, 1.0, 1.5, 500.0]
    assert s.normalise(8, "mean").ye[2] == pytest.approx(0.1)
    middle, low, high = s.percentile(50, 8)
    assert (middle, low, high) == (2.0, 1.9, 2.1)
    mean, error = s.ymean(8)
    weights = np.array([100, 100, 25])
    assert mean == pytest.approx((weights * [1, 2, 3]).sum() / 225)
    assert error == pytest.approx(225**-0.5)
    assert s.ymean(8, weighted=False) == (2.0, pytest.approx(np.sqrt(0.06) / 3))


def test_slices_points_ends_and_joins():
    s = series([1.0, 2.0, 3.0, 4.0])
    assert s[1].y.tolist() == [2.0]
    assert s[1:3].y.tolist() == [2.0, 3.0]
    assert s[s.y > 2].y.tolist() == [3.0, 4.0]
    assert s.clip_ends(1, 2).y.tolist() == [2.0]
    assert s.clip_ends(1).y.tolist() == [2.0, 3.0, 4.0]
    assert s[:2].append(s[3:], s[:1]).y.tolist() == [1.0, 2.0, 4.0, 1.0]


def test_it_becomes_an_astropy_table():
    table = series([1.0, 2.0], bits=3).to_table()
    assert table.colnames == ["t", "te", "y", "ye", "bmask"]
    assert table["bmask"].tolist() == [3, 3]


def test_times_and_values_alone_make_a_series():
    plain = Series([1.0, 2.0], [5.0, 6.0])
    assert plain.ye.tolist() == plain.te.tolist() == plain.bmask.tolist() == [0, 0]
    assert plain.bmask.dtype == np.uint32
    assert (plain / 2.0).y.tolist() == [2.5, 3.0]
    assert Series(np.arange(2.0), np.ones(2, np.float32)).ye.dtype == np.float32
