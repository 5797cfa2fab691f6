"""Runs on the file servers of HiPERCAM and ULTRACAM."""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request

from roque.errors import BadInput, Unreachable

__all__ = ["hipercam_runs", "ultracam_runs"]

_LARGEST = 16 << 20  # bytes of a listing
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
    return sorted(set(_HIPERCAM.findall(_listing(f"http://{server}"))))


def ultracam_runs(server: str) -> list[str]:
    """List the runs on an ULTRACAM file server, at an address with its scheme, as `hipercam_runs` does."""
    return sorted(set(_ULTRACAM.findall(_listing(server))))


def _listing(address: str) -> str:
    if not address.startswith(("http://", "https://")):
        raise BadInput("not the address of a server", file=address, remedy="give one like http://localhost:8007/")
    # camera networks have no proxy, and their addresses are no outside ones
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{address}?action=dir", timeout=1.0) as answer:
            text: bytes = answer.read(_LARGEST)
            return text.decode("utf-8", "replace").replace("\r\n", "\n")
    except urllib.error.HTTPError as error:
        raise BadInput(f"the server answers with error {error.code}", file=address) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        why = str(getattr(error, "reason", error)) or type(error).__name__
        remedy = "check the address in the environment, and that the server runs"
        raise Unreachable(f"the file server does not answer ({why})", file=address, remedy=remedy) from error
