"""The outbox: messages that are written with the change they tell of, and sent after it is committed."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, Pool, delete, func, insert, select
from sqlalchemy.orm import Session

from roque.archive import Record
from roque.archive.models import Outbox

__all__ = ["SCHEMA", "clock", "clock_of", "emit", "emit_work", "sweep_outbox"]

SCHEMA = 1
"""Version of the form of every message."""

TOLD_SECONDS = 5.0
"""How long this machine counts the seconds itself before it asks the server for the time again."""

_told: WeakKeyDictionary[Pool, tuple[dt.datetime, float]] = WeakKeyDictionary()
_ASK = select(func.clock_timestamp())


def clock(session: Session) -> dt.datetime:
    """Time that all who share the record agree on: that of the database server, or of this machine for a file.

    A process asks the server every few seconds, and counts them itself in between.
    """
    engine = session.get_bind().engine
    now = _known(engine)
    if now is None:
        now = session.scalars(_ASK).one().astimezone(dt.UTC)
        _told[engine.pool] = now, _counted()
    return now


def clock_of(record: Record) -> dt.datetime:
    """Give the same time to who has no session."""
    now = _known(record.engine)
    if now is None:
        with record.reading() as session:
            now = clock(session)
    return now


def _known(engine: Engine) -> dt.datetime | None:
    if engine.dialect.name != "postgresql":
        return dt.datetime.now(dt.UTC)
    told, when = _told.get(engine.pool, (None, 0.0))
    passed = _counted() - when
    return None if told is None or passed > TOLD_SECONDS else told + dt.timedelta(seconds=passed)


def _counted() -> float:
    # unlike the monotonic clock this one goes on while a laptop sleeps
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def emit(session: Session, topic: str, payload: dict[str, Any], *, job_id: str | None = None) -> None:
    """Tell the world that something happened, if and when this transaction is committed.

    Parameters
    ----------
    topic : str
        Name of the event: ``run.registered``, ``product.ready`` ...
    payload : dict
        What happened: ids and names, no data.
    """
    row = {"topic": topic, "job_id": job_id, "payload": {"v": SCHEMA, **payload}, "created_at": clock(session)}
    session.execute(insert(Outbox).values(row))


def emit_work(session: Session, jobs: Sequence[tuple[str, str]], now: dt.datetime) -> None:
    """Send jobs, given as (id, service), to the queues of their services."""
    if jobs:
        session.execute(
            insert(Outbox),
            [
                {"topic": f"job.{service}", "job_id": job, "payload": {"v": SCHEMA, "job": job}, "created_at": now}
                for job, service in jobs
            ],
        )


def sweep_outbox(session: Session, now: dt.datetime, older_than: dt.timedelta = dt.timedelta(hours=1)) -> int:
    """Remove messages that were sent long ago.

    Returns
    -------
    int
        How many.
    """
    gone = session.execute(delete(Outbox).where(Outbox.sent_at < now - older_than))
    return int(gone.rowcount)  # type: ignore[attr-defined]
