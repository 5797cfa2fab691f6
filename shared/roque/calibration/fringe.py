"""Fringes: the pairs of places where their amplitude is measured, and their removal."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.errors import BadInput, NotFound
from roque.frames import CCD, Frame, Geometry

__all__ = [
    "FringePair",
    "FringePairs",
    "Fringes",
    "PlacedPair",
    "differences",
    "fringe_scale",
    "place_pairs",
    "prepare_fringes",
    "read_fringe_pairs",
]

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class FringePair:
    """A trough (1) and a peak (2) of the fringes, unbinned pixels; exchanging them changes no ratio."""

    x1: float
    y1: float
    x2: float
    y2: float


FringePairs = Mapping[str, Sequence[FringePair]]
"""Pairs of each CCD, by its label."""


@dataclass(frozen=True, slots=True)
class PlacedPair:
    """A pair as boxes of binned pixels in one window."""

    window: str
    box1: tuple[slice, slice]
    box2: tuple[slice, slice]


@dataclass(frozen=True, slots=True, eq=False)
class Fringes:
    """Fringe map of one CCD at the data's windows, the usable pairs and their differences in the map."""

    maps: Mapping[str, Floats]
    pairs: list[PlacedPair]
    reference: Floats

    def subtract(self, data: Mapping[str, Floats], limits: tuple[float, float] | None) -> None:
        """Take the fringes out of whole windows, in place; nothing happens if no ratio of a pair counts."""
        scale = fringe_scale(differences(self.pairs, data), self.reference, limits)
        if math.isfinite(scale):
            for label, fringe_map in self.maps.items():
                np.subtract(data[label], scale * fringe_map, out=data[label], casting="same_kind")


def prepare_fringes(fringe_map: Frame, pairs: FringePairs, first: Frame, nhalf: int, notes: list[str]) -> dict[str, Fringes]:
    """Place the pairs on the CCDs of a fringe map fitted to the data; append to `notes` where there are none."""
    prepared = {}
    for name, ccd in fringe_map.ccds.items():
        placed = place_pairs(pairs.get(name, ()), first.ccds[name], nhalf)
        if not placed:
            notes.append(f"no fringe pair lies inside the windows of CCD {name}: its fringes stay")
            continue
        maps = {label: window.data for label, window in ccd.windows.items()}
        prepared[name] = Fringes(maps, placed, differences(placed, maps))
    return prepared


def read_fringe_pairs(path: Path) -> dict[str, list[FringePair]]:
    """Read a `.frng` file.

    Raises
    ------
    NotFound
        If there is no such file.
    BadInput
        If the file is not JSON or not made of fringe pairs.
    """
    try:
        _, *ccds = json.loads(path.read_text())
        return {
            str(label): [FringePair(**{key: float(pair[key]) for key in ("x1", "y1", "x2", "y2")}) for _, pair in pairs[1:]]
            for label, pairs in ccds
        }
    except FileNotFoundError as error:
        raise NotFound("no such file of fringe pairs", file=str(path)) from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        remedy = "give the name of a file of fringe pairs (.frng)"
        raise BadInput(f"not a file of fringe pairs ({error})", file=str(path), remedy=remedy) from error


def place_pairs(pairs: Sequence[FringePair], ccd: CCD, nhalf: int) -> list[PlacedPair]:
    """Find the boxes of the usable pairs of a CCD.

    Parameters
    ----------
    pairs : sequence of FringePair
        Pairs of this CCD.
    ccd : CCD
        Its windows.
    nhalf : int
        Half width of the boxes, binned pixels: they have ``2*nhalf + 1`` a side.

    Returns
    -------
    list of PlacedPair
        The pairs with both ends in one window, each further than `nhalf` binned pixels from its edges.
    """
    placed = []
    for pair in pairs:
        for label, window in ccd.windows.items():
            box1 = _around(window.geometry, pair.x1, pair.y1, nhalf)
            box2 = _around(window.geometry, pair.x2, pair.y2, nhalf)
            if box1 is not None and box2 is not None:
                placed.append(PlacedPair(label, box1, box2))
                break
    return placed


def differences(pairs: Sequence[PlacedPair], data: Mapping[str, Floats]) -> Floats:
    """Median of box 2 minus median of box 1 for each pair, in the dtype of the data.

    `data` has the counts of whole windows by label.
    """
    return np.array([np.median(data[p.window][p.box2]) - np.median(data[p.window][p.box1]) for p in pairs])


def fringe_scale(measured: Floats, reference: Floats, limits: tuple[float, float] | None = None) -> float:
    """Amplitude of the fringes relative to a reference: the median ratio of differences.

    Parameters
    ----------
    measured, reference : array, shape (number of pairs,)
        Differences of the data and of the reference, from `differences`.
    limits : (float, float), optional
        Least and greatest ratio that count. None counts all: the HiPERCAM pipeline asks for limits and never applies them.

    Returns
    -------
    float
        NaN if no ratio counts.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = measured / reference
    ratios = ratios[np.isfinite(ratios)]
    if limits is not None:
        ratios = ratios[(ratios >= limits[0]) & (ratios <= limits[1])]
    return float(np.median(ratios)) if ratios.size else float("nan")


def _around(g: Geometry, x: float, y: float, nhalf: int) -> tuple[slice, slice] | None:
    if min(x - g.xlo, g.xhi - x) <= nhalf * g.xbin or min(y - g.ylo, g.yhi - y) <= nhalf * g.ybin:
        return None
    column, row = round(g.column(x)), round(g.row(y))
    return slice(row - nhalf, row + nhalf + 1), slice(column - nhalf, column + nhalf + 1)
