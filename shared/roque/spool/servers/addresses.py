"""Where file servers are, and how runs are named there."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from roque.errors import BadInput

__all__ = ["checked_run", "hipercam_address", "http_address", "ultracam_address", "websocket_address"]

_RUN = re.compile(r"(?!.*\.\.)[A-Za-z0-9_-][A-Za-z0-9._/-]{0,199}")


def hipercam_address() -> str:
    """Address of the HiPERCAM server by the environment, without a scheme."""
    return os.environ.get("HIPERCAM_DEFAULT_URL") or "localhost:8007/"


def ultracam_address() -> str:
    """Address of the ULTRACAM server by the environment, with a scheme."""
    return os.environ.get("ULTRACAM_DEFAULT_URL") or "http://localhost:8007/"


def websocket_address(address: str) -> str:
    """Address of a HiPERCAM server as a URL that ends in a slash.

    Raises
    ------
    BadInput
        It is none, or one with a scheme.
    """
    if "://" in address:
        raise BadInput("an address without a scheme is wanted", file=address, remedy="give one like localhost:8007/")
    return _checked(f"ws://{address}", "localhost:8007/")


def http_address(address: str) -> str:
    """Address of an ULTRACAM server as a URL that ends in a slash; errors as for `websocket_address`."""
    if not address.startswith(("http://", "https://")):
        raise BadInput("not the address of a server", file=address, remedy="give one like http://localhost:8007/")
    return _checked(address, "http://localhost:8007/")


def checked_run(run: str, file: str) -> str:
    """Name of a run as it stands in an address.

    Raises
    ------
    BadInput
        No run is called so.
    """
    if not _RUN.fullmatch(run):
        message, remedy = f"no run can be called {run!r}", "give its name, without ending"
        raise BadInput(message, file=file, place="name of the run", remedy=remedy)
    return run


def _checked(url: str, example: str) -> str:
    remedy = f"give one like {example}"
    try:
        parts = urlsplit(url)
        _ = parts.port, (parts.hostname or "").encode("idna")
    except ValueError as error:
        raise BadInput(f"not the address of a server: {error}", file=url, remedy=remedy) from None
    if not parts.hostname or parts.query or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise BadInput("not the address of a server", file=url, remedy=remedy)
    if "@" in parts.netloc:
        # it would stand in every message
        raise BadInput("user and password are not used by file servers", file=parts.netloc.rpartition("@")[2], remedy=remedy)
    return url if url.endswith("/") else f"{url}/"
