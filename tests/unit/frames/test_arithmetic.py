"""Arithmetic of frames."""

import operator

import numpy as np
import pytest

from roque.errors import BadInput
from roque.frames import CCD, Frame, Geometry, Window
from roque.frames.arithmetic import combine_pairs, combine_with, splice
from roque.frames.filters import smooth_periodic


def frame(value, *, llx=1, dtype=np.float32):
    def ccd(k):
        windows = {w: Window(Geometry(llx, 1, 1, 1, 3, 2), np.full((2, 3), value + k, dtype)) for w in ("E1", "F1")}
        return CCD(windows, 100, 100, header={"GAIN": value})

    return Frame({"1": ccd(0), "2": ccd(10)}, 1, {"OBJECT": str(value)})


def counts(made, name, label="E1"):
    return made.ccds[name].windows[label].data


def test_pairs_are_combined_by_label_and_the_first_gives_headers_and_dtype():
    made = combine_pairs(operator.sub, frame(5), frame(2, dtype=np.float64))
    assert (counts(made, "1") == 3).all()
    assert counts(made, "1").dtype == np.float32
    assert made.header == {"OBJECT": "5"}


def test_only_the_windows_named_change():
    made = combine_pairs(operator.mul, frame(5), frame(2), ccds=["2"], windows=["F1"])
    assert (counts(made, "1") == 5).all()
    assert (counts(made, "2") == 15).all()
    assert (counts(made, "2", "F1") == 15 * 12).all()


def test_a_division_by_zero_is_silent_and_not_a_number():
    made = combine_pairs(operator.truediv, frame(0), frame(0))
    assert np.isnan(counts(made, "1")).all()


def test_a_window_that_lies_elsewhere_is_refused_with_its_name():
    with pytest.raises(BadInput, match="CCD 1, window E1"):
        combine_pairs(operator.add, frame(1), frame(1, llx=2))


def test_a_window_that_is_missing_is_refused():
    other = frame(1)
    del other.ccds["2"].windows["F1"]
    with pytest.raises(BadInput, match="CCD 2, window F1"):
        combine_pairs(operator.add, frame(1), other)


def test_a_number_acts_in_the_dtype_of_the_counts():
    made = combine_with(operator.add, frame(1), 0.1, ccds=["1"])
    assert counts(made, "1").dtype == np.float32
    np.testing.assert_array_equal(counts(made, "1"), np.float32(1) + np.float32(0.1))
    assert (counts(made, "2") == 11).all()


def test_a_spliced_ccd_comes_with_its_header_and_a_spliced_window_without():
    whole, part = splice(frame(1), frame(2), ccds=["2"]), splice(frame(1), frame(2), ccds=["2"], windows=["E1"])
    assert whole.ccds["2"].header == {"GAIN": 2}
    assert part.ccds["2"].header == {"GAIN": 1}
    assert (counts(part, "2") == 12).all()
    assert (counts(part, "2", "F1") == 11).all()


def test_a_periodic_gaussian_keeps_the_sum_and_comes_in_on_the_other_side():
    point = np.zeros((16, 20), np.float32)
    point[0, 0] = 100.0
    smooth = smooth_periodic(point, 3.0)
    assert smooth.sum() == pytest.approx(100.0, rel=1e-6)
    assert smooth[0, 1] == pytest.approx(smooth[0, -1])
    assert smooth[0, 1] / smooth[0, 0] == pytest.approx(2.0 ** (-((1.0 / 1.5) ** 2)), rel=1e-5)
