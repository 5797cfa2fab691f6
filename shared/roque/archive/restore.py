"""Bringing a backup back: into a home folder without a record, or into an empty database."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roque.archive.backup import FORMAT, MANIFEST, PRODUCTS, RECORD, SUMS, TABLES, copied
from roque.archive.pgdump import insist_on_empty, load_tables
from roque.archive.products import ProductStore
from roque.archive.schema import knows, upgrade
from roque.archive.session import Record
from roque.errors import BadInput, Conflict, NotFound

__all__ = ["Restored", "restore"]

_OTHER = "take another backup"


@dataclass(frozen=True)
class Restored:
    """What was brought back."""

    made_at: str
    products: int
    damaged: list[str]  # products that had been damaged when the backup was made


def restore(folder: Path, record: Record, store: ProductStore) -> Restored:
    """Bring a backup back, every bit of it: first it is checked as a whole, then come the products, then the record.

    What is not recorded does not exist: if it is interrupted, there is no record, and it can be done again.

    Parameters
    ----------
    folder : Path
        What `roque.archive.backup.back_up` wrote.
    record : Record
        An SQLite file that is not there, or an empty database.
    store : ProductStore

    Raises
    ------
    NotFound
        There is no backup.
    BadInput
        A file of it is missing or has other bytes, or it was made by a newer roque.
    Conflict
        There is a record already, or the backup is one of the other kind of database.
    """
    sums = _sums(folder)
    manifest = _manifest(folder, sums)
    kind = "sqlite" if record.is_sqlite else "postgresql"
    if manifest["database"] != kind:
        wanted = "leave setting database_url out" if manifest["database"] == "sqlite" else "set database_url to a PostgreSQL"
        raise Conflict(f"the backup is of {manifest['database']}, the record is {kind}", file=str(folder), remedy=wanted)
    if not knows(manifest["revision"]):
        raise BadInput("it was made by a newer roque", file=str(folder), remedy="bring this one to the same version")
    target = Path(str(record.engine.url.database)) if record.is_sqlite else None
    if target is not None:
        _insist_on_none(target)
    else:
        upgrade(record, manifest["revision"])
        insist_on_empty(record)
    products = {name.removeprefix(f"{PRODUCTS}/"): sha256 for name, sha256 in sums.items() if name.startswith(f"{PRODUCTS}/")}
    for uri, sha256 in products.items():
        copied(folder / PRODUCTS / uri, store.path(uri), sha256)
    if target is not None:
        copied(folder / RECORD, target, sums[RECORD])
    else:
        with record.writing() as session:
            load_tables(session, record.name, manifest["tables"], folder / TABLES)
    upgrade(record)
    return Restored(manifest["made_at"], len(products), manifest["damaged"])


def _insist_on_none(target: Path) -> None:
    # a log left behind by another record would be taken for the log of this one
    for path in (target, Path(f"{target}-wal")):
        if path.exists():
            remedy = f"move {target.name}* away first, or name another --home"
            raise Conflict("there is a record already", file=str(path), remedy=remedy)


def _sums(folder: Path) -> Mapping[str, str]:
    """Digests of the files of a backup, each compared with its file."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise NotFound("there is no backup here", file=str(folder), remedy="name a folder that 'roque backup' wrote") from None
    sums = {name: sha256 for sha256, _, name in (line.partition("  ") for line in lines)}
    for name, sha256 in sums.items():
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise BadInput("a name leads out of the backup", file=str(folder / SUMS), remedy=_OTHER)
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            raise BadInput("a file of the backup is missing", file=str(path), remedy=_OTHER) from None
        if found != sha256:
            raise BadInput("a file of the backup is damaged (SHA-256 differs)", file=str(path), remedy=_OTHER)
    return sums


def _manifest(folder: Path, sums: Mapping[str, str]) -> dict[str, Any]:
    if MANIFEST not in sums:
        raise BadInput("the list of files is not whole", file=str(folder / SUMS), remedy=_OTHER)
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if manifest["format"] != FORMAT:
        raise BadInput(f"a backup of form {manifest['format']}, not {FORMAT}", file=str(folder), remedy="use a newer roque")
    needed = {RECORD} if manifest["tables"] is None else {f"{TABLES}/{table['file']}" for table in manifest["tables"]}
    if not needed <= sums.keys():
        raise BadInput("the list of files is not whole", file=str(folder / SUMS), remedy=_OTHER)
    return manifest
