"""What becomes of files in an incoming folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from roque.archive import Record
from roque.archive.models import Frame, RawFile, Run
from roque.archive.schema import upgrade
from roque.errors import Unreachable
from roque.instruments import cameras
from roque.instruments.plugins import plugins
from roque.registration import batch, failures
from roque.settings import Settings
from services.ingest.app import work
from services.ingest.watch import Watch
from tests.support.described import image
from tests.support.plugged import RUN, install


def look(record: Record, settings: Settings) -> int:
    return Watch(record, settings, cameras(None)).look()


def runs(record: Record) -> list[Run]:
    with record.reading() as session:
        return list(session.scalars(select(Run).order_by(Run.id)).unique())


def whole(golden_runs: Path, name: str = "run0008") -> bytes:
    return (golden_runs / f"{name}.fits").read_bytes()


def test_a_run_is_registered_with_a_row_for_each_frame_and_ccd(record, settings, incoming, golden_runs):
    shutil.copy(golden_runs / "run0008.fits", incoming)
    look(record, settings)
    (run,) = runs(record)
    assert (run.path, run.state, run.frames, run.kind) == ("hipercam/2026-03-14/run0008", "complete", 10, "science")
    with record.reading() as session:
        rows = session.scalars(select(Frame).where(Frame.run_id == run.id)).all()
    assert {(row.number, row.ccd) for row in rows} == {(n, str(ccd)) for n in range(1, 11) for ccd in range(1, 6)}
    # nskips 2 0 1 0 4: CCD 5 is read out in every fifth frame
    assert [row.number for row in rows if row.ccd == "5" and row.data_ok] == [5, 10]


def test_looking_again_changes_nothing_and_a_new_process_knows_what_was_done(record, settings, incoming, golden_runs):
    shutil.copy(golden_runs / "run0008.fits", incoming)
    assert look(record, settings) == 1
    assert look(record, settings) == 0


def test_a_growing_run_is_one_run(record, settings, incoming, golden_runs):
    data, path = whole(golden_runs), incoming / "run0008.fits"
    slow = settings.model_copy(update={"silent_seconds": 3600.0})
    watch = Watch(record, slow, cameras(None))
    seen = []
    for part in (0.1, 0.4, 0.7, 1.0):
        path.write_bytes(data[: int(part * len(data))])
        watch.look()
        seen.append([(run.state, run.frames) for run in runs(record)])
    assert seen[0] == []  # the header alone is no run yet
    assert [len(rows) for rows in seen[1:]] == [1, 1, 1]
    frames = [rows[0][1] for rows in seen[1:]]
    assert frames == sorted(frames)
    assert seen[-1] == [("complete", 10)]


def test_a_grown_run_has_the_frames_of_the_run_read_at_once(record, settings, incoming, golden_runs, tmp_path):
    data, path = whole(golden_runs), incoming / "run0008.fits"
    watch = Watch(record, settings.model_copy(update={"silent_seconds": 3600.0}), cameras(None))
    for part in (0.5, 1.0):
        path.write_bytes(data[: int(part * len(data))])
        watch.look()
    other = settings.model_copy(update={"home": tmp_path / "other"})
    at_once = Record(f"sqlite:///{tmp_path / 'at_once.sqlite'}")
    upgrade(at_once)
    look(at_once, other)
    columns = (Frame.number, Frame.ccd, Frame.mjd_int, Frame.mjd_frac, Frame.exposure, Frame.time_ok, Frame.data_ok)
    rows = []
    for database in (record, at_once):
        with database.reading() as session:
            rows.append(session.execute(select(*columns).order_by(Frame.number, Frame.ccd)).all())
    assert rows[0] == rows[1]


def test_other_bytes_in_frames_already_read_are_a_new_version(record, settings, incoming, golden_runs):
    path = incoming / "run0008.fits"
    path.write_bytes(whole(golden_runs))
    look(record, settings)
    changed = bytearray(whole(golden_runs))
    changed[len(changed) // 2] ^= 1
    path.write_bytes(changed)
    os.utime(path, ns=(1, 1))
    look(record, settings)
    assert [(run.version, run.state) for run in runs(record)] == [(1, "superseded"), (2, "complete")]


def test_the_same_content_elsewhere_is_a_second_location(record, settings, incoming, golden_runs):
    for folder in ("a", "b"):
        (incoming / folder).mkdir()
        shutil.copy(golden_runs / "run0008.fits", incoming / folder)
    look(record, settings)
    assert len(runs(record)) == 1
    with record.reading() as session:
        assert [file.duplicate for file in session.scalars(select(RawFile).order_by(RawFile.path))] == [False, True]


def test_the_same_name_with_other_content_elsewhere_is_a_conflict_and_the_first_stays(record, settings, incoming, golden_runs):
    for folder in ("a", "b"):
        (incoming / folder).mkdir()
    (incoming / "a" / "run0008.fits").write_bytes(whole(golden_runs))
    look(record, settings)
    changed = bytearray(whole(golden_runs))
    changed[len(changed) // 2] ^= 1
    (incoming / "b" / "run0008.fits").write_bytes(changed)
    look(record, settings)
    first, second = runs(record)
    assert (first.state, second.state) == ("complete", "conflict")
    assert second.problems[0]["file"] == str(incoming / "b" / "run0008.fits")
    assert "rename" in second.problems[0]["remedy"]


def test_a_run_that_was_moved_stays_the_same_run(record, settings, incoming, golden_runs):
    for folder in ("a", "b"):
        (incoming / folder).mkdir()
    (incoming / "a" / "run0008.fits").write_bytes(whole(golden_runs))
    look(record, settings)
    (incoming / "a" / "run0008.fits").rename(incoming / "b" / "run0008.fits")
    look(record, settings)
    assert [(run.version, run.state) for run in runs(record)] == [(1, "complete")]


def test_a_file_that_is_not_fits_is_recorded_and_the_rest_goes_on(record, settings, incoming, golden_runs):
    (incoming / "run0007.fits").write_text("no FITS file\n" * 500)
    shutil.copy(golden_runs / "run0008.fits", incoming)
    look(record, settings)
    bad, good = sorted(runs(record), key=lambda run: run.name)
    assert (bad.name, bad.state, good.state) == ("run0007", "failed", "complete")
    problem = bad.problems[0]
    assert problem["file"].endswith("run0007.fits")
    assert problem["remedy"]
    assert look(record, settings) == 0


def test_a_file_that_becomes_readable_later_is_a_run_then(record, settings, incoming, golden_runs):
    (incoming / "run0008.fits").write_bytes(whole(golden_runs)[:1000])
    look(record, settings)
    (incoming / "run0008.fits").write_bytes(whole(golden_runs))
    look(record, settings)
    assert sorted((run.instrument.name, run.state) for run in runs(record)) == [
        ("hipercam", "complete"),
        ("unknown", "superseded"),
    ]


def test_a_run_cut_inside_a_frame_keeps_its_whole_frames_and_says_what_is_lost(record, settings, incoming, golden_runs):
    (incoming / "run0008.fits").write_bytes(whole(golden_runs)[: len(whole(golden_runs)) * 6 // 10])
    look(record, settings)
    (run,) = runs(record)
    assert run.state == "complete"
    assert 0 < run.frames < 10
    (lost,) = [p for p in run.problems if p["severity"] == "error"]
    assert f"frame {run.frames + 1}" in lost["message"]


@pytest.mark.parametrize("name", ["a..%2f..%2fetc.fits", "run;rm -rf.fits", "run\n0008.fits", "r" * 200 + ".fits"])
def test_hostile_names_end_as_recorded_errors(record, settings, incoming, golden_runs, name):
    shutil.copy(golden_runs / "run0008.fits", incoming / name)
    look(record, settings)
    (run,) = runs(record)
    assert run.state == "failed"
    assert set(run.name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def test_apertures_beside_a_run_belong_to_it_and_a_change_of_them_reopens_it(record, settings, incoming, golden_runs):
    shutil.copy(golden_runs / "run0008.fits", incoming)
    (incoming / "run0008.ape").write_text("first")
    look(record, settings)
    with record.writing() as session:
        run = session.scalars(select(Run)).unique().one()
        assert run.hints["apertures"]["text"] == "first"
        run.unsettled = False
    (incoming / "run0008.ape").write_text("second")
    look(record, settings)
    (run,) = runs(record)
    assert run.hints["apertures"]["text"] == "second"
    assert run.unsettled


def test_images_of_one_object_and_filter_are_one_run_in_the_order_of_their_times(record, settings, incoming, golden):
    raw = sorted((golden / "hatp32" / "raw").iterdir())[:6]
    for path in raw[:4]:
        shutil.copy(path, incoming)
    look(record, settings)
    (run,) = runs(record)
    assert run.frames == 4
    for path in raw[4:]:
        shutil.copy(path, incoming)
    look(record, settings)
    (run,) = runs(record)
    assert (run.version, run.frames) == (1, 6)


def test_an_image_that_comes_late_and_belongs_between_makes_a_new_version(record, settings, incoming, golden):
    raw = sorted((golden / "hatp32" / "raw").iterdir())[:3]
    for path in (raw[0], raw[2]):
        shutil.copy(path, incoming)
    look(record, settings)
    shutil.copy(raw[1], incoming)
    look(record, settings)
    assert [(run.version, run.state, run.frames) for run in runs(record)] == [(1, "superseded", 2), (2, "complete", 3)]


def test_looking_for_news_alone_registers_new_and_growing_files(record, settings, incoming, golden_runs):
    data, path = whole(golden_runs), incoming / "run0008.fits"
    watch = Watch(record, settings.model_copy(update={"silent_seconds": 3600.0}), cameras(None))
    assert watch.look() == 0
    frames = []
    for part in (0.4, 0.7, 1.0):
        path.write_bytes(data[: int(part * len(data))])
        watch.look_for_news()
        frames.append(runs(record)[0].frames)
    assert 0 < frames[0] < frames[1] < frames[2] == 10
    assert watch.look_for_news() == 0


def test_a_file_that_fell_silent_ends_though_only_news_are_looked_for(record, settings, incoming, golden_runs):
    (incoming / "run0008.fits").write_bytes(whole(golden_runs)[:-100_000])
    watch = Watch(record, settings.model_copy(update={"silent_seconds": 0.2}), cameras(None))
    watch.look_for_news()
    assert runs(record)[0].state == "growing"
    time.sleep(0.3)
    watch.look_for_news()
    assert runs(record)[0].state == "complete"


def test_frames_that_were_made_of_others_are_no_data_to_make_masters_of(record, settings, incoming, golden_runs):
    shutil.copy(golden_runs / "flat.hcm", incoming)
    for number in (1, 3):
        shutil.copy(golden_runs / f"run0008_00{number}.hcm", incoming)
    look(record, settings)
    assert [(run.name, run.kind, run.frames) for run in runs(record)] == [("flat", "other", 1), ("run0008", "science", 2)]


@pytest.mark.parametrize("name", ["run0008.fits", "junk.fits"])
def test_a_file_that_the_record_did_not_take_is_recorded_soon(record, settings, incoming, golden_runs, monkeypatch, name):
    shutil.copy(golden_runs / "run0008.fits", incoming / name)
    if name == "junk.fits":
        (incoming / name).write_text("no FITS")
    away = iter([True, True])

    def restarting(register):
        def restarted(*arguments):
            if next(away, False):
                raise Unreachable("the database system is starting up")
            return register(*arguments)

        return restarted

    for module, registers in ((batch, "register_new"), (failures, "register_failure")):
        monkeypatch.setattr(module, registers, restarting(getattr(module, registers)))
    silent = 0.1 if name == "junk.fits" else 3600.0
    watch = Watch(record, settings.model_copy(update={"silent_seconds": silent}), cameras(None))
    end = time.monotonic() + 20
    while not runs(record):
        with contextlib.suppress(Unreachable):
            watch.look_for_news()
        assert time.monotonic() < end
        time.sleep(0.05)
    assert [run.state for run in runs(record)] == ["failed" if name == "junk.fits" else "complete"]


def test_a_run_of_images_keeps_the_one_whose_time_cannot_be_read(record, settings, incoming):
    for n, minute in enumerate((1, None, 7), start=1):
        time = "gone" if minute is None else f"2017-12-20T01:{minute:02d}:00"
        image(incoming / f"a{n}.fits", {"UT-OBS": time})
    look(record, settings)
    (run,) = runs(record)
    assert (run.state, run.frames) == ("complete", 3)
    with record.reading() as session:
        rows = session.scalars(select(Frame).where(Frame.run_id == run.id).order_by(Frame.number)).all()
    assert [row.time_ok for row in rows] == [True, False, True]
    (problem,) = run.problems
    assert "frame 2 has no time" in str(problem)


def test_a_plug_in_is_watched_as_roques_own_formats_and_its_mistakes_are_those_of_one_file(
    record, settings, incoming, monkeypatch, tmp_path
):
    monkeypatch.syspath_prepend(str(install(tmp_path / "site", {"toy": "toycam:INSTRUMENT"})))
    plugins.cache_clear()
    try:
        (incoming / "run7.toy").write_text(RUN + "02\n")
        (incoming / "run8.toy").write_text("NOT toy-a 40 30 x\n")
        image(incoming / "a.fits")
        look(record, settings)
    finally:
        monkeypatch.undo()
        sys.modules.pop("toycam", None)
        plugins.cache_clear()
    found = {run.name: run for run in runs(record)}
    assert (found["run7"].path, found["run7"].frames) == ("toy-b/2026-03-14/run7", 3)
    assert found["run8"].state == "failed"
    assert "ZeroDivisionError" in str(found["run8"].problems)
    assert found["HATP-32_Clear_65x50"].state == "complete"


def test_ingest_goes_on_with_the_cameras_that_it_can_use_and_says_which_it_cannot(record, settings, tmp_path, incoming, capsys):
    (tmp_path / "cameras").mkdir()
    (tmp_path / "cameras" / "half.toml").write_text("name = 'half'\nseeing = good\n")
    image(incoming / "a.fits")
    stop = threading.Event()
    worker = threading.Thread(target=work, args=(settings.model_copy(update={"cameras": tmp_path / "cameras"}), stop))
    worker.start()
    until = time.monotonic() + 30
    while not runs(record) and time.monotonic() < until:
        time.sleep(0.05)
    stop.set()
    worker.join(30)
    assert [run.state for run in runs(record)] == ["complete"]
    assert "half.toml, line 2, column 10" in capsys.readouterr().out
