"""The network that fails on request does what it is asked for, and nothing else."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
import time

import pytest

from tests.support.proxy import Proxy


class Echo(socketserver.BaseRequestHandler):
    """Sends back what it gets."""

    def handle(self):
        with contextlib.suppress(OSError):
            while data := self.request.recv(65_536):
                self.server.got += data
                self.request.sendall(data)


@pytest.fixture
def echo():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.got = b""
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def proxy(echo):
    with Proxy(*echo.server_address) as proxy:
        yield proxy


@pytest.fixture
def client(proxy):
    with connect(proxy) as client:
        yield client


def connect(proxy):
    client = socket.create_connection(("127.0.0.1", proxy.port))
    client.settimeout(5)
    return client


def answer(client, length):
    found = b""
    while len(found) < length and (data := client.recv(65_536)):
        found += data
    return found


def test_it_passes_every_byte_on_both_ways(client):
    data = bytes(range(256)) * 4096
    threading.Thread(target=client.sendall, args=(data,), daemon=True).start()
    assert answer(client, len(data)) == data


def test_the_end_of_one_way_leaves_the_other_open(client):
    client.sendall(b"last words")
    client.shutdown(socket.SHUT_WR)
    assert answer(client, 100) == b"last words"


def test_a_stalled_byte_arrives_when_it_is_mended(proxy, client, echo):
    client.sendall(b"before")
    assert answer(client, 6) == b"before"
    proxy.stall()
    client.sendall(b"meanwhile")
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.recv(1)
    assert echo.got == b"before"
    proxy.mend()
    client.settimeout(5)
    assert answer(client, 9) == b"meanwhile"


def test_what_was_stalled_is_lost_when_it_is_cut(proxy, client, echo):
    client.sendall(b"before")
    answer(client, 6)
    proxy.stall()
    client.sendall(b"lost")
    time.sleep(0.1)
    proxy.cut()
    with contextlib.suppress(ConnectionResetError):
        assert client.recv(1) == b""
    proxy.mend()
    assert echo.got == b"before"


def test_cut_it_throws_everybody_out_until_it_is_mended(proxy, client):
    client.sendall(b"before")
    answer(client, 6)
    proxy.cut()
    for one in (client, connect(proxy)):
        with one, contextlib.suppress(ConnectionResetError):
            assert one.recv(1) == b""
    proxy.mend()
    with connect(proxy) as again:
        again.sendall(b"again")
        assert answer(again, 5) == b"again"


def test_slow_it_keeps_to_its_rate(proxy, client):
    proxy.slow(20_000)
    began = time.monotonic()
    client.sendall(bytes(6_000))
    assert len(answer(client, 6_000)) == 6_000
    assert time.monotonic() - began > 0.25


def test_without_its_server_it_throws_out_who_connects(echo):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Proxy("127.0.0.1", port) as proxy, connect(proxy) as client, contextlib.suppress(ConnectionResetError):
        assert client.recv(1) == b""
