"""Columns of a reduce log: names, types and the text of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

__all__ = [
    "APERTURE_COLUMNS",
    "BARYCENTRIC_COLUMNS",
    "FRAME_COLUMNS",
    "MEASUREMENT_FIELD",
    "aperture_labels",
    "decimals_of",
    "log_dtype",
    "time_name",
]

FRAME_COLUMNS = (("nframe", "i4"), ("MJD", "f8"), ("MJDok", "?"), ("Exptim", "f4"), ("mfwhm", "f4"), ("mbeta", "f4"))
"""Columns of a frame, after the CCD's label: name and type."""

APERTURE_COLUMNS = (
    ("x", "f4"),
    ("xe", "f4"),
    ("y", "f4"),
    ("ye", "f4"),
    ("fwhm", "f4"),
    ("fwhme", "f4"),
    ("beta", "f4"),
    ("betae", "f4"),
    ("counts", "f4"),
    ("countse", "f4"),
    ("sky", "f4"),
    ("skye", "f4"),
    ("nsky", "i4"),
    ("nrej", "i4"),
    ("cmax", "i4"),
    ("flag", "u4"),
)
"""Columns of an aperture, followed by its label in the log: name and type."""

BARYCENTRIC_COLUMNS = (("BJD", "f8"), ("HJD", "f8"))
"""Columns that may follow those of the apertures: BJD(TDB) and HJD(UTC). Without an underscore, which would make an aperture of
them to readers."""

MEASUREMENT_FIELD = {name: "peak" if name == "cmax" else name for name, _ in APERTURE_COLUMNS}
"""Field of a measurement for each column of an aperture."""

_DECIMALS = {
    "MJD": 14,
    "mfwhm": 2,
    "mbeta": 2,
    **dict.fromkeys(("x", "xe", "y", "ye"), 4),
    **dict.fromkeys(("fwhm", "fwhme", "beta", "betae"), 3),
    **dict.fromkeys(("counts", "countse"), 1),
    **dict.fromkeys(("sky", "skye"), 2),
    **dict.fromkeys(("BJD", "HJD"), 10),
}
_WHOLE = ("nframe", "MJDok", "nsky", "nrej", "cmax", "flag")
INTEGER, TEXT = -1, -2
"""Codes of `decimals_of`: an integer, and the exposure, whose text is made elsewhere."""


def time_name(offset: int) -> str:
    """Name of the column of times when `offset` days are taken off them."""
    return f"MJD-{offset}" if offset else "MJD"


def log_dtype(apertures: Iterable[str], offset: int = 0, *, barycentric: bool = False) -> np.dtype[np.void]:
    """Type of a row of a CCD with these apertures."""
    fields = [(time_name(offset) if name == "MJD" else name, kind) for name, kind in FRAME_COLUMNS]
    fields += [(f"{name}_{label}", kind) for label in apertures for name, kind in APERTURE_COLUMNS]
    return np.dtype([*fields, *BARYCENTRIC_COLUMNS] if barycentric else fields)


def aperture_labels(names: Sequence[str]) -> list[str]:
    """Labels of the apertures among the names of columns, in their order."""
    return [name.removeprefix("counts_") for name in names if name.startswith("counts_")]


def decimals_of(names: Sequence[str]) -> list[int]:
    """Decimals that each column is written with (six if it is not known), or `INTEGER` or `TEXT`."""
    return [_decimals(name) for name in names]


def _decimals(name: str) -> int:
    if name == "Exptim":
        return TEXT
    if name.startswith("MJD") and name != "MJDok":
        return _DECIMALS["MJD"]
    item = name.split("_", 1)[0]
    return INTEGER if item in _WHOLE else _DECIMALS.get(item, 6)
