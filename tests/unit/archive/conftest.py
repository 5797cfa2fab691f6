"""A record of its own for every test, and a reduction in it."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from roque.archive import Record
from roque.archive.models import ApertureSet, Base, Instrument, Night, Recipe, Reduction, Run
from roque.archive.partitions import keep_partitions
from roque.archive.schema import upgrade
from tests.support.servers import Servers

NOW = dt.datetime(2024, 5, 2, tzinfo=dt.UTC)


@pytest.fixture
def file_record(empty_record: Path, tmp_path: Path):
    path = tmp_path / "record.sqlite"
    shutil.copyfile(empty_record, path)
    record = Record(f"sqlite:///{path}")
    yield record
    record.close()


@pytest.fixture(scope="session")
def tables_on_server(servers: Servers):
    with servers.new_database() as url:
        record = Record(url)
        upgrade(record)
        yield record
        record.close()


@pytest.fixture
def server_record(tables_on_server: Record):
    yield tables_on_server
    names = ", ".join(f'"{name}"' for name in Base.metadata.tables)
    with tables_on_server.writing() as session:
        session.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
    tables_on_server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def record(request):
    return request.getfixturevalue("file_record" if request.param == "sqlite" else "server_record")


@pytest.fixture
def reduction(request):
    """Id of a reduction in the record of the test, whichever of them it is."""
    names = [name for name in ("record", "server_record", "file_record") if name in request.fixturenames]
    return add_reduction(request.getfixturevalue(names[0]))


@pytest.fixture(scope="session")
def make_reduction():
    """Puts a reduction into a record that is given."""
    return add_reduction


def add_reduction(record: Record) -> int:
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
    keep_partitions(record, NOW.date())
    return reduction.id
