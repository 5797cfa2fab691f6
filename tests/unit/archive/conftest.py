"""A record of its own for every test, and a reduction in it."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import pytest

from roque.archive import Record
from roque.archive.models import ApertureSet, Instrument, Night, Recipe, Reduction, Run
from roque.archive.schema import upgrade

NOW = dt.datetime(2024, 5, 2, tzinfo=dt.UTC)


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


@pytest.fixture
def reduction(record):
    with record.writing() as session:
        instrument, night = Instrument(name="camera"), Night(date=dt.date(2024, 5, 1))
        recipe = Recipe(camera="camera", name="default", version=1, digest="d", parameters={}, created_at=NOW)
        apertures = ApertureSet(digest="a", origin="file", source="x.ape", created_at=NOW)
        session.add_all([instrument, night, recipe, apertures])
        session.flush()
        run = Run(
            instrument_id=instrument.id, night_id=night.id, name="run1", source="hl", kind="science", object="x", mode="m",
            xbin=1, ybin=1, speed="s", filters={}, nskips={}, exposure=1.0, windows={},
            header={}, registered_at=NOW, grown_at=NOW,
        )  # fmt: skip
        session.add(run)
        session.flush()
        reduction = Reduction(
            name="abc", key="k", run_id=run.id, recipe_id=recipe.id, parameters={}, aperture_set_id=apertures.id, hints={},
            masters={}, choices={}, code_version="1", created_at=NOW,
        )  # fmt: skip
        session.add(reduction)
        session.flush()
        return reduction.id
