"""From the broker's queue of dead letters into the record, and back to where they died."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from kombu.connection import Connection
from kombu.messaging import Producer
from sqlalchemy.orm import Session

from roque.archive import Record
from roque.archive.models import DeadLetter
from roque.bus.topology import dead_queue
from roque.jobs.letters import Letter, store_letter
from roque.jobs.outbox import clock
from roque.telemetry import logger

__all__ = ["DeadLetters", "send_again"]

AT_ONCE = 50
"""Letters that are taken from the broker at a time."""


class DeadLetters:
    """Takes dead letters in: each is in the record before it is acknowledged.

    Not through Celery, which would throw away what it cannot read. Letters arrive while the connection is read, and are
    stored when the relay says so.

    Parameters
    ----------
    connection : Connection
        Of the relay; an error of it, or of the record, leaves the letters with the broker.
    """

    def __init__(self, connection: Connection) -> None:
        self._arrived: list[Any] = []
        self._channel = connection.channel()
        self._channel.auto_decode = False  # bytes, whatever the message says of itself
        self._channel.basic_qos(0, AT_ONCE, a_global=False)
        # the bare message: a library that reads it may fail on it
        self._channel.basic_consume(dead_queue().name, no_ack=False, callback=self._arrived.append)

    @property
    def any(self) -> bool:
        """Whether some have arrived."""
        return bool(self._arrived)

    def store(self, record: Record) -> None:
        """Store what has arrived, and let the broker forget it."""
        messages, self._arrived[:] = list(self._arrived), []
        with record.writing() as session:
            now = clock(session)
            for message in messages:
                letter = _letter(message)
                if store_letter(session, letter, now):
                    logger.warning("dead_letter", routing_key=letter.routing_key, size=len(letter.body))
        for message in messages:
            self._channel.basic_ack(message.delivery_tag)


def send_again(session: Session, number: Any, producer: Producer, publish: Callable[[Callable[..., Any]], None]) -> None:
    """Publish a letter as it was, less the marks of its death, to the queue it died in.

    Parameters
    ----------
    session : Session
        Of the record.
    number : int
        The letter.
    producer : Producer
    publish : function
        Calls what it is given, with properties of its own for the message.
    """
    letter = session.get_one(DeadLetter, number)
    properties = letter.properties
    named = {name: properties[name] for name in ("correlation_id",) if properties.get(name)}
    publish(
        partial(
            producer.publish,
            letter.body,
            exchange="",
            routing_key=letter.queue,
            headers={name: value for name, value in letter.headers.items() if not name.startswith("x-")},
            content_type=properties.get("content_type") or "application/octet-stream",
            content_encoding=properties.get("content_encoding") or "binary",
            **named,
            delivery_mode=2,
            mandatory=True,
        )
    )


def _letter(message: Any) -> Letter:
    properties = dict(message.properties)
    headers = properties.pop("application_headers", None)
    body = message.body
    return Letter(
        routing_key=str(message.delivery_info.get("routing_key", "")),
        properties=properties,
        headers=headers or {},
        body=body.encode() if isinstance(body, str) else bytes(body),  # an empty one comes as text
    )
