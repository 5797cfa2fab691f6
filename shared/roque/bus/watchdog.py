"""A worker that does nothing although there is work is found out, and ended: whoever watches over it starts it anew.

Such workers have been seen after a broker went and came back (celery issues 8030, 8091, 10205). A long job is no such case:
while every process of the pool is at work, nothing is amiss until one takes longer than any job may.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Self

from roque.bus.app import HARD_LIMIT_SECONDS
from roque.telemetry import logger

__all__ = ["Progress", "Watchdog"]

IDLE_SECONDS = 180.0
"""How long processes may be idle while messages lie in the queue."""

BUSY_SECONDS = HARD_LIMIT_SECONDS + 60.0
"""How long no job may end: each is killed before."""

GRACE_SECONDS = 30.0
"""How long a worker that stands still is only called unhealthy, and then how long it may take to stop."""

_LOOK_SECONDS = 5.0


class Progress:
    """Whether a worker gets on.

    Parameters
    ----------
    processes : int
        Of the pool.
    under_way : function
        Gives the number of jobs taken up so far, and the ids of those under way.
    lying : function
        Gives the number of messages in the worker's queues, None if nobody can say. Asked only of a worker that looks idle.
    """

    def __init__(
        self, processes: int, under_way: Callable[[], tuple[int, frozenset[str]]], lying: Callable[[], int | None]
    ) -> None:
        self._processes, self._under_way, self._lying = processes, under_way, lying
        self._seen: tuple[int, frozenset[str]] | None = None
        self._since = 0.0

    def stuck(self, now: float) -> str | None:
        """Say why the worker stands still, at a time by a clock that does not jump; None if it does not."""
        seen = self._under_way()
        if seen != self._seen:
            self._seen, self._since = seen, now
            return None
        quiet = now - self._since
        if len(seen[1]) >= self._processes:
            return f"no job has ended for {quiet:.0f} s" if quiet > BUSY_SECONDS else None
        if quiet > IDLE_SECONDS and (lying := self._lying()):
            return f"no job was taken up for {quiet:.0f} s, and {lying} messages lie in the queue"
        return None


class Watchdog:
    """Looks at the progress of this process while the body of the ``with`` runs, and ends it when it stands still."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self.why: str | None = None
        """Why the worker stands still, if it does."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        since = 0.0
        while not self._stop.wait(_LOOK_SECONDS):
            now = time.monotonic()
            before, self.why = self.why, self._progress.stuck(now)
            if self.why is None:
                continue
            if before is None:
                since = now
                logger.error("worker_stuck", why=self.why)
            if now - since > GRACE_SECONDS:
                self._end()

    def _end(self) -> None:
        logger.error("worker_ends", why=self.why)
        os.kill(os.getpid(), signal.SIGTERM)
        if not self._stop.wait(GRACE_SECONDS):
            os._exit(1)
