"""The record against the disk, both ways: what is recorded and not there or not the same, and what nobody has recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import select

from roque.archive.models import Product, RawFile, Run
from roque.archive.products import ProductStore
from roque.archive.session import Record

__all__ = ["Finding", "Progress", "verify_products", "verify_raw_files"]

Progress = Callable[[int, int, int], None]
"""Called with files looked at, files in all, and bytes read."""


@dataclass(frozen=True)
class Finding:
    """A file that is not as it should be."""

    kind: Literal["product", "raw"]
    name: str  # of the product, or path of the raw file
    state: Literal["missing", "differs", "unreadable", "unrecorded"]
    detail: str
    remedy: str

    @property
    def damage(self) -> bool:
        """Whether something is lost; a file that nobody recorded is only in the way, and swept by the planner."""
        return self.state != "unrecorded"


def verify_products(record: Record, store: ProductStore, told: Progress) -> Iterator[Finding]:
    """Read every recorded product and compare size and SHA-256; then look for files that nobody has recorded.

    Yields
    ------
    Finding
    """
    with record.reading() as session:
        rows = session.execute(select(Product.uri, Product.size, Product.sha256).order_by(Product.id)).all()
    read = 0
    for place, row in enumerate(rows):
        found = compared(store.path(row.uri), row.size, row.sha256)
        read += row.size
        if found is not None:
            state, detail = found
            remedy = "restore it from a backup, or have it made anew: 'roque run retry RUN'"
            yield Finding("product", row.uri, state, detail, remedy)
        told(place + 1, len(rows), read)
    for uri in store.unrecorded(record):
        yield Finding("product", uri, "unrecorded", "no row names it", "nothing: the planner removes it")


def verify_raw_files(record: Record, told: Progress) -> Iterator[Finding]:
    """Read every raw file that has ended and compare size and SHA-256; one that still grows may not have become shorter.

    Yields
    ------
    Finding
    """
    with record.reading() as session:
        wanted = select(RawFile.path, RawFile.size, RawFile.sha256, Run.state).outerjoin(Run, Run.id == RawFile.run_id)
        rows = session.execute(wanted.order_by(RawFile.id)).all()
    read = 0
    for place, row in enumerate(rows):
        growing = row.state == "growing" or row.sha256 is None
        found = compared(Path(row.path), row.size, None if growing else row.sha256)
        read += row.size
        if found is not None:
            state, detail = found
            yield Finding(
                "raw", row.path, state, detail, "bring back the file as it was registered, from the telescope's archive"
            )
        told(place + 1, len(rows), read)


def compared(path: Path, size: int, sha256: str | None) -> tuple[Literal["missing", "differs", "unreadable"], str] | None:
    """Compare a file with what is known of it; None if they agree. Without a digest it may be longer."""
    try:
        with path.open("rb") as file:
            found = path.stat().st_size
            if found != size and (sha256 is not None or found < size):
                return "differs", f"{found} bytes, recorded were {size}"
            if sha256 is not None and hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                return "differs", "the bytes are not those that were recorded (SHA-256)"
    except (FileNotFoundError, NotADirectoryError):
        return "missing", "it is not there"
    except OSError as error:
        return "unreadable", error.strerror or str(error)
    return None
