"""`python -m services.NAME`: each service is a process of its own that says who it is, works, and stops when asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from roque.archive import Record
from roque.archive.models import Job
from roque.archive.schema import upgrade
from roque.jobs.kinds import SERVICE, Kind
from roque.jobs.life import submit

OF_NOTHING: dict[Kind, dict] = {
    Kind.BUILD_MASTER: {"run_id": 1, "kind": "bias"},
    Kind.PREPARE_REDUCTION: {"run_id": 1, "recipe_id": 1, "masters": {}, "choices": {}},
    Kind.REDUCE_RANGE: {"reduction_id": 1, "first": 1, "last": 2},
    Kind.EXPORT_REDUCTION: {"reduction_id": 1},
}
"""A job of every kind, of a run and a reduction that are not there: whoever takes it fails."""


class Service:
    """A service on a home folder of its own, its log in service.log."""

    def __init__(self, name: str, home: Path) -> None:
        environment = {**os.environ, "ROQUE_HOME": str(home), "ROQUE_LOG_FORMAT": "json", "ROQUE_WORKERS": "1"}
        self.log = home / "service.log"
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", f"services.{name}"]
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def said(self, event: str) -> list[dict]:
        return [line for line in map(json.loads, self.log.read_text().splitlines()) if line["event"] == event]

    def stops(self) -> bool:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30) == 0 and len(self.said("stopped")) == 1


@pytest.fixture
def record(tmp_path):
    record = Record(f"sqlite:///{tmp_path / 'record.sqlite'}")
    upgrade(record)
    yield record
    record.close()


@pytest.fixture
def start(tmp_path, record):
    started = []

    def start(name: str) -> Service:
        started.append(Service(name, tmp_path))
        return started[-1]

    yield start
    for service in started:
        service.process.kill()
        service.process.wait()


@pytest.mark.parametrize("name", ["ingest", "planner"])
def test_a_service_says_who_it_is_and_stops_when_asked(start, name, until):
    service = start(name)
    (said,) = until(lambda: service.said("started"))
    assert said["service"] == name
    assert service.stops()


@pytest.mark.parametrize("name", sorted(set(SERVICE.values())))
def test_a_worker_of_one_service_does_the_jobs_of_that_service_alone(start, record, name, until):
    with record.writing() as session:
        for kind, parameters in OF_NOTHING.items():
            submit(session, kind, parameters, key_inputs=[1])

    def begun() -> set[str]:
        with record.reading() as session:
            return {SERVICE[Kind(kind)] for kind in session.scalars(select(Job.kind).where(Job.attempts > 0))}

    service = start(name)
    assert until(begun) == {name}
    (said,) = service.said("started")
    assert (said["service"], said["services"]) == (name, [name])
    assert service.stops()
    assert begun() == {name}
