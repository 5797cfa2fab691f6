"""The relay: sends what stands in the outbox, and marks it as sent once the broker has it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from celery import Celery
from kombu.connection import Connection
from kombu.entity import Exchange
from kombu.exceptions import OperationalError
from kombu.messaging import Producer
from sqlalchemy import exists, func, select, update

from roque.archive import Record
from roque.archive.models import Job, Outbox
from roque.archive.news import News
from roque.bus.app import JOB_TASK, SERVICES, dead_queue, is_memory, job_queue
from roque.errors import Transient
from roque.jobs.life import resend_all
from roque.jobs.outbox import clock
from roque.process import Stop
from roque.telemetry import logger

__all__ = ["EVENTS", "Relay", "unforked"]

EVENTS = Exchange("roque.events", type="topic", durable=True)
"""Exchange of events, for whoever listens: JSON with a schema version, the event's name as the routing key."""

BATCH = 500
LOOK_SECONDS = 0.03
"""Time between two looks for news."""

_LONGEST_PAUSE_SECONDS = 10.0
_PUBLISH_SECONDS = 10.0

# SQLite's locks, in memory as in files, do not survive a fork while another thread uses them: no fork during a look, and
# no connection between two
_no_fork = threading.Lock()
os.register_at_fork(before=_no_fork.acquire, after_in_parent=_no_fork.release, after_in_child=_no_fork.release)


class Relay:
    """A thread that sends as long as the body of the ``with`` runs; if it breaks, it takes the process with it.

    Parameters
    ----------
    record : Record
        Its own, used by no other thread.
    app : Celery
    broker : str
        URL of the broker. If that is memory, what was sent before has died with its process: every queued job is sent
        again, and events, which nobody can hear, only count as sent.
    """

    def __init__(self, record: Record, app: Celery, broker: str) -> None:
        self._record, self._app, self._memory = record, app, is_memory(broker)
        self._stop = Stop()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self.connected = False
        """Whether the broker is reached."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def age(self) -> float:
        """Seconds since the relay last looked around."""
        return self._stop.age

    def _run(self) -> None:
        try:
            self._begin()
            while not self._stop.is_set():
                self._connected()
        finally:
            if not self._stop.is_set():  # a worker without its relay would sit there and look well
                os.kill(os.getpid(), signal.SIGTERM)

    def _begin(self) -> None:
        while self._memory and not self._stop.is_set():
            try:
                with unforked(self._record), self._record.writing() as session:
                    resend_all(session, clock(session))
            except Transient as error:
                logger.warning("relay_waits", error=str(error))
                self._stop.wait(1.0)
            else:
                return

    def _connected(self) -> None:
        """Relay over one connection to the broker, until that breaks."""
        connection = self._app.connection_for_write()
        broken = (*connection.connection_errors, *connection.channel_errors, OperationalError, OSError)
        pause = 0.5
        try:
            with connection:
                producer = _declared(connection, memory=self._memory)
                self.connected = True
                news = News(self._record)
                while not self._stop.wait(LOOK_SECONDS):
                    if news.any():
                        self._look(producer)
        except (Transient, *broken) as error:
            self.connected = False
            logger.warning("relay_waits", error=str(error) or type(error).__name__, seconds=pause)
            self._stop.wait(pause)

    def _look(self, producer: Producer) -> None:
        with unforked(self._record):
            while not self._stop.is_set():
                with self._record.reading() as session:
                    if not session.scalar(select(exists().where(Outbox.sent_at.is_(None)))):
                        return
                if self._send(producer) < BATCH:
                    return

    def _send(self, producer: Producer) -> int:
        """Send a batch. A crash before the commit sends it twice, which changes nothing."""
        with self._record.writing() as session:
            rows = session.execute(
                select(Outbox.id, Outbox.topic, Outbox.payload, Outbox.job_id)
                .outerjoin(Job, Job.id == Outbox.job_id)
                .where(Outbox.sent_at.is_(None))
                .order_by(func.coalesce(Job.priority, 0).desc(), Outbox.id)
                .limit(BATCH)
                .with_for_update(of=Outbox, skip_locked=True)
            ).all()
            for _, topic, payload, job_id in rows:
                self._publish(producer, topic, payload, job_id)
            session.execute(update(Outbox).where(Outbox.id.in_([row.id for row in rows])).values(sent_at=clock(session)))
        return len(rows)

    def _publish(self, producer: Producer, topic: str, payload: dict[str, Any], job_id: str | None) -> None:
        area, _, service = topic.partition(".")
        if area == "job" and service in SERVICES:
            self._app.send_task(
                JOB_TASK, (payload,), task_id=job_id, queue=job_queue(service).name, producer=producer, retry=False
            )
        elif not self._memory:
            producer.publish(
                payload, exchange=EVENTS, routing_key=topic, serializer="json", delivery_mode=2, timeout=_PUBLISH_SECONDS
            )


def _declared(connection: Connection, *, memory: bool) -> Producer:
    """Make a producer; what it sends has somewhere to go, whoever is started first."""
    channel = connection.default_channel
    for queue in [job_queue(service) for service in SERVICES] + ([] if memory else [dead_queue()]):
        queue(channel).declare()
    if not memory:
        EVENTS(channel).declare()
    return Producer(channel)


@contextmanager
def unforked(record: Record) -> Iterator[None]:
    """Use a record in a process that forks, from a thread of its own."""
    with _no_fork:
        try:
            yield
        finally:
            if record.is_sqlite:
                record.close()
