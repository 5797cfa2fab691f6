"""The read-out of ULTRACAM: three frame-transfer CCDs (red, green, blue), each read by two amplifiers.

Windows come in pairs, one for each amplifier, at the same height on all CCDs. The left one is read from the left to the
right, the right one from its right edge leftwards; pixels of the six outputs take turns.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from roque.frames import Geometry
from roque.instruments.ultra import (
    Part,
    RawWindow,
    ReadOutTime,
    UltraHeader,
    UltraReadOut,
)
from roque.instruments.ultra_values import Values, check_frame, check_inside, sizes, stamp_format

__all__ = ["CCDS", "MODES", "ultracam_read_out"]

CCDS = ("1", "2", "3")
NXTOT, NYTOT = 1080, 1032

_PAIRS = {"DRIFT": 1, "1-PAIR": 1, "1-PCLR": 1, "2-PAIR": 2, "3-PAIR": 3}
_CLEAR = ("1-PCLR", "FFCLR", "FFOVER")
_OVERSCAN = ("FFOVER", "FFOVNC")
_APPLICATIONS = {
    "DRIFT": "ap8_250_driftscan ap8_driftscan ap_drift_bin2 appl8_driftscan_cfg",
    "1-PAIR": "ap5_250_window1pair ap5_window1pair ap_win2_bin8 ap_win2_bin2 appl5_window1pair_cfg",
    "1-PCLR": "ap5b_250_window1pair appl5b_window1pair_cfg",
    "2-PAIR": "ap6_250_window2pair ap6_window2pair ap_win4_bin1 ap_win4_bin8 appl6_window2pair_cfg",
    "3-PAIR": "ap7_250_window3pair ap7_window3pair appl7_window3pair_cfg",
    "FFCLR": "ap3_250_fullframe ap3_fullframe appl3_fullframe_cfg",
    "FFOVER": "appl4_frameover_cfg ap4_frameover",
    "FFOVNC": "appl10_frameover_mindead_cfg",
    "FFNCLR": "ap9_250_fullframe_mindead ap9_fullframe_mindead appl9_fullframe_mindead_cfg",
    "PONOFF": "ap1_poweron ap1_250_poweron ap2_250_poweroff appl1_pon_cfg appl2_pof_cfg",
}
MODES = {application: mode for mode, names in _APPLICATIONS.items() for application in names.split()}
_SPEEDS = {0xCDD: 10.0, 0xFBB: 4.4, 0xFDD: 2.2}  # microseconds to read a pixel
_SWITCH, _CLOCK = 1.2, 0.48  # microseconds to switch over to the next pixel, and per clock of the register
_MOST_BLUE = 10_000  # frames to a blue one; more is no run


class Pair(NamedTuple):
    """A pair of windows: the left edges, the lowest row, and the size in binned pixels, as read."""

    left: int
    right: int
    low: int
    nx: int
    ny: int


def ultracam_read_out(header: UltraHeader, mode: str) -> UltraReadOut:
    """Work out the read-out of a run from its .xml.

    Parameters
    ----------
    header : UltraHeader
        What the .xml says.
    mode : str
        Mode of its application.

    Raises
    ------
    BadInput
        A parameter is missing or impossible, or the windows do not fill a frame.
    """
    values = Values(header)
    header_words, frame_bytes = sizes(values)
    version = values.version()
    xbin, ybin = values.binning()
    speed = values.whole("GAIN_SPEED")
    if speed not in _SPEEDS:
        raise values.wrong(f"GAIN_SPEED {speed} is none of {', '.join(map(str, _SPEEDS))}", "parameter GAIN_SPEED")
    pairs = _pairs(mode, xbin, ybin, values)
    check_frame(frame_bytes, header_words, 6 * sum(pair.nx * pair.ny for pair in pairs), values)
    junk = 1 if version == -1 and mode not in _OVERSCAN else 0
    windows = tuple(window for ccd in CCDS for window in _windows(ccd, mode, pairs, xbin, ybin, header_words, junk))
    for window in windows:
        check_inside(window, NXTOT, NYTOT, values)
    clock = values.whole("V_FT_CLK", default=(140 if header.application == "appl7_window3pair_cfg" else 0) << 16) >> 16 & 0xFF
    nblue = values.whole("NBLUE", default=1, least=1, most=_MOST_BLUE)
    unit, units = 1e-4 if header.user is not None else 1e-3, values.positive_time("EXPOSE_TIME")
    clear = mode in _CLEAR
    return UltraReadOut(
        instrument="ULTRACAM",
        mode=mode,
        clear=clear,
        clears=clear,
        ccds=CCDS,
        nxtot=NXTOT,
        nytot=NYTOT,
        xbin=xbin,
        ybin=ybin,
        version=version,
        stamp_format=stamp_format(version, "ULTRACAM", header_words, values),
        header_words=header_words,
        frame_bytes=frame_bytes,
        exposure_units=units,
        unit=unit,
        nblue=nblue,
        early=not header.parameters.keys() & {"REVISION", "VERSION", "V_FT_CLK"},
        shift_clock=clock,
        read_out=_read_out_time(mode, pairs, xbin, ybin, _SWITCH + _SPEEDS[speed]),
        drift_rows=pairs[0].ny * ybin,
        drift_start=pairs[0].low,
        windows=windows,
        keywords={
            **values.user_keywords(),
            "INSTRUME": "ULTRACAM",
            "APPLICAT": header.application,
            "MODE": mode,
            "CLEAR": clear,
            "EXPDELAY": units * unit,
            "NUMEXP": values.optional("NO_EXPOSURES"),
            "GAINSPED": f"{speed:x}",
            "VFTCLK": clock,
            "NBLUE": nblue,
            "VERSION": version,
        },
        speed=f"{speed:x}",
    )


def _pairs(mode: str, xbin: int, ybin: int, values: Values) -> list[Pair]:
    """Pairs of windows, as read."""
    if mode in _PAIRS:
        found = []
        for n in range(1, _PAIRS[mode] + 1):
            left, right, low = (values.whole(f"{name}_START", least=1, most=4096) for name in (f"X{n}L", f"X{n}R", f"Y{n}"))
            nx, ny = (values.whole(f"{axis}{n}_SIZE", least=1, most=4096) for axis in "XY")
            found.append(Pair(left, right, low, nx // xbin, ny // ybin))
        return found
    if mode not in _OVERSCAN:
        return [Pair(1, 513, 1, 512 // xbin, 1024 // ybin)]
    if 4 % xbin or 8 % ybin:
        raise values.wrong(
            f"binning {xbin} x {ybin} does not divide the overscan of 4 columns and 8 rows", "parameter X_BIN_FAC"
        )
    # the HiPERCAM pipeline compares framesize with unbinned sizes and so refuses binned overscan data [defect]: meant are these
    return [Pair(1, 513, 1, 540 // xbin, 1032 // ybin)]


def _windows(ccd: str, mode: str, pairs: list[Pair], xbin: int, ybin: int, header_words: int, junk: int) -> list[RawWindow]:
    """Windows of a CCD. `junk` columns, the first that each output reads in a row, are left out."""
    found: list[RawWindow] = []
    word = header_words
    for pair in pairs:
        left = _Output(word + 2 * CCDS.index(ccd), 6 * pair.nx, 6)
        right = _Output(left.start + 1 + 6 * (pair.nx - 1), 6 * pair.nx, -6)
        if mode in _OVERSCAN:
            return _overscan_windows(ccd, left, right, xbin, ybin)
        nx = pair.nx - junk
        # the left window keeps its edge although its first column is gone, as the HiPERCAM pipeline has it; of the right one
        # the outermost column is gone, which is the last: its edge moves too
        for output, first, llx, outamp in ((left, junk, pair.left, "LL"), (right, 0, pair.right + junk * xbin, "LR")):
            geometry = Geometry(llx, pair.low, xbin, ybin, nx, pair.ny)
            found.append(RawWindow(ccd, str(len(found) + 1), geometry, outamp, (output.columns(first, first + nx),)))
        word += 6 * pair.nx * pair.ny
    return found


class _Output(NamedTuple):
    """Pixels of an amplifier, from the left to the right of the chip: first word, and steps to the next row and column."""

    start: int
    row_step: int
    column_step: int

    def columns(self, first: int, last: int, row: int = 0) -> Part:
        start = self.start + row * self.row_step + first * self.column_step
        return Part(start, self.row_step, self.column_step, last - first)


def _overscan_windows(ccd: str, left: _Output, right: _Output, xbin: int, ybin: int) -> list[RawWindow]:
    """Data, columns beside them, and rows above them."""

    def window(label: int, llx: int, lly: int, ny: int, outamp: str, *parts: Part) -> RawWindow:
        return RawWindow(ccd, str(label), Geometry(llx, lly, xbin, ybin, sum(p.nx for p in parts), ny // ybin), outamp, parts)

    def cut(output: _Output, first: int, last: int, row: int = 0) -> Part:
        return output.columns(first // xbin, last // xbin, row // ybin)

    return [
        window(1, 1, 1, 1024, "LL", cut(left, 24, 536)),
        window(2, 513, 1, 1024, "LR", cut(right, 4, 516)),
        window(3, 1025, 1, 1032, "LL", cut(left, 0, 24), cut(left, 536, 540)),
        window(4, 1053, 1, 1032, "LR", cut(right, 0, 4), cut(right, 516, 540)),
        window(5, 1, 1025, 8, "LL", cut(left, 24, 536, 1024)),
        window(6, 513, 1025, 8, "LR", cut(right, 4, 516, 1024)),
    ]


def _read_out_time(mode: str, pairs: list[Pair], xbin: int, ybin: int, pixel: float) -> tuple[ReadOutTime, ...]:
    """What the read-out takes; it is needed where the stamps before a frame are not known."""
    if mode not in _PAIRS:
        rows, columns, clocks = (1032, 540, 540) if mode in _OVERSCAN else (1024, 512, 536)
        return (ReadOutTime(0.0, rows / ybin, ybin, clocks * _CLOCK, (columns / xbin + 2) * pixel),)
    found = []
    ends = [1, *(pair.low + pair.ny * ybin for pair in pairs)]
    for pair, (end, _) in zip(pairs, pairwise(ends), strict=True):
        nx, rest = pair.nx * xbin, 1024 - (pair.right + pair.nx * xbin - 1)
        clocks = nx + abs(pair.left - 1 - rest) + 8 + min(pair.left - 1, rest)
        shift = 0.0 if mode == "1-PCLR" else float(pair.low - end)
        found.append(ReadOutTime(shift, float(pair.ny), ybin, clocks * _CLOCK, (nx / xbin + 2) * pixel))
    return tuple(found)
