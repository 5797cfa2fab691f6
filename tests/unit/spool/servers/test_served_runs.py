"""Runs read from file servers: the frames of the local file, whatever is asked for and in whatever order."""

from __future__ import annotations

import json
import random
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

from roque.errors import BadInput, NoData, NotFound, Unreachable
from roque.spool import data_source, follow
from tests.support.file_servers import stand_in
from tests.support.hipercam import make_run
from tests.support.proxy import Proxy

LOCAL = {"hs": "hl", "us": "ul"}
RUNS = [("hs", "run0001"), ("hs", "run0002"), ("us", "run002"), ("us", "run005")]


@pytest.fixture(autouse=True)
def addresses(request, monkeypatch, tmp_path):
    """Point the environment at the stand-in, and stand where its runs are, so that names are the same."""
    if "served" in request.fixturenames:
        server = request.getfixturevalue("served")
        monkeypatch.setenv("HIPERCAM_DEFAULT_URL", server.hipercam)
        monkeypatch.setenv("ULTRACAM_DEFAULT_URL", server.ultracam)
        monkeypatch.chdir(tmp_path / "served")


def local(source, run, first=1):
    return data_source(LOCAL[source], f"{run}.fits" if source == "hs" else run, first)


def same(frame, other):
    """Compare two frames in everything."""
    assert (frame.number, frame.header) == (other.number, other.header)
    assert frame.ccds.keys() == other.ccds.keys()
    for label, ccd in frame.ccds.items():
        twin = other.ccds[label]
        for name in ("nxtot", "nytot", "mjd_int", "mjd_frac", "exposure", "time_ok", "data_ok", "header"):
            assert getattr(ccd, name) == getattr(twin, name), (label, name)
        assert list(ccd.windows) == list(twin.windows)
        for name, window in ccd.windows.items():
            assert (window.geometry, window.outamp) == (twin.windows[name].geometry, twin.windows[name].outamp)
            np.testing.assert_array_equal(window.data, twin.windows[name].data)


@pytest.mark.parametrize(("source", "run"), RUNS)
@pytest.mark.parametrize("first", [1, 2])
def test_frames_are_those_of_the_file_and_each_is_asked_for_once(served, source, run, first):
    with data_source(source, run, first) as remote, local(source, run, first) as file:
        for frame, other in zip(remote, file, strict=True):
            same(frame, other)
        asked = [e for e in served.exchanges() if e.get("binary_bytes") or e.get("type") == "image/data"]
        assert len(asked) == file.available - first + 1
        assert (remote.available, remote.info.night) == (file.available, file.info.night)
        assert remote.info.windows == file.info.windows
        np.testing.assert_array_equal(remote.times(), file.times())


@pytest.mark.parametrize(("source", "run"), RUNS)
def test_any_order_of_places_gives_the_frames_of_the_sequence(served, source, run):
    with data_source(source, run) as remote, local(source, run) as file:
        places = list(range(1, file.available + 1)) * 2
        random.Random(5).shuffle(places)
        for place in places:
            same(remote.frame(place), file.frame(place))
        with pytest.raises(NotFound, match=f"frame {file.available + 1}: .*not there, or not yet"):
            remote.frame(file.available + 1)


@pytest.mark.parametrize("counters", [
    [0, 1, 2, 5, 6, 7, 8, 9],  # dropped
    [0, 1, 999, 3, 4, 5, 6, 7],  # junk
    [0, 2, 3, 77, 78, 5, 8, 9],
    [0, 1, 4000, 4001, 7, 7, 2, 8],
    [3, 4, 5, 6, 7, 8, 9, 10],
])  # fmt: skip
def test_frames_that_were_dropped_and_damaged_counters_are_numbered_as_in_the_file(golden, tmp_path, monkeypatch, counters):
    """Where a counter is not the place, its neighbours are looked at; they are given later without being asked for again."""
    run = make_run(len(counters), counters=counters, cards={"ESO DET ACQ1 WIN NX": 4 * 20 * 8 * 6, "ESO DET ACQ1 WIN NY": 1})
    (tmp_path / "served").mkdir()
    path = run.write(tmp_path / "served" / "run0007.fits")
    with stand_in(golden, tmp_path / "served", tmp_path / "log") as server:
        monkeypatch.setenv("HIPERCAM_DEFAULT_URL", server.hipercam)
        for first in (1, 4):
            with data_source("hs", "run0007", first) as remote, data_source("hl", path, first) as file:
                for frame, other in zip(remote, file, strict=True):
                    same(frame, other)
        given = [exchange["binary_bytes"] for exchange in server.exchanges() if exchange.get("binary_bytes")]
    assert set(given) == {run.frame_bytes}
    assert len(given) <= 8 + 8  # from 4 on, at most three before it are looked at too


