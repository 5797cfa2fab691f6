"""Opening mutants in a process that is bounded in memory and time, and started anew when it is lost."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.mutants.worker import MEMORY

__all__ = ["Opener", "Result", "run_format"]

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 2.0
"""Of processor time that an answer may take."""

WAITS = 10.0
"""Seconds that it may take on a machine that does other things too."""

HANGS = 30.0
"""Seconds after which a process is taken to hang."""


@dataclass
class Result:
    """Answers of a format by kind, what was wrong by number, and the most time and memory that one took."""

    answers: Counter[str] = field(default_factory=Counter)
    faults: dict[int, str] = field(default_factory=dict)
    seconds: float = 0.0
    memory: int = 0


class Opener:
    """A process that opens files, one after another."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="roque-mutants-")
        self._starts = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._folder.cleanup()

    def ask(self, **request: object) -> dict[str, object]:
        """Have a file opened; what is wrong stands behind 'fault: ' in the outcome."""
        told = self._once(request)
        if _slow(told):  # only what is slow twice is slow
            told = self._once(request)
        if str(told["outcome"]).startswith("fault: "):
            return told
        if _slow(told):
            told["outcome"] = f"fault: {told['wall']:.1f} s, of them {told['cpu']:.1f} s of processor time"
        elif int(str(told["memory"])) > MEMORY:
            told["outcome"] = f"fault: {int(str(told['memory'])) >> 20} MiB of memory"
        return told

    def _once(self, request: dict[str, object]) -> dict[str, object]:
        process = self._process or self._start()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            return self._line(HANGS)
        except TimeoutError:
            self._stop()
            return {"outcome": f"fault: no answer for {HANGS:.0f} s"}
        except (EOFError, BrokenPipeError):
            code = process.wait()
            self._stop()
            return {"outcome": f"fault: the process ended with {code}"}

    def _start(self) -> subprocess.Popen[bytes]:
        self._starts += 1
        base = Path(self._folder.name) / str(self._starts)
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.mutants.worker", str(base)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self._line(120.0)
        return self._process

    def _line(self, seconds: float) -> dict[str, object]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            if not select.select([self._process.stdout], [], [], seconds)[0]:
                raise TimeoutError
            more = self._process.stdout.read(65536)
            if not more:
                raise EOFError
            line += more
        told: dict[str, object] = json.loads(line)
        return told

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _slow(told: dict[str, object]) -> bool:
    return float(str(told.get("cpu", 0.0))) > SECONDS or float(str(told.get("wall", 0.0))) > WAITS


def run_format(opener: Opener, name: str, seed: int, numbers: range) -> Result:
    """Open mutants of a format."""
    result = Result()
    for number in numbers:
        told = opener.ask(format=name, seed=seed, number=number)
        outcome = str(told["outcome"])
        result.seconds = max(result.seconds, float(str(told.get("cpu", 0.0))))
        result.memory = max(result.memory, int(str(told.get("memory", 0))))
        result.answers[outcome.partition(":")[0]] += 1
        if outcome.startswith("fault: "):
            result.faults[number] = outcome.removeprefix("fault: ")
    return result
