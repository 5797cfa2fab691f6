"""Opening what the record names: the frames of a run, the pixels of a master."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from roque.archive.models import Master, RawFile, Run
from roque.archive.products import ProductStore
from roque.calibration.defects import Defects, read_defects
from roque.errors import BadInput, NotFound, Transient
from roque.frames import Frame
from roque.instruments import CameraDescription
from roque.spool import FrameSource, data_source

__all__ = ["MasterReference", "load_masters", "master_contents", "named_file", "open_run"]

MasterReference = int | Mapping[str, str] | None
"""Id of a master in the record, or file and sha256 of one that a reduce file names; None: done without."""


@contextmanager
def open_run(
    run: Run, files: Sequence[RawFile], cache: Path, cameras: Mapping[str, CameraDescription]
) -> Iterator[FrameSource]:
    """Open the frames of a run from a location that still holds what was registered.

    Raises
    ------
    NotFound
        No location of the run exists any more.
    Transient
        A file has changed since it was registered, before or while it was read: what it is now is registered first.
    """
    files = _location(files)
    before = [_state(file, growing=run.state == "growing") for file in files]
    paths = [Path(file.path) for file in files]
    resource = paths[0] if run.source == "hl" else paths
    try:
        with data_source(run.source, resource, camera=cameras.get(run.instrument.name), cache=cache) as source:
            yield source
    except BadInput:
        for file in files:  # a file that is written over looks damaged while that lasts
            _state(file, growing=run.state == "growing")
        raise
    if [_state(file, growing=run.state == "growing") for file in files] != before:
        raise _changed(files[0].path)


def load_masters(session: Session, references: Mapping[str, MasterReference], store: ProductStore) -> dict[str, Any]:
    """Read the frames of masters, and what else a recipe names, by kind, their digests checked; the last few are kept.

    Parameters
    ----------
    session : Session
        Of the record.
    references : mapping of str to MasterReference
        Kind to what a reduction names: the id of a master, a file that a reduce file named, or None for a kind left out.
    store : ProductStore
        Where masters are.

    Raises
    ------
    BadInput
        A file has other bytes than it had.
    NotFound
        A file is not there.
    """
    found = {}
    for kind, reference in references.items():
        if isinstance(reference, int):
            product = session.get_one(Master, reference).product
            found[kind] = _load(store.path(product.uri), product.sha256)
        elif reference is not None:
            found[kind] = _load(Path(reference["file"]), reference["sha256"])
    return found


def master_contents(session: Session, references: Mapping[str, MasterReference]) -> dict[str, str | None]:
    """SHA-256 of each master by kind: what a reduction's key is made of, the same in every record."""
    contents: dict[str, str | None] = {}
    for kind, reference in references.items():
        if isinstance(reference, int):
            contents[kind] = session.get_one(Master, reference).product.sha256
        else:
            contents[kind] = reference["sha256"] if reference is not None else None
    return contents


@lru_cache(maxsize=12)
def _load(path: Path, sha256: str) -> Frame | Defects:
    if named_file(path)["sha256"] != sha256:
        raise BadInput(
            "the file has changed since it was chosen", file=str(path), remedy="bring the old one back, or retry the run"
        )
    return read_defects(path)  # a frame, too, by its name


def named_file(path: Path) -> dict[str, str]:
    """Refer to a calibration frame in a file of the user's, by its name and content.

    Raises
    ------
    NotFound
        There is no such file.
    """
    try:
        with path.open("rb") as file:
            return {"file": str(path), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    except OSError as error:
        raise NotFound(
            error.strerror or "unreadable", file=str(path), remedy="put it beside the reduce file that names it"
        ) from None


def _location(files: Sequence[RawFile]) -> list[RawFile]:
    """Files of the first place, in the order of the frames, where all of them lie."""
    first = [file for file in files if not file.duplicate]
    second = [file for file in files if file.duplicate]
    for place in (first, second[: len(first)]):
        if place and all(Path(file.path).exists() for file in place):
            return sorted(place, key=lambda file: file.position)
    name = first[0].path if first else "run"
    raise NotFound("the raw file is no longer there", file=name, remedy="bring it back, or put the run into an incoming folder")


def _state(file: RawFile, *, growing: bool) -> tuple[int, int] | None:
    """Size and time of a file that should stand still; a growing one is only asked to be no shorter."""
    try:
        stat = Path(file.path).stat()
    except OSError:
        raise _changed(file.path) from None
    if growing:
        if stat.st_size < file.size:
            raise _changed(file.path)
        return None
    if (stat.st_size, stat.st_mtime_ns) != (file.size, file.mtime_ns):
        raise _changed(file.path)
    return stat.st_size, stat.st_mtime_ns


def _changed(path: str) -> Transient:
    return Transient(
        "the file has changed since it was registered", file=path, remedy="it is registered anew and then tried again"
    )
