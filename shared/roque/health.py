"""How a service is: `/healthz`, `/readyz` and `/metrics` over HTTP, for whoever watches over processes.

`/healthz` says whether the process lives and its loop goes round: if not, start it again. `/readyz` says whether it can work
now: the record with its tables, and the broker where it is needed. `/metrics` is Prometheus' text.

What is asked takes one thread each, however many ask: an answer is kept for a while, and whoever asks while one is being found
waits for that, or is told that none came.
"""

from __future__ import annotations

import os
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from roque.errors import BadInput, RoqueError
from roque.settings import Settings
from roque.telemetry import logger

__all__ = ["STUCK_SECONDS", "Checks", "serve_health"]

STUCK_SECONDS = 120.0
"""A loop that has not gone round for so long stands still."""

KEPT_SECONDS = 5.0
"""How long an answer is given again."""

_PATIENCE_SECONDS = 3.0
_MOST_REQUESTS = 8
_REQUEST_SECONDS = 10.0

Answer = tuple[int, str]
"""HTTP status and text."""


@dataclass(frozen=True)
class Checks:
    """What a service says of itself; each may take its time, none may be asked by two threads at once."""

    stuck: Callable[[], str | None]  # why the process should be started again; quick: asked at each request
    ready: Callable[[], None]  # raises a RoqueError that says what it lacks
    metrics: Callable[[], str]


@contextmanager
def serve_health(settings: Settings, checks: Checks) -> Iterator[None]:
    """Answer while the body of the ``with`` runs, if the settings name a port.

    Raises
    ------
    BadInput
        Another process has the port, or the address is none of this machine.
    """
    if settings.health_port is None:
        yield
        return
    try:
        server = _Server((settings.health_address, settings.health_port), checks)
    except OSError as error:
        raise BadInput(
            f"no health server at {settings.health_address} port {settings.health_port}: {error.strerror or error}",
            place="settings health_port and health_address",
            remedy="give each service of a machine a port of its own, or leave health_port out",
        ) from None
    pid = os.getpid()
    thread = threading.Thread(target=server.serve_forever, name="health", kwargs={"poll_interval": 0.5}, daemon=True)
    thread.start()
    logger.info("health_server", address=settings.health_address, port=server.server_port)
    try:
        yield
    finally:
        if os.getpid() == pid:
            server.shutdown()
            thread.join()
            server.server_close()


class _Asked:
    """An answer that is found by one thread at a time and kept for a while."""

    def __init__(self, find: Callable[[], Answer]) -> None:
        self._find = find
        self._changed = threading.Condition()
        self._answer: Answer = (503, "not asked yet\n")
        self._found = -KEPT_SECONDS
        self._since: float | None = None  # when the search under way began

    def answer(self) -> Answer:
        with self._changed:
            if time.monotonic() - self._found < KEPT_SECONDS:
                return self._answer
            if self._since is None:
                self._since = time.monotonic()
                threading.Thread(target=self._search, name="health-check", daemon=True).start()
            if self._changed.wait_for(lambda: self._since is None, _PATIENCE_SECONDS):
                return self._answer
            return 503, f"no answer for {time.monotonic() - self._since:.0f} s\n"

    def _search(self) -> None:
        try:
            answer = self._find()
        except RoqueError as error:
            answer = 503, f"{error}\n"
        except Exception as error:  # noqa: BLE001 - whoever asks must learn of it, and the service goes on; its text may hold anything
            answer = 500, f"{type(error).__name__}\n"
        with self._changed:
            self._answer, self._found, self._since = answer, time.monotonic(), None
            self._changed.notify_all()


class _Server(socketserver.ThreadingMixIn, HTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def __init__(self, address: tuple[str, int], checks: Checks) -> None:
        self._checks = checks
        self._ready = _Asked(self._find_ready)
        self._metrics = _Asked(lambda: (200, checks.metrics()))
        self._free = threading.BoundedSemaphore(_MOST_REQUESTS)
        super().__init__(address, _Handler)
        # a process that is forked off must not hold the port when this one is gone
        os.register_at_fork(after_in_child=self.socket.close)

    def server_bind(self) -> None:
        """Bind without asking a name server for our name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, if few are at work."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one request; one that does not end is cut off."""
        cut = threading.Timer(_REQUEST_SECONDS, self.shutdown_request, [request])
        cut.daemon = True
        cut.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            cut.cancel()
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: it is the one who asked that went away."""

    def answer(self, path: str) -> Answer:
        match path:
            case "/healthz":
                why = self._checks.stuck()
                return (503, f"{why}\n") if why else (200, "alive\n")
            case "/readyz":
                return self._ready.answer()
            case "/metrics":
                return self._metrics.answer()
            case _:
                return 404, "there are /healthz, /readyz and /metrics\n"

    def _find_ready(self) -> Answer:
        self._checks.ready()
        return 200, "ready\n"


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5.0
    server_version, sys_version = "roque", ""

    def do_GET(self) -> None:
        self._send(*self.server.answer(self.path.partition("?")[0]))

    def do_HEAD(self) -> None:
        self.do_GET()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that is none."""
        self._send(code, "not a request that is answered here\n")

    def log_message(self, *_: Any) -> None:
        """Say nothing: somebody asks every few seconds."""

    def _send(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
