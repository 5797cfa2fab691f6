"""Files that are open for reading."""

from __future__ import annotations

import os

import numpy as np
import pytest

from roque.errors import Unreadable
from roque.frames.handle import OpenFile


@pytest.mark.parametrize("cold", [False, True])
@pytest.mark.parametrize(
    ("offset", "step", "size", "count"), [(0, 9000, 36, 40), (777, 4096, 5000, 12), (5, 36, 36, 100), (9, 9, 3, 0)]
)
def test_scattered_bytes_are_those_of_single_reads_from_memory_or_from_the_disk(tmp_path, cold, offset, step, size, count):
    path = tmp_path / "file"
    path.write_bytes(np.random.default_rng(1).bytes(400_000))
    data = path.read_bytes()
    with OpenFile(path) as file:
        if cold:
            descriptor = os.open(path, os.O_RDWR)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
        found = file.read_each(offset, step, size, count)
    assert found == b"".join(data[at : at + size] for at in range(offset, offset + count * step, step))


def test_scattered_bytes_beyond_the_end_are_left_out_and_of_a_failing_disk_are_an_error(tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    with OpenFile(tmp_path / "file") as file:
        assert file.read_each(0, 4, 3, 5) == b"01245689"
    with pytest.raises(Unreadable):
        file.read_each(0, 4, 3, 5)


def test_a_file_is_replaced_when_another_lies_under_its_name_and_not_when_it_grew_or_went(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    with OpenFile(path) as file:
        with path.open("ab") as more:
            more.write(b" more")
        assert not file.replaced
        path.unlink()
        assert not file.replaced
        path.mkdir()
        assert not file.replaced
        path.rmdir()
        path.write_bytes(b"other")
        assert file.replaced
        assert file.read(0, 99) == b"one more"
