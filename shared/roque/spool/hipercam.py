"""Raw HiPERCAM runs: a header, and frames of equal size, in a FITS file or on a file server.

Nothing is decoded until it is asked for, and then no more than the box that was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from functools import cached_property
from types import TracebackType
from typing import Self

import numpy as np

from roque.errors import BadInput
from roque.frames import CCD, Frame, Window
from roque.frames.frame import Header
from roque.frames.images import require
from roque.instruments import CameraDescription
from roque.instruments.hipercam import CCDS, NXTOT, NYTOT, STAMP_BYTES, ReadOut
from roque.instruments.rules import parse_iso
from roque.spool._layout import Layout
from roque.spool._raw import RawFrame
from roque.spool.cursor import Cursor
from roque.spool.hipercam_problems import stamp_problems
from roque.spool.hipercam_raw import HipercamBytes
from roque.spool.hipercam_times import HipercamTimes
from roque.spool.naming import folder_night, night_of, run_kind, run_name, split_filters
from roque.spool.source import RunInfo, Times, frames_from, overlaps, rows, shortened
from roque.spool.stamps import DAY, Stamps, iso_time

__all__ = ["HipercamRun"]

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
    raw : HipercamBytes
        Its bytes, closed with the run.
    first : int
        Place of the first frame that iteration gives, from 1; 0: the newest frame alone; below: the frame so many before it.
    camera : CameraDescription
        Whose site tells the night.

    Raises
    ------
    BadInput
        Its header contradicts itself.
    """

    def __init__(self, raw: HipercamBytes, first: int, camera: CameraDescription) -> None:
        self._raw = raw
        self._file = raw.name
        self._camera = camera
        try:
            self.read_out = raw.read_out
            self._frame_header, self._ccd_headers = _headers(raw.header, self.read_out, self._file)
        except BadInput:
            raw.close()
            raise
        self._first = first
        self.cursor = Cursor(self, first, newer=raw.remote)
        """Where a reader is who waits for frames."""
        self._times = HipercamTimes(raw)
        self._info: RunInfo | None = None
        self._room = False  # whether the file is longer than what was written into it

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        """Give the frames that are there. From a server, iterating over the newest again goes on."""
        if self._first < 0 or (self.remote and self._first == 0):
            return self.cursor
        return Cursor(self, self._first) if self.remote else frames_from(self, self._first)

    @cached_property
    def _layout(self) -> Layout:
        """Where pixels are: whoever registers a run asks for none."""
        return Layout(self.read_out)

    def close(self) -> None:
        """Close the file, or the connection. Frames already given can still be read."""
        self._raw.close()

    @property
    def info(self) -> RunInfo:
        """What the run is."""
        if self._info is None:
            self._info = self._make_info()
        return self._info

    @property
    def problems(self) -> list[BadInput]:
        """What is wrong with the run although it can be read, in the order of the frames."""
        # scans of two windows may lie side by side in the file and at one place on the chip
        windows = {
            ccd: {w.label: w.geometry for w in self.read_out.windows if w.ccd == ccd and len(w.label) == 2} for ccd in CCDS
        }
        times = self._times.all()
        stamps = stamp_problems(times, self._file)
        return shortened([*self._raw.problems(), *overlaps(windows, self._file), *stamps], self._file)

    @property
    def available(self) -> int:
        """Frames that can be read now."""
        return self._raw.frames.available

    @property
    def remote(self) -> bool:
        """Whether it costs time to look at a frame that nobody asked for."""
        return self._raw.remote

    @property
    def extent(self) -> tuple[int, int]:
        """First byte of the first frame, and the byte after the last whole one, in the plain file."""
        return self._raw.extent

    @property
    def announced(self) -> int:
        """Frames by the header, which may be written anew as the run grows."""
        return self._raw.announced

    @property
    def written(self) -> int:
        """Bytes of the file at the last look."""
        return self._raw.written

    @property
    def dropped(self) -> int:
        """Frames that the camera lost before the last whole one, by the numbers of the others."""
        if not self.available:
            return 0
        block, at = self._times.of(self.available)
        return int(block.times.number[at]) - self.available

    @property
    def padded(self) -> bool:
        """Whether the camera has filled the last block after the frames of the header: it does so when it ends a run."""
        return self._raw.padded

    def refresh(self) -> int:
        """Look again at a run that may have grown, and give `available`."""
        before, made_room = 0 if self.remote else self.available, self._room
        self._raw.refresh()
        self._info = None
        self._room = not self.remote and self.available > 0 and self.blank(self.available)
        if self.available < before or made_room or self._room:
            self._times.forget()
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
        self._raw.frames.insist_on(number)
        return self._assemble(number, self._layout.lazy(self._raw.frames.words(number)))

    def load(self, number: int) -> Frame:
        """Frame at a place in the run with all its pixels decoded, in one pass: the quickest way to whole frames.

        Raises
        ------
        NotFound, BadInput
            As for `frame`.
        """
        self._raw.frames.insist_on(number)
        return self._assemble(number, self._layout.decoded(self._raw.frames.words(number)))

    def blank(self, number: int) -> bool:
        """Whether no time stamp was written in a frame: its bytes are zero, which none are of a stamp."""
        stamp = self._raw.frames.parts(number, number, self.read_out.frame_bytes - STAMP_BYTES, STAMP_BYTES)
        return not any(stamp)

    def prepare(self) -> None:
        """Make ready to decode, which takes a moment the first time: while a frame is waited for it costs nothing."""
        blank = RawFrame(np.frombuffer(bytes(self.read_out.frame_bytes // 2 * 2), np.uint16), None, 0, 0, self._file)
        self._layout.decoded(blank)
        for windows in self._layout.lazy(blank):
            for label in list(windows)[:1]:
                windows[label].pixels[:1, :1]

    def times(self) -> Times:
        """Mid-times and exposures of all frames now available, one row per frame and CCD, in the order of the data.

        Raises
        ------
        BadInput
            The frame counters fall back in mid-run, so that two frames have one number.
        """
        blocks = self._times.blocks()
        if not blocks:
            return rows(0, CCDS)
        number = np.concatenate([block.times.number for block in blocks])
        if (back := np.flatnonzero(np.diff(number) < 1)).size:
            at = int(back[0]) + 1
            raise BadInput(
                f"the camera's frame counters fall back to {number[at]} after {number[at - 1]}: two frames have one number",
                file=self._file,
                place=f"frame {at + 1}",
                remedy="copy it again from the camera; if it is so there, cut the file into two runs at that frame",
            )
        return np.concatenate([block.table for block in blocks])

    def stamps(self, first: int, last: int) -> Stamps:
        """Time stamps of a range of places in the run, as the camera wrote them.

        Raises
        ------
        NotFound
            There are no such frames.
        BadInput
            The file became shorter.
        """
        self._raw.frames.insist_on(first)
        self._raw.frames.insist_on(last)
        return self._times.stamps(first, last)

    def _make_info(self) -> RunInfo:
        header, setup = self._raw.header, self.read_out
        windows = {ccd: {w.label: w.geometry for w in setup.windows if w.ccd == ccd} for ccd in CCDS}
        return RunInfo(
            instrument=self._camera.name,
            source=self._raw.source,
            name=run_name(self._raw.path),
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
            expected=None if self.remote else self._raw.announced,
            exposure=1e-3 * setup.timing.expose,
            header=header,
            camera=self._camera.name,
        )

    def _night(self) -> date:
        """Night by the folder, else by the first good time, else by the header's date."""
        if (night := folder_night(self._raw.path)) is not None:
            return night
        for times in self._times.pieces():
            if (good := np.flatnonzero(times.fault == 0)).size:
                return night_of(float(times.day[good[0]] + times.fraction[good[0]]), self._camera.site.longitude)
        stamp = parse_iso(str(self._raw.header.get("DATE", "")))
        if stamp is not None:
            return night_of(stamp[0] + stamp[1] / DAY, self._camera.site.longitude)
        raise BadInput(
            "no frame has a good time and the header no date: the night cannot be told",
            file=self._file,
            place="keyword DATE",
            remedy="put the run into a folder named after its night (YYYY-MM-DD)",
        )

    def _assemble(self, number: int, windows: list[Mapping[str, Window]]) -> Frame:
        block, at = self._times.of(number)
        ccds = {}
        for label, own, header, mjd_int, mjd_frac, exposure, time_ok, data_ok in zip(
            CCDS, windows, self._ccd_headers, *block.ccds[at], strict=True
        ):
            ccds[label] = CCD(
                own,
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
