"""Connections to the record: opened by many at once, and taken up again after they were cut."""

from __future__ import annotations

import datetime as dt
import threading
import time

import pytest
from sqlalchemy import bindparam, func, select, text

from roque.archive import Record
from roque.archive import session as sessions
from roque.archive.models import Night


def test_many_may_open_a_new_file_at_once(tmp_path):
    failed = []

    def go(url):
        record = Record(url)
        try:
            with record.writing() as session:
                session.execute(text("CREATE TABLE IF NOT EXISTS a (b INT)"))
        except Exception as error:
            failed.append(error)
        record.close()

    for number in range(40):
        threads = [threading.Thread(target=go, args=(f"sqlite:///{tmp_path / str(number)}.sqlite",)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failed


def test_a_question_at_once_gives_a_row_or_none_and_waits_for_no_writer(file_record):
    nights = select(Night.date).where(Night.date >= bindparam("since"))
    day = dt.date(2026, 3, 14)
    assert file_record.at_once(nights, {"since": day}) is None
    with file_record.writing() as session:
        session.add(Night(date=day))
    with file_record.writing():  # holds the one lock of the file
        began = time.monotonic()
        assert file_record.at_once(nights, {"since": day}).date == day
        assert time.monotonic() - began < 1.0


@pytest.fixture
def cut(postgresql_url):
    """A record with one connection, which the server has just cut."""
    record, other = Record(postgresql_url), Record(postgresql_url)
    with record.reading() as session:
        backend = session.scalar(select(func.pg_backend_pid()))
    with other.writing() as session:
        session.scalar(select(func.pg_terminate_backend(backend)))
    yield record
    record.close()
    other.close()


@pytest.mark.parametrize("idle", [0.0, 1.1 * sessions.IDLE_SECONDS])
def test_a_connection_that_was_cut_is_not_noticed(cut, idle):
    time.sleep(idle)
    with cut.writing() as session:
        assert session.scalar(select(1)) == 1


def test_a_connection_that_this_side_has_closed_is_opened_anew(postgresql_url):
    record = Record(postgresql_url)
    with record.reading() as session:
        connection = session.connection().connection.driver_connection
    connection.close()
    with record.writing() as session:
        assert session.scalar(select(1)) == 1
    record.close()
