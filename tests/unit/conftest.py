"""An empty record to copy: making its tables takes longer than most tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from roque.archive import Record
from roque.archive.schema import upgrade


@pytest.fixture(scope="session")
def empty_record(tmp_path_factory) -> Path:
    """An SQLite file with all tables and no rows."""
    path = tmp_path_factory.mktemp("record") / "record.sqlite"
    record = Record(f"sqlite:///{path}")
    upgrade(record)
    record.close()
    return path
