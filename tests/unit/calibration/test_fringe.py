import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from roque.calibration.apply import Masters
from roque.calibration.fringe import FringePair, fringe_scale, place_pairs, read_fringe_pairs
from roque.calibration.fringe_map import make_fringe_map, smooth
from roque.calibration.stack import FrameList
from roque.errors import BadInput, NotFound
from roque.frames import CCD, Frame, Geometry, Window

G = Geometry(11, 21, 2, 1, 40, 30)
PATTERN = np.sin(np.arange(G.nx) / 3.0) * np.ones((G.ny, 1))
# columns 4.7 and 14.1 are a peak and a trough; centres lie at 11 + 2*(i + 0.5) - 0.5
PAIRS = {"5": [FringePair(G.x(5), 30, G.x(14), 30), FringePair(G.x(5), 40, G.x(14), 40), FringePair(G.x(24), 35, G.x(14), 30)]}


def frame(number, amplitude, sky=1000.0, seed=None):
    counts = sky + amplitude * PATTERN
    if seed is not None:
        counts = counts + np.random.default_rng((seed, number)).normal(0, 1, PATTERN.shape)
    return Frame({"5": CCD({"E1": Window(G, counts.astype(np.float32))}, 2048, 1024, exposure=30.0)}, number)


def test_the_map_has_the_amplitude_of_the_first_frame():
    frames = [frame(k, a, sky=s) for k, (a, s) in enumerate([(50, 900), (100, 1000), (25, 1100)], 1)]
    made, report = make_fringe_map(FrameList(frames), Masters(), pairs=PAIRS)
    np.testing.assert_allclose(made.ccds["5"].windows["E1"].data, 50 * (PATTERN - np.median(PATTERN)), atol=0.05)
    assert report.parameters["factors"]["5"] == pytest.approx([1, 0.5, 2], rel=1e-5)
    assert report.ccds["5"].exposure == 30.0


def test_in_parity_frames_are_multiplied_by_their_amplitude():
    frames = [frame(k, a) for k, a in enumerate([50, 100, 25], 1)]
    made, _ = make_fringe_map(FrameList(frames), Masters(), pairs=PAIRS, parity=True)
    wanted = np.median([50, 100 * 2, 25 / 2]) * (PATTERN - np.median(PATTERN))
    np.testing.assert_allclose(made.ccds["5"].windows["E1"].data, wanted, atol=0.05)


def test_without_pairs_frames_keep_their_amplitudes():
    frames = [frame(k, a) for k, a in enumerate([50, 100, 25], 1)]
    made, _ = make_fringe_map(FrameList(frames), Masters())
    np.testing.assert_allclose(made.ccds["5"].windows["E1"].data, 50 * (PATTERN - np.median(PATTERN)), atol=0.05)


def test_smoothing_is_a_gaussian_of_the_fwhm_with_the_median_outside():
    frames = [frame(k, 50, seed=3) for k in range(1, 4)]
    plain, _ = make_fringe_map(FrameList(frames), Masters())
    smoothed, _ = make_fringe_map(FrameList(frames), Masters(), fwhm=4.0)
    data = plain.ccds["5"].windows["E1"].data.astype(float)
    sigma = 4.0 / 2.3548200450309493
    wanted = gaussian_filter(data, sigma, mode="constant", cval=np.median(data), radius=7)
    np.testing.assert_allclose(smoothed.ccds["5"].windows["E1"].data, wanted, rtol=1e-12, atol=1e-9)


def test_smoothing_keeps_a_constant():
    np.testing.assert_allclose(smooth(np.full((5, 6), 3.0), 4.0, fill=3.0), 3.0)


def test_pairs_too_near_an_edge_or_in_two_windows_are_not_placed():
    ccd = frame(1, 50).ccds["5"]
    other = Geometry(111, 21, 2, 1, 40, 30)
    ccd.windows["F1"] = Window(other, PATTERN.astype(np.float32))
    good = FringePair(G.x(3), G.y(3), G.x(36), G.y(26))
    pairs = [
        good,
        FringePair(G.x(2), G.y(3), G.x(36), G.y(26)),  # a box of 7 columns around column 2 sticks out
        FringePair(G.x(3), G.y(3), G.x(36), G.y(27)),
        FringePair(G.x(10), G.y(10), other.x(10), other.y(10)),
    ]
    (placed,) = place_pairs(pairs, ccd, 3)
    assert (placed.window, placed.box1, placed.box2) == ("E1", (slice(0, 7), slice(0, 7)), (slice(23, 30), slice(33, 40)))


def test_the_scale_is_the_median_ratio_within_limits_if_there_are_any():
    measured, reference = np.array([2.0, 4.0, 60.0, 5.0, 1.0]), np.array([1.0, 2.0, 1.0, 0.0, -1.0])
    assert fringe_scale(measured, reference) == 2.0  # of 2 2 60 -1; nothing over nothing does not count
    assert fringe_scale(measured, reference, (3, 100)) == 60.0
    assert np.isnan(fringe_scale(measured, reference, (100, 200)))


def test_a_frame_without_fringes_or_a_ccd_without_pairs_is_refused():
    frames = [frame(1, 50), frame(2, 0)]
    with pytest.raises(BadInput, match="frame 2, CCD 5: the amplitude of its fringes is 0"):
        make_fringe_map(FrameList(frames), Masters(), pairs=PAIRS)
    with pytest.raises(BadInput, match="CCD 5: no fringe pair can be used"):
        make_fringe_map(FrameList(frames), Masters(), pairs={"4": PAIRS["5"]})


def test_a_file_of_pairs_is_read_and_other_files_are_refused(golden, tmp_path):
    pairs = read_fringe_pairs(golden / "hipercam" / "peer" / "fringe.frng")
    assert list(pairs) == ["4", "5"]
    assert pairs["4"][0] == FringePair(407.0, 170.0, 416.0, 173.0)
    bad = tmp_path / "bad.frng"
    for text in ("not JSON", "{}", "[1, 2]", '["tag", ["1", ["tag", ["1", {"x1": 3}]]]]'):
        bad.write_text(text)
        with pytest.raises(BadInput, match=r"bad\.frng: not a file of fringe pairs"):
            read_fringe_pairs(bad)
    with pytest.raises(NotFound):
        read_fringe_pairs(tmp_path / "none.frng")
