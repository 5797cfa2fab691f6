"""`roque run watch` on a record that changes while it looks."""

import json
import threading
import time

import pytest
from sqlalchemy import select

from roque.archive.models import Reduction, Run

NIGHT = "hipercam/2026-11-01"


@pytest.fixture
def begun(filled):
    """Make run0003 one that is being reduced."""
    with filled.record.writing() as session:
        session.scalars(select(Reduction)).one().state = "running"
    return filled


def later(filled, *steps):
    """Do something to the reduction and its run, step by step, while others look."""

    def change():
        for step in steps:
            time.sleep(1.2)
            with filled.record.writing() as session:
                reduction = session.scalars(select(Reduction)).unique().one()
                step(reduction, reduction.run)

    thread = threading.Thread(target=change)
    thread.start()
    return thread


def measured(frames):
    def step(reduction, _):
        reduction.frames_done = frames

    return step


def done(reduction, _):
    reduction.state = "done"


def held(_, run):
    run.held = True


def test_a_run_is_followed_with_its_frames_and_rate_until_it_is_done(roque, begun):
    with begun.record.writing() as session:
        session.scalars(select(Reduction)).one().frames_done = 0
        session.scalars(select(Run).where(Run.name == "run0003", Run.version == 1)).one().problems = []
    thread = later(begun, measured(5), measured(15), measured(20), done)
    result = roque("run", "watch", "hipercam/2026-11-01/run0003", "--json")
    thread.join()
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["state"] for line in lines] == ["reducing"] * (len(lines) - 1) + ["done"]
    frames = [line["frames_done"] for line in lines]
    assert (frames[0], frames[-1], frames == sorted(frames)) == (0, 20, True)
    moving = [line for line in lines if line["frames_per_second"] and not line["ended"]]
    assert all(
        line["seconds_left"] == pytest.approx((20 - line["frames_done"]) / line["frames_per_second"], rel=0.05, abs=0.1)
        for line in moving
    )
    assert moving
    assert [line["ended"] for line in lines][-2:] == [False, True]


def test_one_that_is_cancelled_meanwhile_ends_with_status_one(roque, begun):
    thread = later(begun, held)
    result = roque("run", "watch", "run0003", "--json")
    thread.join()
    assert result.exit_code == 1
    assert json.loads(result.stdout.splitlines()[-1])["state"] == "cancelled"


def test_runs_that_have_ended_are_told_at_once(roque):
    well = roque("run", "watch", f"{NIGHT}/run0001")
    assert (well.exit_code, well.stdout.split()[1:]) == (0, [f"{NIGHT}/run0001", "done"])
    failed = roque("run", "watch", f"{NIGHT}/run0001", "run0005", "run0005")
    assert failed.exit_code == 1
    assert len(failed.stdout.splitlines()) == 2
    assert "no star was found" in failed.stdout
    assert roque("run", "watch", "nosuch").exit_code == 4
