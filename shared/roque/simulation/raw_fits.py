"""HiPERCAM's raw FITS: the header and the time stamps of frames."""

from __future__ import annotations

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from roque.simulation.conditions import MJD_EPOCH
from roque.simulation.plan import RunPlan

__all__ = ["STAMP_WORDS", "encode", "header_bytes", "stamps"]

STAMP_WORDS = 18
REFLECTED = (2, 5)

_STAMP = np.dtype(
    [
        ("counter", "<u4"),
        ("stamp_counter", "<u4"),
        ("year", "<u4"),
        ("day", "<u4"),
        ("hour", "<u4"),
        ("minute", "<u4"),
        ("second", "<u4"),
        ("nanosecond", "<u4"),
        ("satellites", "i1"),
        ("synced", "i1"),
    ]
)


def header_bytes(plan: RunPlan, frame_words: int) -> bytes:
    """Header of a run as it stands in the file, padded to whole blocks."""
    header = fits.Header()
    for keyword, value in _standard(plan, frame_words).items():
        header[keyword] = value
    for keyword, value in _detector(plan).items():
        header[f"HIERARCH ESO DET {keyword}"] = value
    return str(header.tostring()).encode("ascii")


def encode(words: NDArray[np.uint16]) -> NDArray[np.int16]:
    """Unsigned words as the file holds them: signed, less 32768, big-endian."""
    return (words ^ np.uint16(0x8000)).astype(">u2").view(">i2")


def stamps(stamp_ns: NDArray[np.int64], first: int) -> NDArray[np.uint16]:
    """Time stamps of consecutive frames as unsigned words; shape (frames, 18).

    Parameters
    ----------
    stamp_ns : array of int64
        Times, ns from MJD 0, UTC.
    first : int
        Number of the first of the frames, from 1 (the file counts from 0).
    """
    moment = MJD_EPOCH + stamp_ns.astype("timedelta64[ns]")
    year = moment.astype("datetime64[Y]")
    day = moment.astype("datetime64[D]")
    of_day = (moment - day).astype(np.int64)
    rows = np.zeros(len(stamp_ns), _STAMP)
    rows["counter"] = rows["stamp_counter"] = np.arange(first - 1, first - 1 + len(stamp_ns))
    rows["year"] = year.astype(np.int64) + 1970
    rows["day"] = (day - year.astype("datetime64[D]")).astype(np.int64) + 1
    rows["hour"] = of_day // 3_600_000_000_000
    rows["minute"] = of_day // 60_000_000_000 % 60
    rows["second"] = of_day // 1_000_000_000 % 60
    rows["nanosecond"] = of_day % 1_000_000_000
    rows["satellites"] = 7
    rows["synced"] = 1
    words = np.zeros((len(rows), STAMP_WORDS), np.uint16)
    words[:, :-1] = rows.view("<u2").reshape(len(rows), STAMP_WORDS - 1)
    return words


def _standard(plan: RunPlan, frame_words: int) -> dict[str, str | int | float | bool]:
    return {
        "SIMPLE": True,
        "BITPIX": 16,
        "NAXIS": 3,
        "NAXIS1": frame_words,
        "NAXIS2": 1,
        "NAXIS3": plan.frames,
        "BSCALE": 1,
        "BZERO": 32768,
        "DATE": plan.start.replace(tzinfo=None).isoformat(timespec="milliseconds"),
        "OBJECT": plan.object_name,
        "FILTERS": plan.filters,
        "PI": "Simulation",
        "OBSERVER": "Simulation",
        "RA": _sexagesimal(plan.ra / 15.0, ""),
        "DEC": _sexagesimal(plan.dec, "+"),
        "RADEG": plan.ra,
        "DECDEG": plan.dec,
        "INSTRPA": 0.0,
        "IMAGETYP": plan.image_type,
        "INSTRUME": "HIPERCAM",
        "TELESCOP": "GTC",
        "EXPTIME": plan.exposure,
    }


def _detector(plan: RunPlan) -> dict[str, str | int | float | bool]:
    values: dict[str, str | int | float | bool] = {
        "READ CURNAME": ("OneWindow", "TwoWindow")[len(plan.windows) - 1],
        "GPS": True,
        "CLRCCD": plan.clear,
        "DUMMY": False,
        "INCPRSCX": False,
        "INCOVSCY": False,
        "NSAMP": 4,
        "SPEED": 0,
        "BINX1": plan.xbin,
        "BINY1": plan.ybin,
        "TDELAY": round(1e3 * plan.exposure, 6),
        "TREAD": round(1e3 * plan.read_out, 6),
        "TFT": round(1e3 * plan.frame_transfer, 6),
        "TCLEAR": round(1e3 * plan.clear_time, 6),
    }
    for number, skips in enumerate(plan.nskips, 1):
        values[f"NSKIPS{number}"] = skips
        values[f"REFLECT{number}"] = number in REFLECTED
        values[f"CHIP{number} RON"] = plan.detector.read_noise
        values[f"CHIP{number} GAIN"] = plan.detector.gain
    for number, window in enumerate(plan.windows, 1):
        values[f"WIN{number} NX"] = window.nx
        values[f"WIN{number} NY"] = window.ny
        values[f"WIN{number} YS"] = window.ys
        for quadrant, start in zip("EFGH", window.xs, strict=True):
            values[f"WIN{number} XS{quadrant}"] = start
    return values


def _sexagesimal(value: float, plus: str) -> str:
    hundredths = round(abs(value) * 360_000)
    sign = "-" if value < 0 else plus
    return f"{sign}{hundredths // 360_000:02d}:{hundredths // 6000 % 60:02d}:{hundredths % 6000 / 100:05.2f}"
