"""A night under way that a test disturbs, the clock of its recovery, and what it must have come to in the end."""

from __future__ import annotations

import datetime as dt
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy import select

from roque.archive.models import Job
from roque.archive.products import ProductStore
from roque.errors import Transient
from roque.jobs.outbox import clock
from tests.faults.ledger import Ledger, differences, faults_of, ledger_of
from tests.faults.night import Camera
from tests.faults.observatory import Observatory
from tests.support.proxy import Proxy

__all__ = ["RECOVERY_SECONDS", "Disturbed"]

RECOVERY_SECONDS = 60.0
"""How long it may take until work that was hit is taken up for good, once what had failed is back."""

NIGHT_SECONDS = 600.0


@dataclass
class _Fault:
    name: str
    hit: set[str] = field(default_factory=set)
    back: dt.datetime | None = None


@dataclass
class Disturbed:
    """A night under way."""

    system: Observatory
    camera: Camera
    chance: random.Random  # where and when it hits
    broker: str  # URL, past any proxy
    files: int  # of the whole night
    record_proxy: Proxy | None = None
    broker_proxy: Proxy | None = None
    _faults: list[_Fault] = field(default_factory=list)

    def until_running(self, kind: str | None = None) -> Job | None:
        """Wait until work goes on after the last fault and a job is being done, and for a moment of chance within it.

        Returns
        -------
        Job or None
            None: the night came to its end before that.
        """
        done = {job.id for job in self.system.jobs("done")} if self._faults else None

        def running() -> Job | bool:
            if self._is_over():
                return True
            if done is not None and kind is None and all(job.id in done for job in self.system.jobs("done")):
                return False
            return next(iter(self.system.jobs("running", kind=kind)), False)

        job = self.system.until(running, every=0.01)
        time.sleep(self.chance.uniform(0.0, 0.1))
        return job if isinstance(job, Job) else None

    @contextmanager
    def fault(self, name: str) -> Iterator[None]:
        """Let something fail in the body; at its end it is back, and what was hit must be taken up in time."""
        fault = _Fault(name)
        self._faults.append(fault)
        self._note(fault)
        yield
        self._note(fault)
        self.system.until(lambda: self._is_back(fault))

    def recoveries(self) -> dict[str, float]:
        """Seconds from the end of each fault until all that it hit is being worked on again, and for good.

        How long the work itself then takes says more about the machine than about the fault.
        """
        found = {}
        with self.system.record.reading() as session:
            for fault in self._faults:
                assert fault.back is not None
                claims = session.scalars(select(Job.started_at).where(Job.id.in_(fault.hit))).all()
                found[fault.name] = max(
                    ((last - fault.back).total_seconds() for last in claims if last is not None), default=0.0
                )
        return {name: max(0.0, seconds) for name, seconds in found.items()}

    def finish(self, undisturbed: Ledger, *, kills: bool) -> None:
        """Wait for the end of the night; it must be that of an undisturbed one."""
        system = self.system
        system.until(self._is_over, NIGHT_SECONDS)
        statuses = system.stop()
        assert set(statuses.values()) == {0}, f"{statuses}\n{system.said()[-4000:]}"
        swept = ProductStore(system.products).sweep(system.record, dt.timedelta(0)).removed
        assert kills or swept == [], "only a process that was killed may leave files behind"
        assert faults_of(system.record, system.products) == []
        assert differences(ledger_of(system.record, system.products), undisturbed) == []
        surprises = [line for line in system.said().splitlines() if _is_surprise(line)]
        assert surprises == []

    def _is_over(self) -> bool:
        return not self.camera.writes and self.system.at_rest(self.files)

    def _note(self, fault: _Fault) -> None:
        with suppress(Transient):  # the record may be what failed
            fault.hit.update(job.id for job in self.system.jobs("running", "queued"))

    def _is_back(self, fault: _Fault) -> bool:
        with self.system.record.reading() as session:
            fault.back = clock(session)
        return True


def _is_surprise(line: str) -> bool:
    """Whether a line of the log tells of an error that nobody foresaw: it broke a thread or a process, or a job."""
    return line.startswith("Traceback") or ('"job_not_done"' in line and "Traceback" in line)
