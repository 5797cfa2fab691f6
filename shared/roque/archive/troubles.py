"""What a database says when something is wrong, as errors of ours: is a retry safe, and what to do. Never a password."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, OperationalError

from roque.errors import BadInput, RoqueError, Transient, Unreachable

if TYPE_CHECKING:  # a laptop does without it
    from psycopg import Error as ServerError

__all__ = ["OLD_TABLES", "server_trouble", "typed"]

OLD_TABLES = "bring its tables up to date with 'roque db upgrade'"

_RUNS = "check that the database runs and that its address is right (setting database_url)"
_ROOM = "make room on the disk of the database: everything goes on by itself then"
_AGAIN = "it is tried again by itself"
_RIGHTS = "let the user of database_url own roque's database and everything in it"
_PASSWORD = "correct user and password of setting database_url, or let the user in (pg_hba.conf of the server)"  # noqa: S105 - a sentence
_DAMAGED = "the database is damaged: stop roque, look at its log and its disk, and restore the backup with 'roque restore'"

_STATES: tuple[tuple[str, type[RoqueError], str], ...] = (
    # of the longer beginning first
    ("25P03", Transient, _AGAIN),  # it had stood still in mid-transaction
    ("25006", Unreachable, "name the primary server in setting database_url: this one only reads"),
    ("28", Unreachable, _PASSWORD),
    ("3D000", Unreachable, "create the database, then 'roque db upgrade'"),
    ("40", Transient, _AGAIN),  # two transactions in each other's way
    ("42501", Unreachable, _RIGHTS),
    ("42P01", Unreachable, OLD_TABLES),
    ("42703", Unreachable, OLD_TABLES),
    ("53100", Unreachable, _ROOM),
    ("53200", Unreachable, "give the database more memory, or roque fewer workers"),
    ("53300", Unreachable, "raise max_connections of the database, or run fewer workers"),
    (
        "55P03",
        Unreachable,
        "another transaction holds what is needed, perhaps a migration or a backup: try again when it has ended",
    ),
    ("57P", Unreachable, "wait until the database is back"),
    ("58030", Unreachable, _DAMAGED),
    ("XX001", Unreachable, _DAMAGED),
    ("XX002", Unreachable, _DAMAGED),
)
"""Beginnings of PostgreSQL's codes of errors."""

_WORDS: tuple[tuple[str, str], ...] = (
    ("no such table", OLD_TABLES),
    ("no such column", OLD_TABLES),
    ("has no column named", OLD_TABLES),
    ("disk is full", _ROOM),
    ("no space left", _ROOM),
    ("is locked", "another process writes to it for long, perhaps a backup: try again when it has ended"),
    ("readonly database", "let this user write the file and its folder"),
    ("unable to open database", "check the folder and its permissions"),
    ("not a database", _DAMAGED),
    ("malformed", _DAMAGED),
    ("authentication failed", _PASSWORD),
    ("no password supplied", _PASSWORD),
    ("no pg_hba.conf entry", _PASSWORD),
    ("starting up", "wait until the database is back"),
    ("shutting down", "wait until the database is back"),
    ('role "', _PASSWORD),
    ('database "', "create the database (createdb), then 'roque db upgrade'; or correct its name in setting database_url"),
    ("too many clients", "raise max_connections of the database, or run fewer workers"),
    ("invalid connection option", "correct what follows the ? in setting database_url"),
    ("invalid uri query parameter", "correct what follows the ? in setting database_url"),
    ("invalid sslmode", "correct what follows the ? in setting database_url"),
    ("remaining connection slots", "raise max_connections of the database, or run fewer workers"),
)
"""Words of errors that have no code: SQLite's, and of a server that cannot be reached or does not let us in."""


@contextmanager
def typed(name: str) -> Iterator[None]:
    """Turn what a database does while the body runs into errors that say what to do.

    Parameters
    ----------
    name : str
        The database, without its password.

    Raises
    ------
    Transient
        Trying again is safe: the transaction was rolled back.
    BadInput
        The database cannot hold a value.
    """
    try:
        yield
    except DBAPIError as error:
        if isinstance(error, IntegrityError):
            raise
        trouble = _trouble(error.orig or error, name, world=isinstance(error, (OperationalError, InterfaceError)))
        if trouble is None and isinstance(error, DataError):
            remedy = "correct what it came from: too large a number, or a text with a NUL in it"
            trouble = BadInput(f"the record cannot hold a value: {_first_line(error.orig or error)}", remedy=remedy)
        if trouble is None:
            raise
        raise trouble from error


def server_trouble(error: ServerError, name: str) -> RoqueError | None:
    """Do the same for an error of PostgreSQL's driver itself; None for one that is a fault of ours."""
    return _trouble(error, name, world=error.sqlstate is None)


def _trouble(error: BaseException, name: str, *, world: bool) -> RoqueError | None:
    reason = _first_line(error)
    state = getattr(error, "sqlstate", None)
    for beginning, kind, remedy in _STATES:
        if state is not None and state.startswith(beginning):
            return kind(reason, file=name, remedy=remedy)
    for words, remedy in _WORDS:
        if state is None and words in reason.lower():
            return Unreachable(reason, file=name, remedy=remedy)
    return Unreachable(reason, file=name, remedy=_RUNS) if world else None


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no connection"
