"""Rules that get values out of headers: data, not code, so that a camera can be added without a programmer."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from roque.errors import BadInput
from roque.frames.frame import Header

__all__ = ["GROUP", "Rule", "TimeRule", "parse_iso"]

GROUP = re.compile(r"\\(\d)")
"""What stands in a replacement for a group of its pattern."""

_NEED_ALL = {"join", "product"}
_ISO = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)(?:[T ]+(\d\d?):(\d\d?)(?::(\d\d?(?:\.\d*)?))?)?\s*(?:(Z|UTC?)|([+-])(\d\d):?(\d\d))?$"
)
_SEXAGESIMAL = re.compile(r"([+-]?)\s*(\d+)[\s:hd]+(\d+)(?:[\s:m']+(\d+(?:\.\d*)?))?[\s\"s]*$")
_EPOCHS = {"mjd": 0.0, "jd": -2400000.5}
_UNIX_EPOCH = 40587


@dataclass(frozen=True, slots=True)
class Rule:
    r"""How to get a value from a header.

    The keywords that are there, and whose value matches the pattern, are combined; the result goes through the map, or,
    where a number is wanted, becomes ``factor * number**power + offset``.

    Parameters
    ----------
    keywords : tuple of str
        Names without HIERARCH.
    pattern : str
        Regular expression that the whole value must match, upper and lower case alike; its first group, if it has one, is
        taken. A keyword that does not match counts as missing.
    combine : str
        'first': the first that is there and matches; 'only': the one that matches, where several have no value; 'join': those
        that match, joined by `separator`; 'product': the product of numbers. For the last two, all keywords must be there: a
        date without its time of day would be another time.
    separator : str
        For 'join'.
    map : dict of str to str
        Pattern to replacement, in which \1 is the pattern's first group; the first that matches the whole value wins. A value
        that matches none counts as missing.
    factor, power, offset : float
        For numbers.
    default : str, float, int, bool or None
        Value where nothing is found. None: that is an error where the value is needed.
    """

    keywords: tuple[str, ...] = ()
    pattern: str = ".*"
    combine: str = "first"
    separator: str = ""
    map: dict[str, str] = field(default_factory=dict)
    factor: float = 1.0
    power: float = 1.0
    offset: float = 0.0
    default: str | float | bool | None = None

    def text(self, header: Header) -> str | None:
        """Value as text; None if there is none."""
        found = self._found(header)
        if not found:
            return None if self.default is None else str(self.default)
        if self._is_ambiguous(found):
            return None
        value = found[0]
        if not self.map:
            return value
        for pattern, replacement in self.map.items():
            if match := re.fullmatch(pattern, value, re.IGNORECASE):
                return GROUP.sub(lambda group, match=match: match[int(group[1])] or "", replacement)  # type: ignore[misc]
        return None if self.default is None else str(self.default)

    def number(self, header: Header) -> float | None:
        """Value as a number; None if there is none or it is no number."""
        found = self._found(header)
        if self._is_ambiguous(found):
            return None
        numbers = [_number(value) for value in found]
        if not numbers or None in numbers or (self.combine == "product" and len(numbers) < len(self.keywords)):
            return None if self.default is None else _number(str(self.default))
        value = math.prod(n for n in numbers if n is not None) if self.combine == "product" else numbers[0]
        try:
            result = self.factor * float(value or 0.0) ** self.power + self.offset
        except (OverflowError, ZeroDivisionError):
            return None
        return result if isinstance(result, float) and math.isfinite(result) else None

    def needed_text(self, header: Header, file: str) -> str:
        """Value as text; its lack is an error that names the keywords."""
        value = self.text(header)
        if value is None:
            raise self.missing(header, file, "a text")
        return value

    def needed_number(self, header: Header, file: str) -> float:
        """Value as a number; its lack is an error that names the keywords."""
        value = self.number(header)
        if value is None:
            raise self.missing(header, file, "a number")
        return value

    def missing(self, header: Header, file: str, wanted: str) -> BadInput:
        """Make the error for a value that is not there."""
        absent = [keyword for keyword in self.keywords if header.get(keyword) is None] if self.combine in _NEED_ALL else []
        names = " or ".join(absent or self.keywords)
        found = ", ".join(f"{k} = {header[k]!r}" for k in self.keywords if k in header)
        message = f"{found} does not give {wanted}" if found else f"keyword {names} is missing"
        if absent:
            message = f"keyword {' and '.join(absent)} is missing"
        if not self.keywords:
            return BadInput(
                f"no keyword is described that gives {wanted}", file=file, remedy="add the rule to the camera's description"
            )
        return BadInput(
            message, file=file, place=f"keyword {names}", remedy="correct the header, or the rule in the camera's description"
        )

    def _found(self, header: Header) -> list[str]:
        """Parts of values that are wanted."""
        if self.combine in _NEED_ALL and any(header.get(keyword) is None for keyword in self.keywords):
            return []
        found = [value for value in map(self._matching, map(header.get, self.keywords)) if value is not None]
        return [self.separator.join(found)] if self.combine == "join" and found else found

    def _is_ambiguous(self, found: list[str]) -> bool:
        return self.combine == "only" and len(found) > 1

    def _matching(self, value: Any) -> str | None:
        """Part of a value that is wanted."""
        if value is None or isinstance(value, list):
            return None
        match = re.fullmatch(self.pattern, str(value).strip(), re.IGNORECASE)
        if match is None:
            return None
        return match[1] if match.re.groups else match[0]


@dataclass(frozen=True, slots=True)
class TimeRule:
    """How to get the middle of an exposure from a header.

    Parameters
    ----------
    value : Rule
        Gives the text or the number.
    format : str
        'iso' (date and time, with or without an offset from UTC), 'mjd', 'jd' or 'unix' (seconds since 1970).
    instant : str
        What it is the time of: 'start', 'middle' or 'end' of the exposure.
    zone : float
        Hours that the clock is ahead of UTC (west: negative), where the text does not say so itself.
    offset : float
        s, to be added to the header's time.
    """

    value: Rule
    format: str = "iso"
    instant: str = "start"
    zone: float = 0.0
    offset: float = 0.0

    def middle(self, header: Header, exposure: float, file: str) -> tuple[int, float]:
        """Mid-exposure MJD(UTC), integer part and fraction.

        Raises
        ------
        BadInput
            There is no time, or it cannot be read.
        """
        day, seconds = self._utc(header, file)
        shift = {"start": 0.5, "middle": 0.0, "end": -0.5}[self.instant] * exposure
        days, seconds = divmod(seconds + self.offset + shift, 86400.0)
        return day + int(days), seconds / 86400.0

    def _utc(self, header: Header, file: str) -> tuple[int, float]:
        if self.format == "iso":
            text = self.value.needed_text(header, file)
            found = parse_iso(text, self.zone)
            if found is None or ":" not in text:  # all frames of a night would have the same time
                raise self.value.missing(header, file, "a date and time of day")
            return found
        number = self.value.needed_number(header, file)
        if self.format == "unix":
            days, seconds = divmod(number, 86400.0)
            day = _UNIX_EPOCH + days
        else:
            mjd = number + _EPOCHS[self.format]
            day = math.floor(mjd)
            seconds = (mjd - day) * 86400.0
        if not -678575 < day < 2973119:  # years 1 to 9998
            raise self.value.missing(header, file, "a date")
        return int(day), seconds - 3600.0 * self.zone


def parse_iso(text: str, zone: float = 0.0) -> tuple[int, float] | None:
    """Read an ISO date and time, with or without an offset from UTC.

    Parameters
    ----------
    text : str
        For example '2017-12-19T18:33:43.317-0700'.
    zone : float
        Hours that the clock is ahead of UTC, where the text does not say so.

    Returns
    -------
    tuple of int and float, or None
        MJD(UTC) of the day and seconds into it (they may lie outside 0 to 86400); None if it is no date.
    """
    match = _ISO.match(text.strip())
    if match is None:
        return None
    year, month, day_of_month = int(match[1]), int(match[2]), int(match[3])
    hour, minute, second = int(match[4] or 0), int(match[5] or 0), float(match[6] or 0.0)
    day = _mjd(year, month, day_of_month)
    if day is None or hour > 23 or minute > 59 or second >= 61.0:
        return None
    if match[7]:
        zone = 0.0
    elif match[8]:
        zone = (int(match[9]) + int(match[10]) / 60.0) * (-1.0 if match[8] == "-" else 1.0)
    return day, 3600.0 * hour + 60.0 * minute + second - 3600.0 * zone


def _mjd(year: int, month: int, day: int) -> int | None:
    try:
        return date(year, month, day).toordinal() - 678576
    except ValueError:
        return None


def _number(text: str) -> float | None:
    """Read a number, or a sexagesimal one."""
    try:
        value = float(text)
    except ValueError:
        match = _SEXAGESIMAL.match(text)
        if match is None:
            return None
        value = int(match[2]) + int(match[3]) / 60.0 + float(match[4] or 0.0) / 3600.0
        return -value if match[1] == "-" else value
    return value if math.isfinite(value) else None
