"""Runs on file servers as sources of frames are made of them: the bytes of headers and frames."""

from __future__ import annotations

import time
from pathlib import Path

from roque.errors import BadInput
from roque.instruments.hipercam import STAMP_BYTES, read_out, refuse_repeated
from roque.instruments.ultra_modes import ultra_read_out
from roque.spool.servers.frames import ServedFrames
from roque.spool.servers.hipercam import HipercamServer
from roque.spool.servers.ultracam import UltracamServer
from roque.spool.ultra_xml import parse_ultra_xml

__all__ = ["ServedHipercam", "ServedUltracam"]


class ServedHipercam:
    """A HiPERCAM run on a file server; `HipercamBytes`.

    Parameters
    ----------
    server : HipercamServer
        Closed with the run.

    Raises
    ------
    NotFound
        The server has no such run.
    Unreachable
        It does not answer.
    BadInput
        The header contradicts itself, or the answers make no sense.
    """

    source = "hs"
    remote = True
    announced = 0
    padded = False
    extent = (0, 0)

    def __init__(self, server: HipercamServer) -> None:
        self._server = server
        self.path = Path(server.run)
        self.name = server.name
        try:
            block = server.parsed()
            refuse_repeated(block, self.name)
            self.header = block.header
            size = server.frame_bytes
            self.read_out = read_out(self.header, file=self.name, frame_bytes=size)
        except BaseException:
            server.close()
            raise
        self.frames = ServedFrames(self.name, server.frames, server.frame, slice(size - STAMP_BYTES, size))

    @property
    def written(self) -> int:
        """Frames at the last look."""
        return self.frames.available

    def refresh(self) -> None:
        """Ask the server how many frames it has."""
        self.frames.refresh()

    def problems(self) -> list[BadInput]:
        """Nothing can be said of its size while it may grow."""
        return []

    def close(self) -> None:
        """Close the connection."""
        self._server.close()


class ServedUltracam:
    """A run of ULTRACAM or ULTRASPEC on a file server; `UltraBytes`.

    Parameters, errors: as of `ServedHipercam`.
    """

    source = "us"
    remote = True
    extent = (0, 0)

    def __init__(self, server: UltracamServer) -> None:
        self._server = server
        self.path = Path(server.run)
        self.name = server.name
        try:
            self.header = parse_ultra_xml(server.xml(), self.name)
            self.read_out = ultra_read_out(self.header)
        except BaseException:
            server.close()
            raise
        stamp = slice(0, 2 * self.read_out.header_words)
        self.frames = ServedFrames(self.name, server.frames, lambda place: server.frame(place - 1), stamp)

    @property
    def timed(self) -> int:
        """Frames at the last look: a server gives whole ones alone."""
        return self.frames.available

    @property
    def written(self) -> int:
        """Frames at the last look."""
        return self.frames.available

    @property
    def written_at(self) -> float:
        """Now: the server does not say."""
        return time.time()

    def refresh(self) -> None:
        """Ask the server how many frames it has."""
        self.frames.refresh()

    def insist_on(self, number: int) -> None:
        """Make sure that a frame is there."""
        self.frames.insist_on(number)

    def problems(self) -> list[BadInput]:
        """Nothing can be said of its size while it may grow."""
        return []

    def close(self) -> None:
        """Close the connection."""
        self._server.close()
