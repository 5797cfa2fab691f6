"""Raw runs of ULTRACAM and ULTRASPEC: a .xml, and one frame after another, in a .dat or on a file server.

Nothing is decoded until it is asked for, and then no more than the box that was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import date
from types import TracebackType
from typing import Any, Self

import numpy as np

from roque.errors import BadInput, NoData
from roque.frames import CCD, Frame, Window
from roque.frames.frame import Header
from roque.instruments import CameraDescription, load_camera
from roque.instruments.ultra_modes import POWER
from roque.spool._raw import RawFrame
from roque.spool._ultra_layout import UltraLayout
from roque.spool.cursor import Cursor
from roque.spool.naming import folder_night, night_of, run_kind, run_name, split_filters
from roque.spool.source import RunInfo, Times, frames_from, overlaps, rows, shortened
from roque.spool.stamps import DAY, frame_numbers, iso_time
from roque.spool.ultra_problems import stamp_problems
from roque.spool.ultra_raw import UltraBytes
from roque.spool.ultra_stamps import UltraStamps, mend_early, read_ultra_stamps
from roque.spool.ultra_times import DISORDER, REASONS, UltraTimes, lookback, ultra_times

__all__ = ["UltraRun"]

_TIMES_AT_ONCE = 256  # frames whose times are worked out together
_LOOKED_AT = 16  # frames of a server to find a good time in
_EARLIEST, _LATEST = 52000, 100000  # MJD between which a clock may be right
_UNIX = 40587  # MJD of 1970-01-01
_NAMES = {"1": "Red CCD", "2": "Green CCD", "3": "Blue CCD"}


class UltraRun:
    """A raw run of ULTRACAM or ULTRASPEC; a `FrameSource`.

    Parameters
    ----------
    raw : UltraBytes
        Its bytes, closed with the run.
    first : int
        Place of the first frame that iteration gives, from 1; 0: the newest frame alone; below: the frame so many before it.
        Times hang on the stamps before a frame; as in the HiPERCAM pipeline those before `first` are taken not to be known, so
        that its time is approximate and not called good.
    camera : CameraDescription or None
        Whose site tells the night; None: the one that is called like the instrument.
    """

    def __init__(self, raw: UltraBytes, first: int, camera: CameraDescription | None) -> None:
        self._raw = raw
        self._file = raw.name
        self._first = first
        self._memory = max(1, first)
        self._header = raw.header
        self.read_out = raw.read_out
        self._camera = camera or load_camera(self.read_out.instrument.lower())
        self._layout = UltraLayout(self.read_out)
        self.cursor = Cursor(self, first)
        """Where a reader is who waits for frames."""
        self._blocks: dict[int, tuple[int, UltraTimes]] = {}
        self._early: tuple[int, UltraStamps] | None = None
        self._info: RunInfo | None = None
        self._room = False  # whether the file is longer than what was written into it

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        """Give the frames from `first` on; one that is cut short after its time stamp is an error, not the end.

        From a server, iterating over the newest again goes on.
        """
        if self.read_out.mode == POWER or not (self.remote or self._first < 0):
            return self._with_the_last()
        return self.cursor if self._first <= 0 else Cursor(self, self._first)

    def _with_the_last(self) -> Iterator[Frame]:
        yield from frames_from(self, self._first)
        if self.timed > self.available or self.read_out.mode == POWER:
            self.frame(self.timed)

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
        stamps = stamp_problems(self.exposures(1, self.available), self._file) if self.available else []
        setup = self.read_out
        windows = {ccd: {w.label: w.geometry for w in setup.windows if w.ccd == ccd} for ccd in setup.ccds}
        return shortened([*self._raw.problems(), *overlaps(windows, self._file), *stamps], self._file)

    @property
    def available(self) -> int:
        """Frames that can be read now."""
        return 0 if self.read_out.mode == POWER else self._raw.frames.available

    @property
    def remote(self) -> bool:
        """Whether it costs time to look at a frame that nobody asked for."""
        return self._raw.remote

    @property
    def extent(self) -> tuple[int, int]:
        """First byte of the first frame, and the byte after the last whole one, in the plain .dat."""
        return self._raw.extent

    @property
    def dropped(self) -> int:
        """Frames that the camera lost before the last whole one, by the numbers of the others."""
        if not self.available:
            return 0
        # the last frames tell, unless their stamps are junk
        for first in dict.fromkeys((max(1, self.available - _TIMES_AT_ONCE + 1), 1)):
            number, junk = frame_numbers(self._read_stamps(first, self.available).number - 1, first)
            if not junk.all():
                break
        return int(number[-1]) - self.available

    @property
    def timed(self) -> int:
        """Frames whose time stamp is whole: the last one's pixels may be cut short."""
        return self._raw.timed

    @property
    def written(self) -> int:
        """Bytes of the .dat at the last look."""
        return self._raw.written

    def refresh(self) -> int:
        """Look again at a run that may have grown, and give `available`."""
        # what was told of a frame that was still being written is told again
        self._blocks = {b: (last, times) for b, (last, times) in self._blocks.items() if last <= self.available}
        if self._early is not None and self._early[0] > self.available:
            self._early = None
        made_room = self._room
        self._raw.refresh()
        self._info = None
        self._room = not self._raw.remote and self.available > 0 and self.blank(self.available)
        if made_room or self._room:
            self._blocks, self._early = {}, None
        return self.available

    def frame(self, number: int) -> Frame:
        """Frame at a place in the run; its pixels are decoded when asked for.

        Raises
        ------
        NotFound
            There is no such frame, or not yet.
        NoData
            The run switched the power of the CCDs.
        BadInput
            The frame is cut short, or the file became shorter.
        """
        self._check(number)
        return self._assemble(number, self._layout.lazy(self._raw.frames.words(number)))

    def load(self, number: int) -> Frame:
        """Frame at a place in the run with all its pixels decoded, in one pass: the quickest way to whole frames.

        Raises
        ------
        NotFound, NoData, BadInput
            As for `frame`.
        """
        self._check(number)
        return self._assemble(number, self._layout.decoded(self._raw.frames.words(number)))

    def blank(self, number: int) -> bool:
        """Whether no time stamp was written in a frame, not even its number."""
        return not any(self._raw.frames.parts(number, number, 0, 2 * self.read_out.header_words))

    def prepare(self) -> None:
        """Make ready to decode, which takes a moment the first time: while a frame is waited for it costs nothing."""
        blank = RawFrame(np.frombuffer(bytes(self.read_out.frame_bytes // 2 * 2), np.uint16), None, 0, 0, self._file)
        self._layout.decoded(blank)
        for windows in self._layout.lazy(blank):
            for label in list(windows)[:1]:
                windows[label].pixels[:1, :1]

    def times(self) -> Times:
        """Mid-times and exposures of all frames now available, one row per frame and CCD, in the order of the data."""
        ccds, n = self.read_out.ccds, self.available
        if not n:
            return rows(0, ccds)
        t = self.exposures(1, n)
        mid, exposure, good, data = (np.empty((n, len(ccds)), kind) for kind in ("f8", "f8", "?", "?"))
        for column, ccd in enumerate(ccds):
            blue = ccd == "3"
            mid[:, column] = t.blue_mid if blue else t.mid
            exposure[:, column] = t.blue_exposure if blue else t.exposure
            good[:, column] = (t.blue_reason == 0) & t.blue_sound if blue else (t.reason == 0) & t.sound
            data[:, column] = t.blue_data if blue else True
        day = np.floor(mid)
        return rows(
            n, ccds, frame=np.arange(1, n + 1), mjd_int=day, mjd_frac=mid - day, exposure=exposure, time_ok=good, data_ok=data
        )

    def exposures(self, first: int = 1, last: int | None = None) -> UltraTimes:
        """Times of a range of frames, without touching pixels.

        Parameters
        ----------
        first, last : int
            Places; the last may be of a frame whose pixels are cut short. None: the last whose stamp is whole.

        Raises
        ------
        NotFound, NoData
            There is no such frame.
        """
        last = self.timed if last is None else last
        if self.remote:
            self._check(last)
            return self._span(max(1, first), last)
        if not 1 <= first <= last <= self.timed:
            self._check(first if not 1 <= first <= self.timed else last)
        blocks = range((first - 1) // _TIMES_AT_ONCE, (last - 1) // _TIMES_AT_ONCE + 1)
        skipped = blocks[0] * _TIMES_AT_ONCE
        return _joined([self._block(b) for b in blocks]).cut(slice(first - 1 - skipped, last - skipped))

    def _check(self, number: int) -> None:
        if self.read_out.mode == POWER:
            raise NoData(
                f"the run switched the power of the CCDs ({self._header.application}) and has no data",
                file=self._file,
                place=f"frame {number}",
                remedy="none is needed: pass it over",
            )
        self._raw.insist_on(number)

    def _make_info(self) -> RunInfo:
        setup, keywords = self.read_out, {k: v for k, v in self.read_out.keywords.items() if v is not None}
        target = str(keywords.get("TARGET", ""))
        number = keywords.get("NUMEXP", -1)
        skips = {ccd: setup.nblue - 1 if ccd == "3" else 0 for ccd in setup.ccds}
        return RunInfo(
            instrument=self._camera.name,
            source=self._raw.source,
            name=run_name(self._raw.path),
            night=self._night(),
            kind="other" if setup.mode == POWER else run_kind(str(keywords.get("DTYPE", "")), target),
            object=target,
            mode=setup.mode,
            xbin=setup.xbin,
            ybin=setup.ybin,
            speed=setup.speed,
            filters=split_filters(str(keywords.get("FILTERS", "")), setup.ccds),
            nskips=skips,
            clear=setup.clears,
            windows={ccd: {w.label: w.geometry for w in setup.windows if w.ccd == ccd} for ccd in setup.ccds},
            expected=number if number > 0 else None,
            exposure=setup.exposure,
            header=keywords | {"PARAMETERS": self._header.parameters, "USER": self._header.user},
            camera=self._camera.name,
        )

    def _night(self) -> date:
        """Night by the folder, else by the first good time, else by a stamp that may be right."""
        if (night := folder_night(self._raw.path)) is not None:
            return night
        longitude = self._camera.site.longitude
        if self.read_out.mode == POWER:
            # there is no stamp; the file was written in that night, or copied later: nothing hangs on it
            return night_of(_UNIX + self._raw.written_at / DAY, longitude)
        likely = None
        for t in self._pieces():
            good = np.flatnonzero((t.reason == 0) & t.sound)
            if good.size:
                return night_of(float(t.mid[good[0]]), longitude)
            possible = t.stamp[(t.stamp > _EARLIEST) & (t.stamp < _LATEST)]
            likely = likely if likely is not None or not possible.size else float(possible[0])
        if likely is not None:
            return night_of(likely, longitude)
        raise BadInput(
            f"{'no frame has a time' if self.timed else 'the run has no frame yet'}: the night cannot be told",
            file=self._file,
            place="frame 1",
            remedy="put the run into a folder named after its night (YYYY-MM-DD)",
        )

    def _pieces(self) -> Iterator[UltraTimes]:
        """Times, as many frames at a time as cost little to look at."""
        if self.remote:
            yield from (self._span(number, number) for number in range(1, min(self.timed, _LOOKED_AT) + 1))
        else:
            yield from (self._block(b) for b in range(-(-self.timed // _TIMES_AT_ONCE)))

    def _assemble(self, number: int, windows: list[Mapping[str, Window]]) -> Frame:
        if self.remote:
            t, at = self._span(number, number), 0
        else:
            t, at = self._block((number - 1) // _TIMES_AT_ONCE), (number - 1) % _TIMES_AT_ONCE
        own = _Time(t.mid[at], t.exposure[at], t.reason[at], t.sound[at])
        blue = _Time(t.blue_mid[at], t.blue_exposure[at], t.blue_reason[at], t.blue_sound[at])
        setup, ccds = self.read_out, {}
        for label, pixels in zip(setup.ccds, windows, strict=True):
            time = blue if label == "3" else own
            ccds[label] = CCD(
                pixels,
                setup.nxtot,
                setup.nytot,
                0,
                0,
                time.day,
                time.fraction,
                time.exposure,
                time.good,
                bool(t.blue_data[at]) if label == "3" else True,
                {"CCDNAME": self._ccd_name(label), "TIMSTAMP": time.iso, "MJDOKWHY": time.why},
            )
        keywords = {k: v for k, v in setup.keywords.items() if v is not None} | {
            "RUN": str(self._raw.path),
            "NFRAME": number,
            "MIDNIGHT": bool(t.midnight[at]),
            "FRAMEERR": bool(t.out_of_order[at]),
        }
        return Frame(ccds, number, self._frame_header(keywords, own, next(iter(ccds.values()))))

    def _frame_header(self, keywords: Header, time: _Time, ccd: CCD) -> Header:
        if self.read_out.instrument == "ULTRACAM":
            stamp = {"TIMSTAMP": time.iso, "MJDUTC": time.mjd, "GOODTIME": time.good, "EXPTIME": time.exposure}
            return keywords | stamp
        # the only CCD: the frame has its header
        stamp = {"MJDINT": time.day, "MJDFRAC": time.fraction, "MJDUTC": time.mjd, "EXPTIME": time.exposure}
        whole = ccd.header | stamp | {"GOODTIME": time.good} | keywords
        ccd.header |= keywords
        return whole

    def _ccd_name(self, label: str) -> str:
        return _NAMES[label] if self.read_out.instrument == "ULTRACAM" else "ULTRASPEC"

    def _block(self, b: int) -> UltraTimes:
        """Times of a block of frames, from their stamps and those before them."""
        first, last = b * _TIMES_AT_ONCE + 1, min((b + 1) * _TIMES_AT_ONCE, self.timed)
        known = self._blocks.get(b)
        if known is not None and known[0] == last:
            return known[1]
        found = self._span(first, last)
        self._blocks[b] = last, found
        return found

    def _span(self, first: int, last: int) -> UltraTimes:
        """Times of a range of frames."""
        middle = min(max(first, self._memory), last + 1)
        parts = [self._segment(first, middle - 1, 1), self._segment(middle, last, self._memory)]
        return _joined([part for part in parts if part is not None])

    def _segment(self, first: int, last: int, memory: int) -> UltraTimes | None:
        """Times of frames where those before the place `memory` are not known."""
        if last < first:
            return None
        before = max(memory, first - lookback(self.read_out))
        return self._times(before, last).cut(slice(first - before, None))

    def _times(self, first: int, last: int) -> UltraTimes:
        return ultra_times(self._stamps(first, last), first, self.read_out)

    def _stamps(self, first: int, last: int) -> UltraStamps:
        if not self.read_out.early or self.read_out.stamp_format == 2:
            return self._read_stamps(first, last)
        # stamps of May 2002 are mended one by one, each after the one before it, from the first that is known
        if self._early is None or self._early[0] < last:
            upto = last if self.remote else self.timed
            self._early = upto, mend_early(self._read_stamps(1, upto))
        return self._early[1].cut(slice(first - 1, last))

    def _read_stamps(self, first: int, last: int) -> UltraStamps:
        return read_ultra_stamps(self._raw.frames.parts(first, last, 0, 2 * self.read_out.header_words), self.read_out)


class _Time:
    """Time of a CCD, as Python numbers, which frames are made of."""

    __slots__ = ("day", "exposure", "fraction", "good", "iso", "mjd", "why")

    def __init__(self, mid: Any, exposure: Any, reason: Any, sound: Any) -> None:
        self.mjd = float(mid)
        self.day = int(self.mjd)
        self.fraction = self.mjd - self.day
        self.exposure = float(exposure)
        self.good = bool(reason == 0 and sound)
        self.why = REASONS[reason] if reason or sound else REASONS[DISORDER]
        self.iso = iso_time(self.day, self.fraction)


def _joined(parts: list[UltraTimes]) -> UltraTimes:
    if len(parts) == 1:
        return parts[0]
    return UltraTimes(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(UltraTimes)))
