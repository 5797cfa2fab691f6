"""HiPERCAM: what a raw header says about the read-out.

Five CCDs of 2048 x 1024 (u g r i z), four quadrants of 1024 x 512 each, read at the corners: E lower left, F lower right,
G upper right, H upper left. A frame is the pixels of one or two sets of windows (one window per quadrant, alike in all CCDs),
then a time stamp.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from roque.errors import BadInput
from roque.frames import Geometry
from roque.frames.cards import HeaderBlock
from roque.frames.frame import Header
from roque.frames.images import require

__all__ = [
    "CCDS", "NXTOT", "NYTOT", "STAMP_BYTES", "RawWindow", "ReadOut", "Timing", "WindowSet", "read_out", "refuse_repeated",
    "served_frame_bytes",
]  # fmt: skip

CCDS = ("1", "2", "3", "4", "5")
NXTOT, NYTOT = 2048, 1024
STAMP_BYTES = 36
"""Bytes at the end of a frame that hold its number and time."""

_MODES = {"FullFrame": "FullFrame", "OneWindow": "OneWindow", "TwoWindow": "TwoWindow", "Drift": "Drift"}
_MIRRORED = ("2", "5")  # seen through one more reflection: their E lies where the others' F does
_MIRROR = {"E": "F", "F": "E", "G": "H", "H": "G"}
_TURN = {"E": "G", "G": "E", "F": "H", "H": "F"}
# position: corner pixel, direction of read-out in x and y, and whether the far side of the quadrant counts
_CORNERS = {"E": (1, 1, 1, 1, 0, 0), "F": (1025, 1, -1, 1, 1, 0), "G": (1025, 513, -1, -1, 1, 1), "H": (1, 513, 1, -1, 0, 1)}
_PRESCAN, _OVERSCAN = 50, 8  # unbinned columns and rows
_LARGEST_FRAME = 32 << 20  # bytes; whole frames with all scans have 23 million
_MOST_FRAMES = 86_400_000  # a day of frames of a millisecond
_SLACK = 256  # bytes of timing beyond which window sizes and NAXIS1 contradict each other; 36 are normal


@dataclass(frozen=True, slots=True)
class WindowSet:
    """One window per quadrant and CCD, read together: ``20*nx*ny`` words from word `base` of a frame."""

    base: int
    nx: int
    ny: int


@dataclass(frozen=True, slots=True)
class RawWindow:
    """A window of a CCD and where its pixels lie in its set.

    Pixel ``[j, i]`` of the window is raw pixel ``(y0 + ystep*j, x0 + xstep*i)`` of output `stream` (4*CCD + quadrant, from 0)
    of set `group`.
    """

    ccd: str
    label: str
    geometry: Geometry
    group: int
    stream: int
    x0: int
    xstep: int
    y0: int
    ystep: int


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of the read-out, ms, as the controller was told."""

    expose: float
    read: float
    transfer: float
    clear: float
    line_dump: float
    line_shift: float
    drift_windows: int


@dataclass(frozen=True, slots=True)
class ReadOut:
    """How a run was read out.

    Parameters
    ----------
    mode : str
        FullFrame, OneWindow, TwoWindow or Drift.
    clear : bool
        Whether the CCDs were cleared before each exposure.
    xbin, ybin : int
        Binning of all windows.
    nsamp : int
        Samples per pixel; it sets the order of pixels.
    nskips : tuple of int
        Read-outs skipped between two of a CCD, for each CCD.
    timing : Timing
        Times of the read-out.
    sets : tuple of WindowSet
        Window sets in the order of the data.
    windows : tuple of RawWindow
        All windows: CCD after CCD, each window followed by its prescan and overscan.
    frame_bytes : int
        Bytes of a frame.
    """

    mode: str
    clear: bool
    xbin: int
    ybin: int
    nsamp: int
    nskips: tuple[int, ...]
    timing: Timing
    sets: tuple[WindowSet, ...]
    windows: tuple[RawWindow, ...]
    frame_bytes: int


@dataclass(frozen=True, slots=True)
class _Setup:
    """Size of a window set in unbinned pixels and its start from the output corners; None: the whole quadrant."""

    nx: int
    ny: int
    start: dict[str, tuple[int, int]] | None


