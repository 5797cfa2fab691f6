"""Any process of the system is killed at seeded moments of a night; what comes out is what an undisturbed night gives."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

from roque.archive.models import Measurement
from roque.archive.progress import left_to_do
from roque.simulation.night import simulate_night
from tests.faults.whole import command, environment, family, record_of, rows

SEED = 20261121
KILLS = 20


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
    return rows(record_of(home))


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
    record = record_of(home)
    with record.reading() as session:
        assert left_to_do(session).nothing
        counts = session.scalar(select(func.count()).select_from(Measurement))
    found = rows(record)
    assert found.keys() == undisturbed.keys()
    assert counts == sum(len(measured) for measured in undisturbed.values())
    for name, measured in undisturbed.items():
        assert found[name] == measured, f"run {name}"
