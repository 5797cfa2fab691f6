"""hcm files: a frame in FITS, one HDU per window, as the HiPERCAM pipeline reads and writes them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.errors import BadInput
from roque.frames.cards import BLOCK, format_header
from roque.frames.files import write_whole
from roque.frames.frame import CCD, Frame, Header
from roque.frames.handle import DAMAGED
from roque.frames.images import FitsFile, Hdu, require
from roque.frames.window import Geometry, Window

__all__ = ["read_hcm", "scan_hcm", "write_hcm"]

_STRUCTURE = {"SIMPLE", "XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "EXTEND", "PCOUNT", "GCOUNT", "BSCALE", "BZERO"}
_STRUCTURE |= {"CHECKSUM", "DATASUM", "EXTNAME", "NUMCCD", "HIPERCAM", "FILENAME"}
_WINDOW = {"CCD", "WINDOW", "LLX", "LLY", "XBIN", "YBIN", "OUTAMP", "NUMWIN"}
_CCD = {"NXTOT", "NYTOT", "NXPAD", "NYPAD", "MJDINT", "MJDFRAC", "MJDUTC", "EXPTIME", "GOODTIME", "DSTATUS"}
_DISPLAY = {"CCDSUM", "CCDSEC", "AMPSEC", "DATASEC", "DETSEC", "WCSNAMEP", "CTYPE1", "CTYPE2", "CRPIX1", "CRPIX2", "CRVAL1"}
_DISPLAY |= {"CRVAL2", "CD1_1", "CD2_2", "ATM1_1", "ATM2_2", "ATV1", "ATV2", "LTM1_1", "LTM2_2", "LTV1", "LTV2"}
_DISPLAY |= {"DTM1_1", "DTM2_2", "DTV1", "DTV2"}
_OUTAMPS = {"", "LL", "LR", "UL", "UR"}
_GAP = 200  # unbinned pixels between the CCDs of the mosaic that image viewers show
_LAYOUT = [
    "One HDU per window follows, all windows of a CCD together. LLX and LLY",
    "are the lower-left unbinned pixel of the window on its CCD, counted from",
    "1; the first window of a CCD carries the CCD's keywords and times.",
]


def read_hcm(path: str | os.PathLike[str], name: str | None = None) -> Frame:
    """Read an hcm file.

    Parameters
    ----------
    path : path
        The file; plain FITS.
    name : str or None
        How it is called in messages, where it is the unpacked copy of another.

    Returns
    -------
    Frame
        Counts are float32, or float64 where the file holds float64. The time of a CCD without MJDINT and MJDFRAC is NaN.

    Raises
    ------
    BadInput
        Not an hcm file, damaged, or a keyword is missing; the message names the place.
    NotFound
        There is no such file.
    """
    return _read(path, name, with_pixels=True)


def scan_hcm(path: str | os.PathLike[str], name: str | None = None) -> Frame:
    """Read an hcm file but for its pixels, which are read from the file when they are asked for.

    Parameters are those of `read_hcm`.

    Raises
    ------
    BadInput, NotFound
        As for `read_hcm`.
    """
    return _read(path, name, with_pixels=False)


class _FilePixels:
    """Pixels of an HDU, read when they are asked for."""

    def __init__(self, path: str | os.PathLike[str], hdu: Hdu) -> None:
        self.path = path
        self.hdu = hdu

    @property
    def shape(self) -> tuple[int, ...]:
        return self.hdu.shape

    def __getitem__(self, key: tuple[slice, slice]) -> NDArray[Any]:
        with FitsFile(self.path) as file:
            pixels: NDArray[Any] = file.image(self.hdu)[key]
            return pixels


def write_hcm(path: str | os.PathLike[str], frame: Frame, overwrite: bool = False) -> None:
    """Write an hcm file, whole or not at all.

    Parameters
    ----------
    path : path
        The file.
    frame : Frame
        float32 counts are written as such, float64 and uint16 too; anything else becomes float32.
    overwrite : bool
        Whether a file that stands there is replaced.

    Raises
    ------
    Conflict
        A file stands there and `overwrite` is false.
    """
    with write_whole(path, overwrite=overwrite) as part, part.open("wb") as file:
        file.write(format_header(_frame_header(frame)))
        for place, (label, ccd) in enumerate(frame.ccds.items()):
            offset = _mosaic(list(frame.ccds.values()), place)
            for i, (window_label, window) in enumerate(ccd.windows.items()):
                data, image = _stored(window.data)
                own = _ccd_header(ccd) if i == 0 else {}
                display = _display_header(label, window_label, window.geometry, offset)
                # times stand with every window, so that each image of a viewer tells its own
                cards = image | {"CCD": label} | own | _time_header(ccd) | {"WINDOW": window_label}
                cards |= _window_header(window) | display | {"DATASUM": str(_datasum(data))}
                file.write(format_header(cards))
                file.write(data.tobytes())
                file.write(b"\0" * (-data.nbytes % BLOCK))


def _read(path: str | os.PathLike[str], name: str | None, *, with_pixels: bool) -> Frame:
    with FitsFile(path, name) as file:
        hdus = file.hdus()
        first = next(hdus)
        header = {k: v for k, v in first.header.items() if k not in _STRUCTURE}
        ccds: dict[str, CCD] = {}
        windows: dict[str, Window] = {}  # of the CCD that is read
        announced: dict[str, Any] = {}
        last = ""
        for hdu in _images(first, hdus):
            label = str(hdu.header.get("CCD", "1"))
            if label not in ccds:
                windows = {}
                ccds[label] = replace(_ccd(file, hdu), windows=windows)
                announced[label] = hdu.header.get("NUMWIN")
            elif label != last:
                raise _wrong(f"the windows of CCD {label} do not stand together", file, hdu)
            window_label = str(hdu.header.get("WINDOW", len(windows) + 1))
            if window_label in windows:
                raise _wrong(f"CCD {label} has two windows {window_label}", file, hdu)
            geometry, outamp = _geometry(file, hdu)
            windows[window_label] = Window(geometry, file.image(hdu) if with_pixels else _FilePixels(path, hdu), outamp)
            last = label
        if not ccds:
            raise BadInput(
                "no window in the file",
                file=file.name,
                place=f"byte {first.end}",
                remedy="give an hcm file: a FITS file with one HDU per window",
            )
        if first.header.get("HIPERCAM") == "MCCD":
            _check_numbers(file, first.header.get("NUMCCD"), announced, ccds)
    number = header.get("NFRAME", 1)
    return Frame(ccds, number if isinstance(number, int) else 1, header)


def _check_numbers(file: FitsFile, numccd: Any, numwin: dict[str, Any], ccds: dict[str, CCD]) -> None:
    """Refuse a file that was cut between two HDUs: only the numbers of CCDs and windows tell that."""
    pairs = [(f"CCD {label}", "windows", numwin[label], len(ccd.windows)) for label, ccd in ccds.items()]
    for whose, what, number, found in [("the file", "CCDs", numccd, len(ccds)), *pairs]:
        if isinstance(number, int) and found < number:
            message = f"{whose} has {found} of the {number} {what} that its header announces"
            raise BadInput(message, file=file.name, place=f"byte {file.size}", remedy=DAMAGED)


def _wrong(message: str, file: FitsFile, hdu: Hdu, place: str = "") -> BadInput:
    remedy = "correct the header, or copy the file again from where it came"
    return BadInput(message, file=file.name, place=f"HDU {hdu.index}{place}", remedy=remedy)


def _images(first: Hdu, others: Iterator[Hdu]) -> Iterator[Hdu]:
    # a file of a single CCD may hold its first window in HDU 0
    if first.shape:
        yield first
    yield from others


def _geometry(file: FitsFile, hdu: Hdu) -> tuple[Geometry, str]:
    """Geometry and amplifier of the window of an HDU."""
    header = hdu.header
    for keyword, byte in hdu.block.repeated.items():
        at = hdu.start - hdu.block.size + byte
        raise _wrong(f"keyword {keyword} stands twice with different values", file, hdu, f", byte {at}")
    llx, lly, xbin, ybin = (require(header, k, int, file=file.name) for k in ("LLX", "LLY", "XBIN", "YBIN"))
    outamp = header.get("OUTAMP", "")
    if min(xbin, ybin) < 1 or outamp not in _OUTAMPS or len(hdu.shape) != 2:
        raise _wrong(f"binning {xbin} x {ybin}, amplifier {outamp!r} and {len(hdu.shape)} axes describe no window", file, hdu)
    ny, nx = hdu.shape
    return Geometry(llx, lly, xbin, ybin, nx, ny), outamp


def _ccd(file: FitsFile, hdu: Hdu) -> CCD:
    """CCD, still without windows, from the header of its first window."""
    header = hdu.header
    nxtot, nytot = (require(header, k, int, file=file.name) for k in ("NXTOT", "NYTOT"))
    taken: dict[str, tuple[str, type | tuple[type, ...]]] = {
        "nxpad": ("NXPAD", int),
        "nypad": ("NYPAD", int),
        "mjd_int": ("MJDINT", int),
        "mjd_frac": ("MJDFRAC", (int, float)),
        "exposure": ("EXPTIME", (int, float)),
        "time_ok": ("GOODTIME", bool),
        "data_ok": ("DSTATUS", bool),
    }
    values = {
        name: require(header, keyword, kind, file=file.name)
        for name, (keyword, kind) in taken.items()
        if header.get(keyword) is not None
    }
    # years 1 to 9998, and times of day that may run into the next or the last
    for name, keyword, least, most in (("mjd_int", "MJDINT", -678575, 2973119), ("mjd_frac", "MJDFRAC", -100.0, 100.0)):
        if not least <= values.get(name, least) <= most:
            raise _wrong(f"{keyword} cannot be {values[name]:.20g}", file, hdu, f", keyword {keyword}")
    rest = {k: v for k, v in header.items() if k not in _STRUCTURE | _WINDOW | _CCD | _DISPLAY}
    return replace(CCD({}, nxtot, nytot, header=rest), **values)


def _frame_header(frame: Frame) -> Header:
    given = {k: v for k, v in frame.header.items() if k not in _STRUCTURE and k != "COMMENT"}
    cards = {"SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "EXTEND": True} | {"NFRAME": frame.number} | given
    comments = frame.header.get("COMMENT", [])
    comments = [line for line in (comments if isinstance(comments, list) else [str(comments)]) if line.strip() not in _LAYOUT]
    return cards | {"NUMCCD": len(frame.ccds), "HIPERCAM": "MCCD", "COMMENT": _LAYOUT + comments}


def _stored(data: NDArray[Any]) -> tuple[NDArray[Any], Header]:
    """Counts as they stand in the file, and the keywords that say how."""
    ny, nx = data.shape
    axes = {"NAXIS": 2, "NAXIS1": nx, "NAXIS2": ny, "PCOUNT": 0, "GCOUNT": 1}
    if data.dtype == np.uint16:
        # FITS has no unsigned words: they are shifted
        signed = (data ^ np.uint16(0x8000)).astype(">u2").view(">i2")
        return signed, {"XTENSION": "IMAGE", "BITPIX": 16} | axes | {"BSCALE": 1, "BZERO": 32768}
    floats = data.astype(">f8" if data.dtype == np.float64 else ">f4")
    return floats, {"XTENSION": "IMAGE", "BITPIX": -8 * floats.dtype.itemsize} | axes


def _ccd_header(ccd: CCD) -> Header:
    """Keywords of a CCD, for its first window."""
    header: Header = {
        "NXTOT": ccd.nxtot,
        "NYTOT": ccd.nytot,
        "NUMWIN": len(ccd.windows),
        "NXPAD": ccd.nxpad,
        "NYPAD": ccd.nypad,
    }
    header |= {k: v for k, v in ccd.header.items() if k not in _STRUCTURE | _WINDOW | _CCD | _DISPLAY}
    return header


def _time_header(ccd: CCD) -> Header:
    """Keywords of a CCD's time and of what can be trusted."""
    header: Header = {"DSTATUS": ccd.data_ok, "GOODTIME": ccd.time_ok, "EXPTIME": ccd.exposure}
    if not math.isnan(ccd.mjd_frac):
        header |= {"MJDINT": ccd.mjd_int, "MJDFRAC": ccd.mjd_frac, "MJDUTC": ccd.mjd}
    return header


