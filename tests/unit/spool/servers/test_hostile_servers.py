"""Servers that stall, lie, close and babble: every answer is a typed error with its place, soon and in little memory."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import re
import socket
import struct
import time
import tracemalloc
from contextlib import contextmanager

import pytest

from roque.errors import BadInput, NotFound, RoqueError, Unreachable
from roque.frames.cards import BLOCK
from roque.spool import data_source
from roque.spool.servers import HipercamServer, UltracamServer
from tests.support.hostile import message, page, serving

FRAME = 19236
XML_FRAME = 86048
SECONDS = 2.0


@pytest.fixture(scope="module")
def raw(golden):
    data = (golden / "servers" / "runs" / "run0001.fits").read_bytes()
    return data[: 2 * BLOCK].decode(), [data[i : i + FRAME] for i in range(2 * BLOCK, 2 * BLOCK + 8 * FRAME, FRAME)]


@pytest.fixture(scope="module")
def xml(golden):
    return (golden / "ultracam" / "run002.xml").read_bytes()


@contextmanager
def soon(kind, match):
    """Something fails so, and soon."""
    start = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises(kind, match=match) as caught:
            yield
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()
    # a machine that has more to do than it can takes longer over everything
    assert time.monotonic() - start < SECONDS * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert type(caught.value) is kind
    assert "run0" in caught.value.file
    assert caught.value.remedy


def hipercam(raw, answer, greeting=None):
    """A HiPERCAM server that gives the header as it should, and everything else by `answer(peer, question)`."""

    def behave(peer):
        peer.open(greeting)
        while True:
            question = peer.asked()
            if question == {"action": "get_hdr"}:
                peer.send(message(raw[0]))
            else:
                answer(peer, question)

    return behave


def client(port):
    return HipercamServer(f"127.0.0.1:{port}/", "run0001")


def trickle(peer, data):
    for byte in data:
        peer.send(bytes([byte]))
        time.sleep(0.2)


def reset(peer):
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.socket.close()
    raise ConnectionError


FRAMES = {
    "nothing": (Unreachable, "stalls", lambda p, _: p.stall()),
    "half a frame": (Unreachable, "stalls", lambda p, f: (p.send(message(f)[: FRAME // 2]), p.stall())),
    "byte by byte": (Unreachable, "stalls", lambda p, f: trickle(p, message(f))),
    "pings alone": (Unreachable, "stalls", lambda p, _: [(p.send(message(b"", opcode=9)), time.sleep(0.1)) for _ in range(99)]),
    "a reset": (Unreachable, "closed the connection", lambda p, _: reset(p)),
    "a reset within": (Unreachable, "closed the connection", lambda p, f: (p.send(message(f)[:9000]), reset(p))),
    "a farewell": (Unreachable, "closed the connection", lambda p, _: (p.send(message(b"\x03\xe8", opcode=8)), p.stall())),
    "a short frame": (BadInput, "19235 bytes, and 19236 by the header", lambda p, f: p.send(message(f[:-1]))),
    "a long frame": (BadInput, "no answer of a file server", lambda p, f: p.send(message(f + b"\0"))),
    "a huge frame": (BadInput, "no answer of a file server", lambda p, f: (p.send(message(f, size=1 << 40)), p.stall())),
    "endless pieces": (
        BadInput, "no answer of a file server",
        lambda p, f: [p.send(message(f, final=False, opcode=2 if i == 0 else 0)) for i in range(10_000)],
    ),
    "a text": (BadInput, "wrong kind, '.*bad request", lambda p, _: p.send(message({"status": "bad request"}))),
    "no WebSocket frame": (BadInput, "no answer of a file server: no WebSocket", lambda p, _: p.send(b"\xff" * 500)),
    "a text of bytes": (BadInput, "UTF-8", lambda p, _: p.send(message(b"\xff\xfe", opcode=1))),
    "flood of pings": (BadInput, "longer than", lambda p, _: [p.send(message(b"x" * 125, opcode=9)) for _ in range(1 << 20)]),
}  # fmt: skip


@pytest.mark.parametrize("case", FRAMES)
def test_a_hipercam_server_that_misbehaves_over_a_frame_is_told_and_asked_anew_later(raw, case):
    kind, match, misbehave = FRAMES[case]
    hostile = True

    def answer(peer, question):
        if hostile:
            misbehave(peer, raw[1][0])
        else:
            number = question.get("frame_number")
            peer.send(message(raw[1][number - 1]))

    with serving(hipercam(raw, answer)) as port, client(port) as server:
        server.header()
        with soon(kind, f"run0001, frame 1: .*{match}"):
            server.frame(1)
        hostile = False
        assert server.frame(1) == raw[1][0]  # by its number, on a new connection


TEXTS = {
    "nonsense": "[" * 100_000,
    "a list": "[1, 2]",
    "an expression": "__import__('os').getpid()",
    "a billion": '{"nframes": 1000000000}',
    "less than none": '{"nframes": -1}',
    "a fraction": '{"nframes": 1.5}',
    "true": '{"nframes": true}',
    "a text": '{"nframes": "8"}',
    "digits without end": '{"nframes": ' + "9" * 5000 + "}",
    "infinity": '{"nframes": Infinity}',
    "nothing": "",
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_count_that_makes_no_sense_is_told(raw, case):
    with (
        serving(hipercam(raw, lambda p, _: p.send(message(TEXTS[case])))) as port,
        client(port) as server,
        soon(BadInput, "run0001, get_nframes: no (number of frames|answer)"),
    ):
        server.frames()


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\r\n\r\nhello", b"hello\r\n\r\n", b"\0" * 20_000, b"SSH-2.0-OpenSSH_9.2\r\n"]
)
def test_a_server_that_is_no_file_server_is_told(answer):
    with (
        serving(lambda peer: (peer.request(), peer.send(answer))) as port,
        client(port) as server,
        soon(BadInput, "no answer of a file server.*check that the address"),
    ):
        server.header()


def test_a_server_with_an_error_of_its_own_may_be_asked_again_later():
    with serving(lambda peer: (peer.request(), peer.send(page(b"", status="503 Busy")))) as port:
        with client(port) as server, soon(Unreachable, "503"):
            server.header()
        with UltracamServer(f"http://127.0.0.1:{port}/", "run002") as server, soon(Unreachable, "503"):
            server.xml()


@pytest.mark.parametrize("greeting", ["no json", {"status": 7}, [1], {"status": "fine"}])
def test_any_other_greeting_than_no_such_run_goes_on(raw, greeting):
    with serving(hipercam(raw, None, greeting)) as port, client(port) as server:
        assert server.header() == raw[0]


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next(raw):
    late = [True]

    def answer(peer, question):
        if late.pop() if late else False:
            time.sleep(1.8)
        peer.send(message(raw[1][question["frame_number"] - 1]))

    with serving(hipercam(raw, answer)) as port, client(port) as server:
        with soon(Unreachable, "stalls"):
            server.frame(1)
        assert server.frame(3) == raw[1][2]


def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next(raw):
    def answer(peer, question):
        peer.send(message(raw[1][question.get("frame_number", 2) - 1]) + message(raw[1][6]))

    with serving(hipercam(raw, answer)) as port, client(port) as server:
        assert server.frame(1) == raw[1][0]
        with soon(BadInput, "frame 2: .*nobody asked for"):
            server.frame(2)


HEADERS = {
    "no size": ("ESO DET ACQ1 WIN NX", "ESO DET ACQ9 WIN NX", "keyword ESO DET ACQ1 WIN NX is missing"),
    "another mode": ("'OneWindow", "'OneDoor  ", "unknown read-out mode"),
    "NSAMP 0": ("ESO DET NSAMP = 4", "ESO DET NSAMP = 0", "ESO DET NSAMP cannot be 0"),
    "no end": ("\nEND", "\nAND", "END"),
    "not FITS": ("SIMPLE", "SAMPLE", "not a FITS file"),
    "umlauts": ("SIMPLE", "SIMPLÉ", "characters"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_that_lies_is_told_with_its_keyword(raw, monkeypatch, case):
    old, new, match = HEADERS[case]
    cards = "\n".join(raw[0][i : i + 80] for i in range(0, len(raw[0]), 80))
    changed = cards.replace(old, new, 1).replace("\n", "")
    assert changed != raw[0]
    with serving(hipercam((changed, raw[1]), None)) as port:
        monkeypatch.setenv("HIPERCAM_DEFAULT_URL", f"127.0.0.1:{port}/")
        with soon(BadInput, match):
            data_source("hs", "run0001")


@pytest.mark.parametrize(
    ("nx", "match"), [(10**9, "the camera has none so large"), (1921, "by ESO DET ACQ1 WIN NX, but its windows")]
)
def test_windows_that_do_not_fit_the_frames_of_the_server_are_told(raw, monkeypatch, nx, match):
    lines = [raw[0][i : i + 80] for i in range(0, len(raw[0]), 80)]
    lines = [f"HIERARCH ESO DET ACQ1 WIN NX = {nx}".ljust(80) if "ACQ1 WIN NX" in line else line for line in lines]
    with serving(hipercam(("".join(lines), raw[1]), None)) as port:
        monkeypatch.setenv("HIPERCAM_DEFAULT_URL", f"127.0.0.1:{port}/")
        with soon(BadInput, match):
            data_source("hs", "run0001")


def test_a_run_that_took_the_name_of_another_is_told_and_read_afterwards(raw):
    frames = {"hs": raw[1][0]}

    def hs(peer, question):
        peer.send(message(frames["hs"]))

    lines = [raw[0][i : i + 80] for i in range(0, len(raw[0]), 80)]
    double = [re.sub(r"(ACQ1 WIN NX = )(\d+)", lambda m: f"{m[1]}{2 * int(m[2])}", line).ljust(80)[:80] for line in lines]
    headers = [raw[0], "".join(double)]

    def behave(peer):
        hipercam((headers[0], raw[1]), hs)(peer)

    with serving(behave) as port, client(port) as server:
        assert server.frame(1) == raw[1][0]
        headers.pop(0)
        frames["hs"] = raw[1][0] * 2
        with soon(BadInput, "frame 2"):
            server.frame(2)
        frames["hs"] = bytes(2 * (FRAME - 36) + 36)
        assert server.frame(2) == frames["hs"]


def test_a_count_that_the_server_cannot_keep_is_told(raw, monkeypatch):
    def answer(peer, question):
        peer.send(message({"nframes": 90_000_000} if question == {"action": "get_nframes"} else b""))

    with serving(hipercam(raw, answer)) as port:
        monkeypatch.setenv("HIPERCAM_DEFAULT_URL", f"127.0.0.1:{port}/")
        with data_source("hs", "run0001", 0) as run:
            assert list(run) == []  # remembers the count
            with soon(BadInput, "counts 90000000 frames, and does not give this one"):
                run.frame(90_000_000)
            with soon(BadInput, "counts 90000000 frames"):
                run.times()


def ultracam(xml, answer):
    """An ULTRACAM server that gives the .xml as it should, and everything else by `answer(peer)`."""

    def behave(peer):
        while True:
            target, _ = peer.request()
            if target.endswith("get_xml"):
                peer.send(page(xml))
            else:
                answer(peer)

    return behave


PAGES = {
    "nothing": (Unreachable, "stalls", lambda p: p.stall()),
    "a header byte by byte": (Unreachable, "stalls", lambda p: trickle(p, b"HTTP/1.1 200 OK\r\nServer: slow\r\n\r\n")),
    "half a frame": (Unreachable, "stalls", lambda p: (p.send(page(b"x" * 9000, size=XML_FRAME)), p.stall())),
    "a frame byte by byte": (Unreachable, "stalls", lambda p: trickle(p, page(b"x" * XML_FRAME))),
    "a reset": (Unreachable, "closed the connection", reset),
    "a reset within": (Unreachable, "closed the connection", lambda p: (p.send(page(b"x" * 9000, size=XML_FRAME)), reset(p))),
    "an end within, of unknown length": (
        Unreachable, "closed the connection",
        lambda p: (p.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 9000), p.socket.shutdown(socket.SHUT_RDWR)),
    ),
    "a short frame": (BadInput, "86047 bytes, and 86048 by the .xml", lambda p: p.send(page(b"x" * (XML_FRAME - 1)))),
    "a long frame": (BadInput, "more than 86048 bytes", lambda p: p.send(page(b"x" * (XML_FRAME + 1)))),
    "a huge frame": (
        BadInput, "more than|longer than",
        lambda p: [p.send(page(b"x" * (1 << 20), size=1 << 40)) for _ in range(400)],
    ),
    "endless headers": (
        BadInput, "no answer",
        lambda p: [p.send(b"HTTP/1.1 200 OK\r\n"), *(p.send(b"a: b\r\n" * 100) for _ in range(9999))],
    ),
    "not HTTP": (BadInput, "no answer of a file server", lambda p: p.send(b"\xff" * 500 + b"\r\n\r\n")),
    "two lengths": (BadInput, "no answer of a file server", lambda p: p.send(page(b"x", headers="Content-Length: 7\r\n"))),
    "a page of text": (BadInput, "5 bytes, and 86048", lambda p: p.send(page(b"hello"))),
    "its own error": (Unreachable, "error of its own: 500", lambda p: p.send(page(b"", status="500 Oh"))),
    "a way out": (None, "", lambda p: p.send(page(b"", status="302 Found", headers="Location: http://example.org/\r\n"))),
}  # fmt: skip


@pytest.mark.parametrize("case", PAGES)
def test_an_ultracam_server_that_misbehaves_over_a_frame_is_told_and_asked_anew_later(xml, case):
    kind, match, misbehave = PAGES[case]
    hostile, good = True, bytes(range(256)) * 337
    good = good[:XML_FRAME]

    def answer(peer):
        if hostile:
            misbehave(peer)
        else:
            peer.send(page(good))

    with serving(ultracam(xml, answer)) as port, UltracamServer(f"http://127.0.0.1:{port}", "run002") as server:
        assert server.frame_bytes == XML_FRAME
        if kind is None:
            assert server.frame(0) is None  # no redirection is followed
        else:
            with soon(kind, f"run002, frame 1: .*({match})"):
                server.frame(0)
        hostile = False
        assert server.frame(0) == good


COUNTS = {
    b'<fileserver run="run002" nframes="21"/>': 21,
    b"run002.dat appears to have 21 b": 21,
    b'nframes="1000000000"': None,
    b'nframes="-1"': None,
    b"nframes=21": None,
    b'nframes="99999999999999999999999999"': None,
    b"": None,
    b"\xff\0": None,
}


@pytest.mark.parametrize("text", COUNTS)
def test_numbers_of_frames_of_new_and_old_servers_are_read_and_others_told(xml, text):
    with (
        serving(ultracam(xml, lambda p: p.send(page(text)))) as port,
        UltracamServer(f"http://127.0.0.1:{port}", "run002") as server,
    ):
        if COUNTS[text] is not None:
            assert server.frames() == COUNTS[text]
            return
        with soon(BadInput, "run002, get_num_frames: no number of frames"):
            server.frames()


@pytest.mark.parametrize("content", [
    b"<a>" * 400_000,
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    b"hello",
    b"",
    b"<datainfo/>",
])  # fmt: skip
def test_an_xml_that_is_none_of_a_run_is_told(monkeypatch, content):
    with serving(ultracam(content, None)) as port:
        monkeypatch.setenv("ULTRACAM_DEFAULT_URL", f"http://127.0.0.1:{port}/")
        with soon(BadInput, "run002"):
            data_source("us", "run002")


def test_an_old_server_says_in_its_answer_that_there_is_no_run():
    with (
        serving(ultracam(b"Exception: no_xml: file does not exist", None)) as port,
        UltracamServer(f"http://127.0.0.1:{port}", "run002") as server,
        soon(NotFound, "no such run"),
    ):
        server.xml()


def test_proxies_of_the_environment_are_not_used(raw, xml, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "ws_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    with serving(ultracam(xml, None)) as port, UltracamServer(f"http://127.0.0.1:{port}", "run002") as server:
        assert server.xml() == xml
    with serving(hipercam(raw, None)) as port, client(port) as server:
        assert server.header() == raw[0]


@pytest.mark.parametrize("seed", range(40))
def test_whatever_a_server_sends_is_a_frame_or_a_typed_error(raw, xml, seed):
    """Answers cut, doubled and with bytes changed anywhere, WebSocket and HTTP framing included."""
    rng = random.Random(seed)

    def spoilt(data):
        data = bytearray(data)
        for _ in range(rng.choice([1, 1, 3, 20])):
            data[min(int(rng.expovariate(1 / 60)), len(data) - 1)] = rng.randrange(256)
        end = rng.choice([len(data), len(data), rng.randrange(len(data))])
        return bytes(data[:end]) * rng.choice([1, 1, 1, 2])

    def bad_hipercam(peer):
        peer.open()
        for _ in itertools.count():
            question = peer.asked()
            answer = message(raw[0]) if question["action"] == "get_hdr" else message(raw[1][0])
            peer.send(spoilt(answer) if rng.random() < 0.7 else answer)
            if rng.random() < 0.5:
                return

    def bad_ultracam(peer):
        for _ in itertools.count():
            target, _ = peer.request()
            answer = page(xml if "xml" in target else b"x" * XML_FRAME)
            peer.send(spoilt(answer) if rng.random() < 0.7 else answer)
            if rng.random() < 0.5:
                return

    with (
        serving(bad_hipercam) as one,
        serving(bad_ultracam) as two,
        client(one) as server,
        UltracamServer(f"http://127.0.0.1:{two}", "run002") as other,
    ):
        server._allowance.patience = other._http._allowance.patience = 0.15
        for ask in (server.header, lambda: server.frame(1), other.xml, lambda: other.frame(0)) * 2:
            found = b""
            with contextlib.suppress(RoqueError):  # of any other kind the test would end
                found = ask()
            assert not found or isinstance(found, str) or len(found) in {FRAME, XML_FRAME, len(xml)}
