"""Bad pixels: files of defects, or frames that are not 0 where a pixel is bad, laid over the windows of the data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.calibration.crop import crop
from roque.errors import BadInput
from roque.frames import Frame, Geometry
from roque.frames.handle import read_text
from roque.frames.hcm import read_hcm

__all__ = ["Defect", "Defects", "defect_masks", "read_defects"]

Mask = NDArray[np.uint8]

_KINDS = {
    "hipercam.defect.Point": ("x", "y", "x", "y"),
    "hipercam.defect.Hot": ("x", "y", "x", "y"),
    "hipercam.defect.Line": ("x1", "y1", "x2", "y2"),
}
_SEVERITIES = ("MODERATE", "SEVERE")
_REMEDY = "give the name of a defect file (.dft), or of a frame (.hcm) that is not 0 where a pixel is bad"
_MOST_BYTES = 16 << 20
_FARTHEST = 1_000_000.0  # unbinned pixels: beyond any chip


@dataclass(frozen=True, slots=True)
class Defect:
    """Pixels along a line from (x1, y1) to (x2, y2), unbinned, or the one where both are; of a hot pixel, too."""

    x1: float
    y1: float
    x2: float
    y2: float
    severe: bool


Defects = Mapping[str, Sequence[Defect]] | Frame
"""Defects by CCD, or a frame that is not 0 where a pixel is bad."""


def read_defects(path: Path) -> Defects:
    """Read a defect file (``.dft``) of the HiPERCAM pipeline, or a frame (any other name) that is not 0 where a pixel is bad.

    Raises
    ------
    NotFound
        There is no such file.
    BadInput
        It is neither.
    """
    if path.suffix != ".dft":
        return read_hcm(path)
    text = read_text(path, "a defect file", _REMEDY, _MOST_BYTES)
    try:
        _, *ccds = json.loads(text)
        return {str(ccd): [_defect(values, f"CCD {ccd}, defect {label}", path) for label, values in members[1:]]
                for ccd, members in ccds}  # fmt: skip
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise BadInput(f"not a defect file: {error.msg.lower()}", file=str(path), place=where, remedy=_REMEDY) from error
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise BadInput(f"not a defect file ({error})", file=str(path), remedy=_REMEDY) from error


def defect_masks(defects: Defects, first: Frame, *, moderate: bool, notes: list[str]) -> dict[tuple[str, str], Mask]:
    """Lay defects over the windows of the data.

    Parameters
    ----------
    defects : Defects
        From `read_defects`.
    first : Frame
        First frame of the run; all others have its windows.
    moderate : bool
        Whether moderate defects count, or severe ones alone; a frame does not tell them apart.
    notes : list of str
        CCDs are added of which nothing is known.

    Returns
    -------
    dict of (CCD label, window label) to array of uint8, shape (ny, nx)
        1 where a binned pixel holds a bad one; CCDs of which nothing is known are missing.

    Raises
    ------
    BadInput
        A frame does not cover the windows of the data.
    """
    if isinstance(defects, Frame):
        cut = crop(defects, first, what="frame of bad pixels")
        found = {
            (name, label): (window.data != 0).astype(np.uint8)  # of blocks the mean, which is 0 where no pixel is bad
            for name, ccd in cut.ccds.items()
            for label, window in ccd.windows.items()
        }
    else:
        found = {
            (name, label): _drawn([d for d in defects[name] if moderate or d.severe], window.geometry)
            for name, ccd in first.ccds.items()
            if name in defects
            for label, window in ccd.windows.items()
        }
    known = {name for name, _ in found}
    notes.extend(
        f"no bad pixels are known of CCD {name}" for name, ccd in first.ccds.items() if ccd.windows and name not in known
    )
    return found


def _defect(values: Any, place: str, path: Path) -> Defect:
    kind, severity = values.get("Comment"), values.get("severity")
    if kind not in _KINDS or severity not in _SEVERITIES:
        raise BadInput(f"not a defect: {kind!r} of severity {severity!r}", file=str(path), place=place, remedy=_REMEDY)
    x1, y1, x2, y2 = (float(values[key]) for key in _KINDS[kind])
    if not all(abs(number) < _FARTHEST for number in (x1, y1, x2, y2)):
        raise BadInput(f"a defect at ({x1:g}, {y1:g}) is on no chip", file=str(path), place=place, remedy="correct the file")
    return Defect(x1, y1, x2, y2, severe=severity == "SEVERE")


def _drawn(defects: Sequence[Defect], g: Geometry) -> Mask:
    """Mask of a window: along the longer axis of each line, the pixel nearest to it in every column or row."""
    mask = np.zeros((g.ny, g.nx), np.uint8)
    for d in defects:
        steps = max(abs(math.floor(d.x2 + 0.5) - math.floor(d.x1 + 0.5)), abs(math.floor(d.y2 + 0.5) - math.floor(d.y1 + 0.5)))
        x = np.floor(np.linspace(d.x1, d.x2, steps + 1) + 0.5).astype(np.int64)
        y = np.floor(np.linspace(d.y1, d.y2, steps + 1) + 0.5).astype(np.int64)
        i, j = (x - g.llx) // g.xbin, (y - g.lly) // g.ybin
        inside = (i >= 0) & (i < g.nx) & (j >= 0) & (j < g.ny)
        mask[j[inside], i[inside]] = 1
    return mask
