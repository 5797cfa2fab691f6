"""Growing runs that are kept open: what is told of them is what a run opened afresh tells."""

from __future__ import annotations

import numpy as np
import pytest

from roque.registration.open_runs import MOST_OPEN, OpenRuns
from roque.spool import data_source
from roque.spool.hipercam import HipercamRun
from tests.support.damage import Raw


@pytest.fixture
def raw(golden_runs):
    return Raw((golden_runs / "run0008.fits").read_bytes())


class Opener:
    """Opens a run, and counts how often."""

    def __init__(self, path, source="hl"):
        self.path, self.source, self.times = path, source, 0

    def __call__(self):
        self.times += 1
        return data_source(self.source, self.path)


def look(runs, opener, paths, *, ended=False):
    with runs.opened(paths, opener, lambda _: ended) as source:
        return source.available, source.times(), source.info


def test_a_run_that_grows_is_opened_once_and_tells_what_one_opened_afresh_tells(tmp_path, raw):
    path, runs = tmp_path / "run0008.fits", OpenRuns()
    opener = Opener(path)
    for size in (*(raw.header + round(frames * raw.frame) for frames in (0.5, 1, 3.7, 4, 9)), len(raw.data)):
        with path.open("ab") as file:
            file.write(raw.data[path.stat().st_size : size])
        available, times, info = look(runs, opener, [path])
        with data_source("hl", path) as fresh:
            assert (available, info) == (fresh.available, fresh.info)
            np.testing.assert_array_equal(times, fresh.times())
    assert opener.times == 1
    look(runs, opener, [path], ended=True)
    assert opener.times == 2


def test_another_file_of_the_name_and_a_run_whose_header_was_written_anew_are_opened_afresh(tmp_path, raw, golden):
    path, runs = tmp_path / "run0008.fits", OpenRuns()
    path.write_bytes(raw.cut(4.3))
    opener = Opener(path)
    look(runs, opener, [path])
    (tmp_path / "other").write_bytes(raw.cut(6.0))
    (tmp_path / "other").rename(path)
    assert look(runs, opener, [path])[0] == 6
    assert opener.times == 2
    files = [tmp_path / f"run002{ending}" for ending in (".xml", ".dat")]
    for file in files:
        file.write_bytes((golden / "ultracam" / file.name).read_bytes())
    ultra = Opener(files, "ul")
    look(runs, ultra, files)
    look(runs, ultra, files)
    assert ultra.times == 1
    files[0].write_bytes(files[0].read_bytes() + b"\n")
    look(runs, ultra, files)
    assert ultra.times == 2


def test_no_more_are_kept_open_than_a_few_and_none_of_which_something_went_wrong(tmp_path, raw, monkeypatch):
    runs, opened, closed = OpenRuns(), [], []
    close = HipercamRun.close
    monkeypatch.setattr(HipercamRun, "close", lambda run: (closed.append(run), close(run)))

    def afresh(path):
        opened.append(data_source("hl", path))
        return opened[-1]

    for number in range(MOST_OPEN + 2):
        path = tmp_path / f"run{number:04d}.fits"
        path.write_bytes(raw.cut(2.0))
        look(runs, lambda path=path: afresh(path), [path])
    assert closed == opened[:2]
    with pytest.raises(ZeroDivisionError), runs.opened([path], lambda: afresh(path), lambda _: False):
        raise ZeroDivisionError
    look(runs, lambda: afresh(path), [path])
    assert len(opened) == MOST_OPEN + 3
    assert len(closed) == 3
