"""Runs that another process writes in odd pieces while the incoming folder is looked at: one run, its frames as they come."""

from __future__ import annotations

import shutil
import threading
import time

import pytest
from sqlalchemy import func, select

from roque.archive.models import Frame, Run
from roque.instruments import cameras
from roque.registration import batch, endings, registrar
from roque.registration.batch import Batch
from roque.settings import load_settings
from services.ingest.watch import Watch
from tests.support import writer
from tests.support.damage import Raw

SILENT = 1.5
"""Seconds until a file is taken as ended."""


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "incoming").mkdir()
    return load_settings(home=tmp_path / "home", incoming=[tmp_path / "incoming"], silent_seconds=SILENT)


def state(record):
    """Version, state, and frames of each run, and rows of its frames."""
    with record.reading() as session:
        found = []
        for run in session.scalars(select(Run).order_by(Run.id)).unique():
            rows = session.scalar(select(func.count()).select_from(Frame).where(Frame.run_id == run.id, Frame.ccd == "1"))
            found.append((run.version, run.state, run.frames, rows))
        return found


def watched(record, settings, process, *, seconds=20.0):
    """Look again and again until the run has ended and nothing is written any more; gives what was seen, in order."""
    watch, seen, end = Watch(record, settings, cameras(None)), [], time.monotonic() + seconds
    while time.monotonic() < end:
        watch.look_for_news()
        now = state(record)
        if not seen or now != seen[-1]:
            seen.append(now)
        if process.poll() is not None and now and now[-1][1] == "complete" and time.monotonic() > end - seconds + SILENT:
            assert process.returncode == 0
            watch.look()
            return [*seen, state(record)]
        time.sleep(0.05)
    raise AssertionError(f"it never ended: {seen}")


def count(path, raw, frames):
    """Step of the writer that puts a number of frames into the header of a run."""
    return ["patch", str(path), raw.data.index(b"NAXIS3  ="), f"NAXIS3  = {frames:>20}"]


@pytest.mark.parametrize("when", ["before", "after", "at the end"])
def test_a_header_that_counts_frames_as_they_come_ends_no_run_before_it_is_written(
    record, settings, tmp_path, golden_runs, when
):
    whole, path = golden_runs / "run0008.fits", settings.incoming[0] / "run0008.fits"
    raw = Raw(whole.read_bytes())
    path.write_bytes(raw.number("NAXIS3", 0)[: raw.header])
    steps = []
    for n in range(raw.frames):
        first = raw.header + n * raw.frame
        frame = [*writer.pieces(path, whole, first, first + raw.frame, seed=n, n=3, pause=0.05)]
        counted = [] if when == "at the end" else [count(path, raw, n + 1)]
        steps += [*counted, *frame] if when == "before" else [*frame, *counted]
    if when == "at the end":
        steps += [count(path, raw, raw.frames)]
    steps += [["append", str(path), str(whole), raw.header + raw.frames * raw.frame, len(raw.data)]]
    seen = watched(record, settings, writer.start(tmp_path / "plan", steps))
    assert seen[-1] == [(1, "complete", raw.frames, raw.frames)]
    assert all(len(rows) <= 1 and (not rows or rows[0][0] == 1) for rows in seen)
    frames = [rows[0][2] for rows in seen if rows]
    assert frames == sorted(frames)
    assert all(rows[0][2] > 0 for rows in seen if rows and rows[0][1] == "complete")
    if when != "at the end":
        assert len(set(frames)) > 2  # it was followed, not taken up when it lay there


def test_a_run_that_was_taken_for_ended_and_grows_again_is_the_same_run_grown(record, settings, tmp_path, golden_runs):
    whole, path = golden_runs / "run0008.fits", settings.incoming[0] / "run0008.fits"
    raw = Raw(whole.read_bytes())
    path.write_bytes(raw.cut(4.3))
    steps = [["sleep", 2.5 * SILENT], *writer.pieces(path, whole, len(raw.cut(4.3)), seed=5)]
    seen = watched(record, settings, writer.start(tmp_path / "plan", steps))
    assert next(rows[0][:3] for rows in seen if rows) == (1, "growing", 4)
    assert (1, "complete", 4) in [rows[0][:3] for rows in seen if rows]
    assert seen[-1] == [(1, "complete", 10, 10)]


@pytest.mark.parametrize("name", ["run002", "run005"])
def test_a_dat_that_grows_is_one_run_with_all_its_frames(record, settings, tmp_path, golden, name):
    folder = settings.incoming[0]
    shutil.copyfile(golden / "ultracam" / f"{name}.xml", folder / f"{name}.xml")
    whole = golden / "ultracam" / f"{name}.dat"
    process = writer.start(tmp_path / "plan", writer.pieces(folder / f"{name}.dat", whole, seed=2, n=30, pause=0.05))
    seen = watched(record, settings, process)
    wanted = {"run002": 21, "run005": 20}[name]
    assert seen[-1] == [(1, "complete", wanted, wanted)]
    assert len({rows[0][2] for rows in seen if rows}) > 2


