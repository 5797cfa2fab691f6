"""Client of the ULTRACAM file server, which speaks HTTP: runs of ULTRACAM and ULTRASPEC."""

from __future__ import annotations

import re
from typing import Self

from roque.errors import BadInput, NotFound
from roque.instruments.ultra_modes import ultra_read_out
from roque.spool.servers.addresses import checked_run, http_address
from roque.spool.servers.http import HttpClient
from roque.spool.servers.wire import MOST_FRAMES
from roque.spool.ultra_xml import parse_ultra_xml

__all__ = ["UltracamServer"]

_MOST_XML = 1 << 20  # bytes
_MOST_TEXT = 1 << 16
_MOST_FRAME = 32 << 20
_COUNT = re.compile(rb'nframes="\s*(\d{1,18})\s*"|appears to have\s+(\d{1,18})')  # the latter: older servers


class UltracamServer:
    """A run on an ULTRACAM file server. It is asked when it is needed, on a connection that is made anew when it was lost.

    Parameters
    ----------
    address : str
        Of the server, with its scheme: ``http://localhost:8007/``.
    run : str
        Name of the run there.

    Raises
    ------
    BadInput
        Not an address, or not the name of a run.

    Notes
    -----
    All methods raise `Unreachable` where the server does not answer within 1.5 s, stops in the middle of an answer or closes
    the connection twice, and `BadInput` where the answer makes no sense.
    """

    def __init__(self, address: str, run: str) -> None:
        server = http_address(address)
        self.run = checked_run(run, server)
        self.name = f"{server}{run}"
        self._http = HttpClient(self.name)
        self._xml: bytes | None = None
        self._frame_bytes: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def xml(self) -> bytes:
        """Give the run's .xml.

        Raises
        ------
        NotFound
            There is no such run.
        """
        status, content = self._http.get(f"{self.name}?action=get_xml", _MOST_XML, "get_xml")
        # an older server says so in its answer
        if status != 200 or content.lstrip().startswith(b"Exception:"):
            remedy = "list the runs that it has with 'roque hcam uls'"
            raise NotFound("the file server has no such run", file=self.name, place="get_xml", remedy=remedy)
        self._xml, self._frame_bytes = content, None
        return content

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame, by the .xml."""
        if self._frame_bytes is None:
            xml = self.xml() if self._xml is None else self._xml
            size = ultra_read_out(parse_ultra_xml(xml, self.name)).frame_bytes
            if not 0 < size <= _MOST_FRAME:
                message, place = f"frames of {size} bytes: no camera has such", "attribute framesize"
                raise BadInput(message, file=self.name, place=place, remedy="correct the .xml on the server")
            self._frame_bytes = size
        return self._frame_bytes

    def frames(self) -> int:
        """Count the frames that are there by now."""
        status, content = self._http.get(f"{self.name}?action=get_num_frames", _MOST_TEXT, "get_num_frames")
        found = _COUNT.search(content) if status == 200 else None
        count = int(found[1] or found[2]) if found else -1
        if not 0 <= count <= MOST_FRAMES:
            message = f"no number of frames: status {status}, {content[:60]!r}"
            raise BadInput(message, file=self.name, place="get_num_frames", remedy="look after the server")
        return count

    def frame(self, k: int) -> bytes | None:
        """Give a frame, as it stands in the .dat.

        Parameters
        ----------
        k : int
            Its place, from 0.

        Returns
        -------
        bytes or None
            None: it is not there yet.

        Raises
        ------
        BadInput
            It has not the length that the .xml says.
        """
        size, place = self.frame_bytes, f"frame {k + 1}"
        try:
            status, content = self._http.get(f"{self.name}?action=get_frame&frame={k}", size, place, whole=size)
        except BadInput:
            self._frame_bytes = self._xml = None  # another run may have taken its name
            raise
        if status != 200:
            return None
        if len(content) != size:
            self._frame_bytes = self._xml = None
            message = f"the frame has {len(content)} bytes, and {size} by the .xml"
            raise BadInput(message, file=self.name, place=place, remedy="look after the server, or copy the run's files")
        return content
