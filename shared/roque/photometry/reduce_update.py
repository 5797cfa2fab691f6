"""Reduce files of older versions of the format brought up to date."""

from __future__ import annotations

import re

from roque.errors import BadInput
from roque.photometry.reduce_file import VERSION

__all__ = ["update"]

_VERSIONS = ("20181107", "20200207", "20200223", "20200318", "20210523", "20210602", VERSION)
"""In their order; a change below is needed by every file up to the version it is given with."""

_FOCAL_MASK = "\n[focal_mask]\ndemask = no\ndthresh = 4\n"


def update(text: str, *, file: str | None = None) -> tuple[str, list[str]]:
    """Bring the text of a reduce file up to date.

    Parameters
    ----------
    text : str
        The file.
    file : str or None
        Name for error messages.

    Returns
    -------
    str
        Its text with what newer versions ask for; everything else stays as it was.
    list of str
        What was changed, in words; empty if nothing was to be done.

    Raises
    ------
    BadInput
        The file is of a version that is not known.

    Notes
    -----
    A file without a scale, which no later version guesses, gets ``scale = UNKNOWN``: it has to be edited by hand.
    """
    found = re.search(r"^version\s*=\s*(\S+)", text, re.MULTILINE)
    if found is None or found[1] not in _VERSIONS:
        what = "it has no line 'version = ...'" if found is None else f"version {found[1]} is not known"
        raise BadInput(what, file=file, place="[general] version", remedy=f"known are {', '.join(_VERSIONS)}")
    age = _VERSIONS.index(found[1])
    if found[1] == VERSION:
        return text, []
    lines = text.splitlines()
    changes = [f"version {found[1]} -> {VERSION}"]

    def put(key: str, *added: str, since: str) -> None:
        """Add lines behind that of a key, in files up to a version."""
        if age <= _VERSIONS.index(since):
            at = next((k for k, line in enumerate(lines) if re.match(rf"{key}\s*=", line)), None)
            if at is None:
                raise BadInput(f"no line begins with '{key} ='", file=file, remedy="write a new file with genred")
            lines[at + 1 : at + 1] = added
            changes.append(f"added: {', '.join(added)}")

    scale = _taken(lines) if age <= _VERSIONS.index("20210523") else ""
    put("version", "skipbadt = no", since="20181107")
    put("fit_fwhm_min", "fit_fwhm_max = 1000", since="20200223")
    put("dark", "fmap =", "fpair =", "nhalf = 3", "rmin = -2", "rmax = 1", since="20200318")
    put("version", "instrument = UNKNOWN", f"scale = {scale or 'UNKNOWN'}", since="20210523")
    if "[psf_photom]" in lines and age <= _VERSIONS.index("20210602"):
        at = lines.index("[psf_photom]") + 1
        lines[at:at] = ["use_psf = no", "psf_model = moffat"]
        changes.append("added: use_psf = no, psf_model = moffat")
    if age <= _VERSIONS.index("20200207"):
        lines += _FOCAL_MASK.splitlines()
        changes.append("added: section [focal_mask]")
    made = re.sub(r"^version\s*=\s*\S+", f"version = {VERSION}", "\n".join(lines), count=1, flags=re.MULTILINE)
    return made + "\n", changes


def _taken(lines: list[str]) -> str:
    """Take an old line with the scale out, and give its value with 3 decimals; '' if there is none."""
    for k, line in enumerate(lines):
        match = re.match(r"scale\s*=\s*([0-9.eE+-]+)", line)
        if match:
            del lines[k]
            return f"{float(match[1]):.3f}"
    return ""
