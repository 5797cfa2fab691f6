"""`roque run cancel|retry` and `roque job submit|cancel|retry` on a record with a night in many states."""

import json

import pytest
from sqlalchemy import select

from roque.archive.models import Job, Run

NIGHT = "hipercam/2026-11-01"


def lines(result):
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def run_of(filled, name):
    with filled.record.reading() as session:
        return session.scalars(select(Run).where(Run.name == name).order_by(Run.id)).first()


def job_of(filled, label):
    with filled.record.reading() as session:
        return session.get_one(Job, filled.jobs[label])


def test_a_run_is_cancelled_with_its_jobs_listed_as_such_and_retried(roque, filled):
    (cancelled,) = lines(roque("run", "cancel", "run0005", "--json"))
    assert cancelled == {"name": f"{NIGHT}/run0005", "state": "cancelled", "jobs": [filled.jobs["waiting"]]}
    assert run_of(filled, "run0005").held
    assert [run["name"] for run in lines(roque("run", "list", "--state", "cancelled", "--json"))] == [f"{NIGHT}/run0005"]
    assert "roque run retry" in roque("run", "show", "run0005").stdout
    (retried,) = lines(roque("run", "retry", "--state", "cancelled", "--json"))
    assert set(retried["retried"]) == {filled.jobs["waiting"], filled.jobs["failed"]}
    assert not run_of(filled, "run0005").held


def test_runs_of_which_nothing_is_under_way_are_not_cancelled(roque, filled):
    result = roque("run", "cancel", "run0003")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing is under way" in result.stderr
    assert [run["name"] for run in lines(roque("run", "cancel", "--night", "2026-11-01", "--json"))] == [
        f"{NIGHT}/run0004",
        f"{NIGHT}/run0005",
    ]


@pytest.mark.parametrize("words", [["run", "cancel"], ["run", "retry"], ["job", "submit"]])
def test_a_dry_run_names_the_runs_and_changes_nothing(roque, filled, words):
    result = roque(*words, "run0004", "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.split() == [f"{NIGHT}/run0004"]
    assert result.stderr.startswith("dry run, nothing is changed: 1 run ")
    assert not run_of(filled, "run0004").held
    assert run_of(filled, "run0004").trace is None


@pytest.mark.parametrize("words", [["run", "cancel"], ["run", "retry"], ["job", "submit"]])
def test_runs_are_named_or_chosen_and_not_both_nor_neither(roque, words):
    for more in ([], ["run0003", "--night", "2026-11-01"]):
        result = roque(*words, *more)
        assert result.exit_code == 2
        assert "one of the two" in result.stderr
    assert roque(*words, "--night", "2001-01-01").exit_code == 4
    assert roque(*words, "nosuch").exit_code == 4


def test_a_night_is_submitted_with_another_recipe_and_first_of_all(roque, filled):
    entries = lines(roque("job", "submit", "--night", "2026-11-01", "--recipe", "bright", "--priority", "live", "--json"))
    assert [entry["name"] for entry in entries] == [f"{NIGHT}/run000{n}" for n in (3, 4, 5)]
    assert {entry["recipe"] for entry in entries} == {"bright v1"}
    run = run_of(filled, "run0003")
    assert (run.hints, run.priority, run.unsettled, len(run.trace)) == ({"recipe": "bright"}, "live", True, 32)
    assert roque("job", "submit", "run0003", "--recipe", "default").exit_code == 0
    assert run_of(filled, "run0003").hints == {}


def test_what_cannot_be_submitted_is_refused_and_nothing_is_changed(roque, filled):
    missing = roque("job", "submit", "run0003", "run0004", "--recipe", "nosuch")
    assert (missing.exit_code, missing.stdout) == (4, "")
    assert "recipe list" in missing.stderr
    bias = roque("job", "submit", "run0003", f"{NIGHT}/run0001")
    assert (bias.exit_code, bias.stdout) == (1, "")
    assert "its kind is bias" in bias.stderr
    assert roque("job", "submit", "--kind", "bias").exit_code == 2
    assert not run_of(filled, "run0003").unsettled


def test_runs_are_chosen_by_filter(roque):
    assert len(lines(roque("run", "list", "--filter", "gs", "--kind", "bias", "--json"))) == 2
    assert lines(roque("run", "list", "--filter", "zs", "--json")) == []


def test_jobs_are_cancelled_and_retried_by_the_beginning_of_their_ids(roque, filled):
    ident = filled.jobs["waiting"]
    (cancelled,) = lines(roque("job", "cancel", ident[:18], "--json"))
    assert (cancelled["name"], cancelled["state"]) == (ident, "cancelled")
    again = roque("job", "cancel", ident)
    assert again.exit_code == 1
    assert "the job is cancelled" in again.stderr
    result = roque("job", "retry", ident, filled.jobs["failed"])
    assert result.stdout.split() == [ident, filled.jobs["failed"]]
    assert job_of(filled, "failed").state == "queued"
    done = roque("job", "retry", filled.jobs["range"])
    assert done.exit_code == 1
    assert "only failed or cancelled jobs are retried" in done.stderr
