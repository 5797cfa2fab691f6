"""A job in a worker's hands: one claims it, one answers, and what is not answered is not recorded."""

from __future__ import annotations

import datetime as dt
import errno
import multiprocessing
import os
import sqlite3
import threading
import time

import pytest
from sqlalchemy import select

from roque.archive import Record
from roque.archive.models import Job, Site
from roque.errors import BadInput, Conflict, Transient, Unreachable
from roque.jobs import heartbeat
from roque.jobs.claims import LostClaim, claim, describe, fail, finish, renew
from roque.jobs.heartbeat import Heartbeat
from roque.jobs.kinds import Kind
from roque.jobs.life import cancel, requeue_expired, submit, wake
from roque.jobs.outbox import clock

SHORT = dt.timedelta(milliseconds=200)


def put(record, name="a", **more):
    with record.writing() as session:
        return submit(session, Kind.EXPORT_REDUCTION, {"reduction_id": 1}, key_inputs=name, **more).id


def job(record, job_id):
    with record.reading() as session:
        return session.get_one(Job, job_id)


def site(name):
    return lambda session: session.add(Site(name=name, longitude=0.0, latitude=0.0, height=0.0))


def sites(record):
    with record.reading() as session:
        return sorted(session.scalars(select(Site.name)))


def expire(record, later=dt.timedelta(minutes=1)):
    with record.writing() as session:
        return requeue_expired(session, clock(session) + later)


def race_in_process(url, job_id, start, answers):
    record = Record(url)
    start.wait()
    answers.put([claim(record, one, "w") is not None for one in job_id])


def test_of_many_threads_one_gets_each_job(record):
    jobs = [put(record, i) for i in range(20)]
    got = []
    start = threading.Barrier(6)

    def work():
        start.wait()
        got.extend(one for one in jobs if claim(record, one, "w"))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == sorted(jobs)


def test_of_many_processes_one_gets_each_job(record):
    jobs = [put(record, i) for i in range(20)]
    context = multiprocessing.get_context("spawn")
    start, answers = context.Event(), context.Queue()
    processes = [context.Process(target=race_in_process, args=(str(record.engine.url), jobs, start, answers)) for _ in range(3)]
    for process in processes:
        process.start()
    start.set()
    won = [answers.get(timeout=30) for _ in processes]
    for process in processes:
        process.join()
    assert [sum(wins) for wins in zip(*won, strict=True)] == [1] * 20


def test_a_claim_says_what_to_do_and_counts_the_attempt(record):
    one = put(record)
    held = claim(record, one, "worker 7")
    assert (held.kind, held.parameters, held.attempt) == ("export_reduction", {"reduction_id": 1}, 1)
    row = job(record, one)
    assert (row.state, row.worker, row.attempts) == ("running", "worker 7", 1)
    assert row.lease_until - row.started_at == dt.timedelta(seconds=15)


def test_a_doubled_or_late_message_and_one_about_nothing_claim_nothing(record):
    one = put(record)
    held = claim(record, one, "w")
    assert claim(record, one, "w") is None
    finish(record, held, lambda _: None, {})
    assert claim(record, one, "w") is None
    assert claim(record, "no such job", "w") is None
    assert claim(record, put(record, "b", reason="flat"), "w") is None


def test_a_finished_job_leaves_its_rows_its_result_and_no_claim(record):
    one = put(record)
    finish(record, claim(record, one, "w"), site("La Palma"), {"frames": 3})
    row = job(record, one)
    assert (row.state, row.result, row.claim_token, row.lease_until) == ("done", {"frames": 3}, None, None)
    assert sites(record) == ["La Palma"]


def test_a_zombie_writes_nothing_over_a_newer_result(record):
    one = put(record)
    zombie = claim(record, one, "slow")
    expire(record)
    newer = claim(record, one, "quick")
    finish(record, newer, site("newer"), {"by": "quick"})
    with pytest.raises(LostClaim):
        finish(record, zombie, site("zombie"), {"by": "slow"})
    assert fail(record, zombie, ValueError("too late")) is None
    assert not renew(record, zombie)
    assert sites(record) == ["newer"]
    assert job(record, one).result == {"by": "quick"}


