"""Apertures: where fluxes are measured, and the files that they are exchanged in (`.ape`)."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roque.errors import BadInput
from roque.frames.files import write_whole
from roque.frames.handle import read_text

__all__ = ["Aperture", "Apertures", "dumps", "loads", "read_apertures", "write_apertures"]

_LABEL = re.compile(r"[0-9a-zA-Z]+")
_MOST_BYTES = 4 << 20  # of a file: some ten thousand apertures
_LONGEST = 80  # characters of a value that messages repeat
_REMEDY = "place the apertures again, or mend the file"


@dataclass(frozen=True, slots=True)
class Aperture:
    """A target circle with its sky annulus; positions and radii in unbinned pixels.

    Parameters
    ----------
    x, y : float
        Centre.
    rtarg, rsky1, rsky2 : float
        Radius of the target, inner and outer radius of the sky.
    ref : bool
        Reference: the others' shifts are predicted from it.
    compo : bool
        Injected comparison star: moves the opposite way.
    mask : tuple of (dx, dy, r)
        Circles left out of the sky, relative to the centre.
    extra : tuple of (dx, dy)
        Further target circles of radius `rtarg`, relative to the centre.
    link : str
        Label of the aperture that this one follows, '' for none.
    """

    x: float
    y: float
    rtarg: float
    rsky1: float
    rsky2: float
    ref: bool = False
    compo: bool = False
    mask: tuple[tuple[float, float, float], ...] = ()
    extra: tuple[tuple[float, float], ...] = ()
    link: str = ""


Apertures = dict[str, dict[str, Aperture]]
"""Apertures by CCD and by their own label, in the order of the file."""


def read_apertures(path: str | os.PathLike[str]) -> Apertures:
    """Read an aperture file.

    Raises
    ------
    NotFound
        There is no such file.
    BadInput
        It is not an aperture file, or its apertures contradict each other.
    """
    return loads(read_text(path, "an aperture file", _REMEDY, _MOST_BYTES), file=os.fspath(path))


def write_apertures(path: str | os.PathLike[str], apertures: Mapping[str, Mapping[str, Aperture]]) -> None:
    """Write an aperture file, whole or not at all."""
    with write_whole(Path(path)) as temporary:
        temporary.write_text(dumps(apertures) + "\n", encoding="utf-8")


def dumps(apertures: Mapping[str, Mapping[str, Aperture]]) -> str:
    """Text of an aperture file, without a final newline."""
    ccds = [
        [ccd, ["hipercam.CcdAper", *([label, _to_json(aperture)] for label, aperture in members.items())]]
        for ccd, members in apertures.items()
    ]
    return json.dumps(["hipercam.MccdAper", *ccds], indent=2)


def loads(text: str, *, file: str | None = None) -> Apertures:
    """Apertures from the text of an aperture file.

    Raises
    ------
    BadInput
        Not JSON, not apertures, a value missing or of the wrong kind, a label that would break logs, a link to an aperture
        that does not exist or is itself linked.
    """
    try:
        top = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise BadInput(f"not an aperture file: {error.msg.lower()}", file=file, place=where, remedy=_REMEDY) from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, lists inside lists without end
        raise BadInput(f"not an aperture file: {error}", file=file, place="line 1", remedy=_REMEDY) from error
    apertures: Apertures = {}
    for ccd, members in _pairs(top, "the file", file):
        place = f"CCD {ccd}"
        if ccd in apertures:
            raise BadInput("the CCD appears twice", file=file, place=place, remedy=_REMEDY)
        apertures[ccd] = {}
        for label, values in _pairs(members, place, file):
            where = f"{place}, aperture {label}"
            if label in apertures[ccd]:
                raise BadInput("the aperture appears twice", file=file, place=where, remedy=_REMEDY)
            if not _LABEL.fullmatch(label) or label == "0":
                raise BadInput(
                    "labels of apertures are made of letters and digits, and not 0", file=file, place=where, remedy="rename it"
                )
            apertures[ccd][label] = _from_json(values, where, file)
        _check_links(apertures[ccd], place, file)
    return apertures


def _to_json(a: Aperture) -> dict[str, Any]:
    return {
        "Comment": "hipercam.Aperture",
        "x": a.x,
        "y": a.y,
        "rtarg": a.rtarg,
        "rsky1": a.rsky1,
        "rsky2": a.rsky2,
        "ref": a.ref,
        "compo": a.compo,
        "mask": [list(circle) for circle in a.mask],
        "extra": [list(offset) for offset in a.extra],
        "link": a.link,
    }


def _from_json(values: Any, place: str, file: str | None) -> Aperture:
    if not isinstance(values, dict) or not {"rtarg", "rsky1", "rsky2", "link"} <= values.keys():
        raise BadInput("not an aperture: it lacks radii or link", file=file, place=place, remedy=_REMEDY)
    numbers = {key: _number(values.get(key), f"{place}, {key}", file) for key in ("x", "y", "rtarg", "rsky1", "rsky2")}
    link = values["link"]
    if not isinstance(link, str):
        raise BadInput(f"a label was expected, found {_shown(link)}", file=file, place=f"{place}, link", remedy=_REMEDY)
    return Aperture(
        **numbers,
        ref=_flag(values.get("ref"), f"{place}, ref", file),
        compo=_flag(values.get("compo", False), f"{place}, compo", file),  # absent from files before 2022
        mask=tuple((c[0], c[1], c[2]) for c in _circles(values.get("mask"), 3, f"{place}, mask", file)),
        extra=tuple((c[0], c[1]) for c in _circles(values.get("extra"), 2, f"{place}, extra", file)),
        link=link,
    )


def _pairs(items: Any, place: str, file: str | None) -> list[tuple[str, Any]]:
    """Label and content of the members of a list whose first element is a tag."""
    if not isinstance(items, list) or not items or not isinstance(items[0], str):
        raise BadInput(
            "not an aperture file: a list that starts with a name was expected", file=file, place=place, remedy=_REMEDY
        )
    for item in items[1:]:
        if not isinstance(item, list) or len(item) != 2 or not isinstance(item[0], (str, int)):
            raise BadInput(
                "not an aperture file: pairs of label and content were expected", file=file, place=place, remedy=_REMEDY
            )
    return [(str(label), content) for label, content in items[1:]]


def _number(value: Any, place: str, file: str | None) -> float:
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, (int, float)) else float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadInput(f"a number was expected, found {_shown(value)}", file=file, place=place, remedy=_REMEDY)
    return number


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _flag(value: Any, place: str, file: str | None) -> bool:
    if not isinstance(value, bool):
        raise BadInput(f"true or false was expected, found {_shown(value)}", file=file, place=place, remedy=_REMEDY)
    return value


def _circles(value: Any, length: int, place: str, file: str | None) -> list[list[float]]:
    if not isinstance(value, list) or any(not isinstance(item, list) or len(item) != length for item in value):
        message = f"a list of {length} numbers each was expected, found {_shown(value)}"
        raise BadInput(message, file=file, place=place, remedy=_REMEDY)
    return [[_number(number, place, file) for number in item] for item in value]


def _check_links(apertures: Mapping[str, Aperture], place: str, file: str | None) -> None:
    for label, aperture in apertures.items():
        if not aperture.link:
            continue
        where = f"{place}, aperture {label}"
        if aperture.link not in apertures:
            raise BadInput(
                f"it is linked to aperture {aperture.link}, which does not exist", file=file, place=where, remedy=_REMEDY
            )
        if apertures[aperture.link].link:
            raise BadInput(
                f"it is linked to aperture {aperture.link}, which is itself linked",
                file=file,
                place=where,
                remedy=f"link it to aperture {apertures[aperture.link].link} instead",
            )
