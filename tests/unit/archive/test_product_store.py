"""Products appear whole, named by their content, and count once recorded."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import signal
import subprocess
import sys
import time

import pytest

from roque.archive.models import Product
from roque.archive.products import ProductStore, record_product
from roque.errors import BadInput, NotFound

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def store(tmp_path):
    return ProductStore(tmp_path / "products")


def write(store, text, name="run1.log", kind="log"):
    with store.new(kind, name) as file:
        file.path.write_text(text)
    return file.stored


def age(path, hours=2.0):
    os.utime(path, (time.time() - 3600 * hours,) * 2)


def files(store):
    return sorted(path.relative_to(store.folder).as_posix() for path in store.folder.rglob("*") if path.is_file())


def test_a_product_stands_under_its_name_and_digest(store):
    stored = write(store, "hello", "run1.fits.gz")
    digest = hashlib.sha256(b"hello").hexdigest()
    assert (stored.uri, stored.sha256, stored.size) == (f"log/run1-{digest[:12]}.fits.gz", digest, 5)
    assert files(store) == [stored.uri]
    assert store.path(stored.uri).read_text() == "hello"


def test_until_it_is_whole_nobody_sees_it(store):
    with store.new("log", "run1.log") as file:
        file.path.write_text("half")
        assert file.path.name.startswith(".")
        assert file.path.suffix == ".log"
        with pytest.raises(RuntimeError):
            _ = file.stored
    assert len(files(store)) == 1


def test_a_writer_that_fails_leaves_nothing(store):
    def fail():
        with store.new("log", "run1.log") as file:
            file.path.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert files(store) == []


def test_a_killed_writer_leaves_nothing_that_looks_like_a_product_and_the_sweep_takes_it(store, record):
    code = (
        "import sys, time; from pathlib import Path; from roque.archive.products import ProductStore\n"
        f"with ProductStore(Path({str(store.folder)!r})).new('log', 'run1.log') as file:\n"
        "    file.path.write_text('half'); print('written', flush=True); time.sleep(60)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    writer.stdout.readline()
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    (left,) = files(store)
    assert left.startswith("log/.")
    assert store.sweep(record).removed == []  # it could still be at work
    age(store.folder / left)
    assert store.sweep(record).removed == [left]
    assert files(store) == []


def test_a_late_writer_with_other_bytes_does_not_touch_what_is_recorded(store):
    first, late = write(store, "newer"), write(store, "zombie")
    assert first.uri != late.uri
    assert store.path(first.uri).read_text() == "newer"


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "", "x" * 65, "a b", "ä.log", "a\n"])
def test_names_that_could_lead_elsewhere_are_refused(store, name):
    with pytest.raises(BadInput, match="cannot be part"), store.new("log", name):
        pass
    with pytest.raises(BadInput, match="cannot be part"), store.new(name, "run1.log"):
        pass


def test_an_address_that_leads_out_of_the_store_is_refused(store):
    with pytest.raises(BadInput, match="out of"):
        store.path("../../etc/passwd")


def test_damage_is_found(store, record):
    stored = write(store, "hello")
    store.verify(stored)
    assert store.verified(stored.uri, stored.sha256) == store.path(stored.uri)
    store.path(stored.uri).write_text("jello")
    with pytest.raises(BadInput, match="SHA-256"):
        store.verify(stored)
    store.path(stored.uri).unlink()
    with pytest.raises(NotFound):
        store.verify(stored)
    with pytest.raises(NotFound):
        store.open(stored)


def test_a_product_is_recorded_once(store, record):
    stored = write(store, "hello")
    ids = set()
    for _ in range(2):
        with record.writing() as session:
            inputs = [{"kind": "raw", "name": "run1.fits", "sha256": "0" * 64}]
            ids.add(record_product(session, stored, kind="log", inputs=inputs).id)
    assert len(ids) == 1
    with record.reading() as session:
        product = session.get_one(Product, ids.pop())
        assert (product.uri, product.sha256, product.size, product.inputs) == (stored.uri, stored.sha256, 5, inputs)
        with store.open(product) as file:
            assert file.read() == b"hello"


def test_the_sweep_removes_old_files_without_a_record_and_reports_records_without_a_file(store, record):
    kept, orphan, young, gone = (write(store, text) for text in ("kept", "orphan", "young", "gone"))
    with record.writing() as session:
        record_product(session, kept, kind="log")
        record_product(session, gone, kind="log")
    for stored in (kept, orphan, gone):
        age(store.path(stored.uri))
    store.path(gone.uri).unlink()
    swept = store.sweep(record, HOUR)
    assert (swept.removed, swept.missing) == ([orphan.uri], [gone.uri])
    assert files(store) == sorted([kept.uri, young.uri])


def test_a_file_that_is_written_anew_during_the_sweep_stays(store, record, monkeypatch):
    orphan = write(store, "made again")
    age(store.path(orphan.uri))
    reading = record.reading

    def meanwhile():
        write(store, "made again")
        return reading()

    monkeypatch.setattr(record, "reading", meanwhile)
    assert store.sweep(record, HOUR).removed == []
    assert files(store) == [orphan.uri]


def test_a_clock_that_is_wrong_does_not_make_the_sweep_take_what_was_just_written(store, record, monkeypatch):
    write(store, "young")
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + 7200)
    assert store.sweep(record, HOUR).removed == []
