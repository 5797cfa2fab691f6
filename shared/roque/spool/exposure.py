"""An exposure: what the header of a plain FITS image says, by the description of its camera."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from roque.errors import BadInput, RoqueError
from roque.frames import Geometry
from roque.frames.frame import Header
from roque.instruments import CameraDescription, HeaderRules
from roque.instruments.rules import Rule, parse_iso
from roque.spool.image_headers import merged_header
from roque.spool.naming import folder_night, night_of, run_kind, safe_name
from roque.spool.ultra_stamps import NO_TIME

__all__ = ["Exposure", "describe", "describe_all", "exposure_of", "rules_of"]

_FIRST_CCD = 42000  # MJD, November 1973: what is older is a clock that was not set
_LARGEST = 1_000_000  # unbinned pixels along a side of a chip
_NEAR = 20  # files whose headers are read to find the night of one without a time


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
        """What the exposures of one run have in common: of bias frames and darks not the filter, of darks the exposure time."""
        g = self.geometry
        size = f"{g.nx}x{g.ny}"
        binning = "" if g.xbin == g.ybin == 1 else f"bin{g.xbin}x{g.ybin}"
        dark = f"{self.exposure:g}s" if self.kind == "dark" else ""
        kind = "" if self.kind == "science" else self.kind
        band = "" if self.kind in {"bias", "dark"} else self.filter
        return str(self.night), self.object, kind, band, dark, size, binning

    @property
    def run_name(self) -> str:
        """Name of the run that the exposure belongs to, within its night."""
        return safe_name(*self.group[1:])


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
    rules, file = rules_of(camera), str(path)
    exposure = rules.exposure.needed_number(header, file)
    if not 0.0 <= exposure < 1e6:
        raise rules.exposure.missing(header, file, "an exposure time in seconds")
    mjd_int, mjd_frac, fault = _middle(header, exposure, rules, file)
    if fault is not None and before is not None:
        mjd_int, mjd_frac = before.mjd_int, before.mjd_frac
    geometry = _geometry(header, shape, rules, file)
    detector = camera.detectors[camera.reference]
    nxtot = detector.nxtot or _chip(rules.nxtot, header, geometry.nx * geometry.xbin, file)
    nytot = detector.nytot or _chip(rules.nytot, header, geometry.ny * geometry.ybin, file)
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
    wanted = rules_of(camera).object.text(header)
    for other in [*reversed(names[max(0, place - _NEAR) : place]), *names[place + 1 : place + 1 + _NEAR]]:
        with suppress(RoqueError, OSError):
            near, shape = merged_header(other, cache, rules_of(camera).hdu)
            same = all(near.get(keyword) == header.get(keyword) for keyword in camera.identify)
            if same and _has_time(near, camera) and rules_of(camera).object.text(near) == wanted:
                return describe(near, shape, other, camera)
    return None


def describe_all(read: Sequence[tuple[Header, tuple[int, ...], Path]], camera: CameraDescription) -> Iterator[Exposure]:
    """Describe the files of a run, each that has no time by the one before it by name, else the next.

    Parameters
    ----------
    read : sequence of (header, shape, path)
        As for `describe`.
    """
    ordered = sorted(read, key=lambda entry: str(entry[2]))
    last = next((describe(*entry, camera) for entry in ordered if _has_time(entry[0], camera)), None)
    for entry in ordered:
        exposure = describe(*entry, camera, last)
        last = exposure if exposure.time_fault is None else last
        yield exposure


def _has_time(header: Header, camera: CameraDescription) -> bool:
    return _middle(header, 0.0, rules_of(camera), "")[2] is None


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


def _chip(rule: Rule, header: Header, image: int, file: str) -> int:
    """Size of a chip; that of the image where the header says none."""
    value = rule.number(header)
    if value is not None and (value != int(value) or not 1 <= value <= _LARGEST):
        raise rule.missing(header, file, f"a whole number from 1 to {_LARGEST}")
    return image if value is None else int(value)


def _geometry(header: Header, shape: tuple[int, ...], rules: HeaderRules, file: str) -> Geometry:
    ny, nx = shape
    found: list[int] = []
    for rule, least, most in (
        (rules.llx, -10000, _LARGEST),
        (rules.lly, -10000, _LARGEST),
        (rules.xbin, 1, 100),
        (rules.ybin, 1, 100),
    ):
        value = rule.needed_number(header, file)
        if value != int(value) or not least <= value <= most:
            raise rule.missing(header, file, f"a whole number from {least} to {most}")
        found.append(int(value))
    llx, lly, xbin, ybin = found
    return Geometry(llx, lly, xbin, ybin, nx, ny)


def rules_of(camera: CameraDescription) -> HeaderRules:
    """Header rules of a camera.

    Raises
    ------
    BadInput
        It is not described for plain FITS images.
    """
    if camera.header is None:
        raise BadInput(f"camera {camera.name} is not described for plain FITS images", remedy="name another camera")
    return camera.header
