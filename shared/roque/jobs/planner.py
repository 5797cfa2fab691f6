"""The rules of the planner: what should exist, compared with what is recorded.

Nothing here remembers anything: every rule reads rows and submits the jobs that are missing, under keys that make a
second submission the same job. Any rule may be applied at any time, by anybody, twice.
"""

from __future__ import annotations

import datetime as dt
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, distinct, exists, func, or_, select, update
from sqlalchemy.orm import Session

from roque import __version__
from roque.archive import Record
from roque.archive.found import problem
from roque.archive.models import Job, Recipe, Reduction, Run
from roque.archive.partitions import keep_partitions
from roque.archive.recipes import DEFAULT, latest_recipe
from roque.archive.runs import PLANNING
from roque.errors import RoqueError, Transient
from roque.jobs import life
from roque.jobs.calibrations import MasterChoice, Wants, choose_masters, wants_of
from roque.jobs.kinds import BuildMaster, ExportReduction, Kind, PrepareReduction, ReduceRange
from roque.jobs.outbox import emit
from roque.jobs.priority import is_live, live_runs, priority_of, promote_calibrations
from roque.jobs.standing import master_stands, reinstate_products, standing_reduction, take_up
from roque.photometry.beginning import frames_needed
from roque.telemetry import about, logger

__all__ = ["Policy", "advance", "go_on", "has_work", "plan", "range_length"]

RANGE_PIXELS = 400_000_000
"""Pixels of a range of frames: seconds of reading, so that a kill costs little and a commit is rare."""

RANGE_FRAMES = 1_000
"""Frames of a range at most."""

MASTER_KINDS = ("bias", "dark", "flat")

ARCHIVE_RUNS = 200
"""Runs of the archive that a pass looks at, at most."""


@dataclass(frozen=True)
class Policy:
    """What an operator decides about planning."""

    calibration_wait: dt.timedelta = dt.timedelta(minutes=10)  # how long a run waits for masters that nobody has begun
    resend_after: dt.timedelta = dt.timedelta(seconds=30)  # a queued job that nobody claimed for so long gets a new message
    archive_slots: int = 1_000  # runs of the archive that are worked on at the same time
    archive_time: dt.timedelta = dt.timedelta(seconds=1)  # how long a pass looks at them: a live run waits no longer


def _idle() -> ColumnElement[bool]:
    """Runs without a job under way: nothing is to be planned of the others before it has ended."""
    return ~exists().where(Job.run_id == Run.id, life.unfinished())


def _any_work() -> Select[tuple[bool]]:
    # of what is reduced while it grows, whoever registers frames or commits a range submits the next one
    goes_on = (Run.state == "growing") & exists().where(Reduction.run_id == Run.id, Reduction.state == "running")
    fresh = exists().where(Run.unsettled, Run.waiting.is_(None), ~goes_on, _idle())
    lost = (Job.state == "running") & (Job.lease_until < bindparam("now"))
    awake = (Job.state == "waiting") & (Job.not_before <= bindparam("now"))
    return select(or_(fresh, exists().where(or_(lost, awake))).label("any"))


_ANY_WORK = _any_work()


def has_work(record: Record, now: dt.datetime) -> bool:
    """Whether a pass of the planner could change anything but waiting: two cheap questions in one."""
    return bool(record.at_once(_ANY_WORK, {"now": now}).any)


def plan(record: Record, now: dt.datetime, policy: Policy) -> int:
    """Do one pass: free what is lost, wake what is due, submit what is missing. Returns the number of unsettled runs.

    Every live run is looked at, and then as many of the archive as there are slots and time for: a pass is short, however much
    lies in the archive. Each run is its own transaction: a run that cannot be planned does not hold up the others. Why it
    cannot is recorded as a problem of the run, which is then left alone until somebody retries it or says something else of it.
    """
    with record.writing() as session:
        life.requeue_expired(session, now)
        life.wake(session, now)
        life.resend(session, now, policy.resend_after)
    keep_partitions(record, now.date())  # of the nights of these runs too, before they have rows
    with record.reading() as session:
        live = _in_order(session, live_runs(now))
    for run_id in live:
        _look_at(record, run_id, now, policy)
    end = time.monotonic() + policy.archive_time.total_seconds()
    with record.reading() as session:
        archive = _archive(session, now, policy)
    for run_id in archive:
        if time.monotonic() > end:
            break
        _look_at(record, run_id, now, policy)
    with record.reading() as session:
        return session.scalar(select(func.count()).where(Run.unsettled)) or 0


def _in_order(session: Session, *which: ColumnElement[bool], most: int | None = None) -> list[int]:
    """Ids of unsettled runs, calibrations first: what waits for them is then planned in the same pass."""
    return list(
        session.scalars(select(Run.id).where(Run.unsettled, *which).order_by(Run.kind == "science", Run.id).limit(most))
    )


