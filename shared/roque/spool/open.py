"""Opening a run, whatever its format."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from roque.errors import BadInput, NotFound
from roque.instruments import CameraDescription, cameras, identify, load_camera
from roque.instruments.camera import SERVED
from roque.instruments.plugins import plugins
from roque.spool.brought import open_brought
from roque.spool.described import FitsSeries
from roque.spool.hcm_list import HcmList
from roque.spool.hipercam import HipercamRun
from roque.spool.hipercam_raw import HipercamFile
from roque.spool.image_headers import merged_header
from roque.spool.source import FrameSource
from roque.spool.ultra import UltraRun
from roque.spool.ultra_files import ultra_files
from roque.spool.ultra_raw import UltraPair
from roque.spool.unpack import is_packed, unpack

__all__ = ["Resource", "data_source"]

Resource = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def data_source(
    source: str, resource: Resource, first: int = 1, *, camera: CameraDescription | None = None, cache: Path | None = None
) -> FrameSource:
    """Open a run.

    Parameters
    ----------
    source : str
        'hl': a raw HiPERCAM run (a FITS file); 'ul': a raw run of ULTRACAM or ULTRASPEC (a .xml and a .dat); 'hf': hcm files
        (a .lis, or the files in order); 'fits': plain FITS images of a described camera, in any order; 'hs', 'us': runs on
        the file servers at HIPERCAM_DEFAULT_URL (localhost:8007/) and ULTRACAM_DEFAULT_URL (http://localhost:8007/); or the
        reader of a plug-in.
    resource : path or sequence of paths
        The run; of 'ul' one of its files, both, or their path without ending (.dat.old: the original of a corrected .dat, where
        there is one); on a server its name. The ending .fits or .lis may be left out. Files may be compressed (.gz, .fz).
    first : int
        Place of the first frame that iteration gives, from 1; 0: the newest frame alone, while there is a newer one. Of 'ul',
        stamps before it are not used for times.
    camera : CameraDescription or None
        Whose run it is. None: HiPERCAM for 'hl', told from the header for 'ul' and plug-ins, from the first header for 'fits',
        one that nothing is known of for 'hf'.
    cache : Path or None
        Folder for unpacked files, shared by processes; None: a folder of the source's own.

    Returns
    -------
    FrameSource
        To be used in a with statement.

    Raises
    ------
    BadInput
        The run cannot be read; the message names file, place and remedy.
    NotFound
        There is no such run or source.
    """
    if source == "hl":
        path = _with_ending(_single(resource), ".fits", ".fits.gz", ".fits.fz")
        return _open_hipercam(path, first, camera or load_camera("hipercam"), cache)
    if source in SERVED:
        return _open_served(source, _run_name(resource), first, camera)
    if source == "ul":
        return _open_ultra(resource, first, camera, cache)
    if source == "hf":
        files = _with_ending(Path(resource), ".lis") if isinstance(resource, str | os.PathLike) else resource
        return HcmList(files, first, camera or load_camera("other"), cache)
    if source == "fits":
        paths = [resource] if isinstance(resource, str | os.PathLike) else list(resource)
        if not paths:
            raise BadInput("a run of no files", remedy="name at least one")
        return FitsSeries(paths, first, camera or _told(Path(paths[0]), cache), cache)
    if reader := plugins().readers.get(source.removesuffix(":local")):
        return open_brought(reader, _single(resource), first, camera, cache)
    raise NotFound(f"no source of frames is called {source!r}", remedy=f"known are {', '.join((*plugins().sources, *SERVED))}")


def _single(resource: Resource) -> Path:
    if isinstance(resource, str | os.PathLike):
        return Path(resource)
    if len(resource) != 1:
        raise BadInput(f"{len(resource)} files for a run that is one file", remedy="name one")
    return Path(resource[0])


def _with_ending(path: Path, *endings: str) -> Path:
    """Path of a file that may be called without its ending: the first of these that is there."""
    names = [path, *(path.with_name(f"{path.name}{ending}") for ending in endings)]
    # where there is none, what is missed is the plain file
    return next((name for name in names if name.is_file()), path if path.suffix else names[1])


def _run_name(resource: Resource) -> str:
    if isinstance(resource, str | os.PathLike):
        return os.fspath(resource)
    raise BadInput(f"{len(resource)} names for a run on a server", remedy="give one")


def _open_served(source: str, run: str, first: int, camera: CameraDescription | None) -> FrameSource:
    # the protocols take longer to import than a file to open
    from roque.spool.servers import HipercamServer, UltracamServer  # noqa: PLC0415
    from roque.spool.servers.addresses import hipercam_address, ultracam_address  # noqa: PLC0415
    from roque.spool.servers.runs import ServedHipercam, ServedUltracam  # noqa: PLC0415

    if source == "hs":
        server = HipercamServer(hipercam_address(), run)
        return HipercamRun(ServedHipercam(server), first, camera or load_camera("hipercam"))
    return UltraRun(ServedUltracam(UltracamServer(ultracam_address(), run)), first, camera)


def _open_hipercam(path: Path, first: int, camera: CameraDescription, cache: Path | None) -> HipercamRun:
    if not is_packed(path):
        return HipercamRun(HipercamFile(path), first, camera)
    if cache is not None:
        return HipercamRun(HipercamFile(unpack(path, cache), path), first, camera)
    # the open file outlives its name
    with tempfile.TemporaryDirectory(prefix="roque-") as own:
        return HipercamRun(HipercamFile(unpack(path, Path(own)), path), first, camera)


def _open_ultra(resource: Resource, first: int, camera: CameraDescription | None, cache: Path | None) -> UltraRun:
    paths = [Path(resource)] if isinstance(resource, str | os.PathLike) else [Path(path) for path in resource]
    if not paths:
        raise BadInput("a run of no files", remedy="name its .xml or its .dat")
    files = ultra_files(*paths)
    if cache is not None:
        return UltraRun(UltraPair(files, unpack(files.xml, cache), unpack(files.dat, cache)), first, camera)
    with tempfile.TemporaryDirectory(prefix="roque-") as own:
        return UltraRun(UltraPair(files, unpack(files.xml, Path(own)), unpack(files.dat, Path(own))), first, camera)


def _told(path: Path, cache: Path | None) -> CameraDescription:
    with tempfile.TemporaryDirectory(prefix="roque-") as own:
        header, _ = merged_header(path, cache or Path(own))
    return identify(header, cameras(), file=str(path))
