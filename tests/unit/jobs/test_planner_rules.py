"""The planner's rules on a filled record: what is submitted, what waits, what is made anew and what is left alone."""

from __future__ import annotations

import datetime as dt
import hashlib
import json

import pytest
from sqlalchemy import select

from roque.archive.models import (
    ApertureSet,
    Instrument,
    Job,
    Master,
    Night,
    Product,
    RangeDone,
    RawFile,
    Recipe,
    Reduction,
    Run,
)
from roque.archive.products import Stored, record_product
from roque.archive.progress import left_to_do, run_state
from roque.archive.provenance import master_input, raw_inputs
from roque.archive.recipes import store_recipe
from roque.archive.runs import supersede
from roque.errors import BadInput, Superseded
from roque.jobs.calibrations import master_is_ready
from roque.jobs.claims import claim, fail, finish
from roque.jobs.planner import Policy, advance, has_work, plan
from roque.jobs.retries import retry_run
from roque.jobs.standing import outdo, take_up

NOW = dt.datetime(2026, 3, 15, 6, tzinfo=dt.UTC)
FULL = {"1": {"E1": [1, 1, 1, 1, 1024, 512]}}
WINDOW = {"1": {"E1": [101, 201, 1, 1, 50, 40]}}
BINNED = {"1": {"E1": [101, 201, 2, 2, 50, 40]}}
POLICY = Policy(calibration_wait=dt.timedelta(minutes=10))
PATIENT = dt.timedelta(minutes=11)


class Observatory:
    """A record with runs in it, the planner, and workers that do their jobs without a pixel."""

    def __init__(self, record):
        self.record = record
        self.now = NOW
        with record.writing() as session:
            session.add_all([Instrument(name="hipercam"), Instrument(name="other"), Night(date=dt.date(2026, 3, 14))])
            session.add(ApertureSet(digest="a", origin="automatic", source="stars", created_at=NOW))

    def run(self, name, kind="science", *, windows=None, instrument="hipercam", frames=20, mjd=61114.0, content=None, **more):
        base = {
            "source": "hl", "object": "", "mode": "m", "xbin": 1, "ybin": 1, "speed": "slow", "filters": {"1": "us"},
            "nskips": {"1": 0}, "exposure": 1.0, "header": {}, "state": "complete", "mjd_first": mjd, "mjd_last": mjd,
            "registered_at": self.now, "grown_at": self.now,
        }  # fmt: skip
        with self.record.writing() as session:
            camera = session.scalars(select(Instrument).where(Instrument.name == instrument)).one()
            row = Run(name=name, kind=kind, instrument=camera, night_id=1, frames=frames,
                      windows=windows or (WINDOW if kind == "science" else FULL), **(base | more))  # fmt: skip
            session.add(row)
            session.flush()
            path = f"/raw/{name}.fits"
            file = session.scalar(select(RawFile).where(RawFile.path == path)) or RawFile(path=path)
            file.size, file.mtime_ns, file.seen_at, file.data_size = 1, 1, self.now, frames
            file.sha256 = file.data_sha256 = content or digest(row.path, row.version)
            file.run_id = row.id
            session.add(file)
            session.flush()
            return row.id

    def change(self, run_id, **values):
        with self.record.writing() as session:
            row = session.get_one(Run, run_id)
            for name, value in values.items():
                setattr(row, name, value)
            row.unsettled = True

    def new_version(self, run_id, name, kind, content):
        """Other bytes under the same name, as ingest registers them."""
        with self.record.writing() as session:
            supersede(session, session.get_one(Run, run_id))
        with self.record.reading() as session:
            version = session.get_one(Run, run_id).version + 1
        return self.run(name, kind, version=version, content=content)

    def look(self, later=None):
        self.now += later or dt.timedelta(seconds=2)
        return plan(self.record, self.now, POLICY)

    def jobs(self, kind=None, state=None):
        with self.record.reading() as session:
            rows = session.scalars(select(Job).order_by(Job.created_at, Job.id)).all()
        return [j for j in rows if (kind is None or j.kind == kind) and (state is None or j.state == state)]

    def waiting(self, run_id):
        with self.record.reading() as session:
            return session.get_one(Run, run_id).waiting

    def masters(self, kind=None):
        with self.record.reading() as session:
            rows = session.scalars(select(Master).order_by(Master.id)).unique().all()
            return [m for m in rows if kind in (None, m.kind)]

    def reductions(self, run_id):
        with self.record.reading() as session:
            return list(session.scalars(select(Reduction).where(Reduction.run_id == run_id).order_by(Reduction.id)).unique())

    def states(self, run_id):
        return [reduction.state for reduction in self.reductions(run_id)]

    def work(self, *kinds):
        """Do every queued job of some kinds (default: all), and what follows from it, looking in between."""
        done = 0
        for _ in range(30):
            queued = [job for job in self.jobs(state="queued") if not kinds or job.kind in kinds]
            for job in queued:
                held = claim(self.record, job.id, "worker")
                finish(self.record, held, getattr(self, f"_{job.kind}")(job), {})
                done += 1
            left = self.look()
            if not queued and not left:
                break
        return done

    def _build_master(self, job):
        def store(session):
            run = session.get_one(Run, job.parameters["run_id"])
            used = [session.get_one(Master, m) for m in job.parameters["masters"].values() if m is not None]
            inputs = [*raw_inputs(run.files), *(master_input(m) for m in used)]
            sha = digest([item["sha256"] for item in inputs])
            product = record_product(session, Stored(f"master/{sha[:12]}.hcm", sha, 1), kind="master", run_id=run.id,
                                     job_id=job.id, inputs=inputs)  # fmt: skip
            product.state = "current"
            master = Master(
                kind=run.kind, instrument_id=run.instrument_id, run_id=run.id, product_id=product.id, mode=run.mode,
                speed=run.speed, xbin=run.xbin, ybin=run.ybin, filters=run.filters, windows=run.windows, exposure={"1": 1.0},
                mjd=run.mjd_first, report={}, made_at=self.now,
            )  # fmt: skip
            session.add(master)
            session.flush()
            master_is_ready(session, master)

        return store

    def _prepare_reduction(self, job):
        said = job.parameters

        def store(session):
            run, recipe = session.get_one(Run, said["run_id"]), session.get_one(Recipe, said["recipe_id"])
            contents = {k: m and session.get_one(Master, m).product.sha256 for k, m in said["masters"].items()}
            key = digest([run.path, run.version, recipe.digest, contents, said["hints"]])
            made = session.scalar(select(Reduction).where(Reduction.key == key))
            if made is not None:
                made.masters = said["masters"]
                take_up(session, made)
                advance(session, made, self.now)
                return
            begun = select(Reduction.id).where(Reduction.run_id == run.id, Reduction.state == "running")
            outdo(session, session.scalars(begun).all())
            reduction = Reduction(
                name=key[:8], key=key, run=run, recipe=recipe, parameters={}, aperture_set_id=1, hints=said["hints"],
                masters=said["masters"], choices=said["choices"], code_version="1", created_at=self.now,
            )  # fmt: skip
            session.add(reduction)
            session.flush()
            advance(session, reduction, self.now)

        return store

    def _reduce_range(self, job):
        said = job.parameters

        def store(session):
            reduction = session.get_one(Reduction, said["reduction_id"])
            assert reduction.frames_done == said["first"] - 1
            session.add(RangeDone(reduction_id=reduction.id, first=said["first"], last=said["last"], state={}, seconds={}))
            reduction.frames_done = said["last"]
            advance(session, reduction, self.now)

        return store

    def _export_reduction(self, job):
        def store(session):
            number = job.parameters["reduction_id"]
            sha = digest([number, job.key])
            record_product(session, Stored(f"log/{sha[:12]}.log", sha, 1), kind="log", reduction_id=number, job_id=job.id)

        return store


