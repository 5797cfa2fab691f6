"""Raw HiPERCAM runs: one FITS file, a frame per step of its third axis.

Nothing is decoded until it is asked for, and then no more than the box that was asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from roque.errors import BadInput, Blemish
from roque.frames import CCD, Frame, Window
from roque.frames.cards import BLOCK, parse_header
from roque.frames.frame import Header
from roque.frames.images import FitsFile, require
from roque.instruments import CameraDescription
from roque.instruments.hipercam import CCDS, NXTOT, NYTOT, STAMP_BYTES, ReadOut, read_out
from roque.instruments.rules import parse_iso
from roque.spool._layout import Layout
from roque.spool._raw import RawFrames
from roque.spool.naming import folder_night, night_of, run_kind, run_name, split_filters
from roque.spool.source import RunInfo, Times, frames_from, no_frame, rows, shortened
from roque.spool.stamps import DAY, FAULTS, Exposures, Stamps, exposures, frame_numbers, iso_time, read_stamps

__all__ = ["HipercamRun"]

_TIMES_AT_ONCE = 256  # frames whose times are worked out together
_COPIED: tuple[str, ...] = (
    "DATE",
    "OBJECT",
    "FILTERS",
    "PI",
    "OBSERVER",
    "RA",
    "DEC",
    "RADEG",
    "DECDEG",
    "INSTRPA",
    "IMAGETYP",
)
_COPIED += ("INSTRUME", "TELESCOP")


class HipercamRun:
    """A raw HiPERCAM run; a `FrameSource`.

    Parameters
    ----------
    path : path
        The FITS file, plain.
    first : int
        Place of the first frame that iteration gives, from 1; 0: the newest frame alone.
    camera : CameraDescription
        Whose site tells the night.
    name : str or None
        How the file is called, where `path` is its unpacked copy.

    Raises
    ------
    BadInput
        Not a HiPERCAM run, or its header contradicts itself.
    NotFound
        There is no such file.
    """

    def __init__(
        self, path: str | os.PathLike[str], first: int, camera: CameraDescription, name: str | os.PathLike[str] | None = None
    ) -> None:
        self._path = Path(path if name is None else name)
        self._file = FitsFile(path, str(self._path))
        self._first = first
        self._camera = camera
        try:
            self._hdu = self._file.hdu()
            self._refuse_repeated()
            self.read_out = read_out(self._hdu.header, file=self._file.name)
            self._layout = Layout(self.read_out)
            self._frame_header, self._ccd_headers = _headers(self._hdu.header, self.read_out, self._file.name)
            self._blocks: dict[int, _Block] = {}
            self._info: RunInfo | None = None
            self._raw = RawFrames(self._file, self._hdu.start, self.read_out.frame_bytes)
            self.available = 0
            self.refresh()
        except BadInput:
            self._file.close()
            raise

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
    def info(self) -> RunInfo:
        """What the run is."""
        if self._info is None:
            self._info = self._make_info()
        return self._info

    @property
    def problems(self) -> list[BadInput]:
        """What is wrong with the run although it can be read, in the order of the frames."""
        return shortened([*self._size_problems(), *self._stamp_problems()], self._file.name)

    @property
    def extent(self) -> tuple[int, int]:
        """First byte of the first frame, and the byte after the last whole one, in the plain file."""
        return self._hdu.start, self._hdu.start + self.read_out.frame_bytes * self.available

    @property
    def announced(self) -> int:
        """Frames by the header, which may be written anew as the run grows."""
        return self._expected

    @property
    def written(self) -> int:
        """Bytes of the file at the last look."""
        return self._size

    @property
    def dropped(self) -> int:
        """Frames that the camera lost before the last whole one, by the numbers of the others."""
        if not self.available:
            return 0
        return int(self._block((self.available - 1) // _TIMES_AT_ONCE).times.number[-1]) - self.available

    @property
    def padded(self) -> bool:
        """Whether the camera has filled the last block after the frames of the header: it does so when it ends a run."""
        end: int = self._hdu.start + self._expected * self.read_out.frame_bytes
        filled = -(-end // BLOCK) * BLOCK
        return end < filled <= self._size

    def refresh(self) -> int:
        """Look again at a run that may have grown, and give `available`."""
        # the camera may write the number of frames anew as the run grows; it stands in the first block
        header = parse_header(self._file.read(0, BLOCK), file=self._file.name).header
        self._expected: int = max(0, require(header, "NAXIS3", int, file=self._file.name))
        self._size = self._file.size
        whole = (self._size - self._hdu.start) // self.read_out.frame_bytes
        self.available = max(0, min(self._expected, whole))
        self._info = None
        self._raw.refresh()
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
        return self._assemble(number, self._layout.lazy(self._raw.words(number)))

    def load(self, number: int) -> Frame:
        """Frame at a place in the run with all its pixels decoded, in one pass: the quickest way to whole frames.

        Raises
        ------
        NotFound, BadInput
            As for `frame`.
        """
        if not 1 <= number <= self.available:
            raise no_frame(number, self.available, self._file.name)
        return self._assemble(number, self._layout.decoded(self._raw.words(number)))

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

    def stamps(self, first: int, last: int) -> Stamps:
        """Time stamps of a range of places in the run, as the camera wrote them.

        Raises
        ------
        NotFound
            There are no such frames.
        BadInput
            The file became shorter.
        """
        if not 1 <= first <= last <= self.available:
            raise no_frame(first if first > self.available else last, self.available, self._file.name)
        return self._stamps(first, last)

    def _refuse_repeated(self) -> None:
        for keyword, byte in self._hdu.block.repeated.items():
            raise BadInput(
                f"keyword {keyword} stands twice with different values",
                file=self._file.name,
                place=f"byte {byte}",
                remedy="copy the run again from the camera",
            )

    def _make_info(self) -> RunInfo:
        header, setup = self._hdu.header, self.read_out
        windows = {ccd: {w.label: w.geometry for w in setup.windows if w.ccd == ccd} for ccd in CCDS}
        return RunInfo(
            instrument=self._camera.name,
            source="hl",
            name=run_name(self._path),
            night=self._night(),
            kind=run_kind(str(header.get("IMAGETYP", "")), str(header.get("OBJECT", ""))),
            object=str(header.get("OBJECT", "")),
            mode=setup.mode,
            xbin=setup.xbin,
            ybin=setup.ybin,
            speed=str(header["ESO DET SPEED"]),
            filters=split_filters(str(header.get("FILTERS", "")), CCDS),
            nskips=dict(zip(CCDS, setup.nskips, strict=True)),
            clear=setup.clear,
            windows=windows,
            expected=self._expected,
            exposure=1e-3 * setup.timing.expose,
            header=header,
            camera=self._camera.name,
        )

    def _night(self) -> date:
        """Night by the folder, else by the first good time, else by the header's date."""
        if (night := folder_night(self._path)) is not None:
            return night
        for b in range(-(-self.available // _TIMES_AT_ONCE)):
            times = self._block(b).times
            if (good := np.flatnonzero(times.fault == 0)).size:
                return night_of(float(times.day[good[0]] + times.fraction[good[0]]), self._camera.site.longitude)
        stamp = parse_iso(str(self._hdu.header.get("DATE", "")))
        if stamp is not None:
            return night_of(stamp[0] + stamp[1] / DAY, self._camera.site.longitude)
        raise BadInput(
            "no frame has a good time and the header no date: the night cannot be told",
            file=self._file.name,
            place="keyword DATE",
            remedy="put the run into a folder named after its night (YYYY-MM-DD)",
        )

    def _size_problems(self) -> list[BadInput]:
        """Frames lost at the end, or bytes beyond them."""
        size, start, name = self.read_out.frame_bytes, self._hdu.start, self._file.name
        data_end = start + -(-self._expected * size // BLOCK) * BLOCK
        if self.available < self._expected:
            lost = f"{self._expected - self.available} of {self._expected} frames are lost"
            rest = (self._size - start) % size
            where = f"inside frame {self.available + 1}" if rest and self._size > start else f"after frame {self.available}"
            remedy = "copy it again if the camera still has it; the whole frames are used"
            if self.available == 0:
                where, remedy = "before the end of its first frame", "copy it again from the camera: nothing of it can be used"
            return [BadInput(f"the run is cut short {where}: {lost}", file=name, place=f"byte {self._size}", remedy=remedy)]
        if self._expected == 0:
            remedy = "copy it again from the camera; correct NAXIS3 if there are frames in it"
            return [BadInput("the header announces no frame: NAXIS3 is 0", file=name, place="keyword NAXIS3", remedy=remedy)]
        if self._size > data_end:
            return [
                Blemish(
                    f"{self._size - data_end} bytes after the {self._expected} frames of the header are left out",
                    file=name,
                    place=f"byte {data_end}",
                    remedy="none is needed if the run was stopped by hand; else check NAXIS3",
                )
            ]
        return []

    def _stamp_problems(self) -> list[BadInput]:
        """Frames dropped, and ranges of frames whose time cannot be trusted."""
        blocks = [self._block(b).times for b in range(-(-self.available // _TIMES_AT_ONCE))]
        if not blocks:
            return []
        number = np.concatenate([e.number for e in blocks])
        fault = np.concatenate([e.fault for e in blocks])
        found: list[tuple[int, BadInput]] = []
        steps = np.diff(number, prepend=0)
        for at in np.flatnonzero(steps > 1).tolist():
            lost = int(steps[at]) - 1
            found.append(
                (
                    at,
                    Blemish(
                        f"{lost} {'frame was' if lost == 1 else 'frames were'} dropped by the camera before it",
                        file=self._file.name,
                        place=f"frame {number[at]}",
                    ),
                )
            )
        edges = np.flatnonzero(np.diff(fault, prepend=0, append=0))
        for start, end in pairwise(edges.tolist()):
            if fault[start]:
                frames = f"frame {number[start]}" if end == start + 1 else f"frames {number[start]} to {number[end - 1]}"
                remedy = "the counts are used; the times are flagged"
                found.append((start, Blemish(FAULTS[fault[start]], file=self._file.name, place=frames, remedy=remedy)))
        return [problem for _, problem in sorted(found, key=lambda item: item[0])]

    def _assemble(self, number: int, windows: list[list[Window]]) -> Frame:
        block, at = self._block((number - 1) // _TIMES_AT_ONCE), (number - 1) % _TIMES_AT_ONCE
        ccds = {}
        for label, labels, own, header, mjd_int, mjd_frac, exposure, time_ok, data_ok in zip(
            CCDS, self._layout.labels, windows, self._ccd_headers, *block.ccds[at], strict=True
        ):
            ccds[label] = CCD(
                dict(zip(labels, own, strict=True)),
                NXTOT,
                NYTOT,
                0,
                0,
                mjd_int,
                mjd_frac,
                exposure,
                time_ok,
                data_ok,
                header.copy(),
            )
        n, day, fraction, fault = block.frames[at]
        stamp = {
            "TIMSTAMP": iso_time(day, fraction),
            "MJDINT": day,
            "MJDFRAC": fraction,
            "MJDUTC": day + fraction,
            "GOODTIME": fault == 0,
            "NFRAME": n,
        }
        return Frame(ccds, n, self._frame_header | stamp)

    def _block(self, b: int) -> _Block:
        """Times of a block of frames; numbers are told from two neighbours on each side."""
        first, last = b * _TIMES_AT_ONCE + 1, min((b + 1) * _TIMES_AT_ONCE, self.available)
        block = self._blocks.get(b)
        # the numbers of the last two frames may be told better once more have come
        if block is not None and block.upto >= min(last + 2, self.available):
            return block
        before, after = max(1, first - 2), min(last + 2, self.available)
        stamps = self._stamps(before, after)
        number, junk = frame_numbers(stamps.counter, before)
        inner = slice(first - before, last - before + 1)
        found = exposures(stamps, number, junk, self.read_out).cut(inner)
        self._blocks[b] = block = _Block.of(found, after)
        return block

    def _stamps(self, first: int, last: int) -> Stamps:
        return read_stamps(self._raw.parts(first, last, self.read_out.frame_bytes - STAMP_BYTES, STAMP_BYTES))


@dataclass(frozen=True, slots=True)
class _Block:
    """Times of a block of frames, and the same as Python numbers, which frames are made of."""

    times: Exposures
    upto: int
    frames: list[tuple[int, int, float, int]]
    ccds: list[tuple[list[int], list[float], list[float], list[bool], list[bool]]]

    @classmethod
    def of(cls, e: Exposures, upto: int) -> _Block:
        frames = list(zip(e.number.tolist(), e.day.tolist(), e.fraction.tolist(), e.fault.tolist(), strict=True))
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
