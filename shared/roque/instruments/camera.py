"""Descriptions of cameras: TOML files that say all that roque must know of one.

A description of a camera whose files have their own reader (HiPERCAM) gives its site, scale and detectors; one of a camera that
writes plain FITS images also says how its headers are read.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from roque.errors import BadInput, NotFound
from roque.frames.frame import Header
from roque.instruments.rules import Rule, TimeRule

__all__ = ["CameraDescription", "Detector", "HeaderRules", "Site", "cameras", "identify", "load_camera", "read_camera"]

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Site:
    """Where a telescope stands: longitude in degrees east, latitude in degrees, height in metres."""

    telescope: str
    longitude: float
    latitude: float
    height: float


@dataclass(frozen=True, slots=True)
class Detector:
    """A CCD of a camera.

    Parameters
    ----------
    label : str
        As in apertures and logs.
    nxtot, nytot : int
        Size, unbinned pixels; 0: as large as the image.
    nxpad, nypad : int
        Padding beyond it (prescan, overscan), unbinned pixels.
    gain : float
        Electrons per ADU.
    read_noise : float
        ADU, rms.
    nonlinear, saturation : float
        Counts, ADU, from which pixels are non-linear and saturated.
    """

    label: str
    nxtot: int
    nytot: int
    nxpad: int
    nypad: int
    gain: float
    read_noise: float
    nonlinear: float
    saturation: float


@dataclass(frozen=True, slots=True)
class HeaderRules:
    """How headers of plain FITS images are read; rules see the primary header overlaid with that of the image.

    Parameters
    ----------
    hdu : int or None
        HDU of the image; None: the first image in the file.
    time : TimeRule
        Time of the exposure.
    exposure : Rule
        s.
    object, kind, filter, speed, mode : Rule
        Texts. Kinds are bias, dark, flat, science and other; where the rule finds none, the object's name decides.
    xbin, ybin : Rule
        Binning.
    nxtot, nytot : Rule
        Size of the chip, unbinned pixels, where the description gives none.
    llx, lly : Rule
        Lower-left unbinned pixel of the image, from 1.
    gain, read_noise, saturation : Rule
        Values that change from frame to frame; where a rule finds none, those of the detector hold.
    ra, dec : Rule
        Pointing, degrees.
    """

    hdu: int | None
    time: TimeRule
    exposure: Rule
    object: Rule
    kind: Rule
    filter: Rule
    speed: Rule
    mode: Rule
    xbin: Rule
    ybin: Rule
    nxtot: Rule
    nytot: Rule
    llx: Rule
    lly: Rule
    gain: Rule
    read_noise: Rule
    saturation: Rule
    ra: Rule
    dec: Rule


@dataclass(frozen=True, slots=True)
class CameraDescription:
    """A camera.

    Parameters
    ----------
    name : str
        Its name, also in the record and on the command line.
    source : str
        What reads its files: 'hl' (HiPERCAM), 'ul' (ULTRACAM, ULTRASPEC), 'hf' (hcm files) or 'fits' (plain FITS images, by
        `header`).
    site : Site
        Where it stands.
    pixel_scale : float
        arcsec per unbinned pixel.
    seeing : float
        First guess of the FWHM of stars, arcsec.
    reference : str
        CCD that positions of the others are compared with.
    detectors : dict of str to Detector
        By label.
    identify : dict of str to str
        Keyword to a pattern that its whole value matches, upper and lower case alike. Empty: never told from a header.
    header : HeaderRules or None
        For plain FITS images.
    recipe : dict of str to value
        Reduction parameters that differ from the usual ones, by their full names: 'apertures.fit_alpha'.
    """

    name: str
    source: str
    site: Site
    pixel_scale: float
    seeing: float
    reference: str
    detectors: dict[str, Detector]
    identify: dict[str, str]
    header: HeaderRules | None
    recipe: dict[str, Any]

    def detector(self, label: str) -> Detector:
        """Give the CCD of a label; one that is not described is taken to be like the reference."""
        return self.detectors.get(label, self.detectors[self.reference])

    def matches(self, header: Header) -> bool:
        """Whether a header is one of this camera's."""
        return bool(self.identify) and all(
            keyword in header and re.fullmatch(pattern, str(header[keyword]), re.IGNORECASE)
            for keyword, pattern in self.identify.items()
        )


def load_camera(name: str) -> CameraDescription:
    """Description of a camera that comes with roque.

    Raises
    ------
    NotFound
        There is none of that name.
    """
    try:
        return _shipped()[name]
    except KeyError:
        raise NotFound(f"no camera {name!r}", remedy=f"known are {', '.join(sorted(_shipped()))}") from None


