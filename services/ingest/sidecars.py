"""Files beside a run that belong to it: RUN.ape with its apertures, RUN.red with its reduction parameters."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

__all__ = ["HINTS", "sidecar_hints"]

HINTS = {".ape": "apertures", ".red": "reduce_file"}
"""File name extension to the hint that the file gives."""

LARGEST = 4 << 20
"""Bytes of a text file that a person or a program may have made by hand."""


def sidecar_hints(folder: Path, name: str) -> dict[str, Any]:
    """What the files beside a run say of it; their text is kept, so that the record does not depend on the files."""
    hints = {}
    for extension, hint in HINTS.items():
        path = folder / f"{name}{extension}"
        if path.is_file():
            hints[hint] = read_hint(path)
    return hints


def read_hint(path: Path) -> dict[str, Any]:
    """File name, digest and text of an aperture or reduce file. What is in it is judged when it is used."""
    with path.open("rb") as file:
        raw = file.read(LARGEST)
    return {"file": str(path), "sha256": hashlib.sha256(raw).hexdigest(), "text": raw.decode("utf-8", "replace")}
