import json

import numpy as np
import pytest

from roque.calibration.apply import NET_EXPOSURE, Calibrator, Masters
from roque.calibration.masters import make_bias, make_dark, make_flat
from roque.calibration.stack import FrameList
from roque.errors import BadInput
from roque.frames import CCD, Frame, Geometry, Window

G = Geometry(1, 1, 1, 1, 60, 40)


def frame(number, pixels, *, exposure=1.0, ccd_exposure=None, **header):
    """One frame; `pixels` by CCD."""
    ccds = {
        name: CCD(
            {"E1": Window(G, np.broadcast_to(np.asarray(data, np.float32), (G.ny, G.nx)).copy())},
            2048,
            1024,
            exposure=exposure if ccd_exposure is None else ccd_exposure,
        )
        for name, data in pixels.items()
    }
    return Frame(ccds, number, header={"EXPTIME": exposure, **header})


def noise(seed, scatter=3.0):
    return np.random.default_rng(seed).normal(0.0, scatter, (G.ny, G.nx))


def biases(n, *, first=0.0, **header):
    """Bias frames of level 2000 with a ramp; the first `first` counts higher."""
    ramp = 2000 + np.linspace(0, 10, G.nx)
    return [frame(k, {"1": ramp + noise(k) + (first if k == 1 else 0.0)}, exposure=0.1, **header) for k in range(1, n + 1)]


def only(made):
    return made.ccds["1"].windows["E1"].data


# bias


def test_a_bias_is_the_mean_without_outliers_at_the_level_of_the_first_frame():
    frames = biases(20)
    frames[6].ccds["1"].windows["E1"].data[5, 6] += 1000
    made, report = make_bias(FrameList(frames), parity=True)
    truth = 2000 + np.linspace(0, 10, G.nx)
    residuals = only(made) - truth
    assert np.abs(residuals).max() < 5 * 3.0 / np.sqrt(20)
    assert residuals.std() == pytest.approx(3.0 / np.sqrt(20), rel=0.1)
    assert only(made).mean() == pytest.approx(frames[0].ccds["1"].values().mean(), abs=0.03)  # the outlier shifts its frame
    assert (report.method, report.sigma, report.adjust) == ("clipped mean", 3.0, "offset")
    assert report.ccds["1"].used == list(range(1, 21))
    assert 0 < report.ccds["1"].rejected < 0.01
    assert made.header["EXPTIME"] == 0.1
    assert json.loads(json.dumps(report.to_dict()))["kind"] == "bias"


@pytest.mark.parametrize(
    ("header", "why"), [({"CLEAR": False}, "without clear"), ({"MODE": "Drift", "CLEAR": True}, "drift-mode")]
)
def test_the_first_frame_is_left_out_where_it_differs(header, why):
    made, report = make_bias(FrameList(biases(12, first=150.0, **header)))
    assert only(made).mean() == pytest.approx(2005, abs=0.5)
    assert why in report.excluded[1]
    assert report.ccds["1"].used == list(range(2, 13))


def test_the_first_frame_is_kept_with_clear_and_in_parity_and_if_it_is_not_the_runs_first():
    assert make_bias(FrameList(biases(12, CLEAR=True)))[1].excluded == {}
    made, report = make_bias(FrameList(biases(12, first=150.0, CLEAR=False)), parity=True)
    assert report.excluded == {}
    assert only(made).mean() == pytest.approx(2155, abs=0.5)
    assert make_bias(FrameList(biases(12, CLEAR=False)), range(2, 13))[1].excluded == {}


def test_few_frames_are_combined_by_the_median_unless_in_parity():
    frames = biases(9)
    frames[4].ccds["1"].windows["E1"].data[5, 6] += 30_000
    made, report = make_bias(FrameList(frames))
    assert report.method == "median"
    assert only(made)[5, 6] == pytest.approx(2001, abs=20)  # the level of that frame is 12 too high
    made, report = make_bias(FrameList(frames), parity=True)
    assert report.method == "clipped mean"
    assert only(made)[5, 6] > 5000


# dark


