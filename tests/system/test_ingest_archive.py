"""`roque ingest`: an archive is registered, can be stopped at any time, and nothing of it is reduced unless somebody asks."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import signal
import subprocess
import threading
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import func, select

from roque.archive import Record
from roque.archive.models import Frame, Job, Outbox, RawFile, Run
from roque.archive.progress import run_state
from roque.archive.runs import reopen_runs
from roque.archive.schema import upgrade
from roque.instruments import cameras
from roque.jobs.outbox import clock
from roque.jobs.planner import Policy, plan
from roque.jobs.retries import submit_run
from roque.registration import batch, seen
from roque.registration.archive import Archive
from roque.settings import load_settings
from services.ingest.watch import Watch
from tests.system.conftest import ROQUE, until

NIGHTS = ("2019-01-01", "2019-01-02", "2020-05-05")


@pytest.fixture
def archive(tmp_path, golden_runs) -> Path:
    """Three nights of a bias, a flat and a science run each."""
    for night in NIGHTS:
        folder = tmp_path / "archive" / night[:4] / night
        folder.mkdir(parents=True)
        for number, name in enumerate(("run0001", "run0003", "run0008"), start=1):
            shutil.copy(golden_runs / f"{name}.fits", folder / f"run{number:04d}.fits")
    return tmp_path / "archive"


@pytest.fixture
def settings(home, tmp_path):
    return load_settings(home=home.folder, incoming=[tmp_path / "archive"], silent_seconds=0, **home.settings)


@pytest.fixture
def register(record, settings, archive):
    """Register the archive, stopping when `most` new runs are recorded; counts what became of them."""

    def run(*, most: int = 10**9, **options) -> Counter[str]:
        counts: Counter[str] = Counter()
        stop = threading.Event()

        def tell(outcome):
            counts[outcome.what] += 1
            if counts["new"] >= most:
                stop.set()

        Archive(record, settings, cameras(None), tell, **options).register(archive, stop)
        return counts

    return run


def rows(record, *columns, order=True):
    with record.reading() as session:
        return session.execute(select(*columns).order_by(*columns if order else ())).all()


def asked_for(record):
    with record.reading() as session:
        found = session.scalars(select(Run).where(~Run.on_request)).unique()
        return sorted((run.night.date.isoformat(), run.name) for run in found)


def pass_of_planner(record):
    with record.reading() as session:
        now = clock(session)
    plan(record, now, Policy())


def test_runs_of_the_nights_are_registered_with_their_frames_and_none_is_reduced(register, record):
    assert register(since=dt.date(2019, 1, 2)) == {"outside": 3, "new": 6}
    assert register(since=dt.date(2019, 1, 1), until=dt.date(2019, 1, 2)) == {"outside": 3, "new": 3, "known": 3}
    assert len(rows(record, Run.id)) == 9
    counts = rows(record, Run.id, Run.frames)
    with record.reading() as session:
        for run_id, frames in counts:
            assert session.scalar(select(func.count()).where(Frame.run_id == run_id)) == 5 * frames
    pass_of_planner(record)
    assert rows(record, Job.id) == rows(record, Outbox.id) == []
    with record.reading() as session:
        run = session.scalars(select(Run).where(Run.kind == "science")).unique().first()
        state = run_state(session, run)
    assert (state.word, state.failed) == ("registered", False)
    assert "roque job submit" in state.detail


def test_what_is_registered_is_passed_over_unread(register, monkeypatch):
    register()

    def read(path, *_):
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(seen, "inspect", read)
    assert register() == {"known": 9}


def test_a_registration_that_is_stopped_goes_on_where_it_was(register, record, monkeypatch):
    monkeypatch.setattr(batch, "RUNS", 2)
    done = 0
    for _ in range(9):
        done += register(most=1)["new"]
        assert len(rows(record, Run.id)) == done
        if done == 9:
            break
    assert done == 9
    assert register() == {"known": 9}
    assert {run.state for run in rows(record, Run.state)} == {"complete"}


def test_the_rows_are_those_of_runs_that_are_registered_one_by_one(register, record, archive, tmp_path, settings, monkeypatch):
    register()
    other = Record(f"sqlite:///{tmp_path / 'other.sqlite'}")
    upgrade(other)
    monkeypatch.setattr(batch, "are_new", lambda _, found: [False] * len(found))
    assert Watch(other, settings, cameras(None)).look() == 9
    for model, left_out in (
        (Run, {"id", "instrument_id", "night_id", "trace", "registered_at", "grown_at", "on_request", "unsettled"}),
        (Frame, {"run_id"}),
        (RawFile, {"id", "run_id", "seen_at"}),
    ):
        columns = [column for column in model.__table__.columns if column.name not in left_out]
        one, by_one = (sorted(map(repr, rows(each, *columns, order=False))) for each in (record, other))
        assert one == by_one
    other.close()


def test_bad_files_are_recorded_as_failures_and_the_others_go_on(register, record, archive):
    (archive / "2019" / "2019-01-01" / "junk.fits").write_text("no FITS")
    (archive / "2020" / "2020-05-05" / "later.fits").write_text("no FITS")
    assert register(until=dt.date(2019, 12, 31)) == {"failed": 1, "new": 6, "outside": 4}
    assert register(until=dt.date(2019, 12, 31)) == {"known": 7, "outside": 4}
    assert [run.name for run in rows(record, Run.state, Run.name) if run.state == "failed"] == ["junk"]


def test_a_run_whose_name_is_taken_goes_the_way_of_the_service(register, record, archive):
    copies = archive / "copies" / "2019-01-01"
    copies.mkdir(parents=True)
    shutil.copy(archive / "2019" / "2019-01-01" / "run0001.fits", copies)
    shutil.copy(archive / "2019" / "2019-01-01" / "run0002.fits", copies / "run0003.fits")
    found = register()
    assert (found["new"], found["second location"], found["conflict"]) == (9, 1, 1)


def test_what_is_asked_for_later_is_planned_with_the_calibrations_of_its_night(register, record):
    register()
    with record.writing() as session:
        run = next(run for run in session.scalars(select(Run)).unique() if run.night.date.day == 2 and run.kind == "science")
        submit_run(session, run)
    assert asked_for(record) == [("2019-01-02", f"run000{number}") for number in (1, 2, 3)]
    pass_of_planner(record)
    with record.reading() as session:
        assert {job.priority for job in session.scalars(select(Job))} == {0}
        nights = {session.get_one(Run, job.run_id).night.date for job in session.scalars(select(Job))}
    assert nights == {dt.date(2019, 1, 2)}


def test_reduce_asks_for_the_nights_that_are_named_also_where_they_are_registered_already(register, record):
    register()
    assert register(since=dt.date(2020, 1, 1), reduce=True) == {"known": 3, "outside": 6}
    assert asked_for(record) == [("2020-05-05", f"run000{number}") for number in (1, 2, 3)]


def test_new_masters_do_not_wake_an_archive(register, record):
    register()
    with record.writing() as session:
        reopen_runs(session, session.scalars(select(Run.instrument_id)).first())
    assert {run.unsettled for run in rows(record, Run.unsettled)} == {False}


def test_a_run_that_grows_after_all_is_observed_and_no_archive(record, settings, archive, golden_runs, register):
    path = archive / "2020" / "2020-05-05" / "run0003.fits"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    register()
    path.write_bytes(whole)
    Watch(record, settings, cameras(None)).look()
    assert asked_for(record) == [("2020-05-05", "run0003")]
    assert {run.frames for run in rows(record, Run.name, Run.frames) if run.name == "run0003"} == {10}


def test_the_command_says_what_it_did_and_would_do(home, archive):
    (archive / "2019" / "2019-01-01" / "junk.fits").write_text("no FITS")
    would = home.roque("ingest", archive, "--since", "2019-01-02", "--dry-run", "--json")
    names = [json.loads(line)["name"] for line in would.stdout.splitlines()]
    assert names == [f"hipercam/{night}/run000{number}" for night in NIGHTS[1:] for number in (1, 2, 3)]
    assert would.returncode == 0
    did = home.roque("ingest", archive, "--since", "2019-01-01", "--json")
    told = json.loads(did.stdout)
    assert {name: told[name] for name in ("new", "failed", "known", "stopped")} == {
        "new": 9, "failed": 1, "known": 0, "stopped": False,
    }  # fmt: skip
    assert did.returncode == 1
    assert "junk.fits" in did.stderr
    listed = home.roque("run", "list", "--header", "IMAGETYP~bias", "--json")
    assert {json.loads(line)["kind"] for line in listed.stdout.splitlines()} == {"bias"}
    assert home.roque("ingest", archive, "--until", "2018-01-01", "--since", "2019-01-01").returncode == 2


def test_control_c_loses_nothing(home, archive):
    template = next(archive.rglob("run0001.fits")).read_bytes()[: 2880 * 40]
    for k in range(400):
        (archive / "2019" / "2019-01-01" / f"run1{k:03d}.fits").write_bytes(template)
    assert home.roque("db", "upgrade").returncode == 0
    command = [*ROQUE, "ingest", str(archive), "--json"]
    process = subprocess.Popen(command, env=home.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def registered() -> int:
        with home.reading() as session:
            return session.scalar(select(func.count()).select_from(Run))

    until(lambda: registered() or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    told = json.loads(said)
    assert told["stopped"]
    assert "Traceback" not in errors
    assert process.returncode == 130
    assert 0 < registered() == told["new"] < 409
    again = json.loads(home.roque("ingest", archive, "--json").stdout)
    assert (again["new"] + told["new"], again["known"]) == (409, told["new"])


@pytest.mark.parametrize("size", ["laptop"])
def test_a_night_that_is_reduced_by_hand_is_asked_for(home, archive):
    home.roque("ingest", archive)
    night = archive / "2019" / "2019-01-02"
    _, lines = home.night(night)
    assert {name: line["state"] for name, line in lines.items()} == {f"run000{number}": "done" for number in (1, 2, 3)}
    with home.reading() as session:
        assert session.scalar(select(func.count()).where(Run.on_request)) == 6
