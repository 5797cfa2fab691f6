"""Health over HTTP: what is answered, and that nobody who asks can hold the service up."""

from __future__ import annotations

import socket
import threading
import time
import urllib.error
import urllib.request

import pytest

from roque import health
from roque.archive import Record
from roque.archive.schema import upgrade
from roque.errors import BadInput, Unreachable
from roque.health import Checks, serve_health
from roque.jobs.kinds import Kind
from roque.jobs.life import submit
from roque.metrics import all_metrics
from roque.settings import Settings


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Service:
    """A service that says of itself what the test says."""

    def __init__(self, folder):
        self.settings = Settings(home=folder, health_port=free_port())
        self.why, self.error, self.asked = None, None, 0
        self.hold = threading.Event()
        self.hold.set()
        self.checks = Checks(lambda: self.why, self.ready, lambda: "a_figure 1\n")

    def ready(self):
        self.asked += 1
        self.hold.wait(20)
        if self.error:
            raise self.error

    def ask(self, path, method="GET"):
        url = f"http://127.0.0.1:{self.settings.health_port}{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture
def service(tmp_path, monkeypatch):
    monkeypatch.setattr(health, "KEPT_SECONDS", 0.2)
    service = Service(tmp_path)
    with serve_health(service.settings, service.checks):
        yield service
        service.hold.set()


def test_a_service_is_alive_until_its_loop_stands_still(service):
    assert service.ask("/healthz") == (200, "alive\n")
    service.why = "the loop stands still for 130 s"
    assert service.ask("/healthz") == (503, "the loop stands still for 130 s\n")


def test_a_service_is_ready_when_it_lacks_nothing_and_says_what_it_lacks(service):
    assert service.ask("/readyz") == (200, "ready\n")
    service.error = Unreachable("connection refused", file="postgresql://roque:***@db/roque", remedy="start the database")
    time.sleep(0.25)
    status, text = service.ask("/readyz")
    assert (status, "connection refused" in text, "start the database" in text) == (503, True, True)
    service.error = None
    time.sleep(0.25)
    assert service.ask("/readyz") == (200, "ready\n")


def test_what_an_unforeseen_error_says_is_not_given_away(service):
    service.error = ValueError("postgresql://roque:secret@db")
    assert service.ask("/readyz") == (500, "ValueError\n")


def test_however_many_ask_one_thread_finds_the_answer(service):
    threads = [threading.Thread(target=service.ask, args=["/readyz"]) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert service.asked == 1


def test_a_check_that_hangs_is_not_ready_and_holds_up_nothing_else(service, monkeypatch):
    monkeypatch.setattr(health, "_PATIENCE_SECONDS", 0.3)
    service.hold.clear()
    status, text = service.ask("/readyz")
    assert (status, text.startswith("no answer for 0 s")) == (503, True)
    assert service.ask("/readyz")[0] == 503
    assert service.asked == 1
    assert service.ask("/healthz")[0] == 200
    service.hold.set()
    time.sleep(0.1)
    assert service.ask("/readyz") == (200, "ready\n")


def test_connections_that_say_nothing_are_few_and_cut_off(service, monkeypatch):
    monkeypatch.setattr(health, "_REQUEST_SECONDS", 0.5)
    silent = [socket.create_connection(("127.0.0.1", service.settings.health_port)) for _ in range(20)]
    slow = silent[0]
    before = threading.active_count()
    end = time.monotonic() + 10
    answered = None
    while answered != (200, "alive\n"):
        assert time.monotonic() < end
        try:
            slow.send(b"G")
            answered = service.ask("/healthz")
        except OSError:
            time.sleep(0.1)
    assert before < 40
    for connection in silent:
        connection.close()


@pytest.mark.parametrize("path", ["/", "/healthz/../metrics", "/%2e%2e/etc/passwd"])
def test_there_is_nothing_else(service, path):
    assert service.ask(path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE"])
def test_nothing_can_be_changed(service, method):
    assert service.ask("/healthz", method)[0] == 501


def test_head_is_answered_without_a_body(service):
    assert service.ask("/healthz", "HEAD") == (200, "")


def test_without_a_port_there_is_no_server(tmp_path):
    before = threading.active_count()
    with serve_health(Settings(home=tmp_path), Checks(lambda: None, lambda: None, str)):
        assert threading.active_count() == before


def test_a_port_that_is_taken_is_named_with_what_to_do(service, tmp_path):
    with pytest.raises(BadInput, match="a port of its own") as caught, serve_health(service.settings, service.checks):
        pass
    assert str(service.settings.health_port) in str(caught.value)


def test_figures_of_the_record_are_there_and_well_formed(tmp_path):
    record = Record(f"sqlite:///{tmp_path / 'record.sqlite'}")
    upgrade(record)
    with record.writing() as session:
        for number in range(3):
            submit(session, Kind.EXPORT_REDUCTION, {"reduction_id": number}, key_inputs=number)
        submit(session, Kind.EXPORT_REDUCTION, {"reduction_id": 9}, key_inputs=9, reason="a flat")
    text = all_metrics(record, "planner", 1.5)
    record.close()
    lines = text.splitlines()
    assert 'roque_jobs{kind="export_reduction",state="queued"} 3' in lines
    assert 'roque_jobs{kind="export_reduction",state="waiting"} 1' in lines
    assert "roque_record_up 1" in lines
    assert "roque_outbox_unsent 3" in lines
    assert "roque_dead_letters 0" in lines
    assert 'roque_loop_age_seconds{service="planner"} 1.5' in lines
    values = {line.split(" ")[0]: float(line.split(" ")[1]) for line in lines if not line.startswith("#")}
    assert len(values) == len([line for line in lines if not line.startswith("#")])  # none twice
    assert 0 <= values['roque_oldest_job_seconds{state="queued"}'] < 60
    assert values["process_resident_memory_bytes"] > 1e6
    assert {line.split()[2] for line in lines if line.startswith("# TYPE")} >= {key.partition("{")[0] for key in values}


def test_without_the_record_the_figures_of_the_process_are_there(tmp_path):
    (tmp_path / "record.sqlite").touch()
    record = Record(f"sqlite:///{tmp_path / 'record.sqlite'}")
    text = all_metrics(record, "planner", 0.0)
    record.close()
    assert "roque_record_up 0" in text
    assert "process_resident_memory_bytes" in text
