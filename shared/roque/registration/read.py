"""From files to a run: its frames' times, its problems and the digests of its bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from roque.archive.found import FoundFile, FoundRun, problem
from roque.errors import BadInput, Transient
from roque.instruments import CameraDescription
from roque.registration.content import Content, file_digest, file_digests
from roque.registration.open_runs import OpenRuns
from roque.settings import Settings
from roque.spool import Inspected, data_source, unpack
from roque.spool.brought import faults_of_source
from roque.spool.folders import Stat
from roque.spool.hipercam import HipercamRun
from roque.spool.source import FrameSource
from roque.spool.ultra import UltraRun

__all__ = ["Reading", "found_files", "read_run"]


@dataclass(frozen=True)
class Reading:
    """A run as its files tell it now, and where their frames' bytes are."""

    run: FoundRun
    extents: tuple[tuple[Path, int, int], ...]  # of each file: plain file, first byte of frames, number of bytes


def read_run(
    told: Inspected,
    camera: CameraDescription,
    files: Mapping[str, Stat],
    settings: Settings,
    *,
    ended: bool,
    hints: Mapping[str, Any] = MappingProxyType({}),
    announced: int | None = None,
    on_request: bool = False,
    growing: OpenRuns | None = None,
) -> Reading:
    """Read what a run is now.

    Parameters
    ----------
    told : Inspected
        What its first file is.
    camera : CameraDescription
        Whose run it is.
    files : mapping of str to Stat
        Its files in the order of their frames, as they were when the folder was looked at.
    settings : Settings
        Where files are unpacked.
    ended : bool
        Whether nobody writes any more.
    hints : mapping
        What the user says of it, if it is a science run.
    announced : int or None
        Frames that its header announced when it was last read.
    on_request : bool
        Whether it is of an archive: reduced only when somebody asks for it.
    growing : OpenRuns, optional
        Runs that are read again and again.

    Raises
    ------
    BadInput
        It is no run, or not yet.
    """
    paths = [Path(path) for path in files]
    resource = paths[0] if told.source == "hl" else paths

    def is_whole(source: FrameSource) -> bool:
        return ended or _complete(source, announced)

    afresh = partial(data_source, told.source, resource, camera=camera, cache=settings.cache)
    with (
        faults_of_source(told.source, paths[0]),
        growing.opened(paths, afresh, is_whole) if growing is not None else afresh() as source,
    ):
        frames, times, info = source.available, source.times(), source.info
        whole = is_whole(source)
        problems = [problem(error) for error in source.problems] if whole else []
        extents = tuple(_extents(source, paths, settings.cache))
        dropped = source.dropped if isinstance(source, HipercamRun | UltraRun) else 0
    if frames == 0 and not whole:
        raise BadInput("no whole frame yet", file=str(paths[0]))
    if told.source == "hf" and told.group is None:
        # frames that were taken out of a run are numbered: this one was made of others, and is no data of the night
        info = replace(info, kind="other")
    found = FoundRun(
        info=info,
        camera=camera,
        files=(),
        times=times,
        frames=frames,
        problems=tuple(problems),
        ended=whole,
        urgent=settings.urgent,
        hints=dict(hints) if info.kind == "science" else {},
        dropped=dropped,
        on_request=on_request,
    )
    return Reading(found, extents)


def found_files(
    reading: Reading, files: Mapping[str, Stat], known: Sequence[FoundFile], content: Content
) -> tuple[tuple[FoundFile, ...], list[str | None]]:
    """Digest the bytes of a run, and those prefixes of it that are to be compared with what is registered.

    Returns
    -------
    tuple of FoundFile, list of (str or None)
        The files, and for each known one the digest of as many bytes of the file in its place (None: it has fewer).
    """
    found, prefixes = [], []
    for place, ((path, stat), (plain, start, size)) in enumerate(zip(files.items(), reading.extents, strict=True)):
        old = known[place] if place < len(known) else None
        sizes = [old.data_size, size] if old is not None and old.data_size <= size else [size]
        whole: str | None = None
        if reading.run.ended and plain == Path(path):
            digests, whole = file_digests(plain, start, sizes)
            content.forget(plain)
        else:
            digests = content.digests(plain, start, sizes, afresh=reading.run.ended)
            if reading.run.ended:
                whole = file_digest(Path(path))
        found.append(FoundFile(path, stat.size, stat.mtime_ns, whole, digests[-1], start, size))
        if old is not None:
            prefixes.append(digests[0] if len(sizes) == 2 else None)
    now = [(Path(path).stat().st_size, Path(path).stat().st_mtime_ns) for path in files]
    if reading.run.ended and now != [(stat.size, stat.mtime_ns) for stat in files.values()]:
        raise Transient("the file changed while it was read", file=next(iter(files)))
    prefixes += [None] * (len(known) - len(prefixes))
    return tuple(found), prefixes


def _complete(source: FrameSource, announced: int | None) -> bool:
    """Whether the camera has written all that it announced.

    Some write the number of frames at the start, others anew with every frame: then it tells nothing, but that the last block
    was filled does. ULTRACAM and ULTRASPEC end their files with nothing, and announce a number if one was asked for.
    """
    expected = source.info.expected
    # a run of none is one whose number is still to be written
    if not isinstance(source, HipercamRun | UltraRun) or not expected or source.available < expected:
        return False
    follows = announced is not None and announced != expected
    return not follows or (isinstance(source, HipercamRun) and source.padded)


def _extents(source: FrameSource, paths: Sequence[Path], cache: Path) -> list[tuple[Path, int, int]]:
    """Where the bytes of frames are: headers of growing runs are rewritten, frames are not."""
    if isinstance(source, HipercamRun):
        start, stop = source.extent
        return [(unpack(paths[0], cache), start, stop - start)]
    if isinstance(source, UltraRun):
        # all of the .xml: if it changes, every pixel may mean something else
        _, stop = source.extent
        header, frames = (unpack(path, cache) for path in paths)
        return [(header, 0, header.stat().st_size), (frames, 0, stop)]
    return [(path, 0, path.stat().st_size) for path in paths]
