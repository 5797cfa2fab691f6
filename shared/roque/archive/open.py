"""Opening what the record names: the frames of a run, the pixels of a master."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from roque.archive.models import Master, RawFile, Run
from roque.archive.products import ProductStore
from roque.errors import NotFound, Transient
from roque.frames import Frame
from roque.frames.hcm import read_hcm
from roque.instruments import CameraDescription
from roque.spool import FrameSource, data_source

__all__ = ["load_master", "open_run"]


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
    with data_source(run.source, resource, camera=cameras.get(run.instrument.name), cache=cache) as source:
        yield source
    if [_state(file, growing=run.state == "growing") for file in files] != before:
        raise _changed(files[0].path)


def load_master(master: Master, store: ProductStore) -> Frame:
    """Read the frame of a master, its digest checked; the last few are kept."""
    return _load(store, master.product.uri, master.product.sha256)


@lru_cache(maxsize=12)
def _load(store: ProductStore, uri: str, sha256: str) -> Frame:
    return read_hcm(store.verified(uri, sha256))


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
