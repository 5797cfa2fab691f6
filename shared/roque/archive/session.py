"""Engines and sessions of the record: one engine a process, made after any fork."""

from __future__ import annotations

import math
import select
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Select, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.expression import UpdateBase
from sqlalchemy.sql.functions import GenericFunction

from roque.archive.direct import execute_directly
from roque.archive.troubles import typed
from roque.errors import BadInput

__all__ = ["Record", "insert_into", "not_lasting", "record_address"]

BUSY_SECONDS = 30
"""How long SQLite waits for another process's write before it gives up."""

IDLE_SECONDS = 1.0
"""How long a connection lies idle before it is asked whether it still stands."""

_LAST_USED = "roque.used"

_SERVER: dict[str, str | int] = {
    "connect_timeout": 10,  # s
    # a server that is gone without a word, or a network that swallows everything, is noticed within half a minute
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # ms
    # a process that stands still in mid-transaction holds up the others no longer than that
    "options": "-c idle_in_transaction_session_timeout=30s -c lock_timeout=20s",
}
"""How PostgreSQL is talked to where the URL does not say otherwise."""


class Record:
    """The database: read it with `reading`, change it with `writing`.

    Parameters
    ----------
    url : str
        ``sqlite:///FILE`` or ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``; what may follow a ``?`` is for libpq.

    Raises
    ------
    BadInput
        It is no such URL.
    """

    def __init__(self, url: str) -> None:
        address = record_address(url)
        self.name = address.render_as_string(hide_password=True)
        if address.get_backend_name() == "sqlite":
            if address.database:
                Path(address.database).parent.mkdir(parents=True, exist_ok=True)
            self.engine = create_engine(address, connect_args={"timeout": BUSY_SECONDS})
            event.listen(self.engine, "connect", _sqlite_connected)
            event.listen(self.engine, "begin", _sqlite_begin)
        else:
            self.engine = create_engine(
                address,
                connect_args={name: value for name, value in _options().items() if name not in address.query},
                hide_parameters=True,
            )
            event.listen(self.engine, "checkin", _used)
            event.listen(self.engine, "checkout", _still_there)
        self._writer = self.engine.execution_options(roque_writes=True)

    @property
    def is_sqlite(self) -> bool:
        """Whether the record is an SQLite file."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Give a session whose changes are thrown away. Rows that were read can be used after it, less what was not loaded."""
        with typed(self.name), Session(self.engine) as session:
            yield session
            session.expunge_all()

    @contextmanager
    def writing(self, *, lasting: bool = True) -> Iterator[Session]:
        """Give a session that is committed at the end, or rolled back as a whole on any error.

        Parameters
        ----------
        lasting : bool
            Whether the commit waits until it is on PostgreSQL's disk. If not, a crash of the server may take it back, whole;
            everybody else sees it at once all the same.
        """
        with typed(self.name), Session(self._writer, expire_on_commit=False) as session, session.begin():
            if not lasting and not self.is_sqlite:
                session.execute(text("SET LOCAL synchronous_commit TO off"))
            yield session

    def at_once(self, statement: UpdateBase | Select[Any], parameters: Mapping[str, Any]) -> Any:
        """Execute one statement that is a transaction of its own, and give the row that it returns; None if it returns none.

        PostgreSQL is asked once, and by its driver, where a transaction of a session asks three times and more: it takes a
        third of the time. Parameters are texts, numbers and times with their zone, none of them a list.
        """
        if not self.is_sqlite:
            return execute_directly(self.engine, self.name, statement, parameters)
        with typed(self.name), (self.engine if statement.is_select else self._writer).begin() as connection:
            return connection.execute(statement, parameters).one_or_none()

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def record_address(url: str) -> URL:
    """Read the URL of a record.

    Raises
    ------
    BadInput
        It is none. The message does not repeat it: it may hold a password.
    """
    how = "write sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/DATABASE, special characters of the password as %40"
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):  # the message of either may hold a piece of the password
        raise BadInput("not the URL of a database", place="setting database_url", remedy=how) from None
    if address.drivername in ("postgresql", "postgres"):
        address = address.set(drivername="postgresql+psycopg")
    if address.drivername not in ("sqlite", "postgresql+psycopg"):
        raise BadInput(f"no record is kept in {address.drivername[:40]}", place="setting database_url", remedy=how)
    return address


def _options() -> dict[str, str | int]:
    # named as it was started: services.ingest.__main__, roque.bus.worker
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    parts = spec.name.removesuffix(".__main__").split(".") if spec is not None else ["roque"]
    return {"application_name": parts[-1] if parts[-1] == "roque" else f"roque {parts[-1]}", **_SERVER}


def _used(_connection: Any, entry: ConnectionPoolEntry) -> None:
    entry.info[_LAST_USED] = time.monotonic()


def _still_there(connection: Any, entry: ConnectionPoolEntry, _: Any) -> None:
    # between the transactions of a job the question would cost as much as they do: it is put only to a connection that lay
    # idle, or on which the server has said something unasked, which is mostly its last word
    from psycopg import Error  # noqa: PLC0415 - the laptop's record does without

    said = select.poll()
    try:
        said.register(connection.fileno(), select.POLLIN)  # one that is closed has none
        if time.monotonic() - entry.info.get(_LAST_USED, math.inf) < IDLE_SECONDS and not said.poll(0):
            return
        connection.autocommit = True
        connection.execute("")
        connection.autocommit = False
    except Error as error:
        raise DisconnectionError(type(error).__name__) from error  # the pool opens another one


def insert_into(session: Session, table: type[DeclarativeBase]) -> Any:
    """Begin an INSERT that knows ON CONFLICT: of transactions at once that add the same row, all but one find it there."""
    return (postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert)(table)


class not_lasting(GenericFunction[str]):  # noqa: N801 - in statements it reads as a function
    """Among what a statement returns: says that its commit need not last, as `Record.writing` has it."""

    inherit_cache = True


@compiles(not_lasting)
def _on_sqlite(*_: Any, **__: Any) -> str:
    return "NULL"


@compiles(not_lasting, "postgresql")
def _on_postgresql(*_: Any, **__: Any) -> str:
    return "set_config('synchronous_commit', 'off', true)"


def _sqlite_connected(connection: sqlite3.Connection, _: Any) -> None:
    # the driver's own transaction control begins too late for DDL and for BEGIN IMMEDIATE
    connection.isolation_level = None
    cursor = connection.cursor()
    _insist_on_wal(cursor)
    # a power cut may take the last commits back, never break the file: the planner then has that work done again
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _insist_on_wal(cursor: sqlite3.Cursor) -> None:
    # the one statement for which SQLite does not wait: of two processes that open a new file at once, one would fail
    patience = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > patience:
                raise
            time.sleep(0.01)
        else:
            return


def _sqlite_begin(connection: Any) -> None:
    # a reader that turns writer in mid-transaction cannot wait for another writer: take the lock at the start
    writes = connection.get_execution_options().get("roque_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
