"""Measurements lie in a partition a month on PostgreSQL, made before the rows come."""

from __future__ import annotations

import datetime as dt
import threading
import time

import pytest
from sqlalchemy import text

from roque.archive import Record, partitions
from roque.archive.bulk import insert_measurements, load_measurements
from roque.archive.models import Night
from roque.archive.partitions import AHEAD, SCHEMA_LOCK, keep_partitions, partitions_ahead
from roque.archive.schema import upgrade
from roque.errors import Transient
from roque.photometry.measurements import empty

TODAY = dt.date(2024, 11, 30)


@pytest.fixture
def own(servers):
    """A database of its own: partitions stay where they were made."""
    with servers.new_database() as url:
        record = Record(url)
        upgrade(record)
        yield record
        record.close()


def names(record):
    with record.reading() as session:
        found = session.execute(
            text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'measurement'::regclass")
        )
        return sorted(found.scalars())


def register(record, *nights):
    with record.writing() as session:
        session.add_all(Night(date=night) for night in nights)


def rows(count):
    made = empty(count)
    made["frame"], made["ccd"], made["aperture"], made["mjd_int"], made["mjd_frac"] = range(count), "1", "1", 60431, 0.25
    return made


def test_months_to_come_and_months_of_registered_nights_have_their_partition(own):
    register(own, dt.date(2019, 2, 28), dt.date(2019, 2, 1), dt.date(1, 1, 1), dt.date(9999, 12, 31))
    keep_partitions(own, TODAY)
    ahead = ["measurement_2024_11", "measurement_2024_12", "measurement_2025_01", "measurement_2025_02"]
    assert names(own) == ["measurement_0001_01", "measurement_2019_02", *ahead, "measurement_9999_12"]
    keep_partitions(own, TODAY)
    assert len(names(own)) == 7


def test_how_many_lie_ahead_is_known(own):
    keep_partitions(own, TODAY)
    with own.reading() as session:
        assert partitions_ahead(session, TODAY) == AHEAD
        assert partitions_ahead(session, dt.date(2025, 1, 1)) == 1
        assert partitions_ahead(session, dt.date(2025, 6, 1)) == 0


def test_a_file_has_none(file_record):
    keep_partitions(file_record, TODAY)


def test_the_first_and_the_last_day_of_a_month_have_their_place(own):
    keep_partitions(own, TODAY)
    with own.writing() as session:
        for night in (dt.date(2024, 11, 1), dt.date(2024, 11, 30), dt.date(2024, 12, 1)):
            insert_measurements(session, night, 1, rows(1))
    with own.reading() as session:
        counts = [session.scalar(text(f"SELECT count(*) FROM measurement_{month}")) for month in ("2024_11", "2024_12")]
    assert counts == [2, 1]


def test_any_number_of_planners_may_make_them_at_once(own):
    register(own, *(dt.date(2000 + i, 1, 1) for i in range(20)))
    failed = []

    def go():
        record = Record(own.engine.url.render_as_string(hide_password=False))
        try:
            keep_partitions(record, TODAY)
        except Exception as error:
            failed.append(error)
        record.close()

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(names(own)) == 24


def test_they_are_made_beside_those_who_write_and_read(own):
    keep_partitions(own, TODAY)
    other = Record(own.engine.url.render_as_string(hide_password=False))
    with other.writing() as session:
        insert_measurements(session, TODAY, 1, rows(10))
        session.execute(text("SELECT count(*) FROM measurement"))
        register(own, dt.date(2020, 1, 1))
        began = time.monotonic()
        keep_partitions(own, TODAY)
        assert time.monotonic() - began < 2
        assert "measurement_2020_01" in names(own)
        insert_measurements(session, dt.date(2020, 1, 2), 1, rows(10))
    other.close()


def test_a_row_without_its_partition_is_tried_again(own):
    night = dt.date(2020, 1, 1)

    def store():
        with own.writing() as session:
            insert_measurements(session, night, 1, rows(10))

    with pytest.raises(Transient, match=r"no partition.*the planner makes it"):
        store()
    register(own, night)
    keep_partitions(own, TODAY)
    store()


def test_where_they_cannot_be_made_the_planner_goes_on_and_says_so(own, monkeypatch, capsys):
    monkeypatch.setattr(partitions, "LOCK_TIMEOUT", "100ms")
    other = Record(own.engine.url.render_as_string(hide_password=False))
    with other.writing() as session:
        session.execute(text(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})"))
        keep_partitions(own, TODAY)
    other.close()
    said = capsys.readouterr().out
    assert "partitions_not_made" in said
    assert "ahead=0" in said
    keep_partitions(own, TODAY)
    assert len(names(own)) == 1 + AHEAD


def test_who_asks_for_a_reduction_searches_its_month_alone(server_record, reduction):
    register(server_record, dt.date(2024, 6, 1), dt.date(2024, 7, 1))
    keep_partitions(server_record, TODAY)
    with server_record.writing() as session:
        for month in (5, 6, 7):
            insert_measurements(session, dt.date(2024, month, 1), reduction, rows(100))
    with server_record.reading() as session:
        assert len(load_measurements(session, reduction)) == 100
        asked = "EXPLAIN (ANALYZE, FORMAT TEXT) SELECT frame, counts FROM measurements WHERE run = 'run1'"
        plan = session.execute(text(asked)).scalars().all()
    touched = {line.split("measurement_")[-1][:7] for line in plan if " on measurement_" in line and "never" not in line}
    assert touched == {"2024_05"}


def test_times_are_found_by_the_index_on_them(server_record, reduction):
    with server_record.writing() as session:
        insert_measurements(session, dt.date(2024, 5, 1), reduction, rows(1000))
        session.execute(text("SET LOCAL enable_seqscan = off"))
        session.execute(text("SET LOCAL enable_indexscan = off"))
        plan = (
            session.execute(text("EXPLAIN SELECT count(*) FROM measurement WHERE mjd_int + mjd_frac > 60432")).scalars().all()
        )
    assert any("Bitmap Index Scan" in line and "expr_idx" in line for line in plan), plan
