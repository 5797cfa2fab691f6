"""From a message to an answer: the one way in which every job of every service is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from roque.archive import Record
from roque.archive.products import ProductStore
from roque.errors import Transient
from roque.jobs.claims import Claim, LostClaim, claim, describe, fail, finish
from roque.jobs.heartbeat import Heartbeat
from roque.jobs.kinds import Kind, Parameters, read_parameters
from roque.settings import Settings
from roque.telemetry import about, logger

__all__ = ["Context", "Handler", "JobSnapshot", "Outcome", "run_job"]

PATIENCE_SECONDS = 60.0
"""How long a worker holds on to an answer that the database does not take."""

CLAIM_SECONDS = 10.0
"""How long a worker holds on to a message whose job it cannot claim: handed back a few times, the broker gives it up."""

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Context:
    """What a handler works with."""

    record: Record
    settings: Settings
    products: ProductStore


@dataclass(frozen=True, kw_only=True)
class JobSnapshot:
    """A job as its handler sees it."""

    id: str
    kind: Kind
    key: str
    parameters: Parameters
    run_id: int | None
    reduction_id: int | None
    attempt: int  # from 1
    go_on: Callable[[], None]  # to be called now and then in long work: raises LostClaim when that is for nothing


def _nothing(session: Session) -> None:
    """Store nothing."""


@dataclass(frozen=True)
class Outcome:
    """What a handler made: a function that writes it into the transaction that ends the job, and a short summary.

    `store` may be called again, with another session, if the transaction was rolled back.
    """

    store: Callable[[Session], None] = _nothing
    result: dict[str, Any] = field(default_factory=dict)


Handler = Callable[[Context, JobSnapshot], Outcome]
"""Does a job. Raises BadInput if the data are at fault, Transient if another try helps."""


def run_job(context: Context, handlers: Mapping[Kind, Handler], job_id: str, worker: str) -> str | None:
    """Do a job, if it is there to be done, or one that is more urgent, and record how it ended.

    Parameters
    ----------
    context : Context
    handlers : mapping of Kind to Handler
        What this process can do.
    job_id : str
    worker : str
        This process, by `roque.jobs.workers.process_name`.

    Returns
    -------
    str or None
        State of the job now; None if it was not this worker's to do, or no longer.

    Raises
    ------
    Transient
        The database does not answer; the job is as it was, or its lease runs out.
    """
    kinds = [kind.value for kind in handlers]
    held = _insist(lambda: claim(context.record, job_id, worker, instead=kinds), CLAIM_SECONDS)
    if held is None:
        logger.debug("not_claimed", job=job_id)
        return None
    keys = {"job": held.id, "kind": held.kind, "run": held.run_id, "reduction": held.reduction_id, "trace": held.trace}
    with about(**keys), Heartbeat(context.record, held) as heartbeat:
        try:
            return _do(context, handlers, held, heartbeat)
        except LostClaim:
            logger.warning("claim_lost")
            return None


def _do(context: Context, handlers: Mapping[Kind, Handler], held: Claim, heartbeat: Heartbeat) -> str | None:
    started = time.perf_counter()
    try:
        job = _snapshot(held, handlers, heartbeat)
        outcome = handlers[job.kind](context, job)
        _insist(lambda: finish(context.record, held, outcome.store, outcome.result))
    except LostClaim:
        raise
    except Exception as caught:  # noqa: BLE001 - the boundary of the process: whatever it is, it is recorded
        error = caught
        state = _insist(lambda: fail(context.record, held, error))
        logger.warning("job_not_done", state=state, error=str(error), exc_info="traceback" in describe(error))
        return state
    logger.info("job_done", seconds=round(time.perf_counter() - started, 3), attempt=held.attempt)
    return "done"


def _snapshot(held: Claim, handlers: Mapping[Kind, Handler], heartbeat: Heartbeat) -> JobSnapshot:
    if held.kind not in handlers:
        # while an upgrade rolls through, another worker of the queue may know it
        raise Transient(f"this worker knows no job of the kind {held.kind}", remedy="bring every worker to the same version")
    kind = Kind(held.kind)
    return JobSnapshot(
        id=held.id,
        kind=kind,
        key=held.key,
        parameters=read_parameters(kind, held.parameters),
        run_id=held.run_id,
        reduction_id=held.reduction_id,
        attempt=held.attempt,
        go_on=heartbeat.insist,
    )


def _insist(action: Callable[[], _Answer], seconds: float = PATIENCE_SECONDS) -> _Answer:
    # an answer that took minutes to find is not thrown away because the database restarts for seconds
    patience = time.monotonic() + seconds
    delay = 0.1
    while True:
        try:
            return action()
        except Transient:
            if time.monotonic() > patience:
                raise
            time.sleep(delay)
            delay = min(2 * delay, 5.0)
