"""A run that is reduced while its frames come, and kill -9 of anything meanwhile.

In the end every frame was measured once, with the bits of the finished file reduced at once.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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
from tests.faults.night import NIGHT
from tests.faults.whole import MEASURED, command, environment, family, record_of, rows
from tests.support.damage import Raw
from tests.support.file_servers import servable, stand_in
from tests.support.sizes import SIZES
from tests.support.ultra import golden_calibrations, golden_stars

SEED = int(os.environ.get("ROQUE_FAULT_SEED", "20261121"))
FRAMES = 160
RATE = 20.0  # frames/s
LAST = 40  # frames that are not written before the first ones are measured
PLACE = [column.name for column in MEASURED].index("frame")

KILLS = 6  # before the last frames
PATIENCE_SECONDS = 180.0

Rows = dict[str, list[tuple]]


@dataclass(frozen=True)
class Finished:
    """A night as it is in the end."""

    folder: Path
    masters: tuple[str, ...]  # files that are there before the run is begun
    header: tuple[str, ...]  # files of the run that are there with its first frame
    file: str  # that grows
    start: int  # where its frames begin
    frame: int  # bytes

    @property
    def name(self) -> str:
        """Of the run."""
        return self.file.partition(".")[0]


def hipercam(folder: Path, golden: Path) -> Finished:
    """Simulate a HiPERCAM run, whose header announces its frames."""
    night, run = folder / NIGHT, folder / NIGHT / "run0005.fits"
    simulate_night(folder / "simulated", seed=1, frames=1)
    night.mkdir()
    masters = ("run0001.fits", "run0002.fits")
    for name in masters:
        (folder / "simulated" / name).rename(night / name)
    simulate_run(run, replace(benchmark_plan(FRAMES), distinct=60))
    run.write_bytes(servable(run.read_bytes()))
    raw = Raw(run.read_bytes())
    return Finished(night, masters, (), run.name, raw.header, raw.frame)


def ultracam(folder: Path, golden: Path) -> Finished:
    """Make a run of golden frames, whose .xml announces them."""
    night = folder / "2018-06-05"  # that of the time stamps: copies of what a server has lie in no folder of a night
    run = night / "run005.dat"
    night.mkdir()
    masters = golden_calibrations(golden, night)
    size = golden_stars(golden, run, FRAMES, 0)
    xml = run.with_suffix(".xml")
    for path, frames in ((night / "run001.xml", 6), (night / "run003.xml", 6), (xml, FRAMES)):
        path.write_text(path.read_text().replace('"NO_EXPOSURES" value="-1"', f'"NO_EXPOSURES" value="{frames}"'))
    return Finished(night, masters, (xml.name,), run.name, 0, size)


CAMERAS = {"hipercam": hipercam, "ultracam": ultracam}
ALWAYS = {("laptop", "file", "hipercam"), ("observatory", "served", "ultracam")}  # the others: `make faults`


@pytest.fixture(scope="module")
def nights(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Finished, Rows]]:
    """Nights by their camera, each with what its finished files come to when they are reduced at once."""

    @functools.cache
    def night(camera: str) -> tuple[Finished, Rows]:
        finished, home = CAMERAS[camera](tmp_path_factory.mktemp("camera"), golden), tmp_path_factory.mktemp("at_once")
        words = command(home, "night", "reduce", str(finished.folder))
        subprocess.run(words, env=environment(), check=True, capture_output=True)
        record = record_of(home)
        found = rows(record)
        record.close()
        assert {row[PLACE] for row in found[finished.name]} == set(range(1, FRAMES + 1))
        return finished, found

    return night


class Camera:
    """Writes the run frame by frame, each in two pieces; the last frames when it is told to, so that it was surely followed."""

    def __init__(self, finished: Finished, folder: Path) -> None:
        self._finished, self._folder = finished, folder
        self._data = (finished.folder / finished.file).read_bytes()
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
        start, size = self._finished.start, self._finished.frame
        with (self._folder / self._finished.file).open("wb", buffering=0) as file:
            for name in self._finished.header:
                shutil.copy(self._finished.folder / name, self._folder)
            file.write(self._data[:start])
            for n in range(FRAMES):
                if n == FRAMES - LAST:
                    self.finish.wait()
                first = start + n * size
                cut = first + random.Random(n).randrange(1, size)
                for part in (self._data[first:cut], self._data[cut : first + size]):
                    file.write(part)
                    if self._stop.wait(0.5 / RATE):
                        return
            file.write(self._data[start + FRAMES * size :])


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
        below = [pid for pid in family(self._process.pid)[1:] if command_line(pid)]
        victim = self._chance.choice(below) if below and self._chance.random() < 0.75 else self._process.pid
        words = command_line(victim)
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
            self.killed.append("roque up" if victim == self._process.pid else words.rpartition("-m ")[2].partition(" ")[0])
        if victim == self._process.pid:
            self._process.wait()

    def until_idle(self) -> None:
        """Let it finish what is left."""
        self.__exit__()
        done = subprocess.run(
            [*self._words, "--until-idle"], env=self._environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr[-4000:]


def command_line(pid: int) -> str:
    """The words that began a process; none once it has ended, even if nobody has waited for it yet."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def until_more(record: Record, name: str, before: int, system: Up, *, measured: bool = False) -> int:
    """Wait until more was done for the run, counted in frames registered and measured; gives that number.

    Once all that the camera has written is measured there is no more to wait for.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    done = select(func.max(Reduction.frames_done)).where(Reduction.run_id == Run.id).scalar_subquery()
    while time.monotonic() < end:
        system.keep()
        with contextlib.suppress(Transient), record.reading() as session:
            row = session.execute(select(Run.frames, func.coalesce(done, 0)).where(Run.name == name)).one_or_none()
            frames, committed = row or (0, 0)
            if measured and committed > 0:
                return committed
            if not measured and (frames + committed > before or committed == FRAMES - LAST):
                return frames + committed
        time.sleep(0.05)
    raise AssertionError(f"nothing was done any more; killed: {system.killed}")


@pytest.fixture
def settings(request: pytest.FixtureRequest, sizes) -> Iterator[dict[str, str]]:
    with sizes.new(request.param) as given:
        yield dict(given)


CASES = [
    pytest.param(*case, id="-".join(case), marks=() if case in ALWAYS else (pytest.mark.faults_all,))
    for case in itertools.product(SIZES, ("file", "served"), CAMERAS)
]


@pytest.mark.parametrize(("settings", "where", "camera"), CASES, indirect=["settings"])
def test_a_live_run_goes_on_without_a_gap_whatever_is_killed(settings, where, camera, nights, golden, tmp_path, request):
    finished, at_once = nights(camera)
    print(f"ROQUE_FAULT_SEED={SEED}")
    chance = random.Random(f"{SEED} {request.node.callspec.id}")
    home, remote = tmp_path / "home", tmp_path / "remote"
    incoming = tmp_path / "incoming" / finished.folder.name
    for folder in (home, incoming, remote):
        folder.mkdir(parents=True)
    for name in finished.masters:
        shutil.copy(finished.folder / name, incoming)
    record = Record(settings.get("database_url", f"sqlite:///{home / 'record.sqlite'}"))
    upgrade(record)
    with contextlib.ExitStack() as stack:
        stack.callback(record.close)
        if where == "served":
            server = stack.enter_context(stand_in(golden, remote, tmp_path / "requests.jsonl"))
            settings["servers"] = json.dumps([f"{camera}://localhost:{server.port}/"])
        system = stack.enter_context(Up(home, incoming.parent, settings, chance))
        writer = stack.enter_context(Camera(finished, remote if where == "served" else incoming))
        before = 0
        for _ in range(KILLS):
            before = until_more(record, finished.name, before, system)
            time.sleep(chance.uniform(0.0, 1.0))
            system.kill_one()
        measured = until_more(record, finished.name, before, system, measured=True)
        writer.finish.set()
        for _ in range(2):  # and while the last ones come
            time.sleep(chance.uniform(0.2, 1.5))
            system.kill_one()
        writer.join()
        system.until_idle()
        print(f"killed: {system.killed}; measured when the last {LAST} frames came: {measured}")
        assert 0 < measured <= FRAMES - LAST
        with record.reading() as session:
            assert left_to_do(session).nothing
            assert session.scalars(select(Job.state).where(Job.state != "done")).all() == []
            assert session.scalar(select(func.count()).select_from(Measurement)) == len(at_once[finished.name])
            ranges = session.execute(select(RangeDone.first, RangeDone.last).order_by(RangeDone.first)).all()
            (run,) = session.scalars(select(Run).where(Run.kind == "science")).unique().all()
            frames = session.scalar(select(func.count()).select_from(Frame).where(Frame.run_id == run.id, Frame.ccd == "1"))
        assert (run.state, run.version, run.frames, frames) == ("complete", 1, FRAMES, FRAMES)
        assert ranges == [(1, FRAMES)]  # however it was cut
        assert rows(record) == at_once
