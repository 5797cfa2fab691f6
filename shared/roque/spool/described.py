"""Runs of plain FITS images, one file per exposure, whose headers are read by the description of their camera."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

from roque.errors import BadInput, Blemish, RoqueError
from roque.frames import CCD, Frame, Geometry, Window
from roque.frames.frame import Header
from roque.frames.images import FitsFile, Hdu
from roque.instruments import CameraDescription, HeaderRules
from roque.instruments.description import Detector
from roque.instruments.rules import parse_iso
from roque.spool.naming import folder_night, night_of, run_kind, safe_name
from roque.spool.source import RunInfo, Times, frames_from, no_frame, rows, shortened
from roque.spool.ultra_stamps import NO_TIME
from roque.spool.unpack import unpack

__all__ = ["Exposure", "FitsSeries", "describe", "exposure_of", "merged_header"]

_WINDOW = "1"
_FIRST_CCD = 42000  # MJD, November 1973: what is older is a clock that was not set
_NEAR = 20  # files whose headers are read to find the night of one without a time
_FLAGGED = "its time is flagged as bad; correct the header if the time is known"


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
        Mid-exposure MJD(UTC); of an exposure whose time cannot be read, that of the one before it by name.
    exposure : float
        s.
    time_fault : BadInput or None
        Why its time cannot be read.
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
    time_fault: BadInput | None
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
    """A run of plain FITS images; a `FrameSource`. Frames are ordered by time; one without comes after that before it by name.

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
            hdu = _rules(camera).hdu
            read = [(*merged_header(Path(path), self._cache, hdu), Path(path)) for path in paths]
            self._exposures = sorted(_described(read, camera), key=lambda e: (e.mjd_int, e.mjd_frac, e.path.name))
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
        """Headers and times not to be trusted, and frames exposed at the same time: copies of one another, most likely."""
        timed = [e for e in self._exposures if e.time_fault is None]
        altered: list[BadInput] = []
        for e in self._exposures:
            with FitsFile(_readable(e.path, self._cache), str(e.path)) as file:
                altered += file.altered()
        faults = [
            Blemish(
                f"frame {n} has no time: {e.time_fault.message}", file=str(e.path), place=e.time_fault.place, remedy=_FLAGGED
            )
            for n, e in enumerate(self._exposures, start=1)
            if e.time_fault is not None
        ]
        copies = [
            Blemish(f"the same time as {a.path.name}", file=str(b.path), remedy="remove one of them if it is a copy")
            for a, b in pairwise(timed)
            if (a.mjd_int, a.mjd_frac) == (b.mjd_int, b.mjd_frac)
        ]
        return shortened([*altered, *faults, *copies], str(self._exposures[0].path.parent))

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
        header |= {} if e.time_fault is None else {"GOODTIME": False}
        detector = self._camera.detectors[self._camera.reference]
        mjd_int, mjd_frac = self._time(number)
        ccd = CCD(
            {_WINDOW: Window(e.geometry, pixels)},
            e.nxtot,
            e.nytot,
            detector.nxpad,
            detector.nypad,
            mjd_int,
            mjd_frac,
            e.exposure,
            time_ok=e.time_fault is None,
            header=_ccd_header(e.header, rules, detector),
        )
        return Frame({detector.label: ccd}, number, header)

    def load(self, number: int) -> Frame:
        """Frame at a place in the run: `frame` reads all pixels as it is."""
        return self.frame(number)

    def times(self) -> Times:
        """Mid-times and exposures of all frames."""
        n = len(self._exposures)
        times = [self._time(number) for number in range(1, n + 1)]
        return rows(
            n,
            (self._camera.reference,),
            frame=range(1, n + 1),
            mjd_int=[day for day, _ in times],
            mjd_frac=[fraction for _, fraction in times],
            exposure=[e.exposure for e in self._exposures],
            time_ok=[e.time_fault is None for e in self._exposures],
            data_ok=[True] * n,
        )

    def _time(self, number: int) -> tuple[int, float]:
        """Mid-exposure of a frame; one without a time has that of HiPERCAM's frames without: a second each from 2000 on."""
        e = self._exposures[number - 1]
        return (e.mjd_int, e.mjd_frac) if e.time_fault is None else (NO_TIME, number / 86400.0)


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
    with FitsFile(_readable(path, cache), str(path)) as file:
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


def _readable(path: Path, cache: Path) -> Path:
    """FITS file whose headers tell of a file: a .fz is one as it is."""
    return path if path.suffix.lower() == ".fz" else unpack(path, cache)


