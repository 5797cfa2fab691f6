"""Sets of apertures in the record: stored once by their content, read back as they were."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from roque.archive import models
from roque.archive.recipes import digest
from roque.archive.session import insert_into
from roque.photometry.apertures import Aperture, Apertures, dumps

__all__ = ["load_apertures", "store_apertures"]

_FIELDS = [field.name for field in dataclasses.fields(Aperture)]


def store_apertures(session: Session, apertures: Apertures, origin: str, source: str, now: dt.datetime) -> models.ApertureSet:
    """Store a set of apertures; the same set from the same source is stored once."""
    mark = digest([dumps(apertures), origin, source])
    same = select(models.ApertureSet).where(models.ApertureSet.digest == mark)
    row = session.scalar(same)
    if row is not None:
        return row
    # another worker may be storing the same set for another version of the run
    values = {"digest": mark, "origin": origin, "source": source, "created_at": now}
    new = insert_into(session, models.ApertureSet).values(values).on_conflict_do_nothing(index_elements=["digest"])
    added = session.scalar(new.returning(models.ApertureSet.id))
    if added is not None:
        session.add_all(_rows(added, apertures))
        session.flush()
    return session.scalars(same).one()


def _rows(aperture_set_id: int, apertures: Apertures) -> Iterator[models.Aperture]:
    members = [(ccd, label, aperture) for ccd, inner in apertures.items() for label, aperture in inner.items()]
    for position, (ccd, label, aperture) in enumerate(members):
        values = {name: getattr(aperture, name) for name in _FIELDS}
        values["mask"] = [list(circle) for circle in aperture.mask]
        values["extra"] = [list(offset) for offset in aperture.extra]
        yield models.Aperture(aperture_set_id=aperture_set_id, ccd=ccd, label=label, position=position, **values)


def load_apertures(session: Session, aperture_set_id: int) -> Apertures:
    """Read a set of apertures, in its order."""
    found: Apertures = {}
    rows = session.scalars(
        select(models.Aperture).where(models.Aperture.aperture_set_id == aperture_set_id).order_by(models.Aperture.position)
    )
    for row in rows:
        values = {name: getattr(row, name) for name in _FIELDS}
        values["mask"] = tuple((dx, dy, r) for dx, dy, r in row.mask)
        values["extra"] = tuple((dx, dy) for dx, dy in row.extra)
        found.setdefault(row.ccd, {})[row.label] = Aperture(**values)
    return found
