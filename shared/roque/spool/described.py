"""Runs of plain FITS images, one file per exposure, whose headers are read by the description of their camera."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Self

from roque.errors import BadInput, Blemish
from roque.frames import CCD, Frame, Geometry, Window
from roque.frames.frame import Header
from roque.frames.images import FitsFile, Hdu
from roque.instruments import CameraDescription, HeaderRules
from roque.instruments.camera import Detector
from roque.spool.naming import folder_night, night_of, run_kind, safe_name
from roque.spool.source import RunInfo, Times, frames_from, no_frame, rows
from roque.spool.unpack import unpack

__all__ = ["Exposure", "FitsSeries", "describe", "merged_header"]

_WINDOW = "1"


@dataclass(frozen=True, slots=True)
class Exposure:
    """What the header of one file says.

    Parameters
    ----------
    path : Path
        The file, packed or not.
    header : dict
        Primary header overlaid with that of the image.
    geometry : Geometry
        Position, binning and size of the image.
    nxtot, nytot : int
        Size of the chip, unbinned pixels.
    mjd_int, mjd_frac : int, float
        Mid-exposure MJD(UTC).
    exposure : float
        s.
    night : datetime.date
        Date of the evening.
    kind, object, filter, speed, mode : str
        As in `RunInfo`.
    """

    path: Path
    header: Header
    geometry: Geometry
    nxtot: int
    nytot: int
    mjd_int: int
    mjd_frac: float
    exposure: float
    night: date
    kind: str
    object: str
    filter: str
    speed: str
    mode: str

    @property
    def group(self) -> tuple[str, ...]:
        """What the exposures of one run have in common; darks also their exposure time."""
        g = self.geometry
        size = f"{g.nx}x{g.ny}"
        binning = "" if g.xbin == g.ybin == 1 else f"bin{g.xbin}x{g.ybin}"
        dark = f"{self.exposure:g}s" if self.kind == "dark" else ""
        kind = "" if self.kind == "science" else self.kind
        return str(self.night), self.object, kind, self.filter, dark, size, binning

    @property
    def run_name(self) -> str:
        """Name of the run that the exposure belongs to, within its night."""
        return safe_name(*self.group[1:])


class FitsSeries:
    """A run of plain FITS images; a `FrameSource`. Frames are ordered by time.

    Parameters
    ----------
    paths : sequence of paths
        The files; .gz and .fz too.
    first : int
        Place of the first frame that iteration gives, from 1.
    camera : CameraDescription
        How headers are read.
    cache : Path or None
        Folder for unpacked files; None: one of its own, removed when the source is closed.

    Raises
    ------
    BadInput
        A file cannot be read, lacks a keyword, or does not belong to the run of the first.
    NotFound
        A file does not exist.
    """

    def __init__(
        self, paths: Sequence[str | os.PathLike[str]], first: int, camera: CameraDescription, cache: Path | None = None
    ) -> None:
        if not paths:
            raise BadInput("a run of no files", remedy="name at least one")
        self._own = tempfile.TemporaryDirectory(prefix="roque-") if cache is None else None
        self._cache = Path(self._own.name) if self._own else cache or Path()
        self._first = first
        self._camera = camera
        try:
            exposures = [describe(*merged_header(Path(path), self._cache), Path(path), camera) for path in paths]
            self._exposures = sorted(exposures, key=lambda e: (e.mjd_int, e.mjd_frac, e.path.name))
            for exposure in self._exposures:
                _check_member(exposure, self._exposures[0])
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        return frames_from(self, self._first)

    def close(self) -> None:
        """Remove unpacked files, if they are the source's own."""
        if self._own is not None:
            self._own.cleanup()

    @property
    def available(self) -> int:
        """Frames."""
        return len(self._exposures)

    @property
    def paths(self) -> list[Path]:
        """Files in the order of the frames."""
        return [exposure.path for exposure in self._exposures]

    @property
    def problems(self) -> list[BadInput]:
        """Frames that were exposed at the same time: copies of one another, most likely."""
        pairs = zip(self._exposures, self._exposures[1:], strict=False)
        return [
            Blemish(f"the same time as {a.path.name}", file=str(b.path), remedy="remove one of them if it is a copy")
            for a, b in pairs
            if (a.mjd_int, a.mjd_frac) == (b.mjd_int, b.mjd_frac)
        ]

    @property
    def info(self) -> RunInfo:
        """What the run is; its header is that of the first frame."""
        e, label = self._exposures[0], self._camera.reference
        return RunInfo(
            instrument=self._camera.name,
            source="fits",
            name=e.run_name,
            night=e.night,
            kind=e.kind,
            object=e.object,
            mode=e.mode,
            xbin=e.geometry.xbin,
            ybin=e.geometry.ybin,
            speed=e.speed,
            filters={label: e.filter},
            nskips={label: 0},
            clear=None,
            windows={label: {_WINDOW: e.geometry}},
            expected=None,
            exposure=e.exposure,
            header=e.header,
            camera=self._camera.name,
        )

    def refresh(self) -> int:
        """Give `available`: a list of files does not grow."""
        return self.available

    def frame(self, number: int) -> Frame:
        """Frame at a place in the run.

        Raises
        ------
        NotFound
            There is no such frame.
        BadInput
            Its pixels cannot be read.
        """
        if not 1 <= number <= self.available:
            raise no_frame(number, self.available, str(self._exposures[0].path.parent))
        e, rules = self._exposures[number - 1], _rules(self._camera)
        with FitsFile(unpack(e.path, self._cache), str(e.path)) as file:
            pixels = file.image(_image_hdu(file, rules))
        if pixels.shape != (e.geometry.ny, e.geometry.nx):
            raise BadInput("the image changed while the run was read", file=str(e.path), remedy="register the run anew")
        header = {k: e.header[k] for k in e.header} | _pointing(e.header, rules) | {"NFRAME": number}
        detector = self._camera.detectors[self._camera.reference]
        ccd = CCD(
            {_WINDOW: Window(e.geometry, pixels)},
            e.nxtot,
            e.nytot,
            detector.nxpad,
            detector.nypad,
            e.mjd_int,
            e.mjd_frac,
            e.exposure,
            header=_ccd_header(e.header, rules, detector),
        )
        return Frame({detector.label: ccd}, number, header)

    def load(self, number: int) -> Frame:
        """Frame at a place in the run: `frame` reads all pixels as it is."""
        return self.frame(number)

    def times(self) -> Times:
        """Mid-times and exposures of all frames."""
        n = len(self._exposures)
        return rows(
            n,
            (self._camera.reference,),
            frame=range(1, n + 1),
            mjd_int=[e.mjd_int for e in self._exposures],
            mjd_frac=[e.mjd_frac for e in self._exposures],
            exposure=[e.exposure for e in self._exposures],
            time_ok=[True] * n,
            data_ok=[True] * n,
        )


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
    plain = path if path.suffix.lower() == ".fz" else unpack(path, cache)
    with FitsFile(plain, str(path)) as file:
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
        raise BadInput("no image in the file", file=str(path), remedy="remove it from the data folder")


