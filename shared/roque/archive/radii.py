"""Further radii of a reduction, from the record: judged, chosen, and put in the place of the recipe's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.lib import recfunctions
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from roque.archive.bulk import load_measurements, load_radii
from roque.errors import BadInput, NotFound
from roque.lightcurves.radii import Judgement, Radii, judge, light_within, stack
from roque.photometry.apertures import Apertures
from roque.photometry.measurements import MEASUREMENT, Measurements

__all__ = ["EVERY_RADIUS", "Chosen", "choose_radius", "every_radius", "judge_radii", "load_stack", "no_radii"]

Floats = NDArray[np.float64]

EVERY_RADIUS = np.dtype([*MEASUREMENT.descr, ("factor", "f8"), ("radius", "f8")])
"""A measurement in one of the further radii: its factor, and its length in unbinned pixels."""

_HOW = {"best": "least scatter of the comparison stars", "target": "least scatter of the target", "given": "given"}
_MEASURED = ("counts", "countse", "peak", "flag")
_ASK = "name some: roque recipe set default --camera CAMERA 'extraction.*.radii=[1.0, 1.4, 1.8]', and reduce the run again"


@dataclass(frozen=True, eq=False)
class Chosen:
    """Radii that stand in the place of the recipe's own.

    Parameters
    ----------
    reduction_id : int
    factors : mapping of str to float
        By CCD, in units of the mean FWHM.
    how : str
        best: with the least scatter of the comparison stars; target: with that of the target; given.
    shares : mapping
        Light within the radius over that of the largest one, and its error, by CCD and star, for the frames in
        `frames`; empty where counts are not corrected.
    frames : mapping of str to array
        By CCD.
    without : mapping of str to str
        CCDs of which nothing tells the best radius, and why: they keep the recipe's own.
    """

    reduction_id: int
    factors: Mapping[str, float]
    how: str
    shares: Mapping[tuple[str, str], tuple[Floats, Floats]] = field(default_factory=dict)
    frames: Mapping[str, NDArray[np.int32]] = field(default_factory=dict)
    without: Mapping[str, str] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """Tell what was chosen, as JSON can hold it."""
        return {
            "factor": dict(self.factors),
            "chosen": _HOW[self.how],
            "corrected to the largest radius": bool(self.shares),
            "the recipe's own": dict(self.without),
        }

    def put_into(self, session: Session, rows: Measurements) -> Measurements:
        """Put what these radii gave into measurements, in the order of frame, CCD and aperture."""
        made = rows.copy()
        for ccd, factor in self.factors.items():
            mine = np.flatnonzero(rows["ccd"] == ccd)
            if not len(mine):
                continue
            span = int(rows["frame"][mine[0]]), int(rows["frame"][mine[-1]])
            swept = load_radii(session, self.reduction_id, ccd=ccd, factor=factor, frames=span)
            _insist_on_pairs(rows[mine], swept)
            for name in _MEASURED:
                made[name][mine] = swept[name]
            for star in dict.fromkeys(swept["aperture"].tolist()) if self.shares else ():
                self._correct(made, mine[swept["aperture"] == star], ccd, star)
        return made

    def _correct(self, rows: Measurements, mine: NDArray[np.intp], ccd: str, star: str) -> None:
        share, error = (v[np.searchsorted(self.frames[ccd], rows["frame"][mine])] for v in self.shares[ccd, star])
        counts = rows["counts"][mine] / share
        rows["countse"][mine] = np.hypot(rows["countse"][mine], counts * error) / share
        rows["counts"][mine] = counts


def load_stack(session: Session, reduction_id: int, ccd: str, stars: list[str]) -> Radii:
    """All radii of a CCD; star after star, as a long run is large."""
    return stack(ccd, (load_radii(session, reduction_id, ccd=ccd, aperture=star) for star in stars))


def judge_radii(session: Session, reduction_id: int, apertures: Apertures, target: str, place: str) -> list[Judgement]:
    """What speaks for each radius, CCD by CCD.

    Raises
    ------
    NotFound
        The recipe asked for no radii.
    """
    found = [
        judge(radii, target)
        for ccd, members in apertures.items()
        if (radii := load_stack(session, reduction_id, ccd, list(members))).counts.size
    ]
    if not found:
        raise no_radii(place)
    return found


def choose_radius(
    session: Session,
    reduction_id: int,
    apertures: Apertures,
    target: str,
    place: str,
    wanted: float | str,
    *,
    total: bool,
) -> Chosen:
    """Choose a radius for every CCD, see `roque.archive.exports.Export.at_radius`."""
    factors: dict[str, float] = {}
    shares: dict[tuple[str, str], tuple[Floats, Floats]] = {}
    frames: dict[str, NDArray[np.int32]] = {}
    without: dict[str, str] = {}
    for ccd, members in apertures.items():
        radii = load_stack(session, reduction_id, ccd, list(members))
        if not radii.counts.size:
            continue
        factor = None if isinstance(wanted, str) else _given(radii, wanted, place)
        if factor is None:
            judgement = judge(radii, target)
            factor = judgement.best if wanted == "best" else judgement.best_of_target
            if factor is None:
                without[ccd] = judgement.basis
                continue
        factors[ccd] = factor
        if total:
            frames[ccd] = radii.frames
            shares |= {(ccd, star): light_within(radii, factor, star) for star in radii.stars}
    if without and (total or not factors):
        ccd, why = next(iter(without.items()))
        remedy = "name a radius: 'roque run radii RUN' lists them"
        raise NotFound(f"no radius can be chosen: {why}", place=f"{place}, CCD {ccd}", remedy=remedy)
    if not factors:
        raise no_radii(place)
    return Chosen(reduction_id, factors, wanted if isinstance(wanted, str) else "given", shares, frames, without)


def every_radius(session: Session, reduction_id: int, span: tuple[int, int]) -> NDArray[np.void]:
    """Measurements of some frames in every further radius; array of dtype `EVERY_RADIUS`.

    In the order of frame, CCD, aperture and radius.
    """
    rows = load_measurements(session, reduction_id, frames=span)
    swept = load_radii(session, reduction_id, frames=span)
    made = np.zeros(len(swept), EVERY_RADIUS)
    if not len(swept):
        return made
    keys = ["frame", "ccd", "aperture"]
    known, which = np.unique(recfunctions.repack_fields(swept[keys]), return_inverse=True)
    place = np.flatnonzero(np.isin(recfunctions.repack_fields(rows[keys]), known))
    for name in MEASUREMENT.names or ():
        made[name] = rows[name][place][which]
    for name in (*_MEASURED, "factor", "radius"):
        made[name] = swept[name]
    return made


def no_radii(place: str) -> NotFound:
    """Say that a reduction has no further radii, and how to get some."""
    return NotFound("no further radii were measured", place=place, remedy=_ASK)


def _given(radii: Radii, wanted: float, place: str) -> float:
    if wanted not in radii.factors:
        known = ", ".join(f"{factor:g}" for factor in radii.factors)
        raise NotFound(f"no radius {wanted:g} was measured", place=f"{place}, CCD {radii.ccd}", remedy=f"there are {known}")
    return wanted


def _insist_on_pairs(rows: Measurements, swept: NDArray[np.void]) -> None:
    if len(rows) != len(swept) or any(not np.array_equal(rows[name], swept[name]) for name in ("frame", "aperture")):
        raise BadInput("radii of some measurements are missing", place=f"CCD {rows['ccd'][0]}", remedy="reduce the run again")
