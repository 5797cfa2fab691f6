"""What the benchmarks share: the machine and how busy others keep it, processor time of processes, and the table at the end.

Linux only: it reads /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numba
import numpy as np

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")

BUSY = 0.25
"""Cores kept busy by others from which on a figure is called one of a busy machine."""


@dataclass(frozen=True)
class Figure:
    """A line of the table: what, how much, and what it should be."""

    name: str
    value: float
    unit: str = ""
    limit: str = ""
    good: bool | None = None  # None: nothing was promised


class Load:
    """How busy the machine is with other things while the body of the ``with`` runs.

    The load average counts our own processes too; so the processor time of the whole machine less that of our own
    processes, children that have ended included, is given beside it.
    """

    def __enter__(self) -> Self:
        self.average = os.getloadavg()[0]
        self._began, self._whole, self._own = time.monotonic(), _machine_seconds(), _own_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        whole = _machine_seconds() - self._whole
        self.seconds = time.monotonic() - self._began
        self.own = (_own_seconds() - self._own) / self.seconds
        self.others = max(0.0, whole / self.seconds - self.own)

    @property
    def busy(self) -> bool:
        """Whether the figures are those of a machine that had other things to do."""
        return self.others > BUSY

    def to_dict(self) -> dict[str, Any]:
        """Everything in types that JSON knows."""
        return {
            "load_average_before": round(self.average, 2),
            "cores_used_by_others": round(self.others, 2),
            "cores_used_by_benchmark": round(self.own, 2),
            "busy": self.busy,
        }


def options(about: str) -> argparse.ArgumentParser:
    """Begin the command line of a benchmark."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object in place of the table")
    return parser


def show(title: str, figures: Sequence[Figure], load: Load, *, as_json: bool) -> int:
    """Print the table; returns the exit status: 1 if something is not as it should be."""
    if as_json:
        told = {"title": title, "machine": machine(), **load.to_dict(), "figures": [asdict(figure) for figure in figures]}
        print(json.dumps(told))
    else:
        here = machine()
        print(f"\n{title}")
        print(
            f"{here['processor']}, {here['cores']} cores, {here['memory_gb']:.0f} GB; "
            f"Python {here['python']}, numpy {here['numpy']}, numba {here['numba']}"
        )
        state = "BUSY MACHINE: take the figures as worse than they are" if load.busy else "quiet machine"
        print(f"load average before {load.average:.2f}; meanwhile others used {load.others:.2f} cores: {state}\n")
        width = max(len(figure.name) for figure in figures)
        for figure in figures:
            verdict = {None: "", True: "  ok", False: "  MISSED"}[figure.good]
            limit = f"  {figure.limit}" if figure.limit else ""
            print(f"{figure.name:{width}}  {_number(figure.value):>9} {figure.unit:12}{limit}{verdict}".rstrip())
    sys.stdout.flush()
    return int(any(figure.good is False for figure in figures))


def machine() -> dict[str, Any]:
    """Say what this ran on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": os.sysconf("SC_PHYS_PAGES") * PAGE / 2**30,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "roque": version("roque"),
    }


def note(text: str) -> None:
    """Tell what is being done, on stderr."""
    print(text, file=sys.stderr, flush=True)


def descendants(pid: int) -> list[int]:
    """Give a process and all that it started, directly or not."""
    parents = {int(entry.name): _stat(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    family = [pid]
    for above in family:  # grows while it is read
        family += [child for child, fields in parents.items() if fields and int(fields[1]) == above]
    return family


def cpu_seconds(pid: int, *, ended_children: bool = True) -> float:
    """Processor time that a process has used, with that of its children that have ended; 0 if it is gone."""
    fields = _stat(pid)
    return sum(int(field) for field in fields[11 : 15 if ended_children else 13]) / TICK if fields else 0.0


def memory(pid: int) -> tuple[float, float]:
    """Resident memory of a process, and the part of it that is no file, MB; NaN if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return float("nan"), float("nan")
    kept = {line.split(":")[0]: line.split() for line in lines}
    return tuple(int(kept[name][1]) / 1024 if name in kept else float("nan") for name in ("VmRSS", "RssAnon"))


def command(pid: int) -> str:
    """Command line of a process; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _machine_seconds() -> float:
    # user, nice, system, irq, softirq; not idle, not waiting for disks, not guests, which count as user already
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return sum(int(fields[k]) for k in (0, 1, 2, 5, 6)) / TICK


def _own_seconds() -> float:
    return sum(cpu_seconds(pid) for pid in descendants(os.getpid()))


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; empty if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _number(value: float) -> str:
    digits = 0 if abs(value) >= 1000 or value == int(value) else 1 if abs(value) >= 100 else 3
    return f"{value:.{digits}f}"
