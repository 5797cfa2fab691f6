"""Cancelling runs and jobs: nothing of what was being done is recorded, nothing more is begun, a retry goes on from there."""

from __future__ import annotations

import datetime as dt
import time

import pytest
from sqlalchemy import select

from roque.archive.models import Job, RangeDone, Reduction, Run
from roque.archive.progress import run_state
from roque.archive.recipes import store_recipe
from roque.errors import BadInput, Conflict, NotFound
from roque.jobs.cancelling import cancel_job, cancel_run, is_under_way
from roque.jobs.claims import LostClaim, claim, finish
from roque.jobs.heartbeat import Heartbeat
from roque.jobs.retries import retry_job, retry_run, submit_run

NOW = dt.datetime(2026, 3, 15, 6, tzinfo=dt.UTC)


def change(house, do, run, **given):
    with house.record.writing() as session:
        return do(session, session.get_one(Run, run), **given)


def word(house, run):
    with house.record.reading() as session:
        return run_state(session, session.get_one(Run, run)).word


def begun(house, **more):
    """A run of which one range of three is measured, and the second is in a worker's hands."""
    run = house.run("run0003", urgent=True, frames=2_500, **more)
    house.look()
    house.work("prepare_reduction")
    (first,) = house.jobs("reduce_range", "queued")
    finish(house.record, claim(house.record, first.id, "worker"), house._reduce_range(first), {})
    (second,) = house.jobs("reduce_range", "queued")
    return run, second, claim(house.record, second.id, "worker")


def test_of_a_run_that_is_cancelled_in_mid_work_nothing_more_is_recorded_and_a_retry_goes_on(house):
    run, second, held = begun(house, trace="a" * 32)
    assert change(house, cancel_run, run) == [second.id]
    with pytest.raises(LostClaim):
        finish(house.record, held, house._reduce_range(second), {})
    house.work()
    assert (word(house, run), house.states(run), house.reductions(run)[0].frames_done) == ("cancelled", ["cancelled"], 1_000)
    assert change(house, retry_run, run) == [second.id]
    house.work()
    assert (word(house, run), house.states(run)) == ("done", ["done"])
    with house.record.reading() as session:
        assert session.get_one(Job, second.id).trace == session.get_one(Run, run).trace != "a" * 32
        assert session.execute(select(RangeDone.first, RangeDone.last)).all() == [(1, 1000), (1001, 2000), (2001, 2500)]


def test_a_worker_learns_at_its_next_heartbeat_that_its_work_is_for_nothing(house):
    run, _, held = begun(house)
    with Heartbeat(house.record, held, every=dt.timedelta(milliseconds=20)) as heartbeat:
        heartbeat.insist()
        change(house, cancel_run, run)
        end = time.monotonic() + 5
        while not heartbeat.lost and time.monotonic() < end:
            time.sleep(0.01)
        with pytest.raises(LostClaim):
            heartbeat.insist()


def test_a_cancelled_run_is_left_alone_when_it_grows_or_a_master_comes_until_it_is_retried(house):
    run = house.run("run0003", state="growing", frames=16, urgent=True)
    house.look()
    change(house, cancel_run, run)
    house.change(run, frames=30)
    house.run("run0001", "bias", urgent=True)
    house.work()
    house.change(run, frames=40, state="complete")
    house.work()
    assert [job.state for job in house.jobs() if job.run_id == run] == ["cancelled"]
    change(house, retry_run, run)
    house.work()
    assert (word(house, run), house.states(run), house.reductions(run)[0].frames_done) == ("done", ["done"], 40)


def test_a_run_that_waits_for_a_master_is_cancelled_and_comes_back(house):
    run = house.run("run0003")
    house.look()
    assert change(house, cancel_run, run) == []
    house.look(later=dt.timedelta(hours=1))
    assert house.jobs() == []
    change(house, retry_run, run)
    house.work()
    assert word(house, run) == "done"


def test_a_calibration_run_that_is_cancelled_is_not_waited_for_and_comes_back(house):
    bias, science = house.run("run0001", "bias", urgent=True), house.run("run0003", urgent=True)
    house.look()
    assert "being made" in house.waiting(science)
    change(house, cancel_run, bias)
    with house.record.writing() as session:
        session.get_one(Run, science).unsettled = True
    house.work()
    assert house.reductions(science)[0].masters["bias"] is None
    change(house, retry_run, bias)
    house.work()
    assert len(house.masters("bias")) == 1
    assert [r.masters["bias"] for r in house.reductions(science)] == [None, 1]


def test_a_run_at_rest_has_nothing_to_cancel(house):
    run = house.run("run0003", urgent=True)
    assert change(house, is_under_way, run)
    house.work()
    assert not change(house, is_under_way, run)


def test_a_preparation_that_a_user_cancelled_is_not_begun_again_by_the_planner(house):
    run = house.run("run0003", urgent=True)
    house.look()
    (job,) = house.jobs("prepare_reduction")
    with house.record.writing() as session:
        cancel_job(session, job.id)
    house.work()
    assert [job.state for job in house.jobs()] == ["cancelled"]
    with house.record.writing() as session:
        retry_job(session, job.id)
    house.work()
    assert (word(house, run), house.states(run)) == ("done", ["done"])


def test_a_range_that_is_cancelled_takes_its_reduction_with_it_and_brings_it_back(house):
    run, second, _ = begun(house)
    with house.record.writing() as session:
        cancel_job(session, second.id)
        with pytest.raises(Conflict, match="cancelled"):
            cancel_job(session, second.id)
    house.work()
    assert house.states(run) == ["cancelled"]
    with house.record.writing() as session:
        retry_job(session, second.id)
    house.work()
    assert house.states(run) == ["done"]


def test_another_recipe_takes_the_place_of_a_cancelled_one_and_the_first_can_come_back(house):
    with house.record.writing() as session:
        store_recipe(session, "hipercam", "bright", {"sky.thresh": 2.5}, "", NOW)
    run, _, _ = begun(house)
    change(house, cancel_run, run)
    assert change(house, submit_run, run, recipe="bright").name == "bright"
    house.work()
    assert [(r.recipe.name, r.state) for r in house.reductions(run)] == [("default", "cancelled"), ("bright", "done")]
    change(house, submit_run, run, recipe="default")
    house.work()
    assert [(r.recipe.name, r.state) for r in house.reductions(run)] == [("default", "done"), ("bright", "done")]
    assert len([job for job in house.jobs("reduce_range") if job.state == "done"]) == 6  # three each, none twice


def test_a_recipe_or_a_run_that_is_not_there_to_be_reduced_is_refused(house):
    science, bias = house.run("run0003", urgent=True), house.run("run0001", "bias", urgent=True)
    with pytest.raises(NotFound, match="nosuch"):
        change(house, submit_run, science, recipe="nosuch")
    with pytest.raises(BadInput, match="bias"):
        change(house, submit_run, bias)


def test_a_trace_goes_from_the_run_through_its_jobs_and_changes_when_it_is_submitted_again(house):
    run = house.run("run0003", urgent=True, trace="a" * 32)
    house.work()
    assert {job.trace for job in house.jobs()} == {"a" * 32}
    with house.record.writing() as session:
        store_recipe(session, "hipercam", "default", {"sky.thresh": 2.5}, "", NOW)
        submit_run(session, session.get_one(Run, run))
    house.work()
    with house.record.reading() as session:
        second = session.get_one(Run, run).trace
        newest = session.scalars(select(Reduction.id).order_by(Reduction.id.desc())).first()
        assert second != "a" * 32
        assert set(session.scalars(select(Job.trace).where(Job.reduction_id == newest))) == {second}
