"""What runs are called, which night they belong to, what kind they are."""

from __future__ import annotations

import math
import re
from datetime import date, timedelta
from pathlib import Path

from roque.errors import BadInput
from roque.instruments.plugins import plugins

__all__ = ["folder_night", "night_of", "run_kind", "run_name", "safe_name", "split_filters"]

_ALLOWED = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,64}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_ENDINGS = re.compile(r"(\.(fits|fit|fts|hcm|lis|xml|dat))?(\.(gz|fz))?$", re.IGNORECASE)
_NIGHT = re.compile(r"(\d{4})([-_])(\d\d)\2(\d\d)")
_FIRST_DAY = date(1858, 11, 17)
_KINDS = {
    "bias": re.compile(r"\b(bias(es)?|zeros?)\b", re.IGNORECASE),
    "dark": re.compile(r"\bdarks?\b", re.IGNORECASE),
    "flat": re.compile(r"\b(sky|dome|twilight)?[ _]?flats?(field)?s?\b|\btwilight\b", re.IGNORECASE),
    "other": re.compile(r"\b(other|acq\w*|focus|tech\w*|arc|comp|lamp|test)\b", re.IGNORECASE),
    "science": re.compile(r"\b(data|object|science|light|target|std|standard)\b", re.IGNORECASE),
}


def run_name(path: Path) -> str:
    """Name of the run in a file: its name without endings.

    Raises
    ------
    BadInput
        It is not made of letters, digits, '.', '_' and '-', or longer than 64: names become folders and lines of tables.
    """
    brought = max((e for e in plugins().endings if path.name.lower().endswith(e)), key=len, default="")
    name = _ENDINGS.sub("", path.name.removesuffix(path.name[-len(brought) :] if brought else ""))
    if not _ALLOWED.fullmatch(name):
        raise BadInput(
            f"{name!r} cannot be the name of a run",
            file=str(path),
            place="file name",
            remedy="rename it with at most 64 letters, digits, '.', '_' and '-', not starting with '.'",
        )
    return name


def safe_name(*parts: str) -> str:
    """Join words of a header to a name that `run_name` would allow; empty ones are left out."""
    words = [_UNSAFE.sub("-", part.strip()).strip("-.") for part in parts]
    return "_".join(word for word in words if word)[:64] or "run"


def folder_night(path: Path) -> date | None:
    """Night that the folder right above a file is named after (YYYY-MM-DD or YYYY_MM_DD); None if it is not."""
    match = _NIGHT.fullmatch(path.parent.name)
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[3]), int(match[4]))
    except ValueError:
        return None


def night_of(mjd: float, longitude: float) -> date:
    """Date of the evening of an observation: it changes at mean local noon.

    Parameters
    ----------
    mjd : float
        MJD(UTC).
    longitude : float
        Of the site, degrees east.
    """
    return _FIRST_DAY + timedelta(days=math.floor(mjd + longitude / 360.0 - 0.5))


def run_kind(image_type: str, object_name: str) -> str:
    """Kind of a run: 'bias', 'dark', 'flat', 'science' or 'other'.

    The header's type of image decides; where there is none or it is unknown, words of the object's name do, and without any
    the run is science.
    """
    for kind, pattern in _KINDS.items():
        if pattern.search(image_type):
            return kind
    for kind in ("bias", "dark", "flat"):
        if _KINDS[kind].search(object_name):
            return kind
    return "science"


def split_filters(filters: str, ccds: tuple[str, ...]) -> dict[str, str]:
    """Filter of each CCD from a list like 'us,gs,rs,is,zs' or 'u g r i z'.

    A text that does not name as many filters as there are CCDs holds for each CCD as it is.
    """
    names = [name for name in re.split(r"[,;\s]+", filters) if name]
    if len(names) == len(ccds):
        return dict(zip(ccds, names, strict=True))
    return dict.fromkeys(ccds, filters.strip())
