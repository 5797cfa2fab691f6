"""Who a worker is, and whether it still lives: what a claim is marked with."""

from __future__ import annotations

import hashlib
import os
import socket
from enum import Enum
from functools import cache
from pathlib import Path

__all__ = ["Fate", "fate", "process_name"]


class Fate(Enum):
    """What became of a process."""

    UNKNOWN = "unknown"  # on another machine, or one without /proc
    ALIVE = "alive"
    DEAD = "dead"
    DEAD_WITH_PARENT = "dead with its parent"  # somebody stopped the whole worker: no fault of the work it did


def process_name() -> str:
    """Name this process so that `fate` can tell it from any other, also from a later one with the same number.

    Returns
    -------
    str
        ``HOST/MACHINE/PID.START/PARENT.START``, with the start times in clock ticks since boot.
    """
    host = socket.gethostname()[:40].replace("/", "-")
    own, parent = os.getpid(), os.getppid()
    return f"{host}/{_machine()}/{own}.{_started(own)}/{parent}.{_started(parent)}"


def fate(name: str) -> Fate:
    """Tell what became of a process by the name it gave itself."""
    parts = name.split("/")
    if len(parts) != 4 or not _machine() or parts[1] != _machine():
        return Fate.UNKNOWN
    own, parent = (part.partition(".") for part in parts[2:])
    if _started(int(own[0])) == own[2]:
        return Fate.ALIVE
    return Fate.DEAD if _started(int(parent[0])) == parent[2] else Fate.DEAD_WITH_PARENT


@cache
def _machine() -> str:
    # process numbers mean something within one boot of one kernel and one PID namespace (a container has its own)
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
    return hashlib.sha256(f"{boot} {namespace}".encode()).hexdigest()[:12]


def _started(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "gone"
    state, *fields = text.rpartition(")")[2].split()
    return "gone" if state in "ZX" else fields[18]
