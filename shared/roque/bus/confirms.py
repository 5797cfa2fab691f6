"""Publishing in batches, and the broker's word for every single message of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any

from celery import Celery
from kombu.connection import Connection
from kombu.messaging import Producer

from roque.errors import Unreachable
from roque.telemetry import logger

__all__ = ["Confirms"]

ANSWER_SECONDS = 10.0
"""How long the broker may take to confirm a batch."""

_HEARTBEAT_SECONDS = 1.0


class Confirms:
    """A connection whose channel is in confirm mode: what was published is waited for together.

    One message at a time, the broker confirms a few hundred a second; in batches, some thousands.

    Parameters
    ----------
    app : Celery
        Knows the broker.

    Attributes
    ----------
    connection : Connection
        Open it with ``with``, then call `begin`.
    blocked : bool
        Whether the broker has said that it takes nothing for now: it lacks memory or disk.
    """

    def __init__(self, app: Celery) -> None:
        # not the confirms of the library, which wait for each message
        options = {**app.conf.broker_transport_options, "confirm_publish": False}
        options |= {"on_blocked": self._on_blocked, "on_unblocked": self._on_unblocked}
        self.connection: Connection = app.connection_for_write(transport_options=options)
        self.blocked = False
        self._published = 0
        self._waiting: dict[int, Hashable] = {}
        self._confirmed: set[Hashable] = set()
        self._returned: set[Hashable] = set()
        self._beaten = time.monotonic()

    def begin(self) -> Producer:
        """Make a producer whose messages the broker answers for; each goes out through `publish`."""
        channel = self.connection.channel()
        channel.confirm_select()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        return Producer(channel, on_return=self._on_return)

    def publish(self, key: str, send: Callable[..., Any]) -> None:
        """Send one message.

        Parameters
        ----------
        key : str
            Names it in the answer.
        send : function
            Publishes it with the arguments given, through the producer of `begin`.
        """
        self._published += 1
        self._waiting[self._published] = key
        send(message_id=key, timeout=ANSWER_SECONDS)

    def settle(self) -> set[Hashable]:
        """Wait for the answers to all that was published since the last call; returns the keys that the broker has.

        Not among them are messages that it refused, that no queue takes (published as ``mandatory``), and all that it has
        not answered when it blocks: those may come twice.

        Raises
        ------
        Unreachable
            It does not answer in time.
        """
        deadline = time.monotonic() + ANSWER_SECONDS
        while self._waiting and not self.blocked:
            try:
                self.connection.drain_events(timeout=max(0.01, deadline - time.monotonic()))
            except TimeoutError:
                raise Unreachable(
                    f"the broker has not confirmed {len(self._waiting)} messages within {ANSWER_SECONDS:.0f} s",
                    remedy="look at its log, and at the network: they are sent again",
                ) from None
        confirmed, self._confirmed, self._returned = self._confirmed, set(), set()
        self._waiting = {}
        return confirmed

    def serve(self) -> None:
        """Take in what the broker has said, and show it that we live: to be called now and then."""
        try:
            while True:
                self.connection.drain_events(timeout=0)
        except TimeoutError:
            pass
        if time.monotonic() - self._beaten > _HEARTBEAT_SECONDS:
            self._beaten = time.monotonic()
            self.connection.heartbeat_check()

    def _on_ack(self, tag: int, multiple: bool) -> None:
        self._confirmed |= set(self._answered(tag, multiple=multiple)) - self._returned

    def _on_nack(self, tag: int, multiple: bool) -> None:
        refused = self._answered(tag, multiple=multiple)
        logger.warning("broker_refuses", messages=len(refused))

    def _answered(self, tag: int, *, multiple: bool) -> list[Hashable]:
        tags = [one for one in self._waiting if one <= tag] if multiple else [tag]
        return [self._waiting.pop(one) for one in tags if one in self._waiting]

    def _on_return(self, error: Exception, exchange: str, routing_key: str, message: Any) -> None:
        # comes before the confirmation of the same message
        self._returned.add(message.properties.get("message_id"))
        logger.warning("no_queue_takes", exchange=exchange, routing_key=routing_key, error=str(error))

    def _on_blocked(self, reason: str) -> None:
        self.blocked = True
        logger.warning(
            "broker_blocks",
            reason=reason,
            remedy="make room: 'rabbitmq-diagnostics alarms' says whether memory or disk is short",
        )

    def _on_unblocked(self) -> None:
        self.blocked = False
        logger.info("broker_takes_messages_again")
