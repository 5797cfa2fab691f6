"""Where the bytes of a raw HiPERCAM run are."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from roque.errors import BadInput, Blemish, NotFound
from roque.frames.cards import BLOCK, parse_header
from roque.frames.frame import Header
from roque.frames.images import FitsFile, require
from roque.instruments.hipercam import ReadOut, read_out, refuse_repeated
from roque.spool._raw import RawFrames, RunBytes

__all__ = ["HipercamBytes", "HipercamFile"]


class HipercamBytes(RunBytes, Protocol):
    """Where the bytes of a run are: a `HipercamFile`, or a `ServedHipercam`."""

    @property
    def header(self) -> Header:
        """Its header."""
        ...

    @property
    def read_out(self) -> ReadOut:
        """How it was read out."""
        ...

    @property
    def announced(self) -> int:
        """Frames by the header, which may be written anew as the run grows; 0 where it does not say."""
        ...

    @property
    def padded(self) -> bool:
        """Whether the camera has filled the last block after the frames of the header: it does so when it ends a run."""
        ...


class HipercamFile:
    """A raw HiPERCAM file; `HipercamBytes`.

    Parameters
    ----------
    path : path
        The FITS file, plain.
    name : path or None
        How the file is called, where `path` is its unpacked copy.

    Raises
    ------
    BadInput
        Not a HiPERCAM run, or its header contradicts itself.
    NotFound
        There is no such file.
    """

    source = "hl"
    remote = False

    def __init__(self, path: str | os.PathLike[str], name: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(path if name is None else name)
        self._file = FitsFile(path, str(self.path))
        self.name = self._file.name
        try:
            self._hdu = self._file.hdu()
            refuse_repeated(self._hdu.block, self.name)
            self.header = self._hdu.header
            self.read_out = read_out(self.header, file=self.name)
            self._file.refuse_hollow(self.read_out.frame_bytes)
            self.frames = RawFrames(self._file, self._hdu.start, self.read_out.frame_bytes)
            self.announced: int = max(0, require(self.header, "NAXIS3", int, file=self.name))
            self._summed: tuple[int, list[BadInput]] = (-1, [])
            self.refresh()
        except BadInput:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def extent(self) -> tuple[int, int]:
        """First byte of the first frame, and the byte after the last whole one."""
        return self._hdu.start, self._hdu.start + self.read_out.frame_bytes * self.frames.available

    @property
    def padded(self) -> bool:
        """Whether the last block after the frames of the header is filled."""
        end: int = self._hdu.start + self.announced * self.read_out.frame_bytes
        filled = -(-end // BLOCK) * BLOCK
        return end < filled <= self.written

    def refresh(self) -> None:
        """Look again at a file that may have grown, or have been copied anew.

        Raises
        ------
        BadInput
            Another run lies there now.
        """
        if self._file.replaced:
            self._take_copy()
        # the camera may write the number of frames anew as the run grows; it stands in the first block, which may be half
        # written, or be gone where the whole file is copied anew: then the next look tells
        with suppress(BadInput):
            header = parse_header(self._file.read(0, BLOCK), file=self.name).header
            self.announced = max(0, require(header, "NAXIS3", int, file=self.name))
        self.written = self._file.size
        whole = (self.written - self._hdu.start) // self.read_out.frame_bytes
        self.frames.refresh(max(0, min(self.announced, whole)))

    def _take_copy(self) -> None:
        """Read on in the file that lies there now, as soon as it is a run."""
        try:
            copy = FitsFile(self._file.path, self.name)
        except (BadInput, NotFound):
            return
        try:
            hdu = copy.hdu()
            setup = read_out(hdu.header, file=self.name)
        except BadInput:
            copy.close()
            return
        if (hdu.start, setup) != (self._hdu.start, self.read_out):
            copy.close()
            raise BadInput("another run lies there now", file=self.name, place="byte 0", remedy="open it again")
        self._file.close()
        self._file = copy
        self.frames = RawFrames(copy, hdu.start, setup.frame_bytes)

    def problems(self) -> list[BadInput]:
        """Frames lost at the end, or bytes beyond them; frames that are not those that DATASUM was written for."""
        whole = self.frames.available == self.announced > 0
        return [*self._size_problems(), *(self._sum_problems() if whole else [])]

    def _sum_problems(self) -> list[BadInput]:
        """What DATASUM tells of a run that is whole; cameras write none, but packers and archives do."""
        if self._summed[0] != self.written:
            found: list[BadInput] = []
            try:
                self._file.check_sum(self._hdu)
            except BadInput as error:
                found = [error]
            self._summed = self.written, found
        return self._summed[1]

    def _size_problems(self) -> list[BadInput]:
        """Frames lost at the end, or bytes beyond them."""
        size, start, available = self.read_out.frame_bytes, self._hdu.start, self.frames.available
        data_end = start + -(-self.announced * size // BLOCK) * BLOCK
        if available < self.announced:
            lost = f"{self.announced - available} of {self.announced} frames are lost"
            rest = (self.written - start) % size
            where = f"inside frame {available + 1}" if rest and self.written > start else f"after frame {available}"
            remedy = "copy it again if the camera still has it; the whole frames are used"
            if available == 0:
                where, remedy = "before the end of its first frame", "copy it again from the camera: nothing of it can be used"
            return [
                BadInput(f"the run is cut short {where}: {lost}", file=self.name, place=f"byte {self.written}", remedy=remedy)
            ]
        if self.announced == 0:
            remedy = "copy it again from the camera; correct NAXIS3 if there are frames in it"
            return [
                BadInput("the header announces no frame: NAXIS3 is 0", file=self.name, place="keyword NAXIS3", remedy=remedy)
            ]
        if self.written > data_end:
            return [
                Blemish(
                    f"{self.written - data_end} bytes after the {self.announced} frames of the header are left out",
                    file=self.name,
                    place=f"byte {data_end}",
                    remedy="none is needed if the run was stopped by hand; else check NAXIS3",
                )
            ]
        return []
