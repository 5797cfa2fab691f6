"""Telling what a file is from its headers, for registration."""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from roque.errors import BadInput
from roque.frames.frame import Frame, Header
from roque.frames.hcm import scan_hcm
from roque.instruments import CameraDescription, identify, load_camera
from roque.instruments.plugins import Reader, plugins
from roque.instruments.ultra_modes import ultra_read_out
from roque.spool.brought import camera_of, open_brought
from roque.spool.exposure import exposure_of
from roque.spool.hcm_list import read_list
from roque.spool.hcm_runs import hcm_info, sequence_name
from roque.spool.hipercam import HipercamRun
from roque.spool.hipercam_raw import HipercamFile
from roque.spool.image_headers import merged_header
from roque.spool.naming import run_name
from roque.spool.raw_header import first_header, raw_camera
from roque.spool.source import RunInfo
from roque.spool.ultra import UltraRun
from roque.spool.ultra_files import is_ultra_name, ultra_files
from roque.spool.ultra_raw import UltraPair
from roque.spool.ultra_xml import read_ultra_xml
from roque.spool.unpack import unpack

__all__ = ["Inspected", "inspect"]


@dataclass(frozen=True, slots=True)
class Inspected:
    """What a file is.

    Parameters
    ----------
    path : Path
        The file.
    source : str
        What reads it, for `data_source`: 'hl', 'ul', 'hf' or 'fits'.
    camera : str
        Name of the camera's description.
    name : str
        Name of the run that it is or belongs to.
    night : datetime.date
        Date of the evening.
    kind, object : str
        As in `RunInfo`.
    group : tuple of str or None
        Files of a folder with the same group (and camera and source) are frames of one run; None: the file is a run by itself.
    order : float
        Frames of a group are in this order: mid-exposure, MJD(UTC), or the number in the name of an hcm file, whose time may be
        none. NaN where it is not known or not asked.
    info : RunInfo or None
        What the run is, for a file that is a run by itself.
    members : tuple of Path
        Files that a list names: they are not runs of their own.
    files : tuple of Path
        The files of a run that is made of several, in their order, where their names tell; empty else.
    """

    path: Path
    source: str
    camera: str
    name: str
    night: date
    kind: str
    object: str
    group: tuple[str, ...] | None = None
    order: float = float("nan")
    info: RunInfo | None = None
    members: tuple[Path, ...] = ()
    files: tuple[Path, ...] = ()


def inspect(path: Path, cameras: Mapping[str, CameraDescription], cache: Path | None = None) -> Inspected:
    """Tell what a file is, from its headers and the time stamps of its first frames.

    Parameters
    ----------
    path : Path
        The file; .gz is unpacked for it.
    cameras : dict of str to CameraDescription
        Known cameras by name.
    cache : Path or None
        Folder for unpacked files; None: one that is removed again.

    Returns
    -------
    Inspected

    Raises
    ------
    BadInput
        Not FITS, of an unknown camera, shorter than its header says, a keyword missing or contradictory, a name that no run can
        have: the message says which, where, and what to do.
    NotFound
        There is no such file.
    """
    if cache is None:
        with tempfile.TemporaryDirectory(prefix="roque-") as own:
            return inspect(path, cameras, Path(own))
    if path.suffix.lower() == ".lis":
        return _inspect_list(path, cameras, cache)
    if is_ultra_name(path.name):
        return _inspect_ultra(path, cameras, cache)
    if reader := plugins().reader_of(path.name):
        return _inspect_brought(path, reader, camera_of(path, reader, cameras), cache)
    header = first_header(path, cache)
    if "HIPERCAM" in header:
        return _inspect_hcm(path, cameras, cache)
    camera = raw_camera(header, cameras)
    if camera is not None and camera.source != "hl":
        return _inspect_brought(path, plugins().readers[camera.source], camera, cache)
    if camera is not None:
        with HipercamRun(HipercamFile(unpack(path, cache), path), 1, camera) as run:
            info = run.info
        return _whole_run(path, info)
    if header.get("NAXIS") == 3:
        identify(header, cameras, file=str(path))  # a raw run, most likely, whose camera its header does not tell
    merged, shape = merged_header(path, cache)
    camera = identify(merged, cameras, file=str(path))
    if camera.header is None:
        raise BadInput(f"an image of camera {camera.name} that is not one of its raw runs", file=str(path))
    if camera.header.hdu is not None:
        merged, shape = merged_header(path, cache, camera.header.hdu)
    exposure = exposure_of(merged, shape, path, camera, cache)
    return Inspected(
        path=path,
        source="fits",
        camera=camera.name,
        name=exposure.run_name,
        night=exposure.night,
        kind=exposure.kind,
        object=exposure.object,
        group=exposure.group,
        order=exposure.mjd_int + exposure.mjd_frac,
    )


