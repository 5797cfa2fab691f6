"""Clients of both file servers against the stand-in of the golden data."""

from __future__ import annotations

import socket
import time

import pytest

from roque.errors import BadInput, NotFound, Unreachable
from roque.frames.cards import BLOCK
from roque.spool.servers import HipercamServer, UltracamServer
from tests.support.proxy import Proxy

NEXT = {"action": "get_next"}


def numbered(n):
    return {"action": "get_frame", "frame_number": n}


@pytest.fixture
def raw(golden):
    """Header and frames of run0001."""
    data = (golden / "servers" / "runs" / "run0001.fits").read_bytes()
    start, size = 2 * BLOCK, 19236
    return data[:start].decode(), [data[i : i + size] for i in range(start, start + 8 * size, size)]


@pytest.fixture
def dat(golden):
    """Frames of run002."""
    data, size = (golden / "ultracam" / "run002.dat").read_bytes(), 86048
    return [data[i : i + size] for i in range(0, len(data), size)]


def test_hipercams_header_count_and_frames_are_those_of_the_file(served, raw):
    with HipercamServer(served.hipercam, "run0001") as server:
        assert server.header() == raw[0]
        assert server.frames() == 8
        assert [server.frame(n) for n in (1, 2, 3, 7, 5, 9)] == [*raw[1][:3], raw[1][6], raw[1][4], None]
    assert served.asked()[2:] == [numbered(1), NEXT, NEXT, numbered(7), numbered(5), numbered(9)]


def test_the_next_frame_follows_whichever_was_given_last(served, raw):
    frames = raw[1]
    with HipercamServer(served.hipercam, "run0001") as server:
        assert [server.next(), server.next(), server.frame(7), server.next()] == [*frames[:2], *frames[6:]]
        assert [server.next(), server.next()] == [None, None]
        assert server.last() == frames[7]


def test_after_a_number_that_is_not_there_a_frame_is_asked_for_by_its_own(served, raw):
    """A server may count the one that it could not give."""
    with HipercamServer(served.hipercam, "run0001") as server:
        assert [server.frame(n) for n in (8, 20, 0)] == [raw[1][7], None, None]
        assert [server.frame(n) for n in (1, 9, 2)] == [raw[1][0], None, raw[1][1]]
    asked = [request for request in served.asked() if request != {"action": "get_hdr"}]
    assert asked == [numbered(n) for n in (8, 20, 0, 1, 9, 2)]


def test_ultracams_xml_count_and_frames_are_those_of_the_files(served, golden, dat):
    with UltracamServer(served.ultracam, "run002") as server:
        assert server.xml() == (golden / "ultracam" / "run002.xml").read_bytes()
        assert server.frames() == len(dat)
        assert [server.frame(k) for k in (0, 1, 20, 7, 21)] == [dat[0], dat[1], dat[20], dat[7], None]


def test_a_run_that_is_not_there_is_told_with_the_command_that_lists_them(served):
    with HipercamServer(served.hipercam, "run0009") as hipercam, UltracamServer(served.ultracam, "run009") as ultracam:
        for ask, command in ((hipercam.header, "hls"), (ultracam.xml, "uls")):
            with pytest.raises(NotFound, match=f"run0?009, .*no such run.*roque hcam {command}"):
                ask()


def test_after_a_cut_the_frame_is_asked_for_by_its_number_and_none_is_lost_or_doubled(served, raw, dat):
    with (
        Proxy("127.0.0.1", served.port) as proxy,
        HipercamServer(f"127.0.0.1:{proxy.port}/", "run0001") as hipercam,
        UltracamServer(f"http://127.0.0.1:{proxy.port}/", "run002") as ultracam,
    ):
        found, also = [], []
        for k in range(8):
            if k in {3, 6}:
                proxy.cut()
                with pytest.raises(Unreachable, match="frame"):
                    hipercam.next()
                with pytest.raises(Unreachable, match=f"run002, frame {k + 1}: "):
                    ultracam.frame(k)
                proxy.mend()
            if k == 4:
                proxy.cut()
                proxy.mend()  # the next question finds its connection gone, and makes another
            found.append(hipercam.next())
            also.append(ultracam.frame(k))
    assert found == raw[1]
    assert also == dat[:8]
    asked = [request for request in served.asked() if isinstance(request, dict)]
    assert asked[1:] == [numbered(1), NEXT, NEXT, numbered(4), numbered(5), NEXT, numbered(7), NEXT]


@pytest.mark.parametrize(
    "address",
    ["ws://localhost:8007/", "user:parole@localhost:8007/", "localhost:notaport/", "local host/", "", "a?b/", "x" * 300],
)
def test_what_is_no_address_of_a_hipercam_server_is_refused_with_an_example(address):
    with pytest.raises(BadInput, match="localhost:8007/") as caught:
        HipercamServer(address, "run0001")
    assert "parole" not in str(caught.value)


@pytest.mark.parametrize("run", ["", "../run012", "run 12", "run012?action=dir", "run012#", "/run012", "é", "a" * 300])
def test_what_is_no_name_of_a_run_is_refused(run):
    with pytest.raises(BadInput, match="no run can be called"):
        UltracamServer("http://localhost:8007", run)
    with pytest.raises(BadInput, match="no run can be called"):
        HipercamServer("localhost:8007", run)


def test_a_server_that_is_not_there_is_unreachable_and_its_address_told():
    for ask in (HipercamServer("127.0.0.1:9/", "run0001").frames, UltracamServer("http://127.0.0.1:9/", "run002").frames):
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9/run0.*does not answer.*try again"):
            ask()


def test_a_host_that_cannot_be_found_or_is_not_found_in_time_is_unreachable(monkeypatch):
    server = HipercamServer("nowhere.invalid:8007", "run0001")
    with pytest.raises(Unreachable, match="does not answer"):
        server.frames()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: time.sleep(2.5) or [])
    start = time.monotonic()
    with pytest.raises(Unreachable, match="stalls"):
        server.frames()
    assert time.monotonic() - start < 2.0


def test_a_host_of_several_addresses_is_reached_at_the_one_that_answers(served, raw, monkeypatch):
    found = [(2, 1, 6, "", ("127.0.0.9", served.port)), (2, 1, 6, "", ("127.0.0.1", served.port))]
    plain = socket.getaddrinfo
    monkeypatch.setattr("socket.getaddrinfo", lambda host, *a, **k: found if host == "camera" else plain(host, *a, **k))
    with HipercamServer(f"camera:{served.port}", "run0001") as server:
        assert server.frame(1) == raw[1][0]


def test_a_slow_network_is_waited_for_as_long_as_bytes_come_but_not_for_ever(served, golden):
    """A frame of 327 716 bytes at 400 kB/s takes longer than a silent server is waited for; at 20 kB/s it is given up."""
    with Proxy("127.0.0.1", served.port) as proxy, HipercamServer(f"127.0.0.1:{proxy.port}/", "run0002") as server:
        server._allowance.patience = 0.3
        server.header()
        proxy.slow(400_000)
        start = time.monotonic()
        assert server.frame(1) == (golden / "servers" / "runs" / "run0002.fits").read_bytes()[2 * BLOCK : 2 * BLOCK + 327_716]
        assert time.monotonic() - start > 0.6
        proxy.slow(20_000)
        with pytest.raises(Unreachable, match="too little of it, came within"):
            server.frame(2)
