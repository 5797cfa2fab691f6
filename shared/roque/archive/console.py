"""People's SQL: one SELECT at a time, on a connection that cannot change anything and does not run for ever."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import URL

from roque.archive.session import record_address
from roque.archive.troubles import server_trouble
from roque.errors import BadInput, Unreachable

__all__ = ["Answer", "ask"]

_STEPS = 10_000
"""Instructions of SQLite's machine between two looks at the clock: well under a millisecond."""

_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_REMEDY = "'roque sql --views' shows what can be asked, with examples"


@dataclass(frozen=True)
class Answer:
    """Rows of an answer; `more` if there were more than the limit."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    more: bool


def ask(url: str, statement: str, *, limit: int, seconds: float) -> Answer:
    """Ask the record in SQL.

    Parameters
    ----------
    url : str
        SQLAlchemy URL of the record.
    statement : str
        One SELECT, in the words of the database that it is.
    limit : int
        Rows to give at most.
    seconds : float
        How long it may take.

    Raises
    ------
    BadInput
        It is no SELECT, more than one statement, wrong, or took too long.
    Unreachable
        The database does not answer.
    """
    address = record_address(url)
    if address.get_backend_name() == "sqlite":
        return _ask_sqlite(str(address.database), statement, limit, seconds)
    return _ask_postgresql(address, statement, limit, seconds)


def _ask_sqlite(path: str, statement: str, limit: int, seconds: float) -> Answer:
    deadline = time.monotonic() + seconds
    try:
        connection = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=seconds)
    except sqlite3.OperationalError as error:
        raise Unreachable(str(error), file=path, remedy="check that the file is there and can be read") from error
    with closing(connection), _sqlite_errors(seconds, deadline):
        connection.execute("PRAGMA query_only = ON")
        connection.set_authorizer(_authorize)
        connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        cursor = connection.execute(statement)
        if cursor.description is None:
            raise BadInput("there is no statement", place="SQL", remedy=_REMEDY)
        rows = cursor.fetchmany(limit + 1)
        return Answer(tuple(column[0] for column in cursor.description), rows[:limit], len(rows) > limit)


def _authorize(action: int, _first: str | None, second: str | None, *_: str | None) -> int:
    """Allow reading alone: no writing, attaching of other files, pragmas, or loading of code."""
    loads = action == sqlite3.SQLITE_FUNCTION and second == "load_extension"
    return sqlite3.SQLITE_OK if action in _ALLOWED and not loads else sqlite3.SQLITE_DENY


@contextmanager
def _sqlite_errors(seconds: float, deadline: float) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning) as error:
        text = str(error)
        if "interrupted" in text and time.monotonic() < deadline:
            # Ctrl-C reached the look at the clock, from where SQLite cannot pass it on
            raise KeyboardInterrupt from None
        if "interrupted" in text:
            raise _too_long(seconds) from error
        if "one statement" in text:
            raise BadInput("only one statement at a time is answered", place="SQL", remedy=_REMEDY) from error
        if "not authorized" in text or "readonly" in text:
            raise BadInput("only SELECT is answered: nothing is changed from here", place="SQL", remedy=_REMEDY) from error
        raise BadInput(text, place="SQL", remedy=_REMEDY) from error


def _ask_postgresql(address: URL, statement: str, limit: int, seconds: float) -> Answer:
    options = f"-c default_transaction_read_only=on -c statement_timeout={round(1000 * seconds)}"
    plain = address.set(drivername="postgresql").render_as_string(hide_password=False)
    # as a subquery it can be nothing but a SELECT; prepared, it can be nothing but one statement
    wrapped = f"SELECT * FROM (\n{statement.strip().removesuffix(';')}\n) AS asked LIMIT {limit + 1}"  # noqa: S608 - meant
    try:
        with psycopg.connect(make_conninfo(plain, options=options), connect_timeout=10) as connection:
            connection.read_only = True
            cursor = connection.execute(wrapped.encode(), prepare=True)
            rows = cursor.fetchall()
            return Answer(tuple(column.name for column in cursor.description or ()), rows[:limit], len(rows) > limit)
    except psycopg.errors.QueryCanceled as error:
        raise _too_long(seconds) from error
    except psycopg.Error as error:
        if isinstance(error, psycopg.OperationalError) or error.sqlstate is None:  # before the statement was read
            trouble = server_trouble(error, address.render_as_string(hide_password=True))
            if trouble is not None:
                raise trouble from error
        raise BadInput(_first_line(error), place="SQL", remedy=_REMEDY) from error


def _first_line(error: psycopg.Error) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _too_long(seconds: float) -> BadInput:
    return BadInput(
        f"stopped after {seconds:g} s", place="SQL", remedy="ask for less with WHERE, or allow more time with --timeout"
    )
