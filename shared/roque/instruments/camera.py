"""Reading descriptions of cameras: TOML files that say all that roque must know of one.

A description of a camera whose files have their own reader (HiPERCAM) gives its site, scale and detectors; one of a camera that
writes plain FITS images also says how its headers are read.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from roque.errors import BadInput
from roque.instruments.description import Amplifier, CameraDescription, Detector, HeaderRules, Site
from roque.instruments.rules import GROUP, Rule, TimeRule

__all__ = ["PLACEHOLDERS", "SERVED", "SOURCES", "read_camera"]

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HUGE = 1e300  # beyond any number of a description
_LONGEST = 200  # characters of a message or an entry's name


SOURCES = ("hl", "ul", "hf", "fits")
"""Readers that come with roque."""

SERVED = ("hs", "us")
"""Readers of file servers, of which no file is described."""

PLACEHOLDERS = ("site", "pixel_scale", "gain", "read_noise", "nonlinear", "saturation")
"""What a description may hold as a figure of the usual order, and say so."""


def read_camera(text: bytes, file: str, sources: Collection[str] = SOURCES) -> CameraDescription:
    """Read a description.

    Parameters
    ----------
    text : bytes
        TOML.
    file : str
        Name for error messages.
    sources : collection of str
        Readers that there are.

    Raises
    ------
    BadInput
        It is not TOML, an entry is missing, unknown, or of a wrong type; the message names it.
    """
    try:
        top = _Table(tomllib.loads(text.decode("utf-8")), "", file)
    except (ValueError, RecursionError) as error:  # bytes that are no text, numbers of thousands of digits
        line = re.search(r"line \d+, column \d+", str(error))
        remedy = "correct it there; the descriptions that come with roque are examples"
        raise BadInput(f"not TOML: {error}", file=file, place=line[0] if line else "line 1", remedy=remedy) from None
    source = top.one_of("source", sources)
    site = top.table("site")
    place = Site(
        site.text("telescope"),
        site.number("longitude"),
        site.number("latitude"),
        site.number("height"),
        site.number("diameter") if "diameter" in site.entries else None,
    )
    site.done()
    detectors = [_detector(table) for table in top.tables("ccd")]
    camera = CameraDescription(
        name=top.text("name"),
        source=source,
        site=place,
        pixel_scale=top.number("pixel_scale"),
        seeing=top.number("seeing"),
        reference=top.text("reference", detectors[0].label if detectors else ""),
        detectors={detector.label: detector for detector in detectors},
        identify=top.patterns("identify"),
        header=_header_rules(top.table("header")) if source == "fits" else None,
        recipe=dict(_flat(top.take("recipe", (dict,), "a section", {}))),
        placeholders=_placeholders(top),
    )
    top.done()
    if not _NAME.fullmatch(camera.name) or not -180 <= place.longitude <= 180 or not -90 <= place.latitude <= 90:
        raise top.wrong("name", "a name of letters, digits, '.', '_', '-' and a site on Earth are needed")
    if camera.reference not in camera.detectors or len(detectors) != len(camera.detectors):
        raise top.wrong("ccd", "labels must differ, and one must be the reference")
    if place.diameter is not None and place.diameter <= 0.0:
        raise top.wrong("site.diameter", "the diameter of a mirror is positive")
    if min(camera.pixel_scale, camera.seeing) <= 0.0:
        raise top.wrong("pixel_scale", "pixel scale and seeing are positive")
    return camera


def _placeholders(table: _Table) -> tuple[str, ...]:
    names = table.take("placeholders", (list,), "a list", [])
    for name in names:
        if name not in PLACEHOLDERS:
            raise table.wrong("placeholders", f"a list of {', '.join(PLACEHOLDERS)} is needed, not {name!r}")
    return tuple(names)


def _flat(entries: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Full names and values of nested tables; what they mean is checked where they are used."""
    for key, value in entries.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


