"""Time stamps of ULTRACAM and ULTRASPEC frames: what the clock said, and what may be wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from roque.instruments.ultra import UltraReadOut
from roque.spool.stamps import DAY

__all__ = ["UltraStamps", "mend_early", "read_ultra_stamps"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NO_TIME = 51544
"""MJD of 2000-01-01, which stands for times that are not known."""

_UNIX = 40587  # MJD of 1970-01-01
_MAY_2002, _SEPTEMBER_2002 = 52406, 52525  # Sundays before the first nights of the first two runs at a telescope
_NEVER = 0xFFFFFFFF  # a clock that was not read
_WEEK = 7
# status bits of the clock: set where something is wrong, but for the one that says that it was ever synchronised
_ANTENNA, _BATTERY, _SYNCED, _UNVERIFIED = 0x0200, 0x0080, 0x0004, 0x0001


@dataclass(frozen=True, slots=True)
class UltraStamps:
    """Time stamps of consecutive frames; all arrays have shape (frames,).

    Parameters
    ----------
    number : array of int64
        Number of the frame, as the camera counted, from 1.
    mjd : array of float64
        Time of the clock, MJD(UTC).
    reason : array of int64
        Why the stamp cannot be trusted, as an index of `ultra_times.REASONS`; 0 where it can.
    satellites : array of int64
        Satellites seen; 0 where stamps don't say.
    blue_junk : array of bool
        Whether the blue CCD was not read in this frame.
    midnight : array of bool
        Whether the date was a day behind and was mended.
    """

    number: Ints
    mjd: Floats
    reason: Ints
    satellites: Ints
    blue_junk: Bools
    midnight: Bools

    def cut(self, part: slice) -> UltraStamps:
        """Keep a range of the frames."""
        return UltraStamps(*(getattr(self, f.name)[part] for f in fields(self)))


def read_ultra_stamps(raw: bytes, setup: UltraReadOut) -> UltraStamps:
    """Decode the time stamps of frames, `header_words` words of each.

    Numbers are little-endian; the second format counts from 1970, the first from the start of the clock's week, which a date
    of its own goes with.
    """
    data = np.frombuffer(raw, np.uint8).reshape(-1, 2 * setup.header_words)
    return _second_format(data, setup) if setup.stamp_format == 2 else _first_format(data, setup)


def _number(data: NDArray[np.uint8], offset: int, dtype: str) -> Ints:
    size = np.dtype(dtype).itemsize
    return np.ascontiguousarray(data[:, offset : offset + size]).view(dtype)[:, 0].astype(np.int64)


def _junk(data: NDArray[np.uint8], setup: UltraReadOut) -> Bools:
    bit = 1 << (4 if setup.stamp_format == 2 else 3)
    return np.asarray((data[:, 0] & bit != 0) & (setup.nblue > 1), np.bool_)


def _second_format(data: NDArray[np.uint8], setup: UltraReadOut) -> UltraStamps:
    status = _number(data, 24, "<u2")
    exposure = _number(data, 8, "<u4") * setup.unit
    reason = np.select(
        [
            exposure != setup.exposure,
            status & _ANTENNA != 0,
            status & _BATTERY != 0,
            status & _SYNCED == 0,
            status & _UNVERIFIED != 0,
        ],
        [1, 2, 3, 4, 5],
        0,
    )
    seconds = _number(data, 12, "<u4") + _number(data, 16, "<u4") / 1e7
    return UltraStamps(
        number=_number(data, 4, "<u4"),
        mjd=_UNIX + seconds / DAY,
        reason=reason,
        satellites=np.zeros(len(data), np.int64),
        blue_junk=_junk(data, setup),
        midnight=np.zeros(len(data), np.bool_),
    )


def _first_format(data: NDArray[np.uint8], setup: UltraReadOut) -> UltraStamps:
    second, nanosecond = _number(data, 9, "<u4"), _number(data, 13, "<u4")
    second, nanosecond = np.where(second == _NEVER, 0, second), np.where(nanosecond == _NEVER, 0, nanosecond)
    day, month, year = _number(data, 17, "<u1"), _number(data, 18, "<u1"), _number(data, 19, "<u2")
    satellites = _number(data, 21, "<i2")
    elapsed = second + nanosecond / 1e9
    reason = np.select([satellites == -1, satellites <= 2], [7, 6], 0)
    lost = satellites == -1
    if setup.early:
        # the date was wrong then, and the run of a single week
        mjd = _MAY_2002 + elapsed / DAY
        mjd = np.where(mjd < 52410, mjd + _WEEK, mjd)
    else:
        mjd, possible = _dated(day, month, year, second, nanosecond)
        reason = np.where(~possible & (reason == 0), 8, reason)
        lost = lost | ~possible
    mjd = np.where(lost, NO_TIME + elapsed / DAY, mjd)
    # the date of the clock's own goes over to the next day later than its seconds do
    midnight = (mjd - 3).astype(np.int64) % _WEEK == second // 86400 % _WEEK
    return UltraStamps(
        number=_number(data, 4, "<u4"),
        mjd=np.where(midnight, mjd + 1, mjd),
        reason=reason,
        satellites=satellites,
        blue_junk=_junk(data, setup),
        midnight=midnight,
    )


def _dated(day: Ints, month: Ints, year: Ints, second: Ints, nanosecond: Ints) -> tuple[Floats, Bools]:
    """MJD by date and seconds of the week, and whether such a date exists."""
    year = np.where((month == 9) & (year == 263), 2002, year)
    dated = year >= 2002
    possible = ~dated | ((month >= 1) & (month <= 12) & (day >= 1) & (year < 9999))
    months = (np.where(possible & dated, year, 2002) - 1970) * 12 + np.where(possible & dated, month, 1) - 1
    start = months.astype("M8[M]").astype("M8[D]").astype(np.int64) + _UNIX
    length = (months + 1).astype("M8[M]").astype("M8[D]").astype(np.int64) + _UNIX - start
    possible &= ~dated | (day <= length)
    date = start + day - 1
    elapsed = second + nanosecond / 1e9
    # in September 2002 the clock's week went over at another time than its date
    week, weekday = np.divmod(date - _SEPTEMBER_2002, _WEEK)
    late, soon = (weekday > 3) & (second < 2 * 86400), (weekday <= 3) & (second > 5 * 86400)
    week = week + late - soon
    september = (year == 2002) & (month == 9)
    today = (second % 86400 + nanosecond / 1e9) / DAY
    mjd = np.select(
        [~dated, september], [_SEPTEMBER_2002 + elapsed / DAY, _SEPTEMBER_2002 + _WEEK * week + elapsed / DAY], date + today
    )
    return mjd, possible


def mend_early(stamps: UltraStamps) -> UltraStamps:
    """Put the stamps of May 2002 in order: one that is earlier than the one before it comes 10 s too early.

    What was mended is what the next one is compared with, so all stamps from the first one on are needed.
    """
    mjd = stamps.mjd.tolist()
    for i in range(1, len(mjd)):
        if stamps.satellites[i] != -1 and mjd[i] < mjd[i - 1]:
            mjd[i] += 10.0 / DAY
    return replace(stamps, mjd=np.array(mjd, np.float64))
