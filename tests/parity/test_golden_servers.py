"""The golden command lines that read from the camera file servers, typed again: files, times, and what is asked on the wire."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from roque.frames.hcm import read_hcm
from tests.support.file_servers import served_folder, stand_in, typing_hcam


@pytest.fixture(scope="module")
def lines(golden):
    """Golden command lines by name."""
    return json.loads((golden / "servers" / "manifest.json").read_text())["commands"]


@pytest.fixture
def typed(tmp_path, monkeypatch):
    """Type a line against a server in an empty folder; gives status, output and messages."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run(server, line):
        monkeypatch.setenv("HIPERCAM_DEFAULT_URL", server.hipercam)
        monkeypatch.setenv("ULTRACAM_DEFAULT_URL", server.ultracam)
        return typing_hcam(line)

    return run


@pytest.fixture
def golden_folder(golden, tmp_path):
    """The runs that are served."""
    (tmp_path / "served").mkdir()
    return served_folder(golden, tmp_path / "served")


def requests(path):
    """What a golden transcript asked."""
    exchanges = [json.loads(line) for line in path.read_text().splitlines()]
    return [exchange["request"] for exchange in exchanges if exchange["request"] is not None]


def same(path, other):
    """Compare pixels, times and flags of two hcm files."""
    frame, wanted = read_hcm(path), read_hcm(other)
    for key in ("NFRAME", "TIMSTAMP", "MJDUTC", "GOODTIME"):
        assert frame.header[key] == wanted.header[key], key
    assert list(frame.ccds) == list(wanted.ccds)
    for label, ccd in frame.ccds.items():
        twin = wanted.ccds[label]
        assert (ccd.mjd_int, ccd.time_ok, ccd.data_ok) == (twin.mjd_int, twin.time_ok, twin.data_ok)
        assert abs(ccd.mjd_frac - twin.mjd_frac) * 86400e6 < 1.0
        assert abs(ccd.exposure - twin.exposure) < 1e-6
        assert list(ccd.windows) == list(twin.windows)
        for name, window in ccd.windows.items():
            assert window.geometry == twin.windows[name].geometry
            np.testing.assert_array_equal(window.data, twin.windows[name].data)


@pytest.mark.parametrize("case", ["hs_static", "us_static", "hs_nsamp1"])
def test_grab_writes_what_the_pipeline_wrote_and_asks_what_it_asked(golden, served, typed, lines, tmp_path, case):
    status, out, err = typed(served, lines[case])
    assert (status, err) == (0, "")
    expected = sorted((golden / "servers" / "expected" / case).iterdir())
    assert out.split() == [path.name for path in expected]
    for path in expected:
        same(tmp_path / "here" / path.name, path)
    assert served.asked() == requests(golden / "servers" / "transcripts" / f"{case}.jsonl")


@pytest.mark.parametrize(
    ("case", "files"), [("hs_end", ["run0001_007", "run0001_008"]), ("us_end", ["run005_019", "run005_020"])]
)
def test_past_the_end_grab_polls_until_its_time_is_up_and_says_so(golden, served, typed, lines, case, files):
    start = time.monotonic()
    status, out, err = typed(served, lines[case])
    assert 0.6 <= time.monotonic() - start < 3.0
    assert (status, out.split()) == (0, [f"{name}.hcm" for name in files])
    assert "no new frame in 0.8 s" in err
    assert served.asked() == requests(golden / "servers" / "transcripts" / f"{case}.jsonl")


@pytest.mark.parametrize("case", ["hs_missing", "us_missing"])
def test_a_run_that_the_server_does_not_have_is_not_found(served, typed, lines, case):
    status, out, err = typed(served, lines[case])
    assert (status, out) == (4, "")
    assert "no such run" in err


def test_the_golden_times_are_listed_from_the_frame_that_is_asked_for(golden, served, typed, lines, tmp_path, monkeypatch):
    """The pipeline lists frames 1 to 3 under the numbers 5 to 7, and none at all of ULTRACAM: both are meant otherwise."""
    monkeypatch.chdir(tmp_path / "served")
    for case, source, local in (("hs_ltimes_first5", "source=hs", "source=hl"), ("us_ltimes", "source=us", "source=ul")):
        status, out, _ = typed(served, lines[case])
        _, wanted, _ = typed(served, lines[case].replace(source, local))
        assert (status, out) == (0, wanted)
        assert len(wanted.splitlines()) == (3 if source == "source=hs" else 2)
    golden_lines = (golden / "ultracam" / "run002.ltimes.txt").read_text().splitlines()
    assert typed(served, f"{lines['us_ltimes']} tdigit=9")[1].splitlines() == golden_lines[:2]


@pytest.mark.parametrize(("case", "source"), [("hs_first0", "hl"), ("us_first0", "ul")])
def test_first_0_takes_the_newest_frames_and_numbers_the_files_from_0(
    golden, golden_folder, typed, lines, tmp_path, case, source
):
    with stand_in(golden, golden_folder, tmp_path / "log", grow=0.45) as server:
        time.sleep(1.0)
        status, out, _ = typed(server, lines[case])
    run = "run0001" if source == "hl" else "run002"
    assert (status, out.split()) == (0, [f"{run}_{n:03d}.hcm" for n in range(4)])
    numbers = [read_hcm(tmp_path / "here" / f"{run}_{n:03d}.hcm").header["NFRAME"] for n in range(4)]
    assert numbers == sorted(set(numbers))
    words = f"grab source={source} temp=no run={golden_folder / run} first=1 last=8 ndigit=4 trim=no"
    words += " bias=none dark=none flat=none fmap=none"
    assert typed(server, words)[0] == 0
    for n, number in enumerate(numbers):
        same(tmp_path / "here" / f"{run}_{n:03d}.hcm", tmp_path / "here" / f"{run}_{number:04d}.hcm")


def test_runs_of_both_servers_are_listed(served, typed, lines):
    hls, uls = lines["dir"].split("; ")
    assert typed(served, hls)[:2] == (0, "run0001\nrun0002\n")
    assert typed(served, uls)[:2] == (0, "run002\nrun005\n")
