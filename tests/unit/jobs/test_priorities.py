"""Live before archive: in the planner's order, in what a run waits for, and in what a free worker takes."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select, update

from roque.archive.models import Job, Outbox, Run
from roque.jobs.claims import claim, finish
from roque.jobs.handlers import Context, Outcome, run_job
from roque.jobs.kinds import Kind
from roque.jobs.life import resend, submit
from roque.jobs.planner import Policy, plan
from roque.jobs.priority import is_live, live_runs, set_priority
from roque.jobs.retries import submit_run

LONG_AGO = dt.date(2019, 5, 1)
NOW = dt.datetime(2026, 3, 15, 6, tzinfo=dt.UTC)


class Queue:
    """The broker's queue: messages in the order in which they were sent, and nothing else."""

    def __init__(self, record):
        self.record = record
        self.messages: list[str] = []

    def relay(self):
        with self.record.writing() as session:
            sent = session.scalars(select(Outbox).where(Outbox.sent_at.is_(None)).order_by(Outbox.id)).all()
            self.messages += [row.job_id for row in sent]
            for row in sent:
                row.sent_at = row.created_at

    def next(self, instead):
        """A free worker takes a message: the number of the job that it does."""
        self.relay()
        held = claim(self.record, self.messages.pop(0), "worker", instead=instead)
        if held is None:
            return None
        finish(self.record, held, lambda _: None, {})
        return held.parameters["reduction_id"]


@pytest.fixture
def queue(record):
    return Queue(record)


def put(record, *numbers, priority=0, kind=Kind.EXPORT_REDUCTION, **more):
    with record.writing() as session:
        for number in numbers:
            parameters = {"reduction_id": number, **more}
            submit(session, kind, parameters, key_inputs=number, priority=priority)


def test_a_free_worker_takes_the_live_job_however_many_messages_stand_before_it(record, queue):
    put(record, *range(1, 41))
    assert [queue.next(["export_reduction"]) for _ in range(3)] == [1, 2, 3]
    put(record, 101, 102, priority=2)
    put(record, 103, priority=3)
    assert [queue.next(["export_reduction"]) for _ in range(4)] == [103, 101, 102, 7]
    done = []
    while queue.messages:
        done.append(queue.next(["export_reduction"]))
        queue.relay()
    # those whose messages were spent on others come last, the messages of the live ones do nothing
    assert [number for number in done if number is not None] == [*range(8, 41), 4, 5, 6]
    with record.reading() as session:
        assert set(session.scalars(select(Job.state))) == {"done"}


def test_a_worker_takes_no_more_urgent_job_that_it_cannot_do(record, queue):
    put(record, 1)
    put(record, 9, priority=2, kind=Kind.REDUCE_RANGE, first=1, last=2)
    assert queue.next(["export_reduction"]) == 1


def test_the_worker_does_the_job_it_claimed_and_says_so(record, tmp_path):
    put(record, 1)
    put(record, 2, priority=2)
    done = []

    def handler(_, job):
        done.append((job.id, job.parameters.reduction_id))
        return Outcome()

    with record.reading() as session:
        jobs = dict(session.execute(select(Job.priority, Job.id)).all())
    assert run_job(Context(record, None, None), {Kind.EXPORT_REDUCTION: handler}, jobs[0], "w") == "done"
    assert done == [(jobs[2], 2)]


def test_archive_jobs_that_live_ones_overtook_are_not_taken_for_lost(record, queue):
    put(record, 1, 2)
    with record.writing() as session:
        session.execute(update(Job).values(queued_at=dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5)))
    put(record, 3, priority=2)
    queue.relay()
    with record.reading() as session:
        live = session.scalars(select(Job.id).where(Job.priority == 2)).one()
    claim(record, live, "w")
    with record.writing() as session:
        # one, to ask whether anybody lives, and no more
        assert resend(session, dt.datetime.now(dt.UTC), dt.timedelta(minutes=1)) == 1


@pytest.mark.parametrize(
    ("night", "more", "live"),
    [
        (dt.date(2026, 3, 14), {}, True),
        (dt.date(2026, 3, 12), {}, False),
        (LONG_AGO, {}, False),
        (LONG_AGO, {"urgent": True}, True),
        (LONG_AGO, {"state": "growing"}, True),
        (LONG_AGO, {"priority": "live"}, True),
        (dt.date(2026, 3, 14), {"priority": "archive", "state": "growing"}, False),
    ],
)
def test_what_is_live(house, night, more, live):
    number = house.run("run0001", night=night, **more)
    with house.record.reading() as session:
        assert is_live(session.get_one(Run, number), NOW) is live
        assert (number in session.scalars(select(Run.id).where(live_runs(NOW))).all()) is live
        assert (number in session.scalars(select(Run.id).where(~live_runs(NOW))).all()) is not live


def test_the_archive_has_so_many_slots_and_the_live_run_needs_none(house):
    archive = {house.run(f"run{n:04d}", night=LONG_AGO) for n in range(1, 31)}
    policy = Policy(calibration_wait=dt.timedelta(0), archive_slots=10, archive_time=dt.timedelta(minutes=5))
    plan(house.record, NOW, policy)
    assert len(house.jobs()) == 10
    live = house.run("run0031")
    assert plan(house.record, NOW, policy) == 31
    assert len(house.jobs()) == 11
    (job,) = [job for job in house.jobs() if job.run_id == live]
    assert (job.state, job.priority) == ("queued", 2)
    for _ in range(40):
        for queued in house.jobs(state="queued"):
            finish(house.record, claim(house.record, queued.id, "w"), getattr(house, f"_{queued.kind}")(queued), {})
        plan(house.record, NOW, policy)
        under_way = {job.run_id for job in house.jobs() if job.state in ("waiting", "queued", "running")}
        assert len(under_way & archive) <= 10
    assert {state for number in (*archive, live) for state in house.states(number)} == {"done"}
    assert plan(house.record, NOW, policy) == 0


def test_a_live_run_does_not_wait_for_masters_that_are_made_of_the_archive(house):
    house.run("run0001", "bias", night=LONG_AGO, mjd=58604.0)
    live = house.run("run0031", urgent=True)
    house.look()
    assert [job.kind for job in house.jobs() if job.run_id == live] == ["prepare_reduction"]


def test_calibrations_of_its_night_that_a_live_run_waits_for_become_live(house):
    bias = house.run("run0001", "bias", night=LONG_AGO)
    house.look()
    (job,) = house.jobs("build_master")
    assert job.priority == 0
    science = house.run("run0002", night=LONG_AGO)
    other = house.run("run0003", "bias", night=LONG_AGO, instrument="other")
    with house.record.writing() as session:
        set_priority(session, [science], "live")
    house.look()
    assert "bias, being made" in house.waiting(science)
    assert {job.run_id: job.priority for job in house.jobs("build_master")} == {bias: 2, other: 0}
    house.work()
    house.look(later=dt.timedelta(minutes=11))  # there is no flat
    house.work()
    with house.record.reading() as session:
        assert {row.priority for row in session.scalars(select(Run))} == {None}  # said for this piece of work


def test_a_run_that_is_submitted_as_live_takes_its_waiting_jobs_along(house):
    number = house.run("run0002", night=LONG_AGO)
    house.look(later=dt.timedelta(minutes=11))
    assert [job.priority for job in house.jobs()] == [0]
    with house.record.writing() as session:
        submit_run(session, session.get_one(Run, number), priority="live")
    assert [job.priority for job in house.jobs()] == [2]
    house.work()
    assert {job.priority for job in house.jobs()} == {2}