def test_a_zombie_cannot_end_what_is_running_or_queued_anew(record):
    one = put(record)
    zombie = claim(record, one, "slow")
    expire(record)
    with pytest.raises(LostClaim):
        finish(record, zombie, site("zombie"), {})
    newer = claim(record, one, "quick")
    with pytest.raises(LostClaim):
        finish(record, zombie, site("zombie"), {})
    assert renew(record, newer)
    assert sites(record) == []


def test_the_answer_of_a_cancelled_job_is_refused(record):
    one = put(record)
    held = claim(record, one, "w")
    with record.writing() as session:
        cancel(session, one)
    with pytest.raises(LostClaim):
        finish(record, held, site("too late"), {})
    assert sites(record) == []
    assert job(record, one).state == "cancelled"


def test_finishing_is_all_or_nothing(record):
    one = put(record)
    follower = put(record, "b", needs=[one])
    held = claim(record, one, "w")

    def half(session):
        site("half")(session)
        session.flush()
        raise BadInput("the other half is not there")

    with pytest.raises(BadInput):
        finish(record, held, half, {})
    assert sites(record) == []
    assert (job(record, one).state, job(record, follower).state) == ("running", "waiting")
    finish(record, held, site("whole"), {})
    assert (job(record, one).state, job(record, follower).state) == ("done", "queued")


def test_a_heartbeat_keeps_a_claim_beyond_its_lease(record):
    one = put(record)
    held = claim(record, one, "w", lease=SHORT)
    with Heartbeat(record, held, every=SHORT / 8):
        time.sleep(2.5 * SHORT.total_seconds())
        assert expire(record, dt.timedelta(0)) == 0
    time.sleep(1.5 * SHORT.total_seconds())
    assert expire(record, dt.timedelta(0)) == 1


def test_a_heartbeat_outlives_a_database_that_is_away_for_a_moment(record, monkeypatch):
    held = claim(record, put(record), "w")
    answers = iter([Unreachable("away"), True, False])
    asked = []

    def renewed(*_):
        asked.append(next(answers))
        if isinstance(asked[-1], Exception):
            raise asked[-1]
        return asked[-1]

    monkeypatch.setattr("roque.jobs.heartbeat.renew", renewed)
    with Heartbeat(record, held, every=dt.timedelta(milliseconds=5)):
        time.sleep(0.2)
    assert len(asked) == 3


def heartbeats():
    return [thread for thread in threading.enumerate() if thread.name == "heartbeat"]


def test_one_thread_beats_for_every_job_of_a_process_and_each_in_its_own_time(record, monkeypatch):
    slow, quick = (claim(record, put(record, name), "w") for name in "ab")
    renewed = []
    monkeypatch.setattr("roque.jobs.heartbeat.renew", lambda _, held: not renewed.append(held.id))
    with Heartbeat(record, slow, every=dt.timedelta(seconds=60)):
        time.sleep(0.05)  # by now the thread sleeps until the slow one is due
        with Heartbeat(record, quick, every=dt.timedelta(milliseconds=20)):
            time.sleep(0.2)
            assert len(heartbeats()) == 1
        ended = len(renewed)
        time.sleep(0.1)
    assert set(renewed) == {quick.id}
    assert 3 <= ended <= 10
    assert len(renewed) <= ended + 1  # that under way when the job ended


def test_a_job_in_a_forked_process_has_a_heartbeat_of_its_own(record, monkeypatch):
    held = claim(record, put(record), "w")
    monkeypatch.setattr("roque.jobs.heartbeat.renew", lambda *_: True)
    with Heartbeat(record, held):  # a thread that the fork leaves behind
        child = os.fork()
        if not child:
            with Heartbeat(record, held):
                os._exit(len(heartbeats()))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_that_nobody_foresaw_costs_one_job_its_heartbeat_and_the_next_has_it(record, monkeypatch):
    asked = []

    def renewed(_, held):
        asked.append(held.id)
        if len(asked) == 1:
            raise ValueError("what is that?")
        return True

    monkeypatch.setattr("roque.jobs.heartbeat.renew", renewed)
    one, two = (claim(record, put(record, name), "w") for name in "ab")
    for held in (one, two):
        with Heartbeat(record, held, every=dt.timedelta(milliseconds=5)):
            time.sleep(0.1)
    assert asked.count(one.id) == 1
    assert asked.count(two.id) > 1


