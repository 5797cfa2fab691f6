"""What is made of one file: whose it is and why, what each rule finds in its header, what run it becomes."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roque.errors import BadInput, RoqueError
from roque.frames.frame import Header
from roque.instruments import CameraDescription, identify
from roque.instruments.explain import Reading, Trial, readings, trials
from roque.instruments.ultra_modes import ultra_read_out
from roque.spool.amplifiers import OVERSCAN, amplifier_boxes
from roque.spool.exposure import exposure_of
from roque.spool.image_headers import merged_header
from roque.spool.inspect import inspect
from roque.spool.open import data_source
from roque.spool.raw_header import first_header, is_described, is_fits
from roque.spool.source import RunInfo, Times
from roque.spool.ultra_files import is_ultra_name, ultra_files
from roque.spool.ultra_xml import read_ultra_xml
from roque.spool.unpack import unpack

__all__ = ["Checked", "check"]


@dataclass(slots=True)
class Checked:
    """What is made of a file.

    Parameters
    ----------
    path : Path
        The file.
    camera : CameraDescription or None
        Whose it is; None: nobody's.
    trials : list of Trial
        Every camera tried on its header, the nearest first; empty for files that other things tell.
    readings : list of Reading
        Of each header rule; empty for files that have their own reader.
    facts : dict
        What comes of it: run, night, kind, windows, times ...
    warnings : list of str
        What a person should know.
    error : RoqueError or None
        Why it cannot be used.
    """

    path: Path
    camera: CameraDescription | None = None
    trials: list[Trial] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    error: RoqueError | None = None


def check(path: Path, cameras: Mapping[str, CameraDescription], camera: CameraDescription | None = None) -> Checked:
    """Try a file as the ingest service would, and keep every step.

    Parameters
    ----------
    path : Path
        The file.
    cameras : dict of str to CameraDescription
        Known cameras by name.
    camera : CameraDescription or None
        Whose file it shall be; None: told from its header.

    Returns
    -------
    Checked
        Whatever is wrong with the file is in it.
    """
    found = Checked(path, camera)
    with tempfile.TemporaryDirectory(prefix="roque-") as own:
        try:
            _look(found, cameras, Path(own))
        except RoqueError as error:
            found.error = error
    if found.camera is not None:
        found.warnings += _placeholders(found)
    return found


def _look(found: Checked, cameras: Mapping[str, CameraDescription], cache: Path) -> None:
    given = found.camera
    if given.header is None if given is not None else not is_described(found.path, cameras, cache):
        _look_at_run(found, cameras, cache)
        return
    header, shape = merged_header(found.path, cache)
    if given is None:
        found.trials = trials(header, cameras)
        found.camera = identify(header, cameras, file=str(found.path))
    camera = found.camera
    if camera is None or camera.header is None:
        raise BadInput(f"camera {camera.name if camera else ''} is not described for plain FITS images", file=str(found.path))
    if camera.header.hdu is not None:
        header, shape = merged_header(found.path, cache, camera.header.hdu)
    found.readings = readings(header, camera)
    exposure = exposure_of(header, shape, found.path, camera, cache)
    geometry = exposure.geometry
    found.facts = {
        "source": "fits",
        "run": exposure.run_name,
        "night": exposure.night,
        "kind": exposure.kind,
        "object": exposure.object,
        "filter": exposure.filter,
        "image": f"{geometry.nx} x {geometry.ny} pixels from ({geometry.llx}, {geometry.lly}), "
        f"binned {geometry.xbin} x {geometry.ybin}",
        "chip": f"{exposure.nxtot} x {exposure.nytot} pixels",
        "middle": exposure.mjd_int + exposure.mjd_frac if exposure.time_fault is None else None,
        "exposure": exposure.exposure,
        "limits": _limits(camera.as_in(header)),
    }
    if exposure.time_fault is not None:
        found.warnings.append(f"{exposure.time_fault.message}: the frame is read, and its time is flagged as bad")
    windows = amplifier_boxes(header, geometry, camera.detectors[camera.reference], str(found.path))
    data = [geometry.cut(box) for label, box in windows.items() if not label.endswith(OVERSCAN)]
    if any(g.xhi > exposure.nxtot + 0.5 or g.yhi > exposure.nytot + 0.5 for g in data):
        found.warnings.append("the image reaches beyond the chip: compare binning, llx, lly and the size of the detector")


def _look_at_run(found: Checked, cameras: Mapping[str, CameraDescription], cache: Path) -> None:
    """Let the reader of a raw run or an hcm file tell what it finds."""
    kind, camera = (found.camera.source, found.camera) if found.camera is not None else ("", None)
    files: tuple[Path, ...] = (found.path,)
    if camera is None:
        found.trials = _trials(found.path, cameras, cache)
        told = inspect(found.path, cameras, cache)
        kind, camera, files = told.source, cameras.get(told.camera), told.files or files
        found.camera = camera
    several = kind in {"ul", "hf"} and found.path.suffix.lower() != ".lis"
    with data_source(kind, files if several else found.path, camera=camera, cache=cache) as source:
        info, times = source.info, source.times()
        found.warnings += [str(problem) for problem in source.problems]
        found.facts = _facts(info, times, source.available) | ({"limits": _limits(camera)} if camera else {})


def _trials(path: Path, cameras: Mapping[str, CameraDescription], cache: Path) -> list[Trial]:
    """Cameras tried on what tells whose a raw run is; nothing tells it of hcm files and what plug-ins read."""
    if is_ultra_name(path.name):
        files = ultra_files(path)
        keywords = ultra_read_out(read_ultra_xml(str(unpack(files.xml, cache)), str(files.xml))).keywords
        return trials(keywords, {name: camera for name, camera in cameras.items() if camera.source == "ul"})
    header = first_header(path, cache) if is_fits(path) else {"HIPERCAM": ""}
    return trials(header, cameras) if "HIPERCAM" not in header else []


def _limits(camera: CameraDescription) -> dict[str, dict[str, float]]:
    names = ("gain", "read_noise", "nonlinear", "saturation")
    return {label: {name: getattr(detector, name) for name in names} for label, detector in camera.detectors.items()}


def _facts(info: RunInfo, times: Times, frames: int) -> dict[str, Any]:
    first = times[times["time_ok"] & times["data_ok"]]
    return {
        "source": info.source,
        "run": info.name,
        "night": info.night,
        "kind": info.kind,
        "object": info.object,
        "filter": ", ".join(f"{ccd}: {name}" for ccd, name in info.filters.items() if name),
        "mode": " ".join(text for text in (info.mode, info.speed) if text),
        "windows": {
            ccd: {label: f"{g.nx} x {g.ny} from ({g.llx}, {g.lly}), binned {g.xbin} x {g.ybin}" for label, g in windows.items()}
            for ccd, windows in info.windows.items()
        },
        "frames": frames,
        "expected": info.expected,
        "exposure": info.exposure,
        "middle": float(first["mjd_int"][0] + first["mjd_frac"][0]) if len(first) else None,
        "last": float(first["mjd_int"][-1] + first["mjd_frac"][-1]) if len(first) else None,
        "bad_times": int((~times["time_ok"] & times["data_ok"]).sum()),
        "header": _plain(info.header),
    }


def _plain(header: Header) -> Header:
    return {k: v for k, v in header.items() if not isinstance(v, list)}


def _placeholders(found: Checked) -> list[str]:
    """Figures of the description that would be used although nobody measured them."""
    camera = found.camera
    if camera is None:
        return []
    read = {reading.name for reading in found.readings if reading.origin == "header"}
    names = [name for name in camera.placeholders if name not in read]
    if not names:
        return []
    return [f"placeholders in the description of {camera.name}, not measured: {', '.join(n.replace('_', ' ') for n in names)}"]