def test_a_dark_holds_the_counts_of_its_net_exposure():
    bias = frame(1, {"1": 2000.0}, exposure=0.5)
    hot = np.zeros((G.ny, G.nx))
    hot[3, 4] = 100.0
    frames = [frame(k, {"1": 2000 + 8 * (3 + hot) + noise(k)}, exposure=8.5) for k in range(1, 8)]
    made, report = make_dark(FrameList(frames), bias)
    assert only(made).mean() == pytest.approx(24.0, abs=1.0)
    assert made.header["EXPTIME"] == 8.0
    assert made.ccds["1"].header[NET_EXPOSURE] == 8.0
    assert report.ccds["1"].exposure == 8.0
    # data of a quarter of the exposure lose their hot pixel
    data = frame(1, {"1": 2000 + 2 * (3 + hot)}, exposure=2.5)
    got = Calibrator(Masters(bias=bias, dark=made), data, readout=3, gain=1).window("1", data.ccds["1"], "E1")
    assert got.proc[3, 4] == pytest.approx(0.0, abs=3.0)


def test_in_parity_the_main_header_alone_tells_the_exposure():
    frames = [frame(k, {"1": 2100.0}, exposure=8.5, ccd_exposure=25.5) for k in range(1, 4)]
    bias = frame(1, {"1": 2000.0}, exposure=0.5)
    made, _ = make_dark(FrameList(frames), bias, parity=True)
    assert made.header["EXPTIME"] == 8.0
    assert NET_EXPOSURE not in made.ccds["1"].header
    made, report = make_dark(FrameList(frames), bias)
    assert report.ccds["1"].exposure == made.ccds["1"].header[NET_EXPOSURE] == 25.0


def test_a_dark_without_bias_is_made_as_it_comes():
    made, _ = make_dark(FrameList([frame(k, {"1": 300.0}, exposure=8.5) for k in range(1, 4)]), None)
    assert made.header["EXPTIME"] == 8.5
    assert np.all(only(made) == 300.0)


def test_a_missing_exposure_is_said():
    bias = frame(1, {"1": 2000.0})
    del bias.header["EXPTIME"]
    made, report = make_dark(FrameList([frame(1, {"1": 2100.0}, exposure=8.5)]), bias)
    assert made.header["EXPTIME"] == 8.5
    assert "no EXPTIME in the header of dark or bias: the exposure is not net of the bias's" in report.warnings


# flat

TRUTH = 1 + 0.03 * np.sin(np.arange(G.nx) / 5.0) * np.cos(np.arange(G.ny) / 7.0)[:, None]
TRUTH /= TRUTH.mean()


def twilight(levels, *, ccds="1", star=True):
    """Photon noise on a pattern, with a star that moves from frame to frame."""
    frames = []
    for k, level in enumerate(levels):
        pixels = {}
        for name in ccds:
            counts = level * TRUTH + noise((int(name), k), 1.0) * np.sqrt(level)
            if star:
                counts[3 * (k % 12) + 2, 4 * (k % 12) + 5] += 5 * level
            pixels[name] = counts
        frames.append(frame(k + 1, pixels, exposure=0.4))
    return frames


