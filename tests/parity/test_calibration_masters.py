"""Masters and combined frames against those that the HiPERCAM pipeline made of the same runs with the same parameters."""

import json

import numpy as np
import pytest

from roque.calibration.apply import Calibrator, Masters
from roque.calibration.combine import combine
from roque.calibration.crop import crop
from roque.calibration.fringe import read_fringe_pairs
from roque.calibration.fringe_map import make_fringe_map
from roque.calibration.masters import make_bias, make_dark, make_flat
from roque.calibration.stack import FrameList, Stack
from roque.frames.hcm import read_hcm, write_hcm
from roque.spool import data_source

RELATIVE, FLOOR = 2e-6, 1e-3
MEMORY = [1 << 28, 1 << 20]
"""Everything at once, and in bands."""


@pytest.fixture(scope="module")
def peer(golden_runs):
    """What the pipeline made, by name."""
    return lambda name: read_hcm(golden_runs / f"{name}.hcm")


@pytest.fixture
def run(golden_runs):
    """Open a raw run by its number."""
    opened = []

    def open_run(number):
        opened.append(data_source("hl", golden_runs / f"run{number:04d}.fits"))
        return opened[-1]

    yield open_run
    for source in opened:
        source.close()


@pytest.fixture(scope="module")
def command(golden):
    """Give the parameters of a step of the manifest."""
    steps = json.loads((golden / "hipercam" / "manifest.json").read_text())["steps"]

    def parameters(step):
        (line,) = (s["command"] for s in steps if s["step"] == step)
        words = line.replace("'", "\x00").split("\x00")  # quoted words hold blanks
        plain = [w for part in words[::2] for w in part.split()] + words[1::2]
        return dict(w.split("=", 1) for w in plain if "=" in w)

    return parameters


def assert_equal(ours, theirs, leave_out=()):
    assert list(ours.ccds) == list(theirs.ccds)
    for name, ccd in theirs.ccds.items():
        mine = ours.ccds[name]
        assert list(mine.windows) == list(ccd.windows)
        for attribute in ("nxtot", "nytot", "mjd_int", "time_ok", "data_ok"):
            assert getattr(mine, attribute) == getattr(ccd, attribute), (name, attribute)
        assert mine.exposure == pytest.approx(ccd.exposure, rel=1e-12)
        assert mine.mjd_frac == pytest.approx(ccd.mjd_frac, abs=4e-11)
        for label, window in ccd.windows.items():
            assert mine.windows[label].geometry == window.geometry
            if name not in leave_out:
                x, y = mine.windows[label].data.astype(float), window.data.astype(float)
                worst = np.max(np.abs(x - y) / np.maximum(np.abs(y), FLOOR))
                assert worst <= RELATIVE, f"CCD {name}, window {label}: {worst:.1e}"
                assert mine.windows[label].data.dtype == window.data.dtype


def numbers(text):
    return [float(word) for word in text.split()]


@pytest.mark.parametrize("memory", MEMORY)
def test_bias(run, peer, command, golden, memory):
    p = command("makebias")
    ours, report = make_bias(run(1), sigma=float(p["sigma"]), parity=True, memory=memory)
    assert_equal(ours, peer("bias"))
    printed = [line for line in (golden / "hipercam" / "peer" / "makebias.out").read_text().splitlines() if "Rejected" in line]
    npix = 4 * 104 * 64 * 20
    assert [round(ccd.rejected * npix) for ccd in report.ccds.values()] == [int(line.split()[1]) for line in printed]


def test_what_is_better_than_the_peer_changes_no_bias_taken_with_clear(run, peer):
    ours, report = make_bias(run(1))
    assert report.excluded == {}
    assert_equal(ours, peer("bias"))


@pytest.mark.parametrize("memory", MEMORY)
def test_dark(run, peer, command, memory):
    p = command("makedark")
    ours, _ = make_dark(run(2), peer(p["bias"]), sigma=float(p["sigma"]), parity=True, memory=memory)
    assert_equal(ours, peer("dark"))
    assert ours.header["EXPTIME"] == pytest.approx(peer("dark").header["EXPTIME"], abs=1e-12)


