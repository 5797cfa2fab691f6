"""Where targets are in the sky, as somebody said: better than where the telescope pointed."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from roque.archive.models import Run, Target
from roque.errors import BadInput, NotFound

__all__ = ["find_target", "forget_target", "list_targets", "runs_of_targets", "set_target"]

_LONGEST = 128  # characters of a name, as of the object of a run


def find_target(session: Session, name: str) -> Target | None:
    """Find the target of a name; upper and lower case, blanks and underscores do not matter."""
    key = _key(name)
    return session.get(Target, key) if key else None


def list_targets(session: Session) -> list[Target]:
    """All targets, by name."""
    return list(session.scalars(select(Target).order_by(Target.key)))


def runs_of_targets(session: Session) -> Counter[str]:
    """Count the runs in use of each object, by the key of its target."""
    rows = session.execute(select(Run.object, func.count()).where(Run.state.in_(("growing", "complete"))).group_by(Run.object))
    found: Counter[str] = Counter()
    for name, number in rows:
        found[_key(name)] += number
    return found


def set_target(session: Session, name: str, ra: float, dec: float, now: dt.datetime) -> Target:
    """Keep the position of a target, in place of one that is there.

    Parameters
    ----------
    session : Session
        An open transaction of the record.
    name : str
        As runs call it: their object.
    ra, dec : float
        ICRS, degrees, at the time of observation.
    now : datetime

    Raises
    ------
    BadInput
        There is no name, or it is too long; or there is no such place in the sky.
    """
    key = _key(name)
    if not key or len(name) > _LONGEST:
        raise BadInput("not a name of a target", place=repr(name[:_LONGEST]), remedy="name it as runs do: see 'roque run list'")
    if not (0.0 <= ra <= 360.0 and -90.0 <= dec <= 90.0):
        raise BadInput("not a position in the sky", place=f"RA {ra}, Dec {dec}", remedy="give degrees, ICRS")
    target = session.get(Target, key) or Target(key=key)
    target.name, target.ra, target.dec, target.said_at = name.strip(), ra, dec, now
    session.add(target)
    return target


def forget_target(session: Session, name: str) -> Target:
    """Take a target out.

    Raises
    ------
    NotFound
        There is none of this name.
    """
    target = find_target(session, name)
    if target is None:
        raise NotFound("no such target", place=name, remedy="'roque target list' shows which there are")
    session.delete(target)
    return target


def _key(name: str) -> str:
    """A name as it is compared: observers write NN Ser, NNSer and nn_ser."""
    return re.sub(r"[\s_]+", "", name.casefold())
