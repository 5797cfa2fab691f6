"""numpy columns to PostgreSQL's binary COPY format, all rows at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql
from sqlalchemy import Connection

from roque.archive.troubles import server_trouble
from roque.errors import Transient

__all__ = ["binary_rows", "copy_into"]

_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # signature, no flags, no extension
_TAIL = b"\xff\xff"
_EPOCH = np.datetime64("2000-01-01", "D")
_WIRE = {"i4": ">i4", "i8": ">i8", "b1": "u1"}
_PIECE = 1024  # rows: what is worked on stays in the processor's cache, and the server takes one piece while the next is made


def copy_into(connection: Connection, table: str, columns: Mapping[str, NDArray[Any]]) -> None:
    """Append rows to a table.

    Parameters
    ----------
    connection : Connection
        To PostgreSQL, in a transaction.
    table : str
    columns : mapping of name to 1-D array
        All of one length; see `binary_rows` for their types.

    Raises
    ------
    Transient
        The connection was lost, the server has no room, or a row no partition; the transaction is rolled back.
    psycopg.errors.UniqueViolation
        A row with the same key is there.
    """
    driver: Any = connection.connection.driver_connection
    target = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(table), sql.SQL(", ").join(sql.Identifier(name) for name in columns)
    )
    try:
        with driver.cursor() as cursor, cursor.copy(target) as copy:
            for piece in binary_rows(list(columns.values())):
                copy.write(piece)
    except psycopg.errors.CheckViolation as error:  # no partition for the row
        remedy = "the planner makes it: look whether one runs, and what it says"
        raise Transient(str(error).splitlines()[0], remedy=remedy) from error
    except psycopg.Error as error:
        trouble = server_trouble(error, table)
        if trouble is None:
            raise
        raise trouble from error


def binary_rows(columns: list[NDArray[Any]]) -> Iterator[bytes]:
    """Encode columns as the stream of ``COPY ... (FORMAT BINARY)``, in pieces.

    Parameters
    ----------
    columns : list of 1-D arrays of one length
        float64 (NaN becomes NULL, -0.0 becomes 0.0) as double precision; int32, int64 and uint32 as integer, bigint and
        bigint; bool as boolean; text as text; datetime64[D] as date.

    Yields
    ------
    bytes

    Notes
    -----
    Each row is its number of fields, then each field as its length and its bytes, all big-endian; NULL has the length -1 and
    no bytes. Rows are laid out with every field at its full width, then the bytes that do not belong are cut out.
    """
    yield _HEAD
    for first in range(0, len(columns[0]), _PIECE):
        yield _encoded([column[first : first + _PIECE] for column in columns])
    yield _TAIL


def _encoded(columns: list[NDArray[Any]]) -> bytes:
    wired = [_wire(column) for column in columns]
    parts: list[Any] = [("n", ">i2")]
    for i, (values, _) in enumerate(wired):
        parts += [(f"length{i}", ">i4"), (f"value{i}", values.dtype)]
    layout = np.dtype(parts)
    rows = np.empty(len(columns[0]), layout)
    keep = np.ones((len(rows), layout.itemsize), bool)
    rows["n"] = len(columns)
    for i, (values, lengths) in enumerate(wired):
        rows[f"length{i}"], rows[f"value{i}"] = lengths, values
        if np.ndim(lengths):
            first = layout.fields[f"value{i}"][1] if layout.fields else 0
            size = values.dtype.itemsize
            keep[:, first : first + size] = np.arange(size) < lengths[:, None]
    return rows.view(np.uint8)[keep.ravel()].tobytes()


def _wire(column: NDArray[Any]) -> tuple[NDArray[Any], Any]:
    """Give the values as they go over the wire, and their lengths in bytes: one for all, or one each."""
    match column.dtype.kind:
        case "U":
            return _texts(column)
        case "M":
            return (column - _EPOCH).astype("i8").astype(">i4"), 4
        case "u":
            return column.astype(">i8"), 8
        case "f":
            missing = np.isnan(column)
            lengths = np.where(missing, np.int32(-1), np.int32(8)) if missing.any() else 8
            return (column + 0.0).astype(">f8"), lengths
        case _:
            values = column.astype(_WIRE[column.dtype.str[1:]])
            return values, values.dtype.itemsize


def _texts(column: NDArray[Any]) -> tuple[NDArray[Any], Any]:
    codes = np.ascontiguousarray(column).view(np.uint32).reshape(len(column), -1)
    if codes.max(initial=0) < 128:
        plain = codes.astype(np.uint8)
        return plain.view(f"S{plain.shape[1]}").ravel(), np.count_nonzero(plain, axis=1).astype(np.int32)
    encoded = np.char.encode(column, "utf-8")
    return encoded, np.char.str_len(encoded).astype(np.int32)
