"""Backups: a folder with the record and every product as they were at one moment, each file with its SHA-256.

    manifest.json        version of the tables, what is in the folder
    SHA256SUMS           of every file, for `sha256sum --check` as for `roque restore`
    record.sqlite        the record of a laptop, or
    record/TABLE.copy    a table of PostgreSQL in the binary form of COPY
    products/...         as in the product store

The moment is one transaction of the record. Products that it names are there to stay: they are copied after it. So all runs on
while a backup is written.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roque import __version__
from roque.archive.pgdump import dump_tables
from roque.archive.products import ProductStore
from roque.archive.schema import insist_on_tables, revision
from roque.archive.session import Record
from roque.errors import BadInput, Conflict
from roque.frames.files import flush_folder

__all__ = ["FORMAT", "MANIFEST", "RECORD", "SUMS", "TABLES", "Backup", "back_up", "copied"]

FORMAT = 1
MANIFEST, SUMS, RECORD, TABLES, PRODUCTS = "manifest.json", "SHA256SUMS", "record.sqlite", "record", "products"

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Backup:
    """What was written."""

    folder: Path
    products: int
    size: int  # bytes
    damaged: list[str]  # products whose file was missing or had other bytes: they are not in it


def back_up(record: Record, store: ProductStore, folder: Path) -> Backup:
    """Write a backup; the folder appears when it is whole, or not at all.

    Parameters
    ----------
    record : Record
    store : ProductStore
    folder : Path
        It must not exist yet.

    Raises
    ------
    Conflict
        The folder exists.
    OSError
        It cannot be written, or the disk is full.
    """
    insist_on_tables(record)
    with _whole(folder) as part:
        sums: dict[str, str] = {}
        if record.is_sqlite:
            tables = None
            _copy_sqlite(Path(str(record.engine.url.database)), part / RECORD)
            sums[RECORD] = _digest(part / RECORD)
            with closing(sqlite3.connect(part / RECORD)) as copy:
                wanted = copy.execute("SELECT uri, sha256 FROM product ORDER BY id").fetchall()
        else:
            (part / TABLES).mkdir()
            tables, wanted = dump_tables(record, part / TABLES)
            sums |= {f"{TABLES}/{table['file']}": str(table["sha256"]) for table in tables}
        damaged = []
        for uri, sha256 in wanted:
            try:
                copied(store.path(uri), part / PRODUCTS / uri, sha256)
                sums[f"{PRODUCTS}/{uri}"] = sha256
            except (BadInput, FileNotFoundError):
                damaged.append(uri)
        _describe(part, record, tables, damaged, sums)
        size = sum(path.stat().st_size for path in part.rglob("*") if path.is_file())
        _flush_folders(part)
    return Backup(folder, len(wanted) - len(damaged), size, damaged)


def copied(source: Path, target: Path, sha256: str) -> None:
    """Copy a file whole and flush it; one that is there with the same bytes stays.

    Raises
    ------
    BadInput
        The source has other bytes than it should have.
    """
    if target.is_file() and _digest(target) == sha256:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".new-{secrets.token_hex(6)}-{target.name[-100:]}")
    try:
        digest = hashlib.sha256()
        with source.open("rb") as old, part.open("xb") as new:
            while chunk := old.read(_CHUNK):
                digest.update(chunk)
                new.write(chunk)
            new.flush()
            os.fsync(new.fileno())
        if digest.hexdigest() != sha256:
            remedy = "restore it from another backup; 'roque archive verify' tells what else is damaged"
            raise BadInput("the bytes are not those that were recorded (SHA-256 differs)", file=str(source), remedy=remedy)
        part.replace(target)
        flush_folder(target.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    folder = folder.absolute()
    _refuse(folder)
    part = folder.with_name(f".{folder.name[:180]}.{secrets.token_hex(6)}.part")
    part.mkdir(mode=0o700)  # the record may hold what is not for everybody
    try:
        yield part
        _refuse(folder)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    flush_folder(folder.parent)


def _refuse(folder: Path) -> None:
    if folder.exists():
        raise Conflict("there is something already", file=str(folder), remedy="name a new folder: each backup has its own")


def _copy_sqlite(source: Path, target: Path) -> None:
    # SQLite's own online backup, in one step: writers wait for nothing, as the record is in WAL mode
    with closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
        new.execute("PRAGMA journal_mode=DELETE")
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _describe(
    part: Path, record: Record, tables: list[dict[str, Any]] | None, damaged: list[str], sums: dict[str, str]
) -> None:
    manifest = {
        "format": FORMAT,
        "made_at": dt.datetime.now(dt.UTC).isoformat(),
        "roque": __version__,
        "database": "sqlite" if record.is_sqlite else "postgresql",
        "revision": revision(record),
        "tables": tables,
        "damaged": damaged,
    }
    (part / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    sums = {MANIFEST: _digest(part / MANIFEST), **sums}
    lines = "".join(f"{sha256}  {name}\n" for name, sha256 in sums.items())
    (part / SUMS).write_text(lines, encoding="utf-8")
    for name in (MANIFEST, SUMS):
        with (part / name).open("rb") as file:
            os.fsync(file.fileno())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush_folders(folder: Path) -> None:
    for path in [*(inner for inner in folder.rglob("*") if inner.is_dir()), folder]:
        flush_folder(path)
