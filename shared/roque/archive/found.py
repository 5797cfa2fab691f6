"""What lies in the incoming folders, as it is found, and the values of the rows that it becomes."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from roque.errors import Blemish, RoqueError
from roque.instruments import CameraDescription
from roque.spool import RunInfo, Times
from roque.telemetry import new_trace

__all__ = ["FoundFile", "FoundRun", "file_values", "identity_values", "problem", "progress_values"]


@dataclass(frozen=True)
class FoundFile:
    """A raw file as it lies in a folder now.

    `data_sha256` is the digest of the frames' bytes read so far, `data_size` their number, from `data_start` on.
    """

    path: str
    size: int
    mtime_ns: int
    sha256: str | None
    data_sha256: str
    data_start: int
    data_size: int


@dataclass(frozen=True)
class FoundRun:
    """A run as its files tell it now."""

    info: RunInfo
    camera: CameraDescription
    files: tuple[FoundFile, ...]
    times: Times  # of every frame that can be read now
    frames: int
    problems: tuple[dict[str, Any], ...] = ()
    ended: bool = False
    urgent: bool = False
    hints: dict[str, Any] = field(default_factory=dict)
    dropped: int = 0  # frames that the camera lost, by the numbers of the others
    on_request: bool = False  # of an archive: reduced only when somebody asks for it


def problem(error: RoqueError) -> dict[str, Any]:
    """Put an error into the form that the record keeps."""
    return {
        "code": error.code,
        "severity": "warning" if isinstance(error, Blemish) else "error",
        "message": error.message,
        "file": error.file,
        "place": error.place,
        "remedy": error.remedy,
    }


def identity_values(found: FoundRun, version: int, now: dt.datetime) -> dict[str, Any]:
    """Values of a new row of `Run` that do not change while the run grows; instrument and night are for the caller to add."""
    info = found.info
    return {
        "name": info.name,
        "version": version,
        "source": info.source,
        "kind": info.kind,
        "object": info.object,
        "mode": info.mode,
        "xbin": info.xbin,
        "ybin": info.ybin,
        "speed": info.speed,
        "filters": dict(info.filters),
        "nskips": dict(info.nskips),
        "clear": info.clear,
        "exposure": info.exposure,
        "windows": {
            ccd: {label: [g.llx, g.lly, g.xbin, g.ybin, g.nx, g.ny] for label, g in windows.items()}
            for ccd, windows in info.windows.items()
        },
        "header": {keyword: _plain(value) for keyword, value in info.header.items()},
        "on_request": found.on_request,
        "trace": new_trace(),
        "registered_at": now,
        "grown_at": now,
    }


def _plain(value: Any) -> Any:
    """Value of a header as both databases read it in JSON: one odd card must not spoil a search of all headers."""
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case str():
            return value.replace("\0", "?")
        case dict():
            return {str(name).replace("\0", "?"): _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case _:
            return value


def progress_values(found: FoundRun) -> dict[str, Any]:
    """Values of a row of `Run` that change while the run grows: its state, and its numbers as taken."""
    times = found.times
    good = times["time_ok"] & times["data_ok"]
    mjd = times["mjd_int"][good] + times["mjd_frac"][good]
    bad = times["data_ok"] & ~times["time_ok"]
    return {
        "frames": found.frames,
        "state": "complete" if found.ended else "growing",
        "frames_expected": found.info.expected,
        "frames_dropped": found.dropped,
        "frames_missing": _missing(found),
        "bad_times": len(np.unique(times["frame"][bad])),
        "mjd_first": float(mjd.min()) if len(mjd) else None,
        "mjd_last": float(mjd.max()) if len(mjd) else None,
    }


def _missing(found: FoundRun) -> int:
    """Frames that were taken, or announced, and are not there: while a run grows nobody knows what is lost at its end."""
    if not found.ended or found.info.expected is None:
        return found.dropped
    lost = max(0, found.info.expected - found.frames)
    # a raw HiPERCAM header counts the frames that were written, others those that were asked for
    return found.dropped + lost if found.info.source == "hl" else max(found.dropped, lost)


def file_values(file: FoundFile, run_id: int, position: int, now: dt.datetime, *, duplicate: bool = False) -> dict[str, Any]:
    """Values of a row of `RawFile` beside its path."""
    return {
        "size": file.size,
        "mtime_ns": file.mtime_ns,
        "sha256": file.sha256,
        "data_sha256": file.data_sha256,
        "data_start": file.data_start,
        "data_size": file.data_size,
        "run_id": run_id,
        "position": position,
        "duplicate": duplicate,
        "seen_at": now,
    }
