"""Every table of a record on PostgreSQL into files and back, in the binary form of COPY: the same bits, by a connection alone.

The server's own pg_dump would have to be of the server's version, on the machine of whoever makes the backup.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Connection, MetaData, Table, text
from sqlalchemy.orm import Session

from roque.archive.partitions import PARTITIONED, is_partition, make_partitions
from roque.archive.session import Record
from roque.archive.troubles import server_trouble, typed
from roque.errors import Conflict

__all__ = ["dump_tables", "insist_on_empty", "load_tables"]

_CHUNK = 1 << 20


def dump_tables(record: Record, folder: Path) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Write every table to a file, all as they are at one moment.

    Returns
    -------
    tables : list of dict
        For each table, in an order in which they can be loaded: name, file, columns, rows, sha256.
    products : list of (str, str)
        Name and SHA-256 of every product at that moment.
    """
    snapshot = record.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with typed(record.name), snapshot.connect() as connection, connection.begin():
        tables = [_dump(connection, record.name, table, folder) for table in _tables(connection)]
        products = [(row.uri, row.sha256) for row in connection.execute(text("SELECT uri, sha256 FROM product ORDER BY id"))]
    return tables, products


def insist_on_empty(record: Record) -> None:
    """Refuse a database that something is in.

    Raises
    ------
    Conflict
        A table has a row.
    """
    with record.reading() as session:
        for table in _tables(session.connection()):
            if session.execute(table.select().limit(1)).first() is not None:
                remedy = "restore into a new database: createdb, and name it in setting database_url"
                raise Conflict(f"the record is not empty: table {table.name} has rows", file=record.name, remedy=remedy)


def load_tables(session: Session, name: str, tables: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Read tables back in this transaction, into tables of the same version that are empty."""
    connection = session.connection()
    for table in tables:
        if table["name"] in PARTITIONED:
            make_partitions(session, dt.datetime.now(dt.UTC).date())
        statement = _copy("COPY {} ({}) FROM STDIN (FORMAT BINARY)", table["name"], table["columns"])
        with _driver(connection, name) as cursor, cursor.copy(statement) as copy, (folder / table["file"]).open("rb") as file:
            while chunk := file.read(_CHUNK):
                copy.write(chunk)
        if "id" in table["columns"]:
            _continue_ids(connection, table["name"])


def _dump(connection: Connection, name: str, table: Table, folder: Path) -> dict[str, Any]:
    columns = [column.name for column in table.columns]
    digest, file = hashlib.sha256(), f"{table.name}.copy"
    with _driver(connection, name) as cursor, (folder / file).open("xb") as out:
        with cursor.copy(_copy("COPY (SELECT {1} FROM {0}) TO STDOUT (FORMAT BINARY)", table.name, columns)) as copy:
            for chunk in copy:
                digest.update(chunk)
                out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
        return {"name": table.name, "file": file, "columns": columns, "rows": cursor.rowcount, "sha256": digest.hexdigest()}


def _tables(connection: Connection) -> list[Table]:
    """The tables that there are, whoever is referred to before whoever refers to it."""
    found = MetaData()
    found.reflect(connection, only=lambda name, _: name != "alembic_version" and not is_partition(name))
    # partitions are made for the nights, which must be there
    return sorted(found.sorted_tables, key=lambda table: table.name in PARTITIONED)


def _copy(statement: str, table: str, columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(statement).format(sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns)))


def _continue_ids(connection: Connection, table: str) -> None:
    sequence = connection.execute(text("SELECT pg_get_serial_sequence(:name, 'id')"), {"name": table}).scalar_one()
    if sequence is not None:
        highest = sql.SQL("SELECT setval({}, max(id)) FROM {} HAVING max(id) IS NOT NULL")
        with _driver(connection, table) as cursor:
            cursor.execute(highest.format(sql.Literal(sequence), sql.Identifier(table)))


@contextmanager
def _driver(connection: Connection, name: str) -> Iterator[psycopg.Cursor[Any]]:
    """A cursor of the driver in the connection's transaction, its errors as ours."""
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor:
            yield cursor
    except psycopg.Error as error:
        trouble = server_trouble(error, name)
        if trouble is None:
            raise
        raise trouble from error