class _Table:
    """A TOML table whose entries are taken out one by one; what is left over was misspelt."""

    def __init__(self, entries: dict[str, Any], path: str, file: str) -> None:
        self.entries = dict(entries)
        self.path = path
        self.file = file

    def wrong(self, key: str, message: str) -> BadInput:
        message = message if len(message) <= _LONGEST else f"{message[:_LONGEST]}..."
        place = f"entry {self.path}{key[:_LONGEST]}"
        return BadInput(message, file=self.file, place=place, remedy="see the descriptions that come with roque")

    def take(self, key: str, kinds: tuple[type, ...], wanted: str, default: Any = None) -> Any:
        value = self.entries.pop(key, default)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise self.wrong(key, f"{wanted} is needed" + ("" if value is None else f", not {value!r}"))
        return value

    def text(self, key: str, default: str | None = None) -> str:
        value: str = self.take(key, (str,), "a text", default)
        return value

    def number(self, key: str, default: float | None = None) -> float:
        value = self.take(key, (int, float), "a number", default)
        if not abs(value) < _HUGE:  # not a number, or more than any is
            raise self.wrong(key, f"a number is needed, not {value}")
        return float(value)

    def whole(self, key: str, default: int | None = None) -> int:
        value: int = self.take(key, (int,), "a whole number", default)
        return value

    def one_of(self, key: str, choices: Collection[str], default: str | None = None) -> str:
        value = self.text(key, default)
        if value not in choices:
            raise self.wrong(key, f"one of {', '.join(choices)} is needed, not {value!r}")
        return value

    def table(self, key: str, default: dict[str, Any] | None = None) -> _Table:
        return _Table(self.take(key, (dict,), "a section", default), f"{self.path}{key}.", self.file)

    def tables(self, key: str, *, needed: bool = True) -> list[_Table]:
        entries = self.take(key, (list,), "at least one section", None if needed else [])
        if (needed and not entries) or not all(isinstance(entry, dict) for entry in entries):
            raise self.wrong(key, "at least one section is needed")
        return [_Table(entry, f"{self.path}{key}.", self.file) for entry in entries]

    def patterns(self, key: str) -> dict[str, str]:
        entries = self.take(key, (dict,), "a section", {})
        for name, pattern in entries.items():
            self.compiles(f"{key}.{name}", pattern)
        return dict(entries)

    def compiles(self, key: str, pattern: Any) -> None:
        try:
            re.compile(pattern)
        except (re.error, TypeError, OverflowError, RecursionError):
            raise self.wrong(key, f"{pattern!r} is no regular expression") from None

    def done(self) -> None:
        if self.entries:
            raise self.wrong(next(iter(self.entries)), "there is no such entry")


def _detector(table: _Table) -> Detector:
    detector = Detector(
        label=table.text("label"),
        nxtot=table.whole("nxtot", 0),
        nytot=table.whole("nytot", 0),
        nxpad=table.whole("nxpad", 0),
        nypad=table.whole("nypad", 0),
        gain=table.number("gain"),
        read_noise=table.number("read_noise"),
        nonlinear=table.number("nonlinear"),
        saturation=table.number("saturation"),
        amplifiers=tuple(_amplifier(part) for part in table.tables("amplifier", needed=False)),
    )
    table.done()
    return detector


def _amplifier(table: _Table) -> Amplifier:
    data = _rule(table.table("data"))
    overscan = _rule(table.table("overscan")) if "overscan" in table.entries else None
    table.done()
    return Amplifier(data, overscan)


def _header_rules(table: _Table) -> HeaderRules:
    time = table.table("time")
    time_rule = TimeRule(
        format=time.one_of("format", ("iso", "mjd", "jd", "unix"), "iso"),
        instant=time.one_of("instant", ("start", "middle", "end"), "start"),
        zone=time.number("zone", 0.0),
        offset=time.number("clock_offset", 0.0),
        value=_rule(time),
    )
    hdu = table.whole("hdu", -1)
    defaults = {"kind": "", "object": "", "filter": "", "speed": "", "mode": "", "xbin": 1, "ybin": 1, "llx": 1, "lly": 1}
    optional = {
        name: _rule(table.table(name, {"default": defaults[name]} if name in defaults else {}))
        for name in (*defaults, "nxtot", "nytot", "gain", "read_noise", "saturation", "ra", "dec")
    }
    rules = HeaderRules(hdu=hdu if hdu >= 0 else None, time=time_rule, exposure=_rule(table.table("exposure")), **optional)
    table.done()
    return rules


def _rule(table: _Table) -> Rule:
    keywords = table.take("keyword", (str, list), "a keyword, or a list of them,", [])
    keywords = [keywords] if isinstance(keywords, str) else keywords
    if not all(isinstance(keyword, str) for keyword in keywords):
        raise table.wrong("keyword", "a list of keywords is needed")
    pattern = table.text("pattern", ".*")
    table.compiles("pattern", pattern)
    rule = Rule(
        keywords=tuple(keywords),
        pattern=pattern,
        combine=table.one_of("combine", ("first", "only", "join", "product"), "first"),
        separator=table.text("separator", ""),
        map=_replacements(table),
        factor=table.number("factor", 1.0),
        power=table.number("power", 1.0),
        offset=table.number("offset", 0.0),
        default=table.entries.pop("default", None),
    )
    if not isinstance(rule.default, str | int | float | None):
        raise table.wrong("default", "a text or a number is needed")
    table.done()
    return rule


def _replacements(table: _Table) -> dict[str, str]:
    entries = table.take("map", (dict,), "a section", {})
    for pattern, replacement in entries.items():
        table.compiles("map", pattern)
        if not isinstance(replacement, str):
            raise table.wrong("map", f"a text is needed, not {replacement!r}")
        groups = re.compile(pattern).groups
        if any(int(number) > groups for number in GROUP.findall(replacement)):
            raise table.wrong("map", f"{replacement!r} asks for a group that {pattern!r} has not")
    return dict(entries)
