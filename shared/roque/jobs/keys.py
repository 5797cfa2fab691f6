"""Names of jobs: the key that makes a job idempotent, and its id."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
import uuid
from typing import Any

__all__ = ["digest", "job_key", "uuid7"]


def job_key(kind: str, inputs: Any, algorithm_version: int) -> str:
    """Name a job by what it does: same kind, inputs and algorithm, same key, however often it is asked for.

    Parameters
    ----------
    kind : str
        Kind of the job.
    inputs : JSON value
        All that decides the result: digests of inputs, of the recipe ...
    algorithm_version : int
        Version of what is computed.

    Returns
    -------
    str
        SHA-256 in hexadecimal, 64 characters.

    Raises
    ------
    ValueError
        The inputs hold NaN or infinity, which have no one form in JSON.
    """
    return digest({"kind": str(kind), "inputs": inputs, "algorithm": algorithm_version})


def digest(value: Any) -> str:
    """SHA-256 of a JSON value in its one canonical form: sorted names, no spaces, shortest floats, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def uuid7() -> str:
    """Make an id that sorts by the time it was made (RFC 9562, version 7): milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))
