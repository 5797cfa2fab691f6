"""The planner's rules on a filled record: what is submitted, what waits, what is made anew and what is left alone."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import select

from roque.archive.models import Job, Outbox, Product, Run
from roque.archive.progress import left_to_do, run_state
from roque.archive.recipes import store_recipe
from roque.errors import BadInput, Superseded
from roque.jobs.claims import claim, fail, finish
from roque.jobs.kinds import Kind
from roque.jobs.life import forget_done
from roque.jobs.planner import go_on, has_work, range_length
from roque.jobs.retries import retry_run

NOW = dt.datetime(2026, 3, 15, 6, tzinfo=dt.UTC)
WINDOW = {"1": {"E1": [101, 201, 1, 1, 50, 40]}}
BINNED = {"1": {"E1": [101, 201, 2, 2, 50, 40]}}
PATIENT = dt.timedelta(minutes=11)


def test_a_night_comes_to_rest_with_its_masters_chosen_and_a_look_more_changes_nothing(house):
    bias, flat, science = house.run("run0001", "bias"), house.run("run0002", "flat"), house.run("run0003")
    house.look()
    assert [(job.kind, job.run_id) for job in house.jobs()] == [("build_master", bias)]
    assert house.waiting(flat) == "waiting: bias, being made from hipercam/2026-03-14/run0001"
    assert "flat, being made from hipercam/2026-03-14/run0002" in house.waiting(science)
    house.work()
    (reduction,) = house.reductions(science)
    assert reduction.masters == {"bias": 1, "flat": 2}
    assert (reduction.state, reduction.frames_done) == ("done", 20)
    before = len(house.jobs())
    assert house.look() == 0
    assert not has_work(house.record, house.now)
    assert len(house.jobs()) == before
    assert {job.state for job in house.jobs()} == {"done"}


def test_while_a_run_grows_only_one_range_of_its_reduction_is_under_way(house):
    science = house.run("run0003", state="growing", frames=16, urgent=True)
    house.look()
    house.work("prepare_reduction")
    for frames in (17, 22, 40):
        house.change(science, frames=frames)
        house.look()
        (queued,) = house.jobs("reduce_range", "queued")
        assert (queued.parameters["first"], queued.parameters["last"]) == (1, 16)
    # the range is committed: the next one takes up all that came meanwhile
    held = claim(house.record, queued.id, "worker")
    finish(house.record, held, house._reduce_range(queued), {})
    house.look()
    (queued,) = house.jobs("reduce_range", "queued")
    assert (queued.parameters["first"], queued.parameters["last"]) == (17, 40)
    house.change(science, frames=41, state="complete")
    house.work()
    done = [(job.parameters["first"], job.parameters["last"]) for job in house.jobs("reduce_range")]
    assert done == [(1, 16), (17, 40), (41, 41)]
    assert house.states(science) == ["done"]


def test_a_growing_run_is_left_alone_until_it_has_frames_enough_for_its_stars(house):
    # as many as the finished run would take, or its apertures would hang on when somebody looked
    for number, (skips, needed) in enumerate((({"1": 0}, 16), ({"1": 9}, 40))):
        science = house.run(f"run{number:04d}", state="growing", frames=needed - 1, urgent=True, nskips=skips)
        house.look()
        assert [job for job in house.jobs() if job.run_id == science] == []
        house.change(science, frames=needed)
        house.look()
        assert [job.kind for job in house.jobs() if job.run_id == science] == ["prepare_reduction"]


def test_a_run_that_ends_with_fewer_frames_is_reduced_all_the_same(house):
    science = house.run("run0003", state="growing", frames=9, urgent=True)
    house.look()
    assert house.jobs() == []
    house.change(science, frames=9, state="complete")
    house.look()
    assert [job.kind for job in house.jobs()] == ["prepare_reduction"]


def test_whoever_registers_frames_of_a_run_that_is_reduced_submits_them_and_the_planner_need_not_look(house):
    science = house.run("run0003", state="growing", frames=16, urgent=True)
    house.look()
    house.work("prepare_reduction", "reduce_range")
    assert not has_work(house.record, house.now)
    with house.record.writing() as session:
        run = session.get_one(Run, science)
        run.frames, run.unsettled = 21, True
        go_on(session, run, house.now)
    (queued,) = house.jobs("reduce_range", "queued")
    assert (queued.parameters["first"], queued.parameters["last"]) == (17, 21)
    assert not has_work(house.record, house.now)
    with house.record.writing() as session:  # under way already: the range that is committed submits the next one
        run = session.get_one(Run, science)
        run.frames = 25
        go_on(session, run, house.now)
    assert [job.id for job in house.jobs("reduce_range", "queued")] == [queued.id]
    house.work("reduce_range")
    assert house.reductions(science)[0].frames_done == 25


def test_a_run_with_a_job_under_way_is_no_work_for_the_planner_until_that_has_ended(house):
    science = house.run("run0003", frames=2500, urgent=True)
    assert has_work(house.record, house.now)
    house.look()
    seen = []
    while queued := house.jobs(state="queued"):
        (job,) = queued
        assert not has_work(house.record, house.now)
        held = claim(house.record, job.id, "worker")
        assert not has_work(house.record, house.now)
        finish(house.record, held, getattr(house, f"_{job.kind}")(job), {})
        seen.append((job.kind, job.parameters.get("last")))
    ranges = [("reduce_range", last) for last in (1000, 2000, 2500)]
    assert seen == [("prepare_reduction", None), *ranges, ("export_reduction", None)]
    assert has_work(house.record, house.now)  # to settle it
    house.look()
    assert not has_work(house.record, house.now)
    assert house.states(science) == ["done"]


def test_a_job_that_fails_is_work_for_the_planner_at_once(house):
    science = house.run("run0003", urgent=True)
    house.look()
    house.work("prepare_reduction")
    (job,) = house.jobs(state="queued")
    fail(house.record, claim(house.record, job.id, "worker"), BadInput("no frame can be read"))
    assert has_work(house.record, house.now)
    house.look()
    assert house.states(science) == ["failed"]


def test_a_range_is_of_so_many_pixels_and_never_of_more_than_a_thousand_frames():
    assert range_length(Run(windows=WINDOW)) == 1000
    quadrants = {name: [1, 1, 1, 1, 1024, 512] for name in ("E1", "F1", "G1", "H1")}
    assert range_length(Run(windows=dict.fromkeys("12345", quadrants))) == 39  # 10.5 million pixels each
    assert range_length(Run(windows={"1": {"1": [1, 1, 1, 1, 30_000, 30_000]}})) == 1


def test_frames_of_a_run_that_nobody_reduces_or_that_is_held_are_submitted_by_nobody(house):
    science = house.run("run0003", state="growing", frames=16, urgent=True)
    with house.record.writing() as session:
        go_on(session, session.get_one(Run, science), house.now)
    assert house.jobs() == []
    house.look()
    house.work("prepare_reduction", "reduce_range")
    before = len(house.jobs())
    with house.record.writing() as session:
        run = session.get_one(Run, science)
        run.frames, run.held = 30, True
        go_on(session, run, house.now)
    assert len(house.jobs()) == before


def test_a_run_without_masters_waits_for_a_while_and_then_goes_on_and_says_so(house):
    science = house.run("run0003")
    house.look()
    assert house.waiting(science) == "waiting: bias us, binning 1x1; flat us, binning 1x1"
    assert house.jobs() == []
    house.look(later=PATIENT)
    house.work()
    (reduction,) = house.reductions(science)
    assert reduction.masters == {"bias": None, "flat": None}
    assert reduction.choices == {"bias": "without bias: no bias is recorded", "flat": "without flat: no flat is recorded"}


def test_nobody_who_waits_at_a_terminal_waits_for_masters_that_nobody_makes(house):
    science = house.run("run0003", urgent=True)
    house.work()
    assert house.states(science) == ["done"]


def test_a_calibration_run_that_has_stopped_growing_without_an_end_is_not_waited_for(house):
    house.run("run0001", "bias", state="growing")
    science = house.run("run0003")
    house.look()
    assert "bias, being made" in house.waiting(science)
    house.look(later=PATIENT)
    house.work()
    assert house.states(science) == ["done"]


def test_a_master_that_is_required_is_waited_for_without_an_end_and_without_holding_up_the_rest(house):
    with house.record.writing() as session:
        store_recipe(session, "hipercam", "default", {"calibration.flat": "required", "calibration.bias": "never"}, "", NOW)
    science = house.run("run0003", urgent=True)
    house.look(later=dt.timedelta(days=1))
    with house.record.reading() as session:
        assert left_to_do(session).nothing
        state = run_state(session, session.get_one(Run, science))
    assert (state.word, state.detail, state.failed) == ("waiting", "flat us, binning 1x1", False)
    house.run("run0004", "flat", urgent=True)
    house.work()
    assert house.states(science) == ["done"]
    assert house.reductions(science)[0].masters == {"flat": 1}


def test_a_flat_that_comes_later_has_the_runs_without_one_reduced_anew_and_no_other(house):
    house.run("run0001", "bias")
    lacking = house.run("run0003", urgent=True)
    elsewhere = house.run("run0003", instrument="other", urgent=True)
    house.work()
    house.run("run0004", "flat")
    house.work()
    settled = house.run("run0005", urgent=True)
    house.work()
    assert house.states(lacking) == ["superseded", "done"]
    assert [r.masters["flat"] for r in house.reductions(lacking)] == [None, 2]
    house.run("run0006", "flat", mjd=61114.001)  # nearer, but none is missing
    house.work()
    assert (len(house.states(lacking)), len(house.states(settled)), len(house.states(elsewhere))) == (2, 1, 1)


def test_a_flat_made_without_a_bias_is_made_anew_when_there_is_one(house):
    flat = house.run("run0002", "flat", urgent=True)
    science = house.run("run0003", urgent=True)
    house.work()
    house.run("run0001", "bias")
    house.work()
    assert [(m.run_id == flat, m.state) for m in house.masters("flat")] == [(True, "superseded"), (True, "good")]
    (reduction,) = [r for r in house.reductions(science) if r.state == "done"]
    assert reduction.masters == {"bias": house.masters("bias")[0].id, "flat": house.masters("flat")[1].id}


def test_a_changed_bias_run_has_made_anew_what_was_made_with_it_and_nothing_else(house):
    bias, science = house.run("run0001", "bias"), house.run("run0003")
    house.run("run0002", "flat")
    dark = house.run("run0004", "dark", instrument="other", urgent=True)
    elsewhere = house.run("run0005", instrument="other", urgent=True)
    apart = house.run("run0007", mjd=61300.0, urgent=True)  # no master is near enough to it
    house.work()
    assert house.states(apart) == ["done"]
    done = len(house.jobs("build_master"))
    again = house.new_version(bias, "run0001", "bias", "other bytes")
    house.work()
    first, second = house.masters("bias")
    assert (first.state, second.state, second.run_id) == ("superseded", "good", again)
    assert [m.state for m in house.masters("flat")] == ["superseded", "good"]  # it had used the bias
    assert len(house.jobs("build_master")) == done + 2
    assert house.states(science) == ["superseded", "done"]
    assert house.reductions(science)[1].masters["bias"] == second.id
    assert (house.states(elsewhere), house.states(apart)) == (["done"], ["done"])
    assert [m.state for m in house.masters() if m.run_id == dark] == ["good"]
    with house.record.reading() as session:
        kept = dict(session.execute(select(Product.id, Product.state).where(Product.kind == "master")).all())
    assert (kept[first.product_id], kept[second.product_id]) == ("superseded", "current")


def test_a_calibration_run_whose_first_bytes_are_brought_back_gives_its_first_master_again(house):
    bias, science = house.run("run0001", "bias", content="first"), house.run("run0003", urgent=True)
    house.work()
    second = house.new_version(bias, "run0001", "bias", "second")
    house.work()
    house.new_version(second, "run0001", "bias", "first")
    house.work()
    assert [m.state for m in house.masters("bias")] == ["superseded", "superseded", "good"]
    one, two = house.reductions(science)
    assert (one.state, two.state) == ("done", "superseded")
    assert one.masters["bias"] == house.masters("bias")[2].id
    with house.record.reading() as session:
        products = session.execute(select(Product.reduction_id, Product.state).where(Product.kind == "log")).all()
    assert dict(products) == {one.id: "current", two.id: "superseded"}


def test_a_run_of_other_bytes_is_reduced_anew_and_the_old_reduction_kept_as_superseded(house):
    science = house.run("run0003", urgent=True)
    house.work()
    again = house.new_version(science, "run0003", "science", "other bytes")
    house.change(again, urgent=True)
    house.work()
    assert (house.states(science), house.states(again)) == (["superseded"], ["done"])


def test_a_new_version_of_a_recipe_is_for_new_runs_and_for_those_that_are_retried(house):
    old, retried = house.run("run0003", urgent=True), house.run("run0004", urgent=True)
    house.work()
    with house.record.writing() as session:
        store_recipe(session, "hipercam", "default", {"sky.thresh": 2.5}, "", NOW)
    house.run("run0001", "bias")  # the planner looks at every run again, for its own sake
    new = house.run("run0005", urgent=True)
    with house.record.writing() as session:
        retry_run(session, session.get_one(Run, retried))
    house.work()

    def versions(run):
        return [(r.recipe.version, r.state) for r in house.reductions(run)]

    assert versions(new) == [(2, "done")]
    assert versions(old) == [(1, "superseded"), (1, "done")]  # anew with the bias, but with its own recipe
    assert versions(retried)[-1] == (2, "done")
    assert {state for _, state in versions(retried)[:-1]} == {"superseded"}


def test_parameters_set_back_give_the_reduction_back_that_they_gave_before(house):
    science = house.run("run0003", urgent=True)
    house.work()
    for parameters in ({"sky.thresh": 2.5}, {}):
        with house.record.writing() as session:
            store_recipe(session, "hipercam", "default", parameters, "", NOW)
            retry_run(session, session.get_one(Run, science))
        house.work()
    assert house.states(science) == ["done", "superseded"]
    assert len(house.jobs("reduce_range")) == 2  # nothing was measured twice


def test_a_recipe_that_is_not_there_is_a_problem_of_its_run_and_holds_up_no_other(house):
    wrong, fine = house.run("run0003", urgent=True, hints={"recipe": "nosuch"}), house.run("run0004", urgent=True)
    house.work()
    assert house.states(fine) == ["done"]
    with house.record.reading() as session:
        run = session.get_one(Run, wrong)
        state = run_state(session, run)
        (problem,) = run.problems
        assert left_to_do(session).nothing
    assert state.failed
    assert "no recipe nosuch" in problem["message"]
    assert "recipe list" in problem["remedy"]
    with house.record.writing() as session:
        store_recipe(session, "hipercam", "nosuch", {"sky.thresh": 2.0}, "", NOW)
        retry_run(session, session.get_one(Run, wrong))
    house.work()
    with house.record.reading() as session:
        assert session.get_one(Run, wrong).problems == []
    assert house.states(wrong) == ["done"]


def test_what_is_said_of_a_run_and_taken_back_gives_its_first_reduction_back(house):
    science = house.run("run0003", urgent=True)
    house.work()
    house.change(science, hints={"target": [1.0, 2.0]})
    house.work()
    assert house.states(science) == ["superseded", "done"]
    house.change(science, hints={})
    house.work()
    assert house.states(science) == ["done", "superseded"]
    house.change(science, hints={"target": [1.0, 2.0]})
    house.look()
    house.change(science, hints={})  # before anything was done
    house.work()
    assert house.states(science) == ["done", "superseded"]
    with house.record.reading() as session:
        states = session.execute(select(Product.reduction_id, Product.state).order_by(Product.reduction_id)).all()
    assert [state for _, state in states] == ["current", "superseded"]


def test_a_preparation_that_failed_is_forgotten_when_its_cause_is_taken_back_and_tried_again_when_it_returns(house):
    science = house.run("run0003", urgent=True)
    house.work()
    broken = {"apertures": {"file": "x.ape", "text": "{"}}
    for _ in range(2):
        house.change(science, hints=broken)
        house.look()
        (queued,) = house.jobs("prepare_reduction", "queued")
        fail(house.record, claim(house.record, queued.id, "worker"), BadInput("no JSON", file="x.ape", remedy="write it anew"))
        house.work()
        with house.record.reading() as session:
            state = run_state(session, session.get_one(Run, science))
        assert (state.word, state.detail) == ("failed", "no JSON")
        house.change(science, hints={})
        house.work()
        with house.record.reading() as session:
            assert run_state(session, session.get_one(Run, science)).word == "done"


def test_a_range_that_fails_fails_its_reduction_and_a_retry_goes_on_from_there(house):
    science = house.run("run0003", urgent=True, frames=2_500)
    house.look()
    house.work("prepare_reduction")
    (queued,) = house.jobs("reduce_range", "queued")
    finish(house.record, claim(house.record, queued.id, "worker"), house._reduce_range(queued), {})
    (queued,) = house.jobs("reduce_range", "queued")
    fail(house.record, claim(house.record, queued.id, "worker"), BadInput("the disk has a hole", file="x", remedy="mend it"))
    house.work()
    assert house.states(science) == ["failed"]
    with house.record.reading() as session:
        assert run_state(session, session.get_one(Run, science)).detail == "the disk has a hole"
    with house.record.writing() as session:
        assert retry_run(session, session.get_one(Run, science)) == [queued.id]
    house.work()
    assert house.states(science) == ["done"]
    ranges = [(job.parameters["first"], job.parameters["last"]) for job in house.jobs("reduce_range")]
    assert ranges == [(1, 1000), (1001, 2000), (2001, 2500)]


def test_a_job_that_is_not_wanted_any_more_is_cancelled_and_no_failure(house):
    science = house.run("run0003", urgent=True)
    house.look()
    (queued,) = house.jobs("prepare_reduction", "queued")
    held = claim(house.record, queued.id, "worker")
    house.new_version(science, "run0003", "science", "other bytes")
    assert fail(house.record, held, Superseded("the run was replaced by a newer version")) == "cancelled"
    with house.record.reading() as session:
        assert run_state(session, session.get_one(Run, science)).word == "superseded"


def test_a_run_of_no_frames_is_settled_without_a_job(house):
    house.run("run0003", frames=0)
    house.run("run0001", "bias", frames=0)
    house.look()
    assert house.jobs() == []
    with house.record.reading() as session:
        assert left_to_do(session).nothing


def test_a_run_of_coarser_binning_gets_the_bias_averaged_where_nothing_better_comes(house):
    house.run("run0001", "bias")
    science = house.run("run0003", windows=BINNED, xbin=2, ybin=2)
    house.look()
    house.work("build_master")
    assert "bias us, binning 2x2" in house.waiting(science)
    house.look(later=PATIENT)
    house.work()
    (reduction,) = house.reductions(science)
    assert reduction.masters["bias"] == 1
    assert reduction.choices["bias"].startswith("of finer binning, averaged: ")


def test_a_growing_run_that_nobody_watches_is_not_waited_for(house):
    house.run("run0003", state="growing", frames=3)
    with house.record.reading() as session:
        assert not left_to_do(session).nothing
        assert not left_to_do(session, {"/raw/2026-03-14/run0003.fits"}).nothing
        assert left_to_do(session, {"/raw/run0004.fits"}).nothing


def test_ranges_of_a_growing_run_that_were_done_long_ago_are_forgotten_and_others_are_not(house):
    science = house.run("run0003", state="growing", frames=16, urgent=True)
    other = house.run("run0004", state="growing", frames=16, urgent=True)
    house.look()
    house.work("prepare_reduction", "reduce_range")
    for frames in (20, 30):
        house.change(science, frames=frames)
        house.look()
        house.work("reduce_range")
    house.change(science, frames=40)
    house.look()
    (queued,) = house.jobs("reduce_range", "queued")
    with house.record.writing() as session:
        ended = session.scalars(select(Job).where(Job.state == "done")).all()
        for job in ended:
            job.finished_at = house.now - dt.timedelta(hours=1)
        messages = session.scalars(select(Outbox).where(Outbox.job_id.is_not(None))).all()
        kept = next(job for job in ended if job.kind == "reduce_range" and job.run_id == science)
        kept.finished_at = house.now
        for message in messages:
            message.sent_at = house.now
        forgotten = forget_done(session, Kind.REDUCE_RANGE, house.reductions(science)[0].id, house.now)
    assert forgotten == 2
    left = house.jobs()
    assert [job.id for job in left if job.run_id == science and job.kind == "reduce_range"] == [kept.id, queued.id]
    assert len([job for job in left if job.run_id == other]) == 2
    assert len([job for job in left if job.kind == "prepare_reduction"]) == 2
    house.work("reduce_range")
    assert house.reductions(science)[0].frames_done == 40
