"""The heartbeat of claims: one thread of the process renews whatever its jobs hold, however short or long they are."""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from typing import Self

from roque.archive import Record
from roque.errors import Transient
from roque.jobs.claims import Claim, LostClaim, renew
from roque.telemetry import logger

__all__ = ["HEARTBEAT", "Heartbeat"]

HEARTBEAT = dt.timedelta(seconds=5)
"""Time between two renewals."""

LINGER_SECONDS = 60.0
"""How long the thread waits for the next job before it ends."""


class Heartbeat:
    """Renews a claim from a thread while the body of the ``with`` works, however long that takes."""

    lost = False
    """Whether the claim was found to be lost: the work is for nothing."""

    def __init__(self, record: Record, held: Claim, *, every: dt.timedelta = HEARTBEAT) -> None:
        self._record, self._claim, self._every = record, held, every.total_seconds()
        self.due = 0.0
        """When the next renewal is due, by the monotonic clock."""

    def __enter__(self) -> Self:
        self.due = time.monotonic() + self._every
        _thread.begin(self)
        return self

    def __exit__(self, *_: object) -> None:
        _thread.end(self)

    def insist(self) -> None:
        """Stop work that is for nothing.

        Raises
        ------
        LostClaim
            The claim was found to be lost.
        """
        if self.lost:
            raise LostClaim(self._claim.id)

    def beat(self) -> bool:
        """Renew the claim; false if there is nothing left to renew."""
        self.due = time.monotonic() + self._every
        try:
            self.lost = not renew(self._record, self._claim)
        except Transient as error:  # the next beat may get through before the lease ends
            logger.warning("lease_not_renewed", job=self._claim.id, error=str(error))
        return not self.lost


class _Thread:
    """Beats for every claim of this process; begun with the first, since most jobs have ended long before it would beat."""

    def __init__(self) -> None:
        self._beating: set[Heartbeat] = set()
        self._changed = threading.Condition()
        self._runs = False
        self._wakes = 0.0  # when it looks next, by the monotonic clock

    def begin(self, heartbeat: Heartbeat) -> None:
        with self._changed:
            self._beating.add(heartbeat)
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._run, name="heartbeat", daemon=True).start()
            elif heartbeat.due < self._wakes:
                self._changed.notify()

    def end(self, heartbeat: Heartbeat) -> None:
        with self._changed:
            self._beating.discard(heartbeat)

    def _run(self) -> None:
        try:
            while (heartbeat := self._next()) is not None:
                if not heartbeat.beat():
                    self.end(heartbeat)
        except BaseException:  # it is that job's heartbeat which is lost, not that of the next
            with self._changed:
                self._runs = False
            raise

    def _next(self) -> Heartbeat | None:
        """Wait for the first that is due; None if there was no job for long."""
        idle = time.monotonic() + LINGER_SECONDS
        with self._changed:
            while True:
                now = time.monotonic()
                first = min(self._beating, key=lambda one: one.due, default=None)
                if first is not None and first.due <= now:
                    return first
                if first is None and now >= idle:
                    self._runs = False
                    return None
                self._wakes = idle if first is None else first.due
                self._changed.wait(self._wakes - now)


def _forked() -> None:
    global _thread  # noqa: PLW0603 - threads and what they hold do not survive a fork
    _thread = _Thread()


_thread = _Thread()
os.register_at_fork(after_in_child=_forked)
