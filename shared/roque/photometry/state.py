"""What is carried from frame to frame, between ranges of a run: positions, radii and shapes of the last frame."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.errors import BadInput
from roque.photometry.apertures import Aperture
from roque.photometry.kernels.followed import DX, DY, NCCD, NVALUES, RSKY1, RSKY2, RTARG, X, Y
from roque.photometry.pattern import Pattern
from roque.photometry.recipe import Recipe

__all__ = ["CcdState", "State", "first_state"]

Floats = NDArray[np.float64]

_VERSION = 2


@dataclass(frozen=True, slots=True, eq=False)
class CcdState:
    """State of one CCD; CCDs know nothing of each other.

    Parameters
    ----------
    apertures : tuple of str
        Labels of the apertures that the rows of `values` belong to.
    windows : tuple of (str or None)
        Window of each aperture; None where it lies in none.
    values : array of float64, shape (apertures, NVALUES)
        Positions, radii, last fit: columns as in `roque.photometry.kernels.followed`.
    shape : array of float64, shape (NCCD,)
        Mean FWHM and beta of the last frame, start values of fits, frames since it was sure where the field is.
    pattern : Pattern, optional
        Stars of the CCD by which the field is found again.
    """

    apertures: tuple[str, ...]
    windows: tuple[str | None, ...]
    values: Floats
    shape: Floats
    pattern: Pattern | None = None


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """State of a reduction.

    Parameters
    ----------
    ccds : mapping of str to CcdState
        By CCD; those that have not been read out yet have none.
    start : (float, float), optional
        FWHM and beta that fits start from, where all CCDs share them as in the HiPERCAM pipeline: the means of the CCD
        before, in the order of the data.
    """

    ccds: Mapping[str, CcdState]
    start: tuple[float, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it, every number to the bit; NaN becomes None, infinities become texts."""
        ccds = {
            name: {
                "apertures": list(ccd.apertures),
                "windows": list(ccd.windows),
                "values": [[_to_json(v) for v in row] for row in ccd.values.tolist()],
                "shape": [_to_json(v) for v in ccd.shape.tolist()],
                "pattern": None if ccd.pattern is None else [ccd.pattern.stars.tolist(), list(ccd.pattern.anchor)],
            }
            for name, ccd in self.ccds.items()
        }
        return {"version": _VERSION, "ccds": ccds, "start": None if self.start is None else list(self.start)}

    @classmethod
    def from_dict(cls, made: Mapping[str, Any]) -> State:
        """State from what `to_dict` gave.

        Raises
        ------
        BadInput
            It is something else.
        """
        remedy = "reduce the run again from its first frame"
        try:
            if made["version"] != _VERSION:
                raise BadInput(f"the saved state is of version {made['version']}, not {_VERSION}", remedy=remedy)
            ccds = {
                str(name): CcdState(
                    tuple(ccd["apertures"]),
                    tuple(ccd["windows"]),
                    np.array([[_from_json(v) for v in row] for row in ccd["values"]], np.float64).reshape(-1, NVALUES),
                    np.array([_from_json(v) for v in ccd["shape"]], np.float64).reshape(NCCD),
                    _pattern(ccd["pattern"]),
                )
                for name, ccd in made["ccds"].items()
            }
            start = made["start"]
            return cls(ccds, None if start is None else (float(start[0]), float(start[1])))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadInput(f"not a saved state of a reduction ({error!r})", remedy=remedy) from error


def first_state(apertures: Mapping[str, Aperture], windows: Sequence[str | None], recipe: Recipe) -> CcdState:
    """State of a CCD before its first frame: apertures as placed, fits starting from the recipe."""
    values = np.full((len(apertures), NVALUES), np.nan)
    for k, aperture in enumerate(apertures.values()):
        values[k, [X, Y, RTARG, RSKY1, RSKY2]] = aperture.x, aperture.y, aperture.rtarg, aperture.rsky1, aperture.rsky2
        values[k, [DX, DY]] = 0.0
    shape = np.array([-1.0, -1.0, recipe.apertures.fit_fwhm, recipe.apertures.fit_beta, 0.0])
    return CcdState(tuple(apertures), tuple(windows), values, shape)


def _pattern(made: Any) -> Pattern | None:
    if made is None:
        return None
    stars, (x, y) = made
    return Pattern(np.array(stars, np.float64).reshape(-1, 3), (float(x), float(y)))


def _to_json(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else repr(value)


def _from_json(value: float | str | None) -> float:
    return math.nan if value is None else float(value)
