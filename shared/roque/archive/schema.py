"""Bringing the tables of the record up to date, and saying whether they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from roque.archive.session import Record
from roque.archive.views import create_views, drop_views

__all__ = ["downgrade", "is_current", "migration_config", "upgrade"]


def upgrade(record: Record, revision: str = "head") -> None:
    """Bring the tables up to a revision; a record that is there already is left as it is.

    Raises
    ------
    Unreachable
        The database does not answer, or another migration holds it.
    """
    if revision == "head" and is_current(record):
        return
    with record.writing() as session:
        _migrate(session.connection(), command.upgrade, revision)


def downgrade(record: Record, revision: str) -> None:
    """Take the tables back to an older revision."""
    with record.writing() as session:
        _migrate(session.connection(), command.downgrade, revision)


def is_current(record: Record) -> bool:
    """Whether the tables are those that this code knows."""
    with record.reading() as session:
        return _at_head(session.connection())


def _migrate(connection: Connection, change: Callable[[Config, str], None], revision: str) -> None:
    drop_views(connection)
    change(migration_config(connection), revision)
    if _at_head(connection):
        create_views(connection)


def _at_head(connection: Connection) -> bool:
    heads = ScriptDirectory.from_config(migration_config(connection)).get_heads()
    return set(MigrationContext.configure(connection).get_current_heads()) == set(heads)


def migration_config(connection: Connection) -> Config:
    """Alembic's configuration for a connection, its history found beside the services."""
    import migrations  # noqa: PLC0415 - a folder beside this package, needed by nothing else

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["connection"] = connection
    return config
