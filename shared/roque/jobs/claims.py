"""A job in a worker's hands: claimed by one, kept by a heartbeat (`roque.jobs.heartbeat`), answered once."""

from __future__ import annotations

import datetime as dt
import errno
import traceback
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from typing import Any, cast
from uuid import uuid4

from sqlalchemy import ColumnElement, Select, Table, bindparam, exists, false, func, or_, select, text, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from roque.archive import Record
from roque.archive.models import Job, JobNeed
from roque.archive.session import not_lasting
from roque.errors import RoqueError, Superseded, Transient
from roque.jobs.life import fail_row, send_again, wake_dependants
from roque.jobs.outbox import clock, clock_of

__all__ = ["LEASE", "TRIES", "Claim", "LostClaim", "claim", "describe", "fail", "finish", "renew"]

LEASE = dt.timedelta(seconds=15)
"""How long a claim holds without a renewal."""

TRIES = 3
"""How often a job may end in an error that nobody foresaw."""

BACK_OFF_SECONDS = 30.0
"""Longest wait before a job is tried again: what failed may be back for no more than a minute before work goes on."""

_WORLD = {
    code
    for name in ("ENOSPC", "EDQUOT", "EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "EBUSY", "EIO", "ESTALE", "ETIMEDOUT", "EHOSTDOWN")
    if (code := getattr(errno, name, None)) is not None
}

# the statements that every job needs are built once, on the bare tables: that is half their price
_JOB, _NEED = cast(Table, Job.__table__), cast(Table, JobNeed.__table__)
_ASKED = select(_JOB.c.priority).where(_JOB.c.id == bindparam("asked")).scalar_subquery()


def _more_urgent(kinds: ColumnElement[bool]) -> Select[tuple[str]]:
    waiting = text("job.state = 'queued' AND job.priority > 0")  # as in the index
    return select(_JOB.c.id).where(waiting, _JOB.c.priority > _ASKED, kinds).correlate(None)


def _take(*which: ColumnElement[bool]) -> ReturningUpdate[Any]:
    taken = update(_JOB).where(_JOB.c.state == "queued", *which)
    return taken.values(
        state="running",
        claim_token=bindparam("token"),
        lease_until=bindparam("until"),
        attempts=_JOB.c.attempts + 1,
        worker=bindparam("who"),
        started_at=bindparam("now"),
    ).returning(
        *(_JOB.c[name] for name in ["id", "kind", "key", "parameters", "run_id", "reduction_id", "trace", "attempts"]),
        not_lasting(),  # a claim that a crash of the server takes back is lost: the answer is refused, the job sent again
    )


@cache
def _take_asked(instead: tuple[str, ...]) -> ReturningUpdate[Any]:
    kinds = or_(false(), *(_JOB.c.kind == kind for kind in instead))
    return _take(_JOB.c.id == bindparam("asked"), ~exists(_more_urgent(kinds)))


_URGENT = (  # what goes before the one that is asked for, and nobody else is just taking
    _more_urgent(_JOB.c.kind.in_(bindparam("instead", expanding=True)))
    .order_by(_JOB.c.priority.desc(), _JOB.c.queued_at, _JOB.c.id)
    .limit(1)
    .with_for_update(skip_locked=True)
    .scalar_subquery()
)
_TAKE_URGENT = _take(_JOB.c.id == func.coalesce(_URGENT, bindparam("asked")))
_FINISH = (
    update(_JOB)
    .where(_JOB.c.id == bindparam("mine"), _JOB.c.claim_token == bindparam("token"), _JOB.c.state == "running")
    .values(
        state="done",
        result=bindparam("made"),
        error=None,
        claim_token=None,
        lease_until=None,
        finished_at=bindparam("now"),
    )
    .returning(exists().where(_NEED.c.needs_id == _JOB.c.id))
)


class LostClaim(Exception):
    """Somebody else has the job now, or it was cancelled: whatever this worker made of it is not recorded."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A job as it stood when it was claimed, and the token that proves it."""

    id: str
    kind: str
    key: str
    parameters: dict[str, Any]
    run_id: int | None
    reduction_id: int | None
    trace: str | None
    attempt: int  # from 1
    token: str
    worker: str
    lease: dt.timedelta


def claim(
    record: Record, job_id: str, worker: str, *, instead: Collection[str] = (), lease: dt.timedelta = LEASE
) -> Claim | None:
    """Take a queued job; of any number of workers that try, one gets it.

    Where a more urgent job of a kind in `instead` is queued, that one is taken, and the one that was asked for goes to the end
    of its queue with a new message: however many messages stand before it in the broker, the most urgent job has the next
    worker that is free.

    Parameters
    ----------
    record : Record
    job_id : str
    worker : str
        Who claims it, by `roque.jobs.workers.process_name`.
    instead : collection of str
        Kinds of jobs that this worker could do as well.
    lease : timedelta
        How long it is this worker's without a renewal.

    Returns
    -------
    Claim or None
        None: there is no such job, or it is not to be done now. The message that led here has no more to say.
    """
    token = str(uuid4())
    now = clock_of(record)
    what = {"asked": job_id, "token": token, "until": now + lease, "who": worker, "now": now}
    row = record.at_once(_take_asked(tuple(instead)), what)  # which does, mostly
    if row is None:  # there is nothing to do, or something else before it
        with record.writing() as session:
            row = session.execute(_TAKE_URGENT, {**what, "instead": list(instead)}).one_or_none()
            if row is not None and row.id != job_id:
                send_again(session, now, job_id)
    if row is None:
        return None
    return Claim(
        id=row.id,
        kind=row.kind,
        key=row.key,
        parameters=row.parameters,
        run_id=row.run_id,
        reduction_id=row.reduction_id,
        trace=row.trace,
        attempt=row.attempts,
        token=token,
        worker=worker,
        lease=lease,
    )


def renew(record: Record, held: Claim) -> bool:
    """Lengthen the lease; false if the claim is lost."""
    with record.writing(lasting=False) as session:
        found = session.execute(
            update(Job).where(*_mine(held)).values(lease_until=clock(session) + held.lease).returning(Job.id)
        ).all()
    return bool(found)


def finish(record: Record, held: Claim, store: Callable[[Session], None], result: dict[str, Any]) -> None:
    """Record that a job is done, with all that it made, in one transaction.

    Parameters
    ----------
    record : Record
    held : Claim
    store : callable
        Writes rows, products and events into the session it is given. It may be called again with another session if the
        transaction was rolled back.
    result : dict
        A short summary, as JSON.

    Raises
    ------
    LostClaim
        The job is somebody else's by now; nothing was written.
    Transient
        The database did not take it; nothing was written, or all of it and the word of that was lost on the way.
    """
    with record.writing() as session:
        now = clock(session)
        what = {"mine": held.id, "token": held.token, "made": result, "now": now}
        needed = session.connection().scalars(_FINISH, what).all()  # without the detour for objects of the session
        if not needed:
            raise LostClaim(held.id)
        store(session)
        session.flush()
        if needed[0]:
            wake_dependants(session, now, held.id)


def fail(record: Record, held: Claim, error: BaseException) -> str | None:
    """Record how a job went wrong, and put it back if another try can help.

    Parameters
    ----------
    error : exception
        `Transient` and a full disk: back to waiting, with a growing delay, without limit. `Superseded`: cancelled. Any other
        `RoqueError`: failed. Everything else: tried `TRIES` times, then failed.

    Returns
    -------
    str or None
        The new state; None if the claim was lost, and nothing was written.
    """
    answer = describe(error)
    with record.writing() as session:
        now = clock(session)
        before = session.execute(select(Job.error).where(*_mine(held)).with_for_update()).one_or_none()
        if before is None:
            return None
        if isinstance(error, Superseded):
            session.execute(
                update(Job)
                .where(*_mine(held))
                .values(state="cancelled", reason=error.message, claim_token=None, lease_until=None, finished_at=now)
            )
            wake_dependants(session, now, held.id)
            return "cancelled"
        # foreseen or not, the count goes with the job from try to try
        answer["surprises"] = (before.error or {}).get("surprises", 0) + (answer["code"] == "unexpected")
        if not answer["retry_safe"] or answer["surprises"] >= TRIES:
            return "failed" if fail_row(session, now, _mine(held), answer) else None
        session.execute(
            update(Job)
            .where(*_mine(held))
            .values(
                state="waiting",
                error=answer,
                not_before=now + dt.timedelta(seconds=_delay(held)),
                claim_token=None,
                lease_until=None,
            )
        )
    return "waiting"


def describe(error: BaseException) -> dict[str, Any]:
    """Put an error into the form that the record keeps: code, message, file, place, remedy, retry_safe."""
    if isinstance(error, RoqueError):
        return {
            "code": error.code,
            "message": error.message,
            "file": error.file,
            "place": error.place,
            "remedy": error.remedy,
            "retry_safe": isinstance(error, Transient),
        }
    if isinstance(error, OSError) and error.errno in _WORLD:
        return {
            "code": Transient.code,
            "message": (error.strerror or str(error)).lower(),
            "file": str(error.filename) if error.filename is not None else None,
            "place": None,
            "remedy": "make room, or bring the disk back: the job is tried again by itself",
            "retry_safe": True,
        }
    return {
        "code": "unexpected",
        "message": f"{type(error).__name__}: {error}",
        "file": None,
        "place": _last_line(error),
        "remedy": "this is a fault of roque: please report it with the traceback",
        "retry_safe": True,
        "traceback": "".join(traceback.format_exception(error))[-20_000:],
    }


def _last_line(error: BaseException) -> str | None:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].name}, line {frames[-1].lineno}" if frames else None


def _delay(held: Claim) -> float:
    # 1, 2, 4 ... 30 s; a quarter more or less by the job's name, so that jobs that failed together do not return together
    spread = zlib.crc32(f"{held.id} {held.attempt}".encode()) / 2**32
    return min(BACK_OFF_SECONDS, 2.0 ** min(held.attempt - 1, 10)) * (0.75 + 0.5 * spread)


def _mine(held: Claim) -> tuple[Any, ...]:
    return Job.id == held.id, Job.claim_token == held.token, Job.state == "running"
