"""What ULTRACAM and ULTRASPEC have in common: what their .xml files say, and how a run was read out.

The two cameras share a controller and its data format. A run is a header (runNNN.xml) and frames (runNNN.dat); a frame begins
with its time stamp, followed by pixels of 16 bits, little-endian.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from roque.errors import BadInput
from roque.frames import Geometry
from roque.frames.frame import Header

__all__ = ["Part", "RawWindow", "ReadOutTime", "UltraHeader", "UltraReadOut", "Values", "check_frame", "check_inside"]

FORMAT_2 = (100222, 110921, 111205, 120716, 120813, 130303, 130307, 130317, 130417, 140331)
"""Versions of the software that write time stamps of the second format, all with 16 header words.

The HiPERCAM pipeline's two lists of them differ by a slip (130307 is in one, 110921 and 130303 are in the other): it refuses
these three, although each list lets them pass [defect]. They are taken for what they are.
"""
FORMAT_1 = (-1, 70514, 80127)
_STAMP_BYTES = {1: 23, 2: 26}
_LARGEST_FRAME = 1 << 26  # bytes; a full frame of ULTRACAM has 6.7 million


@dataclass(frozen=True, slots=True)
class UltraHeader:
    """What a .xml says, unchecked but for its form.

    Parameters
    ----------
    file : str
        Name for error messages.
    frame_bytes, header_words : str
        Attributes framesize and headerwords.
    instrument, application : str
        Name of the instrument, and of what the controller ran.
    parameters : dict of str to str
        Of the controller, by name.
    user : dict of str to str, or None
        What the observer entered; None where there is none, or none that can be understood.
    """

    file: str
    frame_bytes: str
    header_words: str
    instrument: str
    application: str
    parameters: dict[str, str]
    user: dict[str, str] | None


class Part(NamedTuple):
    """Columns of a window whose words lie regularly in a frame: pixel [j, i] is word ``start + j*row_step + i*column_step``."""

    start: int
    row_step: int
    column_step: int
    nx: int


@dataclass(frozen=True, slots=True)
class RawWindow:
    """A window of a CCD and where its pixels lie in a frame; `parts` stand side by side, from the left."""

    ccd: str
    label: str
    geometry: Geometry
    outamp: str
    parts: tuple[Part, ...]


class ReadOutTime(NamedTuple):
    """A stretch of rows that ULTRACAM reads: ``shift*V + rows*(row_shift*V + clocks + pixels)``, V per row shift."""

    shift: float
    rows: float
    row_shift: int
    clocks: float
    pixels: float


@dataclass(frozen=True, slots=True)
class UltraReadOut:
    """How a run was read out.

    Parameters
    ----------
    instrument : str
        ULTRACAM or ULTRASPEC.
    mode : str
        As in the header keyword MODE: '2-PAIR', 'DRIFT', 'USPEC-1' ... PONOFF has no data.
    clear : bool
        Whether the header calls the mode one that clears the CCDs.
    clears : bool
        Whether times are those of cleared CCDs: for ULTRASPEC by its switch EN_CLR, in any mode.
    ccds : tuple of str
        Labels.
    nxtot, nytot : int
        Size of a CCD, unbinned pixels.
    xbin, ybin : int
        Binning.
    version : int
        Of the software; -1 before it was told.
    stamp_format : int
        1 or 2.
    header_words, frame_bytes : int
        Words of the time stamp, and bytes of a frame, time stamp included.
    exposure_units : float
        Exposure asked for, in the unit of time.
    unit : float
        s.
    nblue : int
        Frames from one blue one to the next.
    early : bool
        Whether the run has neither version nor clock: May 2002.
    shift_clock : int
        Setting of the vertical clock (a byte).
    read_out : tuple of ReadOutTime
        What the read-out of a frame takes; empty for ULTRASPEC.
    drift_rows, drift_start : int
        Unbinned rows of a drift window, and the first of them.
    windows : tuple of RawWindow
        All windows, CCD after CCD.
    keywords : dict
        Header keywords that are the same in every frame.
    speed : str
        Read-out speed.
    """

    instrument: str
    mode: str
    clear: bool
    clears: bool
    ccds: tuple[str, ...]
    nxtot: int
    nytot: int
    xbin: int
    ybin: int
    version: int
    stamp_format: int
    header_words: int
    frame_bytes: int
    exposure_units: float
    unit: float
    nblue: int
    early: bool
    shift_clock: int
    read_out: tuple[ReadOutTime, ...]
    drift_rows: int
    drift_start: int
    windows: tuple[RawWindow, ...]
    keywords: Header = field(default_factory=dict)
    speed: str = ""

    @property
    def exposure(self) -> float:
        """Exposure asked for, s."""
        return self.exposure_units * self.unit

    @property
    def drift_windows(self) -> int:
        """Windows that lie on their way to the register in drift mode."""
        chip = 1033 if self.instrument == "ULTRACAM" else 1037
        return int((chip / self.drift_rows + 1.0) / 2.0)


class Values:
    """Numbers of a .xml, checked as they are asked for."""

    def __init__(self, header: UltraHeader) -> None:
        self.header = header
        self.parameters = header.parameters

    def wrong(self, message: str, place: str) -> BadInput:
        """Make the error for what is wrong with a .xml."""
        return BadInput(message, file=self.header.file, place=place, remedy="copy the .xml again from the camera")

    def text(self, *names: str) -> str:
        """Value of the first of some parameters that is there."""
        for name in names:
            if name in self.parameters:
                return self.parameters[name].strip()
        raise self.wrong(f"parameter {names[0]} is missing", f"parameter {names[0]}")

    def whole(self, *names: str, least: int = -(1 << 40), most: int = 1 << 40, default: int | None = None) -> int:
        """Whole number, by one of several names."""
        if default is not None and not any(name in self.parameters for name in names):
            return default
        return self.integer(self.text(*names), f"parameter {names[0]}", least, most)

    def integer(self, text: str, place: str, least: int, most: int) -> int:
        """Whole number that a text holds."""
        try:
            value = int(text) if len(text) <= 20 else None  # longer ones take their time
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise self.wrong(f"{place} cannot be {text[:40]!r}", place)
        return value

    def optional(self, name: str) -> int | None:
        """Whole number that may be left out."""
        return self.whole(name) if name in self.parameters else None

    def positive_time(self, name: str) -> float:
        """Duration, in the unit of the run."""
        text = self.text(name)
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0.0 <= value < 1e9:
            raise self.wrong(f"parameter {name} cannot be {text[:40]!r}", f"parameter {name}")
        return value

    def binning(self) -> tuple[int, int]:
        """Binning in x and y."""
        return self.whole("X_BIN_FAC", "X_BIN", least=1, most=512), self.whole("Y_BIN_FAC", "Y_BIN", least=1, most=512)

    def version(self) -> int:
        """Version of the software: as the user element says, else as a parameter does, else -1."""
        told = [self.whole(name) for name in ("REVISION", "VERSION") if name in self.parameters][:1]
        revision = (self.header.user or {}).get("revision")
        if revision is not None:
            told.insert(0, self.integer(revision, "element revision", -(1 << 40), 1 << 40))
        if len(set(told)) > 1:
            raise self.wrong(f"the user element says version {told[0]}, the parameters {told[1]}", "element revision")
        return told[0] if told else -1

    def user_keywords(self) -> Header:
        """Header keywords of what the observer entered."""
        user = self.header.user or {}
        return {keyword: user[name] for name, keyword in _USER.items() if name in user}


_USER = {
    "target": "TARGET",
    "filters": "FILTERS",
    "PI": "PI",
    "ID": "ID",
    "Observers": "OBSERVRS",
    "flags": "DTYPE",
    "SlidePos": "SLIDEPOS",
    "RA": "RA",
    "Dec": "DEC",
    "Tracking": "TRACKING",
    "TTflag": "TTFLAG",
    "Focus": "FOCUS",
    "PA": "PA",
    "Eng_PA": "ENGPA",
    "ccd_temp": "CCDTEMP",
    "finger_temp": "FINGTEMP",
    "finger_pcent": "FINGPCNT",
}


def stamp_format(version: int, instrument: str, header_words: int, values: Values) -> int:
    """Tell the format of the time stamps."""
    if version in FORMAT_2 or (version == -1 and instrument == "ULTRASPEC"):
        found = 2
    elif version in FORMAT_1:
        found = 1
    else:
        raise values.wrong(f"version {version} of the camera's software is not known", "parameter REVISION")
    if header_words == 16 and version not in FORMAT_2:
        raise values.wrong(
            f"version {version} of the camera's software does not write 16 header words", "attribute headerwords"
        )
    if 2 * header_words < _STAMP_BYTES[found]:
        raise values.wrong(
            f"{header_words} header words cannot hold a time stamp of {_STAMP_BYTES[found]} bytes", "attribute headerwords"
        )
    return found


def sizes(values: Values) -> tuple[int, int]:
    """Header words, and bytes of a frame."""
    header = values.header
    words = values.integer(header.header_words.strip(), "attribute headerwords", 0, 1 << 16)
    return words, values.integer(header.frame_bytes.strip(), "attribute framesize", 0, _LARGEST_FRAME)


def check_frame(frame_bytes: int, header_words: int, pixels: int, values: Values) -> None:
    """Refuse windows that do not fill a frame: their pixels would be scrambled without a word."""
    if frame_bytes != 2 * header_words + 2 * pixels:
        raise values.wrong(
            f"windows of {2 * pixels} bytes and a header of {2 * header_words} in a frame of {frame_bytes}",
            "attribute framesize",
        )


def check_inside(window: RawWindow, nxtot: int, nytot: int, values: Values) -> None:
    """Refuse windows that are empty or reach beyond the chip."""
    g = window.geometry
    if min(g.nx, g.ny) < 1:
        raise values.wrong(f"window {window.label} is smaller than one binned pixel", f"window {window.label}")
    if min(g.llx, g.lly) < 1 or g.llx - 1 + g.nx * g.xbin > nxtot or g.lly - 1 + g.ny * g.ybin > nytot:
        raise values.wrong(
            f"window {window.label} reaches beyond the CCD of {nxtot} x {nytot} pixels", f"window {window.label}"
        )
