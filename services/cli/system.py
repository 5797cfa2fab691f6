"""The processes of a laptop: ingest, planner and one worker, started together and kept running."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

from roque.errors import Conflict
from roque.settings import Settings

__all__ = ["System", "only_one"]

GRACE_SECONDS = 30.0
"""How long a process may take to stop before it is killed: longer than a range of frames."""

AT_ONCE_SECONDS = 10.0
MOST_DEATHS = 5
LOOK = "its last messages say why"

COMMANDS: dict[str, list[str]] = {
    "ingest": [sys.executable, "-m", "services.ingest"],
    "planner": [sys.executable, "-m", "services.planner"],
    "worker": [sys.executable, "-m", "roque.bus.worker", "--services", "calibrator,reducer,exporter"],
}


class System:
    """Processes started by this one, restarted when they die, stopped together.

    Parameters
    ----------
    settings : Settings
        Settings, handed on through the environment.
    names : sequence of str
        Which of ingest, planner and worker.
    log : file or None
        Where their messages go; None: to this terminal.
    """

    def __init__(self, settings: Settings, names: tuple[str, ...], log: IO[bytes] | None = None) -> None:
        self._environment = _environment(settings)
        self._health_port = settings.health_port
        self._names = names
        self._log = log
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}
        self._deaths: Counter[str] = Counter()  # in a row, each soon after its start

    def __enter__(self) -> Self:
        """Start them."""
        self.start(*self._names)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop them: asked first, killed when they do not answer."""
        for process in self._running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        end = time.monotonic() + GRACE_SECONDS
        for process in self._running.values():
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self, *names: str) -> None:
        """Start some, and keep them running from now on."""
        for name in names:
            self._start(name)

    def revive(self) -> list[str]:
        """Start again what has died; returns the names.

        Raises
        ------
        Conflict
            One dies again and again as soon as it is started: something is wrong that starting it will not mend.
        """
        dead = [name for name, process in self._running.items() if process.poll() is not None]
        for name in dead:
            at_once = time.monotonic() - self._started[name] < AT_ONCE_SECONDS
            self._deaths[name] = self._deaths[name] + 1 if at_once else 0
            if self._deaths[name] >= MOST_DEATHS:
                raise Conflict(
                    f"{name} dies as soon as it is started", file=str(self._log.name) if self._log else None, remedy=LOOK
                )
            self._start(name)
        return dead

    def _start(self, name: str) -> None:
        self._started[name] = time.monotonic()
        self._running[name] = subprocess.Popen(  # noqa: S603 - our own commands
            COMMANDS[name],
            env=self._environment | self._health(name),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            # Ctrl-C reaches every process of the terminal: only this one is to hear it, and to stop the others in order
            start_new_session=True,
        )

    def _health(self, name: str) -> dict[str, str]:
        """Give each process a port of its own."""
        if not self._health_port:
            return {}
        return {"ROQUE_HEALTH_PORT": str(self._health_port + list(COMMANDS).index(name))}


@contextmanager
def only_one(settings: Settings) -> Iterator[None]:
    """Hold the home folder for one system: two on one SQLite record and one memory broker would not see each other's work.

    Raises
    ------
    Conflict
        Another one runs on this home folder.
    """
    path = _lock_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                "roque runs on this home folder already", file=str(settings.folder), remedy="use that one, or stop it first"
            ) from None
        yield


def _lock_file(settings: Settings) -> Path:
    return settings.folder / "up.lock"


def _environment(settings: Settings) -> dict[str, str]:
    """The settings of this process for another one."""
    given = {
        "home": str(settings.folder),
        "incoming": json.dumps([str(path.expanduser().absolute()) for path in settings.incoming]),
        "servers": json.dumps(settings.servers),
        "workers": str(settings.workers),
        "poll_seconds": repr(settings.poll_seconds),
        "silent_seconds": repr(settings.silent_seconds),
        "calibration_wait_seconds": repr(settings.calibration_wait_seconds),
        "log_format": settings.log_format,
        "health_address": settings.health_address,
        "hints": json.dumps(settings.hints),
        "urgent": str(settings.urgent),
    }
    if settings.cameras is not None:
        given["cameras"] = str(settings.cameras.expanduser().absolute())
    if settings.database_url is not None:
        given["database_url"] = settings.database
    if settings.database_url_file is not None:
        given["database_url_file"] = str(settings.database_url_file.expanduser().absolute())
    if settings.broker_url is not None:
        given["broker_url"] = settings.broker
    if settings.broker_url_file is not None:
        given["broker_url_file"] = str(settings.broker_url_file.expanduser().absolute())
    if settings.products_url is not None:
        given["products_url"] = settings.products_url
    variables = {f"ROQUE_{name.upper()}": value for name, value in given.items()}
    # one thread a process: the pool has one process a core
    threads = {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {**os.environ, **threads, **variables, "ROQUE_PARENT": str(os.getpid())}
