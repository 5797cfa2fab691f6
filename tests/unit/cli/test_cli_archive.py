"""Tables, backups and the check of the disk, by the command, at both sizes."""

import json
import os
import time

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from roque.archive import Record
from roque.archive.models import RawFile
from roque.archive.products import ProductStore, record_product
from roque.archive.schema import downgrade
from roque.jobs.kinds import Kind
from roque.jobs.life import submit
from roque.jobs.outbox import clock
from services.cli.main import cli


class Place:
    """A home folder and a database, and the command in them."""

    def __init__(self, home, url):
        self.home, self.url = home, url
        self.store = ProductStore(home / "products")

    def roque(self, *words):
        environment = {"ROQUE_HOME": str(self.home), "ROQUE_DATABASE_URL": self.url, "ROQUE_PRODUCTS_URL": ""}
        return CliRunner().invoke(cli, [str(word) for word in words], env=environment)

    def told(self, *words):
        done = self.roque(*words, "--json")
        return done.exit_code, [json.loads(line) for line in done.stdout.splitlines()]

    def product(self, name):
        with self.store.new("log", name) as file:
            file.path.write_text(name)
        record = Record(self.url)
        with record.writing() as session:
            record_product(session, file.stored, kind="log")
        record.close()
        return file.stored


@pytest.fixture(params=["sqlite", "postgresql"])
def places(request, tmp_path):
    if request.param == "sqlite":
        yield [Place(tmp_path / name, f"sqlite:///{tmp_path / name / 'record.sqlite'}") for name in ("one", "two")]
        return
    new_database = request.getfixturevalue("servers").new_database
    with new_database() as first, new_database() as second:
        yield [Place(tmp_path / "one", first), Place(tmp_path / "two", second)]


@pytest.fixture
def place(places):
    return places[0]


def test_tables_are_missing_then_made_then_up_to_date(place):
    status, (told,) = place.told("db", "check")
    assert (status, told["state"], told["remedy"]) == (1, "missing", "make them with 'roque db upgrade'")
    done = place.roque("db", "upgrade")
    assert done.exit_code == 0
    assert "before, they were missing" in done.output
    status, (told,) = place.told("db", "upgrade")
    assert (status, told["before"]) == (0, "current")
    status, (told,) = place.told("db", "check")
    assert told["state"] == "current"
    if place.url.startswith("sqlite"):
        assert (status, told["partitions_ahead"], told["remedy"]) == (0, None, None)
    else:  # no planner has run yet
        assert (status, told["partitions_ahead"]) == (1, 0)
        assert "planner" in told["remedy"]


def test_tables_of_another_version_are_said_with_what_to_do(place):
    place.roque("db", "upgrade")
    record = Record(place.url)
    downgrade(record, "0001")
    done = place.roque("db", "check")
    assert done.exit_code == 1
    assert "old" in done.output
    assert "roque db upgrade" in done.output
    place.roque("db", "upgrade")
    with record.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'later'"))
    record.close()
    status, (told,) = place.told("db", "check")
    assert (status, told["state"]) == (1, "newer")
    assert "same version" in told["remedy"]
    done = place.roque("db", "upgrade")
    assert done.exit_code == 3
    assert "newer roque" in done.output


def test_a_look_makes_no_file(tmp_path):
    place = Place(tmp_path / "one", f"sqlite:///{tmp_path / 'one' / 'record.sqlite'}")
    assert place.roque("db", "check").exit_code == 1
    assert not (tmp_path / "one" / "record.sqlite").exists()


def test_a_backup_comes_back(places, tmp_path):
    old, new = places
    old.roque("db", "upgrade")
    stored = old.product("run1.log")
    status, (told,) = old.told("backup", tmp_path / "backup")
    assert (status, told["state"], told["products"], told["damaged"]) == (0, "good", 1, [])
    done = new.roque("restore", tmp_path / "backup")
    assert done.exit_code == 0
    assert "1 products are back" in done.output
    assert new.store.path(stored.uri).read_text() == "run1.log"
    status, told = new.told("archive", "verify")
    assert (status, told[-1]["products"], told[-1]["state"]) == (0, 1, "good")
    again = new.roque("restore", tmp_path / "backup")
    assert again.exit_code == 1
    assert "already" in again.output or "not empty" in again.output


def test_a_backup_without_a_damaged_product_says_so(place, tmp_path):
    place.roque("db", "upgrade")
    stored = place.product("run1.log")
    place.store.path(stored.uri).unlink()
    done = place.roque("backup", tmp_path / "backup")
    assert done.exit_code == 1
    assert stored.uri in done.output
    assert "archive verify" in done.output


def test_damage_is_told_apart_and_ends_with_status_1(place):
    place.roque("db", "upgrade")
    good, other, shorter, gone, stray = (place.product(f"run{i}.log") for i in range(5))
    place.store.path(other.uri).write_text("RUN1.log")
    place.store.path(shorter.uri).write_text("run")
    place.store.path(gone.uri).unlink()
    record = Record(place.url)
    with record.writing() as session:
        session.execute(text("DELETE FROM product WHERE uri = :uri"), {"uri": stray.uri})
    record.close()
    os.utime(place.store.path(stray.uri), (time.time() - 7200,) * 2)
    status, told = place.told("archive", "verify")
    assert status == 1
    assert {one["name"]: one["state"] for one in told[:-1]} == {
        other.uri: "differs", shorter.uri: "differs", gone.uri: "missing", stray.uri: "unrecorded",
    }  # fmt: skip
    assert all(one["remedy"] for one in told[:-1])
    assert told[-1] == {"name": "archive", "state": "damaged", "products": 4, "raw_files": None, "damaged": 3}
    shown = place.roque("archive", "verify").output
    assert good.uri not in shown
    assert "3 of them are damaged" in shown


def test_a_file_that_nobody_recorded_is_no_damage(place):
    place.roque("db", "upgrade")
    place.product("run1.log")
    stray = place.store.folder / "log" / "stray.log"
    stray.write_text("x")
    os.utime(stray, (time.time() - 7200,) * 2)
    status, told = place.told("archive", "verify")
    assert (status, told[0]["state"], told[-1]["state"]) == (0, "unrecorded", "good")


def test_raw_files_are_compared_if_asked_and_growing_ones_may_be_longer(place, tmp_path):
    place.roque("db", "upgrade")
    names = {"same": b"abc", "longer": b"abcdef", "other": b"abd", "shorter": b"ab"}
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of abc
    record = Record(place.url)
    with record.writing() as session:
        for name in (*names, "gone"):
            growing = name in ("longer", "shorter")
            path = str(tmp_path / name)
            session.add(
                RawFile(path=path, size=3, mtime_ns=1, sha256=None if growing else digest, seen_at=clock(session))
            )  # fmt: skip
    record.close()
    for name, content in names.items():
        (tmp_path / name).write_bytes(content)
    assert place.told("archive", "verify")[0] == 0
    status, told = place.told("archive", "verify", "--raw")
    assert status == 1
    found = {one["name"].rpartition("/")[2]: one["state"] for one in told[:-1]}
    assert found == {"other": "differs", "shorter": "differs", "gone": "missing"}
    assert told[-1]["raw_files"] == 5


def test_of_many_jobs_the_newest_are_listed(place):
    place.roque("db", "upgrade")
    record = Record(place.url)
    with record.writing() as session:
        ids = [submit(session, Kind.EXPORT_REDUCTION, {"reduction_id": 1}, key_inputs=i).id for i in range(5)]
    record.close()
    status, told = place.told("job", "list", "--limit", "3")
    assert status == 0
    assert [one["name"] for one in told] == ids[:1:-1]
