"""What `roque doctor` looks at beyond this machine: the record, clocks, the broker and its queues, the work."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING

from roque.errors import RoqueError
from services.cli.findings import Finding, fail, ok, warn

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from roque.archive import Record
    from roque.bus.examine import BrokerFacts, QueueFacts
    from roque.settings import Settings

__all__ = ["servers"]

WRONG_SECONDS, BAD_SECONDS = 2.0, 15.0
"""Difference of two clocks that is worth a word, and one that is longer than a lease."""

LONG = dt.timedelta(minutes=3)
"""A job that is queued for so long is not taken up."""


def servers(settings: Settings) -> Iterator[Finding]:
    """Look at the record and the broker."""
    from roque.archive import Record
    from services.cli.app import sqlite_file

    file = sqlite_file(settings)
    if file is not None and not file.is_file():
        do = "'roque up' or 'roque night reduce FOLDER' makes it; or name the right home folder with --home"
        yield warn("record", f"{file} is not there yet", do)
    else:
        record = Record(settings.database)
        try:
            yield from _record(record)
        except RoqueError as error:
            yield _failed("record", error)
        finally:
            record.close()
    yield from _broker(settings)


def _record(record: Record) -> Iterator[Finding]:
    from roque.archive.schema import insist_on_tables

    with record.reading() as session:
        yield ok("record", f"{record.name} answers, {_version(session)}")
        yield _clock(session)
    try:
        insist_on_tables(record)
    except RoqueError as error:
        yield _failed("tables", error)
        return
    yield ok("tables", "those of this version")
    with record.reading() as session:
        yield from _partitions(session)
        yield _jump(session)
        yield from _work(session)


def _version(session: Session) -> str:
    from sqlalchemy import text

    if session.get_bind().dialect.name == "sqlite":
        return f"SQLite {session.scalar(text('SELECT sqlite_version()'))}"
    return f"PostgreSQL {session.scalar(text('SHOW server_version'))}"


def _clock(session: Session) -> Finding:
    from roque.jobs.outbox import clock

    before = dt.datetime.now(dt.UTC)
    server = clock(session)
    after = dt.datetime.now(dt.UTC)
    ahead = (server - (before + (after - before) / 2)).total_seconds()
    if abs(ahead) <= WRONG_SECONDS:
        return ok("clock", f"{after:%Y-%m-%d %H:%M:%S} UTC, as the record has it")
    judge = fail if abs(ahead) > BAD_SECONDS else warn
    return judge("clock", f"the record's clock differs by {ahead:+.1f} s from this machine's", "set both by NTP")


def _jump(session: Session) -> Finding:
    """Whether rows are there that were written later than now."""
    from sqlalchemy import func, select

    from roque.archive.models import Job, Outbox
    from roque.jobs.outbox import clock

    now = clock(session)
    newest = [session.scalar(select(func.max(column))) for column in (Outbox.created_at, Job.created_at, Job.started_at)]
    ahead = max((time - now for time in newest if time is not None), default=dt.timedelta(0))
    if ahead.total_seconds() <= WRONG_SECONDS:
        return ok("time of rows", "no row is of the future")
    do = "correct the clock, or wait: jobs that were put back until a later time start when it has come; 'roque job retry ID'"
    return warn("time of rows", f"the clock has gone back: there are rows of {_long(ahead)} from now", do)


def _partitions(session: Session) -> Iterator[Finding]:
    from roque.archive.partitions import FEWEST_AHEAD, partitions_ahead

    if session.get_bind().dialect.name != "postgresql":
        return
    ahead = partitions_ahead(session, dt.datetime.now(dt.UTC).date())
    text = f"{ahead} months of measurements are prepared ahead"
    do = "start the planner, which makes them; its log says what hinders it"
    yield ok("partitions", text) if ahead >= FEWEST_AHEAD else warn("partitions", text, do)


def _work(session: Session) -> Iterator[Finding]:
    """Whether the jobs that are queued are taken up, and whether some have failed."""
    from sqlalchemy import func, select

    from roque.archive.models import DeadLetter, Job
    from roque.jobs.outbox import clock

    now = clock(session)
    counts = dict(session.execute(select(Job.state, func.count()).where(Job.state != "done").group_by(Job.state)).all())
    text = ", ".join(f"{counts[state]} {state}" for state in ("running", "queued", "waiting", "failed") if counts.get(state))
    stale = session.execute(
        select(Job.service, func.min(Job.queued_at)).where(Job.state == "queued").group_by(Job.service)
    ).all()
    lately = set(session.scalars(select(Job.service).where(Job.started_at > now - LONG).distinct()))
    idle = [(service, since) for service, since in stale if now - since > LONG and service not in lately]
    for service, since in idle:
        do = f"start one: 'roque up', or python -m services.{service}; its log says what hinders it"
        yield warn("work", f"no worker takes the jobs of {service}: one is queued for {_long(now - since)}", do)
    letters = session.scalar(select(func.count()).where(DeadLetter.state == "new"))
    if letters:
        yield warn("dead letters", f"{letters} messages that nobody could read", "'roque job dead list' shows them")
    if counts.get("failed"):
        yield warn("work", f"jobs: {text}", "'roque run list --state failed' says why; mend it, then 'roque run retry'")
    elif not idle:
        yield ok("work", f"jobs: {text}" if text else "nothing is left to do")


def _broker(settings: Settings) -> Iterator[Finding]:
    from roque.bus.app import is_memory
    from roque.bus.examine import examine

    if is_memory(settings.broker):
        yield ok("broker", "broker_url is not set: messages stay in the process of the worker")
        return
    try:
        facts = examine(settings.broker)
    except RoqueError as error:
        yield _failed("broker", error)
        return
    yield ok("broker", f"{facts.name} answers, {facts.product}")
    yield from _queues(facts)


def _queues(facts: BrokerFacts) -> Iterator[Finding]:
    wrong = [queue for queue in facts.declared if queue.wrong]
    for queue in wrong:
        yield _other(queue)
    missing = [queue.name for queue in facts.declared if queue.messages is None and queue.name.endswith(".v1")]
    lying = [f"{queue.name} {queue.messages}" for queue in facts.declared if queue.messages]
    if missing:
        yield warn("queues", f"not declared yet: {', '.join(missing)}", "start a worker: it declares them")
    elif not wrong:
        yield ok(
            "queues",
            "quorum queues with delivery limit 5 and dead letters" + (f"; messages: {', '.join(lying)}" if lying else ""),
        )
    dead = sum(queue.messages or 0 for queue in facts.declared if queue.name.startswith("dead."))
    if dead:
        yield warn("dead letters", f"the broker has {dead} that nobody could read", "start a worker: it takes them in")
    if facts.delays:
        yield ok("delay queues", "28 queues celery_delayed_0 to 27 are Celery's own: expected, and empty")


def _other(queue: QueueFacts) -> Finding:
    what = "queue" if queue.name.endswith(".v1") else "exchange"
    do = (
        f"stop the workers, rabbitmqctl delete_queue {queue.name}, start them: they declare it anew and every job is sent again"
        if what == "queue"
        else "stop the workers, delete it in the broker, start them: they declare it anew"
    )
    return fail("queues", f"{what} {queue.name} was declared with other arguments: {queue.wrong}", do)


def _failed(name: str, error: RoqueError) -> Finding:
    where = ", ".join(part for part in (error.file, error.place) if part)
    return fail(name, f"{where}: {error.message}" if where else error.message, error.remedy or "")


def _long(time: dt.timedelta) -> str:
    seconds = int(time.total_seconds())
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
