"""How the record stands up to 100 000 waiting jobs, and what a job costs it, on SQLite and on a private PostgreSQL.

    python benchmarks/many_jobs.py [--jobs 100000] [--some 500]

Half of the jobs wait for one that is under way, half for a time to come. Timed are a pass of the planner, `roque job list` as a
user starts it, and the life of a job: submitted, claimed and finished, each in a transaction of its own, and submitted many
in one transaction. PostgreSQL flushes every commit.
"""

import datetime as dt
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import Figure, Load, cpu_seconds, descendants, note, options, show
from sqlalchemy import insert

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from roque.archive import Record
from roque.archive.models import Job, JobNeed
from roque.archive.schema import upgrade
from roque.jobs.claims import claim, finish
from roque.jobs.keys import job_key, uuid7
from roque.jobs.kinds import ALGORITHM, SERVICE, ExportReduction, Kind
from roque.jobs.life import submit
from roque.jobs.planner import Policy, plan
from roque.jobs.workers import process_name
from tests.support.postgresql import PostgreSQLServer
from tests.support.processes import Scratch

KIND = Kind.EXPORT_REDUCTION
PASSES = 5
ROQUE = [sys.executable, "-c", "from services.cli.main import main; main()"]
LONGEST_PASS, LONGEST_LIST = 1.0, 0.7  # s


def fill(record, jobs):
    """One job under way, and many that wait."""
    now = dt.datetime.now(dt.UTC)
    blank = {
        "kind": KIND.value, "service": SERVICE[KIND], "parameters": {"reduction_id": 1}, "priority": 0, "attempts": 0,
        "lost": 0, "created_at": now,
    }  # fmt: skip
    first = uuid7()
    running = {
        "state": "running", "claim_token": "mine", "worker": process_name(), "lease_until": now + dt.timedelta(days=1),
        "started_at": now,
    }  # fmt: skip
    with record.writing() as session:
        session.execute(insert(Job), [{**blank, "id": first, "key": "0", **running}])
        waiting = [
            {
                **blank, "id": uuid7(), "key": job_key(KIND, ["waits", i], ALGORITHM[KIND]), "state": "waiting",
                "not_before": now + dt.timedelta(days=1) if i % 2 else None,
            }
            for i in range(jobs)
        ]  # fmt: skip
        session.execute(insert(Job), waiting)
        needs = [{"job_id": one["id"], "needs_id": first} for one in waiting if one["not_before"] is None]
        session.execute(insert(JobNeed), needs)


def passes(record, server):
    """Seconds of the slowest pass, and processor time of a pass."""
    seconds, used = [], processor_time(server)
    for _ in range(PASSES):
        began = time.perf_counter()
        plan(record, dt.datetime.now(dt.UTC), Policy())
        seconds.append(time.perf_counter() - began)
    return max(seconds), (processor_time(server) - used) / PASSES


def processor_time(server):
    """Processor time of this process, its children that have ended, and the server, s."""
    times = os.times()
    own = times.user + times.system + times.children_user + times.children_system
    return own + sum(cpu_seconds(pid, ended_children=pid == server) for pid in descendants(server))


def listing(home, url, server):
    """Seconds of `job list`, and its processor time."""
    seconds, used = [], processor_time(server)
    for _ in range(PASSES):
        began = time.perf_counter()
        environment = {**os.environ, "ROQUE_HOME": str(home), "ROQUE_DATABASE_URL": url}
        subprocess.run([*ROQUE, "--quiet", "job", "list"], env=environment, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds), (processor_time(server) - used) / PASSES


def lives(record, some):
    """Jobs a second: each submitted in its own transaction; all in one; claimed and finished."""
    made, worker, rates = [], process_name(), []
    began = time.perf_counter()
    for i in range(some):
        with record.writing() as session:
            made.append(submit(session, KIND, ExportReduction(reduction_id=1), key_inputs=["one", i]).id)
    rates.append(some / (time.perf_counter() - began))
    began = time.perf_counter()
    with record.writing() as session:
        for i in range(some):
            submit(session, KIND, ExportReduction(reduction_id=1), key_inputs=["many", i])
    rates.append(some / (time.perf_counter() - began))
    began = time.perf_counter()
    for job in made:
        finish(record, claim(record, job, worker), lambda _: None, {})
    rates.append(some / (time.perf_counter() - began))
    return rates


def measure(name, url, home, server, jobs, some):
    record = Record(url)
    upgrade(record)
    note(f"{name}: {jobs} waiting jobs")
    fill(record, jobs)
    slowest, passing = passes(record, server)
    listed, asking = listing(home, url, server)
    alone, together, lived = lives(record, some)
    record.close()
    return [
        Figure(
            f"{name}, pass of the planner, slowest of {PASSES}", slowest, "s", f"< {LONGEST_PASS:g}", slowest < LONGEST_PASS
        ),
        Figure(f"{name}, processor time of a pass", passing, "s"),
        Figure(f"{name}, job list", listed, "s", f"< {LONGEST_LIST:g}", listed < LONGEST_LIST),
        Figure(f"{name}, processor time of job list", asking, "s"),
        Figure(f"{name}, jobs submitted, each a transaction", alone, "jobs/s"),
        Figure(f"{name}, jobs submitted in one transaction", together, "jobs/s"),
        Figure(f"{name}, jobs claimed and finished", lived, "jobs/s"),
    ]


def main():
    parser = options(__doc__)
    parser.add_argument("--jobs", type=int, default=100_000, help="waiting jobs (100 000)")
    parser.add_argument("--some", type=int, default=500, help="jobs whose life is timed (500)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Scratch() as scratch:
        home = Path(folder)
        server = PostgreSQLServer(scratch, durable=True)
        with Load() as load:
            found = measure("PostgreSQL", server.url, home, server.pid, given.jobs, given.some)
            found += measure("SQLite", f"sqlite:///{home / 'record.sqlite'}", home, server.pid, given.jobs, given.some)
    return show("Many jobs", found, load, as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
