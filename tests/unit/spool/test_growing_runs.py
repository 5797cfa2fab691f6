"""Runs that are followed while another process writes them in odd pieces: every frame is given once, whole, and soon."""

from __future__ import annotations

import shutil
import time
from itertools import islice

import numpy as np
import pytest

from roque.errors import BadInput, NoData, NotFound
from roque.frames.hcm import write_hcm
from roque.spool import data_source, follow
from tests.support import writer
from tests.support.hipercam import make_run

FRAMES = 12
SOON = 5.0
"""Seconds: far more than any run here takes to write, far less than nobody would wait for."""


@pytest.fixture
def whole(tmp_path):
    """Give a finished HiPERCAM run to be written anew elsewhere."""
    (tmp_path / "whole").mkdir()
    return make_run(FRAMES).write(tmp_path / "whole" / "run0001.fits")


def naxis3(path, value):
    """Step of the writer that puts another number of frames into the header of a run."""
    at = path.read_bytes()[:2880].index(b"NAXIS3  =")
    return ["patch", str(path), at, f"NAXIS3  = {value:>20}"]


def header_and_frame(path):
    """Bytes of the header and of a frame."""
    with data_source("hl", path) as run:
        return run.extent[0], run.read_out.frame_bytes


def same(frames, source, resource):
    """Compare frames with those of the finished run."""
    with data_source(source, resource) as run:
        wanted = list(run)
    assert [frame.number for frame in frames] == [frame.number for frame in wanted]
    for frame, other in zip(frames, wanted, strict=True):
        for label, ccd in frame.ccds.items():
            twin = other.ccds[label]
            assert (ccd.mjd_int, ccd.mjd_frac, ccd.exposure, ccd.time_ok) == (
                twin.mjd_int,
                twin.mjd_frac,
                twin.exposure,
                twin.time_ok,
            )
            for name, window in ccd.windows.items():
                np.testing.assert_array_equal(window.data, twin.windows[name].data)


@pytest.mark.parametrize("seed", range(3))
def test_a_run_that_announces_its_frames_is_followed_to_the_last_of_them_and_no_longer(tmp_path, whole, seed):
    path = tmp_path / "run0001.fits"
    head, _ = header_and_frame(whole)
    path.write_bytes(whole.read_bytes()[: head + 7])
    process = writer.start(tmp_path / "plan", writer.pieces(path, whole, head + 7, seed=seed))
    began = time.monotonic()
    with data_source("hl", path) as run:
        same(list(follow(run, tmax=60.0, whole=seed == 1)), "hl", whole)
    assert time.monotonic() - began < 60.0 / 2
    assert process.wait() == 0


@pytest.mark.parametrize("ahead", [0, 1])
def test_a_header_that_counts_the_frames_as_they_come_is_believed_each_time(tmp_path, whole, ahead):
    """The number is written after the frame, or just before it: then it is not yet the end when that many are there."""
    path = tmp_path / "run0001.fits"
    head, size = header_and_frame(whole)
    path.write_bytes(whole.read_bytes()[:head])
    writer.main([naxis3(path, ahead)])
    steps = []
    for n in range(FRAMES):
        frame = [*writer.pieces(path, whole, head + n * size, head + (n + 1) * size, seed=n, n=3, pause=0.01)]
        count = [naxis3(path, n + 1)]
        steps += [*count, ["sleep", 0.03], *frame] if ahead else [*frame, *count]
    process = writer.start(tmp_path / "plan", steps)
    with data_source("hl", path) as run:
        same(list(follow(run, tmax=2.0)), "hl", whole)
    assert process.wait() == 0


def test_frames_beyond_those_of_the_header_wait_until_the_header_counts_them(tmp_path, whole):
    path = tmp_path / "run0001.fits"
    shutil.copyfile(whole, path)
    writer.main([naxis3(path, 2)])
    with data_source("hl", path) as run:
        assert [frame.number for frame in follow(run, tmax=0.1)] == [1, 2]
        assert run.available == 2
        assert [frame.number for frame in run] == [1, 2]
        process = writer.start(tmp_path / "plan", [["sleep", 0.2], naxis3(path, FRAMES)])
        assert [frame.number for frame in islice(follow(run, 3, tmax=SOON), FRAMES - 2)] == list(range(3, FRAMES + 1))
        assert process.wait() == 0
        assert run.available == FRAMES


