"""From a message to an answer."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select

from roque.archive.models import Job, Site
from roque.archive.products import ProductStore
from roque.errors import BadInput, Transient, Unreachable
from roque.jobs.handlers import Context, Outcome, run_job
from roque.jobs.kinds import ExportReduction, Kind
from roque.jobs.life import requeue_expired, submit
from roque.jobs.outbox import clock
from roque.settings import Settings


@pytest.fixture
def context(record, tmp_path):
    return Context(record, Settings(home=tmp_path), ProductStore(tmp_path / "products"))


@pytest.fixture
def one(record):
    with record.writing() as session:
        return submit(session, Kind.EXPORT_REDUCTION, {"reduction_id": 4}, key_inputs="a").id


def job(record, job_id):
    with record.reading() as session:
        return session.get_one(Job, job_id)


def test_a_handler_gets_typed_parameters_and_its_rows_are_stored(context, record, one):
    seen = []

    def handler(given, snapshot):
        seen.append((given, snapshot.parameters, snapshot.kind, snapshot.attempt))
        return Outcome(lambda s: s.add(Site(name="x", longitude=0.0, latitude=0.0, height=0.0)), {"n": 1})

    assert run_job(context, {Kind.EXPORT_REDUCTION: handler}, one, "w") == "done"
    assert seen == [(context, ExportReduction(reduction_id=4), Kind.EXPORT_REDUCTION, 1)]
    with record.reading() as session:
        assert session.scalars(select(Site.name)).all() == ["x"]


def test_a_second_message_does_the_job_no_second_time(context, one):
    calls = []

    def handler(*_):
        calls.append(1)
        return Outcome()

    assert run_job(context, {Kind.EXPORT_REDUCTION: handler}, one, "w") == "done"
    assert run_job(context, {Kind.EXPORT_REDUCTION: handler}, one, "w") is None
    assert calls == [1]


@pytest.mark.parametrize(
    ("error", "state", "code"),
    [
        (BadInput("bad"), "failed", "bad_input"),
        (Transient("later"), "waiting", "transient"),
        (ZeroDivisionError("oh"), "waiting", "unexpected"),
    ],
)
def test_an_error_of_a_handler_is_recorded(context, record, one, error, state, code):
    def handler(*_):
        raise error

    assert run_job(context, {Kind.EXPORT_REDUCTION: handler}, one, "w") == state
    assert (job(record, one).state, job(record, one).error["code"]) == (state, code)


def test_an_error_while_storing_is_recorded_and_nothing_else(context, record, one):
    def store(session):
        session.add(Site(name="x", longitude=0.0, latitude=0.0, height=0.0))
        session.flush()
        raise BadInput("half")

    assert run_job(context, {Kind.EXPORT_REDUCTION: lambda *_: Outcome(store)}, one, "w") == "failed"
    with record.reading() as session:
        assert session.scalars(select(Site)).all() == []


def test_a_worker_that_lost_its_claim_says_nothing(context, record, one):
    def handler(*_):
        with record.writing() as session:
            requeue_expired(session, clock(session) + dt.timedelta(minutes=1))
        return Outcome()

    assert run_job(context, {Kind.EXPORT_REDUCTION: handler}, one, "w") is None
    assert job(record, one).state == "queued"


def test_an_answer_is_kept_while_the_database_restarts(context, record, one, monkeypatch):
    monkeypatch.setattr("roque.jobs.handlers.time.sleep", lambda _: None)
    tries = []

    def store(_):
        tries.append(1)
        if len(tries) < 4:
            raise Unreachable("restarting")

    assert run_job(context, {Kind.EXPORT_REDUCTION: lambda *_: Outcome(store)}, one, "w") == "done"
    assert len(tries) == 4


def test_a_message_is_kept_while_the_database_restarts(context, record, one, monkeypatch):
    writing, away = record.writing, iter([True, True])

    def restarting(**how):
        if next(away, False):
            raise Unreachable("restarting")
        return writing(**how)

    monkeypatch.setattr(record, "writing", restarting)
    assert run_job(context, {Kind.EXPORT_REDUCTION: lambda *_: Outcome()}, one, "w") == "done"
    assert job(record, one).attempts == 1


def test_a_kind_that_this_worker_does_not_know_is_left_for_another(context, record, one):
    assert run_job(context, {}, one, "w") == "waiting"
    assert job(record, one).error["retry_safe"]


def test_parameters_of_another_version_fail_with_a_remedy(context, record, one):
    with record.writing() as session:
        session.get_one(Job, one).parameters = {"reduction_id": 4, "form": "new"}
    assert run_job(context, {Kind.EXPORT_REDUCTION: lambda *_: Outcome()}, one, "w") == "failed"
    assert "form" in job(record, one).error["message"]
    assert "same" in job(record, one).error["remedy"]
