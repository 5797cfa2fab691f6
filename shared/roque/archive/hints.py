"""What is said of a run beside its data: its target, recipe, apertures and reduce file.

Aperture and reduce files are kept by their text, so that the record does not depend on the files. What is in them is judged
when the run is prepared.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from roque.errors import BadInput

__all__ = ["SIDECARS", "sidecar_hints", "text_hint"]

SIDECARS = {".ape": "apertures", ".red": "reduce_file"}
"""Ending of a file that stands beside a run under the run's name, and the hint that it gives."""

_LARGEST = 4 << 20  # bytes of a text file that a person or a program may have made


def sidecar_hints(folder: Path, name: str) -> dict[str, Any]:
    """What the files RUN.ape and RUN.red beside a run say of it."""
    found = {hint: folder / f"{name}{ending}" for ending, hint in SIDECARS.items()}
    return {hint: text_hint(path) for hint, path in found.items() if path.is_file()}


def text_hint(path: Path) -> dict[str, Any]:
    """File name, digest and text of an aperture or reduce file.

    Raises
    ------
    BadInput
        The file is no text, or far too long.
    """
    with path.open("rb") as file:
        raw = file.read(_LARGEST + 1)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput("the file is not text", file=str(path), place=f"byte {error.start}", remedy="write it anew") from None
    if len(raw) > _LARGEST:
        raise BadInput("the file is too long", file=str(path), remedy=f"no such file has more than {_LARGEST} bytes")
    return {"file": str(path.absolute()), "sha256": hashlib.sha256(raw).hexdigest(), "text": text}