@contextmanager
def growing(golden, folder, log, seconds):
    with stand_in(golden, folder, log, grow=seconds) as server:
        yield server


def counts(server):
    return [json.loads(e["text"])["nframes"] for e in server.exchanges() if e.get("request") == {"action": "get_nframes"}]


def polled(source, places, patience=4.0):
    """Iterate again and again, as somebody who waits, until so many frames have come."""
    found, end = [], time.monotonic() + patience
    while len(found) < places and time.monotonic() < end:
        found += list(source)
        time.sleep(0.02)
    return found


def test_of_a_growing_run_the_newest_frames_alone_are_given_each_once(golden, served, tmp_path, monkeypatch):
    folder = tmp_path / "served"
    with growing(golden, folder, tmp_path / "log", 0.25) as server:
        monkeypatch.setenv("HIPERCAM_DEFAULT_URL", server.hipercam)
        monkeypatch.setenv("ULTRACAM_DEFAULT_URL", server.ultracam)
        with data_source("hs", "run0001", 0) as newest, data_source("us", "run002", 0) as ultracam:
            assert list(newest) == []  # what was there before is not new
            before = newest.available
            found = polled(newest, 2)
            also = polled(ultracam, 1)
    assert [frame.number for frame in found] == sorted({frame.number for frame in found})
    assert found[0].number > before
    with local("hs", "run0001") as file, local("us", "run002") as other:
        for frame in found:
            same(frame, file.frame(frame.number))
        same(also[0], other.frame(also[0].number))


def test_a_negative_first_gives_frames_so_many_before_the_newest(golden, served, tmp_path, monkeypatch):
    with growing(golden, tmp_path / "served", tmp_path / "log", 0.15) as server:
        monkeypatch.setenv("HIPERCAM_DEFAULT_URL", server.hipercam)
        monkeypatch.setenv("ULTRACAM_DEFAULT_URL", server.ultracam)
        for source, run in (("hs", "run0001"), ("us", "run002")):
            with data_source(source, run, -2) as behind, local(source, run) as file:
                found = polled(behind, 3)
                assert behind.available - 2 >= found[-1].header["NFRAME"]
                assert len({frame.number for frame in found}) == len(found) == 3
                for frame in found:
                    same(frame, file.frame(frame.header["NFRAME"]))
    assert counts(server)


def test_a_growing_run_is_given_whole_while_connections_are_cut(golden, served, tmp_path, monkeypatch):
    """Cut between frames, within them, and for a while; every frame comes once."""
    with (
        growing(golden, tmp_path / "served", tmp_path / "log", 0.1) as server,
        Proxy("127.0.0.1", server.port) as proxy,
        local("hs", "run0001") as hipercam,
        local("us", "run005") as ultraspec,
    ):
        monkeypatch.setenv("HIPERCAM_DEFAULT_URL", f"127.0.0.1:{proxy.port}/")
        monkeypatch.setenv("ULTRACAM_DEFAULT_URL", f"http://127.0.0.1:{proxy.port}/")
        rng = random.Random(7)
        for source, run, file in (("hs", "run0001", hipercam), ("us", "run005", ultraspec)):
            proxy.mend()
            with data_source(source, run) as remote:
                found = []
                while len(found) < file.available:
                    try:
                        frame = remote.cursor.next()
                    except Unreachable:
                        proxy.mend()
                        continue
                    if frame is None:
                        time.sleep(0.01)
                        continue
                    found.append(frame)
                    if rng.random() < 0.3:
                        proxy.cut()
                        if rng.random() < 0.5:
                            proxy.mend()
                for place, frame in enumerate(found, start=1):
                    same(frame, file.frame(place))


