"""Single statements for PostgreSQL, handed to its driver as they are: those that every job needs, or that are often asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, Select
from sqlalchemy.sql.expression import UpdateBase

from roque.archive.troubles import server_trouble, typed

__all__ = ["execute_directly"]

_texts: WeakKeyDictionary[UpdateBase | Select[Any], tuple[str, dict[str, Any]]] = WeakKeyDictionary()


def execute_directly(engine: Engine, name: str, statement: UpdateBase | Select[Any], parameters: Mapping[str, Any]) -> Any:
    """Execute a statement that is a transaction of its own, once there and back; see `roque.archive.Record.at_once`.

    Raises
    ------
    Transient
        Trying again is safe.
    """
    from psycopg import Error  # noqa: PLC0415 - the laptop's record does without
    from psycopg.rows import namedtuple_row  # noqa: PLC0415

    text, given = _text(engine, statement)
    held = None
    try:
        with typed(name):
            held = engine.raw_connection()
        connection: Any = held.driver_connection
        connection.autocommit = True
        row = connection.cursor(row_factory=namedtuple_row).execute(text, {**given, **parameters}).fetchone()
        connection.autocommit = False
    except BaseException as error:
        if held is not None:
            held.invalidate()  # whatever state it is in
        trouble = server_trouble(error, name) if isinstance(error, Error) else None
        if trouble is None:
            raise
        raise trouble from error
    held.close()
    return row


def _text(engine: Engine, statement: UpdateBase | Select[Any]) -> tuple[str, dict[str, Any]]:
    if statement not in _texts:
        compiled = statement.compile(engine)
        if compiled.literal_execute_params or compiled.post_compile_params:
            raise TypeError(f"a list is among the parameters of {compiled}")  # which SQLAlchemy writes out at each execution
        _texts[statement] = str(compiled), dict(compiled.params)
    return _texts[statement]
