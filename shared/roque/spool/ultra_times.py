"""Mid-exposure times of ULTRACAM and ULTRASPEC frames, from their time stamps and those before them.

A stamp is taken once per read-out, at a moment that changed with the years, so an exposure lies between two stamps, or three;
in drift mode many frames back. The stamps before a frame therefore belong to its time.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from roque.instruments.ultra import UltraReadOut
from roque.spool.stamps import DAY
from roque.spool.ultra_stamps import NO_TIME, UltraStamps

__all__ = ["DISORDER", "REASONS", "REPORTED", "UltraTimes", "lookback", "ultra_times"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

REASONS = (
    "",
    "exposure time in the time stamp is not the one asked for",
    "GPS antenna failed",
    "GPS battery was off",
    "GPS clock not yet synced since power up",
    "GPS position not verified",
    "too few satellites",
    "no satellites",
    "impossible date",
    "no previous GPS time found in non-default mode",
    "no earlier time stamp of this sequence",
    "cannot establish an accurate time for first frame in this mode",
    "cannot establish an accurate time with only two prior timestamps",
    "cannot establish an accurate time with only one prior timestamp",
    "too few stored timestamps for drift mode",
    "too early: before 2011-09-21, when accurate times begin",
    "cannot establish an accurate time without at least 1 prior timestamp",
    "cannot establish an accurate time without at least 2 prior timestamps",
    "too few stored timestamps",
    "time before the year 2000",
    "time of start or end frame was unreliable",
    "not all contributing frames found",
    "time stamps do not follow each other",
)
"""Why a time cannot be trusted: values of the header keyword MJDOKWHY, by number."""

_NO_CLEAR_KNOWN, _ALONE, _FIRST, _TWO, _ONE, _DRIFT = 9, 10, 11, 12, 13, 14
_TOO_EARLY, _SPEC_ONE, _SPEC_TWO, _SPEC_FEW, _BEFORE_2000, _BLUE_ENDS, _BLUE_PART, DISORDER = 15, 16, 17, 18, 19, 20, 21, 22
REPORTED = (1, 2, 3, 4, 5, 6, 7, 8, _TOO_EARLY, _BEFORE_2000)
"""Reasons that somebody should know of. The others befall the first frames of every run, and those after a gap."""

_FASTER = 52852  # 2003-08-01: row shifts take other times from then on, and stamps are taken after the read-out
_BEFORE = (53371, 55256)  # between these days the stamp was taken before the read-out once more
_SPEC_NEW = 55825  # 2011-09-21: ULTRASPEC at its own telescope
_SPEC_TRANSFER = (0.0067196, 0.0149818)  # s, frame transfer before that day and from it on
_SPEC_CLEAR = 0.0309516  # s
_LAST_DAY = 2_973_000  # in the year 9999
_ROWS, _CLEARED_ROWS = 1033, 2060  # row shifts of a frame transfer, and of one with a clear


@dataclass(frozen=True, slots=True)
class UltraTimes:
    """Times of frames; all arrays have shape (frames,). Times are MJD(UTC), exposures s.

    Parameters
    ----------
    stamp : array of float64
        Time of the clock.
    mid, exposure : array of float64
        Mid-exposure and exposure of the frame: of all CCDs but a blue one that skips read-outs.
    reason : array of int64
        Why the time cannot be trusted by the rules of the HiPERCAM pipeline, as an index of `REASONS`; 0 where it can.
    sound : array of bool
        Whether the stamps that the time was made of follow each other: a wrong date spoils the exposures after it, which
        the rules let pass.
    blue_mid, blue_exposure, blue_reason, blue_sound : arrays
        The same of the blue CCD.
    blue_data : array of bool
        Whether it was read.
    midnight, out_of_order : array of bool
        Whether the date was mended, and whether the camera's number of the frame is not its place in the run.
    """

    stamp: Floats
    mid: Floats
    exposure: Floats
    reason: Ints
    sound: Bools
    blue_mid: Floats
    blue_exposure: Floats
    blue_reason: Ints
    blue_sound: Bools
    blue_data: Bools
    midnight: Bools
    out_of_order: Bools

    def cut(self, part: slice) -> UltraTimes:
        """Keep a range of the frames."""
        return UltraTimes(*(getattr(self, f.name)[part] for f in fields(self)))


class _Rule(NamedTuple):
    """Times by one rule, and how many frames back the oldest and the newest stamp are that they were made of."""

    mid: Floats
    exposure: Floats
    reason: Ints
    used: tuple[int, int]


class _Known(NamedTuple):
    """What rules are made of: frame numbers, stamps known up to each frame, and the time of a row shift."""

    setup: UltraReadOut
    stamp: Floats
    number: Ints
    known: Ints
    shift: Floats

    def before(self, frames: int) -> Floats:
        """Stamps of so many frames before; NaN where there is none."""
        return np.concatenate([np.full(min(frames, len(self.stamp)), np.nan), self.stamp[: max(0, len(self.stamp) - frames)]])


def lookback(setup: UltraReadOut) -> int:
    """Frames before one whose stamps its times may depend on."""
    drift = setup.drift_windows if setup.mode in {"DRIFT", "UDRIFT"} else 1
    return drift + 2 + setup.nblue


def ultra_times(stamps: UltraStamps, first: int, setup: UltraReadOut) -> UltraTimes:
    """Work out times of frames.

    Parameters
    ----------
    stamps : UltraStamps
        Of consecutive frames. Those before the first are taken not to be known.
    first : int
        Place of the first of them in the run, from 1.
    setup : UltraReadOut
        How the run was read out.
    """
    place = np.arange(first, first + len(stamps.number))
    breaks = np.diff(stamps.number, prepend=stamps.number[:1] - 2) != 1
    start = np.maximum.accumulate(np.where(breaks, np.arange(len(place)), 0))
    known = _Known(setup, stamps.mjd, stamps.number, np.arange(len(place)) - start + 1, _row_shift(stamps, setup))
    rule = _ultracam(known) if setup.instrument == "ULTRACAM" else _ultraspec(known)
    mid, lost = _possible(rule.mid)
    reason = np.select([stamps.reason != 0, rule.reason != 0, lost], [stamps.reason, rule.reason, _BEFORE_2000], 0)
    sound = _sound(known, rule)
    blue = _blue(mid, rule.exposure, reason, sound, known.known, stamps.blue_junk, setup.nblue)
    return UltraTimes(
        stamp=stamps.mjd,
        mid=mid,
        exposure=rule.exposure,
        reason=reason,
        sound=sound,
        blue_mid=blue[0],
        blue_exposure=blue[1],
        blue_reason=blue[2],
        blue_sound=blue[3],
        blue_data=~stamps.blue_junk,
        midnight=stamps.midnight,
        out_of_order=stamps.number != place,
    )


def _possible(mid: Floats) -> tuple[Floats, Bools]:
    """Times, replaced where they are before 2000 or after any calendar, and where that is."""
    lost = (mid < NO_TIME) | (mid > _LAST_DAY)
    return np.where(lost, float(NO_TIME), mid), lost


def _row_shift(stamps: UltraStamps, setup: UltraReadOut) -> Floats:
    """Time of a row shift, s: the vertical clock was set otherwise in each epoch."""
    if setup.early:
        return np.where(stamps.mjd < 52411.5, 10.0e-6, 24.46e-6)
    clock = setup.shift_clock
    now = 6e-9 * (40 + 320 * (clock - 128)) if clock > 127 else 6e-9 * (40 + 40 * clock)
    then = 6e-9 * (80 + 160 * (clock - 128)) if clock > 127 else 6e-9 * (80 + 20 * clock)
    return np.where((stamps.mjd > _FASTER) | (stamps.satellites == -1), now, then)


def _read_out(k: _Known) -> Floats:
    """Time of a read-out, s.

    The time of a row shift, in seconds, stands among microseconds: the HiPERCAM pipeline has it so [defect], and times that are
    not good hang on it.
    """
    total = np.zeros(len(k.stamp))
    for part in k.setup.read_out:
        total = total + (part.shift * k.shift + part.rows * (k.shift * part.row_shift + part.clocks + part.pixels))
    return total * 1e-6


def _ultracam(k: _Known) -> _Rule:
    stamp = k.stamp
    before = (stamp < _FASTER) | ((stamp > _BEFORE[0]) & (stamp < _BEFORE[1]))
    make = _drift if k.setup.mode == "DRIFT" else _clear if k.setup.clears else _no_clear
    first, second = make(k, before=True), make(k, before=False)
    return _Rule(
        np.where(before, first.mid, second.mid),
        np.where(before, first.exposure, second.exposure),
        np.where(before, first.reason, second.reason),
        (first.used if before.all() else second.used),
    )


def _clear(k: _Known, *, before: bool) -> _Rule:
    """CCDs that were cleared before each exposure."""
    asked = k.setup.exposure
    exposure = np.full(len(k.stamp), asked)
    if before:
        return _Rule(k.stamp + asked / 2 / DAY, exposure, np.zeros(len(k.stamp), np.int64), (0, 0))
    alone = k.stamp - (_ROWS * k.shift + _read_out(k) + asked / 2) / DAY
    mid = np.where(k.known >= 2, k.before(1) + (_CLEARED_ROWS * k.shift + asked / 2) / DAY, alone)
    return _Rule(mid, exposure, np.where(k.known >= 2, 0, _NO_CLEAR_KNOWN), (1, 1))


def _no_clear(k: _Known, *, before: bool) -> _Rule:
    """CCDs that are exposed while they are read."""
    asked, transfer, read = k.setup.exposure, _ROWS * k.shift, _read_out(k)
    t0, t1, t2 = k.stamp, k.before(1), k.before(2)
    since1, since2 = DAY * (t0 - t1) - transfer, DAY * (t1 - t2) - transfer
    is_first = k.number == 1
    if before:
        cases = [is_first, k.known >= 2]
        exposure = np.select(cases, [np.full(len(t0), asked), since1], read + asked)
        mid = np.select(
            cases, [t0 - (transfer + asked / 2) / DAY, t1 + exposure / 2 / DAY], t0 - (transfer + exposure / 2) / DAY
        )
        return _Rule(mid, exposure, np.select(cases, [0, 0], _ALONE), (0, 1))
    cases = [is_first, k.known >= 3, k.known == 2]
    exposure = np.select(cases, [np.full(len(t0), asked), since2, since1], read + asked)
    middle = t1 + (asked - exposure / 2) / DAY
    mid = np.select(
        cases,
        [t0 - (transfer + read + asked / 2) / DAY, middle, middle],
        t0 + (asked - exposure - transfer - exposure / 2) / DAY,
    )
    return _Rule(mid, exposure, np.select(cases, [_FIRST, 0, _TWO], _ONE), (1, 2))


def _drift(k: _Known, *, before: bool) -> _Rule:
    """Windows that travel towards the register, several of them at a time."""
    setup, w = k.setup, k.setup.drift_windows
    if setup.instrument == "ULTRACAM":
        transfer = (setup.drift_rows + setup.drift_start - 1) * k.shift
    else:
        transfer = np.full(len(k.stamp), 14.4e-6 * (setup.drift_start + setup.drift_rows - 1) + 49e-6)
    asked, t = setup.exposure, k.before
    newer = DAY * (t(w - 1) - t(w)) - transfer
    none, unknown = np.full(len(k.stamp), float(NO_TIME)), np.full(len(k.stamp), asked)
    if before:
        enough = k.known > w
        return _Rule(
            np.where(enough, t(w) + newer / 2 / DAY, none),
            np.where(enough, newer, unknown),
            np.where(enough, 0, _DRIFT),
            (w - 1, w),
        )
    cases = [k.known > w + 1, k.known == w + 1]
    exposure = np.select(cases, [DAY * (t(w) - t(w + 1)) - transfer, newer], unknown)
    mid = np.select([k.known > w], [t(w) + (asked - exposure / 2) / DAY], none)
    return _Rule(mid, exposure, np.select(cases, [0, _DRIFT], _DRIFT), (w, w + 1))


def _ultraspec(k: _Known) -> _Rule:
    if k.setup.mode == "UDRIFT":
        return _drift(k, before=False)
    asked, t0, t1, t2 = k.setup.exposure, k.stamp, k.before(1), k.before(2)
    simple = (k.number == 1) | k.setup.clears
    whole = np.full(len(t0), asked)
    early = t0 < _SPEC_NEW
    transfer = np.where(early, *_SPEC_TRANSFER)
    since1, since2 = DAY * (t0 - t1) - transfer, DAY * (t1 - t2) - transfer
    # the sign of the case without a stamp before is the HiPERCAM pipeline's [defect]: the older one subtracts
    cases = [early & ~simple & (k.known >= 2), early, simple & (k.known >= 2), simple, k.known >= 3, k.known == 2]
    exposure = np.select(cases, [since1, whole, whole, whole, since2, since1], whole)
    middle = t1 + (asked - exposure / 2) / DAY
    mid = np.select(
        cases,
        [
            t0 - exposure / 2 / DAY,
            t0 - asked / 2 / DAY,
            t1 + (_SPEC_CLEAR + asked / 2) / DAY,
            t0 + (transfer + asked / 2) / DAY,
            middle,
            middle,
        ],
        t0 - 1.5 * asked / DAY,
    )
    reason = np.select(cases, [_TOO_EARLY, _TOO_EARLY, 0, _SPEC_ONE, 0, _SPEC_TWO], _SPEC_FEW)
    return _Rule(mid, exposure, reason, (1, 1) if k.setup.clears else (0, 1) if early.all() else (1, 2))


def _sound(k: _Known, rule: _Rule) -> Bools:
    """Whether times were made of stamps that follow each other, and exposures are possible."""
    follows = np.concatenate([[True], np.diff(k.stamp) > 0.0])
    follows |= k.known == 1
    newest, oldest = rule.used
    sound = (rule.exposure >= 0.0) & (rule.exposure <= 2.0 * k.setup.exposure + 60.0)
    for frames in range(newest, oldest + 1):
        fine = np.concatenate([np.ones(min(frames, len(follows)), np.bool_), follows[: max(0, len(follows) - frames)]])
        sound &= fine | (k.known <= frames)
    return sound


def _blue(
    mid: Floats, exposure: Floats, reason: Ints, sound: Bools, known: Ints, junk: Bools, nblue: int
) -> tuple[Floats, Floats, Ints, Bools]:
    """Times of a blue CCD that is read every `nblue` frames, and is exposed all that time."""
    if nblue == 1:
        return mid, exposure, reason, sound
    here = np.arange(len(mid))
    back = np.maximum(here - (nblue - 1), 0)
    end = mid + exposure / 2 / DAY
    enough = known >= nblue
    start = (mid - exposure / 2 / DAY)[np.where(enough, back, here - known + 1)]
    length = DAY * (end - start)
    # of an exposure whose start is not known as long a part is missing as frames are
    length = np.where(enough, length, length * nblue / known)
    middle = np.where(enough, (start + end) / 2, end - length / 2 / DAY)
    good = (reason == 0) & (reason[back] == 0)
    why = np.select([~enough, ~good], [_BLUE_PART, _BLUE_ENDS], 0)
    middle, lost = _possible(middle)
    return (
        np.where(junk, mid, middle),
        np.where(junk, exposure, length),
        np.where(junk, reason, np.where(lost & (why == 0), _BEFORE_2000, why)),
        np.where(junk, sound, sound & sound[back]),
    )
