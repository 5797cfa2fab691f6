"""Raw HiPERCAM runs: every pixel, any box, time, end and damage, on runs written by the tests themselves."""

from __future__ import annotations

import datetime as dt
import gc
import gzip
import json
import os

import numpy as np
import pytest
from astropy.io import fits

from roque.errors import BadInput, NotFound
from roque.frames import Box, Geometry
from roque.spool import data_source
from roque.spool.hipercam_times import Block

# where the data of a quadrant lie on a CCD that is not mirrored, and how its array has to be turned to lie there
FLIPS = {"E": (1, 1), "F": (1, -1), "G": (-1, -1), "H": (-1, 1)}
MIRRORED = {"E": "F", "F": "E", "G": "H", "H": "G"}
TURNED = {"E": "G", "G": "E", "F": "H", "H": "F"}


def upright(data, ccd, quadrant, *, turned=False):
    """Array of a quadrant as it lies on the CCD."""
    place = MIRRORED[quadrant] if ccd in "25" else quadrant
    place = TURNED[place] if turned else place
    sy, sx = FLIPS[place]
    return data[:, :, int(ccd) - 1, "EFGH".index(quadrant)][::sy, ::sx]


def open_run(run, tmp_path, **kwargs):
    return data_source("hl", run.write(tmp_path / "run0001.fits", **kwargs))


@pytest.mark.parametrize("nsamp", [4, 1])
@pytest.mark.parametrize(
    ("mode", "windows", "binning"),
    [
        ("OneWindow", ((8, 6, 20, (100, 110, 120, 130)),), (1, 1)),
        ("OneWindow", ((1024, 4, 508, (0, 0, 0, 0)),), (1, 1)),
        ("OneWindow", ((1020, 4, 20, (4, 3, 2, 1)),), (1, 1)),
        ("OneWindow", ((18, 12, 20, (100, 110, 120, 130)),), (4, 3)),
        ("TwoWindow", ((8, 6, 20, (1, 2, 3, 4)), (12, 4, 50, (5, 6, 7, 8))), (1, 1)),
        ("Drift", ((8, 6, 0, (100, 110, 110, 100)),), (1, 1)),
        ("FullFrame", (), (64, 32)),
    ],
)
def test_every_pixel_of_every_mode_is_where_the_format_puts_it(make_raw, tmp_path, mode, windows, binning, nsamp):
    raw = make_raw(2, mode, windows, binning, nsamp)
    with open_run(raw, tmp_path) as run:
        for i in (1, 0):
            for frame in (run.frame(i + 1), run.load(i + 1)):
                for ccd in "12345":
                    labels = [f"{q}{n + 1}" for n in range(len(raw.sets)) for q in "EFGH"]
                    assert list(frame.ccds[ccd].windows) == labels
                    for label, window in frame.ccds[ccd].windows.items():
                        expected = upright(raw.pixels[i][int(label[1]) - 1], ccd, label[0])
                        assert window.data.dtype == np.float32
                        np.testing.assert_array_equal(window.data, expected)


@pytest.mark.parametrize("nsamp", [4, 1])
def test_any_box_of_any_window_equals_the_same_part_of_all_its_pixels(make_raw, tmp_path, nsamp):
    raw = make_raw(1, "OneWindow", ((40, 32, 20, (100, 110, 120, 130)),), nsamp=nsamp, prescan=True, overscan=True)
    rng = np.random.default_rng(5)
    with open_run(raw, tmp_path) as run:
        for ccd in run.frame(1).ccds.values():
            for window in ccd.windows.values():
                whole = window.pixels[:, :]
                ny, nx = whole.shape
                for _ in range(5):
                    (y0, y1), (x0, x1) = np.sort(rng.integers(0, ny + 1, 2)), np.sort(rng.integers(0, nx + 1, 2))
                    box = Box(int(y0), int(y1), int(x0), int(x1))
                    np.testing.assert_array_equal(window.read(box), whole[y0:y1, x0:x1])
                np.testing.assert_array_equal(window.data, whole)