def exposure_of(header: Header, shape: tuple[int, ...], path: Path, camera: CameraDescription, cache: Path) -> Exposure:
    """Describe a file in its folder: one without a time is of the night of the files around it.

    Raises
    ------
    BadInput
        As for `describe` and `merged_header`.
    """
    before = None if _has_time(header, camera) else _beside(path, header, camera, cache)
    return describe(header, shape, path, camera, before)


def describe(
    header: Header, shape: tuple[int, ...], path: Path, camera: CameraDescription, before: Exposure | None = None
) -> Exposure:
    """Read a header by the description of its camera. A time that cannot be read does not lose the exposure.

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
    before : Exposure or None
        The one before it by name, for one whose time cannot be read: it is of the same night.

    Raises
    ------
    BadInput
        A keyword that the description needs is missing or makes no sense; the message names it.
    """
    rules, file = _rules(camera), str(path)
    exposure = rules.exposure.needed_number(header, file)
    if not 0.0 <= exposure < 1e6:
        raise rules.exposure.missing(header, file, "an exposure time in seconds")
    mjd_int, mjd_frac, fault = _middle(header, exposure, rules, file)
    if fault is not None and before is not None:
        mjd_int, mjd_frac = before.mjd_int, before.mjd_frac
    geometry = _geometry(header, shape, rules, file)
    detector = camera.detectors[camera.reference]
    nxtot = detector.nxtot or int(rules.nxtot.number(header) or geometry.nx * geometry.xbin)
    nytot = detector.nytot or int(rules.nytot.number(header) or geometry.ny * geometry.ybin)
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
        time_fault=fault,
        night=folder_night(path) or _night(header, mjd_int + mjd_frac, fault if before is None else None, camera, file),
        kind=run_kind(rules.kind.text(header) or "", name),
        object=name,
        filter=rules.filter.needed_text(header, file),
        speed=rules.speed.text(header) or "",
        mode=rules.mode.text(header) or "",
    )


def _beside(path: Path, header: Header, camera: CameraDescription, cache: Path) -> Exposure | None:
    """Exposure of the same camera and object that comes before a file by name, else the next; None: there is none near."""
    names = sorted(other for other in path.parent.iterdir() if other.suffix == path.suffix and not other.name.startswith("."))
    place = names.index(path) if path in names else 0
    wanted = _rules(camera).object.text(header)
    for other in [*reversed(names[max(0, place - _NEAR) : place]), *names[place + 1 : place + 1 + _NEAR]]:
        with suppress(RoqueError, OSError):
            near, shape = merged_header(other, cache, _rules(camera).hdu)
            same = all(near.get(keyword) == header.get(keyword) for keyword in camera.identify)
            if same and _has_time(near, camera) and _rules(camera).object.text(near) == wanted:
                return describe(near, shape, other, camera)
    return None


def _described(read: Sequence[tuple[Header, tuple[int, ...], Path]], camera: CameraDescription) -> Iterator[Exposure]:
    """Read headers; each that has no time by the one before it by name, or the next."""
    ordered = sorted(read, key=lambda entry: str(entry[2]))
    last = next((describe(*entry, camera) for entry in ordered if _has_time(entry[0], camera)), None)
    for entry in ordered:
        exposure = describe(*entry, camera, last)
        last = exposure if exposure.time_fault is None else last
        yield exposure


def _has_time(header: Header, camera: CameraDescription) -> bool:
    return _middle(header, 0.0, _rules(camera), "")[2] is None


def _middle(header: Header, exposure: float, rules: HeaderRules, file: str) -> tuple[int, float, BadInput | None]:
    """Mid-exposure, and what is wrong with it."""
    try:
        day, fraction = rules.time.middle(header, exposure, file)
    except BadInput as fault:
        return NO_TIME, 0.0, fault
    if day < _FIRST_CCD:
        return NO_TIME, 0.0, rules.time.value.missing(header, file, "a time since there are digital cameras")
    return day, fraction, None


def _night(header: Header, mjd: float, fault: BadInput | None, camera: CameraDescription, file: str) -> date:
    """Night of an exposure; of one without a time by the date of its header."""
    if fault is None:
        return night_of(mjd, camera.site.longitude)
    for keyword in ("DATE-OBS", "DATE-BEG", "DATE"):
        stamp = parse_iso(str(header.get(keyword, "")))
        if stamp is not None and stamp[0] >= _FIRST_CCD:
            return night_of(stamp[0] + stamp[1] / 86400.0, camera.site.longitude)
    remedy = "correct the header, or put the file into a folder named after its night (YYYY-MM-DD)"
    raise BadInput(f"{fault.message}: the night cannot be told", file=file, place=fault.place, remedy=remedy)


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
    raise BadInput("no image in the file", file=file.name, place="HDU 0", remedy="copy it again from where it came")


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