@pytest.mark.parametrize("memory", MEMORY)
@pytest.mark.parametrize(("step", "name"), [("makeflat", "flat"), ("makeflat_dark", "flat_dark23")])
def test_flat(run, peer, command, golden, memory, step, name):
    p = command(step)
    ccds = list("12345") if p["ccd"] == "0" else p["ccd"].split()
    bias, dark = (None if p[kind] == "none" else peer(p[kind]) for kind in ("bias", "dark"))
    lower, upper = (dict(zip(ccds, numbers(p[limit]), strict=True)) for limit in ("lower", "upper"))
    ours, report = make_flat(
        run(3), bias, dark, lower=lower, upper=upper, ngroup=int(p["ngroup"]), ccds=ccds, parity=True, memory=memory
    )
    assert_equal(ours, peer(name))
    printed = [
        int(w.split()[1]) for w in (golden / "hipercam" / "peer" / f"{step}.out").read_text().splitlines() if "Found" in w
    ]
    ngroup = int(p["ngroup"])
    assert [len(ccd.used) for ccd in report.ccds.values()] == [found // ngroup * ngroup for found in printed]


def test_the_default_flat_uses_all_frames_and_is_as_good(run, peer, golden):
    ours, report = make_flat(run(3), peer("bias"), None, lower=3000, upper=42000, ngroup=4)
    parity, dropped = make_flat(run(3), peer("bias"), None, lower=3000, upper=42000, ngroup=4, parity=True)
    for name in "12345":
        assert len(report.ccds[name].used) >= len(dropped.ccds[name].used)
        assert ours.ccds[name].values().mean() == pytest.approx(1.0, abs=2e-3)
        # the noise of some thousand electrons per frame is a per cent or less: both are one pattern
        assert np.std(ours.ccds[name].values() - parity.ccds[name].values()) < 3e-3


@pytest.mark.parametrize("memory", MEMORY)
def test_fringe_map(run, peer, command, golden_runs, memory):
    p = command("makefringe")
    ours, _ = make_fringe_map(
        run(7),
        Masters(bias=peer("bias"), dark=peer("dark"), flat=peer("flat")),
        pairs=read_fringe_pairs(golden_runs / "fringe.frng"),
        nhalf=int(p["nhalf"]),
        ccds=p["ccd"].split(),
        fwhm=float(p["fwhm"]),
        parity=True,
        memory=memory,
    )
    assert_equal(ours, peer("fmap"))


@pytest.mark.parametrize("memory", MEMORY)
def test_average_of_a_calibrated_run(run, peer, memory):
    masters = Masters(bias=peer("bias"), dark=peer("dark"), flat=peer("flat"))
    ours, _ = combine(Stack(run(5), range(2, 12), masters=masters, memory=memory), method="clipped mean")
    assert_equal(ours, peer("B_averun"))


def test_average_with_levels_adjusted(run, peer):
    ours, _ = combine(Stack(run(8), range(2, 11)), method="median", adjust="scale", level="mean")
    assert_equal(ours, peer("small_averun_median"))


@pytest.mark.parametrize("memory", MEMORY)
def test_average_without_fringes(run, peer, golden_runs, memory):
    masters = Masters(
        bias=peer("bias"),
        dark=peer("dark"),
        flat=peer("flat"),
        fringe_map=peer("fmap"),
        fringe_pairs=read_fringe_pairs(golden_runs / "fringe.frng"),
    )
    ours, _ = combine(Stack(run(6), range(1, 11), masters=masters, nhalf=2, memory=memory))
    assert_equal(ours, peer("C_averun_fmap"))


@pytest.mark.parametrize(
    ("step", "method", "adjust", "level"),
    [
        ("combine_clip_i", "clipped mean", "none", "mean"),
        ("combine_clip_n", "clipped mean", "scale", "mean"),
        ("combine_clip_b", "clipped mean", "offset", "median"),
        ("combine_median_i", "median", "none", "mean"),
        ("combine_median_n", "median", "scale", "mean"),
        ("combine_median_b", "median", "offset", "median"),
    ],
)
def test_combined_list(peer, step, method, adjust, level):
    frames = FrameList([peer(f"run0008_{k:03d}") for k in range(1, 9)])
    ours, _ = combine(Stack(frames), method=method, adjust=adjust, level=level)
    garbage = ["5"] if method == "clipped mean" else []  # one frame: the pipeline gives memory that nothing was written to
    assert_equal(ours, peer(step), leave_out=garbage)
    for name in garbage:
        for label, window in ours.ccds[name].windows.items():
            source = next(f for f in frames._frames if f.ccds[name].data_ok)
            np.testing.assert_array_equal(window.data, source.ccds[name].windows[label].data)


def test_combined_list_with_dark_and_flat_clipped_hard(peer):
    frames = FrameList([peer(f"run0008_{k:03d}") for k in range(1, 9)])
    masters = Masters(dark=peer("dark"), flat=peer("flat"))
    ours, report = combine(Stack(frames, masters=masters), method="clipped mean", sigma=2.0, adjust="scale")
    assert_equal(ours, peer("combine_2sigma"), leave_out=["5"])
    npix = 4 * 24 * 32
    assert {n: round(c.rejected * npix * len(c.used)) for n, c in report.ccds.items()} == {
        "1": 0,
        "2": 442,
        "3": 0,
        "4": 416,
        "5": 0,
    }


def test_a_frame_with_all_calibrations(run, peer):
    frame = run(8).frame(9)
    calibrator = Calibrator(Masters(bias=peer("bias"), dark=peer("dark"), flat=peer("flat")), frame, readout=4.2, gain=1.1)
    theirs = peer("run0008_0009")
    for name, ccd in frame.ccds.items():
        if ccd.data_ok:
            for label in ccd.windows:
                ours = calibrator.window(name, ccd, label).proc
                np.testing.assert_array_equal(ours, theirs.ccds[name].windows[label].data, f"CCD {name}, window {label}")


def test_a_cropped_bias(run, peer):
    frame = run(8).frame(1)
    bias = crop(peer("bias"), frame)
    theirs = peer("run0008_001")
    for name, ccd in frame.ccds.items():
        for label, window in ccd.windows.items():
            ours = window.data - bias.ccds[name].windows[label].data
            np.testing.assert_array_equal(ours, theirs.ccds[name].windows[label].data)


def test_masters_survive_their_files(run, peer, tmp_path):
    dark, _ = make_dark(run(2), peer("bias"))
    write_hcm(tmp_path / "dark.hcm", dark)
    again = read_hcm(tmp_path / "dark.hcm")
    assert again.header["EXPTIME"] == dark.header["EXPTIME"]
    for name, ccd in dark.ccds.items():
        assert again.ccds[name].header["HISTORY"] == ccd.header["HISTORY"] == ["Median combine of 7 images"]
        assert again.ccds[name].header["NETEXP"] == ccd.header["NETEXP"] == pytest.approx(19.999, abs=1e-9)
        np.testing.assert_array_equal(again.ccds[name].values(), ccd.values())