def test_scans_are_cut_from_the_sides_where_they_were_read(make_raw, tmp_path):
    raw = make_raw(1, "OneWindow", ((20, 12, 30, (100, 110, 120, 130)),), (2, 2), prescan=True, overscan=True)
    with open_run(raw, tmp_path) as run:
        frame = run.frame(1)
        assert list(frame.ccds["1"].windows)[:6] == ["E1", "E1P", "E1O", "F1", "F1P", "F1O"]
        for ccd in "12345":
            for quadrant in "EFGH":
                place = MIRRORED[quadrant] if ccd in "25" else quadrant
                whole = upright(raw.pixels[0][0], ccd, quadrant)
                assert whole.shape == (6 + 4, 10 + 25)
                scan, data = (slice(0, 25), slice(25, None)) if place in "EH" else (slice(10, None), slice(0, 10))
                over, rows = (slice(6, None), slice(0, 6)) if place in "EF" else (slice(0, 4), slice(4, None))
                windows = frame.ccds[ccd].windows
                np.testing.assert_array_equal(windows[f"{quadrant}1"].data, whole[rows, data])
                np.testing.assert_array_equal(windows[f"{quadrant}1P"].data, whole[:, scan])
                np.testing.assert_array_equal(windows[f"{quadrant}1O"].data, whole[over, data])
                xs = {"E": 100, "F": 110, "G": 120, "H": 130}[place]
                llx = 1 + xs if place in "EH" else 2048 - xs - 20 + 1
                lly = 31 if place in "EF" else 1024 - 30 - 12 + 1
                assert windows[f"{quadrant}1"].geometry == Geometry(llx, lly, 2, 2, 10, 6)
                over_y, scan_x = (-7 if place in "EF" else 1025), (-49 if place in "EH" else 2049)
                assert windows[f"{quadrant}1O"].geometry == Geometry(llx, over_y, 2, 2, 10, 4)
                assert windows[f"{quadrant}1P"].geometry == Geometry(scan_x, -7 if place in "EF" else lly, 2, 2, 25, 10)


def test_a_ccd_that_is_turned_lies_the_other_way_round(make_raw, tmp_path):
    raw = make_raw(1, cards={"ESO DET ROTATE1": True, "ESO DET ROTATE2": True, "ESO DET ROTATE3": False})
    with open_run(raw, tmp_path) as run:
        frame = run.frame(1)
        for ccd in "123":
            for quadrant in "EFGH":
                window = frame.ccds[ccd].windows[f"{quadrant}1"]
                np.testing.assert_array_equal(window.data, upright(raw.pixels[0][0], ccd, quadrant, turned=ccd in "12"))
        # E of CCD 1 now lies where G would: read from the upper right corner, 120 columns and 20 rows from it
        assert frame.ccds["1"].windows["E1"].geometry == Geometry(2048 - 120 - 8 + 1, 1024 - 20 - 6 + 1, 1, 1, 8, 6)
        assert frame.ccds["2"].windows["E1"].geometry == Geometry(1 + 130, 1024 - 20 - 6 + 1, 1, 1, 8, 6)


def test_frames_of_megabytes_are_mapped_and_give_the_same_pixels(make_raw, tmp_path):
    raw = make_raw(3, "OneWindow", ((200, 160, 20, (100, 110, 120, 130)),))
    assert raw.frame_bytes > 1 << 20
    with open_run(raw, tmp_path) as run:
        frames = list(run)
    # frames outlive their source
    for i, frame in enumerate(frames):
        for ccd in "15":
            for quadrant in "EG":
                expected = upright(raw.pixels[i][0], ccd, quadrant)
                np.testing.assert_array_equal(frame.ccds[ccd].windows[f"{quadrant}1"].data, expected)


