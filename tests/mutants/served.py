"""Answers of file servers, of which one is damaged on its way: header, count or frame, and what they are wrapped in."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from roque.errors import NotFound, RoqueError, Unreachable
from roque.instruments import load_camera
from roque.spool.hipercam import HipercamRun
from roque.spool.servers import HipercamServer, UltracamServer
from roque.spool.servers.runs import ServedHipercam, ServedUltracam
from roque.spool.ultra import UltraRun
from tests.support.hostile import Peer, message, page, serving

__all__ = ["READERS", "hipercam_answers", "ultracam_answers"]

PATIENCE = 0.2
"""Seconds that a silent server is waited for: the other tests of servers wait as long as users do."""


def hipercam_answers(header: bytes, frame: bytes) -> dict[str, bytes]:
    """Answers of a sound HiPERCAM server, by what is asked."""
    answers = {"get_hdr": header.decode(), "get_nframes": {"nframes": 1}, "get_frame": frame, "greeting": {"status": "OK"}}
    return {name: message(answer) for name, answer in answers.items()}


def ultracam_answers(xml: bytes, frame: bytes) -> dict[str, bytes]:
    """Answers of a sound ULTRACAM server, by what is asked."""
    return {"get_xml": page(xml), "get_num_frames": page(b'<fileserver run="run012" nframes="1"/>'), "get_frame": page(frame)}


def _hipercam(path: Path, _: bytes) -> None:
    def behave(peer: Peer) -> None:
        peer.accept()
        peer.send((path.parent / "greeting").read_bytes())
        answer = path.parent / {"get_next": "get_frame"}.get(action := str(peer.asked()["action"]), action)
        peer.send(answer.read_bytes())

    def opened(port: int) -> HipercamRun:
        server = HipercamServer(f"127.0.0.1:{port}", "run0012")
        server._allowance.patience = PATIENCE
        return HipercamRun(ServedHipercam(server), 1, load_camera("hipercam"))

    _read(path, behave, opened)


def _ultracam(path: Path, _: bytes) -> None:
    def behave(peer: Peer) -> None:
        target, _headers = peer.request()
        peer.send((path.parent / target.partition("action=")[2].partition("&")[0]).read_bytes())

    def opened(port: int) -> UltraRun:
        server = UltracamServer(f"http://127.0.0.1:{port}", "run012")
        server._http._allowance.patience = PATIENCE
        return UltraRun(ServedUltracam(server), 1, None)

    _read(path, behave, opened)


def _read(path: Path, behave: Callable[[Peer], None], opened: Callable[[int], Any]) -> None:
    """Do with the run what commands do; an error is told as one of the file that was damaged."""
    try:
        with serving(behave) as port, opened(port) as run:
            assert 0 <= run.refresh() <= 100_000_000
            for frame in itertools.islice(run, 2):
                for ccd in frame.ccds.values():
                    assert np.isfinite(ccd.mjd_frac)
                    assert all(window.data.shape == (window.geometry.ny, window.geometry.nx) for window in ccd.windows.values())
    except RoqueError as error:
        _check(error)
        if isinstance(error, Unreachable):  # it may pass: the answer was cut short
            raise NotFound(error.message, file=str(path)) from error
        error.file = str(path)
        raise


def _check(error: RoqueError) -> None:
    assert error.file is not None
    assert error.file.removeprefix("ws://").removeprefix("http://").startswith("127.0.0.1:")
    assert error.place
    assert error.remedy


READERS: dict[str, Callable[[Path, bytes], None]] = {"hs": _hipercam, "us": _ultracam}
"""By source: reads a run from a server of its own, which gives the files of a mutant for answers."""
