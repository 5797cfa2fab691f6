"""Files appear whole or not at all."""

from __future__ import annotations

import pytest

from roque.errors import Conflict
from roque.frames.files import write_whole


def test_the_file_appears_only_after_the_body_has_ended(tmp_path):
    target = tmp_path / "product"
    with write_whole(target) as part:
        part.write_text("new")
        assert not target.exists()
        assert part.parent == tmp_path
    assert target.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["product"]


def test_nothing_is_left_of_a_body_that_fails_and_the_old_file_stays(tmp_path):
    target = tmp_path / "product"
    target.write_text("old")

    def fail():
        with write_whole(target) as part:
            part.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["product"]


def test_a_file_that_may_not_be_overwritten_is_a_conflict(tmp_path):
    target = tmp_path / "product"
    target.write_text("old")
    with pytest.raises(Conflict, match="exists already"), write_whole(target, overwrite=False) as part:
        part.write_text("new")
    assert target.read_text() == "old"


def test_a_file_that_appears_meanwhile_is_not_overwritten_either(tmp_path):
    target = tmp_path / "product"

    def write():
        with write_whole(target, overwrite=False) as part:
            part.write_text("mine")
            target.write_text("theirs")

    with pytest.raises(Conflict):
        write()
    assert target.read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["product"]


def test_parts_are_hidden_and_differ_between_writers(tmp_path):
    target = tmp_path / "product"
    with write_whole(target) as one, write_whole(target) as other:
        assert one != other
        assert one.name.startswith(".")
        one.write_text("1")
        other.write_text("2")
    assert target.read_text() == "1"


def test_a_name_of_the_greatest_length_can_be_written(tmp_path):
    target = tmp_path / ("x" * 255)
    with write_whole(target) as part:
        part.write_text("")
    assert target.exists()
