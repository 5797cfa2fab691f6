"""What is said of a run beside its data: its target, recipe, apertures and reduce file.

Aperture and reduce files are kept by their text, so that the record does not depend on the files. What is in them is judged
when the run is prepared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roque.errors import BadInput

__all__ = ["SIDECARS", "refuse_faulty", "sidecar_hints", "text_hint"]

SIDECARS = {".ape": "apertures", ".red": "reduce_file"}
"""Ending of a file that stands beside a run under the run's name, and the hint that it gives."""

_LARGEST = 4 << 20  # bytes of a text file that a person or a program may have made


def sidecar_hints(folder: Path, name: str) -> dict[str, Any]:
    """What the files RUN.ape and RUN.red beside a run say of it; of one that is no text, what is wrong with it."""
    found = {hint: folder / f"{name}{ending}" for ending, hint in SIDECARS.items()}
    return {hint: _hint_or_fault(path) for hint, path in found.items() if path.is_file()}


def text_hint(path: Path) -> dict[str, Any]:
    """File name, digest and text of an aperture or reduce file.

    Raises
    ------
    BadInput
        The file is no text, or far too long.
    """
    with path.open("rb") as file:
        raw = file.read(_LARGEST + 1)
    if len(raw) > _LARGEST:
        raise BadInput("the file is too long", file=str(path), remedy=f"no such file has more than {_LARGEST} bytes")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _no_text(path, error.start) from None
    if "\0" in text:
        raise _no_text(path, raw.index(0))
    return {"file": str(path.absolute()), "sha256": hashlib.sha256(raw).hexdigest(), "text": text}


def refuse_faulty(hints: Mapping[str, Any]) -> None:
    """Complain of a file beside a run that is no text.

    Raises
    ------
    BadInput
        There is one.
    """
    for said in hints.values():
        if isinstance(said, dict) and "fault" in said:
            raise BadInput(said["fault"], file=said["file"], place=said["place"], remedy=said["remedy"])


def _hint_or_fault(path: Path) -> dict[str, Any]:
    try:
        return text_hint(path)
    except BadInput as error:
        return {"file": error.file, "fault": error.message, "place": error.place, "remedy": error.remedy}
    except OSError as error:
        why = f"the file cannot be read: {error.strerror}"
        return {"file": str(path), "fault": why, "place": None, "remedy": "make it readable, or take it away"}


def _no_text(path: Path, byte: int) -> BadInput:
    return BadInput("the file is not text", file=str(path), place=f"byte {byte}", remedy="write it anew, or take it away")
