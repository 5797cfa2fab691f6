"""The real worker, its pool and its relay: jobs are done, once, whatever is killed."""

from __future__ import annotations

import datetime as dt
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy import func, select

from roque.archive import Record
from roque.archive.models import Job, Outbox, Site
from roque.archive.schema import upgrade
from roque.jobs.kinds import Kind
from roque.jobs.life import cancel, requeue_expired, resend, retry, submit, wake
from roque.jobs.outbox import clock

HERE = Path(__file__).parent
SEARCHED = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
POISON, BAD = 666, 400


class System:
    """A record, a worker, and a planner that the test plays itself."""

    def __init__(self, home: Path, settings: Mapping[str, str]) -> None:
        self.home = home
        self.settings = settings
        self.record = Record(settings.get("database_url", f"sqlite:///{home / 'record.sqlite'}"))
        upgrade(self.record)
        self.worker: subprocess.Popen[bytes] | None = None
        self.log = (home / "worker.log").open("ab")

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "roque.bus.worker", "--handlers", "worker_toys:HANDLERS", *arguments]
        self.worker = subprocess.Popen(command, env=self.environment(), stdout=self.log, stderr=self.log)
        return self.worker

    def environment(self) -> dict[str, str]:
        given = {"home": str(self.home), "log_format": "json", "parent": str(os.getpid()), **self.settings}
        return {**os.environ, "PYTHONPATH": SEARCHED, **{f"ROQUE_{name.upper()}": value for name, value in given.items()}}

    def keep_up(self) -> None:
        """Do as `roque up` does: start it again when it is gone."""
        if self.worker is None or self.worker.poll() is not None:
            self.start("--processes", "2")

    def children(self) -> list[int]:
        return children(self.worker.pid)

    def ready(self) -> None:
        """Wait until the pool is there, by a job that it does."""
        first = self.submit(1)
        self.until(lambda: self.states(first) == ["done"])

    def submit(self, number: int, **more) -> str:
        with self.record.writing() as session:
            job = submit(session, Kind.EXPORT_REDUCTION, {"reduction_id": number}, key_inputs=[number], **more)
            return job.id

    def look(self, later: float = 0.0, resend_after: float = 60.0) -> None:
        with self.record.writing() as session:
            now = clock(session) + dt.timedelta(seconds=later)
            requeue_expired(session, now)
            wake(session, now)
            resend(session, now, dt.timedelta(seconds=resend_after))

    def until(self, reached, seconds: float = 60.0, planner=None) -> None:
        end = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < end, self.summary()
            (planner or self.look)()
            time.sleep(0.05)

    def job(self, job_id: str) -> Job:
        with self.record.reading() as session:
            return session.get_one(Job, job_id)

    def states(self, *jobs: str) -> list[str]:
        return [self.job(one).state for one in jobs]

    def count(self, state: str) -> int:
        with self.record.reading() as session:
            return session.scalar(select(func.count()).where(Job.state == state)) or 0

    def effects(self) -> list[str]:
        with self.record.reading() as session:
            return sorted(session.scalars(select(Site.name)))

    def summary(self) -> str:
        with self.record.reading() as session:
            states = session.execute(select(Job.state, func.count()).group_by(Job.state)).all()
        return f"{states}\n{(self.home / 'worker.log').read_text()[-5000:]}"

    def stop(self) -> int:
        self.worker.send_signal(signal.SIGTERM)
        return self.worker.wait(30)

    def close(self) -> None:
        if self.worker is not None and self.worker.poll() is None:
            self.worker.kill()
            self.worker.wait()
        self.log.close()
        self.record.close()


@pytest.fixture
def system(tmp_path, size, sizes):
    with sizes.new(size) as settings:
        system = System(tmp_path, settings)
        yield system
        system.close()


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def cpu_seconds(pid: int) -> float:
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def test_jobs_are_done_and_their_followers_too(system):
    system.start("--processes", "2")
    jobs = [system.submit(number) for number in range(1, 20)]
    last = system.submit(20, needs=jobs)
    bad = system.submit(BAD)
    system.until(lambda: system.states(last, bad) == ["done", "failed"])
    assert system.effects() == sorted(f"job {number}" for number in range(1, 21))
    assert system.job(bad).error["message"] == "a bad night"
    assert system.stop() == 0


