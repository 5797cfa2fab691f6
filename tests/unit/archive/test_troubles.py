"""What a database does to us ends as an error that says whether a retry is safe and what to do, and never holds a password."""

from __future__ import annotations

import datetime as dt
import re
import sqlite3
import subprocess
import sys
import threading
import time
import traceback

import psycopg
import pytest
from sqlalchemy import exc, select, text, update
from sqlalchemy.engine import make_url

from roque.archive import Record
from roque.archive.bulk import insert_measurements
from roque.archive.console import ask
from roque.archive.models import Instrument, Night, Run
from roque.archive.troubles import typed
from roque.errors import BadInput, RoqueError, Transient, Unreachable
from roque.photometry.measurements import empty

SECRET = "pl4nted/s3cret"
QUOTED = "pl4nted%2Fs3cret"


def told(error):
    """All that anybody could read of an error: its text and its traceback."""
    return "".join([str(error), *traceback.format_exception(error)])


def trouble(url):
    """What is said of a record that cannot be used, by each way to use it."""
    for use in (lambda: read_from(url), lambda: ask(url, "SELECT 1", limit=1, seconds=5.0)):
        with pytest.raises((Unreachable, BadInput)) as caught:
            use()
        assert "s3cret" not in told(caught.value)
        assert caught.value.remedy
    return caught.value


def read_from(url):
    record = Record(url)
    try:
        with record.reading() as session:
            session.execute(text("SELECT 1"))
    finally:
        record.close()


@pytest.fixture
def parts(own_postgresql_url):
    return make_url(own_postgresql_url)


def written(parts, **changes):
    return parts.set(**changes).render_as_string(hide_password=False)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        f"postgresql://roque:{QUOTED}@host:{SECRET}/db",
        f"mysql://roque:{QUOTED}@host/db",
        f"postgresql+asyncpg://roque:{QUOTED}@host/db",
    ],
)
def test_what_is_no_url_of_a_record_is_said_without_repeating_it(url):
    error = trouble(url)
    assert isinstance(error, BadInput)
    assert "setting database_url" in str(error)
    assert "postgresql://USER:PASSWORD@HOST" in error.remedy


@pytest.mark.parametrize(
    ("changes", "message", "remedy"),
    [
        ({"port": 1}, "refused", "check that the database runs"),
        ({"host": "nowhere.invalid"}, "nowhere.invalid", "check that the database runs"),
        ({"password": SECRET}, "authentication failed", "correct user and password"),
        ({"username": "nobody", "password": SECRET}, "authentication failed", "correct user and password"),
        ({"database": "nix"}, '"nix" does not exist', "create the database"),
        ({"query": {"nonsense": "1"}}, "nonsense", "correct what follows the ?"),
        ({"query": {"sslmode": "nonsense"}}, "sslmode", "correct what follows the ?"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(list(value)),
)
def test_what_keeps_us_from_a_server_is_said_with_what_to_do(parts, changes, message, remedy):
    error = trouble(written(parts, **changes))
    assert isinstance(error, Unreachable)
    assert message in str(error)
    assert remedy in error.remedy


@pytest.mark.parametrize(
    ("state", "kind", "remedy"),
    [
        ("08006", Unreachable, "check that the database runs"),
        ("40001", Transient, "tried again"),
        ("40P01", Transient, "tried again"),
        ("53100", Unreachable, "make room"),
        ("53300", Unreachable, "max_connections"),
        ("57P01", Unreachable, "until the database is back"),
        ("57P02", Unreachable, "until the database is back"),
        ("57P03", Unreachable, "until the database is back"),
        ("25006", Unreachable, "primary"),
        ("XX001", Unreachable, "restore the backup"),
    ],
)
def test_each_code_of_the_server_has_its_kind_and_its_remedy(state, kind, remedy):
    known = {"08006": psycopg.errors.ConnectionFailure}
    original = known.get(state) or psycopg.errors.lookup(state)
    with pytest.raises(Transient) as caught, typed("base"):
        raise exc.OperationalError("SELECT 1", {}, original("it said so\nand more"))
    assert type(caught.value) is kind
    assert (caught.value.message, caught.value.file) == ("it said so", "base")
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("database or disk is full", "make room"),
        ("database is locked", "another process"),
        ("attempt to write a readonly database", "let this user write"),
        ("unable to open database file", "permissions"),
    ],
)
def test_each_trouble_with_a_file_has_its_remedy(words, remedy):
    with pytest.raises(Unreachable) as caught, typed("file"):
        raise exc.OperationalError("SELECT 1", {}, sqlite3.OperationalError(words))
    assert remedy in caught.value.remedy


def test_a_file_that_is_no_database_is_said(tmp_path):
    file = tmp_path / "record.sqlite"
    file.write_bytes(b"nonsense" * 1000)
    with pytest.raises(Unreachable, match="restore the backup"):
        read_from(f"sqlite:///{file}")


def test_our_own_mistakes_stay_what_they_are(record, reduction):
    with pytest.raises(exc.IntegrityError), record.writing() as session:
        session.add_all([Night(date=dt.date(2000, 1, 1)), Night(date=dt.date(2000, 1, 1))])


@pytest.mark.parametrize(("column", "value"), [("object", "a\x00b"), ("frames_expected", 2**40)])
def test_what_the_server_cannot_hold_is_the_data_s_fault(server_record, reduction, column, value):
    with pytest.raises(BadInput, match="the record cannot hold a value"), server_record.writing() as session:
        setattr(session.scalars(select(Run)).one(), column, value)


