from __future__ import annotations

import json

import pytest

from roque.errors import BadInput, NotFound
from roque.photometry.apertures import Aperture, dumps, loads, read_apertures, write_apertures


def text(**changes):
    values = {
        "Comment": "hipercam.Aperture",
        "x": 10.5,
        "y": 20,
        "rtarg": 5.0,
        "rsky1": 8.0,
        "rsky2": 12.0,
        "ref": False,
        "compo": False,
        "mask": [],
        "extra": [],
        "link": "",
    } | changes
    values = {key: value for key, value in values.items() if value is not ...}
    return json.dumps(["hipercam.MccdAper", ["1", ["hipercam.CcdAper", ["a", values]]]])


def two(first_link="", second_link=""):
    one = json.loads(text(link=first_link))[1][1][1][1]
    other = json.loads(text(link=second_link))[1][1][1][1]
    return json.dumps(["x", ["1", ["x", ["a", one], ["b", other]]]])


@pytest.mark.parametrize("name", ["A", "B", "C"])
def test_the_pipelines_files_come_back_character_by_character(name, golden):
    path = golden / "hipercam" / "peer" / f"{name}.ape"
    assert dumps(read_apertures(path)) == path.read_text().rstrip("\n")


def test_a_file_written_is_read_back_equal_and_in_order(tmp_path):
    apertures = {
        "2": {
            "b": Aperture(1.25, 2.5, 3.0, 4.0, 5.0, ref=True, mask=((1.0, 2.0, 3.0),)),
            "a": Aperture(9.0, 8.0, 3.0, 4.0, 5.0),
        },
        "1": {"c": Aperture(1.0, 2.0, 3.0, 4.0, 5.0, compo=True, extra=((4.0, -4.0),))},
        "3": {},
    }
    write_apertures(tmp_path / "new.ape", apertures)
    read = read_apertures(tmp_path / "new.ape")
    assert read == apertures
    assert list(read) == ["2", "1", "3"]
    assert list(read["2"]) == ["b", "a"]


def test_files_older_than_compo_are_read(golden):
    assert loads(text(compo=...))["1"]["a"].compo is False


@pytest.mark.parametrize(
    ("content", "place", "said"),
    [
        ("{}", "the file", "a list that starts with a name"),
        ("nonsense", "line 1, column 1", "not an aperture file"),
        (text(rtarg=...), "CCD 1, aperture a", "lacks radii"),
        (text(x="left"), "CCD 1, aperture a, x", "'left'"),
        (text(y=...), "CCD 1, aperture a, y", "a number was expected"),
        (text(ref=1), "CCD 1, aperture a, ref", "true or false"),
        (text(mask=[[1, 2]]), "CCD 1, aperture a, mask", "3 numbers each"),
        (text(extra=[[1, "2"]]), "CCD 1, aperture a, extra", "'2'"),
        (text(link="z"), "CCD 1, aperture a", "aperture z, which does not exist"),
        (text(link=3), "CCD 1, aperture a, link", "a label was expected"),
        (two("b", "a"), "CCD 1, aperture a", "which is itself linked"),
        (text().replace('"a"', '"a_1"'), "CCD 1, aperture a_1", "letters and digits"),
        (text().replace('"a"', '"0"'), "CCD 1, aperture 0", "not 0"),
        (two().replace('"b"', '"a"'), "CCD 1, aperture a", "appears twice"),
    ],
)
def test_bad_files_are_refused_with_the_place(content, place, said):
    with pytest.raises(BadInput) as caught:
        loads(content, file="my.ape")
    assert caught.value.file == "my.ape"
    assert caught.value.place == place
    assert said in str(caught.value)
    assert caught.value.remedy


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(NotFound):
        read_apertures(tmp_path / "none.ape")


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "bytes.ape"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="not text"):
        read_apertures(path)


@pytest.mark.parametrize("number", ["9" * 400, "9" * 5000, "1e400", "[" * 100_000])
def test_numbers_and_lists_beyond_all_bounds_are_refused_in_a_short_message(number):
    with pytest.raises(BadInput) as error:
        loads(dumps({"1": {"1": Aperture(1.5, 2.0, 3.0, 4.0, 5.0)}}).replace("1.5", number), file="a.ape")
    assert error.value.place
    assert len(str(error.value)) < 300
