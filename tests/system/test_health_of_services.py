"""Health of real services, at both sizes: alive, ready when record and broker are there, figures to be collected."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from roque.archive import Record
from roque.archive.schema import upgrade
from roque.settings import load_settings


def ask(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


@pytest.fixture
def start(tmp_path, sizes, size):
    running = []
    with sizes.new(size) as settings:

        def start(name):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            given = {**settings, "home": str(tmp_path), "health_port": str(port), "workers": "1", "log_format": "json"}
            environment = {**os.environ, **{f"ROQUE_{key.upper()}": value for key, value in given.items()}}
            with (tmp_path / f"{name}.log").open("wb") as log:
                command = [sys.executable, "-m", f"services.{name}"]
                running.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
            return running[-1], port

        start.record = Record(load_settings(**{"home": tmp_path, **settings}).database)
        yield start
        for process in running:
            process.kill()
            process.wait()
        start.record.close()


@pytest.mark.parametrize("name", ["ingest", "planner", "reducer"])
def test_a_service_is_ready_when_the_tables_are_there_and_ends_when_asked(start, name, until):
    process, port = start(name)
    if name != "reducer":  # a worker waits for the tables before it begins
        status, text = until(lambda: (answer := ask(port, "/readyz"))[0] and answer)
        assert (status, "roque db upgrade" in text or "roque up" in text) == (503, True), text
        assert ask(port, "/healthz") == (200, "alive\n")
    upgrade(start.record)
    until(lambda: ask(port, "/readyz") == (200, "ready\n"))
    assert ask(port, "/healthz") == (200, "alive\n")
    status, figures = ask(port, "/metrics")
    assert status == 200
    assert "roque_record_up 1\n" in figures
    assert f'service="{name}"' in figures
    if name == "reducer":
        assert "roque_pool_processes 1\n" in figures
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert ask(port, "/healthz")[0] == 0