def _archive(session: Session, now: dt.datetime, policy: Policy) -> list[int]:
    """Runs of the archive to look at: new ones where slots are free, and some of those that wait, by chance.

    A run with a job under way is looked at when that has ended.
    """
    under_way = session.scalar(select(func.count(distinct(Job.run_id))).where(life.unfinished())) or 0
    free = min(ARCHIVE_RUNS, max(0, policy.archive_slots - under_way))
    fresh = _in_order(session, ~live_runs(now), Run.waiting.is_(None), _idle(), most=free) if free else []
    waiting = select(Run.id).where(Run.unsettled, ~live_runs(now), Run.waiting.is_not(None))
    return [*fresh, *session.scalars(waiting.order_by(func.random()).limit(ARCHIVE_RUNS))]


def _look_at(record: Record, run_id: int, now: dt.datetime, policy: Policy) -> None:
    try:
        with record.writing() as session:
            run = session.get(Run, run_id, with_for_update={"of": Run})
            if run is not None and run.unsettled:
                with about(run=run.path, trace=run.trace):
                    _plan_run(session, run, now, policy)
    except Transient:
        raise
    except RoqueError as error:
        with record.writing() as session:
            _cannot(session.get_one(Run, run_id), error)


def advance(session: Session, reduction: Reduction, now: dt.datetime) -> None:
    """Submit the next range of a reduction, or finish it: called at each look and when a range is committed.

    That the run is settled is for the planner to say: it looks whether the reduction still is what the run should have.
    """
    run = reduction.run
    if reduction.state not in ("running", "done"):
        return
    _tell(run, reduction)
    first = reduction.frames_done + 1
    if first <= run.frames:
        reduction.state = "running"
        under_way = _range_under_way(session, reduction)
        if under_way in ("failed", "cancelled"):
            reduction.state, run.unsettled = under_way, False
        elif under_way is None:
            last = min(run.frames, first + range_length(run) - 1)
            life.submit(
                session,
                Kind.REDUCE_RANGE,
                ReduceRange(reduction_id=reduction.id, first=first, last=last),
                key_inputs={"reduction": reduction.key, "first": first, "last": last},
                priority=priority_of(run, now),
                run_id=run.id,
                reduction_id=reduction.id,
            )
    elif run.state == "complete":
        _finish(session, reduction, run, now)


def go_on(session: Session, run: Run, now: dt.datetime) -> None:
    """Submit the next range of a run that has grown, if it is being reduced: it is not to wait for the planner's next look.

    The reduction is held meanwhile: a range that is just being committed either sees the new frames, or is seen to be done.
    """
    if run.held or run.on_request:
        return
    under_way = select(Reduction).where(Reduction.run_id == run.id, Reduction.state == "running")
    reduction = session.scalars(under_way.with_for_update(of=Reduction)).unique().first()
    if reduction is not None:
        advance(session, reduction, now)


def _tell(run: Run, reduction: Reduction) -> None:
    """Let what is wrong with the grounds of a reduction, such as an aperture in no window, be a problem of its run."""
    for note in reduction.notes:
        fault = {name: value for name, value in note.items() if name not in ("kind", "text")} | {"stage": PLANNING}
        if "severity" in note and fault not in run.problems:
            run.problems = [*run.problems, fault]


def _range_under_way(session: Session, reduction: Reduction) -> str | None:
    """State of the range that comes next, if it was submitted: it may end earlier than the run does by now."""
    return session.scalar(
        select(Job.state)
        .where(Job.reduction_id == reduction.id, Job.kind == Kind.REDUCE_RANGE.value, Job.state != "done")
        .order_by(Job.created_at.desc())
        .limit(1)
    )


def _cannot(run: Run, error: RoqueError) -> None:
    run.problems = [*run.problems, {**problem(error), "stage": PLANNING}]
    _settle(run)
    logger.warning("run_not_planned", run=run.path, trace=run.trace, error=str(error))


def _plan_run(session: Session, run: Run, now: dt.datetime, policy: Policy) -> None:
    if any(one.get("stage") == PLANNING for one in run.problems):
        run.problems = [one for one in run.problems if one.get("stage") != PLANNING]
    stopped = run.held or run.on_request or run.state not in ("growing", "complete")
    if stopped or run.kind not in (*MASTER_KINDS, "science") or (run.frames == 0 and run.state == "complete"):
        _settle(run)
    elif run.kind == "science":
        _plan_science(session, run, now, policy)
    elif run.state == "complete":
        _plan_master(session, run, now, policy)


def _plan_master(session: Session, run: Run, now: dt.datetime, policy: Policy) -> None:
    wants = Wants(bias="never" if run.kind == "bias" else "wanted")
    choice = choose_masters(session, run, wants, now, _patience(run, policy))
    if _waits(run, choice):
        return
    if master_stands(session, run, choice):
        _settle(run)
        return
    job = life.submit(
        session,
        Kind.BUILD_MASTER,
        BuildMaster(run_id=run.id, kind=run.kind, masters=choice.masters, choices=choice.reasons),
        key_inputs={
            "run": [run.path, run.version, _content(run)],
            "kind": run.kind,
            "masters": choice.masters,
        },
        priority=priority_of(run, now),
        run_id=run.id,
    )
    if job.state == "cancelled" and job.reason != life.BY_USER:  # somebody wants it again
        life.retry(session, job.id)
    elif job.state in ("done", "failed", "cancelled"):
        _settle(run)


