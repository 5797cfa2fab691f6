"""Instruments that other packages bring: entry points of the group `roque.instruments`, each an `Instrument`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol

from roque.errors import BadInput, RoqueError
from roque.frames.frame import Header
from roque.instruments.camera import SERVED, SOURCES, read_camera
from roque.instruments.description import CameraDescription

__all__ = ["GROUP", "Instrument", "Plugins", "Reader", "faults_of", "plugins"]

GROUP = "roque.instruments"

_TAKEN = {".fits", ".fit", ".fts", ".hcm", ".lis", ".xml", ".dat", ".gz", ".fz", ".ape", ".red"}


class _Bytes(Protocol):
    """A Path, or what `importlib.resources.files` gives."""

    def read_bytes(self) -> bytes: ...


@dataclass(frozen=True)
class Reader:
    """What reads the files of an instrument; a file is a run.

    Parameters
    ----------
    source : str
        Its name for `data_source`, which is also that of the entry `source` in descriptions of its cameras.
    open : callable
        ``open(path, first, camera, cache)`` gives a `roque.spool.FrameSource`: the file, the place of the first frame from 1,
        whose it is, a folder for unpacked files or None. What is wrong with a file it says by `roque.errors.BadInput`.
    endings : tuple of str
        Of the names of its files, with the dot: ('.toy',). FITS files need none: the section [identify] of a description tells
        them, by their first header.
    header : callable or None
        ``header(path)`` gives keywords that [identify] is asked of, for files that are no FITS. None: the reader serves one
        camera alone.
    """

    source: str
    open: Callable[[Path, int, CameraDescription, Path | None], Any]
    endings: tuple[str, ...] = ()
    header: Callable[[Path], Header] | None = None


@dataclass(frozen=True)
class Instrument:
    """What an entry point names.

    Parameters
    ----------
    cameras : tuple
        Descriptions: TOML as bytes, or files that hold it.
    reader : Reader or None
        None: the cameras write plain FITS images.
    """

    cameras: tuple[bytes | _Bytes, ...] = ()
    reader: Reader | None = None


@dataclass
class Plugins:
    """What all of them bring, and what is wrong with those that bring nothing."""

    cameras: dict[str, CameraDescription] = field(default_factory=dict)
    readers: dict[str, Reader] = field(default_factory=dict)
    problems: list[RoqueError] = field(default_factory=list)

    @property
    def sources(self) -> tuple[str, ...]:
        """Every source that a description may name."""
        return (*SOURCES, *self.readers)

    @property
    def endings(self) -> tuple[str, ...]:
        """Endings of names, in lower case."""
        return tuple(ending.lower() for reader in self.readers.values() for ending in reader.endings)

    def reader_of(self, name: str) -> Reader | None:
        """Reader of a file by its name."""
        lower = name.lower()
        return next((r for r in self.readers.values() if lower.endswith(tuple(e.lower() for e in r.endings))), None)

    def add(self, entry: EntryPoint) -> None:
        """Load a plug-in; one that cannot be loaded, or contradicts what is there, becomes a problem, as a whole."""
        where = f"plug-in {entry.name} ({entry.value}{f', package {entry.dist.name}' if entry.dist else ''})"
        try:
            with faults_of(where):
                found = entry.load()
                if not isinstance(found, Instrument):
                    raise BadInput(f"{type(found).__name__} is no roque.instruments.Instrument", file=where)
                reader = self._checked(found.reader, where) if found.reader else None
                sources = (*self.sources, reader.source) if reader else self.sources
                cameras = [read_camera(_text(camera), where, sources) for camera in found.cameras]
                for camera in cameras:
                    if camera.name in self.cameras:
                        raise BadInput(f"another plug-in has a camera {camera.name}", file=where, remedy="remove one of them")
        except RoqueError as error:
            self.problems.append(error)
            return
        self.cameras |= {camera.name: camera for camera in cameras}
        self.readers |= {reader.source: reader} if reader else {}

    def _checked(self, reader: Reader, where: str) -> Reader:
        if reader.source in {*self.sources, *SERVED}:
            raise BadInput(f"there is a source {reader.source!r} already", file=where, remedy="rename that of the plug-in")
        for ending in reader.endings:
            if not ending.startswith(".") or ending.lower() in {*_TAKEN, *self.endings}:
                raise BadInput(f"{ending!r} is no ending that is free", file=where, remedy="choose another, such as '.toy'")
        return reader


@contextmanager
def faults_of(where: str, file: str | None = None) -> Iterator[None]:
    """Turn whatever a plug-in raises into an error of one file: it must not stop those that others can read."""
    try:
        yield
    except (RoqueError, OSError):
        raise
    except Exception as error:
        raise BadInput(
            f"{'it' if file is None else where} fails with {type(error).__name__}: {error}",
            file=file or where,
            remedy="update the package that brings it, or remove it",
        ) from error


@cache
def plugins() -> Plugins:
    """Load the plug-ins that are installed, once a process, in the order of their names."""
    found = Plugins()
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        found.add(entry)
    return found


def _text(camera: bytes | _Bytes) -> bytes:
    return camera if isinstance(camera, bytes) else camera.read_bytes()