def test_silence_is_counted_from_the_last_byte_and_not_from_the_last_frame(tmp_path, whole):
    path = tmp_path / "run0001.fits"
    head, size = header_and_frame(whole)
    path.write_bytes(whole.read_bytes()[:head])
    # the header counts one frame, which comes in many pieces: together they take longer than the silence that ends a run
    bump = naxis3(path, 1)
    steps = [bump, *writer.pieces(path, whole, head, head + size, seed=3, n=20, pause=0.1)]
    process = writer.start(tmp_path / "plan", steps)
    with data_source("hl", path) as run:
        began = time.monotonic()
        frames = list(islice(follow(run, tmax=1.0), 1))
        assert time.monotonic() - began > 1.0
        assert len(frames) == 1
    assert process.wait() == 0


def test_a_run_that_was_taken_for_ended_and_grows_again_is_followed_on(tmp_path, whole):
    path = tmp_path / "run0001.fits"
    head, size = header_and_frame(whole)
    path.write_bytes(whole.read_bytes()[: head + 4 * size + 10])
    with data_source("hl", path) as run:
        before = list(follow(run, tmax=0.1))
        assert [frame.number for frame in before] == [1, 2, 3, 4]
        process = writer.start(tmp_path / "plan", writer.pieces(path, whole, head + 4 * size + 10, seed=1))
        same(before + list(follow(run, 5, tmax=SOON)), "hl", whole)
    assert process.wait() == 0


def test_iteration_gives_what_comes_meanwhile_and_waits_for_nothing(tmp_path, whole):
    path = tmp_path / "run0001.fits"
    head, size = header_and_frame(whole)
    data = whole.read_bytes()
    path.write_bytes(data[: head + 2 * size])
    with data_source("hl", path) as run:
        seen = []
        for frame in run:
            seen.append(frame.number)
            if frame.number == 2:
                path.write_bytes(data[: head + 5 * size + 3])
        assert seen == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("seed", range(8))
def test_a_growing_run_tells_at_each_moment_what_one_opened_then_would(tmp_path, seed):
    """Frames dropped, counters damaged one by one and in rows, at any number of frames seen so far; also one cut again."""
    rng, n = np.random.default_rng(seed), 700
    counters = np.arange(n) + np.cumsum(rng.random(n) < 0.03)
    for at in rng.integers(0, n - 12, 12):
        counters[at : at + rng.integers(1, 12)] = rng.choice([0, 7, 10**6, 2**31])
    raw = make_run(n, windows=((4, 2, 20, (1, 2, 3, 4)),), counters=counters.tolist(), cards={"ESO DET NSKIPS2": 2})
    whole, path = raw.write(tmp_path / "whole.fits"), tmp_path / "run0001.fits"
    data, head = whole.read_bytes(), len(raw.header())
    path.write_bytes(data[:head])
    there = 0
    with data_source("hl", path) as run:
        while there < n:
            there = min(n, there + int(rng.choice([1, 1, 2, 3, 17, 200]))) if rng.random() > 0.03 else there // 2
            path.write_bytes(data[: head + there * raw.frame_bytes])
            assert run.refresh() == there
            asked = rng.integers(1, there + 1, 3).tolist() if there else []
            numbers = [run.frame(place).number for place in asked]
            with data_source("hl", path) as opened:
                assert numbers == [opened.frame(place).number for place in asked]
                if rng.random() < 0.3:
                    np.testing.assert_array_equal(run.times(), opened.times())
                    assert [str(p) for p in run.problems] == [str(p) for p in opened.problems]


@pytest.mark.parametrize("source", ["hl", "ul"])
def test_first_0_gives_the_newest_frame_alone_whenever_there_is_a_newer_one(tmp_path, whole, golden, source):
    if source == "hl":
        data, path = whole.read_bytes(), tmp_path / "run0001.fits"
        head, size = header_and_frame(whole)
        resource = path
    else:
        data, resource = (golden / "ultracam" / "run005.dat").read_bytes(), tmp_path / "run005"
        shutil.copyfile(golden / "ultracam" / "run005.xml", tmp_path / "run005.xml")
        path, head, size = resource.with_suffix(".dat"), 0, 18464
    path.write_bytes(data[: head + 3 * size])
    with data_source(source, resource, 0) as run:
        newest = iter(run)
        assert next(newest).number == 3
        path.write_bytes(data[: head + 7 * size])
        frame = next(newest)
        assert frame.number == 7
        if source == "ul":  # the stamps before it are in the file
            assert frame.ccds["1"].time_ok
        with pytest.raises(StopIteration):
            next(newest)
        assert [frame.number for frame in follow(run, 0, tmax=0.05)] == [7]


def copies(folder, path, whole, sizes):
    """Steps that put longer and longer copies of a file in its place, as programs do that copy what has grown anew."""
    for n, size in enumerate(sizes):
        yield ["append", str(folder / f"copy{n}"), str(whole), 0, size]
        yield ["rename", str(folder / f"copy{n}"), str(path)]
        yield ["sleep", 0.1]


