"""Addresses with passwords: read from files that nobody else may read, checked without ever being shown."""

from __future__ import annotations

import stat
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from roque.errors import BadInput

__all__ = ["check_address", "read_address"]

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_address(file: Path, setting: str) -> str:
    """Read the one line of a file that holds an address with its password.

    Parameters
    ----------
    file : Path
    setting : str
        Name of the setting that names the file, for messages.

    Raises
    ------
    BadInput
        The file is missing, empty, holds more than a line, or others than its owner may do something with it.
    """
    place = f"setting {setting}"
    try:
        mode = file.stat().st_mode
        if not stat.S_ISREG(mode):
            raise BadInput("this is not a file", file=str(file), place=place, remedy="name the file that holds the address")
        if mode & _OTHERS:
            raise BadInput(
                f"others than its owner may use the file (mode {stat.S_IMODE(mode):04o})",
                file=str(file),
                place=place,
                remedy=f"chmod 0400 {file}, and change the password if others could read it",
            )
        text = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BadInput(
            f"the file cannot be read: {error.strerror}",
            file=str(file),
            place=place,
            remedy="put the address into it, owned by the user that roque runs as, mode 0400",
        ) from None
    except UnicodeDecodeError:
        text = "\n\n"  # the exception would show what it stumbled over
    if len(text.split()) != 1:
        wrong = "the file is empty" if not text else "the file holds more than an address"
        raise BadInput(wrong, file=str(file), place=place, remedy="it holds one line: the address")
    return text


def check_address(address: str, setting: str, schemes: Collection[str], file: Path | None = None) -> None:
    """Refuse what cannot be the address of such a server, without showing it.

    Raises
    ------
    BadInput
        Not of one of the `schemes`, or its parts cannot be told apart.
    """
    wanted = f"it begins with {' or '.join(f'{scheme}://' for scheme in schemes)}"
    try:
        parts = urlsplit(address)
        _ = parts.port
        # a piece of the password would be taken for the host, and shown as such
        torn = parts.scheme != "sqlite" and ("@" in parts.path + parts.query or parts.fragment or parts.netloc.count("@") > 1)
    except ValueError:
        parts, torn = urlsplit(""), True
    if torn:
        wanted = f"{wanted}; in a password every / : @ # ? % is written as %XX"
    if torn or parts.scheme.partition("+")[0] not in schemes:
        raise BadInput(
            "this is no address that can be used", file=str(file) if file else None, place=f"setting {setting}", remedy=wanted
        )
