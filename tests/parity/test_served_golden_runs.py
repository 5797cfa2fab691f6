"""Every golden raw run, put on a server: lines of ltimes, statistics, averages and logs are those of the files."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time

import numpy as np
import pytest

from roque.frames.cards import BLOCK, read_header
from roque.frames.hcm import read_hcm
from roque.spool import data_source
from tests.support.file_servers import stand_in, typing_hcam
from tests.support.proxy import Proxy

UNCALIBRATED = "trim=no bias=none dark=none flat=none fmap=none"
RAW = [f"run{n:04d}" for n in range(1, 14)]


@pytest.fixture(scope="module")
def ultra_lines(golden):
    """Lines of ltimes, with the run and its golden output."""
    steps = json.loads((golden / "ultracam" / "manifest.json").read_text())["steps"]
    wanted = [step for step in steps if step.get("command", "").startswith("ltimes") and step.get("stdout")]
    return [(step["command"], next((golden / "ultracam").rglob(step["stdout"]))) for step in wanted]


def for_a_server(path, target):
    """Write a raw HiPERCAM run with the keywords that a server's header has besides."""
    data = path.read_bytes()
    block = read_header(lambda offset, size: data[offset : offset + size])
    words = (block.header["NAXIS1"] - 18) * block.header.get("ESO DET NSAMP", 1)
    cards = data[: block.size].rstrip()[:-3].rstrip()
    cards += b" " * (-len(cards) % 80)
    cards += (
        f"HIERARCH ESO DET ACQ1 WIN NX = {words}".ljust(80).encode() + b"HIERARCH ESO DET ACQ1 WIN NY = 1".ljust(80) + b"END"
    )
    target.write_bytes(cards.ljust(-(-len(cards) // BLOCK) * BLOCK) + data[block.size :])


@pytest.fixture(scope="module")
def everything(golden, golden_runs, tmp_path_factory):
    """A server with all golden raw runs, and the folder that it serves."""
    folder = tmp_path_factory.mktemp("everything")
    for path in (golden / "ultracam").rglob("run*"):
        if path.suffix in {".xml", ".dat"}:
            (folder / path.name).symlink_to(path)
    for run in RAW:
        for_a_server(golden_runs / f"{run}.fits", folder / f"{run}.fits")
    with stand_in(golden, folder, folder / "log") as server:
        yield server, folder


@pytest.fixture
def hcam(everything, tmp_path, monkeypatch):
    """Type a line in the folder that is served; files that are written go beside."""
    server, folder = everything
    monkeypatch.setenv("HIPERCAM_DEFAULT_URL", server.hipercam)
    monkeypatch.setenv("ULTRACAM_DEFAULT_URL", server.ultracam)
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    return typing_hcam


def test_the_golden_lines_of_ultracam_runs_are_listed_from_the_server(hcam, ultra_lines):
    """But for a last frame whose pixels are cut short: of that the server says nothing."""
    assert len(ultra_lines) > 20
    for line, expected in ultra_lines:
        with data_source("ul", expected.name.partition(".")[0]) as file:
            wanted = expected.read_text().splitlines()[: file.available]
        status, out, _ = hcam(line.replace("source=ul", "source=us"))
        assert (status, out.splitlines()) == (0, wanted), line


@pytest.mark.parametrize("run", RAW)
def test_frames_and_times_of_golden_hipercam_runs_are_those_of_the_file(hcam, run):
    line = f"ltimes source=hs run={run} first=2 last=0 twait=0.1 tmax=0"
    assert hcam(line)[:2] == hcam(line.replace("source=hs", "source=hl"))[:2]
    with data_source("hs", run) as remote, data_source("hl", f"{run}.fits") as file:
        np.testing.assert_array_equal(remote.times(), file.times())
        for place in {1, (file.available + 1) // 2, file.available}:
            frame, other = remote.load(place), file.frame(place)
            assert (frame.number, frame.header) == (other.number, other.header)
            for label, ccd in frame.ccds.items():
                assert (ccd.mjd_int, ccd.mjd_frac, ccd.header) == (
                    other.ccds[label].mjd_int, other.ccds[label].mjd_frac, other.ccds[label].header,
                )  # fmt: skip
                for name, window in ccd.windows.items():
                    np.testing.assert_array_equal(window.data, other.ccds[label].windows[name].data)


def test_times_are_printed_as_json_too(hcam):
    line = "ltimes source=ul run=run002 first=3 last=5 --json"
    status, out, _ = hcam(line.replace("source=ul", "source=us"))
    rows, wanted = ([json.loads(row) for row in text.splitlines()] for text in (out, hcam(line)[1]))
    assert status == 0
    assert [(row["frame"], row["ccd"]) for row in rows] == [(row["frame"], row["ccd"]) for row in wanted]
    assert rows[0].keys() == wanted[0].keys()


@pytest.mark.parametrize(
    ("line", "product"),
    [
        (f"averun run=run002 first=2 last=9 {UNCALIBRATED} output=out", "out.hcm"),
        ("makebias run=run001 first=2 last=0 sigma=3 plot=no output=out", "out.hcm"),
        ("mstats run=run002 first=2 last=7 bias=none outfile=out", "out.stats"),
    ],
)
def test_averages_masters_and_statistics_are_those_of_the_files(hcam, tmp_path, line, product):
    products = {}
    for source in ("us", "ul"):
        command, _, rest = line.partition(" ")
        status, _, err = hcam(f"{command} source={source} {rest} twait=0.1 tmax=0")
        assert status == 0, err
        products[source] = tmp_path / f"{source}-{product}"
        (tmp_path / product).rename(products[source])
    if product.endswith(".stats"):
        assert products["us"].read_text() == products["ul"].read_text()
        return
    remote, local = (read_hcm(path) for path in products.values())
    for label, ccd in local.ccds.items():
        for name, window in ccd.windows.items():
            np.testing.assert_array_equal(remote.ccds[label].windows[name].data, window.data)


def test_a_reduction_of_a_server_writes_the_log_of_the_files(hcam, golden, tmp_path):
    for name in ("bias_ucam.hcm", "run002.ape", "run002_normal.red"):
        shutil.copy(golden / "ultracam" / name, tmp_path)
    words = "trim=no rfile=run002_normal lplot=no implot=no first=1 last=0 tkeep=0 twait=0.1 tmax=0"
    logs = []
    for source in ("ul", "us"):
        status, _, err = hcam(f"reduce source={source} run=run002 {words} log={source}")
        assert status == 0, err
        logs.append([line for line in (tmp_path / f"{source}.log").read_text().splitlines() if not line.startswith("#")])
    assert len(logs[0]) > 2 * 21  # of the blue CCD fewer
    assert logs[0] == logs[1]


@pytest.mark.parametrize("command", ["grab", "averun", "makebias", "mstats"])
def test_a_negative_first_frame_is_refused_where_the_pipeline_refuses_it(hcam, command):
    status, _, err = hcam(f"{command} source=hs run=run0001 first=-2")
    assert (status, "first" in err) == (2, True)


def test_a_server_that_is_away_for_a_while_is_waited_for_and_no_frame_is_lost(everything, hcam, tmp_path, monkeypatch):
    server, _ = everything
    with Proxy("127.0.0.1", server.port) as proxy:
        monkeypatch.setenv("ULTRACAM_DEFAULT_URL", f"http://127.0.0.1:{proxy.port}/")

        def away():
            while not (tmp_path / "run005_004.hcm").exists():
                time.sleep(0.005)
            proxy.cut()
            time.sleep(0.6)
            proxy.mend()

        trouble = threading.Thread(target=away)
        trouble.start()
        status, out, err = hcam(f"grab source=us temp=no run=run005 first=1 last=20 twait=0.1 tmax=5 {UNCALIBRATED}")
        trouble.join()
    assert (status, out.split()) == (0, [f"run005_{n:03d}.hcm" for n in range(1, 21)])
    assert [read_hcm(tmp_path / name).header["NFRAME"] for name in out.split()] == list(range(1, 21))
    assert re.search(r"(does not answer|closed the connection).*waiting for up to 5 s", err)


def test_a_server_that_stays_away_ends_the_run_with_what_there_is_or_is_unreachable(everything, hcam, tmp_path, monkeypatch):
    server, _ = everything
    words = f"grab source=us temp=no run=run005 last=20 twait=0.1 tmax=0.5 {UNCALIBRATED}"
    with Proxy("127.0.0.1", server.port) as proxy:
        monkeypatch.setenv("ULTRACAM_DEFAULT_URL", f"http://127.0.0.1:{proxy.port}/")

        def away():
            while not (tmp_path / "run005_002.hcm").exists():
                time.sleep(0.005)
            proxy.cut()

        trouble = threading.Thread(target=away)
        trouble.start()
        status, out, err = hcam(f"{words} first=1")
        trouble.join()
        assert status == 0
        assert 2 <= len(out.split()) < 20
        assert "no new frame in 0.5 s: http://" in err
        start = time.monotonic()
        assert hcam(f"{words} first=1")[0] == 3
        assert time.monotonic() - start < 2.0
