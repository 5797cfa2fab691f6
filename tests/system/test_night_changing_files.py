"""Files that change, vanish or cannot be read for a while: what they are in the end is what is reduced."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from roque.archive import Record
from roque.archive.models import Run
from roque.archive.open import open_run
from roque.archive.schema import upgrade
from roque.errors import Transient
from roque.instruments import cameras
from roque.registration import registrar
from roque.settings import load_settings
from services.ingest.watch import Watch
from tests.support.damage import Raw, errors


@pytest.fixture(scope="module")
def raw(golden_runs) -> Raw:
    return Raw((golden_runs / "run0008.fits").read_bytes())


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "night").mkdir()
    return tmp_path / "night"


@pytest.fixture
def ingest(home, folder, monkeypatch):
    """Ingest as `night reduce` has it look at the folder, in this process, and its record."""
    monkeypatch.setattr(registrar, "AGAIN_SECONDS", 0.0)
    settings = load_settings(home=home.folder, incoming=[folder], silent_seconds=0, urgent=True, **home.settings)
    settings.folder.mkdir(parents=True)
    record = Record(settings.database)
    upgrade(record)
    yield Watch(record, settings, cameras(None)), record
    record.close()


class Refusal:
    """Keeps a file from being opened, as missing rights do, or from being read, as a failing disk does."""

    def __init__(self, patch: pytest.MonkeyPatch, path: Path, number: int) -> None:
        self._patch = patch
        os_open, path_open, pread = os.open, Path.open, os.pread

        def refuse(asked: object) -> None:
            if str(asked) == str(path):
                raise OSError(number, os.strerror(number), str(path))

        def opened(asked, *rest, **named):
            if number == errno.EACCES:
                refuse(asked)
            return os_open(asked, *rest, **named)

        def opened_path(self, *rest, **named):
            refuse(self)
            return path_open(self, *rest, **named)

        def read(descriptor, *rest):
            if number == errno.EIO and os.path.samestat(os.fstat(descriptor), path.stat()):
                raise OSError(number, os.strerror(number))
            return pread(descriptor, *rest)

        patch.setattr(os, "open", opened)
        patch.setattr(Path, "open", opened_path)
        patch.setattr(os, "pread", read)

    def end(self) -> None:
        """Let the file be read again; nothing about it has changed."""
        self._patch.undo()


@pytest.fixture(params=[errno.EACCES, errno.EIO], ids=["rights", "disk"])
def refuse(request):
    """A function that makes a refusal of a file."""
    patch = pytest.MonkeyPatch()
    yield lambda path: Refusal(patch, path, request.param)
    patch.undo()


def runs(record: Record) -> list[Run]:
    with record.reading() as session:
        return list(session.scalars(select(Run).order_by(Run.id)).unique())


def test_a_run_that_grows_and_one_that_is_replaced_meanwhile_end_as_if_they_had_lain_there(home, folder, raw):
    for name, data in (("whole", raw.data), ("growing", raw.cut(1.5)), ("replaced", raw.flipped())):
        (folder / f"{name}.fits").write_bytes(data)

    def write() -> None:
        for part in np.linspace(2.0, 10.0, 17):
            with (folder / "growing.fits").open("ab") as file:
                file.write(raw.cut(part)[file.tell() :])
            pause.wait(0.25)
        with (folder / "growing.fits").open("ab") as file:
            file.write(raw.data[file.tell() :])
        (folder / "replaced.fits").write_bytes(raw.data)

    pause = threading.Event()
    writer = threading.Thread(target=write)
    writer.start()
    home.night(folder)
    writer.join()
    code, lines = home.night(folder)
    assert code == 0
    whole = home.measurements("whole")
    for name in ("growing", "replaced"):
        assert lines[name]["state"] == "done"
        assert not errors(home.show(name))
        found = home.measurements(name)
        for column in whole.dtype.names:
            np.testing.assert_array_equal(found[column], whole[column], column)


def test_a_file_that_grows_while_its_bytes_are_digested_is_taken_up_again(ingest, folder, raw, monkeypatch):
    watch, record = ingest
    path, real = folder / "run.fits", registrar.found_files
    path.write_bytes(raw.cut(4.0))

    def interrupted(*arguments):
        with path.open("ab") as file:
            file.write(raw.data[file.tell() :])
        monkeypatch.setattr(registrar, "found_files", real)
        return real(*arguments)

    monkeypatch.setattr(registrar, "found_files", interrupted)
    assert watch.look() == 0
    assert runs(record) == []
    assert watch.look() == 1
    (run,) = runs(record)
    assert (run.state, run.frames, run.version) == ("complete", 10, 1)
    assert not [problem for problem in run.problems if problem["severity"] == "error"]


def test_a_job_whose_file_is_cut_under_its_hands_is_to_be_tried_again(ingest, folder, raw, tmp_path):
    watch, record = ingest
    path = folder / "run.fits"
    path.write_bytes(raw.data)
    watch.look()
    with record.reading() as session:
        run = session.scalars(select(Run)).unique().one()
        files = list(run.files)

    def read_while_it_is_cut() -> None:
        with open_run(run, files, tmp_path, cameras(None)) as source:
            path.write_bytes(raw.cut(4.0))
            source.frame(9)

    with pytest.raises(Transient, match="changed since it was registered"):
        read_while_it_is_cut()


def test_a_file_that_cannot_be_read_is_recorded_and_read_as_soon_as_it_can_be(ingest, folder, raw, refuse):
    watch, record = ingest
    (folder / "run.fits").write_bytes(raw.data)
    (folder / "other.fits").write_bytes(raw.data)
    refusal = refuse(folder / "run.fits")
    assert watch.look() == 2
    assert watch.look() == 0  # it is tried, and not recorded again
    failed, good = sorted(runs(record), key=lambda run: run.state != "failed")
    assert (good.name, good.state) == ("other", "complete")
    (problem,) = failed.problems
    assert problem["file"] == str(folder / "run.fits")
    assert "the file cannot be read: " in problem["message"]
    assert problem["remedy"]
    refusal.end()
    assert watch.look_for_news() == 1
    assert {(run.instrument.name, run.name, run.state) for run in runs(record)} == {
        ("unknown", "run", "superseded"), ("hipercam", "run", "complete"), ("hipercam", "other", "complete"),
    }  # fmt: skip


def test_a_run_whose_file_cannot_be_read_any_more_stays_a_run_and_says_so_for_as_long(ingest, folder, raw, refuse):
    watch, record = ingest
    path = folder / "run.fits"
    path.write_bytes(raw.data)
    watch.look()
    os.utime(path, ns=(1, 1))
    refusal = refuse(path)
    assert watch.look() == 1
    (run,) = runs(record)
    assert (run.state, run.instrument.name) == ("complete", "hipercam")
    assert "cannot be read" in run.problems[-1]["message"]
    refusal.end()
    watch.look()
    (run,) = runs(record)
    assert not [problem for problem in run.problems if problem["severity"] == "error"]


def test_the_command_looks_again_at_what_could_not_be_read_though_nothing_about_the_file_has_changed(
    ingest, home, folder, raw, refuse
):
    (folder / "run.fits").write_bytes(raw.data)
    refusal = refuse(folder / "run.fits")
    ingest[0].look()
    refusal.end()
    code, lines = home.night(folder)
    assert code == 0
    assert {(line["name"], line["state"]) for line in lines.values()} == {("hipercam/2026-03-14/run", "done")}


def test_a_run_whose_file_vanished_before_it_was_reduced_fails_readably_and_is_retried_when_it_is_back(
    ingest, home, folder, raw
):
    for name in ("gone", "kept"):
        (folder / f"{name}.fits").write_bytes(raw.data)
    ingest[0].look()
    (folder / "gone.fits").unlink()
    code, lines = home.night(folder)
    assert code == 1
    assert {name: line["state"] for name, line in lines.items()} == {"gone": "failed", "kept": "done"}
    (error,) = errors(home.show("gone"))
    assert error["file"] == str(folder / "gone.fits")
    assert error["message"] == "the raw file is no longer there"
    assert "bring it back" in error["remedy"]
    (folder / "gone.fits").write_bytes(raw.data)
    assert home.roque("run", "retry", "gone").returncode == 0
    code, lines = home.night(folder)
    assert (code, lines["gone"]["state"]) == (0, "done")