@pytest.mark.parametrize(("source", "run"), [("hs", "run0001"), ("us", "run005")])
def test_a_growing_run_is_followed_until_it_is_silent(golden, served, tmp_path, monkeypatch, source, run):
    with growing(golden, tmp_path / "served", tmp_path / "log", 0.05) as server, local(source, run) as file:
        monkeypatch.setenv("HIPERCAM_DEFAULT_URL", server.hipercam)
        monkeypatch.setenv("ULTRACAM_DEFAULT_URL", server.ultracam)
        with data_source(source, run) as remote:
            found = list(follow(remote, tmax=1.0))
        assert len(found) == file.available
        for place, frame in enumerate(found, start=1):
            same(frame, file.frame(place))


def test_iteration_goes_on_after_the_server_was_away(served, monkeypatch):
    with Proxy("127.0.0.1", served.port) as proxy, local("us", "run005") as file:
        monkeypatch.setenv("ULTRACAM_DEFAULT_URL", f"http://127.0.0.1:{proxy.port}/")
        with data_source("us", "run005") as remote:
            frames = iter(remote)
            found = [next(frames) for _ in range(7)]
            proxy.cut()
            with pytest.raises(Unreachable):
                next(frames)
            proxy.mend()
            found += frames
        for place, frame in enumerate(found, start=1):
            same(frame, file.frame(place))
        assert len(found) == file.available


@pytest.mark.parametrize(("source", "run", "first"), [("hs", "run0001", 1), ("us", "run005", 3)])
def test_a_server_that_is_away_for_a_while_is_followed_afterwards(served, monkeypatch, source, run, first):
    with Proxy("127.0.0.1", served.port) as proxy, local(source, run, first) as file:
        monkeypatch.setenv("HIPERCAM_DEFAULT_URL", f"127.0.0.1:{proxy.port}/")
        monkeypatch.setenv("ULTRACAM_DEFAULT_URL", f"http://127.0.0.1:{proxy.port}/")
        with data_source(source, run, first) as remote:
            found = []
            for frame in follow(remote, first, tmax=1.5):
                found.append(frame)
                if len(found) == 3:
                    proxy.cut()
                    threading.Timer(0.5, proxy.mend).start()
            for frame, other in zip(found, file, strict=True):
                same(frame, other)
            proxy.cut()
            start = time.monotonic()
            with pytest.raises(Unreachable):
                list(follow(remote, 1, tmax=0.3))
            assert time.monotonic() - start < 2.0


def test_power_runs_on_a_server_tell_that_they_have_no_data(golden, served, tmp_path):
    for ending in (".xml", ".dat"):
        names = [p for p in (golden / "ultracam").glob(f"run*{ending}") if b"pon" in p.with_suffix(".xml").read_bytes()]
        for path in names:
            (tmp_path / "served" / path.name).symlink_to(path)
    assert names
    with data_source("us", names[0].stem) as run:
        assert run.info.kind == "other"
        with pytest.raises(NoData):
            next(iter(run))


def test_a_run_that_was_begun_anew_is_told(golden, served, tmp_path, monkeypatch):
    with stand_in(golden, tmp_path / "served", tmp_path / "log") as server:
        monkeypatch.setenv("HIPERCAM_DEFAULT_URL", server.hipercam)
        run = data_source("hs", "run0001")
        run.frame(8)
    with (
        run,
        stand_in(golden, tmp_path / "served", tmp_path / "log", grow=60.0, port=server.port),
        pytest.raises(BadInput, match="has 0 frames now, and gave frame 8 before"),
    ):
        run.refresh()


@pytest.mark.parametrize("source", ["hs", "us"])
def test_a_run_on_a_server_has_one_name(source):
    with pytest.raises(BadInput, match="give one"):
        data_source(source, ["run0001", "run0002"])


@pytest.mark.parametrize(("source", "run"), RUNS)
def test_a_negative_first_holds_for_files_too(golden, served, source, run):
    with local(source, run, -1) as file:
        assert [frame.header["NFRAME"] for frame in file] == [file.available - 1]
        assert list(file) == []
