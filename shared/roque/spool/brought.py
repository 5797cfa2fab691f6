"""Runs that the reader of a plug-in reads: whatever goes wrong in it is an error of that run alone."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from roque.errors import BadInput
from roque.instruments import CameraDescription, Reader, cameras, identify
from roque.instruments.plugins import faults_of, plugins
from roque.spool.raw_header import first_header
from roque.spool.source import FrameSource

__all__ = ["camera_of", "faults_of_source", "open_brought"]


def faults_of_source(source: str, path: Path) -> AbstractContextManager[None]:
    """Where the source is that of a plug-in, turn whatever its reader raises into an error of the file."""
    return faults_of(f"the plug-in for {source!r}", str(path)) if source in plugins().readers else nullcontext()


def open_brought(
    reader: Reader, path: Path, first: int, camera: CameraDescription | None = None, cache: Path | None = None
) -> FrameSource:
    """Open a run with the reader of a plug-in; the arguments are those of `data_source`.

    Raises
    ------
    BadInput
        The file is bad, or the plug-in is.
    """
    path = _with_ending(path, reader)
    camera = camera or camera_of(path, reader, cameras())
    with faults_of_source(reader.source, path):
        source: FrameSource = reader.open(path, first, camera, cache)
        info = source.info
    if (info.source, info.camera) != (reader.source, camera.name):
        source.close()
        raise BadInput(
            f"the plug-in calls source and camera {info.source!r}, {info.camera!r}, not {reader.source!r}, {camera.name!r}",
            file=str(path),
            remedy="update the package that brings it",
        )
    return source


def _with_ending(path: Path, reader: Reader) -> Path:
    """Path of a run that may be named without ending, as those of HiPERCAM are."""
    if path.exists():
        return path
    named = [path.with_name(f"{path.name}{ending}") for ending in reader.endings]
    return next((other for other in named if other.exists()), path)


def camera_of(path: Path, reader: Reader, known: Mapping[str, CameraDescription]) -> CameraDescription:
    """Tell whose file it is: the only camera that the reader serves, or by the header of the file.

    Raises
    ------
    BadInput
        No camera can be told, or several.
    """
    served = {name: camera for name, camera in known.items() if camera.source == reader.source}
    if reader.header is not None:
        with faults_of_source(reader.source, path):
            header = reader.header(path)
        return identify(header, served, file=str(path))
    if len(served) > 1 and not path.name.lower().endswith(tuple(ending.lower() for ending in reader.endings)):
        with tempfile.TemporaryDirectory(prefix="roque-") as own:
            return identify(first_header(path, Path(own)), served, file=str(path))
    if len(served) != 1:
        raise BadInput(
            f"{len(served)} cameras have the source {reader.source!r}, and nothing tells whose file it is",
            file=str(path),
            remedy=f"describe one camera with source = {reader.source!r}, or use a plug-in that tells them apart",
        )
    return next(iter(served.values()))