def _whole_run(path: Path, info: RunInfo, members: tuple[Path, ...] = ()) -> Inspected:
    return Inspected(
        path=path,
        source=info.source,
        camera=info.camera,
        name=info.name,
        night=info.night,
        kind=info.kind,
        object=info.object,
        info=info,
        members=members,
    )


def _inspect_ultra(path: Path, cameras: Mapping[str, CameraDescription], cache: Path) -> Inspected:
    files = ultra_files(path)
    xml, dat = unpack(files.xml, cache), unpack(files.dat, cache)
    described = {name: camera for name, camera in cameras.items() if camera.source == "ul"}
    camera = identify(ultra_read_out(read_ultra_xml(str(xml), str(files.xml))).keywords, described, file=str(files.xml))
    with UltraRun(UltraPair(files, xml, dat), 1, camera) as run:
        told = _whole_run(path, run.info)
    return replace(told, group=(told.name,), files=(files.xml, files.dat))


def _inspect_brought(path: Path, reader: Reader, camera: CameraDescription, cache: Path) -> Inspected:
    with open_brought(reader, path, 1, camera, cache) as run:
        return _whole_run(path, run.info)


def _inspect_hcm(path: Path, cameras: Mapping[str, CameraDescription], cache: Path) -> Inspected:
    def scan(file: Path) -> Frame:
        return scan_hcm(unpack(file, cache), str(file))

    frame = scan(path)
    name, number = sequence_name(path)
    others = _of_sequence(path, name) if number is not None else ()
    info = hcm_info(frame, path, name, _hcm_camera(frame.header, cameras), others, scan)
    if number is None:
        return _whole_run(path, info)
    return Inspected(
        path=path,
        source="hf",
        camera=info.camera,
        name=name,
        night=info.night,
        kind=info.kind,
        object=info.object,
        group=(str(info.night), name),
        order=number,
    )


def _of_sequence(path: Path, name: str) -> Iterator[Path]:
    """Other files of the folder that belong to a run, in the order of their numbers; looked for when they are asked for."""
    found = [file for file in path.parent.glob(f"{glob.escape(name)}_*.hcm*") if file != path]
    yield from sorted(found, key=lambda file: (_number(file, name), file.name))


def _number(path: Path, name: str) -> float:
    try:
        stem, number = sequence_name(path)
    except BadInput:
        return float("inf")
    return float("inf") if number is None or stem != name else number


def _inspect_list(path: Path, cameras: Mapping[str, CameraDescription], cache: Path) -> Inspected:
    members = tuple(read_list(path))
    if not members:
        raise BadInput("the list names no file", file=str(path), place="line 1", remedy="give one file name a line")

    def scan(file: Path) -> Frame:
        return scan_hcm(unpack(file, cache), str(file))

    frame = scan(members[0])
    camera = _hcm_camera(frame.header, cameras)
    return _whole_run(path, hcm_info(frame, members[0], run_name(path), camera, members[1:], scan), members)


def _hcm_camera(header: Header, cameras: Mapping[str, CameraDescription]) -> CameraDescription:
    """Camera of an hcm file: raw keywords are not in it, so the instrument's name has to do."""
    name = str(header.get("INSTRUME", "")).lower()
    return cameras.get(name) or load_camera("other")
