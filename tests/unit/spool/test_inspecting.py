"""What a file is told to be, and why files are refused."""

from __future__ import annotations

import datetime as dt
import gzip
import os
import shutil

import numpy as np
import pytest
from astropy.io import fits

from roque.errors import BadInput, NotFound
from roque.frames import CCD, Frame, Geometry, Window
from roque.frames.hcm import write_hcm
from roque.instruments import cameras
from roque.spool import data_source, inspect
from tests.support.described import STAR, image

KNOWN = cameras()


def hcm(path, **header):
    window = Window(Geometry(1, 1, 1, 1, 4, 3), np.ones((3, 4), np.float32))
    ccd = CCD({"1": window}, 100, 80, mjd_int=61113, mjd_frac=0.9)
    write_hcm(path, Frame({"1": ccd}, 1, header))
    return path


def test_a_raw_run_is_a_run_by_itself(make_raw, tmp_path):
    found = inspect(make_raw(2).write(tmp_path / "run0001.fits"), KNOWN)
    assert (found.source, found.camera, found.name, found.kind, found.object) == (
        "hl",
        "hipercam",
        "run0001",
        "science",
        "Test",
    )
    assert found.night == dt.date(2026, 3, 14)
    assert found.group is None
    assert found.info.expected == 2


@pytest.mark.parametrize("packing", ["gz", "fz"])
def test_a_compressed_raw_run_is_told_as_well(make_raw, tmp_path, packing):
    raw = make_raw(2)
    plain = raw.write(tmp_path / "run0001.fits", tail=bytes(-2 * raw.frame_bytes % 2880))
    path = tmp_path / f"run0001.fits.{packing}"
    if packing == "gz":
        path.write_bytes(gzip.compress(plain.read_bytes()))
    else:
        with fits.open(plain, uint=True) as hdus:
            packed = fits.CompImageHDU(hdus[0].data, hdus[0].header, compression_type="GZIP_1")
            fits.HDUList([fits.PrimaryHDU(), packed]).writeto(path)
        data = path.read_bytes()
        # as fpack marks an image that was the first of its file
        path.write_bytes(data.replace(b"ZTENSION= 'IMAGE   '          ", b"ZSIMPLE =                    T"))
    found = inspect(path, KNOWN, tmp_path / "cache")
    assert (found.source, found.name, found.info.expected) == ("hl", "run0001", 2)
    with data_source("hl", path, cache=tmp_path / "cache") as run, data_source("hl", plain) as other:
        np.testing.assert_array_equal(run.load(2).ccds["1"].values(), other.load(2).ccds["1"].values())


def test_images_of_one_object_filter_and_size_belong_together(tmp_path):
    first = inspect(image(tmp_path / "a.fits"), KNOWN)
    assert (first.source, first.camera, first.info) == ("fits", "microobservatory", None)
    assert first.order == pytest.approx(58107 + (5623.317 + 30) / 86400, abs=1e-9)
    later = inspect(image(tmp_path / "b.fits", {"UT-OBS": "2017-12-20T08:33:43", "EXPTIME": 30.0}), KNOWN)
    assert later.group == first.group
    assert later.name == first.name == "HATP-32_Clear_65x50"
    others = [
        image(tmp_path / "c.fits", OBJECT="other"),
        image(tmp_path / "d.fits", FILTER="R"),
        image(tmp_path / "e.fits", shape=(50, 66)),
        image(tmp_path / "f.fits", {"UT-OBS": "2017-12-20T20:33:43"}),
    ]
    groups = {inspect(path, KNOWN).group for path in others}
    assert len(groups) == 4
    assert first.group not in groups


def test_darks_of_different_exposures_are_different_runs(tmp_path):
    one, two = (inspect(image(tmp_path / f"{t}.fits", OBJECT="Dark", EXPTIME=t), KNOWN) for t in (10.0, 20.0))
    assert (one.kind, two.kind) == ("dark", "dark")
    assert one.group != two.group
    assert one.name != two.name


def test_a_folder_of_numbered_hcm_files_is_one_run_and_others_stand_alone(tmp_path):
    one, two = (inspect(hcm(tmp_path / f"run0005_{i:03d}.hcm", INSTRUME="HIPERCAM"), KNOWN) for i in (1, 2))
    assert one.group == two.group
    assert (one.source, one.name, one.camera, one.night) == ("hf", "run0005", "hipercam", dt.date(2026, 3, 14))
    alone = inspect(hcm(tmp_path / "star.hcm"), KNOWN)
    assert (alone.group, alone.name, alone.camera) == (None, "star", "other")
    assert alone.info.windows["1"]["1"] == Geometry(1, 1, 1, 1, 4, 3)


