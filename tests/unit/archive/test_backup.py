"""A backup holds the record and every product as they were at one moment, and brings them back bit for bit."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
import threading
import time

import numpy as np
import pytest
from sqlalchemy import MetaData, text

from roque.archive import Record, backup
from roque.archive.backup import back_up
from roque.archive.bulk import insert_measurements, insert_radii, load_measurements, load_radii
from roque.archive.models import Night, RangeDone, Run
from roque.archive.partitions import is_partition
from roque.archive.products import ProductStore, record_product
from roque.archive.restore import restore
from roque.archive.schema import Tables, downgrade, tables, upgrade
from roque.errors import BadInput, Conflict, NotFound
from roque.jobs.kinds import Kind
from roque.jobs.life import submit
from roque.photometry.measurements import RADIUS, empty

NIGHT = dt.date(2024, 5, 1)


@pytest.fixture(params=["sqlite", "postgresql"])
def bases(request, tmp_path):
    """Two databases of one kind without tables: one to be filled, one to restore into."""
    if request.param == "sqlite":
        records = [Record(f"sqlite:///{tmp_path / name / 'record.sqlite'}") for name in ("old", "new")]
        yield records
    else:
        new_database = request.getfixturevalue("servers").new_database
        with new_database() as first, new_database() as second:
            records = [Record(first), Record(second)]
            yield records
            for record in records:
                record.close()
    for record in records:
        record.close()


@pytest.fixture
def filled(bases, tmp_path, make_reduction):
    """A record with rows of many kinds, and its products."""
    record, store = bases[0], ProductStore(tmp_path / "products")
    upgrade(record)
    reduction = make_reduction(record)
    with record.writing() as session:
        rows = empty(3000)
        rows["frame"], rows["ccd"], rows["aperture"], rows["counts"] = range(3000), "1", "µ", 1 / 3
        rows["sky"][::7], rows["x"][::5], rows["flag"] = float("nan"), float("-inf"), 2**32 - 1
        insert_measurements(session, NIGHT, reduction, rows)
        further = np.zeros(3000, RADIUS)
        further["frame"], further["ccd"], further["aperture"], further["factor"] = range(3000), "1", "µ", 1.4
        further["counts"], further["radius"] = 1 / 3, np.nan
        insert_radii(session, NIGHT, reduction, further)
        session.add(RangeDone(reduction_id=reduction, first=1, last=9, state={"z": 1e22, "a": -0.0}, seconds={}))
        first = submit(session, Kind.EXPORT_REDUCTION, {"reduction_id": reduction}, key_inputs=1)
        submit(session, Kind.EXPORT_REDUCTION, {"reduction_id": reduction}, key_inputs=2, needs=[first], parent_id=first.id)
        for name in ("run1.log", "run1.fits"):
            with store.new("log", name) as file:
                file.path.write_bytes(name.encode() * 1000)
            record_product(session, file.stored, kind="log", reduction_id=reduction, job_id=first.id)
    return record, store


def contents(record):
    with record.reading() as session:
        found = MetaData()
        found.reflect(session.connection())
        named = {name: table for name, table in found.tables.items() if not is_partition(name)}
        return {name: sorted(map(repr, session.execute(table.select()))) for name, table in named.items()}


def files(store):
    return {path.relative_to(store.folder).as_posix(): path.read_bytes() for path in store.folder.rglob("*") if path.is_file()}


def test_what_is_restored_has_the_same_bits(filled, bases, tmp_path):
    record, store = filled
    done = back_up(record, store, tmp_path / "backup")
    assert (done.products, done.damaged) == (2, [])
    again = ProductStore(tmp_path / "again")
    restored = restore(tmp_path / "backup", bases[1], again)
    assert (restored.products, restored.damaged) == (2, [])
    assert contents(bases[1]) == contents(record)
    assert files(again) == files(store)
    with record.reading() as before, bases[1].reading() as after:
        assert load_measurements(after, 1).tobytes() == load_measurements(before, 1).tobytes()
        assert len(load_radii(after, 1)) == 3000
        assert load_radii(after, 1).tobytes() == load_radii(before, 1).tobytes()
        assert repr(after.get_one(RangeDone, (1, 1)).state) == "{'z': 1e+22, 'a': -0.0}"


def test_a_restored_record_goes_on(filled, bases, tmp_path):
    back_up(*filled, tmp_path / "backup")
    restore(tmp_path / "backup", bases[1], ProductStore(tmp_path / "again"))
    with bases[1].writing() as session:
        night = Night(date=dt.date(2024, 5, 2))
        session.add(night)
        session.flush()
        assert night.id == 2
        assert submit(session, Kind.EXPORT_REDUCTION, {"reduction_id": 1}, key_inputs=3)
        assert session.scalar(text("SELECT count(*) FROM measurements WHERE run = 'run1'")) == 3000


def test_its_list_is_one_that_every_system_can_check(filled, tmp_path):
    back_up(*filled, tmp_path / "backup")
    done = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path / "backup", capture_output=True)
    assert done.returncode == 0
    listed = {line.split("  ", 1)[1] for line in (tmp_path / "backup" / "SHA256SUMS").read_text().splitlines()}
    found = {str(path.relative_to(tmp_path / "backup")) for path in (tmp_path / "backup").rglob("*") if path.is_file()}
    assert found - listed == {"SHA256SUMS"}


def test_it_is_one_moment_of_a_record_that_others_write_to(filled, bases, tmp_path):
    record, store = filled
    stop, written = threading.Event(), []

    def write():
        other = Record(record.engine.url.render_as_string(hide_password=False))
        while not stop.is_set():
            # two tables, one transaction: a backup has both or neither
            with other.writing() as session:
                number = len(written) + 1
                session.add(Night(date=dt.date(2025, 1, 1) + dt.timedelta(number)))
                session.get_one(Run, 1).object = f"{number}"
            written.append(number)
        other.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while len(written) < 3:
            time.sleep(0.01)
        back_up(record, store, tmp_path / "backup")
        before = len(written)
        while len(written) < before + 2:
            time.sleep(0.01)
    finally:
        stop.set()
        writer.join()
    restore(tmp_path / "backup", bases[1], ProductStore(tmp_path / "again"))
    with bases[1].reading() as session:
        nights = session.scalar(text("SELECT count(*) FROM night"))
        assert session.get_one(Run, 1).object == f"{nights - 1}"
        assert 3 <= nights - 1 < len(written)


def test_an_older_backup_is_brought_up_to_date(filled, bases, tmp_path, monkeypatch):
    record, store = filled
    before = {name: len(rows) for name, rows in contents(record).items()} | {"radius_measurement": 0}  # not known then
    downgrade(record, "0002")
    monkeypatch.setattr(backup, "insist_on_tables", lambda _: None)
    back_up(record, store, tmp_path / "backup")
    restore(tmp_path / "backup", bases[1], ProductStore(tmp_path / "again"))
    assert tables(bases[1]) is Tables.CURRENT
    assert {name: len(rows) for name, rows in contents(bases[1]).items()} == before


def test_a_damaged_product_is_left_out_and_named(filled, bases, tmp_path):
    record, store = filled
    good, bad = sorted(files(store))
    store.path(bad).write_bytes(b"other")
    assert back_up(record, store, tmp_path / "backup").damaged == [bad]
    again = ProductStore(tmp_path / "again")
    assert restore(tmp_path / "backup", bases[1], again).damaged == [bad]
    assert list(files(again)) == [good]


def test_a_backup_that_cannot_be_written_leaves_nothing(filled, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr(backup, "copied", full)
    folder = tmp_path / "backups"
    folder.mkdir()
    with pytest.raises(OSError, match="No space"):
        back_up(*filled, folder / "one")
    assert list(folder.iterdir()) == []


def test_a_backup_never_replaces_another(filled, tmp_path):
    back_up(*filled, tmp_path / "backup")
    with pytest.raises(Conflict, match="name a new folder"):
        back_up(*filled, tmp_path / "backup")


@pytest.mark.parametrize("harm", ["other bytes", "missing", "no list", "list cut", "leads out", "newer"])
def test_a_damaged_backup_is_refused_before_anything_is_touched(filled, bases, tmp_path, harm):
    back_up(*filled, tmp_path / "backup")
    folder = tmp_path / "backup"
    sums = folder / "SHA256SUMS"
    product = next(path for path in (folder / "products").rglob("*.log"))
    match harm:
        case "other bytes":
            product.write_bytes(product.read_bytes()[:-1] + b"?")
        case "missing":
            product.unlink()
        case "no list":
            sums.unlink()
        case "list cut":
            sums.write_text("".join(line for line in sums.read_text().splitlines(keepends=True) if "record" not in line))
        case "leads out":
            sums.write_text(sums.read_text() + "0" * 64 + "  ../../etc/passwd\n")
        case "newer":
            manifest = json.loads((folder / "manifest.json").read_text()) | {"revision": "9999"}
            (folder / "manifest.json").write_text(json.dumps(manifest))
            lines = [line for line in sums.read_text().splitlines() if "manifest" not in line]
            digest = subprocess.run(["sha256sum", folder / "manifest.json"], capture_output=True, text=True, check=True)
            sums.write_text("\n".join([f"{digest.stdout.split()[0]}  manifest.json", *lines]) + "\n")
    again = ProductStore(tmp_path / "again")
    with pytest.raises((BadInput, NotFound)) as caught:
        restore(folder, bases[1], again)
    assert caught.value.remedy
    assert not again.folder.exists()
    assert bases[1].is_sqlite or tables(bases[1]) is Tables.MISSING


def test_a_record_that_is_there_is_never_touched(filled, bases, tmp_path):
    record, store = filled
    back_up(record, store, tmp_path / "backup")
    before = contents(record)
    with pytest.raises(Conflict, match=r"there is a record already|not empty"):
        restore(tmp_path / "backup", record, store)
    assert contents(record) == before


def test_an_interrupted_restore_can_be_done_again(filled, bases, tmp_path, monkeypatch):
    record, store = filled
    back_up(record, store, tmp_path / "backup")
    again = ProductStore(tmp_path / "again")
    with monkeypatch.context() as patched:
        patched.setattr("roque.archive.restore.copied", _Once(backup.copied))
        with pytest.raises(KeyboardInterrupt):
            restore(tmp_path / "backup", bases[1], again)
    restore(tmp_path / "backup", bases[1], again)
    assert contents(bases[1]) == contents(record)


class _Once:
    """Copies one file, and is interrupted at the next."""

    def __init__(self, copy):
        self._copy, self._left = copy, 1

    def __call__(self, *given):
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt
        self._copy(*given)


def test_the_other_kind_of_database_is_refused_with_what_to_set(filled, bases, tmp_path, servers):
    back_up(*filled, tmp_path / "backup")
    store = ProductStore(tmp_path / "again")
    if bases[0].is_sqlite:
        with servers.new_database() as url:
            other = Record(url)
            with pytest.raises(Conflict, match="the backup is of sqlite"):
                restore(tmp_path / "backup", other, store)
            other.close()
    else:
        other = Record(f"sqlite:///{tmp_path / 'x' / 'record.sqlite'}")
        with pytest.raises(Conflict, match="set database_url"):
            restore(tmp_path / "backup", other, store)


def test_a_log_of_another_record_is_never_taken_for_this_ones(tmp_path, file_record, make_reduction):
    make_reduction(file_record)
    store = ProductStore(tmp_path / "products")
    back_up(file_record, store, tmp_path / "backup")
    target = tmp_path / "new" / "record.sqlite"
    other = Record(f"sqlite:///{target}")
    shutil.copyfile(f"{file_record.engine.url.database}-wal", f"{target}-wal")
    with pytest.raises(Conflict, match=r"move record\.sqlite\* away"):
        restore(tmp_path / "backup", other, store)
