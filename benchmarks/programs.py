"""Roque, and the HiPERCAM pipeline where it is installed, called as a user calls them.

``ROQUE_PEER`` names the folder of the pipeline's commands (`reduce`, `hlog2fits`, with the `python` that runs them).
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from figures import memory

__all__ = ["ROQUE", "Program", "Spent", "cores", "peer"]


@dataclass(frozen=True)
class Spent:
    """What a call took: seconds of wall clock and of processor, its largest resident memory in MB, and what it printed."""

    wall: float
    processor: float
    memory: float
    printed: str


@dataclass(frozen=True)
class Program:
    """How the commands of a program are called."""

    python: str
    before: tuple[str, ...]  # words before the name of a command
    folder: str = ""  # of the commands
    environment: dict[str, str] = field(default_factory=dict)

    def call(self, work: Path, command: str, *words: str) -> Spent:
        """Call a command in a folder."""
        return self._run(work, [*self.before, f"{self.folder}{command}", *words])

    def ask(self, work: Path, script: str, *words: str) -> Spent:
        """Run a script in the program's Python."""
        return self._run(work, [self.python, "-c", script, *words])

    def _run(self, work: Path, words: list[str]) -> Spent:
        environment = {**os.environ, **self.environment, "HIPERCAM_ENV": str(work), "MPLBACKEND": "Agg"}
        printed = work / ".printed"
        with printed.open("w") as out:
            began = time.perf_counter()
            process = subprocess.Popen(words, cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            # what the kernel says of an ended process counts the memory of ours, too, which it was forked from
            resident: list[float] = [0.0]
            watch = threading.Thread(target=_watch, args=(process.pid, resident))
            watch.start()
            _, status, used = os.wait4(process.pid, 0)
            wall = time.perf_counter() - began
            watch.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        text = printed.read_text(errors="replace")
        if process.returncode:
            raise SystemExit(f"{' '.join(words)} ended with {process.returncode}:\n{text[-2000:]}")
        return Spent(wall, used.ru_utime + used.ru_stime, max(resident), text)


ROQUE = Program(
    python=sys.executable,
    # what the command `roque` does when it is called
    before=(sys.executable, "-c", "from services.cli.main import main; main()", "--quiet", "hcam"),
    environment={"PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))},
)


def peer() -> Program | None:
    """Give the HiPERCAM pipeline; None where it is not installed."""
    folder = os.environ.get("ROQUE_PEER")
    if not folder:
        return None
    if not (Path(folder) / "reduce").is_file():
        raise SystemExit(f"ROQUE_PEER: there is no command 'reduce' in {folder}")
    # the libraries of the one are not those of the other
    return Program(str(Path(folder) / "python"), (), f"{Path(folder).absolute()}/", {"PYTHONPATH": ""})


def _watch(pid: int, resident: list[float]) -> None:
    while not math.isnan(now := memory(pid)[0]):
        resident.append(now)
        time.sleep(0.1)


@contextmanager
def cores(number: int) -> Iterator[None]:
    """Let what is called use so many of the machine's cores."""
    all_of_them = os.sched_getaffinity(0)
    if number > len(all_of_them):
        raise SystemExit(f"{number} cores are to be used, there are {len(all_of_them)}")
    os.sched_setaffinity(0, sorted(all_of_them)[-number:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_of_them)
