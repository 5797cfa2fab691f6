"""The life of a job as its owner and the planner see it: submitted, woken, sent again, retried, cancelled.

Every function looks at what the record says now and does what is missing, so it can be called at any time, twice, or by
two planners at once. `roque.jobs.claims` has the worker's side.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, func, literal_column, or_, select, update
from sqlalchemy.orm import Session, aliased

from roque.archive.models import Job, JobNeed, Outbox, Run
from roque.archive.session import insert_into
from roque.errors import Conflict, NotFound
from roque.jobs.keys import job_key, uuid7
from roque.jobs.kinds import ALGORITHM, SERVICE, Kind, Parameters, read_parameters
from roque.jobs.outbox import clock, emit, emit_work
from roque.jobs.workers import Fate, fate

__all__ = [
    "BY_USER",
    "LOST_LIMIT",
    "cancel",
    "forget_done",
    "requeue_expired",
    "resend",
    "resend_all",
    "retry",
    "send_again",
    "submit",
    "unfinished",
    "wake",
]

LOST_LIMIT = 3
"""Claims that may end without an answer before a job is taken for one that kills its worker."""

NEED_FAILED = "need_failed"
"""Code of the error of a job that was given up because one that it needs was."""

BY_USER = "cancelled by a user"
"""Reason of a job that is not to be begun again until a user says so."""

_ENDED_BADLY = ("failed", "cancelled")
_REMEMBERED = dt.timedelta(minutes=1)
_IN_ORDER = dt.timedelta(seconds=5)  # messages of one queue overtake each other by less than this


def submit(
    session: Session,
    kind: Kind | str,
    parameters: Parameters | Mapping[str, Any],
    *,
    key_inputs: Any,
    priority: int = 0,
    run_id: int | None = None,
    reduction_id: int | None = None,
    needs: Iterable[Job | str] = (),
    not_before: dt.datetime | None = None,
    reason: str | None = None,
    parent_id: str | None = None,
) -> Job:
    """Make sure that a job exists; the same key never makes two.

    A job that exists already is returned as it is, whatever became of it; but while it waits it takes over the `reason`
    given now (none: it is free to go) and needs it did not have. So a planner may submit what should exist at each look.

    Parameters
    ----------
    session : Session
        An open transaction of the record.
    kind, parameters
        What to do.
    key_inputs : JSON value
        All that decides the result, by digest: with kind and algorithm version it makes the key.
    priority : int
        Larger goes first.
    run_id, reduction_id : int or None
        What the job is about.
    needs : iterable of Job or id
        Jobs that must be done before; if one fails, this one fails too.
    not_before : datetime or None
        When it may start at the earliest.
    reason : str or None
        What it waits for beside its needs, in words ("flat r, binning 2x2"): it waits until submitted again without.
    parent_id : str or None
        The job that led to it.

    Returns
    -------
    Job
        The row, in this session.

    Raises
    ------
    BadInput
        The parameters are not those of the kind.
    """
    kind = Kind(kind)
    checked = parameters if isinstance(parameters, Parameters) else read_parameters(kind, parameters)
    key = job_key(kind, key_inputs, ALGORITHM[kind])
    needed = [need if isinstance(need, str) else need.id for need in needs]
    now = clock(session)
    job: Job | None = session.scalar(select(Job).where(Job.key == key))
    if job is None:
        # one that nothing holds is queued at once: woken, it would be written twice
        free = reason is None and not needed and (not_before is None or not_before <= now)
        row = {
            "id": uuid7(),
            "kind": kind.value,
            "service": SERVICE[kind],
            "key": key,
            "parameters": checked.to_dict(),
            "priority": priority,
            "state": "queued" if free else "waiting",
            "reason": reason,
            "not_before": None if free else not_before,
            "run_id": run_id,
            "reduction_id": reduction_id,
            "parent_id": parent_id,
            "trace": select(Run.trace).where(Run.id == run_id).scalar_subquery() if run_id is not None else None,
            "created_at": now,
            "queued_at": now if free else None,
        }
        new = insert_into(session, Job).values(row).on_conflict_do_nothing(index_elements=["key"]).returning(Job)
        inserted: Job | None = session.scalars(new).first()
        if inserted is not None and free:
            emit_work(session, [(inserted.id, inserted.service)], now)
            return inserted
        job = inserted or session.scalars(select(Job).where(Job.key == key)).one()  # somebody was faster
    if job.state == "waiting":
        if needed:
            rows = [{"job_id": job.id, "needs_id": need} for need in needed]
            session.execute(insert_into(session, JobNeed).values(rows).on_conflict_do_nothing())
        job.reason = reason
        session.flush()
        wake(session, now, [job.id])
    return job


def wake(session: Session, now: dt.datetime, jobs: Sequence[str] | None = None) -> int:
    """Queue the waiting jobs that nothing holds any more; give up those that need a job which failed or was cancelled.

    Parameters
    ----------
    session : Session
        An open transaction of the record.
    now : datetime
        The time by `roque.jobs.outbox.clock`.
    jobs : sequence of ids or None
        Look at these only.

    Returns
    -------
    int
        How many jobs changed their state.
    """
    mine = [Job.id.in_(jobs)] if jobs is not None else []
    given_up = _give_up(session, now, mine)
    unfinished = aliased(Job)
    ready = [
        Job.state == "waiting",
        Job.reason.is_(None),
        or_(Job.not_before.is_(None), Job.not_before <= now),
        ~exists().where(JobNeed.job_id == Job.id, JobNeed.needs_id == unfinished.id, unfinished.state != "done"),
    ]
    return given_up + len(_queue(session, now, [*mine, *ready]))


def wake_dependants(session: Session, now: dt.datetime, job_id: str) -> None:
    """Do what `wake` does for those that need one job."""
    waiting = session.scalars(select(JobNeed.job_id).where(JobNeed.needs_id == job_id)).all()
    if waiting:
        wake(session, now, waiting)


def requeue_expired(session: Session, now: dt.datetime) -> int:
    """Put back the jobs whose worker is gone or has not renewed its lease; give up those that keep killing their worker.

    A claim that ended because the whole worker was stopped is not held against the job.

    Returns
    -------
    int
        How many jobs were taken from their workers.
    """
    changed = 0
    for job in session.scalars(select(Job).where(Job.state == "running")).all():
        end = fate(job.worker or "")
        late = job.lease_until is None or job.lease_until < now
        if not late and end not in (Fate.DEAD, Fate.DEAD_WITH_PARENT):
            continue
        lost = job.lost + (end is not Fate.DEAD_WITH_PARENT)
        held = [Job.id == job.id, Job.state == "running", Job.claim_token == job.claim_token]
        if late:  # a renewal since the look above is an answer
            held.append(or_(Job.lease_until.is_(None), Job.lease_until < now))
        if lost >= LOST_LIMIT:
            error = {
                "code": "worker_lost",
                "message": f"killed its worker {lost} times",
                "file": None,
                "place": None,
                "remedy": "see the worker's log and the system's for lack of memory, then retry the job",
                "retry_safe": False,
            }
            changed += fail_row(session, now, held, error, lost=lost)
        else:
            changed += len(_queue(session, now, held, lost=lost, claim_token=None, lease_until=None))
    return changed


def resend(session: Session, now: dt.datetime, older_than: dt.timedelta) -> int:
    """Send a fresh message for queued jobs whose message must be lost.

    A message is lost if others of its queue and priority that were sent clearly later have been taken up. Where a queue stands
    still for `older_than`, one message probes whether its workers live, unless one was sent since: if they do the rest follows
    at the next look, and if not an outage does not fill the broker with copies.

    Returns
    -------
    int
        How many were sent.
    """
    stale = [Job.state == "queued", Job.queued_at < now - older_than, ~_unsent(Job.id)]
    sent = 0
    for service, priority in session.execute(select(Job.service, Job.priority).where(*stale).distinct()).all():
        same = Job.service == service, Job.priority == priority
        newest = session.scalar(select(func.max(Job.queued_at)).where(*same, Job.started_at >= now - older_than))
        if newest is not None:
            sent += len(_queue(session, now, [*stale, *same, Job.queued_at < newest - _IN_ORDER]))
        elif not session.scalar(select(exists().where(Job.state == "queued", *same, Job.queued_at >= now - older_than))):
            oldest = session.scalars(select(Job.id).where(*stale, *same).order_by(Job.queued_at, Job.id).limit(1)).all()
            sent += len(_queue(session, now, [*stale, Job.id.in_(oldest)]))
    return sent


def resend_all(session: Session, now: dt.datetime) -> int:
    """Send a fresh message for every queued job: for a broker that has forgotten all of them.

    Returns
    -------
    int
        How many were sent.
    """
    return len(_queue(session, now, [Job.state == "queued", ~_unsent(Job.id)]))


def send_again(session: Session, now: dt.datetime, job_id: str) -> None:
    """Put a queued job at the end of its queue: its message was spent on another one."""
    _queue(session, now, [Job.id == job_id, Job.state == "queued"])


def retry(session: Session, job_id: str) -> Job:
    """Start a failed or cancelled job afresh, and with it those that were given up because of it.

    Raises
    ------
    NotFound
        There is no such job.
    Conflict
        The job has not failed.
    """
    job = _find(session, job_id)
    if job.state not in _ENDED_BADLY:
        raise Conflict(f"the job is {job.state}", place=f"job {job_id}", remedy="only failed or cancelled jobs are retried")
    now = clock(session)
    again = [job_id]
    for above in again:  # grows while it is read
        given_up = select(JobNeed.job_id).where(JobNeed.needs_id == above)
        again += [
            found.id
            for found in session.scalars(select(Job).where(Job.id.in_(given_up), Job.state == "failed"))
            if found.id not in again and (found.error or {}).get("code") == NEED_FAILED
        ]
    session.execute(
        update(Job)
        .where(Job.id.in_(again), Job.state.in_(_ENDED_BADLY))
        .values(
            state="waiting",
            reason=None,
            attempts=0,
            lost=0,
            error=None,
            not_before=None,
            finished_at=None,
            trace=select(Run.trace).where(Run.id == Job.run_id).scalar_subquery(),
        )
        .execution_options(synchronize_session="fetch")
    )
    wake(session, now, again)
    return job


def cancel(session: Session, job_id: str) -> Job:
    """Cancel a job that has not ended, as a user says; a worker at it finds its answer refused.

    Raises
    ------
    NotFound
        There is no such job.
    Conflict
        The job has ended already.
    """
    job = _find(session, job_id)
    now = clock(session)
    found = session.execute(
        update(Job)
        .where(Job.id == job_id, unfinished())
        .values(state="cancelled", reason=BY_USER, claim_token=None, lease_until=None, finished_at=now)
        .returning(Job.id)
    ).all()
    if not found:
        raise Conflict(f"the job is {job.state}", place=f"job {job_id}", remedy="only a job that has not ended is cancelled")
    wake_dependants(session, now, job_id)
    return job


def forget_done(
    session: Session, kind: Kind, reduction_id: int, now: dt.datetime, older_than: dt.timedelta = _REMEMBERED
) -> int:
    """Remove done jobs of a kind of a reduction, of which nothing but their number is left to know.

    A run that is reduced for a night while it grows has 10^5 ranges, and each look at it would go through all of them.

    Returns
    -------
    int
        How many were removed.
    """
    old = [Job.reduction_id == reduction_id, Job.kind == kind.value, Job.state == "done", Job.finished_at < now - older_than]
    gone = session.scalars(select(Job.id).where(*old, ~_unsent(Job.id))).all()
    session.execute(delete(Outbox).where(Outbox.job_id.in_(gone)))
    session.execute(delete(Job).where(Job.id.in_(gone)).execution_options(synchronize_session=False))
    return len(gone)


def unfinished() -> ColumnElement[bool]:
    """Jobs that wait, are queued or running."""
    return Job.state.in_([literal_column(f"'{state}'") for state in ("waiting", "queued", "running")])  # no parameters


def fail_row(
    session: Session, now: dt.datetime, where: Sequence[ColumnElement[bool]], error: dict[str, Any], **values: Any
) -> int:
    """End a job as failed if the conditions hold, tell of it, and give up those that need it."""
    failed = session.execute(
        update(Job)
        .where(*where)
        .values(state="failed", error=error, reason=None, claim_token=None, lease_until=None, finished_at=now, **values)
        .returning(Job.id, Job.kind, Job.run_id, Job.reduction_id)
    ).all()
    for job, kind, run_id, reduction_id in failed:
        about = {"job": job, "kind": kind, "run_id": run_id, "reduction_id": reduction_id}
        emit(session, "job.failed", {**about, "code": error["code"], "message": error["message"]})
        wake_dependants(session, now, job)
    return len(failed)


def _give_up(session: Session, now: dt.datetime, mine: Sequence[ColumnElement[bool]]) -> int:
    needed = aliased(Job)
    if not mine:
        # those that ended badly are few: through them, not through all that wait
        some = exists().where(JobNeed.needs_id == needed.id)
        bad = session.scalars(select(needed.id).where(needed.state.in_(_ENDED_BADLY), some)).all()
        mine = [needed.id.in_(bad)]
        if not bad:
            return 0
    hopeless = session.execute(
        select(Job.id, needed)
        .join(JobNeed, JobNeed.job_id == Job.id)
        .join(needed, needed.id == JobNeed.needs_id)
        .where(*mine, Job.state == "waiting", needed.state.in_(_ENDED_BADLY))
    ).all()
    count = 0
    for job, need in hopeless:
        why = need.error or {}
        what = need.kind.replace("_", " ")
        ending = f"failed: {why.get('message', 'no reason recorded')}" if need.state == "failed" else "was cancelled"
        error = {
            "code": NEED_FAILED,
            "message": f"needs another job, but {what} {ending}",
            "file": why.get("file"),
            "place": f"job {need.id}",
            "remedy": why.get("remedy") or f"retry job {need.id}: this one follows",
            "retry_safe": False,
        }
        count += fail_row(session, now, [Job.id == job, Job.state == "waiting"], error)
    return count


def _queue(session: Session, now: dt.datetime, where: Sequence[ColumnElement[bool]], **values: Any) -> list[str]:
    queued = session.execute(
        update(Job)
        .where(and_(*where))
        .values(state="queued", queued_at=now, not_before=None, worker=None, **values)
        .returning(Job.id, Job.service, Job.priority)
        .execution_options(synchronize_session="fetch")
    ).all()
    emit_work(session, [(job, service) for job, service, priority in sorted(queued, key=lambda row: (-row[2], row[0]))], now)
    return [job for job, _, _ in queued]


def _unsent(job_id: Any) -> ColumnElement[bool]:
    return exists().where(Outbox.job_id == job_id, Outbox.sent_at.is_(None))


def _find(session: Session, job_id: str) -> Job:
    job = session.get(Job, job_id)
    if job is None:
        raise NotFound("no such job", place=f"job {job_id}", remedy="see 'roque job list'")
    return job
