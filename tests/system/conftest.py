"""A home folder of its own, and the command in it, as a person or a script starts it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from roque.archive import Record
from roque.archive.bulk import load_measurements
from roque.archive.models import Reduction, Run

ROQUE = [sys.executable, "-c", "from services.cli.main import main; main()"]


class Home:
    """A home folder, and what is asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "ROQUE_HOME": str(self.folder), "COLUMNS": "200", "ROQUE_LOG_FORMAT": "console"}

    def roque(self, *words: object, timeout: float = 180, **settings: object) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        environment = {**self.environment, **{f"ROQUE_{name.upper()}": str(value) for name, value in settings.items()}}
        command = [*ROQUE, *map(str, words)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout)

    def night(self, folder: Path, *words: object, **settings: object) -> tuple[int, dict[str, dict[str, Any]]]:
        """`night reduce`: its exit status, and what it says of each run, by the name of the run."""
        done = self.roque("night", "reduce", folder, *words, "--json", **settings)
        assert "Traceback" not in done.stdout + done.stderr + self.log(), done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return done.returncode, {line["name"].rpartition("/")[2]: line for line in lines}

    def show(self, run: str) -> dict[str, Any]:
        """`run show` of a run."""
        done = self.roque("run", "show", run, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def log(self) -> str:
        """What the processes of `night reduce` said."""
        file = self.folder / "night.log"
        return file.read_text() if file.exists() else ""

    @contextlib.contextmanager
    def reading(self) -> Iterator[Any]:
        record = Record(f"sqlite:///{self.folder / 'record.sqlite'}")
        with record.reading() as session:
            yield session
        record.close()

    def measurements(self, name: str, **which: Any) -> Any:
        """Measurements of the one finished reduction of a run."""
        with self.reading() as session:
            wanted = select(Reduction).join(Run, Run.id == Reduction.run_id).where(Run.name == name, Reduction.state == "done")
            (reduction,) = session.scalars(wanted).unique()
            return load_measurements(session, reduction.id, **which)

    def up(self, *words: object, **settings: object) -> subprocess.Popen[str]:
        """Start `roque up`, its messages in up.log."""
        environment = {**self.environment, **{f"ROQUE_{name.upper()}": str(value) for name, value in settings.items()}}
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "up.log").open("a") as log:
            return subprocess.Popen([*ROQUE, "up", *map(str, words)], env=environment, stdout=log, stderr=log, text=True)


def until(reached: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait for something, and give it."""
    end = time.monotonic() + seconds
    while not (found := reached()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("shared") / "home")


@pytest.fixture(scope="session", name="until")
def until_fixture() -> Callable[..., Any]:
    return until
