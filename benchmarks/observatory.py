"""An observatory of a benchmark's own: private PostgreSQL and RabbitMQ that flush to the disk, and services beside them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the servers are those of the tests

from figures import command

from roque.archive import Record
from roque.archive.schema import upgrade
from roque.settings import Settings, load_settings
from tests.support.postgresql import PostgreSQLServer, fresh_database
from tests.support.processes import Scratch
from tests.support.rabbitmq import RabbitMQServer, fresh_vhost

STOP_SECONDS = 30.0


@dataclass
class Observatory:
    """An empty record and broker, their settings, and the services started so far."""

    settings: Settings
    record: Record
    environment: Mapping[str, str]
    log: Path
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start ``python -m MODULE ARGUMENTS``; what it says goes to the log."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._running.append(process)
        return process

    def stop(self, *which: subprocess.Popen[bytes]) -> None:
        """Stop some services; every one that was started if none is named."""
        stopped = which or tuple(self._running)
        for process in stopped:
            process.send_signal(signal.SIGTERM)
        for process in stopped:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self._running.remove(process)

    def role(self, pid: int) -> str:
        """What a process of this benchmark is, in words."""
        words = command(pid)
        if pid == os.getpid():
            return "this benchmark"
        if "services.planner" in words:
            return "the planner"
        if "roque.bus.worker" in words or "services." in words:
            return "workers' parents" if pid in {process.pid for process in self._running} else "pool processes"
        return "PostgreSQL" if "postgres" in words else "RabbitMQ"

    def check(self) -> None:
        """End the benchmark if a service has died."""
        if any(process.poll() is not None for process in self._running):
            raise SystemExit(f"a service died:\n{self.log.read_text()[-3000:]}")


@contextmanager
def observatory(folder: Path, **settings: Any) -> Iterator[Observatory]:
    """Start the servers, durable as in earnest, with an empty record whose tables are made.

    Parameters
    ----------
    folder : Path
        Home folder and log.
    **settings
        Settings beside the URLs and the home folder.
    """
    with ExitStack() as stack:
        scratch = stack.enter_context(Scratch())
        broker = RabbitMQServer(scratch, durable=True)
        url = stack.enter_context(fresh_database(PostgreSQLServer(scratch, durable=True).url))
        vhost = stack.enter_context(fresh_vhost(broker.url, broker.api))
        home = folder / "roque-data"
        given = {"home": home, "database_url": url, "broker_url": vhost, "log_format": "json", **settings}
        words = {
            f"ROQUE_{name.upper()}": json.dumps(value) if isinstance(value, list) else str(value)
            for name, value in given.items()
        }
        paths = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, **words, "PYTHONPATH": paths, "ROQUE_PARENT": str(os.getpid())}
        record = Record(url)
        stack.callback(record.close)
        upgrade(record)
        made = Observatory(load_settings(**given), record, environment, folder / "services.log")
        stack.callback(made.stop)
        yield made


def wait(site: Observatory, done: Callable[[], bool], seconds: float = 600.0, step: float = 0.1) -> None:
    """Wait until `done()` holds."""
    end = time.monotonic() + seconds
    while not done():
        site.check()
        if time.monotonic() > end:
            raise SystemExit(f"not done after {seconds:.0f} s:\n{site.log.read_text()[-3000:]}")
        time.sleep(step)
