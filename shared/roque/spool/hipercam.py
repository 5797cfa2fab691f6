"""Raw HiPERCAM runs: one FITS file, a frame per step of its third axis.

Nothing is decoded until it is asked for, and then no more than the box that was asked for. Frames up to a MiB are read whole with
one call, which a file that shrinks or a failing disk cannot turn into more than an error. Larger ones are mapped, so
that a box touches its own pages alone; a mapped page that a shrinking file has lost would kill the process, so the size is looked
at before each box.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from roque.errors import BadInput
from roque.frames import CCD, Frame, Window
from roque.frames.frame import Header
from roque.frames.images import FitsFile, require
from roque.instruments.hipercam import CCDS, NXTOT, NYTOT, STAMP_BYTES, RawWindow, ReadOut, read_out
from roque.spool._decode import decode_all, decode_box, decode_box_grouped
from roque.spool.source import Times, frames_from, no_frame, rows
from roque.spool.stamps import DAY, Exposures, exposures, frame_numbers, read_stamps

__all__ = ["HipercamRun"]

_WHOLE = 1 << 20  # bytes of a frame up to which reading it costs less than mapping it
_MAPPED = 64 << 20  # bytes of frames given after which mapped pages are let go: they count as memory in use
_TIMES_AT_ONCE = 256  # frames whose times are worked out together
_COPIED = ("DATE", "OBJECT", "FILTERS", "PI", "OBSERVER", "RA", "DEC", "RADEG", "DECDEG", "INSTRPA", "IMAGETYP", "INSTRUME", "TELESCOP")
_CHANGED = "the file became shorter while it was read"
_COPY_AGAIN = "wait until it is written, or copy it again"
_MJD_ORDINAL = 678576  # proleptic ordinal of MJD 0


class HipercamRun:
    """A raw HiPERCAM run; a `FrameSource`.

    Parameters
    ----------
    path : path
        The FITS file, plain.
    first : int
        Place of the first frame that iteration gives, from 1.

    Raises
    ------
    BadInput
        Not a HiPERCAM run, or its header contradicts itself.
    NotFound
        There is no such file.
    """

    def __init__(self, path: str | os.PathLike[str], first: int = 1) -> None:
        self._file = FitsFile(path)
        try:
            self._first = first
            self._hdu = self._file.hdu()
            repeated = self._hdu.block.repeated
            if repeated:
                keyword, byte = next(iter(repeated.items()))
                raise BadInput(
                    f"keyword {keyword} stands twice with different values",
                    file=self._file.name,
                    place=f"byte {byte}",
                    remedy="copy the run again from the camera",
                )
            self.read_out = read_out(self._hdu.header, file=self._file.name)
        except BaseException:
            self._file.close()
            raise
        self._layout = _Layout(self.read_out)
        self._frame_header, self._ccd_headers = _headers(self._hdu.header, self.read_out, self._file.name)
        self._blocks: dict[int, _Block] = {}
        self._map: mmap.mmap | None = None
        self._given = 0
        self.available = 0
        self.refresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        return frames_from(self, self._first)

    def close(self) -> None:
        """Close the file. Frames already given can still be read."""
        self._file.close()

    @property
    def header(self) -> Header:
        """The raw header."""
        return self._hdu.header

    def refresh(self) -> int:
        """Look again at a run that may have grown, and give `available`."""
        # the camera may write the number of frames anew as the run grows
        header = self._file.hdu().header
        expected = require(header, "NAXIS3", int, file=self._file.name)
        whole = (self._file.size - self._hdu.start) // self.read_out.frame_bytes
        self.expected = expected
        self.available = max(0, min(expected, whole))
        self._map = None
        return self.available

    def frame(self, number: int) -> Frame:
        """Frame at a place in the run; its pixels are decoded when asked for.

        Raises
        ------
        NotFound
            There is no such frame, or not yet.
        BadInput
            The file became shorter.
        """
        if not 1 <= number <= self.available:
            raise no_frame(number, self.available, self._file.name)
        raw = self._raw(number)
        return self._assemble(number, [[w.lazy(raw) for w in windows] for windows in self._layout.ccds])

    def load(self, number: int) -> Frame:
        """Frame at a place in the run with all its pixels decoded, in one pass: the quickest way to whole frames.

        Raises
        ------
        NotFound, BadInput
            As for `frame`.
        """
        if not 1 <= number <= self.available:
            raise no_frame(number, self.available, self._file.name)
        layout = self._layout
        out = np.empty(layout.npixels, np.float32)
        decode_all(self._raw(number).checked(), layout.sets, layout.table, layout.grouped, out)
        return self._assemble(number, [[w.loaded(out) for w in windows] for windows in layout.ccds])

    def times(self) -> Times:
        """Mid-times and exposures of all frames now available, one row per frame and CCD, in the order of the data."""
        blocks = [self._block(b).times for b in range(-(-self.available // _TIMES_AT_ONCE))]
        if not blocks:
            return rows(0, CCDS)
        table = [
            rows(
                len(e.number),
                CCDS,
                frame=e.number,
                mjd_int=e.mjd_int,
                mjd_frac=e.mjd_frac,
                exposure=e.exposure,
                time_ok=e.time_ok,
                data_ok=e.data_ok,
            )
            for e in blocks
        ]
        return np.concatenate(table)

    def _assemble(self, number: int, windows: list[list[Window]]) -> Frame:
        block, at = self._block((number - 1) // _TIMES_AT_ONCE), (number - 1) % _TIMES_AT_ONCE
        ccds = {}
        for label, labels, own, header, mjd_int, mjd_frac, exposure, time_ok, data_ok in zip(
            CCDS, self._layout.labels, windows, self._ccd_headers, *block.ccds[at], strict=True
        ):
            ccds[label] = CCD(
                dict(zip(labels, own, strict=True)), NXTOT, NYTOT, 0, 0, mjd_int, mjd_frac, exposure, time_ok, data_ok, header.copy()
            )
        n, day, fraction, good = block.frames[at]
        stamp = {
            "TIMSTAMP": _iso(day, fraction),
            "MJDINT": day,
            "MJDFRAC": fraction,
            "MJDUTC": day + fraction,
            "GOODTIME": good,
            "NFRAME": n,
        }
        return Frame(ccds, n, self._frame_header | stamp)

    def _raw(self, number: int) -> _Raw:
        """Words of a frame, read or mapped."""
        size = self.read_out.frame_bytes
        start = self._hdu.start + (number - 1) * size
        if size <= _WHOLE:
            data = self._file.read(start, size)
            if len(data) < size:
                raise BadInput(_CHANGED, file=self._file.name, place=f"frame {number}", remedy=_COPY_AGAIN)
            return _Raw(np.frombuffer(data, np.uint16), None, 0, number, self._file.name)
        if self._map is None:
            self._map = self._file.map()
            self._given = 0
        if self._given + size > _MAPPED:
            self._map.madvise(mmap.MADV_DONTNEED)
            self._given = 0
        self._given += size
        if start + size > len(self._map):
            raise BadInput(_CHANGED, file=self._file.name, place=f"frame {number}", remedy=_COPY_AGAIN)
        words = np.frombuffer(self._map, np.uint16, size // 2, start)
        return _Raw(words, self._map, start + size, number, self._file.name)

    def _block(self, b: int) -> _Block:
        """Times of a block of frames; numbers are told from two neighbours on each side."""
        first, last = b * _TIMES_AT_ONCE + 1, min((b + 1) * _TIMES_AT_ONCE, self.available)
        block = self._blocks.get(b)
        # the numbers of the last two frames may be told better once more have come
        if block is not None and block.upto >= min(last + 2, self.available):
            return block
        before, after = max(1, first - 2), min(last + 2, self.available)
        stamps = read_stamps(b"".join(self._stamp(n) for n in range(before, after + 1)))
        number, junk = frame_numbers(stamps.counter, before)
        inner = slice(first - before, last - before + 1)
        found = exposures(stamps, number, junk, self.read_out).cut(inner)
        self._blocks[b] = block = _Block.of(found, after)
        return block

    def _stamp(self, number: int) -> bytes:
        end = self._hdu.start + number * self.read_out.frame_bytes
        data = self._file.read(end - STAMP_BYTES, STAMP_BYTES)
        if len(data) < STAMP_BYTES:
            raise BadInput(_CHANGED, file=self._file.name, place=f"frame {number}", remedy=_COPY_AGAIN)
        return data


@dataclass(frozen=True, slots=True)
class _Raw:
    """Words of a frame."""

    words: NDArray[np.uint16]
    map: mmap.mmap | None
    end: int
    number: int
    file: str

    def checked(self) -> NDArray[np.uint16]:
        """Words, after a look whether the file still holds them."""
        if self.map is not None and self.map.size() < self.end:
            raise BadInput(_CHANGED, file=self.file, place=f"frame {self.number}", remedy=_COPY_AGAIN)
        return self.words


class _RawPixels:
    """Pixels of a window, decoded when asked for."""

    __slots__ = ("place", "raw")

    def __init__(self, place: _Place, raw: _Raw) -> None:
        self.place = place
        self.raw = raw

    @property
    def shape(self) -> tuple[int, ...]:
        return self.place.shape

    def __getitem__(self, key: tuple[slice, slice]) -> NDArray[np.float32]:
        place = self.place
        ny, nx = place.shape
        y0, y1, _ = key[0].indices(ny)
        x0, x1, _ = key[1].indices(nx)
        first = place.first + y0 * place.row_step + x0 * place.column_step
        words, ny, nx = self.raw.checked(), max(0, y1 - y0), max(0, x1 - x0)
        if place.grouped:
            return decode_box_grouped(words, place.base, place.stream, first, place.row_step, place.column_step, ny, nx)
        start = place.base + 20 * first + place.stream
        return decode_box(words, start, 20 * place.row_step, 20 * place.column_step, ny, nx)


class _Place:
    """Where the pixels of a window lie in a frame, worked out once per run; raw pixels are counted through their set."""

    def __init__(self, window: RawWindow, setup: ReadOut, offset: int) -> None:
        group, g = setup.sets[window.group], window.geometry
        self.geometry = g
        self.shape = (g.ny, g.nx)
        self.base = group.base
        self.stream = window.stream
        self.grouped = setup.nsamp != 4
        self.first = window.y0 * group.nx + window.x0
        self.row_step = window.ystep * group.nx
        self.column_step = window.xstep
        self.offset = offset  # in the array of all pixels
        self.row = [window.stream, window.x0, window.xstep, window.y0, window.ystep, g.nx, g.ny, offset]

    def lazy(self, raw: _Raw) -> Window:
        return Window(self.geometry, _RawPixels(self, raw))

    def loaded(self, out: NDArray[np.float32]) -> Window:
        ny, nx = self.shape
        return Window(self.geometry, out[self.offset : self.offset + ny * nx].reshape(ny, nx))


class _Layout:
    """Places of all windows, and the same as tables for the kernel that decodes them all."""

    def __init__(self, setup: ReadOut) -> None:
        self.labels = [[w.label for w in setup.windows if w.ccd == ccd] for ccd in CCDS]
        places, self.npixels = [], 0
        for window in setup.windows:
            places.append(_Place(window, setup, self.npixels))
            self.npixels += window.geometry.nx * window.geometry.ny
        pairs = list(zip(setup.windows, places, strict=True))
        self.ccds = [[p for w, p in pairs if w.ccd == ccd] for ccd in CCDS]
        self.grouped = setup.nsamp != 4
        table = [[p.row for w, p in pairs if w.group == i] for i in range(len(setup.sets))]
        ends = np.cumsum([0, *map(len, table)])
        self.table = np.array([row for part in table for row in part], np.int64)
        self.sets = np.array([[s.base, s.nx, s.ny, ends[i], ends[i + 1]] for i, s in enumerate(setup.sets)], np.int64)


@dataclass(frozen=True, slots=True)
class _Block:
    """Times of a block of frames, and the same as Python numbers, which frames are made of."""

    times: Exposures
    upto: int
    frames: list[tuple[int, int, float, bool]]
    ccds: list[tuple[list[int], list[float], list[float], list[bool], list[bool]]]

    @classmethod
    def of(cls, e: Exposures, upto: int) -> _Block:
        frames = list(zip(e.number.tolist(), e.day.tolist(), e.fraction.tolist(), e.good.tolist(), strict=True))
        columns: list[Any] = [a.tolist() for a in (e.mjd_int, e.mjd_frac, e.exposure, e.time_ok, e.data_ok)]
        return cls(e, upto, frames, list(zip(*columns, strict=True)))


def _headers(header: Header, setup: ReadOut, file: str) -> tuple[Header, list[Header]]:
    """Keywords of the frame and of the CCDs that are the same in every frame."""
    frame: Header = {"MODE": setup.mode, "CLEAR": setup.clear}
    frame |= {k: header[k] for k in _COPIED if k in header}
    for keyword, raw in (("GPS", "ESO DET GPS"), ("EXPTIME", "EXPTIME")):
        if raw in header:
            frame[keyword] = header[raw]
    frame |= {"XBIN": setup.xbin, "YBIN": setup.ybin, "SPEED": require(header, "ESO DET SPEED", (int, str), file=file)}
    ccds = []
    for ccd, skips in zip(CCDS, setup.nskips, strict=True):
        copied = {"REFLECT": f"ESO DET REFLECT{ccd}", "RONOISE": f"ESO DET CHIP{ccd} RON", "GAIN": f"ESO DET CHIP{ccd} GAIN"}
        ccds.append({"NCYCLE": skips + 1} | {k: header[raw] for k, raw in copied.items() if raw in header})
    return frame, ccds


def _iso(day: int, fraction: float) -> str:
    """Write date and time in ISO form to the nanosecond."""
    days, ns = divmod(round(fraction * DAY * 1e9), int(DAY * 1e9))
    seconds, ns = divmod(ns, 10**9)
    minutes, second = divmod(seconds, 60)
    return f"{date.fromordinal(day + days + _MJD_ORDINAL).isoformat()}T{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}.{ns:09d}"
