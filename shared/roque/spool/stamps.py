"""Time stamps of HiPERCAM frames, and the mid-exposure times that follow from them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.instruments.hipercam import STAMP_BYTES, ReadOut

__all__ = ["FAULTS", "Exposures", "Stamps", "exposures", "frame_numbers", "iso_time", "read_stamps"]

DAY = 86400.0
_MJD_ORDINAL = 678576  # proleptic ordinal of MJD 0
_NO_TIME = 51544  # MJD of 2000-01-01: frames without a time are counted from there, a second each
_MOST_DROPPED = 1_000_000  # frames; more is not believed even where neighbours agree
_WORDS = STAMP_BYTES // 2 - 1  # the last word is not used

FAULTS = (
    "good",
    "the time stamp has an impossible date",
    "the clock was not synchronised",
    "the frame counter in the time stamp is damaged",
)

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Stamps:
    """Time stamps of frames; all arrays have shape (frames,).

    Parameters
    ----------
    counter : array of int64
        The controller's frame counter, from 0.
    day : array of int64
        MJD(UTC), integer part; meaningless where `valid` is false.
    fraction : array of float64
        Fraction of the day.
    valid : array of bool
        Whether date and time of day can exist.
    received : array of bool
        Whether the GPS receiver said anything of satellites or clock.
    locked : array of bool
        Whether it says that the clock is synchronised.
    """

    counter: Ints
    day: Ints
    fraction: NDArray[np.float64]
    valid: Bools
    received: Bools
    locked: Bools


@dataclass(frozen=True, slots=True)
class Exposures:
    """Times of exposures. Arrays of frames have shape (frames,), the others (frames, CCDs).

    Parameters
    ----------
    number : array of int64
        Frame numbers.
    day, fraction : array of int64, array of float64
        Time stamp, MJD(UTC), of frames: the replacement where it is bad.
    fault : array of int64
        Why the time stamp of a frame cannot be trusted, as an index of `FAULTS`; 0 where it can.
    mjd_int, mjd_frac : array of int64, array of float64
        Mid-exposure. The fraction is below 0 for an exposure that ended just after midnight.
    exposure : array of float64
        s.
    time_ok, data_ok : array of bool
        Whether the time can be trusted, and whether the CCD was read out in this frame.
    """

    number: Ints
    day: Ints
    fraction: NDArray[np.float64]
    fault: Ints
    mjd_int: Ints
    mjd_frac: NDArray[np.float64]
    exposure: NDArray[np.float64]
    time_ok: Bools
    data_ok: Bools

    def cut(self, part: slice) -> Exposures:
        """Keep a range of the frames."""
        return Exposures(*(getattr(self, f.name)[part] for f in fields(self)))

    def followed_by(self, other: Exposures) -> Exposures:
        """Put other frames after these."""
        return Exposures(*(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))


def read_stamps(raw: bytes) -> Stamps:
    """Decode the last 36 bytes of each of a number of frames.

    Words are big-endian with an offset of 32768. Without it they are 8 little-endian unsigned integers of 32 bits (frame
    counter, stamp counter, year, day of year, hour, minute, second, nanosecond), then the bytes *satellites* and *synced*.
    """
    words = np.frombuffer(raw, ">u2").reshape(-1, STAMP_BYTES // 2)[:, :_WORDS] ^ np.uint16(0x8000)
    stamp = np.ascontiguousarray(words, "<u2").view("u1")
    numbers = stamp[:, :32].view("<u4").astype(np.int64)
    satellites, synced = stamp[:, 32:].view("i1").T
    counter, _, year, yearday, hour, minute, second, nanosecond = numbers.T
    valid = (year >= 1582) & (year <= 9998) & (hour < 24) & (minute < 60) & (second < 60) & (nanosecond < 1_000_000_000)
    # days of the year are checked against the length of that year; impossible years are put aside first
    start = _new_year(np.where(valid, year, 2000))
    length = _new_year(np.where(valid, year, 2000) + 1) - start
    valid &= (yearday >= 1) & (yearday <= length)
    received = ~((satellites == -1) & (synced == -1))
    return Stamps(
        counter=counter,
        day=start + yearday - 1,
        fraction=(hour + (minute + (second + nanosecond / 1e9) / 60.0) / 60.0) / 24.0,
        valid=valid,
        received=received,
        locked=(synced != 0) & received,
    )


def frame_numbers(counter: Ints, first: int = 1) -> tuple[Ints, Bools]:
    """Numbers of consecutive frames, and which counters are junk.

    A number is the counter plus 1: higher than the frame's place if frames before it were dropped. A damaged counter must
    not rename other frames, nor may two frames get one number, so a counter counts as junk if it contradicts half of its
    two neighbours on each side or more (the surplus of number over place never falls); its frame is then numbered on from the
    nearest sound frame before it.

    Parameters
    ----------
    counter : array of int64, shape (frames,)
        The controller's counters.
    first : int
        Place of the first of them, from 1.

    Returns
    -------
    number : array of int64, shape (frames,)
    junk : array of bool, shape (frames,)
    """
    n = len(counter)
    place = np.arange(first, first + n)
    surplus = counter + 1 - place
    # before the first frame nothing was dropped, after the last one nothing more: unless this is a part of a run, whose own
    # neighbours the caller gives and does not use
    near = np.concatenate([[0, 0], surplus, np.repeat(surplus[-1:], 2)])
    votes = [near[2:-2] >= near[:-4], near[2:-2] >= near[1:-3], near[3:-1] >= near[2:-2], near[4:] >= near[2:-2]]
    contradicted = np.sum(votes, axis=0) <= 2
    junk = (surplus < 0) | ((surplus > 0) & contradicted) | (surplus > _MOST_DROPPED)
    sound = np.maximum.accumulate(np.where(junk, -1, np.arange(n)))
    filled = np.where(sound >= 0, surplus[np.maximum(sound, 0)], 0)
    return place + filled, junk


def exposures(stamps: Stamps, number: Ints, junk: Bools, setup: ReadOut) -> Exposures:
    """Mid-exposure times of frames from their stamps.

    Parameters
    ----------
    stamps : Stamps
        Stamps of n frames.
    number, junk : arrays, shape (n,)
        Numbers of the frames, and whether the stamp is damaged.
    setup : ReadOut
        How the run was read out.

    Notes
    -----
    With E the exposure delay and s the skips of a CCD, frame n of it ends its exposure of ``delta*s + length`` at
    ``stamp + offset - delta*s/2`` (middle). Offset and length differ for the first frame with data, n = s + 1, which alone
    was not exposed during a read-out before.
    """
    fault = np.select([junk, ~stamps.valid, ~stamps.locked], [3, 1, 2], 0)
    # an impossible date is replaced; a time that only may not be trusted is kept
    day = np.where(stamps.valid, stamps.day, _NO_TIME)
    fraction = np.where(stamps.valid, stamps.fraction, number / DAY)
    # seconds counted from 2000-01-01 may go beyond its first day
    carry = np.floor(fraction).astype(np.int64)
    day, fraction = day + carry, fraction - carry
    delta, (offset1, offset2), (length1, length2) = _constants(setup)
    skips = np.array(setup.nskips)
    n = number[:, None]
    is_first = n == skips + 1
    offset = np.where(is_first, offset1, offset2) - delta * skips / 2.0
    mjd_frac = fraction[:, None] + 1e-3 * offset / DAY
    carry = np.where(mjd_frac >= 1.0, 1, 0)
    in_cycle = n % (skips + 1) == 0
    return Exposures(
        number=number,
        day=day,
        fraction=fraction,
        fault=fault,
        mjd_int=day[:, None] + carry,
        mjd_frac=mjd_frac - carry,
        exposure=1e-3 * (delta * skips + np.where(is_first, length1, length2)),
        time_ok=in_cycle & (fault == 0)[:, None],
        data_ok=in_cycle & (n > setup.timing.drift_windows),
    )


def iso_time(day: int, fraction: float) -> str:
    """Write date and time in ISO form to the nanosecond."""
    days, ns = divmod(round(fraction * DAY * 1e9), int(DAY * 1e9))
    seconds, ns = divmod(ns, 10**9)
    minutes, second = divmod(seconds, 60)
    today = date.fromordinal(day + days + _MJD_ORDINAL).isoformat()
    return f"{today}T{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}.{ns:09d}"


def _constants(setup: ReadOut) -> tuple[float, tuple[float, float], tuple[float, float]]:
    """Cycle time of skipped read-outs, offsets from the stamp to the middle, lengths; ms."""
    t = setup.timing
    if setup.clear:
        return t.read + t.clear + t.expose, (t.expose / 2.0, t.expose / 2.0), (t.expose, t.expose)
    if setup.mode == "Drift":
        line, shift = t.expose + t.read + t.line_dump, t.line_shift
        # a window is read several frames after it was exposed: those in between lie on their way to the register
        offset = t.expose + shift + line / 2.0 - t.drift_windows * (line + shift)
        return 0.0, (offset, offset), (line, line)
    read = t.read - t.transfer
    return t.read + t.expose, (t.expose / 2.0, (t.expose - read) / 2.0), (t.expose, read + t.expose)


def _new_year(year: Ints) -> Any:
    """MJD of January 1."""
    return (year - 1970).astype("M8[Y]").astype("M8[D]").astype(np.int64) + 40587
