"""The relay: sends what stands in the outbox, and marks it as sent once the broker has it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any, Self

from celery import Celery
from kombu.exceptions import OperationalError
from kombu.messaging import Producer
from sqlalchemy import Row, func, select, update
from sqlalchemy.orm import Session

from roque.archive import Record
from roque.archive.models import Job, Outbox
from roque.archive.news import News
from roque.bus.app import is_memory, send_job
from roque.bus.confirms import Confirms
from roque.bus.consumer import JOB_ENDED
from roque.bus.letters import DeadLetters, send_again
from roque.bus.topology import EVENTS, SERVICES, declare
from roque.errors import BadInput, Transient, Unreachable
from roque.jobs.letters import REPLAY
from roque.jobs.life import resend_all
from roque.jobs.outbox import clock
from roque.process import Stop
from roque.telemetry import logger

__all__ = ["Relay", "unforked"]

BATCH = 500
REST_SECONDS = 0.015
"""Time after a look because of a job that has ended: of many short jobs not each is looked at."""

_PAUSE_SECONDS = 0.5

_ANY = select(Outbox.id).where(Outbox.sent_at.is_(None)).limit(1)

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
        """Whether the broker is reached, and takes messages."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        JOB_ENDED.set()  # which it waits for
        self._thread.join()

    @property
    def age(self) -> float:
        """Seconds since the relay last looked around; 0 before it has begun."""
        return self._stop.age if self._thread.is_alive() else 0.0

    def _run(self) -> None:
        try:
            self._begin()
            while not self._stop.is_set():
                self._connected()
        except BadInput:  # was told
            pass
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
        confirms = Confirms(self._app)
        connection = confirms.connection
        broken = (*connection.connection_errors, *connection.channel_errors, OperationalError, OSError)
        try:
            with connection:
                declare(connection)
                producer = Producer(connection.default_channel) if self._memory else confirms.begin()
                letters = None if self._memory else DeadLetters(connection)
                news = News(self._record)
                ended = False
                while not self._stop.wait(REST_SECONDS if ended else 0):
                    # the next of a chain of jobs is not to wait until it is time for a look
                    if ended := JOB_ENDED.wait(news.every):
                        JOB_ENDED.clear()
                    if letters is not None:
                        confirms.serve()
                        if letters.any:
                            with unforked(self._record):
                                letters.store(self._record)
                    self.connected = not confirms.blocked
                    if self.connected and (ended or news.any()):
                        self._look(producer, confirms)
        except BadInput as error:  # nobody but a person can put that right
            logger.error("relay_ends", error=str(error))
            raise
        except (Transient, *broken) as error:
            logger.warning("relay_waits", error=str(error) or type(error).__name__, seconds=_PAUSE_SECONDS)
            self._stop.wait(_PAUSE_SECONDS)
        finally:
            self.connected = False

    def _look(self, producer: Producer, confirms: Confirms) -> None:
        with unforked(self._record):
            while not self._stop.is_set() and not confirms.blocked:
                if self._record.at_once(_ANY, {}) is None:
                    return
                if self._send(producer, confirms) < BATCH:
                    return

    def _send(self, producer: Producer, confirms: Confirms) -> int:
        """Send a batch, and mark what the broker has. A crash before that is on the disk sends it twice: it changes nothing."""
        with self._record.writing(lasting=False) as session:
            rows = session.execute(
                select(Outbox.id, Outbox.topic, Outbox.payload, Outbox.job_id)
                .outerjoin(Job, Job.id == Outbox.job_id)
                .where(Outbox.sent_at.is_(None))
                .order_by(func.coalesce(Job.priority, 0).desc(), Outbox.id)
                .limit(BATCH)
                .with_for_update(of=Outbox, skip_locked=True)
            ).all()
            for row in rows:
                self._publish(session, producer, confirms, row)
            sent = [row.id for row in rows]
            if not self._memory:
                confirmed = confirms.settle()
                sent = [number for number in sent if str(number) in confirmed]
            session.execute(update(Outbox).where(Outbox.id.in_(sent)).values(sent_at=clock(session)))
        if len(sent) < len(rows) and not confirms.blocked:
            # with a new connection everything is declared again: somebody may have deleted a queue
            raise Unreachable(f"{len(rows) - len(sent)} messages were not taken by the broker", remedy="they are sent again")
        return len(rows)

    def _publish(self, session: Session, producer: Producer, confirms: Confirms, row: Row[Any]) -> None:
        area, _, service = row.topic.partition(".")
        if area == "job" and service in SERVICES:
            send = partial(send_job, producer, service, row.job_id, row.payload)
            if self._memory:
                send()
            else:
                confirms.publish(str(row.id), partial(send, mandatory=True))
        elif row.topic == REPLAY and not self._memory:
            send_again(session, row.payload.get("letter"), producer, partial(confirms.publish, str(row.id)))
        elif not self._memory:
            event = partial(producer.publish, row.payload, exchange=EVENTS, routing_key=row.topic, serializer="json")
            confirms.publish(str(row.id), partial(event, delivery_mode=2))


@contextmanager
def unforked(record: Record) -> Iterator[None]:
    """Use a record in a process that forks, from a thread of its own."""
    with _no_fork:
        try:
            yield
        finally:
            if record.is_sqlite:
                record.close()
