"""numpy columns to PostgreSQL's binary COPY format, all rows at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql
from sqlalchemy import Connection

from roque.errors import Unreachable

__all__ = ["binary_rows", "copy_into"]

_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # signature, no flags, no extension
_TAIL = b"\xff\xff"
_EPOCH = np.datetime64("2000-01-01", "D")
_WIRE = {"f8": ">f8", "i4": ">i4", "i8": ">i8", "b1": "u1"}


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
    Unreachable
        The connection was lost or the server has no room; the transaction is rolled back.
    """
    driver: Any = connection.connection.driver_connection
    target = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(table), sql.SQL(", ").join(sql.Identifier(name) for name in columns)
    )
    try:
        with driver.cursor() as cursor, cursor.copy(target) as copy:
            copy.write(binary_rows(list(columns.values())))
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise Unreachable(reason, remedy="check that the database runs and has room") from error


def binary_rows(columns: list[NDArray[Any]]) -> bytes:
    """Encode columns as one stream of ``COPY ... (FORMAT BINARY)``.

    Parameters
    ----------
    columns : list of 1-D arrays of one length
        float64 (NaN becomes NULL) as double precision; int32, int64 and uint32 as integer, bigint and bigint; bool as
        boolean; text as text; datetime64[D] as date.

    Returns
    -------
    bytes

    Notes
    -----
    Each row is its number of fields, then each field as its length and its bytes, all big-endian; NULL has the length -1 and
    no bytes. Rows are laid out with every field at its full width, then the bytes that do not belong are cut out.
    """
    wired = [_wire(column) for column in columns]
    parts: list[Any] = [("n", ">i2")]
    for i, (values, _) in enumerate(wired):
        parts += [(f"length{i}", ">i4"), (f"value{i}", values.dtype)]
    layout = np.dtype(parts)
    rows = np.zeros(len(columns[0]), layout)
    keep = np.ones((len(rows), layout.itemsize), bool)
    rows["n"] = len(columns)
    for i, (values, lengths) in enumerate(wired):
        rows[f"length{i}"], rows[f"value{i}"] = lengths, values
        first = layout.fields[f"value{i}"][1] if layout.fields else 0
        if np.ndim(lengths):
            keep[:, first : first + values.dtype.itemsize] = np.arange(values.dtype.itemsize) < lengths[:, None]
    body = rows.view(np.uint8).reshape(keep.shape)[keep]
    return _HEAD + body.tobytes() + _TAIL


def _wire(column: NDArray[Any]) -> tuple[NDArray[Any], Any]:
    """Give the values as they go over the wire, and their lengths in bytes: one for all, or one each."""
    if column.dtype.kind == "U":
        labels, which = np.unique(column, return_inverse=True)
        encoded = [label.encode() for label in labels.tolist()]
        return np.array(encoded, "S")[which], np.array([len(label) for label in encoded], np.int32)[which]
    if column.dtype.kind == "M":
        return (column - _EPOCH).astype("i8").astype(">i4"), 4
    if column.dtype.kind == "u":
        column = column.astype("i8")
    values = column.astype(_WIRE[column.dtype.str[1:]])
    if column.dtype.kind == "f":
        return values, np.where(np.isnan(column), np.int32(-1), np.int32(8))
    return values, values.dtype.itemsize
