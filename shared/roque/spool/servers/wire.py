"""Connections to file servers that keep to a time and a size, whatever the server does.

A time-out of each read alone would let a server that sends a byte now and then hold its client for hours.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable
from ssl import SSLContext
from threading import Thread
from typing import Any, TypeVar

import httpcore

from roque.errors import BadInput, RoqueError, Unreachable

__all__ = ["MOST_FRAMES", "PATIENCE", "Allowance", "Backend", "Nonsense", "asked"]

PATIENCE = 1.5
"""Seconds of silence after which a server counts as stalled."""

MOST_FRAMES = 100_000_000
"""Frames that a run may have: a thousand a second for a day and more."""

_SLOWEST = 1 << 16  # bytes/s on the average, after the first `PATIENCE`
_OVERHEAD = 1 << 17  # bytes of an answer that are not its content: headers, pings, another greeting
_QUOTED = 200  # letters
_REMEDY = "check its address, and that the server runs; then try again"

Answer = TypeVar("Answer")


class Nonsense(Exception):
    """An answer that the protocol does not have."""


class Allowance:
    """Time and bytes that an answer may take, of which every connection of a client is told.

    `ended` says whether the server closed the connection since the last question.

    Parameters
    ----------
    patience : float
        Seconds without a byte after which a server counts as stalled.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self.patience = patience
        self.begin(0)

    def begin(self, most: int) -> None:
        """Begin a question whose answer has no more than `most` bytes; it may be put twice."""
        self._began = self._heard = time.monotonic()
        self._most = 2 * most + _OVERHEAD
        self._bytes = 0
        self.ended = False

    def seconds(self) -> float:
        """Give the time that is left to wait for the next bytes; `httpcore.ReadTimeout` where there is none."""
        now = time.monotonic()
        left = self.patience + min(self._heard, self._began + self._bytes / _SLOWEST) - now
        if left <= 0.0:
            raise httpcore.ReadTimeout
        return left

    def took(self, size: int) -> None:
        """Count bytes that came; none means that the server closed the connection."""
        self._heard = time.monotonic()
        self._bytes += size
        self.ended |= size == 0
        if self._bytes > self._most:
            raise Nonsense(f"the answer is longer than {self._most} bytes")


class Backend(httpcore.SyncBackend):
    """Connections whose reads and writes keep to an allowance."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first of the host's addresses that answers."""
        refused = httpcore.ConnectError("it has no address")
        for address in self._addresses(host, port):
            try:
                return _Stream(super().connect_tcp(address, port, self._allowance.seconds()), self._allowance)
            except httpcore.ConnectError as error:
                refused = error
        raise refused

    def _addresses(self, host: str, port: int) -> list[str]:
        """Look a host up, which the system may take minutes for."""
        found: list[list[str] | OSError | UnicodeError] = []

        def look() -> None:
            try:
                found.append([str(place[0]) for *_, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)])
            except (OSError, UnicodeError) as error:
                found.append(error)

        looking = Thread(target=look, name="address", daemon=True)
        looking.start()
        looking.join(self._allowance.seconds())
        if not found:
            raise httpcore.ConnectTimeout
        if not isinstance(found[0], list):
            raise httpcore.ConnectError(str(found[0]))
        return found[0]


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, allowance: Allowance) -> None:
        self._stream = stream
        self._allowance = allowance

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            data = self._stream.read(max_bytes, self._allowance.seconds())
        except httpcore.ReadError:
            self._allowance.ended = True
            raise
        self._allowance.took(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            self._stream.write(buffer, self._allowance.seconds())
        except httpcore.WriteError:
            self._allowance.ended = True
            raise

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, self._allowance.seconds()), self._allowance)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def asked(
    question: Callable[[], Answer], drop: Callable[[], None], allowance: Allowance, most: int, *, file: str, place: str
) -> Answer:
    """Put a question to a server, once more on a new connection if it closes the one it had.

    Parameters
    ----------
    question : callable
        Asks, and gives the answer.
    drop : callable
        Forgets the connection. After any error it is called: a late answer must not pass for that to the next question.
    allowance : Allowance
        Of the connections that `question` makes.
    most : int
        Largest size of the answer's content, bytes.
    file, place : str
        Address and run, and what is asked for, for messages.

    Raises
    ------
    Unreachable
        The server does not answer, or stops in the middle of its answer: it may be back.
    BadInput
        The answer makes no sense, or is too long.
    """
    allowance.begin(most)
    try:
        try:
            return question()
        except (httpcore.NetworkError, httpcore.ProtocolError):
            if not allowance.ended:
                raise
            drop()
        allowance.ended = False
        return question()
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, Nonsense) as error:
        drop()
        raise _told(error, allowance, file, place) from error
    except BaseException:
        drop()
        raise


def _told(error: Exception, allowance: Allowance, file: str, place: str) -> RoqueError:
    """Make of what went wrong an error for a person."""
    if isinstance(error, httpcore.TimeoutException):
        message = f"the file server stalls: nothing of an answer, or too little of it, came within {allowance.patience:g} s"
        return Unreachable(message, file=file, place=place, remedy=_REMEDY)
    if isinstance(error, httpcore.ConnectError):
        why = str(error).lower() or "no connection"
        return Unreachable(f"the file server does not answer ({why})", file=file, place=place, remedy=_REMEDY)
    if allowance.ended and not isinstance(error, Nonsense):
        message = "the file server closed the connection in the middle of its answer, twice"
        return Unreachable(message, file=file, place=place, remedy=_REMEDY)
    remedy = "check that the address is that of this camera's file server"
    # it may quote the answer
    why = "".join(letter if letter.isprintable() else "?" for letter in str(error)[:_QUOTED])
    return BadInput(f"no answer of a file server: {why}", file=file, place=place, remedy=remedy)
