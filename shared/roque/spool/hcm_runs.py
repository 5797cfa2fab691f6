"""What runs of hcm files are: their names, their nights, what their first frames say."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import date
from itertools import islice
from pathlib import Path

from roque.errors import BadInput, RoqueError
from roque.frames import Frame
from roque.frames.hcm import scan_hcm
from roque.instruments import CameraDescription
from roque.instruments.rules import parse_iso
from roque.spool.naming import folder_night, night_of, run_kind, run_name, split_filters
from roque.spool.source import RunInfo

__all__ = ["hcm_info", "sequence_name"]

_MOST_LOOKED_AT = 50  # frames of which the first may have no times: in drift mode some ten
_EARLIEST = 52000  # MJD: times before it that are not good are counted from 2000-01-01, and stand for none


def sequence_name(path: Path) -> tuple[str, int | None]:
    """Name of the run that an hcm file belongs to, and its number there: 'run0005_012.hcm' is frame 12 of run0005.

    The number is None for a file that is a run by itself.
    """
    name = run_name(path)
    stem, _, number = name.rpartition("_")
    return (stem, int(number)) if stem and number.isdecimal() and len(number) < 10 else (name, None)


def hcm_info(
    frame: Frame,
    path: Path,
    name: str,
    camera: CameraDescription,
    others: Iterable[Path] = (),
    scan: Callable[[Path], Frame] = scan_hcm,
) -> RunInfo:
    """What a run of hcm files is, from its first frame.

    Parameters
    ----------
    frame : Frame
        The first frame.
    path : Path
        Its file.
    name : str
        Name of the run.
    camera : CameraDescription
        Whose site tells the night.
    others : iterable of path
        Files of other frames of the run: the first that has a time tells the night where `frame` has none.
    scan : callable
        Reads one of those.

    Raises
    ------
    BadInput
        No frame has a time and the folder is not named after a night.
    """
    night = folder_night(path) or _night(frame, camera) or _night_of_others(others, scan, camera)
    if night is None:
        raise BadInput(
            "the frame has no time: its night cannot be told",
            file=str(path),
            place="keyword MJDINT",
            remedy="put it into a folder named after its night (YYYY-MM-DD)",
        )
    header, labels = frame.header, tuple(frame.ccds)
    geometry = next(iter(next(iter(frame.ccds.values())).windows.values())).geometry
    clear, exposure = header.get("CLEAR"), header.get("EXPTIME")
    return RunInfo(
        instrument=camera.name,
        source="hf",
        name=name,
        night=night,
        kind=run_kind(str(header.get("IMAGETYP", "")), str(header.get("OBJECT", ""))),
        object=str(header.get("OBJECT", "")),
        mode=str(header.get("MODE", "")),
        xbin=geometry.xbin,
        ybin=geometry.ybin,
        speed=str(header.get("SPEED", header.get("GAINSPED", ""))),
        filters=split_filters(str(header.get("FILTERS", header.get("FILTER", ""))), labels),
        nskips={label: _skips(ccd.header.get("NCYCLE", 1)) for label, ccd in frame.ccds.items()},
        clear=clear if isinstance(clear, bool) else None,
        windows={label: {w: window.geometry for w, window in ccd.windows.items()} for label, ccd in frame.ccds.items()},
        expected=None,
        exposure=float(exposure) if isinstance(exposure, int | float) else next(iter(frame.ccds.values())).exposure,
        header=header,
        camera=camera.name,
    )


def _skips(ncycle: object) -> int:
    return max(0, ncycle - 1) if isinstance(ncycle, int) else 0


def _night(frame: Frame, camera: CameraDescription) -> date | None:
    """Night of a frame; None if it has no time, or the one that stands for none."""
    for ccd in frame.ccds.values():
        if ccd.time_ok and not math.isnan(ccd.mjd_frac):
            return night_of(ccd.mjd, camera.site.longitude)
    for keyword in ("TIMSTAMP", "DATE-OBS", "DATE"):
        if stamp := parse_iso(str(frame.header.get(keyword, ""))):
            mjd = stamp[0] + stamp[1] / 86400.0
            if keyword != "TIMSTAMP" or frame.header.get("GOODTIME") is not False or mjd > _EARLIEST:
                return night_of(mjd, camera.site.longitude)
    return None


def _night_of_others(paths: Iterable[Path], scan: Callable[[Path], Frame], camera: CameraDescription) -> date | None:
    for path in islice(paths, _MOST_LOOKED_AT):
        with suppress(RoqueError):  # what is wrong with it is told where it is read itself
            if (night := _night(scan(path), camera)) is not None:
                return night
    return None
