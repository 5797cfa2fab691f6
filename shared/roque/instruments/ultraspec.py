"""The read-out of ULTRASPEC: one frame-transfer CCD with a normal and an avalanche output.

Rows of a window come one after another, and windows one after another, but in drift mode the two windows take turns row by row.
The avalanche output lies at the other side of the chip: its rows run from the right to the left.
"""

from __future__ import annotations

import math

from roque.frames import Geometry
from roque.instruments.ultra import (
    Part,
    RawWindow,
    UltraHeader,
    UltraReadOut,
)
from roque.instruments.ultra_values import Values, check_frame, check_inside, sizes, stamp_format

__all__ = ["MODES", "ultraspec_read_out"]

NXTOT, NYTOT = 1056, 1072
_SKIPPED = 16  # raw columns before the first of the CCD
_MIRROR = 1074  # raw columns are counted from here for the avalanche output

MODES = {
    "ccd201_winbin_con": "USPEC",
    "ccd201_winbin_cfg": "USPEC",
    "ccd201_driftscan_cfg": "UDRIFT",
    "ccd201_pon_cfg": "PONOFF",
    "ccd201_pof_cfg": "PONOFF",
}
_SPEEDS = {0: "S", 1: "M"}


def ultraspec_read_out(header: UltraHeader, mode: str) -> UltraReadOut:
    """Work out the read-out of a run from its .xml.

    Parameters
    ----------
    header : UltraHeader
        What the .xml says.
    mode : str
        USPEC or UDRIFT.

    Raises
    ------
    BadInput
        A parameter is missing or impossible, or the windows do not fill a frame.
    """
    values = Values(header)
    header_words, frame_bytes = sizes(values)
    version = values.version()
    xbin, ybin = values.binning()
    count = 2 if mode == "UDRIFT" else _count(values)
    avalanche = values.text("OUTPUT") != "0"
    starts = [_start(n, 1 if mode == "UDRIFT" else n, values) for n in range(1, count + 1)]
    check_frame(frame_bytes, header_words, sum(nx * ny for _, _, nx, ny in starts), values)
    make = _drift_windows if mode == "UDRIFT" else _windows
    windows = tuple(make(starts, xbin, ybin, header_words, avalanche=avalanche))
    for window in windows:
        check_inside(window, NXTOT, NYTOT, values)
    speed = _SPEEDS.get(values.whole("SPEED"), "F")
    clears = values.text("EN_CLR") == "1"
    fine = header.user is not None and header_words == 16 and version >= 120813
    unit, units = 1e-4 if fine else 1e-3, values.positive_time("DWELL")
    name = mode if mode == "UDRIFT" else f"USPEC-{count}"
    return UltraReadOut(
        instrument="ULTRASPEC",
        mode=name,
        clear=False,
        clears=clears,
        ccds=("1",),
        nxtot=NXTOT,
        nytot=NYTOT,
        xbin=xbin,
        ybin=ybin,
        version=version,
        stamp_format=stamp_format(version, "ULTRASPEC", header_words, values),
        header_words=header_words,
        frame_bytes=frame_bytes,
        exposure_units=units,
        unit=unit,
        nblue=1,
        early=False,
        shift_clock=0,
        read_out=(),
        drift_rows=starts[0][3] * ybin,
        drift_start=starts[0][1],
        windows=windows,
        keywords={
            **values.user_keywords(),
            "INSTRUME": "ULTRASPEC",
            "APPLICAT": header.application,
            "MODE": name,
            "CLEAR": False,
            "NUMEXP": values.optional("NUM_EXPS"),
            "SPEED": speed,
            "ENBLCLR": clears,
            "HVGAIN": values.optional("HV_GAIN"),
            "OUTPUT": "A" if avalanche else "N",
            "VERSION": version,
            "EXPDELAY": units * unit,
        },
        speed=speed,
    )


def _count(values: Values) -> int:
    """Windows in use: those before the first of no width."""
    for n in (2, 3, 4):
        if values.whole(f"X{n}_SIZE", default=0) == 0:
            return n - 1
    return 4


def _start(n: int, row_of: int, values: Values) -> tuple[int, int, int, int]:
    """First raw column and row of a window, and its size in binned pixels."""
    x = values.whole(f"X{n}_START", least=1, most=4096)
    y = values.whole(f"Y{row_of}_START", least=1, most=4096)
    nx = values.whole(f"X{n}_SIZE", least=1, most=4096)
    return x, y, nx, values.whole(f"Y{row_of}_SIZE", least=1, most=4096)


def _chopped(x: int, xbin: int) -> int:
    """Binned columns that lie before the first of the CCD."""
    return math.ceil(max(0, _SKIPPED + 1 - x) / xbin)


def _edge(x: int, nx: int, xbin: int, *, avalanche: bool) -> int:
    """Left edge of a window on the CCD."""
    if avalanche:
        return max(1, _MIRROR - x - nx * xbin)
    return max(1, x + _chopped(x, xbin) * xbin - _SKIPPED)


def _windows(starts: list[tuple[int, int, int, int]], xbin: int, ybin: int, word: int, *, avalanche: bool) -> list[RawWindow]:
    found = []
    for number, (x, y, nx, ny) in enumerate(starts, start=1):
        chop = _chopped(x, xbin)
        geometry = Geometry(_edge(x, nx, xbin, avalanche=avalanche), y, xbin, ybin, nx - chop, ny)
        # the avalanche output loses its last raw columns, as in the HiPERCAM pipeline; nobody knows whether that is meant
        part = Part(word + nx - chop - 1, nx, -1, nx - chop) if avalanche else Part(word + chop, nx, 1, nx - chop)
        found.append(RawWindow("1", str(number), geometry, "LR" if avalanche else "LL", (part,)))
        word += nx * ny
    return found


def _drift_windows(
    starts: list[tuple[int, int, int, int]], xbin: int, ybin: int, word: int, *, avalanche: bool
) -> list[RawWindow]:
    """Two windows whose rows take turns.

    A row of the avalanche output is turned round as a whole, so that its first part is the second window's; window 1 takes
    it all the same, with an edge of its own, as in the HiPERCAM pipeline [defect].
    """
    width = sum(nx for _, _, nx, _ in starts)
    found, before = [], 0
    for number, (x, y, nx, ny) in enumerate(starts, start=1):
        chop = _chopped(x, xbin)
        first = before + chop
        geometry = Geometry(_edge(x, nx, xbin, avalanche=avalanche), y, xbin, ybin, nx - chop, ny)
        start = word + width - 1 - first if avalanche else word + first
        part = Part(start, width, -1 if avalanche else 1, nx - chop)
        found.append(RawWindow("1", str(number), geometry, "LR" if avalanche else "LL", (part,)))
        before += nx
    return found