def cameras(extra_folder: Path | None = None) -> dict[str, CameraDescription]:
    """Read the descriptions that come with roque and, over them, those of a folder (`*.toml`).

    Raises
    ------
    BadInput
        A description cannot be understood.
    """
    found = dict(_shipped())
    for path in sorted(extra_folder.glob("*.toml")) if extra_folder else ():
        camera = read_camera(path.read_bytes(), str(path))
        found[camera.name] = camera
    return found


def identify(header: Header, cameras: Mapping[str, CameraDescription], *, file: str | None = None) -> CameraDescription:
    """Tell which camera wrote a header; of several the one with the most conditions.

    Raises
    ------
    BadInput
        None did, or several did that ask for equally much.
    """
    matching = sorted((c for c in cameras.values() if c.matches(header)), key=lambda c: -len(c.identify))
    if not matching:
        seen = ", ".join(f"{k} = {header[k]!r}" for k in ("INSTRUME", "TELESCOP", "ORIGIN", "DETECTOR") if k in header)
        raise BadInput(
            f"no camera is known that writes such a header ({seen or 'it names neither instrument nor telescope'})",
            file=file,
            place="keyword INSTRUME",
            remedy="correct the header if the camera is known; else put a description of it (TOML) into the folder of cameras",
        )
    if len(matching) > 1 and len(matching[0].identify) == len(matching[1].identify):
        raise BadInput(
            f"cameras {matching[0].name} and {matching[1].name} both claim this header",
            file=file,
            remedy="add conditions to the section 'identify' of their descriptions",
        )
    return matching[0]


def read_camera(text: bytes, file: str) -> CameraDescription:
    """Read a description.

    Parameters
    ----------
    text : bytes
        TOML.
    file : str
        Name for error messages.

    Raises
    ------
    BadInput
        It is not TOML, an entry is missing, unknown, or of a wrong type; the message names it.
    """
    try:
        top = _Table(tomllib.loads(text.decode("utf-8")), "", file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"not TOML: {error}", file=file) from None
    source = top.one_of("source", ("hl", "ul", "hf", "fits"))
    site = top.table("site")
    place = Site(site.text("telescope"), site.number("longitude"), site.number("latitude"), site.number("height"))
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
    )
    top.done()
    if not _NAME.fullmatch(camera.name) or not -180 <= place.longitude <= 180 or not -90 <= place.latitude <= 90:
        raise top.wrong("name", "a name of letters, digits, '.', '_', '-' and a site on Earth are needed")
    if camera.reference not in camera.detectors or len(detectors) != len(camera.detectors):
        raise top.wrong("ccd", "labels must differ, and one must be the reference")
    if min(camera.pixel_scale, camera.seeing) <= 0.0:
        raise top.wrong("pixel_scale", "pixel scale and seeing are positive")
    return camera


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
        return BadInput(
            message, file=self.file, place=f"entry {self.path}{key}", remedy="see the descriptions that come with roque"
        )

    def take(self, key: str, kinds: tuple[type, ...], wanted: str, default: Any = None) -> Any:
        value = self.entries.pop(key, default)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise self.wrong(key, f"{wanted} is needed" + ("" if value is None else f", not {value!r}"))
        return value

    def text(self, key: str, default: str | None = None) -> str:
        value: str = self.take(key, (str,), "a text", default)
        return value

    def number(self, key: str, default: float | None = None) -> float:
        return float(self.take(key, (int, float), "a number", default))

    def whole(self, key: str, default: int | None = None) -> int:
        value: int = self.take(key, (int,), "a whole number", default)
        return value

    def one_of(self, key: str, choices: tuple[str, ...], default: str | None = None) -> str:
        value = self.text(key, default)
        if value not in choices:
            raise self.wrong(key, f"one of {', '.join(choices)} is needed, not {value!r}")
        return value

    def table(self, key: str, default: dict[str, Any] | None = None) -> _Table:
        return _Table(self.take(key, (dict,), "a section", default), f"{self.path}{key}.", self.file)

    def tables(self, key: str) -> list[_Table]:
        entries = self.take(key, (list,), "at least one section", None)
        if not entries or not all(isinstance(entry, dict) for entry in entries):
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
        except (re.error, TypeError):
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
    )
    table.done()
    return detector


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
        combine=table.one_of("combine", ("first", "join", "product"), "first"),
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
    return dict(entries)


@cache
def _shipped() -> dict[str, CameraDescription]:
    folder = resources.files("roque.instruments") / "cameras"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    described = [read_camera(f.read_bytes(), f.name) for f in files]
    return {camera.name: camera for camera in described}
