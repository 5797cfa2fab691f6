"""All that an exported file of a reduction needs, loaded from the record: the science code that writes it knows no database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from roque.archive.aperture_sets import load_apertures
from roque.archive.bulk import load_measurements
from roque.archive.models import Frame, Master, Reduction
from roque.archive.radii import Chosen, choose_radius, every_radius, no_radii
from roque.archive.targets import find_target
from roque.errors import BadInput
from roque.instruments import CameraDescription
from roque.instruments.pointing import pointing
from roque.lightcurves.barycentre import Barycentre
from roque.lightcurves.scintillation import Scintillation
from roque.photometry.apertures import Apertures
from roque.photometry.measurements import Measurements
from roque.photometry.recipe import Recipe
from roque.spool.source import TIMES

__all__ = ["Export", "load_export"]

_GIVEN, _POINTING = "given", "where the telescope pointed"
_BATCH = 5_000
"""Frames whose measurements are loaded at a time."""


@dataclass(frozen=True)
class Export:
    """A reduction and how it came about; its measurements are loaded as they are asked for.

    Nothing in it depends on when or where it is exported, so the files made of it are the same bytes each time.
    """

    session: Session
    reduction_id: int
    reduction: str  # its short id
    run: str  # INSTRUMENT/NIGHT/NAME
    run_name: str
    night: dt.date
    object: str
    filters: dict[str, str]  # by CCD
    target: str  # label of the target's aperture
    apertures: Apertures
    recipe: Recipe
    reduce_file: str  # text; empty where none can say what the recipe says
    provenance: dict[str, Any]  # as JSON can hold it
    site: tuple[float, float, float] | None  # longitude and latitude, degrees; height, m
    position: tuple[float, float] | None  # of the target, RA and Dec, degrees
    position_from: str  # who says so: the record, or the telescope's pointing in the header
    diameter: float | None  # of the telescope's mirror, m
    times: NDArray[np.void]  # of dtype TIMES: every frame of the run and CCD
    barycentre: Barycentre | None = None  # for times there, where they are asked for
    radius: Chosen | None = None  # of the targets, where another one than the recipe's own is asked for

    @property
    def software(self) -> str:
        """Software and version that made the measurements."""
        return f"roque {self.provenance['code_version']}"

    def at(self, position: tuple[float, float]) -> Export:
        """Make the same for a target that is at this position (RA and Dec, ICRS, degrees)."""
        return replace(self, position=position, position_from=_GIVEN)

    def place(self) -> Barycentre:
        """Say where the target is, and the observatory.

        Raises
        ------
        BadInput
            Nothing says where the telescope stood, or where the target is.
        """
        if self.site is None:
            remedy = f"describe the site of {self.run.partition('/')[0]}"
            raise BadInput("nobody has said where the telescope stood", place=self.run, remedy=remedy)
        if self.position is None:
            keep = f", or keep it for all runs with 'roque target set {self.object!r} RA,DEC'" if self.object else ""
            message = "neither the record nor the header says where the target is"
            raise BadInput(message, place=self.run, remedy=f"say --position RA,DEC{keep}")
        longitude, latitude, height = self.site
        return Barycentre(ra=self.position[0], dec=self.position[1], longitude=longitude, latitude=latitude, height=height)

    def scintillation(self) -> Scintillation:
        """Give the scintillation of its stars; errors also as of `place`.

        Raises
        ------
        BadInput
            Nobody has said how large the telescope is.
        """
        if self.diameter is None:
            remedy = f"say diameter = METRES in [site] of the description of {self.run.partition('/')[0]}"
            raise BadInput("nobody has said how large the telescope's mirror is", place=self.run, remedy=remedy)
        return Scintillation(there=self.place(), diameter=self.diameter)

    def at_barycentre(self) -> Export:
        """Make the same with times at the barycentre beside those of the site; errors as of `place`."""
        there = self.place()
        told = asdict(there) | {"position": self.position_from}
        return replace(self, barycentre=there, provenance=self.provenance | {"barycentre": told})

    def at_radius(self, wanted: float | str, *, total: bool = False) -> Export:
        """Make the same with what another radius of the targets gave.

        Parameters
        ----------
        wanted : float or str
            Factor of the mean FWHM, one of the recipe's further radii; ``best`` for that in which the comparison stars of each
            CCD scatter least against each other, ``target`` for that in which the target does against them.
        total : bool
            Whether counts are brought to those of the largest radius by the curve of growth of the other stars.

        Raises
        ------
        NotFound
            The radius was not measured, or nothing tells which is best or how the light spreads.
        """
        chosen = choose_radius(self.session, self.reduction_id, self.apertures, self.target, self.run, wanted, total=total)
        return replace(self, radius=chosen, provenance=self.provenance | {"radius": chosen.told()})

    def of_ccd(self, ccd: str) -> Measurements:
        """Measurements of a CCD."""
        rows = load_measurements(self.session, self.reduction_id, ccd=ccd)
        return rows if self.radius is None else self.radius.put_into(self.session, rows)

    def parts(self) -> Iterator[Measurements]:
        """All measurements, part after part of whole frames, so that a long run fits into memory."""
        for span in self._spans():
            part = load_measurements(self.session, self.reduction_id, frames=span)
            if len(part):
                yield part if self.radius is None else self.radius.put_into(self.session, part)

    def parts_of_radii(self) -> Iterator[NDArray[np.void]]:
        """The same in every further radius: arrays of dtype `roque.archive.radii.EVERY_RADIUS`.

        Raises
        ------
        NotFound
            The recipe asked for no radii.
        """
        if not any(line.radii for line in self.recipe.extraction.values()):
            raise no_radii(self.run)
        for span in self._spans():
            part = every_radius(self.session, self.reduction_id, span)
            if len(part):
                yield part

    def _spans(self) -> Iterator[tuple[int, int]]:
        last = int(self.times["frame"].max(initial=0))
        return ((first, first + _BATCH - 1) for first in range(0, last + 1, _BATCH))


def load_export(session: Session, reduction: Reduction, cameras: Mapping[str, CameraDescription]) -> Export:
    """Load what belongs to a reduction beside its measurements.

    Parameters
    ----------
    session : Session
        Of the record; measurements are read through it as long as the result is used.
    reduction : Reduction
    cameras : mapping of str to CameraDescription
        For the pointing.

    Raises
    ------
    BadInput
        The stored recipe is of another version of roque and cannot be read.
    """
    run = reduction.run
    apertures = load_apertures(session, reduction.aperture_set_id)
    recipe = Recipe.from_dict(reduction.parameters)
    masters = _masters(session, reduction)
    site = run.instrument.site
    target = find_target(session, run.object)
    camera = cameras.get(run.instrument.name)
    said = f"target {target.name} of the record" if target is not None else _POINTING
    return Export(
        session=session,
        reduction_id=reduction.id,
        reduction=reduction.name,
        run=run.path,
        run_name=run.name,
        night=run.night.date,
        object=run.object,
        filters={ccd: str(name) for ccd, name in run.filters.items() if name},
        target=reduction.target,
        apertures=apertures,
        recipe=recipe,
        reduce_file=_reduce_file(reduction, recipe, apertures, masters),
        provenance=_provenance(reduction, masters),
        site=(site.longitude, site.latitude, site.height) if site is not None and site.name else None,
        position=(target.ra, target.dec) if target is not None else pointing(run.header, camera),
        position_from=said,
        diameter=camera.site.diameter if camera is not None else None,
        times=_times(session, run.id),
    )


def _masters(session: Session, reduction: Reduction) -> dict[str, dict[str, Any]]:
    """What each kind of master was, and why, by kind."""
    found = {}
    for kind, reference in reduction.masters.items():
        about: dict[str, Any] = {"file": None, "sha256": None, "run": None}
        if isinstance(reference, int):
            master = session.get_one(Master, reference)
            about = {"file": Path(master.product.uri).name, "sha256": master.product.sha256, "run": master.run.path}
        elif reference is not None:
            about |= {"file": Path(reference["file"]).name, "sha256": reference["sha256"]}
        found[kind] = {**about, "why": str(reduction.choices.get(kind, "")).removeprefix(f"without {kind}: ")}
    return found


def _reduce_file(reduction: Reduction, recipe: Recipe, apertures: Apertures, masters: Mapping[str, Mapping[str, Any]]) -> str:
    """The user's own reduce file, or one that says what the recipe says."""
    given = reduction.hints.get("reduce_file")
    if given is not None:
        return str(given["text"])
    names = {kind: str(master["file"]) for kind, master in masters.items() if master["file"]}
    try:
        return recipe.to_reduce_file(apertures, f"{reduction.run.name}.ape", names)
    except BadInput:
        return ""  # reduce files know one gain and one read noise: the recipe is told in full instead


