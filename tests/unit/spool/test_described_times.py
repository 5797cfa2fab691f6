"""Images whose time cannot be read: frames with a flagged time, as raw frames with a bad stamp are."""

from __future__ import annotations

import pytest

from roque.errors import BadInput
from roque.instruments import cameras
from roque.spool import data_source, inspect
from tests.support.described import image

KNOWN = cameras()
CAMERA = KNOWN["microobservatory"]


def stamp(minute):
    return f"2017-12-20T01:{minute:02d}:00.000-0000"


def night(folder, *times):
    return [image(folder / f"a{n}.fits", **{"UT-OBS": time}) for n, time in enumerate(times, start=1)]


@pytest.mark.parametrize("bad", ["gone", "yesterday", "2017-13-45T01:02:03", "0000-00-00T00:00:00", "1858-11-17T00:00:00"])
def test_a_frame_without_a_time_stands_after_that_before_it_by_name_and_its_time_is_flagged(tmp_path, bad):
    paths = night(tmp_path, stamp(1), bad, stamp(7))
    with data_source("fits", list(reversed(paths)), camera=CAMERA) as run:
        assert run.paths == paths
        times = run.times()
        assert times["time_ok"].tolist() == [True, False, True]
        assert times["data_ok"].all()
        assert times["mjd_int"].tolist() == [58107, 51544, 58107]
        frames = list(run)
        (problem,) = run.problems
    assert [ccd.time_ok for frame in frames for ccd in frame.ccds.values()] == [True, False, True]
    assert frames[1].header["GOODTIME"] is False
    assert frames[1].ccds["1"].mjd == pytest.approx(51544 + 2 / 86400)
    assert problem.file == str(paths[1])
    assert problem.message.startswith("frame 2 has no time")
    assert problem.place == "keyword UT-OBS"


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_such_a_file_belongs_to_the_run_of_those_around_it(tmp_path, bad):
    times = [stamp(1), stamp(4), stamp(7)]
    times[bad] = "gone"
    told = [inspect(path, KNOWN) for path in night(tmp_path, *times)]
    assert len({(t.group, t.night, t.name) for t in told}) == 1
    assert [t.path.name for t in sorted(told, key=lambda t: (t.order, str(t.path)))] == ["a1.fits", "a2.fits", "a3.fits"]


def test_files_around_that_are_of_something_else_or_damaged_tell_nothing(tmp_path):
    image(tmp_path / "a1.fits", **{"UT-OBS": "2017-12-19T23:00:00"}, OBJECT="M 31")
    (tmp_path / "a2.fits").write_bytes(b"nothing")
    image(tmp_path / "a3.fits", **{"UT-OBS": "gone"})
    image(tmp_path / "a9.fits", **{"UT-OBS": "2017-12-22T05:00:00"})
    assert str(inspect(tmp_path / "a3.fits", KNOWN).night) == "2017-12-21"


def test_one_alone_has_the_night_of_its_folder_or_of_another_date_in_its_header(tmp_path):
    folder = tmp_path / "2017-12-19"
    folder.mkdir()
    assert str(inspect(image(folder / "a.fits", **{"UT-OBS": "gone"}), KNOWN).night) == "2017-12-19"
    dated = image(tmp_path / "b.fits", **{"UT-OBS": "gone", "DATE-OBS": "2017-12-19T18:33:43-0700"})
    assert str(inspect(dated, KNOWN).night) == "2017-12-19"


def test_one_alone_that_says_nothing_of_its_night_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(BadInput) as error:
        inspect(image(tmp_path / "a.fits", **{"UT-OBS": "gone"}), KNOWN)
    assert error.value.message == "keyword UT-OBS is missing: the night cannot be told"
    assert "folder named after its night" in error.value.remedy


def test_a_run_of_frames_without_any_time_is_still_read(tmp_path):
    folder = tmp_path / "2017-12-19"
    folder.mkdir()
    with data_source("fits", night(folder, "gone", "gone"), camera=CAMERA) as run:
        assert not run.times()["time_ok"].any()
        assert [frame.number for frame in run] == [1, 2]
        assert len(run.problems) == 2


def test_what_else_is_missing_still_refuses_the_file(tmp_path):
    with pytest.raises(BadInput, match="EXPTIME is missing"):
        inspect(image(tmp_path / "a.fits", EXPTIME="gone"), KNOWN)


@pytest.mark.parametrize("size", [-5, 0, 0.5, 1e300])
def test_a_chip_of_an_impossible_size_is_refused(tmp_path, size):
    ltio = {"INSTRUME": "IO:O", "MJD": 59248.25, "EXPTIME": 1.0, "CCDXBIN": 2, "CCDYBIN": 2, "CCDWXOFF": 0, "CCDWYOFF": 0}
    path = image(tmp_path / "a.fits", common=ltio, CCDXIMSI=size, CCDYIMSI=10)
    if size == 0.5:
        assert inspect(path, KNOWN).camera == "ltio"
        return
    with pytest.raises(BadInput, match="does not give a whole number from 1 to 1000000") as error:
        inspect(path, KNOWN)
    assert error.value.place == "keyword CCDXBIN or CCDXIMSI"
