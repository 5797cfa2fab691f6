"""The stars of a field: which star of one CCD is which of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from roque.photometry.candidates import Candidates
from roque.photometry.match import IDENTITY, Transform, match_positions
from roque.photometry.reference import positions

__all__ = ["Catalogue", "FieldStar", "make_catalogue"]

_NEAR = 0.7  # of the FWHM: positions on two CCDs that are one star
_FARTHEST = 60.0  # offset between two CCDs, binned pixels


@dataclass(frozen=True, slots=True, eq=False)
class FieldStar:
    """A star, on the CCDs that show it."""

    x: float
    """Position on the main CCD, seen or reckoned, unbinned pixels."""
    y: float
    seen: dict[str, np.void]
    """Its row of the candidates, by CCD."""

    @property
    def flux(self) -> float:
        """Counts of all CCDs together, which stars are numbered by."""
        return float(sum(row["flux"] for row in self.seen.values()))


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """The stars of a field, brightest first."""

    stars: list[FieldStar]
    transforms: dict[str, Transform]
    """From the main CCD to each."""
    unmatched: list[str]
    """CCDs whose stars were not recognised: they are taken to lie as the main CCD does."""

    def place(self, star: FieldStar, ccd: str) -> tuple[float, float]:
        """Position of a star on a CCD, reckoned where it was not seen."""
        row = star.seen.get(ccd)
        if row is not None:
            return float(row["x"]), float(row["y"])
        x, y = self.transforms[ccd](np.array([star.x, star.y])).tolist()
        return x, y


def make_catalogue(candidates: Mapping[str, Candidates], fwhm: Mapping[str, float], binning: int) -> Catalogue:
    """Match the stars of all CCDs.

    Parameters
    ----------
    candidates : dict of str to Candidates
        Stars of each CCD, brightest first; CCDs that look at the same field, up to an offset, a small rotation and scale.
    fwhm : dict of str to float
        Seeing of each CCD, unbinned pixels.
    binning : int
        Unbinned pixels per binned one.

    Returns
    -------
    Catalogue
        Every star once, also those that only one CCD shows.
    """
    order = sorted(candidates, key=lambda ccd: (-len(candidates[ccd]), -float(candidates[ccd]["snr"].sum())))
    field: list[FieldStar] = []
    transforms: dict[str, Transform] = {}
    unmatched = []
    for ccd in order:
        found = candidates[ccd]
        tolerance = max(_NEAR * fwhm[ccd], 1.5 * binning) if len(found) else 0.0
        known = np.array([[star.x, star.y] for star in field]).reshape(-1, 2)
        match = match_positions(known, positions(found), tolerance=tolerance, max_shift=_FARTHEST * binning) if field else None
        if match is None and field and len(found):
            unmatched.append(ccd)
        transforms[ccd] = IDENTITY if match is None else match.transform
        partner = {} if match is None else dict(zip(match.second.tolist(), match.first.tolist(), strict=True))
        there = transforms[ccd].inverse()(positions(found))
        for k, row in enumerate(found):
            if k in partner:
                field[partner[k]].seen[ccd] = row
            else:
                field.append(FieldStar(float(there[k, 0]), float(there[k, 1]), {ccd: row}))
        field.sort(key=lambda star: -star.flux)
    return Catalogue(field, transforms, unmatched)
