import numpy as np
import pytest

from roque.calibration.apply import NET_EXPOSURE, Calibrator, Masters
from roque.calibration.fringe import FringePair
from roque.errors import BadInput
from roque.frames import CCD, Box, Frame, Geometry, Window

G = Geometry(101, 201, 1, 1, 30, 20)


def frame(level, scatter, seed, *, ccds="12", geometry=G, dtype=np.float32, exposure=1.0, header=None):
    rng = np.random.default_rng(seed)
    made = {}
    for name in ccds:
        pixels = {label: rng.normal(level, scatter, (geometry.ny, geometry.nx)).astype(dtype) for label in ("E1", "F1")}
        made[name] = CCD({label: Window(geometry, p) for label, p in pixels.items()}, 2048, 1024, exposure=exposure)
    return Frame(made, header=header or {})


@pytest.fixture
def masters():
    return Masters(
        bias=frame(2000, 3, 1, header={"EXPTIME": 0.25}),
        dark=frame(40, 5, 2, header={"EXPTIME": 20.0}),
        flat=frame(1, 0.02, 3),
    )


def pixels(of, ccd="1", window="E1"):
    return of.ccds[ccd].windows[window].data


def test_a_box_is_bias_subtracted_darkened_and_flattened_in_single_precision(masters):
    data = frame(3000, 30, 4, exposure=7.3)
    box = Box(3, 17, 5, 29)
    got = Calibrator(masters, data, readout=4.2, gain=1.1).box("1", data.ccds["1"], "E1", box)
    # in-place numpy arithmetic on float32 is the definition
    deb = pixels(data) - pixels(masters.bias)
    proc = deb.copy()
    proc -= ((7.3 - 0.25) / 20.0) * pixels(masters.dark)
    proc /= pixels(masters.flat)
    noise = np.full(deb.shape, 4.2, np.float32) / pixels(masters.flat)
    gain = np.full(deb.shape, 1.1, np.float32) * pixels(masters.flat)
    for name, mine, wanted in zip(got._fields[1:], got[1:], (pixels(data), deb, proc, noise, gain), strict=True):
        assert mine.dtype == np.float32, name
        assert mine.flags.c_contiguous, name
        np.testing.assert_array_equal(mine, wanted[box.slices], err_msg=name)
    assert got.geometry == Geometry(106, 204, 1, 1, 24, 14)


def test_without_masters_data_pass_unchanged():
    data = frame(3000, 30, 4)
    got = Calibrator(Masters(), data, readout=4.0, gain=1.5).window("2", data.ccds["2"], "F1")
    np.testing.assert_array_equal(got.deb, pixels(data, "2", "F1"))
    np.testing.assert_array_equal(got.proc, pixels(data, "2", "F1"))
    assert np.all(got.R == 4.0)
    assert np.all(got.G == 1.5)


def test_the_data_rule_the_kind_of_number():
    bias = frame(2000, 3, 1, dtype=np.float64)
    single, double = frame(3000, 30, 4), frame(3000, 30, 4, dtype=np.float64)
    got = Calibrator(Masters(bias=bias), single, readout=4, gain=1).window("1", single.ccds["1"], "E1")
    assert {a.dtype for a in got[1:]} == {np.dtype(np.float32)}
    wanted = pixels(single).copy()
    wanted -= pixels(bias)  # computed in double, rounded once
    np.testing.assert_array_equal(got.deb, wanted)
    got = Calibrator(Masters(bias=bias), double, readout=4, gain=1).window("1", double.ccds["1"], "E1")
    assert {a.dtype for a in got[1:]} == {np.dtype(np.float64)}
    np.testing.assert_array_equal(got.proc, pixels(double) - pixels(bias))


def test_only_the_box_is_decoded():
    asked = []

    class Raw:
        shape = (G.ny, G.nx)

        def __getitem__(self, key):
            asked.append(key)
            return np.ones(self.shape, np.float32)[key]

    data = Frame({"1": CCD({"E1": Window(G, Raw())}, 2048, 1024)})
    calibrator = Calibrator(Masters(), data, readout=4, gain=1)
    asked.clear()
    box = Box(2, 7, 3, 9)
    calibrator.box("1", data.ccds["1"], "E1", box)
    assert asked == [box.slices]


def test_larger_masters_are_cropped_to_the_first_frame():
    bias = frame(2000, 3, 1, geometry=Geometry(91, 191, 1, 1, 60, 50))
    data = frame(3000, 30, 4)
    got = Calibrator(Masters(bias=bias), data, readout=4, gain=1).window("1", data.ccds["1"], "E1")
    np.testing.assert_array_equal(got.deb, pixels(data) - pixels(bias)[10:30, 10:40])


def test_a_ccd_or_window_that_a_master_lacks_stays_uncalibrated_and_is_noted(masters):
    data = frame(3000, 30, 4, ccds="123")
    calibrator = Calibrator(masters, data, readout=4, gain=1)
    got = calibrator.window("3", data.ccds["3"], "E1")
    np.testing.assert_array_equal(got.proc, pixels(data, "3"))
    assert [note for note in calibrator.notes if "CCD 3" in note] == calibrator.notes
    assert len(calibrator.notes) == 3

    del masters.flat.ccds["1"].windows["F1"]
    calibrator = Calibrator(masters, frame(3000, 30, 4), readout=4, gain=1, crop=False)
    assert calibrator.notes == ["the flat has no window F1 of CCD 1: it stays without"]


def test_a_dark_without_exposure_is_refused(masters):
    del masters.dark.header["EXPTIME"]
    with pytest.raises(BadInput, match="EXPTIME: no exposure in the header of the dark"):
        Calibrator(masters, frame(3000, 30, 4), readout=4, gain=1)