def read_out(header: Header, *, file: str | None = None, frame_bytes: int | None = None) -> ReadOut:
    """Work out the read-out of a run from its raw header.

    Parameters
    ----------
    header : dict
        Keyword to value, HIERARCH names as 'ESO DET ...'.
    file : str or None
        Name for error messages.
    frame_bytes : int or None
        Bytes of a frame, where the header is no file's; None: they stand in NAXIS1.

    Returns
    -------
    ReadOut

    Raises
    ------
    BadInput
        A keyword is missing or impossible, or the windows do not fit in NAXIS1.
    """
    ask = _Asker(header, file)
    told_by = "NAXIS1" if frame_bytes is None else "ESO DET ACQ1 WIN NX"
    frame_bytes = _frame_size(ask) if frame_bytes is None else frame_bytes
    mode = ask.mode()
    xbin, ybin = ask.whole("ESO DET BINX1", least=1), ask.whole("ESO DET BINY1", least=1)
    prescan, overscan = ask.flag("ESO DET INCPRSCX"), ask.flag("ESO DET INCOVSCY")
    _check_scans(mode, xbin, ybin, prescan, overscan, ask)
    setups = _setups(mode, ask)
    columns, rows = (_PRESCAN // xbin if prescan else 0), (_OVERSCAN // ybin if overscan else 0)
    sets: list[WindowSet] = []
    for setup in setups:
        base = sets[-1].base + 20 * sets[-1].nx * sets[-1].ny if sets else 0
        sets.append(WindowSet(base, setup.nx // xbin + columns, setup.ny // ybin + rows))
    nsamp = ask.whole("ESO DET NSAMP", default=4)
    _check_size(sets, nsamp, frame_bytes, told_by, ask)
    windows: list[RawWindow] = []
    for ccd in CCDS:
        turned = ask.flag(f"ESO DET ROTATE{ccd}", default=False)
        for group, (setup, raw) in enumerate(zip(setups, sets, strict=True)):
            for quadrant in "EFGH":
                windows += _windows(ccd, quadrant, group, setup, raw, turned, (xbin, ybin), (columns, rows))
    return ReadOut(
        mode=mode,
        clear=ask.flag("ESO DET CLRCCD"),
        xbin=xbin,
        ybin=ybin,
        nsamp=nsamp,
        nskips=tuple(ask.whole(f"ESO DET NSKIPS{ccd}", least=0) for ccd in CCDS),
        timing=_timing(mode, ask),
        sets=tuple(sets),
        windows=tuple(windows),
        frame_bytes=frame_bytes,
    )


def refuse_repeated(block: HeaderBlock, file: str) -> None:
    """Refuse a header in which a keyword stands twice with different values.

    Raises
    ------
    BadInput
        It does.
    """
    for keyword, byte in block.repeated.items():
        raise BadInput(
            f"keyword {keyword} stands twice with different values",
            file=file,
            place=f"byte {byte}",
            remedy="copy the run again from the camera",
        )


def served_frame_bytes(header: Header, *, file: str | None = None) -> int:
    """Bytes of a frame that a file server gives, by its header.

    NAXIS1 there is not that of the frames. Of NSAMP this formula takes 1 where it is missing, the order of pixels 4.

    Raises
    ------
    BadInput
        A keyword is missing or impossible.
    """
    ask = _Asker(header, file)
    nx, ny = (ask.whole(f"ESO DET ACQ1 WIN {axis}", least=1) for axis in ("NX", "NY"))
    size = 2 * (STAMP_BYTES // 2 + nx * ny // ask.whole("ESO DET NSAMP", default=1, least=1))
    if size > _LARGEST_FRAME:
        raise ask.wrong(f"frames of {size} bytes: the camera has none so large", "ESO DET ACQ1 WIN NX")
    return size


class _Asker:
    """Values of a header, checked as they are asked for."""

    def __init__(self, header: Header, file: str | None) -> None:
        self.header = header
        self.file = file

    def wrong(self, message: str, keyword: str) -> BadInput:
        return BadInput(message, file=self.file, place=f"keyword {keyword}", remedy="copy the run again from the camera")

    def whole(self, keyword: str, *, default: int | None = None, least: int | None = None) -> int:
        if default is not None and keyword not in self.header:
            return default
        value: int = require(self.header, keyword, int, file=self.file)
        if (least is not None and value < least) or abs(value) > 1 << 40:
            raise self.wrong(f"{keyword} cannot be {value}", keyword)
        return value

    def flag(self, keyword: str, *, default: bool | None = None) -> bool:
        if default is not None and keyword not in self.header:
            return default
        value: bool = require(self.header, keyword, bool, file=self.file)
        return value

    def milliseconds(self, keyword: str) -> float:
        value: float = require(self.header, keyword, (int, float), file=self.file)
        if not 0.0 <= value < 1e10:
            raise self.wrong(f"{keyword} cannot be {value} ms", keyword)
        return value

    def mode(self) -> str:
        name: str = require(self.header, "ESO DET READ CURNAME", str, file=self.file)
        for start, mode in _MODES.items():
            if name.startswith(start):
                return mode
        raise self.wrong(f"unknown read-out mode {name!r}", "ESO DET READ CURNAME")


def _frame_size(ask: _Asker) -> int:
    """Bytes of a frame in a file."""
    wanted: dict[str, Any] = {"BITPIX": 16, "NAXIS": 3, "NAXIS2": 1, "BSCALE": 1, "BZERO": 32768}
    header = {"BSCALE": 1} | ask.header  # the default of FITS, which some packers leave out
    for keyword, value in wanted.items():
        found = require(header, keyword, (int, float), file=ask.file)
        if found != value:
            raise ask.wrong(f"{keyword} is {found}, and {value} in every HiPERCAM run", keyword)
    if ask.whole("NAXIS3", least=0) > _MOST_FRAMES:
        raise ask.wrong(
            f"NAXIS3 cannot be {ask.header['NAXIS3']}: a day of frames of a millisecond has {_MOST_FRAMES}", "NAXIS3"
        )
    return 2 * ask.whole("NAXIS1", least=1)


def _check_scans(mode: str, xbin: int, ybin: int, prescan: bool, overscan: bool, ask: _Asker) -> None:
    if prescan and mode == "Drift":
        raise ask.wrong("drift mode has no prescan", "ESO DET INCPRSCX")
    if prescan and _PRESCAN % xbin:
        raise ask.wrong(f"binning {xbin} does not divide the {_PRESCAN} columns of prescan", "ESO DET BINX1")
    if overscan and _OVERSCAN % ybin:
        raise ask.wrong(f"binning {ybin} does not divide the {_OVERSCAN} rows of overscan", "ESO DET BINY1")


def _setups(mode: str, ask: _Asker) -> list[_Setup]:
    """Window sets as the header describes them."""
    if mode == "FullFrame":
        return [_Setup(1024, 512, None)]
    names = {"OneWindow": ["WIN1"], "TwoWindow": ["WIN1", "WIN2"], "Drift": ["DRWIN"]}[mode]
    setups = []
    for name in names:
        key = f"ESO DET {name}"
        ys = ask.whole(f"{key} YS", least=0)
        start = {q: (ask.whole(f"{key} XS{q}", least=0), ys) for q in "EFGH"}
        setup = _Setup(ask.whole(f"{key} NX", least=1), ask.whole(f"{key} NY", least=1), start)
        _check_inside(setup, key, ask)
        setups.append(setup)
    return setups


def _check_inside(setup: _Setup, key: str, ask: _Asker) -> None:
    """Refuse windows that reach beyond their quadrant: none was ever read so."""
    for quadrant, (xs, ys) in (setup.start or {}).items():
        if xs + setup.nx > NXTOT // 2:
            message = f"{setup.nx} columns from {xs} on reach beyond the {NXTOT // 2} of a quadrant"
            raise ask.wrong(message, f"{key} XS{quadrant}")
        if ys + setup.ny > NYTOT // 2:
            raise ask.wrong(f"{setup.ny} rows from {ys} on reach beyond the {NYTOT // 2} of a quadrant", f"{key} YS")


def _check_size(sets: list[WindowSet], nsamp: int, frame_bytes: int, keyword: str, ask: _Asker) -> None:
    """Refuse windows that do not fill a frame: their pixels would be scrambled without a word."""
    if min(min(s.nx, s.ny) for s in sets) < 1:
        raise ask.wrong("a window is smaller than one binned pixel", "ESO DET BINX1")
    if nsamp != 4 and any(s.nx * s.ny % 4 for s in sets):
        raise ask.wrong("pixels of a window cannot be counted in fours, as NSAMP other than 4 needs", "ESO DET NSAMP")
    pixels = 2 * sum(20 * s.nx * s.ny for s in sets)
    if not STAMP_BYTES <= frame_bytes - pixels <= _SLACK:
        message = f"a frame has {frame_bytes} bytes by {keyword}, but its windows {pixels} and its time stamp {STAMP_BYTES}"
        raise ask.wrong(message, keyword)


def _windows(
    ccd: str,
    quadrant: str,
    group: int,
    setup: _Setup,
    raw: WindowSet,
    turned: bool,
    binning: tuple[int, int],
    scans: tuple[int, int],
) -> list[RawWindow]:
    """Window of a quadrant, its prescan and its overscan."""
    (xbin, ybin), (columns, rows) = binning, scans
    unturned = _MIRROR[quadrant] if ccd in _MIRRORED else quadrant
    position = _TURN[unturned] if turned else unturned
    llx, lly, sx, sy, ax, ay = _CORNERS[position]
    if setup.start is not None:
        xs, ys = setup.start[position]
        llx += sx * xs + ax * (1024 - setup.nx)
        lly += sy * ys + ay * (512 - setup.ny)
    # scans are cut where they lie on a CCD that is not turned, as the HiPERCAM pipeline does: on a turned CCD with scans
    # (none was ever seen) data and scans would be exchanged, there as here
    left, below = unturned in "EH", unturned in "GH"
    x_data, y_data = (columns if left else 0), (rows if below else 0)
    x_scan, y_scan = (0 if left else raw.nx - columns), (0 if below else raw.ny - rows)
    nx, ny = raw.nx - columns, raw.ny - rows

    def cut(suffix: str, x: int, y: int, geometry: Geometry) -> RawWindow:
        return RawWindow(
            ccd=ccd,
            label=f"{quadrant}{group + 1}{suffix}",
            geometry=geometry,
            group=group,
            stream=4 * CCDS.index(ccd) + "EFGH".index(quadrant),
            x0=raw.nx - 1 - x if sx < 0 else x,
            xstep=sx,
            y0=raw.ny - 1 - y if sy < 0 else y,
            ystep=sy,
        )

    found = [cut("", x_data, y_data, Geometry(llx, lly, xbin, ybin, nx, ny))]
    if columns:
        x_lower = 1 - _PRESCAN if left else 1 + NXTOT
        y_lower = 1 - _OVERSCAN if rows and not below else lly
        found.append(cut("P", x_scan, 0, Geometry(x_lower, y_lower, xbin, ybin, columns, raw.ny)))
    if rows:
        y_lower = 1 + NYTOT if below else 1 - _OVERSCAN
        found.append(cut("O", x_data, y_scan, Geometry(llx, y_lower, xbin, ybin, nx, rows)))
    return found


def _timing(mode: str, ask: _Asker) -> Timing:
    clear, drift = ask.flag("ESO DET CLRCCD"), mode == "Drift"
    return Timing(
        expose=ask.milliseconds("ESO DET TDELAY"),
        read=ask.milliseconds("ESO DET TREAD"),
        transfer=0.0 if clear or drift else ask.milliseconds("ESO DET TFT"),
        clear=ask.milliseconds("ESO DET TCLEAR") if clear else 0.0,
        line_dump=ask.milliseconds("ESO DET DRIFT TLINEDUMP") if drift else 0.0,
        line_shift=ask.milliseconds("ESO DET DRIFT TLINESHIFT") if drift else 0.0,
        drift_windows=ask.whole("ESO DET DRIFT NWINS", default=0, least=0) if drift else 0,
    )
