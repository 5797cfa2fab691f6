"""The product store: files that appear whole, are named by their content, and count only once they are recorded."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import select
from sqlalchemy.orm import Session

from roque import __version__
from roque.archive.models import Product
from roque.archive.session import Record, insert_into
from roque.errors import BadInput, NotFound
from roque.frames.files import flush_folder

__all__ = ["NewFile", "ProductStore", "Stored", "Swept", "record_product"]

_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
_HIDDEN = ".new-"  # what is being written, and what a sweep takes away, is out of every glob


@dataclass(frozen=True)
class Stored:
    """A file that stands in the store, whole."""

    uri: str  # relative to the store
    sha256: str
    size: int  # bytes


class NewFile:
    """A file being written: write to `path`; after the ``with`` it is `stored`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stored: Stored | None = None

    @property
    def stored(self) -> Stored:
        """What became of it; only after the ``with`` has ended."""
        if self._stored is None:
            raise RuntimeError("asked for before the file was whole")
        return self._stored


@dataclass(frozen=True)
class Swept:
    """What a sweep found."""

    removed: list[str]  # files that nobody had recorded
    missing: list[str]  # recorded products whose file is not there: damage


class ProductStore:
    """Files of products in a folder.

    Parameters
    ----------
    folder : Path
        Where it keeps them; made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    @contextmanager
    def new(self, kind: str, name: str) -> Iterator[NewFile]:
        """Write a product so that nobody ever sees a part of it, not even after a power cut.

        The file is flushed, hashed, renamed to its place and the folder flushed. Its place has the first digits of its
        SHA-256 in the name, so a late writer with other bytes never replaces what is recorded. If the body raises, nothing
        is left behind.

        Parameters
        ----------
        kind : str
            Kind of product: the folder in the store.
        name : str
            Readable name with its ending: ``run0004_a1b2c3.log``.

        Yields
        ------
        NewFile
            With the `path` to write to, which does not exist yet, has the ending of `name` and lies in the same folder.

        Raises
        ------
        BadInput
            The kind or the name holds anything but letters, digits, dot, hyphen and underscore, or is too long.
        OSError
            The folder cannot be written, or is full.
        """
        for part in (kind, name):
            if not _PART.fullmatch(part):
                raise BadInput(
                    f"{part[:80]!r} cannot be part of the name of a product",
                    remedy="use 1 to 64 letters, digits, dots, hyphens and underscores, not starting with a dot",
                )
        folder = self.folder / kind
        _make(folder)
        path = folder / f"{_HIDDEN}{secrets.token_hex(6)}-{name}"
        file = NewFile(path)
        try:
            yield file
            with path.open("rb+") as written:
                os.fsync(written.fileno())
                sha256 = hashlib.file_digest(written, "sha256").hexdigest()
                size = written.tell()
            stem, dot, ending = name.partition(".")
            final = folder / f"{stem}-{sha256[:12]}{dot}{ending}"
            path.replace(final)
        finally:
            path.unlink(missing_ok=True)
        flush_folder(folder)
        file._stored = Stored(f"{kind}/{final.name}", sha256, size)  # noqa: SLF001 - of this module

    def path(self, uri: str) -> Path:
        """Where the file of a product stands.

        Raises
        ------
        BadInput
            The address leads out of the store.
        """
        path = (self.folder / uri).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            raise BadInput("the address leads out of the product store", file=uri, remedy="restore the record from its backup")
        return path

    def open(self, product: Product | Stored) -> BinaryIO:
        """Open the file of a product for reading.

        Raises
        ------
        NotFound
            The file is not there.
        """
        path = self.path(product.uri)
        try:
            return path.open("rb")
        except FileNotFoundError:
            raise _missing(path) from None

    def verify(self, product: Product | Stored) -> None:
        """Compare a file with its record.

        Raises
        ------
        NotFound
            The file is not there.
        BadInput
            It has other bytes.
        """
        self.verified(product.uri, product.sha256)

    def verified(self, uri: str, sha256: str) -> Path:
        """Where the file of a product stands, its bytes compared with their digest.

        Raises
        ------
        NotFound
            The file is not there.
        BadInput
            It has other bytes.
        """
        path = self.path(uri)
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            raise _missing(path) from None
        if found != sha256:
            raise BadInput("the bytes are not those that were recorded (SHA-256 differs)", file=str(path), remedy=_DAMAGE)
        return path

    def sweep(self, record: Record, older_than: dt.timedelta = dt.timedelta(hours=1)) -> Swept:
        """Remove files that were written and never recorded; find records whose file is gone.

        Parameters
        ----------
        record : Record
        older_than : timedelta
            Younger files are left alone: their job may still be about to record them.

        Returns
        -------
        Swept
        """
        limit = self._time() - older_than.total_seconds()
        old, known = self._old(limit), _recorded(record)  # in this order: what is recorded meanwhile is known
        removed = [uri for path in old if (uri := self._uri(path)) not in known and self._remove(path, limit)]
        missing = [uri for uri in known if not self.path(uri).is_file()]
        return Swept(sorted(removed), sorted(missing))

    def unrecorded(self, record: Record, older_than: dt.timedelta = dt.timedelta(hours=1)) -> list[str]:
        """Names of the files that a sweep would remove."""
        old = self._old(self._time() - older_than.total_seconds())
        known = _recorded(record)
        return sorted(uri for path in old if (uri := self._uri(path)) not in known)

    def _old(self, limit: float) -> list[Path]:
        return [path for path in self.folder.glob("*/*") if path.is_file() and path.stat().st_mtime < limit]

    def _time(self) -> float:
        # by the clock that stamps the files, which may be a file server's: this machine's may be wrong
        if not self.folder.is_dir():
            return time.time()
        probe = self.folder / f"{_HIDDEN}{secrets.token_hex(6)}"
        probe.touch()
        try:
            return probe.stat().st_mtime
        finally:
            probe.unlink()

    def _uri(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    @staticmethod
    def _remove(path: Path, limit: float) -> bool:
        # the same product may be written anew at this very moment, under the same name: what was taken is looked at again
        taken = path.with_name(f"{_HIDDEN}{secrets.token_hex(6)}-{path.name[-100:]}")
        try:
            path.rename(taken)
        except FileNotFoundError:
            return False
        if taken.stat().st_mtime >= limit:
            taken.rename(path)
            return False
        taken.unlink()
        return True


def _recorded(record: Record) -> set[str]:
    with record.reading() as session:
        return set(session.scalars(select(Product.uri)))


_DAMAGE = "restore it from a backup, or have it made anew"


def record_product(
    session: Session,
    stored: Stored,
    *,
    kind: str,
    run_id: int | None = None,
    reduction_id: int | None = None,
    job_id: str | None = None,
    inputs: Sequence[Mapping[str, Any]] = (),
) -> Product:
    """Record a product in the transaction that ends its job; recorded already, it stays as it is.

    Parameters
    ----------
    session : Session
        An open transaction of the record.
    stored : Stored
        The file.
    kind : str
        master, log, fits_log ...
    run_id, reduction_id, job_id
        What it belongs to, and who made it.
    inputs : sequence of dict
        What it was made from: ``{"kind": "raw"|"product"|"recipe"|"apertures"|"reduction", "name": ..., "sha256": ...}``.

    Returns
    -------
    Product
        The row, in this session.
    """
    row = {
        "kind": kind,
        "state": "current",
        "uri": stored.uri,
        "sha256": stored.sha256,
        "size": stored.size,
        "run_id": run_id,
        "reduction_id": reduction_id,
        "job_id": job_id,
        "inputs": [dict(item) for item in inputs],
        "code_version": __version__,
        "made_at": dt.datetime.now(dt.UTC),
    }
    session.execute(insert_into(session, Product).values(row).on_conflict_do_nothing(index_elements=["uri"]))
    return session.scalars(select(Product).where(Product.uri == stored.uri)).one()


def _missing(path: Path) -> NotFound:
    return NotFound("the file of the product is missing", file=str(path), remedy=_DAMAGE)


def _make(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        flush_folder(folder.parent)
