"""Celery's consumer and pool, each less one habit that costs work or time."""

from __future__ import annotations

import threading
import time
from typing import Any

from celery.concurrency import asynpool, prefork
from celery.worker import consumer

from roque.telemetry import logger

__all__ = ["JOB_ENDED", "Consumer", "TaskPool"]

END_SECONDS = 1.0
"""How long a process may take to end after it has closed its files."""

JOB_ENDED = threading.Event()
"""Set in the parent whenever a job of its pool has ended: what that has put into the outbox is there by then."""


class Consumer(consumer.Consumer):  # type: ignore[misc]
    """Takes messages from the queues of a worker."""

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Give a message that cannot be decoded to the dead letters; Celery itself acknowledges it, and it is gone."""
        logger.warning("message_not_readable", error=type(exc).__name__, content_type=str(message.content_type)[:100])
        message.reject()


class _Worker(asynpool.Worker):  # type: ignore[misc]
    def _ensure_messages_consumed(self, completed: int) -> bool:
        # a process that has done its share stays until the parent knows of its last job, which takes a millisecond: Celery
        # itself would ask, sleep for 0.1 s and ask again, while no process works
        end = time.monotonic() + 0.1
        while self.on_ready_counter and self.on_ready_counter.value < completed and time.monotonic() < end:
            time.sleep(0.001)
        return bool(super()._ensure_messages_consumed(completed))


class _Pool(asynpool.AsynPool):  # type: ignore[misc]
    Worker = _Worker

    def on_job_ready(self, *result: Any) -> None:
        super().on_job_ready(*result)
        JOB_ENDED.set()

    def _event_process_exit(self, hub: Any, process: Any) -> None:
        # told by the end of a pipe, which comes a moment before the process can be waited for: Celery itself would find it
        # alive, and look again only after 5 s
        process.join(END_SECONDS)
        super()._event_process_exit(hub, process)


class TaskPool(prefork.TaskPool):  # type: ignore[misc]
    """Processes that do the jobs; one that ends is replaced at once."""

    Pool = _Pool