def test_every_job_is_done_once_in_effect_whatever_is_killed(system):
    chance = random.Random(20)
    jobs = []
    for number in range(1, 201):  # a third of them wait for an earlier one
        needs = [chance.choice(jobs)] if jobs and chance.random() < 0.3 else []
        jobs.append(system.submit(number, needs=needs))
    moments = sorted(chance.sample(range(195), 20))  # jobs done when something is killed
    victims = chance.sample(["child"] * 16 + ["parent"] * 4, 20)
    end = time.monotonic() + 180
    while (done := system.count("done")) < 200:
        assert time.monotonic() < end, system.summary()
        system.keep_up()
        system.look()
        time.sleep(0.05 * chance.random())
        if not moments or done < moments[0]:
            continue
        found = system.children() if victims[0] == "child" else [system.worker.pid]
        if found and system.worker.poll() is None:
            moments.pop(0)
            victims.pop(0)
            os.kill(chance.choice(found), signal.SIGKILL)
    assert victims == []
    assert system.count("failed") == 0, system.summary()
    assert system.effects() == sorted(f"job {number}" for number in range(1, 201))
    names = {path.name.partition("-")[0] for path in (system.home / "products" / "log").iterdir() if path.name[0] != "."}
    assert names == {f"job{number}" for number in range(1, 201)}


def test_a_job_that_kills_its_worker_fails_after_three_times_and_the_others_are_done(system):
    system.start("--processes", "2")
    poison = system.submit(POISON)
    others = [system.submit(number) for number in range(1, 31)]
    system.until(lambda: system.states(poison) == ["failed"] and set(system.states(*others)) == {"done"})
    assert system.job(poison).error["message"] == "killed its worker 3 times"
    assert system.job(poison).attempts == 3


def test_a_paused_worker_that_comes_back_after_its_lease_changes_nothing(system):
    system.start("--processes", "2")
    system.ready()
    slow = system.submit(1500)
    system.until(lambda: system.states(slow) == ["running"])
    paused = system.job(slow).worker
    pid = int(paused.split("/")[2].partition(".")[0])
    os.kill(pid, signal.SIGSTOP)
    system.look(later=60)
    system.until(lambda: system.states(slow) == ["done"])
    done = system.job(slow)
    os.kill(pid, signal.SIGCONT)
    time.sleep(2.0)
    again = system.job(slow)
    assert done.worker != paused
    assert (again.worker, again.finished_at, again.attempts) == (done.worker, done.finished_at, 2)
    assert system.effects() == ["job 1", "job 1500"]
    assert "claim_lost" in (system.home / "worker.log").read_text()


def test_a_worker_at_a_job_that_is_cancelled_stops_soon_and_takes_the_next_one(system):
    system.start("--processes", "1")
    system.ready()
    slow = system.submit(60_000)
    system.until(lambda: system.states(slow) == ["running"])
    waiting = system.submit(2)
    with system.record.writing() as session:
        cancel(session, slow)
    system.until(lambda: system.states(waiting) == ["done"], seconds=15)  # at the next heartbeat
    assert system.states(slow) == ["cancelled"]
    assert system.effects() == ["job 1", "job 2"]
    with system.record.writing() as session:
        retry(session, slow)
    system.until(lambda: system.states(slow) == ["running"])
    assert system.job(slow).attempts == 1


@pytest.mark.parametrize("size", ["laptop"], indirect=True)  # a broker keeps what it was given: nothing to send again
def test_what_a_killed_parent_left_in_memory_is_sent_again_at_the_start(system):
    jobs = [system.submit(number) for number in range(1, 11)]
    with system.record.writing() as session:  # as if a relay had sent all, and died with its broker
        for row in session.scalars(select(Outbox)):
            row.sent_at = clock(session)
    system.start("--processes", "1")
    system.until(lambda: set(system.states(*jobs)) == {"done"}, planner=lambda: None)


