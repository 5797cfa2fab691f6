"""What stands on the broker: exchanges and queues, each with the arguments that every process declares it with."""

from __future__ import annotations

from amqp.exceptions import InternalError, PreconditionFailed
from kombu.connection import Connection
from kombu.entity import Exchange, Queue

from roque.errors import BadInput, Unreachable
from roque.jobs.kinds import SERVICE

__all__ = ["DEAD", "DELIVERIES", "EVENTS", "JOBS", "SERVICES", "dead_queue", "declare", "entities", "job_queue"]

SERVICES: tuple[str, ...] = tuple(dict.fromkeys(SERVICE.values()))
"""Services that take jobs, each with its queue."""

JOBS = Exchange("roque.jobs", type="topic", durable=True)
DEAD = Exchange("roque.dead", type="topic", durable=True)
EVENTS = Exchange("roque.events", type="topic", durable=True)
"""Exchange of events, for whoever listens: JSON with a schema version, the event's name as the routing key."""

DELIVERIES = 5
"""How often a message may be delivered before it is taken for one that no code of ours can read."""


def job_queue(service: str) -> Queue:
    """Queue of a service. Other arguments need another version in the name: a broker refuses to redeclare for ever.

    There is no limit of its length: what is in it stands in the record too, and costs the broker a few hundred bytes.
    """
    return Queue(
        f"{service}.v1",
        exchange=JOBS,
        routing_key=f"job.{service}",
        durable=True,
        queue_arguments={
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERIES,
            "x-dead-letter-exchange": DEAD.name,
            "x-dead-letter-routing-key": f"job.{service}",
        },
    )


def dead_queue() -> Queue:
    """Queue of messages that were given up."""
    return Queue("dead.v1", exchange=DEAD, routing_key="#", durable=True, queue_arguments={"x-queue-type": "quorum"})


def entities() -> list[Queue | Exchange]:
    """All that roque declares, exchanges first."""
    return [JOBS, DEAD, EVENTS, *(job_queue(service) for service in SERVICES), dead_queue()]


def declare(connection: Connection) -> None:
    """Declare everything: what is sent has somewhere to go, whoever is started first.

    Raises
    ------
    BadInput
        Something is there with other arguments.
    Unreachable
        The broker cannot use a queue that it has.
    """
    for entity in entities():
        kind = "queue" if isinstance(entity, Queue) else "exchange"
        place = f"{kind} {entity.name}"
        again = f"stop the workers, rabbitmqctl delete_{kind} {entity.name}, start them: nothing is lost, jobs are sent again"
        if kind == "exchange":
            again = "stop the workers, delete it in the broker, start them: nothing is lost, jobs are sent again"
        try:
            entity(connection.default_channel).declare()
        except PreconditionFailed as error:
            differs = str(error.reply_text).removeprefix("PRECONDITION_FAILED - ")
            raise BadInput(f"it was declared with other arguments: {differs}", place=place, remedy=again) from None
        except InternalError as error:
            # seen of RabbitMQ 3.10 with a quorum queue that was declared a moment before it was killed
            raise Unreachable(f"the broker cannot use it: {error.reply_text}", place=place, remedy=again) from None
