import json

import numpy as np
import pytest

from roque.calibration.apply import Masters
from roque.calibration.combine import combine
from roque.calibration.stack import FrameList, Stack
from roque.errors import BadInput
from roque.frames import CCD, Frame, Geometry, Window

LOWER, UPPER = Geometry(1, 1, 1, 1, 40, 50), Geometry(11, 951, 1, 1, 30, 37)


def frame(number, level, seed, *, scatter=2.0, ccds="12", data_ok=True, exposure=1.0, header=None):
    """Two CCDs of a low and a high window: CCD 2 a thousand counts above CCD 1."""
    rng = np.random.default_rng((seed, number))
    made = {}
    for name in ccds:
        windows = {
            label: Window(g, (rng.normal(level + 1000.0 * int(name), scatter, (g.ny, g.nx))).astype(np.float32))
            for label, g in (("E1", LOWER), ("H1", UPPER))
        }
        made[name] = CCD(windows, 2048, 1024, exposure=exposure, data_ok=data_ok, header={"HISTORY": ["taken"]})
    return Frame(made, number, header=dict(header or {}))


def run(n, level=500.0, seed=1, **other):
    return [frame(k + 1, level + 10 * k, seed, **other) for k in range(n)]


def cube(frames, ccd="1", window="E1"):
    return np.array([f.ccds[ccd].windows[window].data for f in frames])


def level(f, ccd, function=np.mean):
    return function(np.concatenate([w.data.ravel() for w in f.ccds[ccd].windows.values()]).astype(float))


class Counting(FrameList):
    """Frames that count how often each is read, and give pixels that cannot be read whole."""

    def __init__(self, frames):
        super().__init__(frames)
        self.read = 0

    def frame(self, number):
        self.read += 1
        return super().frame(number)


@pytest.mark.parametrize("memory", [1 << 30, 40_000, 1])
@pytest.mark.parametrize("adjust", ["none", "offset", "scale"])
@pytest.mark.parametrize("which", ["mean", "median"])
def test_levels_are_adjusted_ccd_by_ccd_before_the_median(memory, adjust, which):
    frames = run(7)
    made, report = combine(Stack(FrameList(frames), memory=memory), adjust=adjust, level=which)
    for name in "12":
        levels = [level(f, name, getattr(np, which)) for f in frames]
        for window in ("E1", "H1"):
            values = cube(frames, name, window).astype(float)
            for k in range(7):
                if adjust == "offset":
                    values[k] += levels[0] - levels[k]
                elif adjust == "scale":
                    values[k] *= levels[0] / levels[k]
            np.testing.assert_allclose(made.ccds[name].windows[window].data, np.median(values, axis=0), rtol=5e-7)
        np.testing.assert_allclose(report.ccds[name].levels, [level(f, name) for f in frames], rtol=1e-6)


def test_the_memory_allowed_changes_nothing():
    frames = run(12, seed=4)
    makes = [
        combine(Stack(FrameList(frames), memory=m), method="clipped mean", sigma=2.0, adjust="offset")
        for m in (1 << 30, 50_000, 1)
    ]
    for made, report in makes[1:]:
        for name in "12":
            for window in ("E1", "H1"):
                np.testing.assert_array_equal(made.ccds[name].windows[window].data, makes[0][0].ccds[name].windows[window].data)
        assert report.to_dict() == makes[0][1].to_dict()


def test_a_stack_that_fits_into_memory_is_read_once():
    frames = Counting(run(6))
    combine(Stack(frames), method="clipped mean", adjust="offset")
    assert frames.read == 1 + 6  # the template, then each


def test_frames_in_which_a_ccd_was_not_read_out_are_left_out_of_it():
    frames = run(6)
    frames[0].ccds["2"].data_ok = frames[3].ccds["2"].data_ok = False
    made, report = combine(Stack(FrameList(frames)))
    assert report.ccds["1"].used == [1, 2, 3, 4, 5, 6]
    assert report.ccds["2"].used == [2, 3, 5, 6]
    np.testing.assert_array_equal(
        made.ccds["2"].windows["E1"].data, np.median(cube([frames[k] for k in (1, 2, 4, 5)], "2"), axis=0)
    )
    assert made.ccds["2"].data_ok
    assert made.ccds["2"].header["HISTORY"] == ["taken", "Median combine of 4 images"]


