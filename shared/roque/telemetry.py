"""Logs: events with keys, readable on a terminal, JSON elsewhere; each line knows the run and the job it is about."""

from __future__ import annotations

import logging
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import structlog

__all__ = ["about", "configure", "logger", "new_trace"]

logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("roque")
"""Where events are logged: ``logger.info("run_registered", run=..., frames=...)``; names are constants, data are keys."""

_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]

_QUIET = ("celery", "kombu", "amqp", "billiard", "multiprocessing", "alembic", "sqlalchemy", "matplotlib", "numba")


def configure(
    log_format: str = "auto", *, service: str | None = None, level: str = "INFO", stream: TextIO | None = None
) -> None:
    """Set logging up, once a process; records of other libraries go the same way.

    Parameters
    ----------
    log_format : str
        console, json, or auto: console on a terminal.
    service : str or None
        Name of the service that this process is, on every line.
    level : str
        Lowest level that is shown; other libraries show warnings and worse.
    stream : file or None
        Where lines go; None is standard error.
    """
    target = stream if stream is not None else sys.stderr
    readable = log_format == "console" or (log_format == "auto" and target.isatty())
    renderers: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(colors=target.isatty())]
        if readable
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    if service is not None:
        structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def new_trace() -> str:
    """Make the id that every line about a piece of work shares, in whatever process it is done: 16 bytes, in hexadecimal."""
    return secrets.token_hex(16)


@contextmanager
def about(**keys: object) -> Iterator[None]:
    """Put keys (run, job ...) on every line that is logged within; None is left out."""
    with structlog.contextvars.bound_contextvars(**{name: value for name, value in keys.items() if value is not None}):
        yield
