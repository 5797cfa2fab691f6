"""Jobs per second through planner, outbox, broker, workers and record, and what the way costs jobs of one second.

    python benchmarks/jobs.py [--jobs 6000] [--naps 60] [--workers 2] [--json]

An observatory of its own: PostgreSQL and RabbitMQ flush to the disk; the planner and two workers with one pool process each
run as services. Jobs that do nothing are submitted to wait for one moment; the planner, which looks at everything every two
seconds, then queues them, the relays send them, the workers claim, do and finish each in its own transactions. Counted is the
time from that look until the last is done. Then the same with jobs that sleep for a second: overhead is the time of a worker
that is not spent in them.
"""

from __future__ import annotations

import os
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


def spent(site: Observatory, first: int) -> tuple[float, float]:
    """Seconds from the planner's look until the last job ended, and from the first claim until then."""
    with site.record.reading() as session:
        number = Job.parameters["reduction_id"].as_integer()
        times = func.min(Job.queued_at), func.min(Job.started_at), func.max(Job.finished_at)
        queued, claimed, last = session.execute(select(*times).where(number >= first)).one()
    return (last - queued).total_seconds(), (last - claimed).total_seconds()


def processor_seconds(site: Observatory) -> dict[str, float]:
    """Processor time used so far, by who used it."""
    used: dict[str, float] = {}
    for pid in descendants(os.getpid()):
        used[site.role(pid)] = used.get(site.role(pid), 0.0) + cpu_seconds(pid, ended_children=False)
    return used


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--jobs", type=int, default=6000, help="jobs that do nothing (default 6000)")
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
        note(f"{given.jobs} jobs are submitted")
        submitting = submit_all(site, 50, given.jobs)
        with Load() as load:
            before = processor_seconds(site)
            let_go(site)
            wait(site, lambda: done(site, 50 + given.jobs))
            used = {name: seconds - before.get(name, 0.0) for name, seconds in processor_seconds(site).items()}
        whole, working = spent(site, 50)
        note(f"{given.naps} jobs of one second")
        submit_all(site, NAPS_FROM, given.naps)
        let_go(site)
        wait(site, lambda: done(site, 50 + given.jobs + given.naps))
        napping = spent(site, NAPS_FROM)[1]
    rate = given.jobs / whole
    overhead = 100.0 * (napping * given.workers / (given.naps * NAP_SECONDS) - 1.0)
    figures = [
        Figure("jobs that do nothing, per second", rate, "jobs/s", f">= {RATE:.0f}", rate >= RATE),
        Figure("  from the first claim on", given.jobs / working, "jobs/s"),
        *(Figure(f"    processor time of {name}", 1e3 * seconds / given.jobs, "ms/job") for name, seconds in used.items()),
        Figure("submitted per second", given.jobs / submitting, "jobs/s"),
        Figure("jobs of one second: overhead", overhead, "%", f"< {OVERHEAD:.0f}", overhead < OVERHEAD),
    ]
    return show(f"jobs through the whole system, {given.workers} workers", figures, load, as_json=given.json)


if __name__ == "__main__":
    raise SystemExit(main())