def test_a_ccd_never_read_out_is_left_out_and_said():
    frames = run(3)
    for f in frames:
        f.ccds["2"].data_ok = False
    made, report = combine(Stack(FrameList(frames)))
    assert list(made.ccds) == ["1"]
    assert report.left_out == {"2": "not read out in any of 3 frames"}
    for f in frames:
        f.ccds["1"].data_ok = False
    with pytest.raises(BadInput, match="no CCD was read out in any frame"):
        combine(Stack(FrameList(frames)))


def test_clipping_counts_what_it_rejects():
    frames = run(20, scatter=0.0)
    frames[7].ccds["1"].windows["E1"].data[3, 4] += 5000
    made, report = combine(Stack(FrameList(frames)), method="clipped mean", adjust="offset")
    npix = LOWER.nx * LOWER.ny + UPPER.nx * UPPER.ny
    # the cosmic ray shifts the level of its frame by 5000/npix, a uniform frame's pixels agree otherwise
    assert report.ccds["2"].rejected == 0.0
    assert report.ccds["1"].rejected * npix * 20 >= 1.0
    assert made.ccds["1"].windows["E1"].data[3, 4] == pytest.approx(1500.0, abs=0.2)
    assert made.ccds["1"].header["HISTORY"][-1] == "Clipped mean combine of 20 images, sigma = 3.0"
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()


def test_masters_are_applied_before_levels_are_taken():
    frames = run(5, exposure=4.0)
    bias, flat = frame(1, 100.0, 8), frame(1, -999.5, 9, scatter=0.01)
    flat.ccds["2"].windows = flat.ccds["1"].windows
    made, report = combine(Stack(FrameList(frames), masters=Masters(bias=bias, flat=flat), memory=30_000))
    processed = (cube(frames) - cube([bias])) / cube([flat])
    np.testing.assert_allclose(made.ccds["1"].windows["E1"].data, np.median(processed, axis=0), rtol=1e-6)
    assert report.ccds["1"].levels[2] == pytest.approx(processed[2].mean(), rel=0.05)


def test_one_frame_is_returned_as_it_is_with_a_warning():
    (only,) = frames = run(1)
    made, report = combine(Stack(FrameList(frames)), method="clipped mean", adjust="offset")
    np.testing.assert_array_equal(made.ccds["1"].windows["E1"].data, only.ccds["1"].windows["E1"].data)
    assert report.warnings[0] == "CCD 1: a single frame, taken as it is"
    assert report.ccds["1"].rejected == 0.0


def test_clipping_too_few_frames_is_said():
    _, report = combine(Stack(FrameList(run(10))), method="clipped mean")
    assert report.warnings[0] == "CCD 1: nothing can be rejected from 10 frames at 3 sigma"


def test_the_frames_wanted_are_taken_and_the_first_gives_the_headers():
    frames = [frame(k, 500.0, 2, header={"NFRAME": k}) for k in range(1, 8)]
    made, report = combine(Stack(FrameList(frames), [3, 4, 5]))
    assert report.ccds["1"].used == [3, 4, 5]
    assert made.header["NFRAME"] == 3
    assert "HISTORY" not in frames[2].header
    assert frames[2].ccds["1"].header["HISTORY"] == ["taken"]


def test_only_the_ccds_wanted_are_combined():
    made, _ = combine(Stack(FrameList(run(3)), ccds=["2"]))
    assert list(made.ccds) == ["2"]


@pytest.mark.parametrize(
    ("frames", "arguments", "message"),
    [
        ([], {}, "no frame to combine"),
        (run(2), {"method": "clipped mean", "sigma": 0.5}, "could drop every value"),
        (
            [frame(1, -1000.0, 1, scatter=0.0, ccds="1"), frame(2, 0.0, 1, ccds="1")],
            {"adjust": "scale"},
            "CCD 1: a frame of level 0",
        ),
        ([frame(1, 0, 1), frame(2, 0, 1, ccds="1")], {}, "frame 2 has no CCD 2"),
    ],
)
def test_what_cannot_be_combined_is_refused(frames, arguments, message):
    with pytest.raises(BadInput, match=message):
        combine(Stack(FrameList(frames)), **arguments)


def test_frames_of_another_format_are_refused():
    other = frame(2, 500.0, 1)
    other.ccds["1"].windows["E1"] = Window(Geometry(2, 1, 1, 1, 40, 50), np.zeros((50, 40), np.float32))
    with pytest.raises(BadInput, match="CCD 1, window E1: the window is not that of the first frame"):
        combine(Stack(FrameList([frame(1, 500.0, 1), other])))
    del other.ccds["1"].windows["E1"]
    with pytest.raises(BadInput, match="CCD 1, window E1: a frame lacks the window"):
        combine(Stack(FrameList([frame(1, 500.0, 1), other])))
