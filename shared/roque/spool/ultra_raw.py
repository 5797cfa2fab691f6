"""Where the bytes of a ULTRACAM or ULTRASPEC run are."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from roque.errors import BadInput, NotFound
from roque.frames.handle import OpenFile
from roque.instruments.ultra import UltraHeader, UltraReadOut
from roque.instruments.ultra_modes import POWER, ultra_read_out
from roque.spool._raw import RawFrames, RunBytes
from roque.spool.ultra_files import UltraFiles
from roque.spool.ultra_xml import read_ultra_xml

__all__ = ["UltraBytes", "UltraPair"]


class UltraBytes(RunBytes, Protocol):
    """The bytes of a run: an `UltraPair` of files, or a `ServedUltracam`."""

    @property
    def header(self) -> UltraHeader:
        """What its .xml says."""
        ...

    @property
    def read_out(self) -> UltraReadOut:
        """How it was read out."""
        ...

    @property
    def timed(self) -> int:
        """Frames whose time stamp is whole: the last one's pixels may be cut short."""
        ...

    @property
    def written_at(self) -> float:
        """When it was written last, s since 1970, or so."""
        ...

    def insist_on(self, number: int) -> None:
        """Make sure that a frame is there.

        Raises
        ------
        NotFound
            It is not, or not yet.
        BadInput
            It is cut short.
        """
        ...


class UltraPair:
    """The two files of a run; `UltraBytes`.

    Parameters
    ----------
    files : UltraFiles
        How they are called.
    xml, dat : Path
        The files, plain.

    Raises
    ------
    BadInput
        No such run, or its .xml contradicts itself.
    NotFound
        There is no such file.
    """

    source = "ul"
    remote = False

    def __init__(self, files: UltraFiles, xml: Path, dat: Path) -> None:
        self.path = files.run
        self.header = read_ultra_xml(str(xml), str(files.xml))
        self.read_out = ultra_read_out(self.header)
        self._file = OpenFile(dat, str(files.dat))
        if self.read_out.mode != POWER:
            self._file.refuse_hollow(self.read_out.frame_bytes)
        self.name = self._file.name
        self.frames = RawFrames(self._file, 0, self.read_out.frame_bytes)
        self.refresh()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def extent(self) -> tuple[int, int]:
        """First byte of the first frame, and the byte after the last whole one, in the plain .dat."""
        return 0, self.read_out.frame_bytes * self.frames.available

    @property
    def timed(self) -> int:
        """Frames whose time stamp is whole: the last one's pixels may be cut short."""
        return self.frames.available + (self.read_out.mode != POWER and self._rest >= 2 * self.read_out.header_words)

    @property
    def written_at(self) -> float:
        """When the .dat was written, or copied later."""
        return self._file.status.st_mtime

    def refresh(self) -> None:
        """Look again at a file that may have grown, or have been copied anew."""
        if self._file.replaced:
            self._take_copy()
        self.written = self._file.size
        self.frames.refresh(0 if self.read_out.mode == POWER else self.written // self.read_out.frame_bytes)

    def _take_copy(self) -> None:
        """Read on in the file that lies there now."""
        try:
            copy = OpenFile(self._file.path, self.name)
        except (BadInput, NotFound):
            return
        self._file.close()
        self._file = copy
        self.frames = RawFrames(copy, 0, self.read_out.frame_bytes)

    def insist_on(self, number: int) -> None:
        """Make sure that a frame is there, and whole."""
        if number == self.frames.available + 1 == self.timed:
            raise self._cut_short()
        self.frames.insist_on(number)

    def problems(self) -> list[BadInput]:
        """Frames lost at the end, or none there at all."""
        if self.read_out.mode == POWER or (self._rest == 0 and self.written > 0):
            return []
        if self.written == 0:
            return [BadInput("the run has no frames", file=self.name, place="byte 0", remedy="copy it again if it should")]
        return [self._cut_short()]

    def _cut_short(self) -> BadInput:
        last, size = self.frames.available + 1, self.read_out.frame_bytes
        return BadInput(
            f"the run is cut short inside frame {last}: {self._rest} of {size} bytes are there",
            file=self.name,
            place=f"byte {self.written}",
            remedy="copy it again if the camera still has it; the whole frames are used",
        )

    @property
    def _rest(self) -> int:
        return self.written - self.read_out.frame_bytes * self.frames.available