def test_hcm_files_that_come_one_after_the_other_are_one_run_that_grows(record, settings, tmp_path, golden_runs):
    steps = []
    for n in range(1, 9):
        steps += writer.pieces(
            settings.incoming[0] / f"run0008_{n:03d}.hcm", golden_runs / f"run0008_{n:03d}.hcm", seed=n, n=4, pause=0.04
        )
    seen = watched(record, settings, writer.start(tmp_path / "plan", steps))
    assert seen[-1] == [(1, "complete", 8, 8)]
    frames = [rows[0][2] for rows in seen if rows]
    assert frames == sorted(frames)
    assert len(set(frames)) > 2
    assert {rows[0][:2] for rows in seen if rows} == {(1, "growing"), (1, "complete")}


def test_a_run_longer_than_its_header_says_has_the_frames_of_the_header_until_that_is_put_right(
    record, settings, tmp_path, golden_runs
):
    path = settings.incoming[0] / "run0008.fits"
    raw = Raw((golden_runs / "run0008.fits").read_bytes())
    path.write_bytes(raw.number("NAXIS3", 3))
    seen = watched(record, settings, writer.start(tmp_path / "plan", [["sleep", SILENT], count(path, raw, raw.frames)]))
    assert next(rows[0][:3] for rows in seen if rows) == (1, "complete", 3)
    assert seen[-1] == [(1, "complete", 10, 10)]


def test_the_last_frames_of_a_run_are_there_before_its_bytes_are_read_once_more(record, settings, golden_runs, monkeypatch):
    whole, path = golden_runs / "run0008.fits", settings.incoming[0] / "run0008.fits"
    raw = Raw(whole.read_bytes())
    watch, said = Watch(record, settings, cameras(None)), []
    store = Batch.store_one

    def noted(batch, pending):
        run = pending.reading.run
        outcome = store(batch, pending)
        said.append((run.frames, run.ended, state(record)[-1][1:]))
        return outcome

    monkeypatch.setattr(Batch, "store_one", noted)
    for size in (raw.header + 4 * raw.frame, raw.header + 7 * raw.frame, len(raw.data)):
        path.write_bytes(raw.data[:size])
        watch.look_for_news()
    assert said == [
        (7, False, ("growing", 7, 7)),
        (10, False, ("growing", 10, 10)),
        (10, True, ("complete", 10, 10)),
    ]


def test_a_run_is_followed_while_a_large_one_that_has_ended_is_read_once_more(record, settings, golden_runs, monkeypatch):
    ended, growing = (settings.incoming[0] / f"run000{n}.fits" for n in (7, 8))
    raw = Raw((golden_runs / "run0008.fits").read_bytes())
    watch, go_on, read = Watch(record, settings, cameras(None)), threading.Event(), endings.found_files

    def slowly(*arguments):
        if arguments[0].run.ended:
            assert go_on.wait(10.0), "nothing else was looked at meanwhile"
        return read(*arguments)

    monkeypatch.setattr(registrar, "LARGE", 0)
    for module in (endings, registrar, batch):
        monkeypatch.setattr(module, "found_files", slowly)
    ended.write_bytes(raw.cut(7))
    growing.write_bytes(raw.cut(4))
    watch.look_for_news()
    ended.write_bytes(raw.data)
    watch.look_for_news()
    growing.write_bytes(raw.cut(6))
    watch.look_for_news()
    assert state(record) == [(1, "growing", 10, 10), (1, "growing", 6, 6)]
    go_on.set()
    end = time.monotonic() + 10.0
    while state(record)[0][1] != "complete" and time.monotonic() < end:
        watch.look_for_news()
        time.sleep(0.05)
    assert state(record) == [(1, "complete", 10, 10), (1, "growing", 6, 6)]


def test_a_large_run_that_changes_while_it_is_read_once_more_is_read_anew(record, settings, golden_runs, monkeypatch):
    path = settings.incoming[0] / "run0008.fits"
    raw = Raw((golden_runs / "run0008.fits").read_bytes())
    watch, read = Watch(record, settings, cameras(None)), endings.found_files

    def changed(*arguments):
        found = read(*arguments)
        if path.stat().st_size == len(raw.data):
            path.write_bytes(raw.flipped() + bytes(2880))
        return found

    monkeypatch.setattr(registrar, "LARGE", 0)
    monkeypatch.setattr(endings, "found_files", changed)
    path.write_bytes(raw.cut(7))
    watch.look_for_news()
    path.write_bytes(raw.data)
    end = time.monotonic() + 10.0
    while state(record)[-1][1] != "complete" and time.monotonic() < end:
        watch.look_for_news()
        time.sleep(0.05)
    assert state(record) == [(1, "superseded", 10, 10), (2, "complete", 10, 10)]
