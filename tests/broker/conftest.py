"""A relay with a record and a broker of its own, without a worker: what lies in the queues stays there."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection
from sqlalchemy import func, select

from roque.archive import Record
from roque.archive.models import Outbox
from roque.archive.schema import upgrade
from roque.bus.app import make_app
from roque.bus.relay import Relay
from roque.bus.topology import job_queue
from roque.jobs.kinds import Kind
from roque.jobs.life import submit


class Post:
    """What is to be sent, and what has come to the broker."""

    def __init__(self, folder: Path, broker: str) -> None:
        self.broker = broker
        self.folder = folder
        self.record = Record(f"sqlite:///{folder / 'record.sqlite'}")
        upgrade(self.record)
        self.app = make_app(broker, print)

    def relay(self) -> Relay:
        return Relay(Record(f"sqlite:///{self.folder / 'record.sqlite'}"), self.app, self.broker)

    def submit(self, *numbers: int) -> list[str]:
        with self.record.writing() as session:
            return [
                submit(session, Kind.EXPORT_REDUCTION, {"reduction_id": number}, key_inputs=[number]).id for number in numbers
            ]

    def unsent(self) -> int:
        with self.record.reading() as session:
            return session.scalar(select(func.count()).where(Outbox.sent_at.is_(None)))

    def lying(self, queue: str = "exporter.v1") -> int:
        with Connection(self.broker) as connection:
            return connection.default_channel.queue_declare(queue, passive=True).message_count

    def take(self) -> Any:
        """One message from the exporter's queue."""
        with Connection(self.broker) as connection:
            message = job_queue("exporter")(connection.default_channel).get(no_ack=True)
            return message and message.payload

    def close(self) -> None:
        self.app.close()
        self.record.close()


@pytest.fixture
def post(tmp_path, rabbitmq_url):
    post = Post(tmp_path, rabbitmq_url)
    yield post
    post.close()


@pytest.fixture(scope="session")
def wait() -> Callable[..., Any]:
    """Wait until something is so."""

    def until(reached, seconds: float = 60.0):
        end = time.monotonic() + seconds
        while not (found := reached()):
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.05)
        return found

    return until