def test_data_without_exposure_cannot_be_dark_subtracted(masters):
    data = frame(3000, 30, 4, exposure=float("nan"))
    calibrator = Calibrator(masters, data, readout=4, gain=1)
    with pytest.raises(BadInput, match="CCD 2, keyword EXPTIME"):
        calibrator.box("2", data.ccds["2"], "E1", Box(0, 1, 0, 1))


def test_exposures_recorded_per_ccd_are_preferred(masters):
    masters.dark.ccds["2"].header[NET_EXPOSURE] = 60.0
    masters.bias.ccds["2"].exposure = 0.5
    data = frame(3000, 30, 4, exposure=6.5)
    calibrator = Calibrator(masters, data, readout=4, gain=1)
    assert calibrator.dark_scale("1", data.ccds["1"]) == (6.5 - 0.25) / 20.0
    assert calibrator.dark_scale("2", data.ccds["2"]) == (6.5 - 0.5) / 60.0


def test_read_noise_and_gain_may_be_frames(masters):
    noise, gain = frame(4, 0.2, 7), frame(1.1, 0.01, 8)
    data = frame(3000, 30, 4)
    got = Calibrator(masters, data, readout=noise, gain=gain).window("1", data.ccds["1"], "E1")
    np.testing.assert_array_equal(got.R, pixels(noise) / pixels(masters.flat))
    np.testing.assert_array_equal(got.G, pixels(gain) * pixels(masters.flat))


def test_a_frame_of_another_format_than_the_first_is_refused():
    first, other = frame(3000, 30, 4), frame(3000, 30, 4, geometry=Geometry(102, 201, 1, 1, 30, 20))
    calibrator = Calibrator(Masters(), first, readout=4, gain=1)
    with pytest.raises(BadInput, match="CCD 1, window E1: the window is not that of the first frame"):
        calibrator.box("1", other.ccds["1"], "E1", Box(0, 2, 0, 2))


def test_planes_hold_what_a_box_is_made_with(masters):
    data = frame(3000, 30, 4)
    calibrator = Calibrator(masters, data, readout=4.2, gain=1.1)
    planes, got = calibrator.planes("1", "E1"), calibrator.window("1", data.ccds["1"], "E1")
    np.testing.assert_array_equal(planes.bias, pixels(masters.bias))
    np.testing.assert_array_equal(planes.R, got.R)
    np.testing.assert_array_equal(planes.G, got.G)
    assert calibrator.by_pixel("1")
    assert Calibrator(Masters(), data, readout=4, gain=1).planes("1", "E1").flat is None


def test_the_mask_correction_removes_row_levels_and_leaves_a_star():
    rng = np.random.default_rng(5)
    sky = rng.normal(0, 1, (G.ny, G.nx))
    star = np.zeros_like(sky)
    star[9:12, 14:17] = 5000.0
    rows = np.linspace(-30, 30, G.ny)[:, None]
    data = Frame({"1": CCD({"E1": Window(G, (sky + star + rows).astype(np.float32))}, 2048, 1024)})
    calibrator = Calibrator(Masters(), data, readout=4, gain=1, demask=True)
    assert not calibrator.by_pixel("1")
    got = calibrator.window("1", data.ccds["1"], "E1")
    left = got.proc - star
    assert np.ptp(np.median(left, axis=1)) < 2.0  # from 60
    np.testing.assert_array_equal(got.deb, pixels(data))
    part = calibrator.box("1", data.ccds["1"], "E1", Box(2, 9, 4, 11))
    np.testing.assert_array_equal(part.proc, got.proc[2:9, 4:11])


def test_fringes_are_subtracted_with_the_amplitude_of_the_pairs():
    y, x = np.mgrid[: G.ny, : G.nx]
    pattern = np.sin(x / 3.0) + 0.0 * y
    fringe_map = Frame({"1": CCD({"E1": Window(G, pattern)}, 2048, 1024)})
    # peak at column 4.7, trough at column 14.1; the third pair lies too near the edge
    pairs = {"1": [FringePair(115, 206, 106, 206), FringePair(115, 214, 106, 214), FringePair(115, 206, 102, 206)]}
    masters = Masters(fringe_map=fringe_map, fringe_pairs=pairs)
    for amplitude in (40.0, 90.0):  # a new frame has an amplitude of its own
        data = Frame({"1": CCD({"E1": Window(G, (500 + amplitude * pattern).astype(np.float32))}, 2048, 1024)})
        calibrator = Calibrator(masters, data, readout=4, gain=1, nhalf=2)
        got = calibrator.window("1", data.ccds["1"], "E1")
        np.testing.assert_allclose(got.proc, 500.0, atol=1e-3)
        np.testing.assert_array_equal(got.deb, pixels(data))


def test_limits_leave_wild_fringe_ratios_out():
    y, x = np.mgrid[: G.ny, : G.nx]
    pattern = np.sin(x / 3.0) + 0.0 * y
    counts = 500 + 40.0 * pattern
    counts[3:8, 12:17] += 1e4  # a star on the trough of one of two pairs
    data = Frame({"1": CCD({"E1": Window(G, counts.astype(np.float32))}, 2048, 1024)})
    fringe_map = Frame({"1": CCD({"E1": Window(G, pattern)}, 2048, 1024)})
    pairs = {"1": [FringePair(115, 206, 106, 206), FringePair(115, 214, 106, 214)]}
    masters = Masters(fringe_map=fringe_map, fringe_pairs=pairs)
    pruned = Calibrator(masters, data, readout=4, gain=1, nhalf=2, fringe_limits=(0, 100)).window("1", data.ccds["1"], "E1")
    np.testing.assert_allclose(pruned.proc[10:], 500.0, atol=1e-3)