def digest(*values):
    return hashlib.sha256(json.dumps(values, default=str).encode()).hexdigest()


@pytest.fixture
def house(record):
    return Observatory(record)


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
    science = house.run("run0003", state="growing", frames=12, urgent=True)
    house.look()
    house.work("prepare_reduction")
    for frames in (15, 22, 40):
        house.change(science, frames=frames)
        house.look()
        (queued,) = house.jobs("reduce_range", "queued")
        assert (queued.parameters["first"], queued.parameters["last"]) == (1, 12)
    # the range is committed: the next one takes up all that came meanwhile
    held = claim(house.record, queued.id, "worker")
    finish(house.record, held, house._reduce_range(queued), {})
    house.look()
    (queued,) = house.jobs("reduce_range", "queued")
    assert (queued.parameters["first"], queued.parameters["last"]) == (13, 40)
    house.change(science, frames=41, state="complete")
    house.work()
    done = [(job.parameters["first"], job.parameters["last"]) for job in house.jobs("reduce_range")]
    assert done == [(1, 12), (13, 40), (41, 41)]
    assert house.states(science) == ["done"]


def test_a_growing_run_is_left_alone_until_it_has_frames_enough_for_its_stars(house):
    science = house.run("run0003", state="growing", frames=9, urgent=True)
    house.look()
    assert house.jobs() == []
    house.change(science, frames=9, state="complete")
    house.look()
    assert [job.kind for job in house.jobs()] == ["prepare_reduction"]


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
        assert not left_to_do(session, {"/raw/run0003.fits"}).nothing
        assert left_to_do(session, {"/raw/run0004.fits"}).nothing
