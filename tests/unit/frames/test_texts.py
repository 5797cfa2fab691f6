"""Texts that are read whole: whatever stands where one should be, the answer comes at once."""

from __future__ import annotations

import os

import pytest

from roque.errors import BadInput, NotFound
from roque.frames.handle import read_text
from roque.lightcurves.log_reader import read_log
from roque.photometry.apertures import read_apertures
from roque.photometry.reduce_file import read_reduce_file
from roque.spool.hcm_list import read_names

READERS = [read_apertures, read_reduce_file, read_names, read_log]


@pytest.mark.parametrize("reader", READERS)
def test_folders_devices_and_pipes_are_no_texts(tmp_path, reader):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "zeros"):
        with pytest.raises(BadInput) as error:
            reader(path)
        assert error.value.file == str(path)
        assert error.value.remedy


@pytest.mark.parametrize("reader", READERS)
def test_a_text_that_is_not_there_is_not_found(tmp_path, reader):
    with pytest.raises(NotFound, match="no such "):
        reader(tmp_path / "a")


def test_a_text_is_read_as_it_is_and_others_are_named_by_byte(tmp_path):
    path = tmp_path / "a"
    path.write_bytes("a\u00e9\n".encode())
    assert read_text(path, "a list", "give one") == "a\u00e9\n"
    path.write_bytes(b"abc\xff")
    with pytest.raises(BadInput, match="not a list: it is not text") as error:
        read_text(path, "a list", "give one")
    assert (error.value.place, error.value.remedy) == ("byte 3", "give one")
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(BadInput, match="it has 1099511627776 bytes"):
        read_text(path, "a list", "give one")


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "a\x07b"])
def test_a_list_with_what_is_no_name_says_on_which_line(tmp_path, name):
    (tmp_path / "a.lis").write_text(f"# names\none\n{name}\n")
    with pytest.raises(BadInput, match="no name of a file") as error:
        read_names(tmp_path / "a.lis")
    assert error.value.place == "line 3"
