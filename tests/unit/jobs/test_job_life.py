"""The life of a job as its owner and the planner see it."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from roque.archive.models import Job, Outbox
from roque.errors import BadInput, Conflict, NotFound
from roque.jobs.claims import claim, fail, finish
from roque.jobs.kinds import Kind
from roque.jobs.life import cancel, requeue_expired, resend, resend_all, retry, submit, wake
from roque.jobs.outbox import clock, emit, sweep_outbox
from roque.jobs.workers import Fate

MINUTE = dt.timedelta(minutes=1)


def put(record, name, **more):
    with record.writing() as session:
        return submit(session, Kind.EXPORT_REDUCTION, {"reduction_id": 1}, key_inputs=name, **more).id


def job(record, job_id):
    with record.reading() as session:
        return session.get_one(Job, job_id)


def states(record, *ids):
    return [job(record, one).state for one in ids]


def messages(record, job_id):
    with record.reading() as session:
        return list(session.scalars(select(Outbox).where(Outbox.job_id == job_id, Outbox.topic.like("job.exporter"))))


def sent(record):
    with record.writing() as session:
        for row in session.scalars(select(Outbox)):
            row.sent_at = clock(session)


def planner(record, function, *more, later=dt.timedelta(0)):
    with record.writing() as session:
        return function(session, clock(session) + later, *more)


def end(record, job_id, error=None):
    held = claim(record, job_id, "worker")
    if error is None:
        finish(record, held, lambda _: None, {})
    else:
        fail(record, held, error)


def test_a_submitted_job_is_queued_with_one_message_to_its_service(record):
    one = put(record, "a")
    assert job(record, one).state == "queued"
    assert [(m.topic, m.payload, m.sent_at) for m in messages(record, one)] == [("job.exporter", {"v": 1, "job": one}, None)]


def test_the_same_key_is_the_same_job_whatever_became_of_it(record):
    one = put(record, "a")
    assert put(record, "a") == one
    assert len(messages(record, one)) == 1
    end(record, one)
    assert put(record, "a") == one
    assert job(record, one).state == "done"
    assert len(messages(record, one)) == 1


def test_nothing_of_a_submission_stays_if_its_transaction_fails(record):
    def change_their_mind():
        with record.writing() as session:
            submit(session, Kind.EXPORT_REDUCTION, {"reduction_id": 1}, key_inputs="a")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change_their_mind()
    with record.reading() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 0
        assert session.scalar(select(func.count()).select_from(Outbox)) == 0


def test_wrong_parameters_are_refused_before_anything_is_written(record):
    with record.writing() as session, pytest.raises(BadInput, match="reduction"):
        submit(session, Kind.EXPORT_REDUCTION, {"reduction": 1}, key_inputs="a")


def test_a_job_waits_for_all_its_needs_and_is_queued_when_the_last_is_done(record):
    first, second = put(record, "a"), put(record, "b")
    third = put(record, "c", needs=[first, second])
    assert states(record, third) == ["waiting"]
    end(record, first)
    assert states(record, third) == ["waiting"]
    end(record, second)
    assert states(record, third) == ["queued"]
    assert len(messages(record, third)) == 1


def test_needs_that_are_done_already_do_not_hold_a_job(record):
    first = put(record, "a")
    end(record, first)
    assert states(record, put(record, "b", needs=[first])) == ["queued"]


def test_a_job_with_a_reason_waits_until_it_is_submitted_without(record):
    one = put(record, "a", reason="flat r, binning 2x2")
    planner(record, wake)
    assert (job(record, one).state, job(record, one).reason) == ("waiting", "flat r, binning 2x2")
    put(record, "a", reason="flat r")
    assert job(record, one).reason == "flat r"
    assert put(record, "a") == one
    assert (job(record, one).state, job(record, one).reason) == ("queued", None)


def test_a_waiting_job_takes_over_needs_it_did_not_have(record):
    need = put(record, "need")
    one = put(record, "a", reason="no flat yet")
    put(record, "a", needs=[need])
    assert states(record, one) == ["waiting"]
    end(record, need)
    assert states(record, one) == ["queued"]


def test_a_job_starts_no_earlier_than_it_may(record):
    with record.reading() as session:
        one = put(record, "a", not_before=clock(session) + MINUTE)
    assert planner(record, wake, later=MINUTE / 2) == 0
    assert states(record, one) == ["waiting"]
    assert planner(record, wake, later=2 * MINUTE) == 1
    assert states(record, one) == ["queued"]


def test_a_failed_need_fails_all_that_follows_with_a_readable_reason(record):
    first = put(record, "a")
    second = put(record, "b", needs=[first])
    third = put(record, "c", needs=[second])
    end(record, first, BadInput("no star found", file="run7", remedy="give apertures"))
    assert states(record, first, second, third) == ["failed"] * 3
    error = job(record, second).error
    assert "no star found" in error["message"]
    assert (error["code"], error["file"], error["remedy"]) == ("need_failed", "run7", "give apertures")
    assert "no star found" in job(record, third).error["message"]


def test_a_need_that_had_failed_before_is_found_at_the_next_look(record):
    first = put(record, "a")
    end(record, first, BadInput("broken"))
    assert states(record, put(record, "b", needs=[first])) == ["failed"]


def test_a_retry_starts_the_job_and_what_was_given_up_for_it(record):
    first = put(record, "a")
    second = put(record, "b", needs=[first])
    third = put(record, "c", needs=[second])
    end(record, first, BadInput("broken"))
    with record.writing() as session:
        retry(session, first)
    assert states(record, first, second, third) == ["queued", "waiting", "waiting"]
    assert job(record, first).error is None
    end(record, first)
    end(record, second)
    end(record, third)
    assert states(record, first, second, third) == ["done"] * 3


def test_what_is_not_there_or_has_not_failed_is_not_retried(record):
    one = put(record, "a")
    with record.writing() as session, pytest.raises(Conflict, match="queued"):
        retry(session, one)
    with record.writing() as session, pytest.raises(NotFound):
        retry(session, "no such id")


def test_a_cancelled_job_is_not_claimed_and_takes_those_that_need_it_along(record):
    first = put(record, "a")
    second = put(record, "b", needs=[first])
    with record.writing() as session:
        cancel(session, first)
    assert claim(record, first, "worker") is None
    assert states(record, first, second) == ["cancelled", "failed"]
    assert "was cancelled" in job(record, second).error["message"]
    with record.writing() as session, pytest.raises(Conflict, match="cancelled"):
        cancel(session, first)


def test_an_expired_lease_puts_the_job_back_with_a_new_message(record):
    one = put(record, "a")
    claim(record, one, "elsewhere")
    sent(record)
    assert planner(record, requeue_expired) == 0
    assert planner(record, requeue_expired, later=MINUTE) == 1
    assert planner(record, requeue_expired, later=MINUTE) == 0  # a second planner
    assert (job(record, one).state, job(record, one).lost, job(record, one).claim_token) == ("queued", 1, None)
    assert len(messages(record, one)) == 2


def test_a_job_that_kills_its_worker_three_times_fails(record):
    one = put(record, "a")
    for _ in range(3):
        claim(record, one, "elsewhere")
        planner(record, requeue_expired, later=MINUTE)
    assert states(record, one) == ["failed"]
    error = job(record, one).error
    assert (error["code"], error["message"], error["retry_safe"]) == ("worker_lost", "killed its worker 3 times", False)


@pytest.mark.parametrize(
    ("end_of_worker", "lost"), [(Fate.DEAD, 1), (Fate.DEAD_WITH_PARENT, 0)], ids=["killed alone", "stopped as a whole"]
)
def test_a_dead_process_of_this_machine_is_not_waited_for(record, monkeypatch, end_of_worker, lost):
    one = put(record, "a")
    claim(record, one, "here")
    monkeypatch.setattr("roque.jobs.life.fate", lambda _: end_of_worker)
    assert planner(record, requeue_expired) == 1
    assert (job(record, one).state, job(record, one).lost) == ("queued", lost)


def test_a_job_whose_worker_was_stopped_as_a_whole_never_counts_as_a_killer(record, monkeypatch):
    one = put(record, "a")
    monkeypatch.setattr("roque.jobs.life.fate", lambda _: Fate.DEAD_WITH_PARENT)
    for _ in range(5):
        claim(record, one, "here")
        planner(record, requeue_expired)
    assert (job(record, one).state, job(record, one).lost, job(record, one).attempts) == ("queued", 0, 5)


def test_a_message_lost_between_others_is_sent_again(record):
    lost = put(record, "a")
    late = dt.timedelta(seconds=70)
    sent(record)
    with record.writing() as session:
        job_row = session.get_one(Job, lost)
        job_row.queued_at -= late
    claim(record, put(record, "b"), "worker")  # its queue has moved on
    sent(record)
    assert planner(record, resend, MINUTE) == 1
    assert planner(record, resend, MINUTE) == 0  # a second planner
    assert len(messages(record, lost)) == 2
    assert states(record, lost) == ["queued"]


def test_a_queue_that_stands_still_is_probed_with_one_message(record):
    several = [put(record, i) for i in range(5)]
    sent(record)
    assert planner(record, resend, MINUTE, later=2 * MINUTE) == 1
    assert [len(messages(record, one)) for one in several] == [2, 1, 1, 1, 1]
    sent(record)
    assert planner(record, resend, MINUTE, later=2 * MINUTE + dt.timedelta(seconds=2)) == 0  # an outage fills no broker
    assert planner(record, resend, MINUTE, later=4 * MINUTE) == 1


def test_what_still_stands_in_the_outbox_or_was_queued_just_now_is_not_sent_again(record):
    put(record, "a")
    assert planner(record, resend, MINUTE, later=2 * MINUTE) == 0
    sent(record)
    assert planner(record, resend, MINUTE) == 0


def test_a_broker_that_forgot_everything_gets_every_queued_job_once(record):
    several = [put(record, i) for i in range(3)]
    claim(record, several[0], "worker")
    sent(record)
    unsent = put(record, "new")
    assert planner(record, resend_all) == 2
    assert [len(messages(record, one)) for one in [*several, unsent]] == [1, 2, 2, 1]


def test_a_job_that_fails_tells_of_it(record):
    one = put(record, "a", run_id=None)
    end(record, one, BadInput("no star found"))
    with record.reading() as session:
        event = session.scalars(select(Outbox).where(Outbox.topic == "job.failed")).one()
    assert (event.payload["job"], event.payload["message"], event.payload["v"]) == (one, "no star found", 1)


def test_messages_that_were_sent_long_ago_are_removed(record):
    with record.writing() as session:
        emit(session, "run.registered", {"run": 1})
    sent(record)
    with record.writing() as session:
        emit(session, "run.registered", {"run": 2})
    assert planner(record, sweep_outbox) == 0
    assert planner(record, sweep_outbox, later=dt.timedelta(hours=2)) == 1
    with record.reading() as session:
        assert [row.payload["run"] for row in session.scalars(select(Outbox))] == [2]


def at_once(*functions):
    with ThreadPoolExecutor(len(functions)) as pool:
        return [future.result() for future in [pool.submit(function) for function in functions]]


def test_planners_that_submit_the_same_at_once_make_one_job(record):
    ids = at_once(*[lambda: put(record, "a")] * 6)
    assert len(set(ids)) == 1
    assert len(messages(record, ids[0])) == 1


def test_planners_that_look_at_once_queue_each_job_once(record):
    jobs = [put(record, i, reason="not yet") for i in range(10)]
    with record.writing() as session:
        for row in session.scalars(select(Job)):
            row.reason = None
    assert sum(at_once(*[lambda: planner(record, wake)] * 4)) == 10
    for one in jobs:
        claim(record, one, "elsewhere")
    assert sum(at_once(*[lambda: planner(record, requeue_expired, later=MINUTE)] * 4)) == 10
    assert {job(record, one).lost for one in jobs} == {1}
    assert {len(messages(record, one)) for one in jobs} == {2}
