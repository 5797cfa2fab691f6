"""A record of its own for every test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from roque.archive import Record
from roque.archive.schema import upgrade


@pytest.fixture(scope="session")
def empty_record(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("record") / "record.sqlite"
    record = Record(f"sqlite:///{path}")
    upgrade(record)
    record.close()
    return path


@pytest.fixture
def record(empty_record: Path, tmp_path: Path):
    path = tmp_path / "record.sqlite"
    shutil.copyfile(empty_record, path)
    record = Record(f"sqlite:///{path}")
    yield record
    record.close()
