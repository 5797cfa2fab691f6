"""Claims on PostgreSQL: a statement that commits itself takes the job that was asked for, a transaction any other."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import bindparam, select, text, update

from roque.archive import Record
from roque.archive.models import Job, Outbox
from roque.archive.schema import upgrade
from roque.archive.session import not_lasting
from roque.errors import Transient
from roque.jobs.claims import LEASE, claim, finish
from roque.jobs.kinds import Kind
from roque.jobs.life import submit
from roque.jobs.outbox import clock
from roque.jobs.planner import has_work

MINE = ["export_reduction"]


@pytest.fixture(scope="module")
def tables(servers):
    with servers.new_database() as url:
        record = Record(url)
        upgrade(record)
        yield record
        record.close()


@pytest.fixture
def record(tables):
    yield tables
    with tables.writing() as session:
        session.execute(text("TRUNCATE job, outbox RESTART IDENTITY CASCADE"))


def put(record, number, priority=0):
    with record.writing() as session:
        parameters = {"reduction_id": number}
        return submit(session, Kind.EXPORT_REDUCTION, parameters, key_inputs=number, priority=priority).id


def test_of_many_threads_one_gets_each_job(record):
    jobs = [put(record, number, priority=2 * (number % 3 == 0)) for number in range(30)]
    got: list[str] = []
    start = threading.Barrier(6)

    def work():
        start.wait()
        for asked in jobs:
            if (held := claim(record, asked, "w", instead=MINE)) is not None:
                got.append(held.id)
                finish(record, held, lambda _: None, {})

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == len(set(got))
    assert set(got) >= {jobs[number] for number in range(0, 30, 3)}
    with record.reading() as session:
        messages = session.scalars(select(Outbox.job_id).order_by(Outbox.id)).all()[len(jobs) :]
    assert set(jobs) - set(got) <= set(messages)  # what was left for the sake of another was sent again


def test_a_more_urgent_job_that_somebody_is_just_taking_stops_nobody(record):
    asked, urgent = put(record, 1), put(record, 2, priority=2)
    with record.writing() as session:
        session.execute(select(Job).where(Job.id == urgent).with_for_update())
        held = claim(record, asked, "w", instead=MINE)
    assert held is not None
    assert held.id == asked


def test_a_claim_need_not_last_and_what_follows_on_its_connection_does(record):
    one = put(record, 1)
    assert record.at_once(update(Job).values(worker="x").returning(not_lasting().label("it")), {}).it == "off"
    held = claim(record, one, "w")
    assert (held.id, held.kind, held.parameters, held.attempt) == (one, "export_reduction", {"reduction_id": 1}, 1)
    with record.writing() as session:
        assert session.scalar(text("SHOW synchronous_commit")) == "on"
        session.execute(text("UPDATE job SET state = 'cancelled'"))
        session.rollback()  # a transaction again
    finish(record, held, lambda _: None, {})


def test_a_statement_at_once_is_committed_and_gives_its_row_or_none(record):
    one = put(record, 1)
    statement = update(Job).where(Job.id == bindparam("which")).values(worker="w").returning(Job.id, Job.worker)
    assert tuple(record.at_once(statement, {"which": one})) == (one, "w")
    assert record.at_once(statement, {"which": "another"}) is None
    question = select(Job.worker).where(Job.id == bindparam("which"))
    assert record.at_once(question, {"which": one}).worker == "w"
    assert record.at_once(question, {"which": "another"}) is None
    with record.reading() as session:
        assert session.scalar(select(Job.worker)) == "w"


def test_a_list_among_the_parameters_of_a_statement_at_once_is_refused(record):
    with pytest.raises(TypeError, match="a list"):
        record.at_once(select(Job.id).where(Job.state.in_(["queued", "running"])), {})


def test_a_server_that_is_gone_is_a_trouble_that_passes():
    away = Record("postgresql://roque@127.0.0.1:1/roque")
    with pytest.raises(Transient, match=r"127\.0\.0\.1"):
        away.at_once(select(Job.id), {})
    with pytest.raises(Transient, match=r"127\.0\.0\.1"):
        claim(away, "any", "w")


def test_the_planner_asks_a_server_for_work_as_it_asks_a_file(record):
    with record.reading() as session:
        now = clock(session)
    later = now + 2 * LEASE
    assert not has_work(record, now)
    one = put(record, 1)
    assert not has_work(record, later)  # a message is on its way
    claim(record, one, "w")
    assert not has_work(record, now)
    assert has_work(record, later)  # its lease is over
    with record.writing() as session:
        session.execute(text("UPDATE job SET state = 'waiting', not_before = now()"))
    assert not has_work(record, now - LEASE)
    assert has_work(record, later)