def _provenance(reduction: Reduction, masters: Mapping[str, Any]) -> dict[str, Any]:
    run, recipe, apertures = reduction.run, reduction.recipe, reduction.aperture_set
    return {
        "reduction": reduction.name,
        "key": reduction.key,
        "run": run.path,
        "raw": [
            {"file": Path(file.path).name, "sha256": file.sha256 or file.data_sha256}
            for file in sorted(run.files, key=lambda file: file.position)
            if not file.duplicate
        ],
        "masters": dict(masters),
        "recipe": {"name": recipe.name, "camera": recipe.camera, "version": recipe.version, "sha256": recipe.digest},
        "apertures": {"origin": apertures.origin, "source": Path(apertures.source).name, "sha256": apertures.digest},
        "target": reduction.target,
        "code_version": reduction.code_version,
    }


def _times(session: Session, run_id: int) -> NDArray[np.void]:
    rows = session.execute(
        select(Frame.number, Frame.ccd, Frame.mjd_int, Frame.mjd_frac, Frame.exposure, Frame.time_ok, Frame.data_ok)
        .where(Frame.run_id == run_id)
        .order_by(Frame.number, Frame.ccd)
    )
    # numpy takes None for NaN where the field is a double
    return np.array([tuple(row) for row in rows], TIMES)
