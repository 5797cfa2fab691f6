"""Jobs per second through planner, outbox, broker, workers and record, and what the way costs jobs of one second.

    python benchmarks/jobs.py [--jobs 6000] [--passes 3] [--naps 60] [--workers 2] [--json]

An observatory of its own: PostgreSQL and RabbitMQ flush to the disk; the planner and two workers with one pool process each
run as services. Jobs that do nothing are submitted to wait for one moment; the planner, which looks at everything every two
seconds, then queues them, the relays send them, the workers claim, do and finish each in its own transactions. Counted is the
time from that look until the last is done; of several passes the middle one is judged, the slowest and the quickest are told.
Then the same with jobs that sleep for a second: overhead is the time of a worker that is not spent in them.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

from figures import Figure, Load, cpu_seconds, descendants, note, options, show
from observatory import Observatory, observatory, wait
from sqlalchemy import func, select, text

from roque.archive.models import Job
from roque.jobs.handlers import Context, JobSnapshot, Outcome
from roque.jobs.kinds import ExportReduction, Kind
from roque.jobs.life import submit

RATE = 300.0  # jobs/s
OVERHEAD = 2.0  # per cent
NAP_SECONDS = 1.0
NAPS_FROM = 1_000_000  # numbers of jobs that sleep
BATCH = 500


def nothing(_context: Context, job: JobSnapshot) -> Outcome:
    """Do nothing, or sleep."""
    if isinstance(job.parameters, ExportReduction) and job.parameters.reduction_id >= NAPS_FROM:
        time.sleep(NAP_SECONDS)
    return Outcome()


HANDLERS = {Kind.EXPORT_REDUCTION: nothing}


def submit_all(site: Observatory, first: int, count: int) -> float:
    """Submit jobs that wait until one moment; returns the seconds it took."""
    began = time.monotonic()
    for start in range(first, first + count, BATCH):
        with site.record.writing() as session:
            for number in range(start, min(start + BATCH, first + count)):
                submit(session, Kind.EXPORT_REDUCTION, {"reduction_id": number}, key_inputs=[number], reason="the benchmark")
    return time.monotonic() - began


def let_go(site: Observatory) -> None:
    """Let every waiting job go, at one moment."""
    with site.record.writing() as session:
        session.execute(text("UPDATE job SET reason = NULL WHERE state = 'waiting'"))


def done(site: Observatory, count: int) -> bool:
    with site.record.reading() as session:
        failed = session.scalar(select(func.count()).where(Job.state.in_(("failed", "cancelled"))))
        if failed:
            raise SystemExit(f"{failed} jobs failed: see {site.log}")
        return session.scalar(select(func.count()).where(Job.state == "done")) == count


def spent(site: Observatory, first: int, last: int) -> tuple[float, float]:
    """Seconds from the planner's look until the last of some jobs ended, and from the first claim until then."""
    with site.record.reading() as session:
        number = Job.parameters["reduction_id"].as_integer()
        times = func.min(Job.queued_at), func.min(Job.started_at), func.max(Job.finished_at)
        queued, claimed, ended = session.execute(select(*times).where(number.between(first, last))).one()
    return (ended - queued).total_seconds(), (ended - claimed).total_seconds()


def processor_seconds(site: Observatory) -> dict[str, float]:
    """Processor time used so far, by who used it; pool processes and connections come and go."""
    used: dict[str, float] = {}
    for pid in descendants(os.getpid()):
        role, own = site.role(pid), cpu_seconds(pid, ended_children=False)
        child = "pool processes" if role == "workers' parents" else role
        used[role] = used.get(role, 0.0) + own
        if role != "this benchmark":
            used[child] = used.get(child, 0.0) + cpu_seconds(pid) - own
    return used


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--jobs", type=int, default=6000, help="jobs that do nothing (default 6000)")
    parser.add_argument("--passes", type=int, default=3, help="times that they are done (default 3)")
    parser.add_argument("--naps", type=int, default=60, help="jobs of one second (default 60)")
    parser.add_argument("--workers", type=int, default=2, help="workers, one pool process each (default 2)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="roque-jobs-") as folder, observatory(Path(folder)) as site:
        site.start("services.planner")
        for _ in range(given.workers):
            site.start("roque.bus.worker", "--services", "exporter", "--processes", "1", "--handlers", "jobs:HANDLERS")
        note("the workers start")
        submit_all(site, 0, 50)
        let_go(site)
        wait(site, lambda: done(site, 50))
        submitting, used, passes, first = 0.0, dict.fromkeys(processor_seconds(site), 0.0), [], 50
        with Load() as load:
            for _ in range(given.passes):
                note(f"{given.jobs} jobs are submitted")
                submitting += submit_all(site, first, given.jobs)
                before = processor_seconds(site)
                let_go(site)
                wait(site, lambda until=first + given.jobs: done(site, until))
                used = {name: used[name] + seconds - before[name] for name, seconds in processor_seconds(site).items()}
                passes.append(spent(site, first, first + given.jobs - 1))
                first += given.jobs
        note(f"{given.naps} jobs of one second")
        submit_all(site, NAPS_FROM, given.naps)
        let_go(site)
        wait(site, lambda: done(site, first + given.naps))
        napping = spent(site, NAPS_FROM, NAPS_FROM + given.naps)[1]
    rates = sorted(given.jobs / whole for whole, _ in passes)
    rate = statistics.median(rates)
    jobs = given.jobs * given.passes
    overhead = 100.0 * (napping * given.workers / (given.naps * NAP_SECONDS) - 1.0)
    figures = [
        Figure("jobs that do nothing, per second", rate, "jobs/s", f">= {RATE:.0f}", rate >= RATE),
        Figure("  the slowest pass", rates[0], "jobs/s"),
        Figure("  the quickest pass", rates[-1], "jobs/s"),
        Figure("  from the first claim on, the quickest", max(given.jobs / working for _, working in passes), "jobs/s"),
        *(Figure(f"    processor time of {name}", 1e3 * seconds / jobs, "ms/job") for name, seconds in used.items()),
        Figure("submitted per second", jobs / submitting, "jobs/s"),
        Figure("jobs of one second: overhead", overhead, "%", f"< {OVERHEAD:.0f}", overhead < OVERHEAD),
    ]
    return show(f"jobs through the whole system, {given.workers} workers", figures, load, as_json=given.json)


if __name__ == "__main__":
    raise SystemExit(main())