def test_frames_without_a_time_belong_to_the_night_of_the_others_and_stand_by_their_numbers(tmp_path, golden):
    """The first of a run in drift mode have none, and stamps that cannot be are replaced by the start of the year 2000."""
    with data_source("ul", golden / "ultracam" / "run003") as run:  # drift
        for n in (1, 9, 10, 11):
            write_hcm(tmp_path / f"run003_{n}.hcm", run.frame(n))
    with data_source("hl", golden / "hipercam" / "raw" / "run0008.fits.gz") as run:
        for n in (1, 2, 3):
            write_hcm(tmp_path / f"run0008_{n:03d}.hcm", run.frame(n))
    for name, numbers, night in (
        ("run003", ("1", "9", "10", "11"), (2018, 6, 5)),
        ("run0008", ("001", "002", "003"), (2026, 3, 14)),
    ):
        paths = [tmp_path / f"{name}_{n}.hcm" for n in numbers]
        found = [inspect(path, KNOWN) for path in paths]
        assert {told.night for told in found} == {dt.date(*night)}
        assert len({told.group for told in found}) == 1
        assert sorted(found, key=lambda told: told.order) == found
        with data_source("hf", paths) as run:
            assert run.info.night == dt.date(*night)
    for n in (9, 10, 11):
        (tmp_path / f"run003_{n}.hcm").unlink()
    with pytest.raises(BadInput, match="the frame has no time"):
        inspect(tmp_path / "run003_1.hcm", KNOWN)


def test_a_list_is_a_run_and_names_its_members(tmp_path):
    paths = tuple(hcm(tmp_path / f"run0005_{i:03d}.hcm") for i in (1, 2))
    (tmp_path / "B.lis").write_text("# frames\n\nrun0005_001\nrun0005_002.hcm\n")
    found = inspect(tmp_path / "B.lis", KNOWN)
    assert (found.source, found.name, found.members) == ("hf", "B", paths)
    with data_source("hf", tmp_path / "B.lis") as run:
        assert run.available == 2
        assert run.problems == []
        assert [frame.number for frame in run] == [1, 2]
        assert run.times()["mjd_frac"].tolist() == [0.9, 0.9]
        with (tmp_path / "B.lis").open("a") as file:
            file.write("gone\n")
        assert run.refresh() == 3
        assert [(p.file, p.place) for p in run.problems] == [(str(tmp_path / "gone.hcm"), "frame 3")]
        with pytest.raises(NotFound):
            run.frame(3)


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"\xff\xfe", b"a\0b"])
def test_a_list_of_nothing_is_refused(tmp_path, content):
    (tmp_path / "B.lis").write_bytes(content)
    with pytest.raises(BadInput):
        inspect(tmp_path / "B.lis", KNOWN)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"EXPTIME": "gone"}, "keyword EXPTIME is missing"),
        ({"EXPTIME": "long"}, "EXPTIME = 'long' does not give a number"),
        ({"EXPTIME": -1.0}, "does not give an exposure time"),
        ({"UT-OBS": "gone"}, "keyword UT-OBS is missing"),
        ({"UT-OBS": "2017-13-45"}, "does not give a date"),
        ({"UT-OBS": "yesterday"}, "does not give a date"),
        ({"OBJECT": "gone"}, "keyword OBJECT is missing"),
        ({"CREATOR": "someone"}, "no camera is known that writes such a header"),
    ],
)
def test_a_header_that_does_not_do_is_named_with_file_and_keyword(tmp_path, changes, said):
    path = image(tmp_path / "a.fits", changes)
    with pytest.raises(BadInput, match=said) as error:
        inspect(path, KNOWN)
    assert error.value.file == str(path)
    assert error.value.place.startswith("keyword ")
    assert error.value.remedy


def test_a_keyword_with_two_values_counts_as_missing(tmp_path):
    path = image(tmp_path / "a.fits")
    data = bytearray(path.read_bytes())
    at = data.index(b"END" + b" " * 77)
    data[at : at + 160] = b"EXPTIME =                 99.0".ljust(80) + b"END".ljust(80)
    path.write_bytes(data)
    with pytest.raises(BadInput, match="EXPTIME"):
        inspect(path, KNOWN)


def test_an_image_shorter_than_its_header_says_is_refused(tmp_path):
    path = image(tmp_path / "a.fits")
    path.write_bytes(path.read_bytes()[:3500])
    with pytest.raises(BadInput, match="cut short"):
        inspect(path, KNOWN)


def test_two_cameras_that_claim_a_header_are_named(tmp_path):
    twin = KNOWN["microobservatory"]
    with pytest.raises(BadInput, match="both claim"):
        inspect(image(tmp_path / "a.fits"), {"one": twin, "two": twin})


@pytest.mark.parametrize("name", ["run 1.fits", "run\n1.fits", "..fits", "r;rm.fits", "é.fits", "x" * 65 + ".fits"])
def test_a_name_that_no_run_can_have_is_refused(make_raw, tmp_path, name):
    path = make_raw(1).write(tmp_path / name)
    with pytest.raises(BadInput, match="cannot be the name of a run") as error:
        inspect(path, KNOWN)
    assert "\n" not in error.value.message