def _window_header(window: Window) -> Header:
    g = window.geometry
    return {"LLX": g.llx, "LLY": g.lly, "XBIN": g.xbin, "YBIN": g.ybin, "OUTAMP": window.outamp}


def _display_header(ccd: str, label: str, g: Geometry, offset: tuple[int, int]) -> Header:
    """Keywords by which image viewers lay the windows out as a mosaic of CCDs."""
    dx, dy = offset
    urx, ury = g.llx - 1 + g.nx * g.xbin, g.lly - 1 + g.ny * g.ybin
    size = f"[1:{g.nx},1:{g.ny}]"
    sections = {
        "CCDSUM": f"{g.xbin} {g.ybin}",
        "CCDSEC": size,
        "AMPSEC": size,
        "DATASEC": f"[{g.llx}:{urx},{g.lly}:{ury}]",
        "DETSEC": f"[{g.llx + dx}:{urx + dx},{g.lly + dy}:{ury + dy}]",
    }
    amplifier = {"ATM1_1": 1.0, "ATM2_2": 1.0, "ATV1": 0.0, "ATV2": 0.0}
    physical = {
        "LTM1_1": 1.0 / g.xbin,
        "LTM2_2": 1.0 / g.ybin,
        "LTV1": 1.0 - (g.llx + (g.xbin - 1) / 2) / g.xbin,
        "LTV2": 1.0 - (g.lly + (g.ybin - 1) / 2) / g.ybin,
    }
    detector = {"DTM1_1": 1.0, "DTM2_2": 1.0, "DTV1": float(dx), "DTV2": float(dy)}
    world = {"WCSNAMEP": "PHYSICAL", "CTYPE1": "PIXEL", "CTYPE2": "PIXEL", "CRPIX1": 1.0, "CRPIX2": 1.0}
    world |= {"CRVAL1": float(dx + g.llx), "CRVAL2": float(dy + g.lly), "CD1_1": float(g.xbin), "CD2_2": float(g.ybin)}
    return sections | amplifier | physical | detector | world | {"EXTNAME": f"C:{ccd}, W:{label}"}


def _mosaic(ccds: list[CCD], place: int) -> tuple[int, int]:
    """Offset of a CCD in the mosaic: three in a row, rows downwards."""
    row, column = divmod(place, 3)
    dx = sum(c.nxtot + 2 * c.nxpad + _GAP for c in ccds[3 * row : 3 * row + column])
    dy = -sum(c.nytot + 2 * c.nypad + _GAP for c in ccds[2 : 3 * row : 3])
    return dx, dy


def _datasum(data: NDArray[Any]) -> int:
    """FITS checksum of the data: sum of its 32-bit words in ones' complement arithmetic."""
    padded = data.tobytes() + b"\0" * (-data.nbytes % 4)
    total = int(np.frombuffer(padded, ">u4").sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total
