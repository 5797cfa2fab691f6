"""Numbers of ULTRACAM's and ULTRASPEC's .xml files, and what must hold between them."""

from __future__ import annotations

from roque.errors import BadInput
from roque.frames.frame import Header
from roque.instruments.ultra import RawWindow, UltraHeader

__all__ = ["Values", "check_frame", "check_inside", "sizes", "stamp_format"]

FORMAT_2 = (100222, 110921, 111205, 120716, 120813, 130303, 130307, 130317, 130417, 140331)
"""Versions of the software that write time stamps of the second format, all with 16 header words.

The HiPERCAM pipeline's two lists of them differ by a slip (130307 is in one, 110921 and 130303 are in the other): it refuses
these three, although each list lets them pass [defect]. They are taken for what they are.
"""
FORMAT_1 = (-1, 70514, 80127)
_STAMP_BYTES = {1: 23, 2: 26}
_LARGEST_FRAME = 1 << 26  # bytes; a full frame of ULTRACAM has 6.7 million


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
            # longer ones take their time; underscores are Python's, and no camera's
            value = int(text) if len(text) <= 20 and "_" not in text else None
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