def stop_others(record):
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    with record.writing() as session:
        session.execute(text(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE {others}"))


def stop_who_sleeps(record):
    sleeping = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    for _ in range(300):
        with record.reading() as session:
            if session.scalar(sleeping):
                break
        time.sleep(0.1)
    stop_others(record)


@pytest.mark.parametrize("how", ["statement", "copy", "commit"])
def test_a_connection_that_is_cut_in_mid_transaction_is_no_loss(server_record, reduction, how):
    other = Record(server_record.engine.url.render_as_string(hide_password=False))
    rows = empty(10)
    rows["frame"], rows["ccd"], rows["aperture"] = range(10), "1", "1"

    def work(*, cut):
        with other.writing() as session:
            session.add(Night(date=dt.date(2000, 1, 1)))
            session.flush()
            if cut:
                stop_others(server_record)
            if how == "statement":
                session.execute(text("SELECT 1"))
            elif how == "copy":
                insert_measurements(session, dt.date(2024, 5, 1), reduction, rows)

    with pytest.raises(Transient):
        work(cut=True)
    work(cut=False)
    other.close()
    with server_record.reading() as session:
        assert len(session.scalars(select(Night)).all()) == 2


def test_a_statement_at_once_whose_connection_is_cut_or_that_waits_in_vain_can_be_tried_again(server_record, reduction):
    url = server_record.engine.url.render_as_string(hide_password=False)
    other = Record(f"{url}?options=-c%20lock_timeout%3D100ms")
    change = update(Night).values(date=dt.date(2000, 1, 1)).returning(Night.id)
    with server_record.writing() as session:
        session.execute(select(Night).with_for_update())
        with pytest.raises(Transient):
            other.at_once(change, {})
    sleep = update(Night).values(date=dt.date(2001, 1, 1)).where(text("pg_sleep(60) IS NOT NULL")).returning(Night.id)
    cut = threading.Thread(target=stop_who_sleeps, args=[server_record])
    cut.start()
    with pytest.raises(Transient):
        other.at_once(sleep, {})
    cut.join()
    assert other.at_once(change, {}) is not None
    stop_others(server_record)  # between two it is not even noticed
    assert other.at_once(change, {}) is not None
    other.close()


def test_a_mistake_in_a_statement_at_once_stays_what_it_is_and_leaves_no_mark(record, reduction):
    with pytest.raises(Exception, match=r"(?i)null") as caught:
        record.at_once(update(Night).values(date=None).returning(Night.id), {})
    assert not isinstance(caught.value, RoqueError)
    assert record.at_once(update(Night).values(date=dt.date(2000, 1, 1)).returning(Night.id), {}) is not None


def test_a_connection_that_was_cut_between_two_transactions_is_not_even_noticed(server_record, reduction):
    other = Record(server_record.engine.url.render_as_string(hide_password=False))
    with other.reading() as session:
        assert session.get(Run, 1)
    stop_others(server_record)
    with other.reading() as session:
        assert session.get(Run, 1)
    other.close()


def test_of_two_that_wait_for_each_other_one_is_tried_again(server_record):
    with server_record.writing() as session:
        session.add_all([Night(date=dt.date(2000, 1, 1)), Night(date=dt.date(2000, 1, 2))])
    meet, ended = threading.Barrier(2), []

    def work(first, second):
        record = Record(server_record.engine.url.render_as_string(hide_password=False))
        try:
            with record.writing() as session:
                session.get(Night, first, with_for_update=True)
                meet.wait(10)
                session.get(Night, second, with_for_update=True)
            ended.append("done")
        except Transient as error:
            ended.append(error.remedy)
        record.close()

    threads = [threading.Thread(target=work, args=order) for order in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == ["done", "it is tried again by itself"]


def test_a_session_tells_who_it_is_and_gives_up_on_a_dead_network(server_record):
    with server_record.reading() as session:
        driver = session.connection().connection.driver_connection
        shown = {name: session.scalar(text(f"SHOW {name}")) for name in ("lock_timeout", "idle_in_transaction_session_timeout")}
    given = driver.info.get_parameters()
    assert (given["connect_timeout"], given["tcp_user_timeout"], given["keepalives_idle"]) == ("10", "30000", "10")
    assert shown == {"lock_timeout": "20s", "idle_in_transaction_session_timeout": "30s"}


def test_what_the_url_says_of_a_session_comes_first(own_postgresql_url):
    record = Record(f"{own_postgresql_url}?connect_timeout=3&application_name=mine")
    with record.reading() as session:
        driver = session.connection().connection.driver_connection
        assert session.scalar(text("SHOW application_name")) == "mine"
    assert driver.info.get_parameters()["connect_timeout"] == "3"
    record.close()


def test_a_service_is_known_to_the_server_by_its_name(own_postgresql_url, tmp_path):
    package = tmp_path / "services" / "planner"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package / "__main__.py").write_text(
        "from roque.archive import Record\nfrom sqlalchemy import text\n"
        f"with Record({own_postgresql_url!r}).reading() as session:\n    print(session.scalar(text('SHOW application_name')))\n"
    )
    command = [sys.executable, "-m", "services.planner"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert re.fullmatch("roque planner\n", done.stdout)


def test_a_commit_waits_for_the_disk_unless_it_need_not_last(server_record):
    with server_record.writing(lasting=False) as session:
        assert session.scalar(text("SHOW synchronous_commit")) == "off"
    with server_record.writing() as session:
        assert session.scalar(text("SHOW synchronous_commit")) == "on"


def test_a_commit_that_need_not_last_is_one_on_a_file_too(file_record):
    with file_record.writing(lasting=False) as session:
        session.add(Instrument(name="camera"))
    with file_record.reading() as session:
        assert session.scalar(select(Instrument.name)) == "camera"
