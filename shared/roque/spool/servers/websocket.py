"""A WebSocket on a connection that keeps to its allowance.

The protocol is that of the package websockets; its own clients cannot bound the time that a large message takes.
"""

from __future__ import annotations

import contextlib

import httpcore
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from roque.spool.servers.wire import Allowance, Backend, Nonsense

__all__ = ["WebSocket"]

_CHUNK = 1 << 18  # bytes read at once


class WebSocket:
    """An open WebSocket.

    Parameters
    ----------
    url : str
        Where to connect to, ``ws://...``.
    allowance : Allowance
        Of the question that it is opened for, and of later ones.

    Raises
    ------
    Nonsense
        The server speaks no WebSocket.
    httpcore.NetworkError, httpcore.TimeoutException
        It does not answer.
    """

    def __init__(self, url: str, allowance: Allowance) -> None:
        uri = parse_uri(url)
        self._allowance = allowance
        self._messages: list[str | bytes] = []
        self._parts: list[bytes] = []
        self._is_text = False
        self._protocol = ClientProtocol(uri, max_size=None)
        self._stream = Backend(allowance).connect_tcp(uri.host, uri.port)
        try:
            self._protocol.send_request(self._protocol.connect())
            self._flush()
            while self._protocol.state is State.CONNECTING:
                self._take()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Say goodbye, without waiting for an answer, and close the connection."""
        with contextlib.suppress(httpcore.NetworkError, httpcore.TimeoutException, Nonsense):
            if self._protocol.state is State.OPEN:
                self._protocol.send_close()
                self._flush()
        self._stream.close()

    def send(self, text: str) -> None:
        """Send a text."""
        if self._messages:
            raise Nonsense(f"an answer that nobody asked for, {self._messages[0][:60]!r}")
        if self._protocol.state is not State.OPEN:
            self._allowance.ended = True
            raise httpcore.WriteError
        self._protocol.send_text(text.encode())
        self._flush()

    def receive(self, most: int) -> str | bytes:
        """Wait for the next message, of no more than `most` bytes."""
        self._protocol.max_message_size = most
        while not self._messages:
            self._take()
        return self._messages.pop(0)

    def _take(self) -> None:
        """Wait for bytes, and sort them."""
        data = self._stream.read(_CHUNK)
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._sort(event)
        refused = self._protocol.handshake_exc or self._protocol.parser_exc
        if isinstance(refused, InvalidStatus) and refused.response.status_code >= 500:
            raise httpcore.ConnectError(str(refused))
        if refused is not None and (data or isinstance(refused, InvalidStatus)):
            raise Nonsense(f"no WebSocket: {refused}")
        self._flush()
        if not self._messages and self._protocol.state in {State.CLOSING, State.CLOSED}:
            self._allowance.ended = True
            raise httpcore.ReadError

    def _sort(self, frame: Frame) -> None:
        if frame.opcode not in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            return
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        self._parts.append(bytes(frame.data))
        if frame.fin:
            content = b"".join(self._parts)
            self._parts.clear()
            try:
                self._messages.append(content.decode() if self._is_text else content)
            except UnicodeDecodeError as error:
                raise Nonsense(f"a text that is not UTF-8: {error}") from None

    def _flush(self) -> None:
        """Send what the protocol has to say."""
        for data in self._protocol.data_to_send():
            if data:
                self._stream.write(data)
