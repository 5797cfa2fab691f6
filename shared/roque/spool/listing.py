"""Times of a run as text: what the HiPERCAM pipeline's ltimes prints."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.errors import NotFound
from roque.instruments.hipercam import CCDS
from roque.spool.hipercam import HipercamRun
from roque.spool.source import FrameSource
from roque.spool.stamps import exposures
from roque.spool.ultra import UltraRun

__all__ = ["list_times"]

_DAY = 86400
_AT_ONCE = 4096  # frames whose times are worked out together


def list_times(source: FrameSource, first: int, last: int, *, digits: int = 6, exposure_digits: int = 3) -> Iterator[str]:
    """List the times of a range of frames, a line a frame.

    Parameters
    ----------
    source : FrameSource
        A raw run.
    first, last : int
        Places in the run.
    digits, exposure_digits : int
        Decimals of seconds, of times and of HiPERCAM exposures.

    Yields
    ------
    str
        For HiPERCAM: place, time stamp as MJD(UTC) and as date and time, whether it is good; then for each CCD its label,
        middle of the exposure as MJD and as time of day, exposure, and whether it was read out. For ULTRACAM: place, time
        stamp and middle of the exposure, both as MJD and as time of day, whether it is good, exposure; then the middle of the
        blue exposure, and whether the blue CCD was read out. For ULTRASPEC without the latter.

    Raises
    ------
    NotFound
        The source holds no times of its own.

    Notes
    -----
    Frames are numbered by place, so where the camera dropped some a line tells other exposures and read-outs than `times`.
    Nor is a time called bad because the clock was not synchronised. Both are as in the HiPERCAM pipeline, and so are the
    comma after the place in lines of ULTRASPEC [defect], and that stamps of ULTRACAM that do not follow each other pass.
    """
    if isinstance(source, UltraRun):
        yield from _ultra(source, first, last, digits)
        return
    if not isinstance(source, HipercamRun):
        raise NotFound("times can be listed of raw runs alone", remedy="name a run and its source: hl, hs, ul or us")
    for begin in range(first, last + 1, _AT_ONCE):
        yield from _hipercam(source, begin, min(begin + _AT_ONCE - 1, last), digits, exposure_digits)


def _hipercam(run: HipercamRun, first: int, last: int, digits: int, exposure_digits: int) -> Iterator[str]:
    stamps = run.stamps(first, last)
    number = np.arange(first, last + 1)
    times = exposures(stamps, number, np.zeros(len(number), bool), run.read_out)
    read_out = number[:, None] % (np.array(run.read_out.nskips) + 1) == 0
    ccd = f" %s %s %.{exposure_digits}f %d"
    form = "%d %s %s %s %d" + "".join(f" {label}{ccd}" for label in CCDS)
    # from one double to another, as in the HiPERCAM pipeline: the last digit listed is below what a double can tell apart
    stamp = times.day + times.fraction
    mid = stamp[:, None] + ((times.mjd_int - times.day[:, None]) + (times.mjd_frac - times.fraction[:, None]))
    columns: list[list[Any]] = [number.tolist(), _days(stamp), _dates(times.day, times.fraction)]
    columns += [_clock(times.fraction, digits), (stamps.valid & stamps.received).tolist()]
    for k in range(len(CCDS)):
        columns += [_days(mid[:, k]), _clock(mid[:, k], digits), times.exposure[:, k].tolist(), read_out[:, k].tolist()]
    for row in zip(*columns, strict=True):
        yield form % row


def _ultra(run: UltraRun, first: int, last: int, digits: int) -> Iterator[str]:
    form, blue = "%d %s %s %s %s %d %.5f", " %s %s %d"
    form = form.replace(" ", ", ", 1) if run.read_out.instrument == "ULTRASPEC" else form + blue
    for begin in range(first, last + 1, _AT_ONCE):
        t = run.exposures(begin, min(begin + _AT_ONCE - 1, last))
        columns: list[Any] = [_days(t.stamp), _clock(t.stamp, digits), _days(t.mid), _clock(t.mid, digits)]
        columns += [(t.reason == 0).tolist(), t.exposure.tolist()]
        if form.endswith(blue):
            columns += [_days(t.blue_mid), _clock(t.blue_mid, digits), t.blue_data.tolist()]
        for row in zip(itertools.count(begin), *columns, strict=False):
            yield form % row


def _dates(day: NDArray[np.int64], fraction: NDArray[np.float64]) -> list[str]:
    """Write dates in ISO form."""
    days = (day + np.floor(fraction).astype(np.int64) - 40587).astype("M8[D]")
    return [str(date) for date in days]


def _clock(mjd: NDArray[np.float64], digits: int) -> list[str]:
    """Write times of day as HH:MM:SS with so many decimals."""
    unit = 10**digits
    # halves upwards: with nine digits a double does end on one
    ticks = np.floor((mjd - np.floor(mjd)) * (_DAY * unit) + 0.5).astype(np.int64) % (_DAY * unit)
    seconds, fraction = np.divmod(ticks, unit)
    minutes, second = np.divmod(seconds, 60)
    hour, minute = np.divmod(minutes, 60)
    return _written(b"00:00:00." + b"0" * digits, (hour, 1, 2), (minute, 4, 2), (second, 7, 2), (fraction, 8 + digits, digits))


def _days(mjd: NDArray[np.float64]) -> list[str]:
    """Write MJDs with 12 decimals, to the last digit what Python's own formatting gives."""
    if not ((mjd >= 32768.0) & (mjd < 65536.0)).all():
        return [f"{day:.12f}" for day in mjd.tolist()]
    # a double between these two is a whole number n of 2**-37 days: its decimals are n*5**12 / 2**25, halves to the even number
    day = np.floor(mjd)
    n = ((mjd - day) * 2.0**37).astype(np.int64)
    low = (n & 4095) * 5**12
    scaled = (n >> 12) * 5**12 + (low >> 12)
    decimals, rest = scaled >> 13, ((scaled & 8191) << 12) | (low & 4095)
    decimals = decimals + ((rest > 1 << 24) | ((rest == 1 << 24) & (decimals & 1 == 1)))
    whole = day.astype(np.int64) + decimals // 10**12
    return _written(b"00000." + b"0" * 12, (whole, 4, 5), (decimals % 10**12, 17, 12))


def _written(zeros: bytes, *numbers: tuple[NDArray[np.int64], int, int]) -> list[str]:
    """Write numbers into texts of zeros, each with the place of its last digit and how many it has.

    Digit by digit through all texts: half a million times of a long run are quicker written so than one by one.
    """
    text = np.empty((len(numbers[0][0]), len(zeros)), np.uint8)
    text[:] = np.frombuffer(zeros, np.uint8)
    for number, last, count in numbers:
        for k in range(count):
            text[:, last - k] += (number // 10**k % 10).astype(np.uint8)
    whole = text.tobytes().decode("ascii")
    return [whole[i : i + len(zeros)] for i in range(0, len(whole), len(zeros))]
