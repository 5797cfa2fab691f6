"""What becomes of runs of ULTRACAM and ULTRASPEC, two files each, in an incoming folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from sqlalchemy import select

from roque.archive.models import Frame, RawFile, Run
from roque.instruments import cameras
from services.ingest.watch import Watch


@pytest.fixture
def place(golden, incoming):
    """Copy files of the golden runs into the incoming folder."""

    def put(*names: str) -> None:
        for name in names:
            shutil.copyfile(golden / "ultracam" / name, incoming / name)

    return put


def look(record, settings) -> int:
    return Watch(record, settings, cameras(None)).look()


def runs(record):
    with record.reading() as session:
        return list(session.scalars(select(Run).order_by(Run.id)).unique())


def files(record):
    with record.reading() as session:
        rows = session.scalars(select(RawFile).order_by(RawFile.position)).unique()
        return [(Path(row.path).name, row.run.path if row.run else None, row.data_size) for row in rows]


def problems(run):
    return [(p["message"], Path(p["file"]).name, p["remedy"]) for p in run.problems]


def test_two_files_are_one_run_with_a_row_for_each_frame_and_ccd(record, settings, incoming, place):
    place("run002.xml", "run002.dat")
    assert look(record, settings) == 1
    (run,) = runs(record)
    assert (run.path, run.state, run.frames, run.kind) == ("ultracam/2018-06-05/run002", "complete", 21, "science")
    assert files(record) == [("run002.xml", run.path, 1835), ("run002.dat", run.path, 21 * 86048)]
    assert run.header["PARAMETERS"]["NBLUE"] == "3"
    with record.reading() as session:
        rows = session.scalars(select(Frame).where(Frame.run_id == run.id)).all()
    assert {(row.number, row.ccd) for row in rows} == {(n, ccd) for n in range(1, 22) for ccd in "123"}
    assert [row.number for row in rows if row.ccd == "3" and row.data_ok] == [3, 6, 9, 12, 15, 18, 21]
    assert [row.number for row in rows if row.ccd == "1" and not row.time_ok] == [1, 2, 9, 16]
    assert look(record, settings) == 0


def test_packed_files_are_the_same_run(record, settings, incoming, place, golden):
    import gzip

    for name in ("run005.xml", "run005.dat"):
        (incoming / f"{name}.gz").write_bytes(gzip.compress((golden / "ultracam" / name).read_bytes(), 1))
    look(record, settings)
    (run,) = runs(record)
    assert (run.path, run.state, run.frames) == ("ultraspec/2019-01-12/run005", "complete", 20)


def test_a_growing_run_is_one_run(record, settings, incoming, place, golden):
    data = (golden / "ultracam" / "run002.dat").read_bytes()
    slow = settings.model_copy(update={"silent_seconds": 3600.0})
    watch = Watch(record, slow, cameras(None))
    place("run002.xml")
    watch.look()
    assert runs(record) == []  # the camera writes it first
    seen = []
    for part in (0.0, 0.03, 0.4, 1.0):
        (incoming / "run002.dat").write_bytes(data[: int(part * len(data))])
        watch.look()
        seen.append([(run.state, run.frames) for run in runs(record)])
    assert seen == [[], [], [("growing", 8)], [("growing", 21)]]
    assert watch._undone == [str(incoming / "run002.dat")]  # the .xml alone is no reason to read the run again
    assert look(record, settings) == 1
    (run,) = runs(record)
    assert (run.state, run.frames, run.version) == ("complete", 21, 1)


def test_a_run_whose_first_frame_takes_long_is_not_bad_though_its_xml_is_old(record, settings, incoming, place, golden):
    place("run002.xml")
    os.utime(incoming / "run002.xml", (1e9, 1e9))
    xml = str(incoming / "run002.xml")
    (incoming / "run002.dat").write_bytes((golden / "ultracam" / "run002.dat").read_bytes()[:86000])
    watch = Watch(record, settings.model_copy(update={"silent_seconds": 600.0}), cameras(None))
    for _ in range(3):
        watch.look()
        assert runs(record) == []
        watch._files[xml].changed = -1e9  # seen long ago
    look(record, settings)  # nobody writes it any more
    (run,) = runs(record)
    assert (run.state, run.frames) == ("complete", 0)
    assert problems(run)[0][0] == "the run is cut short inside frame 1: 86000 of 86048 bytes are there"


@pytest.mark.parametrize(("there", "missing"), [("run002.xml", "run002.dat"), ("run002.dat", "run002.xml")])
def test_a_file_without_the_other_is_said_and_becomes_a_run_when_it_comes(record, settings, place, there, missing):
    place(there, "run005.xml", "run005.dat")
    look(record, settings)
    failed, other = sorted(runs(record), key=lambda run: run.name)
    assert (other.state, failed.state, failed.name) == ("complete", "failed", "run002")
    message, file, remedy = problems(failed)[0]
    assert (missing in message, file, remedy) == (True, there, f"copy {missing} into the same folder")
    place(missing)
    look(record, settings)
    states = [(run.path, run.state) for run in runs(record) if run.name == "run002"]
    assert [state for _, state in states] == ["superseded", "complete"]
    assert {path for _, path, _ in files(record)} == {"ultracam/2018-06-05/run002", other.path}


def test_a_bad_xml_is_one_record_and_a_good_one_makes_it_a_run(record, settings, incoming, place):
    place("run002.dat")
    (incoming / "run002.xml").write_text('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')
    look(record, settings)
    (failed,) = runs(record)
    assert failed.state == "failed"
    assert problems(failed) == [
        ("it declares entities, which no run does", "run002.xml", "copy the .xml again from the camera")
    ]
    assert look(record, settings) == 0
    place("run002.xml")
    look(record, settings)
    assert [(run.state, run.frames) for run in runs(record)] == [("superseded", 0), ("complete", 21)]


def test_other_frames_or_another_header_are_a_new_version(record, settings, incoming, place):
    place("run002.xml", "run002.dat")
    look(record, settings)
    data = bytearray((incoming / "run002.dat").read_bytes())
    data[1000] ^= 1
    (incoming / "run002.dat").write_bytes(data)
    look(record, settings)
    text = (incoming / "run002.xml").read_text()
    (incoming / "run002.xml").write_text(text.replace('"X1L_START" value="45"', '"X1L_START" value="47"'))
    look(record, settings)
    assert [(run.version, run.state) for run in runs(record)] == [(1, "superseded"), (2, "superseded"), (3, "complete")]
    assert runs(record)[-1].windows["1"]["1"][0] == 47


def test_a_cut_run_keeps_its_whole_frames_and_says_what_is_lost(record, settings, place):
    place("run008.xml", "run008.dat")
    look(record, settings)
    (run,) = runs(record)
    assert (run.state, run.frames) == ("complete", 3)
    assert problems(run)[0][0] == "the run is cut short inside frame 4: 66047 of 86048 bytes are there"


def test_a_run_that_switched_the_power_is_registered_without_frames(record, settings, place):
    place("run009.xml", "run009.dat")
    look(record, settings)
    (run,) = runs(record)
    assert (run.state, run.kind, run.mode, run.frames, run.problems) == ("complete", "other", "PONOFF", 0, [])


def test_other_files_of_such_names_are_nobodys(record, settings, incoming, place):
    for name in ("notes.dat", "config.xml", "run.xml", "runs002.dat"):
        (incoming / name).write_text("anything")
    assert look(record, settings) == 0
    assert files(record) == []