def test_a_run_that_is_copied_anew_whenever_it_has_grown_is_followed(tmp_path, whole, golden):
    path = tmp_path / "run0001.fits"
    head, size = header_and_frame(whole)
    path.write_bytes(whole.read_bytes()[: head + size])
    sizes = [head + int(k * size) for k in (2.5, 3, 7.1)] + [whole.stat().st_size]
    process = writer.start(tmp_path / "plan", copies(tmp_path, path, whole, sizes))
    with data_source("hl", path) as run:
        same(list(follow(run, tmax=10.0)), "hl", whole)
    assert process.wait() == 0
    shutil.copyfile(golden / "ultracam" / "run005.xml", tmp_path / "run005.xml")
    dat, whole = tmp_path / "run005.dat", golden / "ultracam" / "run005.dat"
    dat.touch()
    process = writer.start(tmp_path / "plan", copies(tmp_path, dat, whole, [20000, 70000, whole.stat().st_size]))
    with data_source("ul", tmp_path / "run005") as run:
        same(list(follow(run, tmax=2.0)), "ul", whole.with_suffix(""))
    assert process.wait() == 0


def test_a_header_that_is_half_written_and_a_file_that_is_written_anew_are_waited_for(tmp_path, whole):
    path = tmp_path / "run0001.fits"
    head, size = header_and_frame(whole)
    path.write_bytes(whole.read_bytes()[: head + 3 * size])
    at = path.read_bytes().index(b"NAXIS3  =")
    steps = [
        ["patch", str(path), at, "NAXIS3  =  'x"],
        *writer.pieces(path, whole, head + 3 * size, head + 5 * size, seed=1, n=4),
        naxis3(path, FRAMES),
        ["sleep", 0.1],
        ["truncate", str(path)],
        ["sleep", 0.1],
        *writer.pieces(path, whole, seed=2, n=9),
    ]
    process = writer.start(tmp_path / "plan", steps)
    with data_source("hl", path) as run:
        same(list(follow(run, tmax=10.0)), "hl", whole)
    assert process.wait() == 0


@pytest.mark.parametrize("source", ["hl", "ul"])
def test_room_that_was_made_for_frames_is_no_frame_until_it_is_written(tmp_path, whole, golden, source):
    if source == "hl":
        path, resource = tmp_path / "run0001.fits", tmp_path / "run0001.fits"
        head, size = header_and_frame(whole)
        frames = FRAMES
    else:
        shutil.copyfile(golden / "ultracam" / "run002.xml", tmp_path / "run002.xml")
        path, resource, whole = tmp_path / "run002.dat", tmp_path / "run002", golden / "ultracam" / "run002.dat"
        head, frames = 0, 21
        size = whole.stat().st_size // frames
    data = whole.read_bytes()
    path.write_bytes(data[: head + 2 * size].ljust(len(data), b"\0"))
    steps = []
    for n in range(2, frames - 1):
        steps += [["into", str(path), str(whole), head + n * size, head + (n + 1) * size], ["sleep", 0.02]]
    process = writer.start(tmp_path / "plan", steps)
    with data_source(source, resource) as run:
        assert run.available == frames
        found = list(follow(run, tmax=2.0))
    assert process.wait() == 0
    # the last was never written: it is given as it is when nothing has come for so long
    assert len(found) == frames
    path.write_bytes(data)
    with data_source(source, resource) as run:
        for place, frame in enumerate(found[:-1], start=1):
            for label, window in frame.ccds["2"].windows.items():
                np.testing.assert_array_equal(window.data, run.frame(place).ccds["2"].windows[label].data)
            if source == "hl":
                assert frame.ccds["2"].mjd == run.frame(place).ccds["2"].mjd
    assert not found[-1].ccds["2"].time_ok


def test_another_run_in_its_place_is_an_error_and_no_frame_of_it_is_given(tmp_path, whole):
    path = tmp_path / "run0001.fits"
    head, size = header_and_frame(whole)
    path.write_bytes(whole.read_bytes()[: head + 2 * size])
    other = make_run(FRAMES, windows=((8, 6, 21, (100, 110, 120, 130)),), seed=2).write(tmp_path / "other")
    with data_source("hl", path) as run:
        frames = follow(run, tmax=5.0)
        assert [next(frames).number, next(frames).number] == [1, 2]
        other.rename(path)
        with pytest.raises(BadInput, match="another run lies there now"):
            next(frames)