def test_the_thread_of_heartbeats_ends_when_there_was_no_job_for_long_and_comes_back(record, monkeypatch):
    monkeypatch.setattr("roque.jobs.heartbeat.LINGER_SECONDS", 0.05)
    monkeypatch.setattr("roque.jobs.heartbeat._thread", heartbeat._Thread())
    before = len(heartbeats())
    for name in "ab":
        with Heartbeat(record, claim(record, put(record, name), "w"), every=dt.timedelta(milliseconds=5)):
            assert len(heartbeats()) == before + 1
        end = time.monotonic() + 5
        while len(heartbeats()) > before and time.monotonic() < end:
            time.sleep(0.01)
        assert len(heartbeats()) == before


def test_bad_input_is_an_answer_with_file_place_and_remedy(record):
    one = put(record)
    error = BadInput("cut short", file="run7.fits", place="frame 12", remedy="copy it again")
    assert fail(record, claim(record, one, "w"), error) == "failed"
    assert job(record, one).error == {
        "code": "bad_input",
        "message": "cut short",
        "file": "run7.fits",
        "place": "frame 12",
        "remedy": "copy it again",
        "retry_safe": False,
        "surprises": 0,
    }


def test_what_the_world_did_is_tried_again_with_growing_delays_without_limit(record):
    one = put(record)
    delays = []
    for _ in range(10):
        held = claim(record, one, "w")
        assert fail(record, held, Transient("away")) == "waiting"
        with record.writing() as session:
            row = session.get_one(Job, one)
            delays.append((row.not_before - clock(session)).total_seconds())
            assert wake(session, clock(session)) == 0
            assert wake(session, clock(session) + dt.timedelta(minutes=2)) == 1
    for delay, nominal in zip(delays, [1, 2, 4, 8, 16, 30, 30, 30, 30, 30], strict=True):
        assert 0.7 * nominal < delay <= 1.25 * nominal


def test_a_surprise_is_tried_three_times_with_its_traceback_then_fails(record):
    one = put(record)
    ends = []
    for i in range(4):
        held = claim(record, one, "w")
        try:
            [][i]
        except IndexError as error:
            ends.append(fail(record, held, error))
        if i == 1:  # foreseen errors between do not reset the count
            with record.writing() as session:
                wake(session, clock(session) + dt.timedelta(minutes=2))
            fail(record, claim(record, one, "w"), Transient("away"))
        with record.writing() as session:
            wake(session, clock(session) + dt.timedelta(minutes=2))
        if ends[-1] == "failed":
            break
    assert ends == ["waiting", "waiting", "failed"]
    error = job(record, one).error
    assert error["code"] == "unexpected"
    assert "IndexError" in error["message"]
    assert "[][i]" in error["traceback"]


@pytest.mark.parametrize(
    ("error", "code", "retry_safe"),
    [
        (Transient("x"), "transient", True),
        (Unreachable("x"), "unreachable", True),
        (OSError(errno.ENOSPC, "No space left on device", "/products"), "transient", True),
        (BadInput("x"), "bad_input", False),
        (Conflict("x"), "conflict", False),
        (OSError(errno.ENOENT, "No such file or directory", "/raw"), "unexpected", True),
        (KeyError("x"), "unexpected", True),
    ],
)
def test_every_error_says_whether_a_retry_is_safe(error, code, retry_safe):
    described = describe(error)
    assert (described["code"], described["retry_safe"]) == (code, retry_safe)


def test_a_locked_record_is_a_transient_error_that_leaves_the_job_as_it_was(record):
    one = put(record)
    held = claim(record, one, "w")
    blocker = sqlite3.connect(record.engine.url.database, isolation_level=None)
    hasty = Record(f"sqlite:///{record.engine.url.database}")
    with hasty.reading() as session:
        session.connection().exec_driver_sql("PRAGMA busy_timeout=50")
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unreachable):
        finish(hasty, held, site("x"), {})
    blocker.execute("ROLLBACK")
    blocker.close()
    finish(hasty, held, site("x"), {})
    hasty.close()
    assert (job(record, one).state, sites(record)) == ("done", ["x"])
