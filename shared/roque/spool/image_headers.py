"""Headers of plain FITS images, packed or not, without their pixels."""

from __future__ import annotations

from pathlib import Path

from roque.errors import BadInput
from roque.frames.frame import Header
from roque.frames.images import FitsFile
from roque.spool.unpack import unpack

__all__ = ["merged_header", "readable"]


def merged_header(path: Path, cache: Path, hdu: int | None = None) -> tuple[Header, tuple[int, ...]]:
    """Primary header of a file overlaid with that of its image, and the shape of the image; pixels are not read.

    Parameters
    ----------
    path : Path
        The file; that of a .fz is read without unpacking it.
    cache : Path
        Folder for unpacked files (.gz).
    hdu : int or None
        HDU of the image; None: the first image.

    Raises
    ------
    BadInput
        Not FITS, damaged, without an image, or with data shorter than the header says.
    """
    with FitsFile(readable(path, cache), str(path)) as file:
        primary: Header = {}
        repeated: dict[str, int] = {}
        for unit in file.hdus():
            packed = unit.header.get("ZIMAGE") is True
            header = _unpacked(unit.header) if packed else unit.header
            primary |= header if unit.index == 0 else {}
            repeated |= unit.block.repeated
            # an image that was first in its file comes second in a .fz
            index = unit.index - 1 if "ZSIMPLE" in unit.header else unit.index
            shape = _shape(header) if packed else unit.shape
            if len(shape) == 2 and (packed or "TFIELDS" not in header) and hdu in {None, index}:
                merged = primary | header
                # a keyword with two values has none
                return {k: v for k, v in merged.items() if k not in repeated}, shape
        place = "HDU 0" if hdu is None else f"HDU {hdu}"
        raise BadInput("no image in the file", file=str(path), place=place, remedy="remove it from the data folder")


def readable(path: Path, cache: Path) -> Path:
    """FITS file whose headers tell of a file: a .fz is one as it is."""
    return path if path.suffix.lower() == ".fz" else unpack(path, cache)


def _unpacked(header: Header) -> Header:
    """Header of a compressed image with the sizes of the image instead of those of the table that holds it."""
    own = {
        k: v
        for k, v in header.items()
        if not k.startswith(("TTYPE", "TFORM", "NAXIS")) and k not in {"TFIELDS", "PCOUNT", "GCOUNT", "XTENSION"}
    }
    sizes = {k[1:]: v for k, v in header.items() if k.startswith("ZNAXIS") or k == "ZBITPIX"}
    return {k: v for k, v in own.items() if not k.startswith("Z")} | sizes


def _shape(header: Header) -> tuple[int, ...]:
    """Shape of an image by a header without a checked size; () if it makes no sense."""
    sizes = [header.get(f"NAXIS{i}") for i in (2, 1)]
    if header.get("NAXIS") != 2 or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in sizes):
        return ()
    return tuple(int(n) for n in sizes if n is not None)
