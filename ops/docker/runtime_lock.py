"""Take from requirements.lock what the images need: ``python ops/docker/runtime_lock.py`` after it has changed.

The images hold what roque itself requires, and hatchling, which builds it; the tools of its tests stay out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HOUSE = Path(__file__).resolve().parents[2]
RUNTIME = HOUSE / "ops" / "docker" / "roque" / "runtime.lock"


def runtime_lock() -> str:
    """Entries of requirements.lock for roque and hatchling and all that they require, as they stand there."""
    needed = _needed(["roque", "hatchling"]) - {"roque"}
    entries = re.split(r"(?m)^(?=[A-Za-z0-9])", (HOUSE / "requirements.lock").read_text(encoding="utf-8"))
    return "".join(entry for entry in entries if entry and canonicalize_name(re.split(r"[=\s]", entry)[0]) in needed)


def _needed(roots: list[str]) -> set[str]:
    seen: set[tuple[str, str]] = set()  # of packages and their extras
    waiting = [(root, "") for root in roots]
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            waiting += _required(*one)
    return {name for name, _ in seen}


def _required(name: str, extra: str) -> Iterator[tuple[str, str]]:
    for text in requires(name) or []:
        required = Requirement(text)
        if required.marker is None or required.marker.evaluate({"extra": extra}):
            for part in ("", *required.extras):
                yield canonicalize_name(required.name), part


if __name__ == "__main__":
    RUNTIME.write_text(runtime_lock(), encoding="utf-8")
