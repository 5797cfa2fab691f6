"""Alembic's environment: one history for SQLite and PostgreSQL."""

from __future__ import annotations

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection

from roque.archive.models import Base, UtcDateTime
from roque.archive.partitions import is_partition


def rendered(kind: str, item: object, _autogen: AutogenContext) -> str | bool:
    """Write the project's own column types as what they are in the database."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def compared(name: str | None, kind: str, _parents: object) -> bool:
    """Leave out of comparisons what PostgreSQL alone has: the partitions of measurements, and the index on their time."""
    return (kind, name) != ("index", "ix_measurement_time") and not (kind == "table" and is_partition(name or ""))


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=rendered,
        include_name=compared,
    )
    with context.begin_transaction():
        context.run_migrations()


migrate(context.config.attributes["connection"])
