"""Engines and sessions of the record: one engine a process, made after any fork."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from roque.errors import Transient, Unreachable

__all__ = ["Record"]

BUSY_SECONDS = 30
"""How long SQLite waits for another process's write before it gives up."""

_OLD = "the record has no or old tables: start 'roque up' once"


class Record:
    """The database: read it with `reading`, change it with `writing`.

    Parameters
    ----------
    url : str
        SQLAlchemy URL: ``sqlite:///FILE`` or ``postgresql+psycopg://...``.
    """

    def __init__(self, url: str) -> None:
        address = make_url(url)
        if address.drivername in ("postgresql", "postgres"):
            address = address.set(drivername="postgresql+psycopg")
        self.name = address.render_as_string(hide_password=True)
        if address.get_backend_name() == "sqlite":
            if address.database:
                Path(address.database).parent.mkdir(parents=True, exist_ok=True)
            self.engine = create_engine(address, connect_args={"timeout": BUSY_SECONDS})
            event.listen(self.engine, "connect", _sqlite_connected)
            event.listen(self.engine, "begin", _sqlite_begin)
        else:
            self.engine = create_engine(address, pool_pre_ping=True, hide_parameters=True)
        self._writer = self.engine.execution_options(roque_writes=True)

    @property
    def is_sqlite(self) -> bool:
        """Whether the record is an SQLite file."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Give a session whose changes are thrown away. Rows that were read can be used after it, less what was not loaded."""
        with _typed(self.name), Session(self.engine) as session:
            yield session
            session.expunge_all()

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Give a session that is committed at the end, or rolled back as a whole on any error."""
        with _typed(self.name), Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _sqlite_connected(connection: sqlite3.Connection, _: Any) -> None:
    # the driver's own transaction control begins too late for DDL and for BEGIN IMMEDIATE
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # a power cut may take the last commits back, never break the file: the planner then has that work done again
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _sqlite_begin(connection: Any) -> None:
    # a reader that turns writer in mid-transaction cannot wait for another writer: take the lock at the start
    writes = connection.get_execution_options().get("roque_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _typed(name: str) -> Iterator[None]:
    """Turn what the world does to a database into errors that say that a retry is safe."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        reason = str(error.orig).strip().splitlines()[0] if error.orig else "no connection"
        if "no such table" in reason or "no such column" in reason:
            raise Unreachable(reason, file=name, remedy=_OLD) from error
        raise Unreachable(reason, file=name, remedy="check that the database runs and has room") from error
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None)
        if state in ("42P01", "42703"):  # no such table, no such column
            raise Unreachable(str(error.orig).strip().splitlines()[0], file=name, remedy=_OLD) from error
        # 40001 and 40P01: two transactions in each other's way; 57P01: the server was stopped
        if state in ("40001", "40P01", "57P01"):
            raise Transient(str(error.orig).strip().splitlines()[0], file=name) from error
        raise
