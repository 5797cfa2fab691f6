"""Bringing the tables of the record up to date, and saying whether they are."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from roque.archive.partitions import LOCK_TIMEOUT, SCHEMA_LOCK
from roque.archive.session import Record
from roque.archive.troubles import OLD_TABLES
from roque.archive.views import create_views, drop_views
from roque.errors import Transient, Unreachable
from roque.telemetry import logger

__all__ = [
    "Tables",
    "downgrade",
    "insist_on_tables",
    "knows",
    "migration_config",
    "remedy",
    "revision",
    "tables",
    "upgrade",
    "wait_for_tables",
]

_LOOK_SECONDS = 2.0


class Tables(Enum):
    """What the tables of a record are to this code."""

    CURRENT = "current"
    MISSING = "missing"
    OLD = "old"
    NEWER = "newer"  # a later roque has changed them


def upgrade(record: Record, revision: str = "head") -> None:
    """Bring the tables up to a revision, in one transaction; a record that is there already is left as it is.

    Raises
    ------
    Unreachable
        The database does not answer, another migration or a long query holds it, or its tables are of a later roque.
    """
    if revision == "head" and tables(record) is Tables.CURRENT:
        return
    with record.writing() as session:
        _migrate(session.connection(), record, command.upgrade, revision)


def downgrade(record: Record, revision: str) -> None:
    """Take the tables back to an older revision, in one transaction."""
    with record.writing() as session:
        _migrate(session.connection(), record, command.downgrade, revision)


def tables(record: Record) -> Tables:
    """What the tables are to this code."""
    with record.reading() as session:
        return _tables(session.connection())


def insist_on_tables(record: Record) -> None:
    """Refuse to go on with tables that are not those that this code knows.

    Raises
    ------
    Unreachable
        There are none, or they are of another version; or the database does not answer.
    """
    _refuse(record, tables(record), Tables.MISSING, Tables.OLD, Tables.NEWER)


def revision(record: Record) -> str:
    """Revision of the tables as they are."""
    with record.reading() as session:
        return str(MigrationContext.configure(session.connection()).get_current_revision())


def knows(known: str) -> bool:
    """Whether a revision is one of this code's history."""
    return known in {one.revision for one in _history().walk_revisions()}


def remedy(found: Tables) -> str | None:
    """What to do about tables; None if they are as they should be."""
    return _WRONG[found][1] if found in _WRONG else None


def wait_for_tables(record: Record, stop: threading.Event) -> None:
    """Wait until the database answers and somebody has brought its tables up to date, or until told to stop."""
    while not stop.is_set():
        try:
            insist_on_tables(record)
        except Transient as error:
            logger.warning("tables_waited_for", error=str(error))
            stop.wait(_LOOK_SECONDS)
        else:
            return


def _migrate(connection: Connection, record: Record, change: Callable[[Config, str], None], revision: str) -> None:
    if not record.is_sqlite:
        # whoever waits for a lock on a table makes all wait that come after: better to give up, and to try again
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.execute(text(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})"))
    _refuse(record, _tables(connection), Tables.NEWER)
    drop_views(connection)
    change(migration_config(connection), revision)
    if _tables(connection) is Tables.CURRENT:
        create_views(connection)


def _tables(connection: Connection) -> Tables:
    script = _history()
    present = set(MigrationContext.configure(connection).get_current_heads())
    if present == set(script.get_heads()):
        return Tables.CURRENT
    if not present:
        return Tables.MISSING
    return Tables.OLD if present <= {one.revision for one in script.walk_revisions()} else Tables.NEWER


def _refuse(record: Record, found: Tables, *unwanted: Tables) -> None:
    if found in unwanted:
        raise Unreachable(_WRONG[found][0], file=record.name, remedy=remedy(found))


_WRONG = {
    Tables.MISSING: ("the record has no tables", "make them with 'roque db upgrade'"),
    Tables.OLD: ("the tables of the record are those of an older roque", OLD_TABLES),
    Tables.NEWER: (
        "the tables of the record are those of a newer roque",
        "bring this one to the same version, or restore a backup made before",
    ),
}


def _history() -> ScriptDirectory:
    return ScriptDirectory(_place())


def _place() -> str:
    import migrations  # noqa: PLC0415 - a folder beside this package, needed by nothing else

    return str(Path(migrations.__file__).parent)


def migration_config(connection: Connection) -> Config:
    """Alembic's configuration for a connection, its history found beside the services."""
    config = Config()
    config.set_main_option("script_location", _place())
    config.attributes["connection"] = connection
    return config