@pytest.mark.parametrize("name", ["run002", "run003", "run005"])
def test_a_dat_that_grows_gives_the_frames_and_times_of_the_finished_run(tmp_path, golden, name):
    path = tmp_path / name
    shutil.copyfile(golden / "ultracam" / f"{name}.xml", path.with_suffix(".xml"))
    path.with_suffix(".dat").touch()
    whole = golden / "ultracam" / f"{name}.dat"
    process = writer.start(tmp_path / "plan", writer.pieces(path.with_suffix(".dat"), whole, seed=len(name), n=60))
    with data_source("ul", path) as run, data_source("ul", golden / "ultracam" / name) as file:
        # two of them are left when their last frame has come, the third when it is silent
        wanted = None if name == "run005" else file.available
        same(list(islice(follow(run, tmax=2.0), wanted)), "ul", golden / "ultracam" / name)
    assert process.wait() == 0


def test_a_dat_that_stays_cut_inside_a_frame_is_an_error_once_it_is_silent(golden):
    with data_source("ul", golden / "ultracam" / "run008") as run:
        seen = []
        with pytest.raises(BadInput, match="cut short inside frame 4"):
            seen.extend(frame.number for frame in follow(run, tmax=0.1))
        assert seen == [1, 2, 3]


def test_a_run_that_switched_the_power_is_not_waited_for(golden):
    with data_source("ul", golden / "ultracam" / "run009") as run, pytest.raises(NoData):
        list(follow(run, tmax=60.0))


def test_a_list_that_gains_names_before_their_files_is_followed(tmp_path, golden):
    folder = golden / "ultracam"
    with data_source("ul", folder / "run002") as run:
        for n in range(1, 6):
            write_hcm(tmp_path / f"made_{n:03d}.hcm", run.frame(n))
    lis, names = tmp_path / "night.lis", tmp_path / "names"
    names.write_text("".join(f"# frame {n}\nrun002_{n:03d}\n" for n in range(1, 6)))
    text = names.read_text()
    first = text.index("run002_002")
    shutil.copyfile(tmp_path / "made_001.hcm", tmp_path / "run002_001.hcm")
    lis.write_text(text[: first + 8])  # half a name
    steps = []
    for n in range(2, 6):
        at = text.index(f"run002_{n:03d}") + 10
        steps += [["append", str(lis), str(names), first + 8, at + 1], ["sleep", 0.05]]
        steps += writer.pieces(tmp_path / f"run002_{n:03d}.hcm", tmp_path / f"made_{n:03d}.hcm", seed=n, n=5)
        first = at - 7
    process = writer.start(tmp_path / "plan", steps)
    with data_source("hf", tmp_path / "night") as run:
        same(list(follow(run, tmax=2.0)), "hf", [tmp_path / f"made_{n:03d}.hcm" for n in range(1, 6)])
    assert process.wait() == 0


def test_a_list_that_is_away_or_half_a_letter_for_a_moment_still_names_what_it_named(tmp_path, golden):
    for name in ("one", "two\xe9"):
        shutil.copyfile(golden / "ultracam" / "run002_001.hcm", tmp_path / f"{name}.hcm")
    lis = tmp_path / "night.lis"
    lis.write_text("one\n")
    with data_source("hf", lis) as run:
        frames = follow(run, tmax=SOON)
        assert next(frames).number == 1
        lis.unlink()
        assert run.refresh() == 1
        lis.write_bytes("one\ntwo\xe9".encode()[:-1])
        assert run.refresh() == 1
        lis.write_text("one\ntwo\xe9\n")
        assert next(frames).number == 2


def test_a_name_whose_file_never_comes_is_an_error_in_the_end(tmp_path, golden):
    shutil.copyfile(golden / "ultracam" / "run002_001.hcm", tmp_path / "one.hcm")
    (tmp_path / "night.lis").write_text("one\ntwo\n")
    with data_source("hf", tmp_path / "night.lis") as run, pytest.raises(NotFound, match=r"no such file"):
        list(follow(run, tmax=0.1))


def test_a_damaged_frame_before_the_newest_is_an_error_at_once(tmp_path, golden):
    for name in ("one", "two", "three"):
        shutil.copyfile(golden / "ultracam" / "run002_001.hcm", tmp_path / f"{name}.hcm")
    (tmp_path / "two.hcm").write_bytes((tmp_path / "two.hcm").read_bytes()[:5000])
    (tmp_path / "night.lis").write_text("one\ntwo\nthree\n")
    began = time.monotonic()
    with data_source("hf", tmp_path / "night.lis") as run, pytest.raises(BadInput, match="cut short"):
        list(follow(run, tmax=60.0))
    assert time.monotonic() - began < SOON
