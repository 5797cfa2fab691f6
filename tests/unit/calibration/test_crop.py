import numpy as np
import pytest

from roque.calibration.crop import crop, pair
from roque.errors import BadInput
from roque.frames import CCD, Frame, Geometry, Window


def frame(windows, name="1", header=None):
    """One CCD of windows {label: (geometry, data)}."""
    made = {label: Window(Geometry(*g), np.asarray(data, dtype=np.float32)) for label, (g, data) in windows.items()}
    return Frame({name: CCD(made, 2048, 1024)}, header=header or {})


def ramp(ny, nx):
    """Counts that say where they are: 1000*row + column."""
    return 1000.0 * np.arange(ny)[:, None] + np.arange(nx)


def test_a_window_is_cut_by_position_whatever_its_label():
    master = frame({"E1": ((11, 21, 1, 1, 40, 30), ramp(30, 40))})
    data = frame({"W9": ((16, 24, 1, 1, 5, 4), np.zeros((4, 5)))})
    cut = crop(master, data).ccds["1"].windows
    assert list(cut) == ["W9"]
    assert cut["W9"].geometry == Geometry(16, 24, 1, 1, 5, 4)
    np.testing.assert_array_equal(cut["W9"].data, ramp(30, 40)[3:7, 5:10])


def test_the_first_window_that_contains_the_data_is_used():
    master = frame(
        {
            "A": ((1, 1, 1, 1, 4, 4), np.full((4, 4), 1)),
            "B": ((1, 1, 1, 1, 9, 9), np.full((9, 9), 2)),
            "C": ((1, 1, 1, 1, 10, 10), np.full((10, 10), 3)),
        }
    )
    data = frame({"W": ((2, 2, 1, 1, 5, 5), np.zeros((5, 5)))})
    assert np.all(crop(master, data).ccds["1"].windows["W"].data == 2)


def test_coarser_data_get_the_mean_of_the_blocks():
    pixels = np.random.default_rng(3).normal(1.0, 0.1, (12, 18)).astype(np.float32)
    master = frame({"E": ((1, 1, 1, 1, 18, 12), pixels)})
    data = frame({"E": ((4, 3, 3, 2, 4, 5), np.zeros((5, 4)))})
    got = crop(master, data).ccds["1"].windows["E"].data
    wanted = [[pixels[2 + 2 * j : 4 + 2 * j, 3 + 3 * i : 6 + 3 * i].astype(float).mean() for i in range(4)] for j in range(5)]
    np.testing.assert_allclose(got, wanted, rtol=2e-7)
    assert got.dtype == np.float32


def test_binned_masters_serve_data_of_a_multiple_of_their_binning():
    master = frame({"E": ((1, 1, 2, 2, 8, 8), ramp(8, 8))})
    data = frame({"E": ((5, 1, 4, 4, 2, 3), np.zeros((3, 2)))})
    got = crop(master, data).ccds["1"].windows["E"].data
    assert got[0, 0] == ramp(8, 8)[0:2, 2:4].mean()
    assert got[2, 1] == ramp(8, 8)[4:6, 4:6].mean()


@pytest.mark.parametrize(
    ("geometry", "why"),
    [
        ((1, 1, 2, 2, 9, 4), "beyond the right edge"),
        ((2, 1, 2, 2, 4, 4), "out of step in x"),
        ((1, 2, 2, 2, 4, 4), "out of step in y"),
        ((1, 1, 3, 2, 4, 4), "binning that 2 does not divide"),
        ((1, 1, 1, 1, 4, 4), "finer than the master"),
    ],
)
def test_data_that_no_window_fits_are_refused_by_ccd_and_window(geometry, why):
    master = frame({"E": ((1, 1, 2, 2, 8, 8), ramp(8, 8))}, name="3")
    data = frame({"F2": (geometry, np.zeros((geometry[5], geometry[4])))}, name="3")
    with pytest.raises(BadInput, match="CCD 3, window F2: no window of the flat contains") as error:
        crop(master, data, what="flat")
    assert error.value.remedy


def test_only_ccds_of_both_frames_are_kept_in_the_order_of_the_data():
    window = {"E": ((1, 1, 1, 1, 2, 2), np.ones((2, 2)))}
    ccds = {name: frame(window).ccds["1"] for name in "123"}
    master = Frame({"3": ccds["3"], "1": ccds["1"]})
    data = Frame({"1": ccds["1"], "2": ccds["2"], "3": ccds["3"]})
    assert list(crop(master, data).ccds) == ["1", "3"]


def test_pairing_takes_equal_labels_and_leaves_out_missing_ones():
    pixels = ramp(2, 2)
    master = frame({"E": ((1, 1, 1, 1, 2, 2), pixels)})
    data = frame({"E": ((1, 1, 1, 1, 2, 2), pixels), "F": ((7, 7, 1, 1, 2, 2), pixels)})
    assert list(pair(master, data).ccds["1"].windows) == ["E"]


def test_pairing_refuses_windows_of_equal_label_in_other_places():
    master = frame({"E": ((1, 1, 1, 1, 4, 4), ramp(4, 4))})
    data = frame({"E": ((2, 1, 1, 1, 3, 3), ramp(3, 3))})
    with pytest.raises(BadInput, match="CCD 1, window E: the bias has 4x4 pixels from"):
        pair(master, data, what="bias")
