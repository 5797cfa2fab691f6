"""Runs on the file servers of HiPERCAM and ULTRACAM."""

from __future__ import annotations

import re

from roque.errors import BadInput
from roque.spool.servers.addresses import http_address, websocket_address
from roque.spool.servers.http import HttpClient

__all__ = ["hipercam_runs", "served_runs", "ultracam_runs"]

_LARGEST = 16 << 20  # bytes of a listing
_PATIENCE = 1.0  # s
_HIPERCAM = re.compile(r"^run\d{4}$", re.MULTILINE)
_ULTRACAM = re.compile(r">(run\d{3})<")


def hipercam_runs(server: str) -> list[str]:
    """List the runs on a HiPERCAM file server.

    Parameters
    ----------
    server : str
        Address without a scheme: ``localhost:8007/``.

    Raises
    ------
    Unreachable
        The server does not answer within a second.
    BadInput
        It answers with an error, or no address is given.
    """
    return sorted(set(_HIPERCAM.findall(_listing(websocket_address(server).replace("ws://", "http://", 1)))))


def ultracam_runs(server: str) -> list[str]:
    """List the runs on an ULTRACAM file server, at an address with its scheme, as `hipercam_runs` does."""
    return sorted(set(_ULTRACAM.findall(_listing(http_address(server)))))


def served_runs(url: str) -> list[str]:
    """List the runs on a server, ``hipercam://HOST:PORT/`` or ``ultracam://HOST:PORT/``, as `hipercam_runs` does."""
    scheme, _, address = url.partition("://")
    return hipercam_runs(address) if scheme == "hipercam" else ultracam_runs(f"http://{address}")


def _listing(address: str) -> str:
    http = HttpClient(address, _PATIENCE)
    try:
        status, content = http.get(f"{address}?action=dir", _LARGEST, "dir")
    finally:
        http.close()
    if status != 200:
        remedy = "check its address in the environment"
        raise BadInput(f"the server answers with error {status}", file=address, place="dir", remedy=remedy)
    return content.decode("utf-8", "replace").replace("\r\n", "\n")
