"""Files of runs that are copied from a file server, frame by frame, as the camera writes them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Protocol

from roque.errors import BadInput
from roque.frames.files import flush_folder, write_whole

__all__ = ["Copy", "HipercamCopy", "UltraCopy"]

_CARD, _BLOCK = 80, 2880
_NUMBER = re.compile(rb"NAXIS\d* *= *(\d+)")
_MOST_HEADER = 4 << 20  # bytes


class Copy(Protocol):
    """A run's files. Frames count from 0 here."""

    frames: int
    """Whole frames that the copy has."""

    def write_header(self, header: bytes) -> None:
        """Write what the server says of the run, or write it anew."""
        ...

    def append(self, frame: bytes) -> None:
        """Write the next frame."""
        ...

    def read(self, place: int) -> bytes:
        """Read a frame back."""
        ...

    def cut(self, frames: int) -> None:
        """Forget all frames but the first ones."""
        ...

    def flush(self) -> None:
        """Have all of it on the disk."""
        ...

    def close(self) -> None:
        """Close the files."""
        ...


class _Frames:
    """Frames one after the other in a file, from a byte on; what there is of another one at the end is cut off."""

    def __init__(self, path: Path, start: int, size: int) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._path, self._start, self._size = path, start, size
        self.frames = max(0, os.fstat(self._file).st_size - start) // size
        if os.fstat(self._file).st_size > start + self.frames * size:
            self.cut(self.frames)

    def append(self, frame: bytes) -> None:
        place = self._start + self.frames * self._size
        try:
            self.write(frame, place)
        except OSError:
            self.cut(self.frames)  # a full disk takes a part of it
            raise
        self.frames += 1

    def write(self, data: bytes, place: int) -> None:
        done = 0
        while done < len(data):
            done += os.pwrite(self._file, data[done:], place + done)

    def read(self, place: int) -> bytes:
        return os.pread(self._file, self._size, self._start + place * self._size)

    def cut(self, frames: int) -> None:
        self.frames = frames
        os.ftruncate(self._file, self._start + frames * self._size)

    def flush(self) -> None:
        os.fsync(self._file)
        flush_folder(self._path.parent)

    def close(self) -> None:
        os.close(self._file)


class HipercamCopy(_Frames):
    """A raw HiPERCAM run: the header as the server has it, but that NAXIS1 and NAXIS3 are those of the frames that are there.

    Parameters
    ----------
    path : Path
        Without ending.
    header : bytes
        As the server gave it.
    size : int
        Bytes of a frame.
    """

    def __init__(self, path: Path, header: bytes, size: int) -> None:
        path = path.with_name(f"{path.name}.fits")
        self._name = str(path)
        cards = _padded(header, self._name)
        if path.exists():
            with path.open("rb") as file:
                cards = _header_of(file.read(_MOST_HEADER)) or cards
        else:
            with write_whole(path) as part:
                part.write_bytes(cards)
        self._cards = cards
        super().__init__(path, len(cards), size)

    def write_header(self, header: bytes) -> None:
        """Write the header anew. One that has more blocks than at the beginning has no room: the first one stays."""
        cards = _padded(header, self._name)
        if len(cards) != len(self._cards):
            cards = self._cards
        announced = _card(cards, b"NAXIS3")
        cards = _with_card(cards, b"NAXIS1", self._size // 2, self._name)
        cards = _with_card(cards, b"NAXIS3", max(announced or 0, self.frames), self._name)
        if cards != self._cards:
            self.write(cards, 0)
            self._cards = cards


class UltraCopy(_Frames):
    """A raw run of ULTRACAM or ULTRASPEC: the .xml as the server has it, and the .dat; arguments as of `HipercamCopy`."""

    def __init__(self, path: Path, header: bytes, size: int) -> None:
        super().__init__(path.with_name(f"{path.name}.dat"), 0, size)
        self._xml = path.with_name(f"{path.name}.xml")

    def write_header(self, header: bytes) -> None:
        """Write the .xml, if it is another one."""
        if not self._xml.exists() or self._xml.read_bytes() != header:
            with write_whole(self._xml) as part:
                part.write_bytes(header)


def _padded(header: bytes, file: str) -> bytes:
    """Header with its END and filled up to whole blocks; bytes after that are left out."""
    found = _header_of(header)
    if found is not None:
        return found
    whole = header.rstrip()
    whole += b" " * (-len(whole) % _CARD)
    if not whole.startswith(b"SIMPLE  ="):
        raise BadInput(
            "the header that the server sends is not FITS", file=file, place="get_hdr", remedy="look after the server"
        )
    if whole[-_CARD:].rstrip() != b"END":
        whole += b"END".ljust(_CARD)
    return whole + b" " * (-len(whole) % _BLOCK)


def _header_of(data: bytes) -> bytes | None:
    """Header that a file begins with, all of its blocks; None if it has no end."""
    for place in range(0, len(data), _CARD):
        if data[place : place + _CARD].rstrip() == b"END":
            blocks = -(-(place + _CARD) // _BLOCK)
            return data[: blocks * _BLOCK] if len(data) >= blocks * _BLOCK else None
    return None


def _card(cards: bytes, keyword: bytes) -> int | None:
    for place in range(0, len(cards), _CARD):
        if cards[place : place + 8] == keyword.ljust(8):
            match = _NUMBER.match(cards[place : place + _CARD])
            return int(match[1]) if match else None
    return None


def _with_card(cards: bytes, keyword: bytes, value: int, file: str) -> bytes:
    """Cards with another value of a keyword, if it has another: a card that is right stays as it is."""
    if _card(cards, keyword) == value:
        return cards
    for place in range(0, len(cards), _CARD):
        if cards[place : place + 8] == keyword.ljust(8):
            new = keyword.ljust(8) + b"= " + str(value).encode().rjust(20) + cards[place + 30 : place + _CARD]
            return cards[:place] + new + cards[place + _CARD :]
    remedy = "look after the server"
    raise BadInput(f"the header has no {keyword.decode()}", file=file, place=f"keyword {keyword.decode()}", remedy=remedy)
