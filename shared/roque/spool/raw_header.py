"""The first header of a FITS file, packed or not, which tells what reads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from roque.frames.frame import Header
from roque.frames.images import FitsFile
from roque.instruments import CameraDescription
from roque.instruments.plugins import plugins
from roque.spool.ultra_files import is_ultra_name
from roque.spool.unpack import unpack

__all__ = ["first_header", "is_described", "is_fits", "raw_camera"]


def first_header(path: Path, cache: Path) -> Header:
    """Header of the first HDU that was in the file before it was packed."""
    packed = path.suffix.lower() == ".fz"
    with FitsFile(path if packed else unpack(path, cache), str(path)) as file:
        first = file.hdu()
        if packed and first.end < file.size:
            second = file.hdu(first.end, 1)
            return first.header | (second.header if "ZSIMPLE" in second.header else {})
        return first.header


def raw_camera(header: Header, cameras: Mapping[str, CameraDescription]) -> CameraDescription | None:
    """Camera of a FITS file that HiPERCAM's reader or one of a plug-in reads, None if the header is none of such a file."""
    sources = {"hl", *plugins().readers}
    matching = [c for c in cameras.values() if c.source in sources and c.matches(header)]
    return max(matching, key=lambda c: len(c.identify), default=None)


def is_fits(path: Path) -> bool:
    """Whether a file should be FITS, by its name."""
    return path.suffix.lower() != ".lis" and not is_ultra_name(path.name) and plugins().reader_of(path.name) is None


def is_described(path: Path, cameras: Mapping[str, CameraDescription], cache: Path) -> bool:
    """Whether a file is for a description to read: FITS, and no run or frame that has its own reader."""
    if not is_fits(path):
        return False
    header = first_header(path, cache)
    return "HIPERCAM" not in header and header.get("NAXIS") != 3 and raw_camera(header, cameras) is None