def describe(header: Header, shape: tuple[int, ...], path: Path, camera: CameraDescription) -> Exposure:
    """Read a header by the description of its camera.

    Parameters
    ----------
    header : dict
        As `merged_header` gives it.
    shape : tuple of int
        (ny, nx) of the image.
    path : Path
        The file.
    camera : CameraDescription
        With header rules.

    Raises
    ------
    BadInput
        A keyword that the description needs is missing or makes no sense; the message names it.
    """
    rules, file = _rules(camera), str(path)
    exposure = rules.exposure.needed_number(header, file)
    if not 0.0 <= exposure < 1e6:
        raise rules.exposure.missing(header, file, "an exposure time in seconds")
    geometry = _geometry(header, shape, rules, file)
    detector = camera.detectors[camera.reference]
    nxtot = detector.nxtot or int(rules.nxtot.number(header) or geometry.nx * geometry.xbin)
    nytot = detector.nytot or int(rules.nytot.number(header) or geometry.ny * geometry.ybin)
    mjd_int, mjd_frac = rules.time.middle(header, exposure, file)
    night = folder_night(path) or night_of(mjd_int + mjd_frac, camera.site.longitude)
    name = rules.object.needed_text(header, file)
    return Exposure(
        path=path,
        header=header,
        geometry=geometry,
        nxtot=nxtot,
        nytot=nytot,
        mjd_int=mjd_int,
        mjd_frac=mjd_frac,
        exposure=exposure,
        night=night,
        kind=run_kind(rules.kind.text(header) or "", name),
        object=name,
        filter=rules.filter.needed_text(header, file),
        speed=rules.speed.text(header) or "",
        mode=rules.mode.text(header) or "",
    )


def _geometry(header: Header, shape: tuple[int, ...], rules: HeaderRules, file: str) -> Geometry:
    ny, nx = shape
    found: list[int] = []
    for rule, least, most in (
        (rules.llx, -10000, 1000000),
        (rules.lly, -10000, 1000000),
        (rules.xbin, 1, 100),
        (rules.ybin, 1, 100),
    ):
        value = rule.needed_number(header, file)
        if value != int(value) or not least <= value <= most:
            raise rule.missing(header, file, f"a whole number from {least} to {most}")
        found.append(int(value))
    llx, lly, xbin, ybin = found
    return Geometry(llx, lly, xbin, ybin, nx, ny)


def _check_member(exposure: Exposure, first: Exposure) -> None:
    if exposure.group != first.group or exposure.geometry != first.geometry:
        raise BadInput(
            f"it does not belong to the run of {first.path.name}: {' '.join(exposure.group)}, not {' '.join(first.group)}",
            file=str(exposure.path),
            remedy="reduce it as a run of its own",
        )


def _rules(camera: CameraDescription) -> HeaderRules:
    if camera.header is None:
        raise BadInput(f"camera {camera.name} is not described for plain FITS images", remedy="name another camera")
    return camera.header


def _image_hdu(file: FitsFile, rules: HeaderRules) -> Hdu:
    for hdu in file.hdus():
        if len(hdu.shape) == 2 and "TFIELDS" not in hdu.header and rules.hdu in {None, hdu.index}:
            return hdu
    raise BadInput("no image in the file", file=file.name, remedy="copy it again from where it came")


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


def _pointing(header: Header, rules: HeaderRules) -> Header:
    """RADEG and DECDEG, as HiPERCAM has them, where the header points somewhere."""
    ra, dec = rules.ra.number(header), rules.dec.number(header)
    return {} if ra is None or dec is None else {"RADEG": ra, "DECDEG": dec}


def _ccd_header(header: Header, rules: HeaderRules, detector: Detector) -> Header:
    """Gain, read noise and saturation of this frame."""
    found = {
        "GAIN": rules.gain.number(header),
        "RONOISE": rules.read_noise.number(header),
        "SATURATE": rules.saturation.number(header),
    }
    constant = {"GAIN": detector.gain, "RONOISE": detector.read_noise, "SATURATE": detector.saturation}
    return {k: constant[k] if v is None else v for k, v in found.items()}