@pytest.mark.parametrize("hostile", ["../../etc/passwd", "a\tb", "", "   ", ".hidden", "o" * 68])
def test_names_of_objects_become_safe_names_of_runs(tmp_path, hostile):
    found = inspect(image(tmp_path / "a.fits", OBJECT=hostile), KNOWN) if "\t" not in hostile else None
    if found:
        assert set(found.name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        assert 1 <= len(found.name) <= 64
        assert not found.name.startswith(".")


def test_what_is_no_file_of_data_is_refused_at_once(tmp_path):
    (tmp_path / "folder.fits").mkdir()
    os.mkfifo(tmp_path / "pipe.fits")
    (tmp_path / "empty.fits").write_bytes(b"")
    (tmp_path / "text.fits").write_text("not FITS\n" * 1000)
    (tmp_path / "loop.fits").symlink_to(tmp_path / "loop.fits")
    for name in ("folder.fits", "pipe.fits", "empty.fits", "text.fits", "loop.fits"):
        with pytest.raises(BadInput) as error:
            inspect(tmp_path / name, KNOWN)
        assert error.value.file == str(tmp_path / name)
    with pytest.raises(NotFound):
        inspect(tmp_path / "nothing.fits", KNOWN)


def test_a_table_without_image_is_refused(tmp_path):
    table = fits.BinTableHDU.from_columns([fits.Column("x", "J", array=np.arange(5))])
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "a.fits")
    with pytest.raises(BadInput, match="no image in the file"):
        inspect(tmp_path / "a.fits", KNOWN)


def test_sources_that_do_not_exist_are_not_found(tmp_path):
    with pytest.raises(NotFound, match="no source of frames"):
        data_source("xx", tmp_path)
    for source in ("hf", "fits", "hl"):
        with pytest.raises(BadInput):
            data_source(source, [])


def test_images_that_do_not_belong_together_are_no_run(tmp_path):
    paths = [image(tmp_path / "a.fits"), image(tmp_path / "b.fits", FILTER="R")]
    with pytest.raises(BadInput, match="does not belong to the run of a"):
        data_source("fits", paths)


def test_a_copy_of_a_frame_is_reported(tmp_path):
    path = image(tmp_path / "a.fits")
    shutil.copy(path, tmp_path / "b.fits")
    with data_source("fits", [path, tmp_path / "b.fits"]) as run:
        assert [p.file for p in run.problems] == [str(tmp_path / "b.fits")]


def test_an_image_that_changes_while_it_is_read_is_refused(tmp_path):
    path = image(tmp_path / "a.fits")
    with data_source("fits", [path]) as run:
        path.unlink()
        image(path, shape=(51, 65))
        with pytest.raises(BadInput, match="changed while"):
            run.frame(1)
        with pytest.raises(NotFound):
            run.frame(2)


@pytest.mark.parametrize("cached", [True, False])
def test_packed_hcm_files_are_frames_of_a_run_and_of_a_list(tmp_path, cached):
    plain = hcm(tmp_path / "run0005_001.hcm", OBJECT="star")
    packed = tmp_path / "run0005_002.hcm.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    (tmp_path / "all.lis").write_text("run0005_001\nrun0005_002.hcm.gz\n")
    assert inspect(packed, KNOWN).group == inspect(plain, KNOWN).group
    for resource in ([plain, packed], tmp_path / "all.lis"):
        with data_source("hf", resource, cache=tmp_path / "cache" if cached else None) as source:
            assert source.problems == []
            assert len(source.times()) == 2
            one, two = (source.frame(n).ccds["1"].windows["1"].data for n in (1, 2))
            np.testing.assert_array_equal(one, two)
    packed.write_bytes(gzip.compress(plain.read_bytes())[:-9])
    with data_source("hf", [packed]) as source, pytest.raises(BadInput, match="cut short") as error:
        source.frame(1)
    assert error.value.file == str(packed)


def test_a_header_changed_after_its_checksum_is_a_blemish_of_the_run(tmp_path):
    path = tmp_path / "star.fits"
    fits.PrimaryHDU(np.ones((4, 5), np.uint16), fits.Header(STAR)).writeto(path, checksum=True)
    packed = tmp_path / "star.fits.gz"
    for damaged in (False, True):
        data = path.read_bytes().replace(
            b"BZERO   =                32768",
            b"BZERO   =                32769" if damaged else b"BZERO   =                32768",
        )
        packed.write_bytes(gzip.compress(data))
        with data_source("fits", packed) as source:
            assert [p.code for p in source.problems] == ["blemish"] * damaged
            source.frame(1)


@pytest.mark.parametrize(("kind", "together"), [("Bias", True), ("Dark", True), ("Flat", False), ("M 31", False)])
def test_frames_that_saw_no_light_are_one_run_whatever_filter_was_in(tmp_path, kind, together):
    first = inspect(image(tmp_path / "a.fits", OBJECT=kind, FILTER="Clear"), KNOWN)
    second = inspect(image(tmp_path / "b.fits", {"UT-OBS": "2017-12-20T01:36:43"}, OBJECT=kind, FILTER="Red"), KNOWN)
    assert (first.group == second.group) is together
