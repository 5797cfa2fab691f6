"""Where the telescope pointed, by the header of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from roque.instruments.description import CameraDescription
from roque.instruments.rules import Rule

__all__ = ["pointing"]

_DEGREES = Rule(keywords=("RADEG",)), Rule(keywords=("DECDEG",))
_SEXAGESIMAL = Rule(keywords=("RA",), pattern=r".*[\s:h].*", factor=15.0), Rule(keywords=("DEC",))


def pointing(header: Mapping[str, Any], camera: CameraDescription | None) -> tuple[float, float] | None:
    """Read the pointing from a header.

    Parameters
    ----------
    header : mapping
        Header of the run.
    camera : CameraDescription or None
        Its rules for RA and Dec hold, if it has any; else RADEG and DECDEG (degrees), else RA (hours) and DEC (degrees) in
        sexagesimal text.

    Returns
    -------
    tuple of float, or None
        RA and Dec, degrees; None if the header does not say, or what it says is no place in the sky.
    """
    ways = [_DEGREES, _SEXAGESIMAL]
    if camera is not None and camera.header is not None:
        ways = [(camera.header.ra, camera.header.dec)]
    for ra_rule, dec_rule in ways:
        ra, dec = ra_rule.number(dict(header)), dec_rule.number(dict(header))
        if ra is not None and dec is not None and 0.0 <= ra <= 360.0 and -90.0 <= dec <= 90.0:
            return ra, dec
    return None
