"""What a description makes of a header, condition by condition and rule by rule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from roque.frames.frame import Header
from roque.instruments.description import CameraDescription
from roque.instruments.rules import Rule

__all__ = ["Condition", "Reading", "Trial", "readings", "trials"]

_TEXTS = ("kind", "object", "filter", "speed", "mode")
_NEEDED = ("time", "exposure", "object", "filter", "xbin", "ybin", "llx", "lly")
_CUSTOMARY = {
    "time": ("DATE-OBS", "DATE-BEG", "MJD-OBS", "MJD", "JD", "UT-OBS", "UTC"),
    "exposure": ("EXPTIME", "EXPOSURE", "EXP_TIME", "TEXP", "ITIME", "ELAPSED"),
    "kind": ("IMAGETYP", "OBSTYPE", "EXPTYPE", "OBJTYPE", "FRAME"),
    "object": ("OBJECT", "OBJNAME", "TARGNAME", "TARGET"),
    "filter": ("FILTER", "FILTER1", "FILTERS", "FILTNAM"),
    "xbin": ("XBINNING", "CCDXBIN", "BINX", "CCDSUM"),
    "ybin": ("YBINNING", "CCDYBIN", "BINY", "CCDSUM"),
    "gain": ("GAIN", "EGAIN"),
    "read_noise": ("RDNOISE", "READNOIS", "RONOISE", "RON"),
    "saturation": ("SATURATE", "MAXLIN", "SATLEVEL"),
    "ra": ("RADEG", "RA", "CRVAL1"),
    "dec": ("DECDEG", "DEC", "CRVAL2"),
}
"""Where other cameras have it: proposed where a description names nothing and the header has such a keyword."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A line of the section [identify], and what a header has there (None: nothing)."""

    keyword: str
    pattern: str
    value: Any
    met: bool

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.keyword} is missing"
        return f"{self.keyword} = {str(self.value)!r} {'is' if self.met else 'is not'} {self.pattern!r}"


@dataclass(frozen=True, slots=True)
class Trial:
    """A camera, and what became of each of its conditions; without any it cannot be told from a header."""

    camera: str
    conditions: tuple[Condition, ...]

    @property
    def matches(self) -> bool:
        """Whether the header is one of this camera's."""
        return bool(self.conditions) and all(condition.met for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of a rule.

    Parameters
    ----------
    name : str
        Of the rule: 'exposure' for the section [header.exposure].
    seen : dict of str to value
        Its keywords, with what the header has there (None: nothing).
    value : str, float or None
        What it gives; None: nothing.
    origin : str
        'header'; 'rule' (its default); 'description' (the constant of the detector); 'image' (its size); 'name' (of the
        object); 'nothing'.
    missing : bool
        Whether the file cannot be used without it.
    note : str
        What to know, or what to write into the description.
    """

    name: str
    seen: dict[str, Any]
    value: str | float | None
    origin: str
    missing: bool
    note: str


def trials(header: Header, cameras: Mapping[str, CameraDescription]) -> list[Trial]:
    """Try every camera on a header: those first that it is of, then those that miss least."""
    found = [
        Trial(
            name,
            tuple(
                Condition(k, p, header.get(k), k in header and bool(re.fullmatch(p, str(header[k]), re.IGNORECASE)))
                for k, p in camera.identify.items()
            ),
        )
        for name, camera in cameras.items()
    ]
    return sorted(found, key=lambda t: (not t.matches, -sum(c.met for c in t.conditions), _unmet(t), t.camera))


def readings(header: Header, camera: CameraDescription) -> list[Reading]:
    """Apply every rule of a description to a header.

    Parameters
    ----------
    header : dict
        Primary header overlaid with that of the image.
    camera : CameraDescription
        With header rules, or there are no readings.
    """
    if camera.header is None:
        return []
    rules = {
        name: getattr(camera.header, name) for name in type(camera.header).__dataclass_fields__ if name not in {"hdu", "time"}
    }
    return [_reading(name, rule, header, camera) for name, rule in {"time": camera.header.time.value, **rules}.items()]


def _unmet(trial: Trial) -> int:
    return sum(not c.met for c in trial.conditions) if trial.conditions else 1000


def _reading(name: str, rule: Rule, header: Header, camera: CameraDescription) -> Reading:
    seen = {keyword: header.get(keyword) for keyword in rule.keywords}
    as_text = name in _TEXTS or (name == "time" and camera.header is not None and camera.header.time.format == "iso")
    value = rule.text(header) if as_text else rule.number(header)
    bare = replace(rule, default=None)
    if (bare.text(header) if as_text else bare.number(header)) is not None:
        return Reading(name, seen, value, "header", missing=False, note="")
    note = _proposal(name, rule, header)
    if any(v is not None for v in seen.values()):
        absent = [keyword for keyword, v in seen.items() if v is None]
        note = (
            f"{', '.join(absent)} is needed too"
            if absent and rule.combine in {"join", "product"}
            else "what is there does not fit the rule"
        )
    constant, origin = _constant(name, camera)
    if value is not None:
        return Reading(name, seen, value, "rule", missing=False, note=note)
    if constant is not None:
        return Reading(name, seen, constant, origin, missing=False, note=_assumed(name, camera) or note)
    return Reading(name, seen, None, origin, missing=name in _NEEDED, note=note)


def _constant(name: str, camera: CameraDescription) -> tuple[float | None, str]:
    """Value of a description where no header gives one, and where it comes from."""
    detector = camera.detectors[camera.reference]
    if name in {"gain", "read_noise", "saturation"}:
        return float(getattr(detector, name)), "description"
    if name in {"nxtot", "nytot"}:
        size = getattr(detector, name)
        return (float(size), "description") if size else (None, "image")
    return None, "name" if name == "kind" else "nothing"


def _assumed(name: str, camera: CameraDescription) -> str:
    return "a placeholder of the usual order, not measured: state your own" if name in camera.placeholders else ""


def _proposal(name: str, rule: Rule, header: Header) -> str:
    """What to write for a rule that found nothing."""
    there = [k for k in _CUSTOMARY.get(name, ()) if header.get(k) is not None and k not in rule.keywords]
    if there:
        return f'the header has {there[0]} = {header[there[0]]!r}: [header.{name}] keyword = "{there[0]}" would use it'
    if name in _NEEDED and rule.default is None:
        return f'write [header.{name}] with the keyword that has it: keyword = "..."'
    return ""
