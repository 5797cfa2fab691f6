"""A home folder of its own, and the command in it, as a person or a script starts it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from roque.archive import Record
from roque.archive.bulk import load_measurements
from roque.archive.models import Reduction, Run
from roque.archive.schema import upgrade
from roque.settings import Settings, load_settings
from tests.support.sizes import Sizes

ROQUE = [sys.executable, "-c", "from services.cli.main import main; main()"]


class Home:
    """A home folder and the settings of its size, and what is asked of it."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.settings = settings

    @property
    def environment(self) -> dict[str, str]:
        given = {"home": str(self.folder), "log_format": "console", **self.settings}
        return {**os.environ, "COLUMNS": "200", **{f"ROQUE_{name.upper()}": value for name, value in given.items()}}

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
        record = Record(self.settings.get("database_url", f"sqlite:///{self.folder / 'record.sqlite'}"))
        try:
            with record.reading() as session:
                yield session
        finally:  # tests ask also while there is no record yet
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
def home(tmp_path: Path, size: str, sizes: Sizes) -> Iterator[Home]:
    with sizes.new(size) as settings:
        yield Home(tmp_path / "home", settings)


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory, size: str, sizes: Sizes) -> Iterator[Home]:
    with sizes.new(size) as settings:
        yield Home(tmp_path_factory.mktemp("shared") / "home", settings)


@pytest.fixture(scope="session", name="until")
def until_fixture() -> Callable[..., Any]:
    return until


@pytest.fixture(scope="session")
def start_cost() -> float:
    """Least processor time, s, in which Python starts with the packages of every command: a measure of the processor."""
    spent = []
    for _ in range(5):
        before = os.times()
        subprocess.run([sys.executable, "-c", "import click, pydantic_settings, sqlalchemy.orm"], check=True)
        after = os.times()
        spent.append(after.children_user - before.children_user + after.children_system - before.children_system)
    return min(spent)


@pytest.fixture
def settings(tmp_path: Path, size: str, sizes: Sizes) -> Iterator[Settings]:
    """Settings of a size, with a folder that is watched."""
    (tmp_path / "incoming").mkdir()
    with sizes.new(size) as given:
        yield load_settings(home=tmp_path / "home", incoming=[tmp_path / "incoming"], silent_seconds=0, **given)


@pytest.fixture
def record(settings: Settings) -> Iterator[Record]:
    """The record of these settings, empty."""
    record = Record(settings.database)
    upgrade(record)
    yield record
    record.close()


@pytest.fixture
def incoming(settings: Settings) -> Path:
    """The folder that is watched."""
    return settings.incoming[0]
