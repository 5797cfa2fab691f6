"""What a broker is like: whether it lets us in, and whether its queues are those that this code declares."""

from __future__ import annotations

from dataclasses import dataclass

from amqp.exceptions import AccessRefused, AMQPError, NotAllowed, NotFound, PreconditionFailed
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.exceptions import OperationalError

from roque.bus.topology import entities
from roque.errors import BadInput, RoqueError, Unreachable

__all__ = ["BrokerFacts", "QueueFacts", "broker_name", "examine", "refused"]

_TIMEOUT = 5  # s
_DELAYED = "celery_delayed_27"


@dataclass(frozen=True)
class QueueFacts:
    """A queue, or an exchange, as the broker has it."""

    name: str
    messages: int | None  # that lie in it; None for one that is not there yet, and for an exchange
    wrong: str | None  # how it differs from what this code declares


@dataclass(frozen=True)
class BrokerFacts:
    """What a broker says of itself."""

    name: str  # host, port and virtual host
    product: str  # and version
    declared: tuple[QueueFacts, ...]
    delays: bool  # whether Celery's queues for delays are there


def examine(broker: str) -> BrokerFacts:
    """Look at a RabbitMQ broker without changing anything but its log.

    Parameters
    ----------
    broker : str
        ``amqp://USER:PASSWORD@HOST:PORT/VHOST``.

    Raises
    ------
    BadInput
        It does not let us in.
    Unreachable
        It does not answer. No message shows the password.
    """
    connection = Connection(broker, connect_timeout=_TIMEOUT)
    name = broker_name(connection)
    try:
        with connection:
            connection.ensure_connection(max_retries=1, timeout=_TIMEOUT)
            says = connection.connection.server_properties
            found = tuple(_look(connection, entity) for entity in entities())
            delays = _lies(connection, _DELAYED) is not None
            return BrokerFacts(name, f"{says.get('product', 'AMQP')} {says.get('version', '')}".strip(), found, delays)
    except (AMQPError, OperationalError, OSError) as error:
        raise refused(error, name) from None


def broker_name(connection: Connection) -> str:
    """Host, port and virtual host of a broker: what can be shown of its address."""
    return f"{connection.hostname}:{connection.port or 5672}/{(connection.virtual_host or '').removeprefix('/')}"


def _look(connection: Connection, entity: Queue | Exchange) -> QueueFacts:
    """Look at a queue or exchange: declaring one that is there again tells whether its arguments are ours."""
    messages = None
    if isinstance(entity, Queue):
        messages = _lies(connection, entity.name)
        if messages is None:
            return QueueFacts(entity.name, None, None)
    with connection.channel() as channel:
        try:
            if isinstance(entity, Queue):
                entity(channel).queue_declare()
            else:
                entity(channel).declare(passive=True)
                entity(channel).declare()
        except NotFound:
            return QueueFacts(entity.name, None, None)
        except PreconditionFailed as error:
            return QueueFacts(entity.name, messages, str(error.reply_text).removeprefix("PRECONDITION_FAILED - "))
    return QueueFacts(entity.name, messages, None)


def _lies(connection: Connection, queue: str) -> int | None:
    with connection.channel() as channel:
        try:
            return int(channel.queue_declare(queue, passive=True).message_count)
        except NotFound:
            return None


def refused(error: Exception, name: str) -> RoqueError:
    """Say in words why a broker cannot be used: `BadInput` if it does not want us, else `Unreachable`."""
    place = "setting broker_url"
    cause = error.__cause__ or error
    if isinstance(cause, AccessRefused):
        remedy = "correct them, or let the user in: rabbitmqctl add_user"
        return BadInput("the broker does not accept user and password", file=name, place=place, remedy=remedy)
    if isinstance(cause, NotAllowed):
        remedy = "rabbitmqctl add_vhost and set_permissions, or correct what follows the last / of the address"
        what = "the user may not use this virtual host, or there is none of this name"
        return BadInput(what, file=name, place=place, remedy=remedy)
    reason = getattr(cause, "strerror", None) or type(cause).__name__
    remedy = "check that RabbitMQ runs, and host and port of the address"
    return Unreachable(f"the broker does not answer ({reason})", file=name, place=place, remedy=remedy)
