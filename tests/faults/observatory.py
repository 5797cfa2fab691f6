"""A system of the observatory's size on one machine, two workers of each service, and what can be done to its processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Self

from sqlalchemy import select

from roque.archive import Record
from roque.archive.models import Job, Outbox, RawFile
from roque.archive.progress import left_to_do
from roque.archive.schema import upgrade
from roque.errors import Transient

__all__ = ["SERVICES", "Observatory", "children", "worker_pid"]

LAUNCH = Path(__file__).with_name("launch.py")
SERVICES = (
    "ingest",
    "planner",
    *(f"{service}-{number}" for service in ("calibrator", "reducer", "exporter") for number in (1, 2)),
)
"""Names of the processes of an observatory; what comes before a hyphen is the service."""

MOST_DEATHS = 30
GRACE_SECONDS = 60.0  # as containers are given to stop


class Observatory:
    """Processes on one record and one broker, started again whenever they die: a container's restart policy.

    Parameters
    ----------
    home : Path
        Home folder; logs go there too.
    database, broker : str
        URLs that the processes are given.
    incoming : Path
        Folder that ingest watches.
    products : Path or None
        Where products go; None: into the home folder.
    own_database : str or None
        URL that this object asks; None: the same. What it asks does not go through a proxy that way.
    plants : sequence of str
        What is changed in every process (`tests.faults.plants`).
    """

    def __init__(
        self,
        home: Path,
        database: str,
        broker: str,
        incoming: Path,
        *,
        products: Path | None = None,
        own_database: str | None = None,
        plants: Iterable[str] = ("short_ranges",),
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home, self.products = home, products or home / "products"
        self.record = Record(own_database or database)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.deaths = 0  # of processes that were not asked to stop
        self._stopped: set[str] = set()
        self._own: dict[str, Mapping[str, str]] = {}  # variables of single processes
        self._log = (home / "log").open("ab")
        self._environment = {
            **os.environ,
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"),
            "ROQUE_HOME": str(home),
            "ROQUE_DATABASE_URL": database,
            "ROQUE_BROKER_URL": broker,
            "ROQUE_PRODUCTS_URL": str(self.products),
            "ROQUE_INCOMING": f'["{incoming}"]',
            "ROQUE_WORKERS": "1",
            "ROQUE_SILENT_SECONDS": "5",
            "ROQUE_LOG_FORMAT": "json",
            "ROQUE_PARENT": str(os.getpid()),
            "ROQUE_TEST_PLANTS": ",".join(plants),
        }

    def __enter__(self) -> Self:
        upgrade(self.record)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.running.values():
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGCONT)  # a process that is paused does not even hear that it is killed
                process.kill()
            process.wait()
        self._log.close()
        self.record.close()

    def start(self, *names: str, **environment: str) -> None:
        """Start processes: all, if none is named. Variables said here are theirs also when they are started again."""
        for name in names or SERVICES:
            self._stopped.discard(name)
            self._own[name] = environment or self._own.get(name, {})
            self.running[name] = subprocess.Popen(
                [sys.executable, str(LAUNCH), f"services.{name.partition('-')[0]}"],
                env={**self._environment, **self._own[name]},
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
            )

    def keep_up(self) -> None:
        """Start again what has died."""
        for name, process in list(self.running.items()):
            if process.poll() is not None and name not in self._stopped:
                self.deaths += 1
                assert self.deaths < MOST_DEATHS, f"{name} dies again and again\n{self.said()[-6000:]}"
                self.start(name)

    def kill(self, name: str) -> None:
        """SIGKILL for a process, as the kernel does it to one that takes too much memory."""
        self.running[name].kill()
        self.running[name].wait()

    def stop(self, *names: str) -> dict[str, int]:
        """SIGTERM, and wait until they have ended by themselves; their exit status."""
        names = names or tuple(self.running)
        self._stopped.update(names)
        for name in names:
            self.running[name].send_signal(signal.SIGTERM)
        end = time.monotonic() + GRACE_SECONDS
        return {name: self.running[name].wait(max(1.0, end - time.monotonic())) for name in names}

    def until_started(self, *names: str) -> None:
        """Wait until processes have begun: one that is told to stop before ends by the signal."""
        for name in names:
            begun = f'"pid": {self.running[name].pid},'
            self.until(lambda begun=begun: begun in (self.home / "log").read_text())

    def until(self, reached: Callable[[], object], seconds: float = 300.0, *, every: float = 0.1) -> object:
        """Keep it running until something is so, and give that."""
        end = time.monotonic() + seconds
        while True:
            self.keep_up()
            with contextlib.suppress(Transient):  # the database may be what was killed
                if found := reached():
                    return found
            assert time.monotonic() < end, f"waited in vain\n{self.said()[-6000:]}"
            time.sleep(every)

    def at_rest(self, files: int) -> bool:
        """Whether so many files are registered and nothing is left to do or to send."""
        with self.record.reading() as session:
            seen = session.scalars(select(RawFile.sha256)).all()
            unsent = session.scalar(select(Outbox.id).where(Outbox.sent_at.is_(None)).limit(1))
            return len(seen) == files and all(seen) and unsent is None and left_to_do(session).nothing

    def jobs(self, *states: str, kind: str | None = None) -> list[Job]:
        """Jobs in these states, those that were claimed last first."""
        wanted = select(Job).where(Job.state.in_(states)).order_by(Job.started_at.desc().nulls_last())
        with self.record.reading() as session:
            return list(session.scalars(wanted if kind is None else wanted.where(Job.kind == kind)))

    def family(self) -> list[int]:
        """All its processes."""
        parents = [process.pid for process in self.running.values() if process.poll() is None]
        return [*parents, *(child for parent in parents for child in children(parent))]

    def said(self) -> str:
        """What the processes said."""
        return (self.home / "log").read_text(errors="replace")


def worker_pid(job: Job) -> int:
    """Process that a job was claimed by."""
    assert job.worker is not None
    return int(job.worker.split("/")[2].partition(".")[0])


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
