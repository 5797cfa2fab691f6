"""A file that is open for reading: whatever the disk or another process does to it, the answer is an error with a place."""

from __future__ import annotations

import mmap
import os
import stat
import weakref
from contextlib import suppress
from types import TracebackType
from typing import Self

from roque.errors import BadInput, NotFound, Unreadable

__all__ = ["DAMAGED", "OpenFile", "read_text"]

DAMAGED = "the file is damaged: copy it again from where it came"


_MAY_BE_HOLLOW, _LEAST_OF_A_STAMP = 1 << 30, 8  # bytes
_LONGEST_TEXT = 1 << 20  # bytes; those that people write have some thousand


class OpenFile:
    """A file, read through its own file handle.

    Parameters
    ----------
    path : path
        The file.
    name : str or None
        How it is called in messages, where it is the unpacked copy of another.

    Raises
    ------
    NotFound
        There is no such file.
    BadInput
        It is no file, or may not be read.
    """

    def __init__(self, path: str | os.PathLike[str], name: str | None = None) -> None:
        self.path = os.fspath(path)
        self.name = self.path if name is None else name
        try:
            # without waiting: a pipe in a data folder would keep the reader for ever
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            raise NotFound("no such file", file=self.name) from None
        except PermissionError:
            raise BadInput("the file may not be read", file=self.name, remedy="give roque the right to read it") from None
        except OSError as error:
            raise BadInput(f"the file cannot be opened: {error.strerror}", file=self.name, remedy="name another") from None
        except ValueError as error:
            raise BadInput(f"the file cannot be opened: {error}", file=self.name, remedy="name another") from None
        # a source that nobody closes must not keep its file open for ever
        self._closer = weakref.finalize(self, os.close, self._fd)
        if not stat.S_ISREG(self.status.st_mode):
            self.close()
            raise BadInput("not a file", file=self.name, remedy="name a file: no folder, no device and no pipe")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self._closer()
        self._fd = -1  # the number may soon be another file's

    @property
    def status(self) -> os.stat_result:
        """Size and times of the file now."""
        return os.fstat(self._fd)

    @property
    def size(self) -> int:
        """Bytes of the file now."""
        return self.status.st_size

    @property
    def replaced(self) -> bool:
        """Whether another file lies under its name now: some programs copy anew what has grown, and rename the copy."""
        try:
            there, own = os.stat(self.path), self.status  # noqa: PTH116 - fifty times a second
        except OSError:
            return False
        return stat.S_ISREG(there.st_mode) and (there.st_dev, there.st_ino) != (own.st_dev, own.st_ino)

    def refuse_hollow(self, frame_bytes: int) -> None:
        """Refuse a large file of frames that is all holes: a copy made room for it, and nothing was written.

        Parameters
        ----------
        frame_bytes : int
            Bytes of a frame.

        Raises
        ------
        BadInput
            What is on the disk is less than the time stamps of so many frames take.
        """
        status = self.status
        there = 512 * status.st_blocks
        # disks that don't tell say 0; those that compress keep some bytes of each stamp
        if status.st_size > _MAY_BE_HOLLOW and 0 < there < _LEAST_OF_A_STAMP * (status.st_size // frame_bytes):
            message = f"of {status.st_size} bytes only {there} were ever written: the rest are holes"
            raise BadInput(message, file=self.name, place=f"byte {there}", remedy="copy it again from where it came")

    def read(self, offset: int, size: int) -> bytes:
        """Read bytes at an offset, fewer at the end of the file.

        Raises
        ------
        Unreadable
            The disk or the network fails.
        """
        try:
            data = os.pread(self._fd, size, offset)
            # one call gives no more than 2 GiB, and less where a signal comes between
            while 0 < len(data) < size and (more := os.pread(self._fd, size - len(data), offset + len(data))):
                data += more
        except OSError as error:
            raise self._unreadable(error, f"byte {offset}") from error
        return data

    def read_each(self, offset: int, step: int, size: int, count: int) -> bytes:
        """Read `size` bytes at each of `count` offsets that lie a step apart, one after another; fewer at the end of the file.

        Raises
        ------
        Unreadable
            The disk or the network fails.
        """
        fd, places = self._fd, range(offset, offset + step * count, step)
        self._fetch(places, size)
        try:
            return b"".join([os.pread(fd, size, at) for at in places])
        except OSError as error:
            raise self._unreadable(error, f"byte {offset} or after it") from error

    def _fetch(self, places: range, size: int) -> None:
        """Ask the disk for scattered bytes all at once, if they are not in memory, which the last of them tells.

        One after the other they take five times as long.
        """
        with suppress(OSError):  # a disk that cannot say so is not asked; what is wrong with it reading tells
            try:
                if places:
                    os.preadv(self._fd, [bytearray(1)], places[-1], os.RWF_NOWAIT)
            except BlockingIOError:
                for at in places:
                    os.posix_fadvise(self._fd, at, size, os.POSIX_FADV_WILLNEED)

    def map(self) -> mmap.mmap:
        """Map the file as it is now, read-only. The map outlives the file handle.

        Raises
        ------
        BadInput
            The file is empty by now.
        Unreadable
            The disk or the network fails.
        """
        try:
            return mmap.mmap(self._fd, 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise BadInput("the file became empty while it was read", file=self.name, place="byte 0", remedy=DAMAGED) from None
        except OSError as error:
            raise self._unreadable(error, "byte 0") from error

    def _unreadable(self, error: OSError, place: str) -> Unreadable:
        message = f"the file cannot be read: {(error.strerror or str(error)).lower()}"
        return Unreadable(message, file=self.name, place=place, remedy="look after the disk or the network that it lies on")


def read_text(path: str | os.PathLike[str], what: str, remedy: str, most: int = _LONGEST_TEXT) -> str:
    """Read a text of moderate size.

    Parameters
    ----------
    path : path
        The file.
    what : str
        What it should be, with its article, for error messages: 'an aperture file'.
    remedy : str
        What to do if it is not that.
    most : int
        Bytes that it may have.

    Raises
    ------
    NotFound
        There is no such file.
    BadInput
        It is no file, may not be read, is far too long, or is not UTF-8.
    """
    try:
        with OpenFile(path) as file:
            if file.size > most:
                place = f"byte {most}"
                raise BadInput(f"not {what}: it has {file.size} bytes", file=file.name, place=place, remedy=remedy)
            data = file.read(0, most)
    except NotFound:
        raise NotFound(f"no such {what.partition(' ')[2]}", file=os.fspath(path)) from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        place = f"byte {error.start}"
        raise BadInput(f"not {what}: it is not text", file=os.fspath(path), place=place, remedy=remedy) from None
