"""The stand-in for the camera file servers that comes with the golden data, and commands typed against it."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from services.cli.main import cli

__all__ = ["StandIn", "servable", "served_folder", "stand_in", "typing_hcam"]

_BLOCK, _CARD, _STAMP_WORDS = 2880, 80, 18


class StandIn:
    """The stand-in for both servers, as a process of its own; it notes what it was asked."""

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self._log = log

    @property
    def hipercam(self) -> str:
        """Address of the HiPERCAM server."""
        return f"localhost:{self.port}/"

    @property
    def ultracam(self) -> str:
        """Address of the ULTRACAM server."""
        return f"http://localhost:{self.port}/"

    def exchanges(self) -> list[dict]:
        """Everything that was asked and answered, in order."""
        return [json.loads(line) for line in self._log.read_text().splitlines()] if self._log.exists() else []

    def asked(self) -> list:
        """Requests alone."""
        return [exchange["request"] for exchange in self.exchanges() if exchange["request"] is not None]


@contextmanager
def stand_in(golden: Path, folder: Path, log: Path, *, grow: float | None = None, port: int = 0) -> Iterator[StandIn]:
    """Serve the runs in a folder until the end of the ``with``."""
    tool = golden.parent / "tools" / "stub_servers.py"
    words = [sys.executable, str(tool), str(folder), "--port", str(port), "--log", str(log)]
    words += ["--grow", str(grow)] if grow is not None else []
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}) as process:
        try:
            assert process.stdout is not None
            yield StandIn(int(process.stdout.readline()), log)
        finally:
            process.kill()


def servable(run: bytes) -> bytes:
    """Add to a simulated HiPERCAM run the cards by which servers tell how large its frames are."""
    end = next(at for at in range(0, len(run), _CARD) if run[at : at + _CARD].rstrip() == b"END")
    words = next(int(run[at + 10 : at + 30]) for at in range(0, end, _CARD) if run[at : at + 8] == b"NAXIS1  ")
    samples = re.search(rb"HIERARCH ESO DET NSAMP = *(\d+)", run[:end])
    columns = (words - _STAMP_WORDS) * (int(samples[1]) if samples else 1)
    cards = (f"HIERARCH ESO DET ACQ1 WIN NX = {columns}", "HIERARCH ESO DET ACQ1 WIN NY = 1", "END")
    header = run[:end] + b"".join(card.ljust(_CARD).encode() for card in cards)
    return header.ljust(-(-len(header) // _BLOCK) * _BLOCK) + run[-(-(end + _CARD) // _BLOCK) * _BLOCK :]


def served_folder(golden: Path, folder: Path) -> Path:
    """Put the runs that the golden transcripts speak of into a folder."""
    for path in (golden / "servers" / "runs").iterdir():
        (folder / path.name).symlink_to(path)
    for name in ("run002", "run005"):
        for ending in (".xml", ".dat"):
            (folder / f"{name}{ending}").symlink_to(golden / "ultracam" / f"{name}{ending}")
    return folder


@pytest.fixture
def served(golden, tmp_path) -> Iterator[StandIn]:
    """Both golden servers; the folder `served` holds their runs."""
    folder = tmp_path / "served"
    folder.mkdir()
    with stand_in(golden, served_folder(golden, folder), tmp_path / "requests.jsonl") as server:
        yield server


def typing_hcam(line: str) -> tuple[int, str, str]:
    """Type a line of `roque hcam` in the current folder; gives status, output and messages."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            cli.main(["hcam", *shlex.split(line)], prog_name="roque")
        except SystemExit as end:
            status = int(end.code or 0)
    return status, out.getvalue(), err.getvalue()
