"""Partitions of the bulk tables on PostgreSQL: one a month of nights. An SQLite file has none.

There is no default partition. It would take in rows of any night, but as long as it is there every new partition has to
search it, and locks it against writers and readers alike; and the month whose rows it holds cannot be split off any more.
Without one a partition is attached beside running reductions. A row without a partition is refused, and its job tried
again: the planner makes what is missing at each look.
"""

from __future__ import annotations

import datetime as dt
import re

from sqlalchemy import text
from sqlalchemy.orm import Session

from roque.archive.session import Record
from roque.errors import Transient
from roque.telemetry import logger

__all__ = [
    "AHEAD",
    "FEWEST_AHEAD",
    "LOCK_TIMEOUT",
    "PARTITIONED",
    "SCHEMA_LOCK",
    "is_partition",
    "keep_partitions",
    "make_partitions",
    "partitions_ahead",
]

PARTITIONED = ("measurement", "radius_measurement")
"""Tables that are parted by night: a month has a partition of each that there is."""

AHEAD = 3
"""Months after this one that have their partition before their first night."""

FEWEST_AHEAD = 2
"""Fewer than these are worth a warning: something keeps the planner from making them."""

SCHEMA_LOCK = 7_403_921
"""Number of the advisory lock under which tables are made and changed: any, but the same for every roque."""

LOCK_TIMEOUT = "4s"
"""How long anybody who makes or changes tables waits for others: all who come after wait with them."""

_MISSING = text("""
SELECT DISTINCT parted, date_trunc('month', day)::date FROM unnest(CAST(:tables AS text[])) AS parted, (
    SELECT date AS day FROM night
    UNION ALL SELECT (:today + months * interval '1 month')::date FROM generate_series(0, :ahead) AS months
) AS wanted
WHERE to_regclass(parted) IS NOT NULL AND to_regclass(parted || '_' || to_char(day, 'YYYY_MM')) IS NULL ORDER BY 1, 2
""")

_AHEAD = text("""
SELECT count(*) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = to_regclass('measurement')
AND relname > 'measurement_' || to_char(coalesce(CAST(:today AS date), current_date), 'YYYY_MM')
""")


def keep_partitions(record: Record, today: dt.date) -> None:
    """Make the partitions that are missing: those of registered nights, of this month and of the next ones.

    Writers and readers go on meanwhile, and any number of planners may do it at once. If it cannot be done
    now, that is logged, and done at the next look.

    Parameters
    ----------
    record : Record
    today : date
        Today's, in UTC.
    """
    if record.is_sqlite:
        return
    with record.reading() as session:
        if not _missing(session, today):
            return
    try:
        with record.writing() as session:
            session.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
            session.execute(text(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})"))
            make_partitions(session, today)
    except Transient as error:
        with record.reading() as session:
            ahead = partitions_ahead(session, today)
        logger.warning("partitions_not_made", error=str(error), ahead=ahead, few=ahead < FEWEST_AHEAD)


def make_partitions(session: Session, today: dt.date) -> None:
    """Make the partitions that are missing in a transaction where nobody else makes any."""
    for table, first in _missing(session, today):
        _make(session, table, first)


def partitions_ahead(session: Session, today: dt.date | None = None) -> int:
    """Count the months after this one that have their partition; today is the server's if it is not given."""
    return int(session.execute(_AHEAD, {"today": today}).scalar_one())


def is_partition(table: str) -> bool:
    """Whether a table is a partition, by its name."""
    return re.fullmatch(rf"({'|'.join(PARTITIONED)})_\d{{4}}_\d{{2}}", table) is not None


def _missing(session: Session, today: dt.date) -> list[tuple[str, dt.date]]:
    given = {"tables": list(PARTITIONED), "today": today, "ahead": AHEAD}
    return [(str(table), first) for table, first in session.execute(_MISSING, given)]


def _make(session: Session, table: str, first: dt.date) -> None:
    # made apart and attached: CREATE TABLE ... PARTITION OF would wait for every reader and writer of the table
    name = f"{table}_{first.isoformat()[:7].replace('-', '_')}"
    session.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"))
    bounds = f"FOR VALUES FROM ('{first}') TO (date '{first}' + interval '1 month')"
    session.execute(text(f"ALTER TABLE {table} ATTACH PARTITION {name} {bounds}"))
