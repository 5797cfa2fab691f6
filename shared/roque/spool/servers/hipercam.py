"""Client of the HiPERCAM file server, which speaks WebSocket: one run a connection."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Self, TypeVar

from roque.errors import BadInput, NotFound
from roque.frames.cards import BLOCK, HeaderBlock, read_header
from roque.instruments.hipercam import served_frame_bytes
from roque.spool.servers.addresses import checked_run, websocket_address
from roque.spool.servers.websocket import WebSocket
from roque.spool.servers.wire import MOST_FRAMES, Allowance, Nonsense, asked

__all__ = ["HipercamServer"]

_MOST_HEADER = 4 << 20  # bytes
_MOST_TEXT = 1 << 16
_NO_RUN = "no such run"

Answer = TypeVar("Answer", str, bytes)


class HipercamServer:
    """A run on a HiPERCAM file server. It is asked when it is needed, on a connection that is made anew when it was lost.

    Parameters
    ----------
    address : str
        Of the server, without a scheme: ``localhost:8007/``.
    run : str
        Name of the run there.

    Raises
    ------
    BadInput
        Not an address, or not the name of a run.

    Notes
    -----
    All methods raise `NotFound` where the server has no such run, `Unreachable` where it does not answer within 1.5 s, stops
    in the middle of an answer or closes the connection twice, and `BadInput` where the answer makes no sense.

    The server remembers which frame it gave last on a connection. A frame is asked for as the next one only where that is
    sure to be the right one, and by its number on a new connection: so none is lost or given twice.
    """

    def __init__(self, address: str, run: str) -> None:
        server = websocket_address(address)
        self.run = checked_run(run, server)
        self.name = f"{server}{run}"
        self._allowance = Allowance()
        self._socket: WebSocket | None = None
        self._sent: int | None = None  # frame that the server gave last on this connection; None where that is not sure
        self._given = 0  # frame that this client gave last
        self._header: str | None = None
        self._frame_bytes: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._allowance.begin(0)
        self._drop()

    def header(self) -> str:
        """Give the run's FITS header, card after card, with END and padding if the server has them."""
        text = self._ask(lambda: {"action": "get_hdr"}, str, _MOST_HEADER, "get_hdr")
        if not text.isascii():
            message, remedy = "the header holds characters that FITS has not", "look after the server, or copy the run's file"
            raise BadInput(message, file=self.name, place="get_hdr", remedy=remedy)
        self._header, self._frame_bytes = text, None
        return text

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame, by the header."""
        if self._frame_bytes is None:
            self._frame_bytes = served_frame_bytes(self.parsed().header, file=self.name)
        return self._frame_bytes

    def parsed(self) -> HeaderBlock:
        """Parse the header; it is asked for if it was not."""
        text = self.header() if self._header is None else self._header
        cards = text.encode("ascii").ljust(-(-len(text) // BLOCK) * BLOCK)  # a text may have lost its last blanks
        return read_header(lambda offset, size: cards[offset : offset + size], file=self.name)

    def frames(self) -> int:
        """Count the frames that are there by now."""
        text = self._ask(lambda: {"action": "get_nframes"}, str, _MOST_TEXT, "get_nframes")
        count = _json(text).get("nframes")
        if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= MOST_FRAMES:
            message = f"no number of frames: {text[:60]!r}"
            raise BadInput(message, file=self.name, place="get_nframes", remedy="look after the server")
        return count

    def frame(self, n: int) -> bytes | None:
        """Give a frame, as it stands in the file.

        Parameters
        ----------
        n : int
            Its place, from 1.

        Returns
        -------
        bytes or None
            None: it is not there yet.

        Raises
        ------
        BadInput
            It has not the length that the header says.
        """
        size, place = self.frame_bytes, f"frame {n}"
        try:
            data = self._ask(lambda: self._request_for(n), bytes, size, place)
        except BadInput:
            self._frame_bytes = self._header = None  # another run may have taken its name
            raise
        if not data:
            # what a server makes of a number that is not there yet is its own affair
            self._sent = self._sent if self._sent == n - 1 else None
            return None
        if len(data) != size:
            self._drop()
            self._frame_bytes = self._header = None
            message = f"the frame has {len(data)} bytes, and {size} by the header"
            raise BadInput(message, file=self.name, place=place, remedy="look after the server, or copy the run's file")
        self._sent = self._given = n
        return data

    def next(self) -> bytes | None:
        """Give the frame after the last one that was given, the first at first; None if it is not there yet."""
        return self.frame(self._given + 1)

    def last(self) -> bytes | None:
        """Give the newest whole frame; None if there is none.

        It is asked for by its number: the answer to get_last does not say which frame it is.
        """
        count = self.frames()
        return self.frame(count) if count else None

    def _ask(self, request: Callable[[], dict[str, Any]], kind: type[Answer], most: int, place: str) -> Answer:
        """Put a question, and give an answer of a kind. The request is made up once the connection stands."""

        def question() -> Answer:
            socket = self._connected()
            socket.send(json.dumps(request()))
            answer = socket.receive(most)
            if not isinstance(answer, kind):
                raise Nonsense(f"a message of the wrong kind, {answer[:60]!r}")
            return answer

        return asked(question, self._drop, self._allowance, most, file=self.name, place=place)

    def _request_for(self, n: int) -> dict[str, Any]:
        return {"action": "get_next"} if self._sent == n - 1 else {"action": "get_frame", "frame_number": n}

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> WebSocket:
        if self._socket is None:
            self._socket = WebSocket(self.name, self._allowance)
            self._sent = None
            greeting = self._socket.receive(_MOST_TEXT)
            if isinstance(greeting, str) and _json(greeting).get("status") == _NO_RUN:
                remedy = "list the runs that it has with 'roque hcam hls'"
                raise NotFound("the file server has no such run", file=self.name, place="status", remedy=remedy)
        return self._socket


def _json(text: str) -> dict[str, Any]:
    """Read an object; {} if the text is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
