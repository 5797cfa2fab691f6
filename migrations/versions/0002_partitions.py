"""PostgreSQL: measurements in a partition a month, texts sorted by their bytes, JSON as it was written. SQLite: nothing."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = (
    "aperture", "aperture_set", "frame", "instrument", "job", "job_need", "master", "measurement", "night", "outbox", "product",
    "range_done", "raw_file", "recipe", "reduction", "run", "site",
)  # fmt: skip

LENGTHS = {
    "aperture.ccd": 8, "aperture.label": 16, "aperture.link": 16, "frame.ccd": 8, "job.claim_token": 36, "job.id": 36,
    "job.parent_id": 36, "job.worker": 128, "job_need.job_id": 36, "job_need.needs_id": 36, "measurement.aperture": 16,
    "measurement.ccd": 8, "outbox.job_id": 36, "product.job_id": 36, "recipe.comment": 200, "reduction.name": 12,
    "reduction.target": 16, "run.object": 128,
}  # fmt: skip
"""Columns of texts that had a length other than 64."""

UNLIMITED = {"aperture_set.source", "job.reason", "product.uri", "raw_file.path", "run.waiting"}

BY_BYTES = {"frame.ccd", "measurement.aperture", "measurement.ccd"}
"""Columns that were sorted by their bytes before."""

KEY = "night, reduction_id, ccd, aperture, frame"


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, columns in _columns("character varying", "text").items():
        _alter(table, [f'{column} TYPE text COLLATE "C"' for column in columns])
    for table, columns in _columns("jsonb").items():
        _alter(table, [f"{column} TYPE json USING {column}::json" for column in columns])
    _move_away()
    op.execute("CREATE TABLE measurement (LIKE measurement_old) PARTITION BY RANGE (night)")
    for first in _months():
        op.execute(
            f"CREATE TABLE measurement_{first.isoformat()[:7].replace('-', '_')} PARTITION OF measurement"
            f" FOR VALUES FROM ('{first}') TO (date '{first}' + interval '1 month')"
        )
    _move_back()
    op.execute("CREATE INDEX ix_measurement_time ON measurement USING brin ((mjd_int + mjd_frac)) WITH (autosummarize = on)")


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    _move_away()
    op.execute("CREATE TABLE measurement (LIKE measurement_old)")
    _move_back()
    for table, columns in _columns("json").items():
        _alter(table, [f"{column} TYPE jsonb USING {column}::jsonb" for column in columns])
    for table, columns in _columns("text").items():
        _alter(table, [f"{column} TYPE {_before(f'{table}.{column}')}" for column in columns])


def _move_away() -> None:
    op.execute("ALTER TABLE measurement RENAME TO measurement_old")
    op.execute("ALTER TABLE measurement_old RENAME CONSTRAINT pk_measurement TO pk_measurement_old")


def _move_back() -> None:
    # the key is made when the rows are there: in one go, not row by row
    op.execute("INSERT INTO measurement SELECT * FROM measurement_old")
    op.execute("DROP TABLE measurement_old")
    op.execute(f"ALTER TABLE measurement ADD CONSTRAINT pk_measurement PRIMARY KEY ({KEY})")


def _months() -> list[dt.date]:
    found = op.get_bind().execute(
        sa.text(
            "SELECT DISTINCT date_trunc('month', night)::date FROM"
            " (SELECT night FROM measurement_old UNION SELECT date FROM night) AS known ORDER BY 1"
        )
    )
    return list(found.scalars())


def _columns(*types: str) -> dict[str, list[str]]:
    """Columns of these types by table, the partitioned table without its partitions."""
    found = op.get_bind().execute(
        sa.text(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
            " AND table_name = ANY(:tables) AND data_type = ANY(:types) ORDER BY table_name, ordinal_position"
        ),
        {"tables": list(TABLES), "types": list(types)},
    )
    columns: dict[str, list[str]] = {}
    for table, column in found:
        columns.setdefault(table, []).append(column)
    return columns


def _alter(table: str, changes: list[str]) -> None:
    op.execute(f"ALTER TABLE {table} " + ", ".join(f"ALTER COLUMN {change}" for change in changes))


def _before(column: str) -> str:
    kind = "text" if column in UNLIMITED else f"varchar({LENGTHS.get(column, 64)})"
    return f'{kind} COLLATE "{"C" if column in BY_BYTES else "default"}"'
