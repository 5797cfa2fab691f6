"""Bulk rows: frames and measurements into the record, by the fastest way of each database, and back as arrays.

Rows that are there already are replaced, so a range that is done again leaves the same rows. NaN is NULL in the record and
comes back as NaN; a negative zero is stored as zero, because SQLite knows no other.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg.errors import UniqueViolation
from sqlalchemy import ColumnElement, Connection, Table, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from roque.archive.models import Base, Frame, Measurement, Night, RadiusMeasurement, Reduction, Run
from roque.archive.pgcopy import copy_into
from roque.photometry.measurements import MEASUREMENT, RADIUS, Measurements, RadiusRows

__all__ = [
    "insert_frames",
    "insert_frames_of",
    "insert_measurements",
    "insert_radii",
    "load_measurements",
    "load_radii",
]

_ROWS = 65_536  # at a time: what is in flight stays below some ten MB


def insert_frames(session: Session, run_id: int, times: NDArray[np.void]) -> None:
    """Write the frames of a run.

    Parameters
    ----------
    session : Session
        An open transaction of the record.
    run_id : int
    times : structured array
        One row per frame and CCD: frame, ccd, mjd_int, mjd_frac, exposure (s), time_ok, data_ok.
    """
    insert_frames_of(session, [(run_id, times)])


def insert_frames_of(session: Session, runs: Sequence[tuple[int, NDArray[np.void]]]) -> None:
    """Write the frames of several runs together: of short ones a statement for each would cost more than its rows.

    Parameters
    ----------
    session : Session
        An open transaction of the record.
    runs : sequence of (int, structured array)
        Id and times of each, as for `insert_frames`; all times together should fit into memory twice.
    """
    fields = ("ccd", "mjd_int", "mjd_frac", "exposure", "time_ok", "data_ok")
    owners = np.repeat(np.array([run_id for run_id, _ in runs], np.int32), [len(times) for _, times in runs])
    every = runs[0][1] if len(runs) == 1 else np.concatenate([times for _, times in runs])
    for first in range(0, len(every), _ROWS):
        part = every[first : first + _ROWS]
        columns = {"run_id": owners[first : first + _ROWS], "number": part["frame"], **{name: part[name] for name in fields}}
        _replace(session, _table(Frame), columns)


def insert_measurements(session: Session, night: dt.date, reduction_id: int, measurements: Measurements) -> None:
    """Write measurements of a reduction.

    Parameters
    ----------
    session : Session
        An open transaction of the record.
    night : date
        The run's night.
    reduction_id : int
    measurements : Measurements
        Any number of rows.
    """
    _insert(session, _table(Measurement), night, reduction_id, measurements)


def insert_radii(session: Session, night: dt.date, reduction_id: int, rows: RadiusRows) -> None:
    """Write what further radii gave; parameters as of `insert_measurements`, with an array of dtype `RADIUS`."""
    _insert(session, _table(RadiusMeasurement), night, reduction_id, rows)


def load_measurements(
    session: Session,
    reduction_id: int,
    ccd: str | None = None,
    aperture: str | None = None,
    frames: tuple[int, int] | None = None,
) -> Measurements:
    """Read measurements of a reduction, every double with the bits it was written with.

    Parameters
    ----------
    session : Session
    reduction_id : int
    ccd, aperture : str or None
        Only these.
    frames : tuple of int, or None
        Only from the first to the last of these, both included.

    Returns
    -------
    Measurements
        In the order of frame, CCD and aperture label.
    """
    rows = _table(Measurement).c
    only = {"ccd": ccd, "aperture": aperture}
    return _load(session, _table(Measurement), MEASUREMENT, reduction_id, only, frames, (rows.frame, rows.ccd, rows.aperture))


def load_radii(
    session: Session,
    reduction_id: int,
    ccd: str | None = None,
    aperture: str | None = None,
    factor: float | None = None,
    frames: tuple[int, int] | None = None,
) -> RadiusRows:
    """Read what further radii of a reduction gave, every double with the bits it was written with.

    Parameters
    ----------
    session : Session
    reduction_id : int
    ccd, aperture : str or None
        Only these.
    factor : float or None
        Only this radius, as the recipe has it.
    frames : tuple of int, or None
        Only from the first to the last of these, both included.

    Returns
    -------
    array of dtype `RADIUS`
        In the order of frame, CCD, aperture label and factor; none where the recipe asked for no radii.
    """
    rows = _table(RadiusMeasurement).c
    only = {"ccd": ccd, "aperture": aperture, "factor": factor}
    order = rows.frame, rows.ccd, rows.aperture, rows.factor
    return _load(session, _table(RadiusMeasurement), RADIUS, reduction_id, only, frames, order)


def _insert(session: Session, table: Table, night: dt.date, reduction_id: int, rows: NDArray[np.void]) -> None:
    for first in range(0, len(rows), _ROWS):
        part = rows[first : first + _ROWS]
        whole = {"night": np.datetime64(night, "D"), "reduction_id": np.int32(reduction_id)}
        _replace(session, table, {**whole, **{name: part[name] for name in rows.dtype.names or ()}})


def _load(
    session: Session,
    table: Table,
    dtype: np.dtype[np.void],
    reduction_id: int,
    only: Mapping[str, str | float | None],
    frames: tuple[int, int] | None,
    order: Sequence[ColumnElement[Any]],
) -> NDArray[np.void]:
    # the key begins with the night, and so do the partitions
    night = select(Night.date).join(Run, Run.night_id == Night.id).join(Reduction, Reduction.run_id == Run.id)
    whose = table.c.night == night.where(Reduction.id == reduction_id).scalar_subquery(), table.c.reduction_id == reduction_id
    wanted = select(*(table.c[name] for name in dtype.names or ())).where(*whose)
    for name, value in only.items():
        if value is not None:
            wanted = wanted.where(table.c[name] == value)
    if frames is not None:
        wanted = wanted.where(table.c.frame.between(*frames))
    found = session.connection().execute(wanted.order_by(*order))
    # numpy takes None for NaN where the field is a double
    parts = [np.array([tuple(row) for row in part], dtype) for part in found.partitions(_ROWS)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype)


def _table(model: type[Base]) -> Table:
    table = model.__table__
    if not isinstance(table, Table):
        raise TypeError(f"{model.__name__} is no table")
    return table


def _replace(session: Session, table: Table, columns: dict[str, Any]) -> None:
    if session.get_bind().dialect.name == "postgresql":
        _replace_postgresql(session, table, columns)
    else:
        _replace_sqlite(session, table, columns)


def _plain(values: Any) -> Any:
    return values + 0.0 if values.dtype.kind == "f" else values  # -0.0 + 0.0 is 0.0


def _replace_sqlite(session: Session, table: Table, columns: dict[str, Any]) -> None:
    statement = _conflicts(sqlite.insert(table), table, list(columns)).compile(
        dialect=sqlite.dialect(), column_keys=list(columns)
    )
    columns = {name: _plain(values) for name, values in columns.items()}
    listed = [repeat(str(values)) if values.dtype.kind == "M" else values.tolist() for values in columns.values()]
    rows = zip(*(repeat(values) if isinstance(values, int) else values for values in listed), strict=False)
    # past SQLAlchemy's handling of single values, to which nothing here needs to be put; the driver makes NaN NULL
    session.connection().exec_driver_sql(str(statement), list(rows))


def _replace_postgresql(session: Session, table: Table, columns: dict[str, Any]) -> None:
    count = max(np.size(values) for values in columns.values())
    whole = {name: np.broadcast_to(values, count) for name, values in columns.items()}
    connection = session.connection()
    try:
        with connection.begin_nested():
            copy_into(connection, table.name, whole)
    except UniqueViolation:  # some of the rows are there: done again, or a file that changed
        _replace_by_key(connection, table, whole)


def _replace_by_key(connection: Connection, table: Table, columns: dict[str, Any]) -> None:
    new = f"new_{table.name}"
    connection.execute(text(f"CREATE TEMPORARY TABLE IF NOT EXISTS {new} (LIKE {table.name}) ON COMMIT DELETE ROWS"))
    copy_into(connection, new, columns)
    fresh = table.to_metadata(table.metadata.__class__(), name=new)
    moved = postgresql.insert(table).from_select(list(columns), select(*(fresh.c[name] for name in columns)))
    connection.execute(_conflicts(moved, table, list(columns)))
    connection.execute(text(f"TRUNCATE {new}"))


def _conflicts(statement: Any, table: Table, columns: Sequence[str]) -> Any:
    key = [column.name for column in table.primary_key]
    changes = {name: statement.excluded[name] for name in columns if name not in key}
    return statement.on_conflict_do_update(index_elements=key, set_=changes)
