"""Any process of the system is killed at seeded moments of a night; what comes out is what an undisturbed night gives."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

from roque.archive import Record
from roque.archive.models import Measurement, Reduction, Run
from roque.archive.progress import left_to_do
from roque.simulation.night import simulate_night

SEED = 20261121
KILLS = 20
ROQUE = [sys.executable, "-c", "from services.cli.main import main; main()"]
MEASURED = [column for column in Measurement.__table__.columns if column.name != "reduction_id"]


def command(home: Path, *words: str) -> list[str]:
    return [*ROQUE, "--home", str(home), *words]


def environment() -> dict[str, str]:
    settings = {"ROQUE_SILENT_SECONDS": "2", "ROQUE_CALIBRATION_WAIT_SECONDS": "600", "ROQUE_LOG_FORMAT": "console"}
    return {**os.environ, **settings}


def rows(home: Path) -> dict[str, list[tuple]]:
    """Every measurement of a finished reduction, by name of the run."""
    record = Record(f"sqlite:///{home / 'record.sqlite'}")
    with record.reading() as session:
        names = session.execute(
            select(Run.name, Reduction.id).join(Reduction, Reduction.run_id == Run.id).where(Reduction.state == "done")
        ).all()
        found = {
            name: [
                tuple(row)
                for row in session.execute(
                    select(*MEASURED)
                    .where(Measurement.reduction_id == number)
                    .order_by(Measurement.frame, Measurement.ccd, Measurement.aperture)
                )
            ]
            for name, number in names
        }
    assert len(found) == len(names), "a run has two finished reductions"
    return found


def family(parent: int) -> list[int]:
    """A process and all below it."""
    found = [parent]
    for pid in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def write_slowly(source: Path, target: Path, done: threading.Event) -> None:
    """As a camera: pieces of a file, one file after another."""
    for path in sorted(source.iterdir()):
        data = path.read_bytes()
        with (target / path.name).open("wb", buffering=0) as file:
            for start in range(0, len(data), 1 << 20):
                file.write(data[start : start + (1 << 20)])
                time.sleep(0.15)
    done.set()


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("camera") / "2026-03-14"
    simulate_night(folder, SEED, frames=240)
    return folder


@pytest.fixture(scope="module")
def undisturbed(camera: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple]]:
    home = tmp_path_factory.mktemp("undisturbed")
    done = subprocess.run(command(home, "night", "reduce", str(camera)), env=environment(), capture_output=True, text=True)
    assert done.returncode == 1, done.stderr  # one run is cut short and one file is not FITS
    return rows(home)


def test_kill_at_seeded_moments_changes_no_measurement(camera, undisturbed, tmp_path):
    home, incoming = tmp_path / "home", tmp_path / "2026-03-14"
    incoming.mkdir()
    chance, written = random.Random(SEED), threading.Event()
    threading.Thread(target=write_slowly, args=(camera, incoming, written), daemon=True).start()
    killed, system = [], None
    begun = datetime.now(UTC)
    while len(killed) < KILLS:
        if system is None or system.poll() is not None:
            system = subprocess.Popen(
                command(home, "up", str(incoming)), env=environment(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
        time.sleep(chance.uniform(0.5, 6.0))
        victim = chance.choice(family(system.pid))
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
            killed.append(victim == system.pid)
            if killed[-1]:
                system.wait()
        assert (datetime.now(UTC) - begun).total_seconds() < 300
    if system.poll() is None:
        system.kill()
        system.wait()
    assert written.wait(60)
    last = subprocess.run(
        command(home, "up", str(incoming), "--until-idle"), env=environment(), capture_output=True, text=True, timeout=240
    )
    assert last.returncode == 0, last.stderr
    assert any(killed)
    assert not all(killed)
    record = Record(f"sqlite:///{home / 'record.sqlite'}")
    with record.reading() as session:
        assert left_to_do(session).nothing
        counts = session.scalar(select(func.count()).select_from(Measurement))
    found = rows(home)
    assert found.keys() == undisturbed.keys()
    assert counts == sum(len(measured) for measured in undisturbed.values())
    for name, measured in undisturbed.items():
        assert found[name] == measured, f"run {name}"