def test_messages_that_are_doubled_unreadable_or_about_nothing_change_nothing(system):
    system.start("--processes", "2")
    system.ready()
    one, two = system.submit(2), system.submit(3)
    with system.record.writing() as session:
        payloads = [{"v": 1, "job": one}] * 5 + [{"v": 99, "job": two}, {"job": 7}, {}, {"v": 1, "job": "no such job"}]
        for payload in payloads:
            session.add(Outbox(topic="job.exporter", payload=payload, created_at=clock(session)))
        session.add(Outbox(topic="job.nobody", payload={}, created_at=clock(session)))
        session.add(Outbox(topic="run.registered", payload={"v": 1}, created_at=clock(session)))
    after = system.submit(4)
    system.until(lambda: set(system.states(one, two, after)) == {"done"})
    time.sleep(0.3)
    assert system.effects() == ["job 1", "job 2", "job 3", "job 4"]
    assert [system.job(job).attempts for job in (one, two, after)] == [1, 1, 1]
    with system.record.reading() as session:
        assert session.scalar(select(func.count()).where(Outbox.sent_at.is_(None))) == 0
    assert system.stop() == 0


def test_a_lost_message_is_replaced_by_the_planner(system):
    system.start("--processes", "1")
    system.ready()
    with system.record.writing() as session:
        lost = submit(session, Kind.EXPORT_REDUCTION, {"reduction_id": 5}, key_inputs="lost").id
        session.scalars(select(Outbox).where(Outbox.job_id == lost)).one().sent_at = clock(session)
    time.sleep(0.3)
    assert system.states(lost) == ["queued"]
    system.until(lambda: system.states(lost) == ["done"], planner=lambda: system.look(resend_after=0.2))


def test_asked_to_stop_it_lets_the_job_under_way_end(system):
    system.start("--processes", "1")
    system.ready()
    slow = system.submit(1200)
    system.until(lambda: system.states(slow) == ["running"])
    waiting = system.submit(2)
    assert system.stop() == 0
    assert system.states(slow, waiting) == ["done", "queued"]


def test_the_pool_dies_with_its_parent_and_the_parent_with_the_one_that_started_it(system):
    code = (
        "import os, subprocess, sys, time; os.environ['ROQUE_PARENT'] = str(os.getpid())\n"
        "worker = subprocess.Popen([sys.executable, '-m', 'roque.bus.worker', '--handlers', 'worker_toys:HANDLERS'])\n"
        "print(worker.pid, flush=True); time.sleep(60)\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", code], env=system.environment(), stdout=subprocess.PIPE, stderr=system.log
    )
    worker = int(starter.stdout.readline())
    one = system.submit(1)
    system.until(lambda: system.states(one) == ["done"])
    family = [worker, *children(worker)]
    assert len(family) == 3
    starter.kill()
    starter.wait()
    starter.stdout.close()
    system.until(lambda: not any(alive(pid) for pid in family), 5)


def test_it_starts_jobs_at_once_and_costs_next_to_nothing_while_idle(system, size, start_cost):
    system.start("--processes", "2")
    system.ready()
    delays = []
    for number in range(30, 330, 30):  # these sleep for no time at all
        job = system.submit(number)
        committed = time.time()
        system.until(lambda job=job: system.states(job) == ["done"], planner=lambda: None)
        delays.append(system.job(job).started_at.timestamp() - committed)
    assert min(delays) < 0.1
    assert statistics.median(delays) < 0.3  # on a machine that others use too
    time.sleep(1.0)
    family = [system.worker.pid, *system.children()]
    before = sum(cpu_seconds(pid) for pid in family)
    time.sleep(4.0)
    # a server is asked ten times a second whether there is something to send; a file's time stamp is looked at instead
    share = {"laptop": 0.025, "observatory": 0.05}[size] * start_cost  # 0.01 and 0.02 where a start takes 0.4 s
    assert sum(cpu_seconds(pid) for pid in family) - before < share * 4.0
