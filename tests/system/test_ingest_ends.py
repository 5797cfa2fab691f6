"""When a run has ended, that it is taken up again if it grows after all, and what of it was taken and is missing."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select

from roque.archive import Record
from roque.archive.models import Frame, Run
from roque.archive.schema import upgrade
from roque.instruments import cameras
from roque.settings import load_settings
from services.ingest.watch import Watch
from tests.support.damage import BLOCK, Raw

EVER = 3600.0


@pytest.fixture(scope="module")
def raw(golden_runs) -> Raw:
    return Raw((golden_runs / "run0008.fits").read_bytes())


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "incoming").mkdir()
    return tmp_path / "incoming"


@pytest.fixture
def watching(tmp_path, folder):
    """Watch the folder with some patience; a look gives the run that was registered last."""
    record = Record(f"sqlite:///{tmp_path / 'home' / 'record.sqlite'}")
    upgrade(record)

    def watch(silent_seconds: float):
        settings = load_settings(home=tmp_path / "home", incoming=[folder], silent_seconds=silent_seconds)
        one = Watch(record, settings, cameras(None))

        def look() -> Run | None:
            one.look_for_news()
            with record.reading() as session:
                runs = session.scalars(select(Run).order_by(Run.id.desc())).unique().all()
                for run in runs:
                    rows = session.scalar(select(func.count()).where(Frame.run_id == run.id))
                    assert (rows, run.version) == (run.frames * len(run.windows), 1)
                return runs[0] if runs else None

        return look

    yield watch
    record.close()


def come_to(look, state: str, frames: int, seconds: float = 20.0) -> Run:
    end = time.monotonic() + seconds
    while (run := look()) is None or (run.state, run.frames) != (state, frames):
        assert time.monotonic() < end, run and (run.state, run.frames)
        time.sleep(0.05)
    return run


def header_of(raw: Raw, frames: int) -> bytes:
    return raw.number("NAXIS3", frames)[: raw.header]


def test_a_run_ends_when_the_frames_are_there_that_its_header_announced(watching, folder, raw):
    look = watching(EVER)
    for frames, state in ((4, "growing"), (9, "growing"), (10, "complete")):
        (folder / "run0008.fits").write_bytes(raw.cut(frames))
        come_to(look, state, frames)


def test_a_number_of_frames_that_is_written_anew_with_each_says_nothing_but_a_filled_last_block_does(watching, folder, raw):
    assert (raw.header + 10 * raw.frame) % BLOCK
    look, path = watching(EVER), folder / "run0008.fits"
    path.write_bytes(header_of(raw, 2) + raw.data[raw.header : raw.header + 2 * raw.frame])
    come_to(look, "complete", 2)  # nobody can know yet
    for frames in (4, 6, 10):
        with path.open("r+b") as file:
            file.seek(0, 2)
            file.write(raw.data[file.tell() : raw.header + frames * raw.frame])
            file.seek(0)
            file.write(header_of(raw, frames))
        come_to(look, "growing", frames)
    with path.open("ab") as file:
        file.write(bytes(-file.tell() % BLOCK))
    run = come_to(look, "complete", 10)
    assert run.frames_missing == 0


def test_a_run_without_a_mark_ends_by_silence_and_goes_on_when_it_grows_again(watching, folder, golden):
    look = watching(0.5)
    xml = (golden / "ultracam" / "run002.xml").read_text()
    (folder / "run002.xml").write_text(re.sub(r'(name="NO_EXPOSURES" value=)"-?\d+"', r'\1"-1"', xml))
    data = (golden / "ultracam" / "run002.dat").read_bytes()
    size = int(re.search(r'framesize="(\d+)"', xml)[1])
    for frames in (3, 5):
        (folder / "run002.dat").write_bytes(data[: int((frames + 0.5) * size)])
        come_to(look, "growing", frames)
        come_to(look, "complete", frames)
    run = look()
    assert run.unsettled
    assert run.frames_expected is None
    assert run.problems[0]["message"].startswith("the run is cut short inside frame 6")


def test_ultracam_has_ended_with_the_frames_that_were_asked_for(watching, folder, golden):
    xml = (golden / "ultracam" / "run002.xml").read_text()
    (folder / "run002.xml").write_text(re.sub(r'(name="NO_EXPOSURES" value=)"-?\d+"', r'\1"4"', xml))
    size = int(re.search(r'framesize="(\d+)"', xml)[1])
    look = watching(EVER)
    for frames, state in ((3, "growing"), (4, "complete")):
        (folder / "run002.dat").write_bytes((golden / "ultracam" / "run002.dat").read_bytes()[: frames * size])
        run = come_to(look, state, frames)
    assert (run.frames_expected, run.frames_missing) == (4, 0)


def test_frames_that_the_camera_dropped_and_those_lost_at_the_end_are_missing(watching, folder, raw):
    # the fifth was dropped, so that nine were to be written; of these the last two are lost
    data = header_of(raw, 9) + raw.cut(4)[raw.header :] + raw.data[raw.header + 5 * raw.frame : raw.header + 8 * raw.frame]
    (folder / "run0008.fits").write_bytes(data)
    growing = come_to(watching(EVER), "growing", 7)
    assert (growing.frames_expected, growing.frames_dropped, growing.frames_missing) == (9, 1, 1)
    run = come_to(watching(0.0), "complete", 7)
    assert (run.frames_expected, run.frames_dropped, run.frames_missing) == (9, 1, 3)


def test_a_damaged_counter_is_no_dropped_frame_and_its_time_is_bad(watching, folder, raw):
    look, path = watching(0.0), folder / "run0008.fits"
    path.write_bytes(raw.data)
    good = come_to(look, "complete", 10)
    path.unlink()
    (folder / "run0009.fits").write_bytes(raw.stamped({3: b"\xff" * 36}))
    bad = come_to(look, "complete", 10)
    assert bad.name == "run0009"
    assert (good.frames_dropped, good.frames_missing) == (bad.frames_dropped, bad.frames_missing) == (0, 0)
    assert bad.bad_times == good.bad_times + 1


def test_ultracam_frames_that_were_dropped_are_counted(watching, folder, golden):
    xml = (golden / "ultracam" / "run002.xml").read_text()
    size = int(re.search(r'framesize="(\d+)"', xml)[1])
    data = (golden / "ultracam" / "run002.dat").read_bytes()
    (folder / "run002.xml").write_text(re.sub(r'(name="NO_EXPOSURES" value=)"-?\d+"', r'\1"-1"', xml))
    (folder / "run002.dat").write_bytes(data[: 3 * size] + data[5 * size :])
    run = come_to(watching(0.0), "complete", len(data) // size - 2)
    assert (run.frames_dropped, run.frames_missing) == (2, 2)


@pytest.mark.parametrize("size", ["laptop"])
def test_a_run_that_was_reduced_as_ended_and_grows_again_has_its_new_frames_measured(home, folder, raw):
    path = folder / "run0008.fits"
    path.write_bytes(raw.cut(6))
    home.night(folder)
    before, (reduction,) = home.measurements("run0008"), home.show("run0008")["reductions"]
    path.write_bytes(raw.data)
    _, lines = home.night(folder)
    assert lines["run0008"]["state"] == "done"
    after, shown = home.measurements("run0008"), home.show("run0008")
    assert [one["name"] for one in shown["reductions"]] == [reduction["name"]]  # its apertures stand: what was measured stays
    assert set(np.unique(after["frame"])) == set(range(1, 11))
    for column in before.dtype.names:
        np.testing.assert_array_equal(after[column][: len(before)], before[column], column)
    assert (shown["version"], shown["frames"], shown["frames_missing"]) == (1, 10, 0)
    (listed,) = map(json.loads, home.roque("run", "list", "--json").stdout.splitlines())
    numbers = ("frames_expected", "frames", "frames_dropped", "frames_missing", "bad_times")
    assert [listed[name] for name in numbers] == [shown[name] for name in numbers] == [10, 10, 0, 0, 3]
    (told,) = map(json.loads, home.roque("sql", f"SELECT {', '.join(numbers)} FROM runs", "--json").stdout.splitlines())
    assert told == {name: shown[name] for name in numbers}
