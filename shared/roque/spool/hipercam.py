"""Raw HiPERCAM runs: a header, and frames of equal size, in a FITS file or on a file server.

Nothing is decoded until it is asked for, and then no more than the box that was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import cached_property
from itertools import pairwise
from types import TracebackType
from typing import Any, Self

import numpy as np

from roque.errors import BadInput, Blemish
from roque.frames import CCD, Frame, Window
from roque.frames.frame import Header
from roque.frames.images import require
from roque.instruments import CameraDescription
from roque.instruments.hipercam import CCDS, NXTOT, NYTOT, STAMP_BYTES, ReadOut
from roque.instruments.rules import parse_iso
from roque.spool._layout import Layout
from roque.spool._raw import RawFrame
from roque.spool.cursor import Cursor
from roque.spool.hipercam_raw import HipercamBytes
from roque.spool.naming import folder_night, night_of, run_kind, run_name, split_filters
from roque.spool.source import RunInfo, Times, frames_from, overlaps, rows, shortened
from roque.spool.stamps import DAY, FAULTS, Exposures, Stamps, exposures, frame_numbers, iso_time, read_stamps

__all__ = ["HipercamRun"]

_TIMES_AT_ONCE = 256  # frames whose times are worked out together
_LOOKED_AT = 16  # frames of a server to find a good time in
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
            self._layout = Layout(self.read_out)
            self._frame_header, self._ccd_headers = _headers(raw.header, self.read_out, self._file)
        except BadInput:
            raw.close()
            raise
        self._first = first
        self.cursor = Cursor(self, first, newer=raw.remote)
        """Where a reader is who waits for frames."""
        self._blocks: dict[int, _Block] = {}
        self._info: RunInfo | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        """Give the frames that are there. From a server, iterating over the newest again goes on."""
        if self._first < 0 or (self.remote and self._first == 0):
            return iter(self.cursor)
        return iter(Cursor(self, self._first)) if self.remote else frames_from(self, self._first)

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
        return shortened([*self._raw.problems(), *overlaps(windows, self._file), *self._stamp_problems()], self._file)

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
        last = self._alone if self.remote else lambda number: self._block((number - 1) // _TIMES_AT_ONCE)
        return int(last(self.available).times.number[-1]) - self.available

    @property
    def padded(self) -> bool:
        """Whether the camera has filled the last block after the frames of the header: it does so when it ends a run."""
        return self._raw.padded

    def refresh(self) -> int:
        """Look again at a run that may have grown, and give `available`."""
        before = 0 if self.remote else self.available
        self._raw.refresh()
        self._info = None
        if self.available < before:
            self._blocks.clear()
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

    def prepare(self) -> None:
        """Make ready to decode, which takes a moment the first time: while a frame is waited for it costs nothing."""
        blank = RawFrame(np.frombuffer(bytes(self.read_out.frame_bytes // 2 * 2), np.uint16), None, 0, 0, self._file)
        self._layout.decoded(blank)
        for windows in self._layout.lazy(blank):
            for window in windows[:1]:
                window.pixels[:1, :1]

    def times(self) -> Times:
        """Mid-times and exposures of all frames now available, one row per frame and CCD, in the order of the data.

        Raises
        ------
        BadInput
            The frame counters fall back in mid-run, so that two frames have one number.
        """
        blocks = [self._block(b).times for b in range(-(-self.available // _TIMES_AT_ONCE))]
        if not blocks:
            return rows(0, CCDS)
        number = np.concatenate([e.number for e in blocks])
        if (back := np.flatnonzero(np.diff(number) < 1)).size:
            at = int(back[0]) + 1
            raise BadInput(
                f"the camera's frame counters fall back to {number[at]} after {number[at - 1]}: two frames have one number",
                file=self._file,
                place=f"frame {at + 1}",
                remedy="copy it again from the camera; if it is so there, cut the file into two runs at that frame",
            )
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
        self._raw.frames.insist_on(first)
        self._raw.frames.insist_on(last)
        return self._stamps(first, last)

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
        for times in self._pieces():
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
                        file=self._file,
                        place=f"frame {number[at]}",
                    ),
                )
            )
        edges = np.flatnonzero(np.diff(fault, prepend=0, append=0))
        for start, end in pairwise(edges.tolist()):
            if fault[start]:
                frames = f"frame {number[start]}" if end == start + 1 else f"frames {number[start]} to {number[end - 1]}"
                remedy = "the counts are used; the times are flagged"
                found.append((start, Blemish(FAULTS[fault[start]], file=self._file, place=frames, remedy=remedy)))
        return [problem for _, problem in sorted(found, key=lambda item: item[0])]

    def _pieces(self) -> Iterator[Exposures]:
        """Times, as many frames at a time as cost little to look at."""
        if self.remote:
            yield from (self._alone(number).times for number in range(1, min(self.available, _LOOKED_AT) + 1))
        else:
            yield from (self._block(b).times for b in range(-(-self.available // _TIMES_AT_ONCE)))

    def _assemble(self, number: int, windows: list[list[Window]]) -> Frame:
        if self.remote:
            block, at = self._alone(number), 0
        else:
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
        found = None if block is None else self._grown(block, first, last)
        self._blocks[b] = found = found or self._whole_block(first, last)
        return found

    def _whole_block(self, first: int, last: int) -> _Block:
        before, after = max(1, first - 2), min(last + 2, self.available)
        stamps = self._stamps(before, after)
        number, junk = frame_numbers(stamps.counter, before)
        inner = slice(first - before, last - before + 1)
        return _Block(exposures(stamps, number, junk, self.read_out).cut(inner), after)

    def _grown(self, block: _Block, first: int, last: int) -> _Block | None:
        """Add frames that have come to a block, which others hand on at once; None where it is to be told as a whole."""
        kept = block.upto - 1 - first  # frames of which both neighbours on each side were known
        before, after = first + kept - 4, min(last + 2, self.available)
        if before < first:
            return None
        stamps = self._stamps(before, after)
        number, junk = frame_numbers(stamps.counter, before)
        # the first two of these say of themselves what they say without all of their neighbours; if the next two are junk,
        # those after them may be numbered on from one further back
        if junk[2:4].all():
            return None
        new = _Block(exposures(stamps, number, junk, self.read_out).cut(slice(4, last - before + 1)), after)
        return block.followed_by(new, kept)

    def _alone(self, number: int) -> _Block:
        """Times of a frame, the same as in its block, without a look at other frames where they say nothing.

        A counter that fits the place needs no others to be believed. One that does not is compared with two neighbours on each
        side, and if it is junk, its frame is numbered on from the nearest sound one before it in its block.
        """
        stamps = self._stamps(number, number)
        if stamps.counter[0] == number - 1:
            return _Block(exposures(stamps, np.array([number]), np.array([False]), self.read_out), number)
        last = number
        while last < number + 2 and self._raw.frames.holds(last + 1):
            last += 1
        start = max(1, (number - 1) // _TIMES_AT_ONCE * _TIMES_AT_ONCE - 1)
        reach = 2
        while True:
            before = max(start, number - reach)
            stamps = self._stamps(before, last)
            place, junk = frame_numbers(stamps.counter, before)
            at = number - before
            # what the first two of these say of themselves, they say without all of their neighbours
            if before == start or not junk[at] or not junk[2:at].all():
                break
            reach *= 4
        return _Block(exposures(stamps, place, junk, self.read_out).cut(slice(at, at + 1)), number)

    def _stamps(self, first: int, last: int) -> Stamps:
        return read_stamps(self._raw.frames.parts(first, last, self.read_out.frame_bytes - STAMP_BYTES, STAMP_BYTES))


class _Block:
    """Times of a block of frames; and the same as Python numbers, which frames are made of, once some are asked for."""

    def __init__(self, times: Exposures, upto: int) -> None:
        self.times = times
        self.upto = upto

    @cached_property
    def frames(self) -> list[tuple[int, int, float, int]]:
        """Number, day, fraction and fault of each frame."""
        e = self.times
        return list(zip(e.number.tolist(), e.day.tolist(), e.fraction.tolist(), e.fault.tolist(), strict=True))

    @cached_property
    def ccds(self) -> list[tuple[list[int], list[float], list[float], list[bool], list[bool]]]:
        """Columns of the CCDs of each frame: day, fraction, exposure, whether time and data are good."""
        e = self.times
        columns: list[Any] = [a.tolist() for a in (e.mjd_int, e.mjd_frac, e.exposure, e.time_ok, e.data_ok)]
        return list(zip(*columns, strict=True))

    def followed_by(self, other: _Block, kept: int) -> _Block:
        """Put the frames of another after the first of these."""
        block = _Block(self.times.cut(slice(kept)).followed_by(other.times), other.upto)
        if "frames" in self.__dict__:
            block.__dict__ |= {"frames": self.frames[:kept] + other.frames, "ccds": self.ccds[:kept] + other.ccds}
        return block


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
