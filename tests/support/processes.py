"""Processes of servers that a test run starts for itself: in a scratch folder, gone with it, however the run ends."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")

# reads until the run that holds the other end of the pipe is gone, then ends whatever works in the folder, and removes it
_GUARD = """
import os, pathlib, shutil, signal, sys, time
sys.stdin.read()
folder = sys.argv[1]
def members():
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "cwd").startswith(folder + "/"):
                yield int(entry.name)
        except OSError:
            pass
for attempt in range(100):
    found = list(members())
    for pid in found:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
    if not found:
        break
    time.sleep(0.05)
shutil.rmtree(folder, ignore_errors=True)
"""


class Scratch:
    """A folder for servers; leaving the ``with``, or the death of this process by any signal, ends what works in it.

    The guard is a process of its own, because the kernel's PR_SET_PDEATHSIG goes by the thread that started a process, and a
    test may start servers from a thread that ends.
    """

    def __enter__(self) -> Self:
        self.user = server_user()
        self._started: list[subprocess.Popen[bytes]] = []
        self.folder = Path(tempfile.mkdtemp(prefix="roque-servers-")).resolve()
        self._hand_over(self.folder)
        command = [sys.executable, "-I", "-S", "-c", _GUARD, str(self.folder)]
        self._guard = subprocess.Popen(command, stdin=subprocess.PIPE, cwd="/", start_new_session=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._guard.stdin.close()
        self._guard.wait()
        for process in self._started:
            process.wait()

    def make(self, name: str) -> Path:
        """Make a folder that the servers' user can write to."""
        path = self.folder / name
        path.mkdir(parents=True)
        self._hand_over(path)
        return path

    def start(self, command: list[str], cwd: Path, environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
        """Start a server in a folder of this one."""
        whose = {} if self.user is None else {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": []}
        with log.open("ab") as file:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env={"PATH": os.environ["PATH"], "HOME": str(cwd), "LANG": "C.UTF-8", **environment},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                **whose,
            )
        self._started.append(process)
        return process

    def _hand_over(self, path: Path) -> None:
        if self.user is not None:
            shutil.chown(path, self.user)


def server_user() -> str | None:
    """User to run servers as: PostgreSQL refuses to be root. None: the one who runs the tests."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    return pytest.fail("running as root, and there is no user 'postgres' or 'nobody' to run servers as")


def free_port() -> int:
    """A free port of the loopback interface, below those that the kernel gives to outgoing connections.

    One of those could be taken while a killed server is away: by anybody, or by a client of the server's own that connects
    to itself.
    """
    low = int(EPHEMERAL.read_text().split()[0]) if EPHEMERAL.exists() else 32768
    for _ in range(200):
        port = random.SystemRandom().randrange(10_000, low)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    return pytest.fail("no free port on the loopback interface")


def members(folder: Path) -> Iterator[int]:
    """Processes that work in a folder or below."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "cwd").readlink().is_relative_to(folder):
                yield int(entry.name)


def kill_members(folder: Path) -> None:
    """SIGKILL for all that works in a folder, and wait until it is gone."""
    deadline = time.monotonic() + 20
    while found := list(members(folder)):
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert time.monotonic() < deadline, f"processes {found} do not die"
        time.sleep(0.02)


def wait_ready(process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path, seconds: float = 120.0) -> bool:
    """Wait until a server answers; false if it ended instead (somebody took its port: another may be tried)."""
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None:
            return False
        if time.monotonic() > deadline:
            pytest.fail(f"{process.args[0]} did not answer within {seconds:.0f} s: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)
    return True


def program(name: str, *folders: str, package: str) -> str:
    """Find a server's program, which Debian keeps out of the PATH."""
    places = [*sorted((path for folder in folders for path in Path("/").glob(folder.lstrip("/"))), reverse=True)]
    for place in [*places, *map(Path, os.environ["PATH"].split(":"))]:
        if os.access(place / name, os.X_OK):
            return str(place / name)
    return pytest.fail(f"{name} is not installed; do: apt-get install -y --no-install-recommends {package}")