@pytest.mark.parametrize("nx", [8, 200])
def test_a_file_that_shrinks_is_an_error_not_a_crash(make_raw, tmp_path, nx):
    raw = make_raw(3, "OneWindow", ((nx, 160, 20, (100, 110, 120, 130)),))
    path = raw.write(tmp_path / "run0001.fits")
    with data_source("hl", path) as run:
        frame = run.frame(3)
        os.truncate(path, path.stat().st_size // 2)
        with pytest.raises(BadInput, match="became shorter"):
            run.load(3)
        if nx == 200:  # mapped: its pixels are gone
            with pytest.raises(BadInput, match="became shorter"):
                frame.ccds["1"].windows["E1"].read(Box(0, 2, 0, 2))
        assert run.refresh() == 1
        assert run.load(1).number == 1


def test_iteration_starts_where_it_is_told_and_can_be_repeated(make_raw, tmp_path):
    path = make_raw(5).write(tmp_path / "run0001.fits")
    with data_source("hl", path, 3) as run:
        assert [frame.number for frame in run] == [3, 4, 5]
        assert [frame.number for frame in run] == [3, 4, 5]


@pytest.mark.parametrize("number", [0, -1, 6])
def test_a_frame_that_is_not_there_is_not_found(make_raw, tmp_path, number):
    with open_run(make_raw(5), tmp_path) as run, pytest.raises(NotFound, match="the run has 5"):
        run.frame(number)


def test_a_growing_run_shows_its_new_frames_after_a_refresh(make_raw, tmp_path):
    raw = make_raw(5)
    path = tmp_path / "run0001.fits"
    head = len(raw.header())
    data = raw.header() + b"".join(raw.frame(i) for i in range(5))
    path.write_bytes(data[: head + 2 * raw.frame_bytes + 100])
    with data_source("hl", path) as run:
        assert run.available == 2
        assert run.info.expected == 5
        before = run.times()
        with path.open("ab") as file:
            file.write(data[path.stat().st_size :])
        assert run.available == 2
        assert run.refresh() == 5
        assert run.frame(5).number == 5
        np.testing.assert_array_equal(run.times()[: len(before)], before)
        assert run.problems == []


def test_a_header_whose_number_of_frames_grows_is_read_again(make_raw, tmp_path):
    raw = make_raw(5)
    path = raw.write(tmp_path / "run0001.fits")
    raw.cards["NAXIS3"] = 2
    early = raw.header()
    path.write_bytes(early + path.read_bytes()[len(early) :])
    with data_source("hl", path) as run:
        assert run.available == 2
        raw.cards["NAXIS3"] = 4
        with path.open("rb+") as file:
            file.write(raw.header())
        assert run.refresh() == 4
        assert run.info.expected == 4


def test_a_run_cut_inside_a_frame_keeps_the_whole_ones_and_says_what_is_lost(make_raw, tmp_path):
    raw = make_raw(5)
    with open_run(raw, tmp_path, cut=raw.frame_bytes + 40) as run:
        assert run.available == 3
        assert len(list(run)) == 3
        (problem,) = run.problems
        assert "cut short inside frame 4: 2 of 5 frames are lost" in problem.message
        assert problem.place == f"byte {(tmp_path / 'run0001.fits').stat().st_size}"
        assert problem.remedy


def test_padding_as_long_as_a_frame_is_no_frame(make_raw, tmp_path):
    raw = make_raw(5, "OneWindow", ((4, 2, 20, (1, 2, 3, 4)),))
    size = len(raw.header()) + 5 * raw.frame_bytes
    padding = bytes(-size % 2880)
    assert len(padding) >= raw.frame_bytes
    with open_run(raw, tmp_path, tail=padding) as run:
        assert run.available == 5
        assert run.problems == []


def test_bytes_beyond_the_frames_are_reported(make_raw, tmp_path):
    raw = make_raw(2)
    with open_run(raw, tmp_path, tail=bytes(9000)) as run:
        assert run.available == 2
        (problem,) = run.problems
        assert "after the 2 frames of the header are left out" in problem.message


def test_dropped_frames_shift_later_numbers_and_are_reported(make_raw, tmp_path):
    counters = [0, 1, 2, 4, 6, 7, 9, 10]
    with open_run(make_raw(8, counters=counters), tmp_path) as run:
        assert [frame.number for frame in run] == [c + 1 for c in counters]
        assert run.times()["frame"][::5].tolist() == [c + 1 for c in counters]
        assert [p.place for p in run.problems] == ["frame 5", "frame 7", "frame 10"]


@pytest.mark.parametrize("junk", [2147516416, 0, 7000])
@pytest.mark.parametrize("place", [0, 3, 7])
def test_a_damaged_counter_renames_no_frame(make_raw, tmp_path, junk, place):
    counters = list(range(8))
    counters[place] = junk
    with open_run(make_raw(8, counters=counters), tmp_path) as run:
        numbers = [frame.number for frame in run]
        if (junk, place) != (0, 0) and (junk, place) != (7000, 7):  # the first is right; the last may be a drop
            assert numbers == list(range(1, 9))
            assert [p.message for p in run.problems] == ["the frame counter in the time stamp is damaged"]
            assert not run.times()["time_ok"][5 * place]
        assert len(set(numbers)) == 8


def test_numbers_do_not_depend_on_which_frame_is_asked_for_first(make_raw, tmp_path):
    n = 600  # more than two blocks of times
    counters = [i + (i >= 100) + 2 * (i >= 256) + (i >= 257) for i in range(n)]
    counters[300] = 5
    raw = make_raw(n, "OneWindow", ((4, 2, 20, (1, 2, 3, 4)),), counters=counters)
    path = raw.write(tmp_path / "run0001.fits")
    with data_source("hl", path) as run:
        forwards = [frame.number for frame in run]
        assert run.times()["frame"][::5].tolist() == forwards
    assert forwards == [301 + 4 if i == 300 else c + 1 for i, c in enumerate(counters)]
    with data_source("hl", path) as run:
        assert [run.frame(i).number for i in range(n, 0, -1)] == forwards[::-1]


def test_who_reads_a_long_run_keeps_the_times_of_few_frames_in_memory(make_raw, tmp_path):
    n = 2400
    raw = make_raw(n, "OneWindow", ((4, 2, 20, (1, 2, 3, 4)),))
    with data_source("hl", raw.write(tmp_path / "run0001.fits")) as run:
        before = sum(isinstance(thing, Block) for thing in gc.get_objects())
        numbers = [frame.number for frame in run]
        assert sum(isinstance(thing, Block) for thing in gc.get_objects()) - before <= 4
        assert [run.frame(number).number for number in (1, 2400, 700, 1, 1300, 1800, 2)] == [1, 2400, 700, 1, 1300, 1800, 2]
        assert run.times()["frame"][::5].tolist() == numbers


def test_times_tell_what_frames_tell(make_raw, tmp_path):
    raw = make_raw(9, cards={"ESO DET NSKIPS1": 2, "ESO DET NSKIPS4": 1})
    with open_run(raw, tmp_path) as run:
        times = run.times()
        rows = iter(times)
        for frame in run:
            for label, ccd in frame.ccds.items():
                row = next(rows)
                assert (row["frame"], row["ccd"]) == (frame.number, label)
                for name in ("mjd_int", "mjd_frac", "exposure", "time_ok", "data_ok"):
                    assert row[name] == getattr(ccd, name)
        assert times["data_ok"].reshape(9, 5)[:, 0].tolist() == [False, False, True] * 3
        assert times["data_ok"].reshape(9, 5)[:, 3].tolist() == [False, True] * 4 + [False]


def test_info_says_what_the_header_says(make_raw, tmp_path):
    raw = make_raw(2, binning=(2, 3), cards={"ESO DET NSKIPS3": 4, "IMAGETYP": "flat", "ESO DET THING 1": "kept"})
    with open_run(raw, tmp_path) as run:
        info = run.info
    assert (info.instrument, info.camera, info.source, info.name) == ("hipercam", "hipercam", "hl", "run0001")
    assert (info.kind, info.object, info.mode, info.xbin, info.ybin) == ("flat", "Test", "OneWindow", 2, 3)
    assert info.nskips == {"1": 0, "2": 0, "3": 4, "4": 0, "5": 0}
    assert info.filters == {"1": "us", "2": "gs", "3": "rs", "4": "is", "5": "zs"}
    assert (info.clear, info.expected, info.exposure, info.speed) == (False, 2, 0.48, "0")
    assert info.windows["1"]["E1"] == Geometry(101, 21, 2, 3, 4, 2)
    assert info.header["ESO DET THING 1"] == "kept"
    assert json.loads(json.dumps(info.header)) == info.header
    assert info.night == dt.date(2026, 3, 14)


@pytest.mark.parametrize("folder", ["2025-12-31", "2025_12_31"])
def test_the_folder_tells_the_night_before_the_clock_does(make_raw, tmp_path, folder):
    (tmp_path / folder).mkdir()
    with open_run(make_raw(2), tmp_path / folder) as run:
        assert run.info.night == dt.date(2025, 12, 31)


def test_a_compressed_run_is_read_as_if_it_were_not(make_raw, tmp_path):
    raw = make_raw(3)
    plain = raw.write(tmp_path / "run0001.fits").read_bytes()
    path = tmp_path / "run0001.fits.gz"
    path.write_bytes(gzip.compress(plain))
    for cache in (None, tmp_path / "cache"):
        with data_source("hl", path, cache=cache) as run:
            assert run.info.name == "run0001"
            np.testing.assert_array_equal(run.frame(2).ccds["1"].windows["E1"].data, upright(raw.pixels[1][0], "1", "E"))


@pytest.mark.parametrize("there", ["run0001.fits", "run0001.fits.gz", "run0001"])
def test_a_run_is_found_by_its_name_alone(make_raw, tmp_path, there):
    plain = make_raw(3).write(tmp_path / "plain").read_bytes()
    (tmp_path / there).write_bytes(gzip.compress(plain) if there.endswith("gz") else plain)
    with data_source("hl", str(tmp_path / "run0001")) as run:
        assert (run.info.name, run.available) == ("run0001", 3)
    for name in ("run0002", "run0002.fits"):
        with pytest.raises(NotFound) as error:
            data_source("hl", tmp_path / name)
        assert error.value.file == str(tmp_path / "run0002.fits")


@pytest.mark.parametrize(
    ("cards", "place"),
    [
        ({"NAXIS1": 1200}, "keyword NAXIS1"),
        ({"NAXIS1": 10**11}, "keyword NAXIS1"),
        ({"NAXIS": 2}, "keyword NAXIS"),
        ({"NAXIS3": -1}, "keyword NAXIS3"),
        ({"BITPIX": -32}, "keyword BITPIX"),
        ({"BZERO": 0}, "keyword BZERO"),
        ({"ESO DET READ CURNAME": "Spectrum"}, "keyword ESO DET READ CURNAME"),
        ({"ESO DET CLRCCD": 1}, "keyword ESO DET CLRCCD"),
        ({"ESO DET NSKIPS4": -1}, "keyword ESO DET NSKIPS4"),
        ({"ESO DET BINX1": 0}, "keyword ESO DET BINX1"),
        ({"ESO DET BINX1": 100}, "keyword ESO DET BINX1"),
        ({"ESO DET WIN1 NX": 10**9}, "keyword ESO DET WIN1 XSE"),
        ({"ESO DET WIN1 NX": 9}, "keyword NAXIS1"),
        ({"ESO DET WIN1 XSG": 1017}, "keyword ESO DET WIN1 XSG"),
        ({"ESO DET WIN1 XSG": -1}, "keyword ESO DET WIN1 XSG"),
        ({"ESO DET WIN1 YS": 507}, "keyword ESO DET WIN1 YS"),
        ({"ESO DET TDELAY": "long"}, "keyword ESO DET TDELAY"),
        ({"ESO DET TDELAY": -5.0}, "keyword ESO DET TDELAY"),
        ({"ESO DET INCPRSCX": True, "ESO DET BINX1": 3}, "keyword ESO DET BINX1"),
        ({"ESO DET INCOVSCY": True, "ESO DET BINY1": 3}, "keyword ESO DET BINY1"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused_by_keyword(make_raw, tmp_path, cards, place):
    with pytest.raises(BadInput) as error:
        open_run(make_raw(2, cards=cards), tmp_path)
    assert error.value.place == place
    assert error.value.remedy


@pytest.mark.parametrize(
    "keyword",
    [
        "NAXIS1",
        "NAXIS3",
        "BZERO",
        "ESO DET READ CURNAME",
        "ESO DET NSKIPS5",
        "ESO DET TFT",
        "ESO DET SPEED",
        "ESO DET WIN1 XSG",
    ],
)
def test_a_keyword_that_is_missing_is_named(make_raw, tmp_path, keyword):
    raw = make_raw(2)
    del raw.cards[keyword]
    with pytest.raises(BadInput, match=f"keyword {keyword} is missing"):
        open_run(raw, tmp_path)


def test_a_keyword_that_stands_twice_with_two_values_is_refused(make_raw, tmp_path):
    raw = make_raw(2)
    raw.extra.append("HIERARCH ESO DET TREAD = 99.0")
    with pytest.raises(BadInput, match="ESO DET TREAD stands twice") as error:
        open_run(raw, tmp_path)
    assert error.value.place.startswith("byte ")


def test_prescan_in_drift_mode_is_refused(make_raw, tmp_path):
    with pytest.raises(BadInput, match="drift mode has no prescan"):
        open_run(make_raw(1, "Drift", cards={"ESO DET INCPRSCX": True}), tmp_path)


def test_frames_that_are_not_those_datasum_was_written_for_are_a_problem_of_the_run(make_raw, tmp_path):
    raw = make_raw(2)
    raw.cards["DATASUM"] = "0"
    plain = raw.write(tmp_path / "run0001.fits", tail=bytes(-2 * raw.frame_bytes % 2880))
    with data_source("hl", plain) as run:
        (problem,) = run.problems
        assert (problem.code, problem.place) == ("bad_input", f"byte {run.extent[0]}")
        assert run.problems == [problem]  # told again without a look at the frames
        raw.cards["DATASUM"] = problem.message.rpartition(" ")[2]
    again = raw.write(tmp_path / "run0002.fits", tail=bytes(-2 * raw.frame_bytes % 2880))
    with data_source("hl", again) as run, fits.open(again, checksum=True):
        assert run.problems == []


def test_a_long_run_of_holes_is_refused_and_one_whose_stamps_were_written_is_not(make_raw, make_stamp, tmp_path):
    raw = make_raw(1, "OneWindow", ((100, 100, 20, (0, 0, 0, 0)),))
    frames, size = 3000, raw.frame_bytes
    raw.cards["NAXIS3"] = frames
    path = tmp_path / "run0001.fits"
    path.write_bytes(raw.header())
    start = path.stat().st_size
    os.truncate(path, start + frames * size)
    assert path.stat().st_size > 1 << 30
    with pytest.raises(BadInput, match="the rest are holes") as error:
        data_source("hl", path)
    assert error.value.remedy
    with path.open("r+b") as file:
        for n in range(frames):
            file.seek(start + (n + 1) * size - 36)
            file.write(make_stamp(n, dt.datetime(2026, 3, 14, 22)))
    with data_source("hl", path) as run:
        assert run.times()["time_ok"].all()
