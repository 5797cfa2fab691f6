"""A file server that does what a test tells it, on the loopback address: bytes by hand, so that any of them can be wrong."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Peer", "message", "page", "serving"]

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Peer:
    """A client of the server, as the test's server sees it."""

    def __init__(self, handler: socketserver.StreamRequestHandler) -> None:
        self._in, self._out = handler.rfile, handler.wfile
        self.socket = handler.connection

    def request(self) -> tuple[str, dict[str, str]]:
        """Read an HTTP request: its target and headers."""
        line, headers = self._in.readline(), {}
        while row := self._in.readline().strip():
            name, _, value = row.decode().partition(":")
            headers[name.lower()] = value.strip()
        if not line:
            raise ConnectionError
        return line.split()[1].decode(), headers

    def open(self, greeting: Any = None) -> None:
        """Accept a WebSocket and greet."""
        self.accept()
        self.send(message(greeting or {"status": "OK"}))

    def accept(self) -> None:
        """Accept a WebSocket."""
        _, headers = self.request()
        key = headers["sec-websocket-key"] + _GUID
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        upgrade = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self.send(f"{upgrade}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())

    def asked(self) -> dict[str, Any]:
        """Read a question from the WebSocket."""
        head = self._in.read(2)
        if len(head) < 2 or head[0] & 0x0F == 8:
            raise ConnectionError
        size = head[1] & 0x7F
        if size == 126:
            size = struct.unpack(">H", self._in.read(2))[0]
        mask = self._in.read(4)
        return json.loads(bytes(b ^ mask[i % 4] for i, b in enumerate(self._in.read(size))))

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._out.write(data)

    def stall(self) -> None:
        """Say nothing until the client goes."""
        while self.socket.recv(65536):
            pass


def message(content: Any, *, opcode: int | None = None, final: bool = True, size: int | None = None) -> bytes:
    """Bytes of a WebSocket frame: bytes are sent as such, texts too, everything else as JSON; `size` lies about its length."""
    if isinstance(content, bytes):
        payload, kind = content, 2
    else:
        payload, kind = (content if isinstance(content, str) else json.dumps(content)).encode(), 1
    first = (0x80 if final else 0) | (kind if opcode is None else opcode)
    size = len(payload) if size is None else size
    if size < 126:
        return bytes([first, size]) + payload
    if size < 65536:
        return bytes([first, 126]) + struct.pack(">H", size) + payload
    return bytes([first, 127]) + struct.pack(">Q", size) + payload


def page(content: bytes, *, status: str = "200 OK", size: int | None = None, headers: str = "") -> bytes:
    """Bytes of an answer to GET; `size` lies about its length."""
    size = len(content) if size is None else size
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{headers}\r\n".encode() + content


@contextmanager
def serving(behave: Callable[[Peer], None]) -> Iterator[int]:
    """Serve with a function that is called for each connection; gives the port."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError, ValueError):
                behave(Peer(self))

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