def _plan_science(session: Session, run: Run, now: dt.datetime, policy: Policy) -> None:
    if run.state == "growing" and run.frames < frames_needed(run.nskips):
        return
    recipe = _recipe(session, run, now)
    choice = choose_masters(session, run, wants_of(recipe, run), now, _patience(run, policy))
    reduction = standing_reduction(session, run, recipe, choice)
    if reduction is not None:
        run.waiting = None
        _forget_failed_preparations(session, run)
        take_up(session, reduction)
        advance(session, reduction, now)
        if reduction.state == "done" and run.state == "complete":
            _settle(run)
        return
    if _waits(run, choice):
        if is_live(run, now):
            promote_calibrations(session, run, now)
        return
    job = life.submit(
        session,
        Kind.PREPARE_REDUCTION,
        PrepareReduction(run_id=run.id, recipe_id=recipe.id, masters=choice.masters, choices=choice.reasons, hints=run.hints),
        key_inputs={
            "run": [run.path, run.version],
            "recipe": recipe.digest,
            "masters": choice.masters,
            "hints": run.hints,
        },
        priority=priority_of(run, now),
        run_id=run.id,
    )
    if job.state == "cancelled" and job.reason != life.BY_USER:  # it failed once, and then was not wanted any more
        life.retry(session, job.id)
    elif job.state in ("done", "failed", "cancelled"):
        _settle(run)  # done without a reduction that stands: it failed, and is for a person to retry


def _forget_failed_preparations(session: Session, run: Run) -> None:
    """Let what failed to begin on grounds that are gone, such as a broken aperture file, count no more."""
    session.execute(
        update(Job)
        .where(Job.run_id == run.id, Job.kind == Kind.PREPARE_REDUCTION.value, Job.state == "failed")
        .values(state="cancelled", reason="there is a reduction without it")
    )


def _recipe(session: Session, run: Run, now: dt.datetime) -> Recipe:
    """Version of its recipe that a run is reduced with: the newest when it is first planned, and that one from then on."""
    name = run.hints.get("recipe", DEFAULT)
    recipe = session.get(Recipe, run.recipe_id) if run.recipe_id is not None else None
    if recipe is None or recipe.name != name:
        recipe = latest_recipe(session, run.instrument.name, name, now)
        run.recipe_id = recipe.id
    return recipe


def _waits(run: Run, choice: MasterChoice) -> bool:
    """Whether a run waits for masters; where only a new master can end that, it is left alone until there is one."""
    run.waiting = choice.waiting
    run.unsettled = not choice.parked
    return choice.waiting is not None


def _finish(session: Session, reduction: Reduction, run: Run, now: dt.datetime) -> None:
    versions = _versions(session, run)
    if reduction.state != "done":
        reduction.state, reduction.finished_at = "done", now
        _supersede_others(session, reduction, versions)
        emit(session, "run.reduced", {"run": run.path, "reduction": reduction.name, "frames": reduction.frames_done})
        logger.info("run_reduced", run=run.path, reduction=reduction.name, frames=reduction.frames_done)
    job = life.submit(
        session,
        Kind.EXPORT_REDUCTION,
        ExportReduction(reduction_id=reduction.id),
        key_inputs={"reduction": reduction.key, "frames": reduction.frames_done, "code": __version__},
        priority=priority_of(run, now),
        run_id=run.id,
        reduction_id=reduction.id,
    )
    if job.state == "done":
        reinstate_products(session, job, versions)


def _supersede_others(session: Session, reduction: Reduction, versions: Sequence[int]) -> None:
    """A run has one reduction in use of each recipe, and none of bytes that it had before."""
    recipe = reduction.recipe
    same = select(Recipe.id).where(Recipe.camera == recipe.camera, Recipe.name == recipe.name)
    session.execute(
        update(Reduction)
        .where(Reduction.run_id.in_(versions), Reduction.id != reduction.id, Reduction.state.in_(("running", "done")))
        .where(or_(Reduction.run_id != reduction.run_id, Reduction.recipe_id.in_(same)))
        .values(state="superseded")
        .execution_options(synchronize_session=False)
    )


def _versions(session: Session, run: Run) -> Sequence[int]:
    same = Run.instrument_id == run.instrument_id, Run.night_id == run.night_id, Run.name == run.name
    return session.scalars(select(Run.id).where(*same, Run.state != "conflict")).all()


def _content(run: Run) -> list[Any]:
    """What a run is made of: the digests of its files."""
    return [[file.data_sha256, file.data_size] for file in run.files if not file.duplicate]


def range_length(run: Run) -> int:
    """How many frames a range has, where there are as many."""
    pixels = sum(w[4] * w[5] for windows in run.windows.values() for w in windows.values())
    return max(1, min(RANGE_FRAMES, math.ceil(RANGE_PIXELS / max(1, int(pixels)))))


def _patience(run: Run, policy: Policy) -> dt.timedelta:
    return dt.timedelta(0) if run.urgent else policy.calibration_wait


def _settle(run: Run) -> None:
    run.unsettled, run.waiting, run.priority = False, None, None
