"""Figures for those who watch the system: what the record says of jobs and runs, and what this process takes.

In Prometheus' text form. The record's figures are the same whichever service is asked: collect them from one.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from roque import __version__
from roque.archive import Record
from roque.archive.models import DeadLetter, Job, Outbox, Reduction, Run
from roque.errors import Transient
from roque.jobs.outbox import clock

__all__ = ["Metric", "all_metrics", "process_metrics", "record_metrics", "render"]

NEWEST = 1_000
"""Jobs done, the newest, over which the seconds per stage are averaged."""

_WAITING = ("waiting", "queued", "running")

Labels = Mapping[str, str]


class Metric:
    """A figure, by its labels.

    Parameters
    ----------
    name, help_text : str
        As Prometheus shows them.
    kind : str
        gauge or counter.
    """

    def __init__(self, name: str, help_text: str, kind: str = "gauge") -> None:
        self.name, self.help, self.kind = name, help_text, kind
        self.values: list[tuple[Labels, float]] = []

    def add(self, value: float, **labels: str) -> None:
        """Add a value for some labels."""
        self.values.append((labels, value))


def render(metrics: Iterable[Metric]) -> str:
    """Write figures as Prometheus reads them."""
    lines = []
    for metric in metrics:
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
        lines += [f"{metric.name}{_written(labels)} {value:.10g}" for labels, value in metric.values]
    return "\n".join(lines) + "\n"


def all_metrics(record: Record, service: str, loop_age: float) -> str:
    """Write all figures; without those of the record if that is away."""
    up = Metric("roque_record_up", "Whether the record answers")
    found: list[Metric] = []
    try:
        with record.reading() as session:
            found = list(record_metrics(session, clock(session)))
        up.add(1)
    except Transient:
        up.add(0)
    return render([up, *found, *process_metrics(service, loop_age)])


def record_metrics(session: Session, now: dt.datetime) -> Iterator[Metric]:
    """Tell what the record says of jobs and runs.

    Parameters
    ----------
    session : Session
    now : datetime
        The time by `roque.jobs.outbox.clock`.
    """
    yield _jobs(session)
    yield from _ages(session, now)
    yield from _stages(session)
    yield from _runs(session)
    unsent = Metric("roque_outbox_unsent", "Messages that wait to be sent to the broker")
    unsent.add(session.scalar(select(func.count()).where(Outbox.sent_at.is_(None))) or 0)
    dead = Metric("roque_dead_letters", "Messages that were given up, and that nobody has replayed or dropped")
    dead.add(session.scalar(select(func.count()).where(DeadLetter.state == "new")) or 0)
    yield from (unsent, dead)


def process_metrics(service: str, loop_age: float) -> Iterator[Metric]:
    """Tell what this process and those it has forked take."""
    info = Metric("roque_info", "Version of roque")
    info.add(1, version=__version__, service=service)
    yield info
    age = Metric("roque_loop_age_seconds", "Time since the loop of the service last went round")
    age.add(loop_age, service=service)
    yield age
    own = os.getpid()
    memory = Metric("process_resident_memory_bytes", "Resident memory of the service's main process")
    memory.add(_resident(own))
    pool = Metric("roque_pool_resident_memory_bytes", "Resident memory of the processes of the service's pool")
    children = _children(own)
    pool.add(sum(_resident(pid) for pid in children))
    number = Metric("roque_pool_processes", "Processes of the service's pool")
    number.add(len(children))
    spent = Metric("process_cpu_seconds_total", "Processor time of the service's main process", "counter")
    spent.add(time.process_time())
    yield from (memory, pool, number, spent)


def _jobs(session: Session) -> Metric:
    jobs = Metric("roque_jobs", "Jobs by kind and state")
    for kind, state, count in session.execute(select(Job.kind, Job.state, func.count()).group_by(Job.kind, Job.state)):
        jobs.add(count, kind=kind, state=state)
    return jobs


def _ages(session: Session, now: dt.datetime) -> Iterator[Metric]:
    oldest = Metric("roque_oldest_job_seconds", "Age of the oldest job in a state: since it was submitted, queued or begun")
    since = {"waiting": Job.created_at, "queued": Job.queued_at, "running": Job.started_at}
    for state in _WAITING:
        first = session.scalar(select(func.min(since[state])).where(Job.state == state))
        oldest.add((now - first).total_seconds() if first is not None else 0.0, state=state)
    yield oldest


def _stages(session: Session) -> Iterator[Metric]:
    mean = Metric("roque_stage_seconds", f"Mean seconds of each stage in the newest {NEWEST} jobs done")
    newest = session.execute(
        select(Job.kind, Job.result, Job.queued_at, Job.started_at, Job.finished_at)
        .where(Job.state == "done")
        .order_by(Job.id.desc())
        .limit(NEWEST)
    )
    spent: dict[tuple[str, str], list[float]] = defaultdict(list)
    for kind, result, queued, started, finished in newest:
        if queued is not None and started is not None and finished is not None:
            spent[kind, "queued"].append((started - queued).total_seconds())
            spent[kind, "whole"].append((finished - started).total_seconds())
        for stage, seconds in ((result or {}).get("seconds") or {}).items():
            spent[kind, stage].append(seconds)
    for (kind, stage), seconds in sorted(spent.items()):
        mean.add(sum(seconds) / len(seconds), kind=kind, stage=stage)
    yield mean


def _runs(session: Session) -> Iterator[Metric]:
    runs = Metric("roque_runs_unsettled", "Runs that the planner is not done with, by kind")
    for kind, count in session.execute(select(Run.kind, func.count()).where(Run.unsettled).group_by(Run.kind)):
        runs.add(count, kind=kind)
    yield runs
    science = Run.unsettled, Run.kind == "science", Run.state.in_(("growing", "complete"))
    frames = session.scalar(select(func.sum(Run.frames)).where(*science)) or 0
    newest = select(func.max(Reduction.id)).where(Reduction.state.in_(("running", "done"))).group_by(Reduction.run_id)
    done = select(func.sum(Reduction.frames_done)).join(Run, Run.id == Reduction.run_id).where(*science)
    measured = session.scalar(done.where(Reduction.id.in_(newest))) or 0
    behind = Metric("roque_frames_behind", "Frames registered of science runs that are not measured yet")
    behind.add(frames - measured)
    yield behind


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):  # gone, or no Linux
        return 0


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").glob("*/children"))
        return [int(word) for task in tasks for word in task.read_text(encoding="ascii").split()]
    except OSError:
        return []


def _written(labels: Labels) -> str:
    if not labels:
        return ""
    escaped = {name: value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for name, value in labels.items()}
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}"
