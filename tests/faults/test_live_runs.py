"""A run that is reduced while its frames come, and kill -9 of anything meanwhile.

In the end every frame was measured once, with the bits of the finished file reduced at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest
from sqlalchemy import func, select

from roque.archive import Record
from roque.archive.models import Frame, Job, Measurement, RangeDone, Reduction, Run
from roque.archive.progress import left_to_do
from roque.archive.schema import upgrade
from roque.errors import Transient
from roque.simulation import benchmark_plan, simulate_night, simulate_run
from tests.faults.night import GROWING, NIGHT
from tests.faults.whole import MEASURED, command, environment, family, record_of, rows
from tests.support.damage import Raw
from tests.support.file_servers import servable, stand_in

SEED = int(os.environ.get("ROQUE_FAULT_SEED", "20261121"))
FRAMES = 160
RATE = 20.0  # frames/s
LAST = 40  # frames that are not written before the first ones are measured
NAME = GROWING.removesuffix(".fits")
PLACE = [column.name for column in MEASURED].index("frame")
MASTERS = ("run0001.fits", "run0002.fits")

KILLS = 6  # before the last frames
PATIENCE_SECONDS = 180.0

Rows = dict[str, list[tuple]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The night with the run as it is in the end."""
    folder = tmp_path_factory.mktemp("camera")
    night = folder / NIGHT
    simulate_night(folder / "simulated", seed=1, frames=1)
    night.mkdir()
    for name in MASTERS:
        (folder / "simulated" / name).rename(night / name)
    simulate_run(night / GROWING, replace(benchmark_plan(FRAMES), distinct=60))
    (night / GROWING).write_bytes(servable((night / GROWING).read_bytes()))
    return night


