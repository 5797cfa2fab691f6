"""Dead letters: messages that were given up, kept where people see them, replay them or drop them."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from roque.archive.models import DeadLetter
from roque.errors import Conflict, NotFound
from roque.jobs.kinds import SERVICE
from roque.jobs.outbox import clock, emit

__all__ = ["KEPT_BYTES", "REPLAY", "Letter", "drop", "find_letter", "replay", "store_letter", "sweep_letters"]

KEPT_BYTES = 1_000_000
"""Bytes of a body that are kept: messages of ours have some hundred."""

REPLAY = "dead.replay"
"""Topic in the outbox of a letter that is to be sent once more."""

_SETTLED_KEPT = dt.timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A message as the broker gave it: anybody may have written it."""

    routing_key: str
    properties: Mapping[str, Any]
    headers: Mapping[str, Any]
    body: bytes


def store_letter(session: Session, letter: Letter, now: dt.datetime) -> bool:
    """Keep a dead letter; false if this very death is recorded already."""
    deaths = letter.headers.get("x-death")
    death = deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}
    headers, properties = _plain(dict(letter.headers)), _plain(dict(letter.properties))
    lasting = {name: value for name, value in headers.items() if name != "x-delivery-count"}  # grows as it is told again
    told = json.dumps([letter.routing_key, lasting, properties], sort_keys=True).encode()
    key = hashlib.sha256(told + b"\0" + letter.body).hexdigest()
    if session.scalar(select(DeadLetter.id).where(DeadLetter.key == key)) is not None:
        return False
    session.execute(
        insert(DeadLetter).values(
            key=key,
            state="new",
            queue=_word(death.get("queue") or letter.routing_key),
            reason=_word(death.get("reason") or "unknown"),
            properties=properties,
            headers=headers,
            body=letter.body[:KEPT_BYTES],
            size=len(letter.body),
            received_at=now,
        )
    )
    return True


def find_letter(session: Session, number: int) -> DeadLetter:
    """Find a letter by its number, and hold it against others who would settle it.

    Raises
    ------
    NotFound
        There is none.
    """
    letter = session.get(DeadLetter, number, with_for_update=True)
    if letter is None:
        raise NotFound(f"there is no dead letter {number}", remedy="'roque job dead list' lists them")
    return letter


def replay(session: Session, letter: DeadLetter) -> None:
    """Have a letter sent once more, as it was, to the queue it died in: the relay does it.

    Raises
    ------
    Conflict
        It was settled before, its queue is none of ours, or its body was too large to be kept.
    """
    _insist_new(letter)
    remedy = "drop it: the planner sends what is to be done anew by itself"
    if letter.queue not in {f"{service}.v1" for service in SERVICE.values()}:
        raise Conflict(f"dead letter {letter.id} comes from no queue of roque", remedy=remedy)
    if letter.size > len(letter.body):
        raise Conflict(f"of dead letter {letter.id} only the beginning was kept", remedy=remedy)
    letter.state, letter.settled_at = "replayed", clock(session)
    emit(session, REPLAY, {"letter": letter.id})


def drop(session: Session, letter: DeadLetter) -> None:
    """Put a letter away: nothing is to become of it.

    Raises
    ------
    Conflict
        It was settled before.
    """
    _insist_new(letter)
    letter.state, letter.settled_at = "dropped", clock(session)


def sweep_letters(session: Session, now: dt.datetime) -> int:
    """Remove letters that were settled long ago; returns how many."""
    gone = session.execute(delete(DeadLetter).where(DeadLetter.settled_at < now - _SETTLED_KEPT))
    return int(gone.rowcount)  # type: ignore[attr-defined]


def _insist_new(letter: DeadLetter) -> None:
    if letter.state != "new":
        raise Conflict(f"dead letter {letter.id} was {letter.state} already", remedy="'roque job dead list' lists what is open")


def _word(value: Any) -> str:
    return str(value).replace("\0", "")[:64]


def _plain(value: Any) -> Any:
    """Make JSON of what AMQP can hold: times, decimals, bytes, and texts that no database takes."""
    match value:
        case dict():
            return {_plain(str(name)): _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case bool() | int() | None:
            return value
        case float():
            return value if abs(value) < float("inf") else str(value)
        case bytes() | bytearray():
            return _plain(bytes(value).decode("utf-8", "backslashreplace"))
        case dt.datetime():
            return value.isoformat()
        case _:
            return str(value).encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
