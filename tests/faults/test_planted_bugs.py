"""Three bugs that the design forbids, planted into the worker from outside: each loses or doubles work, and this suite sees it.

The planner repairs what a lost message breaks, whatever lost it: here the test is the planner, and leaves that out until it has
seen the harm. Without the bug the same blow does none.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.engine import make_url

from roque.archive import Record
from roque.archive.models import Job, Outbox
from roque.archive.schema import upgrade
from roque.bus.app import JOB_TASK, make_app
from roque.bus.topology import job_queue
from roque.jobs.kinds import Kind
from roque.jobs.life import requeue_expired, resend_all, submit
from roque.jobs.outbox import clock
from tests.faults.observatory import LAUNCH, worker_pid
from tests.support.proxy import Proxy

ROOT = Path(__file__).resolve().parents[2]
SEEN_SECONDS = 5.0  # how long harm is waited for that without the bug is over in a moment


class Workers:
    """Workers with a bug, or without, and proxies between them and their servers."""

    def __init__(self, home: Path, database: str, broker: str, record_proxy: Proxy, broker_proxy: Proxy, bug: str) -> None:
        self.broker, self.record_proxy, self.broker_proxy = broker, record_proxy, broker_proxy
        self.record = Record(database)
        upgrade(self.record)
        self._log = (home / "log").open("ab")
        self._running: list[subprocess.Popen[bytes]] = []
        self._environment = {
            **os.environ,
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"),
            "ROQUE_HOME": str(home),
            "ROQUE_DATABASE_URL": _through(database, record_proxy),
            "ROQUE_BROKER_URL": _through(broker, broker_proxy),
            "ROQUE_LOG_FORMAT": "json",
            "ROQUE_PARENT": str(os.getpid()),
            "ROQUE_TEST_PLANTS": bug,
        }

    def start(self, processes: int = 1) -> None:
        """Start a worker, and wait until it works."""
        command = [sys.executable, str(LAUNCH), "roque.bus.worker", "--services", "exporter"]
        command += ["--handlers", "tests.faults.toys:HANDLERS", "--processes", str(processes)]
        self._running.append(subprocess.Popen(command, env=self._environment, cwd=ROOT, stdout=self._log, stderr=self._log))

    def kill(self) -> None:
        """SIGKILL for all."""
        for process in self._running:
            process.kill()
            process.wait()

    def submit(self, milliseconds: int) -> str:
        with self.record.writing() as session:
            return submit(session, Kind.EXPORT_REDUCTION, {"reduction_id": milliseconds}, key_inputs=milliseconds).id

    def job(self, job_id: str) -> Job:
        with self.record.reading() as session:
            return session.get_one(Job, job_id)

    def done(self, job_id: str) -> bool:
        return self.job(job_id).state == "done"

    def effects(self) -> list[int]:
        """The ledger: what was done, as often as it was."""
        with self.record.reading() as session:
            found = session.scalars(select(Outbox.payload).where(Outbox.topic == "toy.done"))
            return sorted(payload["number"] for payload in found)

    def sent(self, job_id: str) -> bool:
        with self.record.reading() as session:
            return None not in session.scalars(select(Outbox.sent_at).where(Outbox.job_id == job_id)).all()

    def until(self, reached: Callable[[], object], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < end, Path(self._log.name).read_text()[-5000:]
            time.sleep(0.05)

    def within(self, seconds: float, reached: Callable[[], object]) -> bool:
        """Whether something is so before long."""
        end = time.monotonic() + seconds
        while not (so := bool(reached())) and time.monotonic() < end:
            time.sleep(0.05)
        return so

    def repair(self) -> None:
        """Do what the planner does about lost messages, at once."""
        with self.record.writing() as session:
            resend_all(session, clock(session))

    def close(self) -> None:
        self.kill()
        self._log.close()
        self.record.close()


def _through(url: str, proxy: Proxy) -> str:
    return make_url(url).set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)


@pytest.fixture
def workers(tmp_path: Path, postgresql_url: str, rabbitmq_url: str) -> Iterator[Callable[[str], Workers]]:
    """Make workers with the bug of that name, or with none."""
    with contextlib.ExitStack() as stack:
        database, broker = make_url(postgresql_url), make_url(rabbitmq_url)
        record_proxy = stack.enter_context(Proxy(database.host, database.port or 5432))
        broker_proxy = stack.enter_context(Proxy(broker.host, broker.port or 5672))

        def made(bug: str) -> Workers:
            found = Workers(tmp_path, postgresql_url, rabbitmq_url, record_proxy, broker_proxy, bug)
            stack.callback(found.close)
            return found

        yield made


@pytest.mark.parametrize("bug", ["no_confirms", ""])
def test_without_confirms_a_message_that_the_broker_never_had_counts_as_sent(workers, bug):
    system = workers(bug)
    system.start()
    first = system.submit(1)
    system.until(lambda: system.done(first))
    system.broker_proxy.stall()
    job = system.submit(2)
    assert system.within(SEEN_SECONDS, lambda: system.sent(job)) == bool(bug)
    system.broker_proxy.cut()  # the broker's machine is gone, with what it had not read yet
    system.broker_proxy.mend()
    if bug:
        assert not system.within(SEEN_SECONDS, lambda: system.done(job))
        assert system.effects() == [1]
        system.repair()
    system.until(lambda: system.done(job))
    assert system.effects() == [1, 2]


@pytest.mark.parametrize("bug", ["acknowledge_early", ""])
def test_acknowledged_before_the_commit_a_message_dies_with_its_worker(workers, bug):
    system = workers(bug)
    system.start()
    first = system.submit(1)
    system.until(lambda: system.done(first))
    system.record_proxy.stall()  # nobody can claim or commit
    job = system.submit(2)
    with system.record.writing() as session:  # no relay can either: the message is sent by hand
        for row in session.scalars(select(Outbox).where(Outbox.job_id == job)):
            row.sent_at = clock(session)
    app = make_app(system.broker, print)
    queue = job_queue("exporter").name
    app.send_task(JOB_TASK, ({"v": 1, "job": job},), queue=queue)
    with app.connection_for_read() as connection:
        system.until(lambda: connection.default_channel.queue_declare(queue, passive=True).message_count == 0)
    app.close()
    time.sleep(1.0)  # until a process of the pool has it, and waits for the record
    system.kill()
    system.record_proxy.cut()
    system.record_proxy.mend()
    system.start()
    if bug:
        last = system.submit(3)
        system.until(lambda: system.done(last))
        assert not system.within(SEEN_SECONDS, lambda: system.done(job))
        assert system.effects() == [1, 3]
        system.repair()
    system.until(lambda: system.done(job))
    assert system.effects() == ([1, 2, 3] if bug else [1, 2])


@pytest.mark.parametrize("bug", ["no_fence", ""])
def test_without_fencing_a_worker_that_was_paused_does_it_a_second_time(workers, bug):
    system = workers(bug)
    system.start(processes=2)
    job = system.submit(2000)
    system.until(lambda: system.job(job).state == "running")
    paused = worker_pid(system.job(job))
    os.kill(paused, signal.SIGSTOP)
    with system.record.writing() as session:  # a planner, after the lease
        assert requeue_expired(session, clock(session) + dt.timedelta(minutes=1)) == 1
    system.until(lambda: system.done(job))
    assert system.effects() == [2000]
    os.kill(paused, signal.SIGCONT)
    doubled = system.within(2 * SEEN_SECONDS if bug else SEEN_SECONDS, lambda: system.effects() == [2000, 2000])
    assert doubled == bool(bug)
