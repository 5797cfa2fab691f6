"""What `roque doctor` finds: of each thing, whether it is well, and what to do if not."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Finding", "fail", "ok", "warn"]


class Finding(NamedTuple):
    """One line of a report."""

    name: str
    state: str  # ok, warn, fail
    detail: str
    do: str = ""


def ok(name: str, detail: str) -> Finding:
    """All is well."""
    return Finding(name, "ok", detail)


def warn(name: str, detail: str, do: str) -> Finding:
    """It works, but somebody should know."""
    return Finding(name, "warn", detail, do)


def fail(name: str, detail: str, do: str) -> Finding:
    """It does not work."""
    return Finding(name, "fail", detail, do)
