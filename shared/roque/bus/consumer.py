"""Celery's consumer, less its habit of throwing away what it cannot read."""

from __future__ import annotations

from typing import Any

from celery.worker import consumer

from roque.telemetry import logger

__all__ = ["Consumer"]


class Consumer(consumer.Consumer):  # type: ignore[misc]
    """Takes messages from the queues of a worker."""

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Give a message that cannot be decoded to the dead letters; Celery itself acknowledges it, and it is gone."""
        logger.warning("message_not_readable", error=type(exc).__name__, content_type=str(message.content_type)[:100])
        message.reject()