@pytest.fixture(scope="module")
def at_once(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """What the finished files come to."""
    home = tmp_path_factory.mktemp("at_once")
    subprocess.run(command(home, "night", "reduce", str(finished)), env=environment(), check=True, capture_output=True)
    record = record_of(home)
    found = rows(record)
    record.close()
    assert {row[PLACE] for row in found[NAME]} == set(range(1, FRAMES + 1))
    return found


class Camera:
    """Writes the run frame by frame, each in two pieces; the last frames when it is told to, so that it was surely followed."""

    def __init__(self, finished: Path, target: Path) -> None:
        self._raw = Raw((finished / GROWING).read_bytes())
        self._target = target
        self._thread = threading.Thread(target=self._write, name="camera", daemon=True)
        self._stop = threading.Event()
        self.finish = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.finish.set()
        self._thread.join()

    def join(self) -> None:
        """Wait until all is written."""
        self.finish.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _write(self) -> None:
        raw = self._raw
        with self._target.open("wb", buffering=0) as file:
            file.write(raw.data[: raw.header])
            for n in range(raw.frames):
                if n == raw.frames - LAST:
                    self.finish.wait()
                first = raw.header + n * raw.frame
                cut = first + random.Random(n).randrange(1, raw.frame)
                for part in (raw.data[first:cut], raw.data[cut : first + raw.frame]):
                    file.write(part)
                    if self._stop.wait(0.5 / RATE):
                        return
            file.write(raw.data[raw.header + raw.frames * raw.frame :])


class Up:
    """`roque up`, started again whenever it has died."""

    def __init__(self, home: Path, incoming: Path, settings: dict[str, str], chance: random.Random) -> None:
        # only its header ends the run: a slow machine makes pauses
        self._words = command(home, "up", str(incoming))
        self._environment = environment(**{"silent_seconds": "60", **settings})
        self._log = (home / "up.log").open("ab")
        self._chance = chance
        self._process: subprocess.Popen[bytes] | None = None
        self.killed: list[str] = []

    def __enter__(self) -> Self:
        self.keep()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def keep(self) -> None:
        """See that it runs."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(self._words, env=self._environment, stdout=self._log, stderr=self._log)

    def kill_one(self) -> None:
        """Kill it, or one of the processes below it."""
        self.keep()
        below = family(self._process.pid)[1:]
        victim = self._chance.choice(below) if below and self._chance.random() < 0.75 else self._process.pid
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{victim}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            os.kill(victim, signal.SIGKILL)
            self.killed.append("roque up" if victim == self._process.pid else words.rpartition("-m ")[2].split()[0])
        if victim == self._process.pid:
            self._process.wait()

    def until_idle(self) -> None:
        """Let it finish what is left."""
        self.__exit__()
        done = subprocess.run(
            [*self._words, "--until-idle"], env=self._environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr[-4000:]


def until_more(record: Record, before: int, system: Up, *, measured: bool = False) -> int:
    """Wait until more was done for the run, counted in frames registered and measured; gives that number.

    Once all that the camera has written is measured there is no more to wait for.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    done = select(func.max(Reduction.frames_done)).where(Reduction.run_id == Run.id).scalar_subquery()
    while time.monotonic() < end:
        system.keep()
        with contextlib.suppress(Transient), record.reading() as session:
            row = session.execute(select(Run.frames, func.coalesce(done, 0)).where(Run.name == NAME)).one_or_none()
            frames, committed = row or (0, 0)
            if measured and committed > 0:
                return committed
            if not measured and (frames + committed > before or committed == FRAMES - LAST):
                return frames + committed
        time.sleep(0.05)
    raise AssertionError(f"nothing was done any more; killed: {system.killed}")


@pytest.fixture
def settings(request: pytest.FixtureRequest, sizes, tmp_path: Path) -> Iterator[dict[str, str]]:
    with sizes.new(request.param) as given:
        yield dict(given)


@pytest.mark.parametrize("served", [False], ids=["file"])
@pytest.mark.parametrize("settings", ["laptop"], indirect=True)
def test_a_live_run_goes_on_without_a_gap_whatever_is_killed(settings, served, finished, at_once, golden, tmp_path, request):
    print(f"ROQUE_FAULT_SEED={SEED}")
    chance = random.Random(f"{SEED} {request.node.callspec.id}")
    home, incoming, remote = tmp_path / "home", tmp_path / "incoming" / NIGHT, tmp_path / "remote"
    for folder in (home, incoming, remote):
        folder.mkdir(parents=True)
    for name in MASTERS:
        (incoming / name).write_bytes((finished / name).read_bytes())
    record = Record(settings.get("database_url", f"sqlite:///{home / 'record.sqlite'}"))
    upgrade(record)
    with contextlib.ExitStack() as stack:
        stack.callback(record.close)
        if served:
            server = stack.enter_context(stand_in(golden, remote, tmp_path / "requests.jsonl"))
            settings["servers"] = json.dumps([f"hipercam://{server.hipercam}"])
        system = stack.enter_context(Up(home, incoming.parent, settings, chance))
        camera = stack.enter_context(Camera(finished, (remote if served else incoming) / GROWING))
        before = 0
        for _ in range(KILLS):
            before = until_more(record, before, system)
            time.sleep(chance.uniform(0.0, 1.0))
            system.kill_one()
        measured = until_more(record, before, system, measured=True)
        camera.finish.set()
        for _ in range(2):  # and while the last ones come
            time.sleep(chance.uniform(0.2, 1.5))
            system.kill_one()
        camera.join()
        system.until_idle()
        print(f"killed: {system.killed}; measured when the last {LAST} frames came: {measured}")
        assert 0 < measured <= FRAMES - LAST
        with record.reading() as session:
            assert left_to_do(session).nothing
            assert session.scalars(select(Job.state).where(Job.state != "done")).all() == []
            assert session.scalar(select(func.count()).select_from(Measurement)) == len(at_once[NAME])
            ranges = session.execute(select(RangeDone.first, RangeDone.last).order_by(RangeDone.first)).all()
            (run,) = session.scalars(select(Run).where(Run.kind == "science")).unique().all()
            frames = session.scalar(select(func.count()).select_from(Frame).where(Frame.run_id == run.id, Frame.ccd == "1"))
        assert (run.state, run.version, run.frames, frames) == ("complete", 1, FRAMES, FRAMES)
        assert ranges == [(1, FRAMES)]  # however it was cut
        assert rows(record) == at_once
