"""Coming to the broker at the start: waited for if it is away, declared upon, and left alone if it does not want us."""

from __future__ import annotations

import threading

from amqp.exceptions import AMQPError
from celery import Celery
from kombu.exceptions import OperationalError

from roque.bus.examine import broker_name, refused
from roque.bus.topology import declare
from roque.errors import BadInput, Unreachable
from roque.telemetry import logger

__all__ = ["reach_broker"]

_LONGEST_PAUSE_SECONDS = 10.0


def reach_broker(app: Celery, stop: threading.Event) -> bool:
    """Wait for the broker, and declare exchanges and queues.

    Returns
    -------
    bool
        False if told to stop before it answered.

    Raises
    ------
    BadInput
        It does not accept user or virtual host, or has something of ours with other arguments.
    """
    pause = 0.5
    while not stop.is_set():
        connection = app.connection_for_write()
        try:
            with connection:
                connection.ensure_connection(max_retries=1, timeout=5)
                declare(connection)
        except (AMQPError, OperationalError, OSError, Unreachable) as error:
            answer = error if isinstance(error, Unreachable) else refused(error, broker_name(connection))
            if isinstance(answer, BadInput):
                raise answer from None
            logger.warning("broker_away", error=str(answer), seconds=pause)
            stop.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        else:
            return True
    return False
