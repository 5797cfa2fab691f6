import numpy as np
import pytest

from roque.calibration.stacking import clipped_mean, pixel_median, value_median

SIZES = [1, 2, 3, 4, 5, 7, 8, 12, 16, 17, 33]


def clipped_by_hand(values, sigma):
    """One pixel, as written in words: single precision, sums in double, n - 1, strict, dropped for good."""
    kept = np.asarray(values, np.float32)
    mean = np.float32(kept.sum(dtype=np.float64) / kept.size)
    while kept.size > 1:
        difference = kept - mean
        deviation = np.float32(np.sqrt((difference * difference).sum(dtype=np.float64) / (kept.size - 1)))
        stays = np.abs(difference) <= sigma * float(deviation)
        if stays.all():
            break
        kept = kept[stays]
        mean = np.float32(kept.sum(dtype=np.float64) / kept.size)
    return mean, kept.size


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("sigma", [1.0, 1.7, 3.0])
def test_the_clipped_mean_is_that_of_the_definition(n, sigma):
    rng = np.random.default_rng(n)
    stack = rng.normal(2000, 5, (n, 23, 29)).astype(np.float32)
    stack[rng.random(stack.shape) < 0.05] += 3000
    mean, kept = clipped_mean(stack, sigma)
    wanted = np.array([clipped_by_hand(values, sigma) for values in stack.reshape(n, -1).T])
    np.testing.assert_allclose(mean.ravel(), wanted[:, 0], rtol=1.2e-7)  # sums in another order
    np.testing.assert_array_equal(kept.ravel(), wanted[:, 1])
    assert mean.dtype == np.float32


def test_one_value_in_ten_is_never_dropped_at_three_sigma_and_one_in_eleven_is():
    for n, left in ((10, 10), (11, 10)):
        stack = np.zeros((n, 1), np.float32)
        stack[3] = 1e4
        assert clipped_mean(stack, 3.0)[1][0] == left


def test_dropped_values_never_come_back_and_clipping_goes_on():
    # the greatest hides the next: it takes two passes
    stack = np.array([0.0] * 30 + [100.0, 3000.0], np.float32)[:, None]
    mean, kept = clipped_mean(stack, 3.0)
    assert (mean[0], kept[0]) == (0.0, 30)


def test_without_sigma_nothing_is_dropped():
    stack = np.array([1.0] * 30 + [1e6], np.float32)[:, None]
    mean, kept = clipped_mean(stack, None)
    assert kept[0] == 31
    assert mean[0] == pytest.approx((30 + 1e6) / 31)


def test_a_single_frame_is_its_own_mean():
    frame = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    mean, kept = clipped_mean(frame, 3.0)
    np.testing.assert_array_equal(mean, frame[0])
    assert np.all(kept == 1)


def test_double_precision_data_stay_so():
    stack = 1.0 + 1e-12 * np.arange(5.0)[:, None]
    assert clipped_mean(stack, 3.0)[0][0] == pytest.approx(1 + 2e-12, abs=3e-16)
    assert pixel_median(stack)[0] == 1 + 2e-12


@pytest.mark.parametrize("n", [*SIZES, 64, 100])
def test_the_median_is_numpys(n):
    stack = np.random.default_rng(n).normal(1.0, 0.1, (n, 19, 31)).astype(np.float32)
    np.testing.assert_array_equal(pixel_median(stack), np.median(stack, axis=0))


@pytest.mark.parametrize("n", range(1, 12))
def test_the_selection_network_finds_the_middle_of_every_sequence_of_zeros_and_ones(n):
    # what sorts all sequences of zeros and ones sorts everything (Knuth, zero-one principle)
    every = (np.arange(1 << n)[None, :] >> np.arange(n)[:, None] & 1).astype(np.float32)
    np.testing.assert_array_equal(pixel_median(every), np.median(every, axis=0))


def test_a_pixel_without_a_number_in_some_frame_has_no_median():
    stack = np.ones((5, 3), np.float32)
    stack[2, 1] = np.nan
    np.testing.assert_array_equal(pixel_median(stack), [1, np.nan, 1])


@pytest.mark.parametrize("n", [1, 2, 3, 1000, 1001])
@pytest.mark.parametrize("level", [0.0, 20000.0, -3.0])
def test_the_median_of_values_is_numpys(n, level):
    values = np.random.default_rng(n).normal(level, 5.0, n).astype(np.float32)
    assert value_median(values) == np.median(values)
    assert value_median(values.astype(np.float64)) == np.median(values.astype(np.float64))


def test_values_without_a_number_have_no_median():
    assert np.isnan(value_median(np.array([1, np.nan, 2], np.float32)))


def test_infinite_values_have_their_rank():
    assert value_median(np.array([np.inf, -np.inf, 7.0, np.inf, -2.0], np.float32)) == 7.0


def test_several_arrays_have_one_median():
    rng = np.random.default_rng(8)
    arrays = [rng.normal(level, 5.0, shape).astype(np.float32) for level, shape in ((-3, (4, 5)), (2, (6, 7)), (9, (1, 4)))]
    assert value_median(*arrays) == np.median(np.concatenate([a.ravel() for a in arrays]))
