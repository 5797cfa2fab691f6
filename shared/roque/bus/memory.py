"""kombu's memory transport with a bell: messages within one process, without polling.

The plain memory transport can only be polled, which costs an idle processor or time, and makes Celery use its other, thread
based pool, whose children share pipes and locks that a killed child takes with it. With a pipe that rings when there is
something to fetch, the worker runs the same event loop and the same pool as on RabbitMQ.
"""

from __future__ import annotations

import os
from contextlib import suppress
from queue import Empty
from typing import Any

from kombu.transport import memory

__all__ = ["Channel", "Transport", "wake"]


class _Bell:
    """A pipe to wait for: the one of this process."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self._writer, False)

    def ring(self) -> None:
        with suppress(BlockingIOError):  # full: it rings already
            os.write(self._writer, b"!")

    def silence(self) -> None:
        with suppress(BlockingIOError):
            while os.read(self.reader, 4096):
                pass


_bell = _Bell()


def wake() -> None:
    """Make the event loop of this process look around at once."""
    _bell.ring()


class Channel(memory.Channel):
    """Rings when a message can be fetched: one was put, or room was made for one."""

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        super()._put(queue, message, **kwargs)
        _bell.ring()

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """Acknowledge a message."""
        super().basic_ack(delivery_tag, multiple)
        _bell.ring()

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Reject a message."""
        super().basic_reject(delivery_tag, requeue)
        _bell.ring()

    def basic_consume(self, *args: Any, **kwargs: Any) -> None:
        """Begin to consume: messages may lie there already."""
        super().basic_consume(*args, **kwargs)
        _bell.ring()

    def basic_qos(self, *args: Any, **kwargs: Any) -> None:
        """Set how many messages may be under way."""
        super().basic_qos(*args, **kwargs)
        _bell.ring()


class Transport(memory.Transport):
    """Hands messages over when the bell rings, from an event loop."""

    Channel = Channel
    implements = memory.Transport.implements.extend(asynchronous=True)

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Listen to the bell."""
        loop.add_reader(_bell.reader, self._fetch)

    def _fetch(self) -> None:
        _bell.silence()
        with suppress(Empty):
            while self.cycle is not None:
                self.cycle.get(self._deliver)