def grouped(frames, order, ngroup, *, add_rest):
    """The flat by the rules, in double precision."""
    values = [only(frames[k]).astype(float) for k in order]
    chunks = [list(range(start, start + ngroup)) for start in range(0, len(order) // ngroup * ngroup, ngroup)]
    if add_rest:
        chunks[-1] = list(range(chunks[-1][0], len(order)))
    weights = [sum(values[i].mean() for i in chunk) for chunk in chunks]
    medians = [np.median([values[i] / values[i].mean() for i in chunk], axis=0) for chunk in chunks]
    return np.average(medians, axis=0, weights=weights)


LEVELS = [61000, 40000, 30000, 22000, 16000, 12000, 9000, 7000, 5500, 4500, 3800, 2500]


@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("memory", [1 << 30, 1])
def test_a_flat_is_the_weighted_mean_of_group_medians(parity, memory):
    frames = twilight(LEVELS)
    made, report = make_flat(FrameList(frames), None, None, lower=3000, upper=50000, ngroup=4, parity=parity, memory=memory)
    order = list(range(10, 0, -1))  # rising, without the first and the last: 10 frames, 2 beyond whole groups
    used = order[:8] if parity else order
    np.testing.assert_allclose(only(made), grouped(frames, order, 4, add_rest=not parity), rtol=3e-7)
    assert report.ccds["1"].used == [k + 1 for k in used]
    assert report.ccds["1"].levels == pytest.approx([only(frames[k]).mean() for k in used], rel=1e-6)


def test_a_flat_is_the_pattern_without_the_stars():
    made, report = make_flat(FrameList(twilight(LEVELS)), None, None, lower=3000, upper=50000, ngroup=5)
    assert only(made).mean() == pytest.approx(1.0, abs=0.003)  # stars raise the means that frames are divided by
    assert np.abs(only(made) / TRUTH - 1).max() < 0.03
    assert report.warnings == []


def test_both_mean_and_median_must_lie_strictly_within_the_limits():
    flat = np.full((G.ny, G.nx), 10_000.0)
    bright = flat.copy()
    bright[:2] += 30_000.0  # raises the mean to 11500, not the median
    frames = [frame(1, {"1": flat}), frame(2, {"1": bright}), frame(3, {"1": flat + 100})]

    def used(lower, upper):
        return make_flat(FrameList(frames), None, None, lower=lower, upper=upper, ngroup=1)[1].ccds["1"].used

    assert used(9000, 12000) == [1, 3, 2]
    assert used(9000, 11000) == [1, 3]
    assert used(10000, 12000) == [3]


def test_limits_are_per_ccd_and_a_ccd_without_frames_is_left_out():
    frames = twilight([30000, 20000, 10000], ccds="12")
    lower, upper = {"1": 3000, "2": 40000}, {"1": 50000, "2": 58000}
    made, report = make_flat(FrameList(frames), None, None, lower=lower, upper=upper)
    assert list(made.ccds) == ["1"]
    assert report.left_out["2"].startswith("none of 3 frames lies between 40000 and 58000 (means are 10")
    with pytest.raises(BadInput, match="no flat can be made: CCD 1: none of 3"):
        make_flat(FrameList(frames), None, None, lower=1, upper=2)
    with pytest.raises(BadInput, match="no upper limit for CCD 2"):
        make_flat(FrameList(frames), None, None, lower=1, upper={"1": 50000})
    assert list(make_flat(FrameList(frames), None, None, lower=1, upper=60000, ccds=["2"])[0].ccds) == ["2"]


def test_fewer_frames_than_a_group_make_one_group_with_a_warning():
    frames = twilight([30000, 20000])
    made, report = make_flat(FrameList(frames), None, None, lower=3000, upper=50000, ngroup=3)
    np.testing.assert_allclose(only(made), np.mean([only(f) / only(f).mean() for f in frames], axis=0), rtol=1e-6)
    assert report.warnings == ["CCD 1: only 2 frames within the limits, less than a group of 3"]
    assert made.ccds["1"].header["HISTORY"] == ["result of makeflat on 2 frames, ngroup = 3"]


def test_bias_and_dark_are_taken_off_a_flat_first():
    frames = twilight([30000, 20000, 10000], star=False)
    for f in frames:
        only(f)[:] += 2000 + 50 * 0.4
    bias = frame(1, {"1": 2000.0}, exposure=0.0)
    dark = frame(1, {"1": 500.0}, exposure=10.0)
    made, report = make_flat(FrameList(frames), bias, dark, lower=3000, upper=50000)
    assert report.ccds["1"].levels == pytest.approx([10000, 20000, 30000], rel=2e-3)
    assert np.abs(only(made) / TRUTH - 1).max() < 0.05


def test_dead_pixels_of_a_flat_are_counted():
    frames = twilight([30000, 20000, 10000], star=False)
    for f in frames:
        only(f)[7, 8] = 0.0
    _, report = make_flat(FrameList(frames), None, None, lower=3000, upper=50000)
    assert report.warnings == ["CCD 1, window E1: 1 pixels of the flat are not positive"]


def test_groups_of_none_are_refused():
    with pytest.raises(BadInput, match="ngroup: groups of 0 frames"):
        make_flat(FrameList(twilight([10000])), None, None, lower=1, upper=50000, ngroup=0)
