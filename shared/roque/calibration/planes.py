"""What is applied to each window of a run, laid out once: bias, dark, flat, and what flat-fielding makes of noise and gain."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.calibration.crop import crop, pair
from roque.errors import BadInput
from roque.frames import Frame, Geometry

__all__ = ["NET_EXPOSURE", "DarkTimes", "Planes", "Steps", "dark_times", "fit", "plane", "planes", "steps"]

Floats = NDArray[np.floating[Any]]

NET_EXPOSURE = "NETEXP"
"""Keyword of a CCD of a dark: its exposure less the bias's, s."""


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """What is subtracted from and divided into one window, arrays of shape (ny, nx), C-contiguous; None: left out."""

    geometry: Geometry
    bias: Floats | None
    dark: Floats | None
    flat: Floats | None


@dataclass(frozen=True, slots=True, eq=False)
class Planes(Steps):
    """The same with what flat-fielding makes of read noise and gain, in the dtype of the data."""

    R: Floats
    """Read noise over flat, RMS counts."""
    G: Floats
    """Gain times flat, electrons per count."""


@dataclass(frozen=True, slots=True)
class DarkTimes:
    """Exposures that scale the dark of one CCD, s."""

    bias: float
    dark: float

    def scale(self, exposure: float) -> float:
        """Factor for the dark of data of some `exposure`, s."""
        return (exposure - self.bias) / self.dark


def fit(master: Frame, first: Frame, what: str, notes: list[str], *, cut: bool) -> Frame:
    """Cut (or pair) a calibration frame to the first frame of a run; append to `notes` what it lacks."""
    fitted = crop(master, first, what=what) if cut else pair(master, first, what=what)
    for name, ccd in first.ccds.items():
        if name not in fitted.ccds:
            notes.append(f"the {what} has no CCD {name}: it stays without")
        else:
            missing = [label for label in ccd.windows if label not in fitted.ccds[name].windows]
            notes.extend(f"the {what} has no window {label} of CCD {name}: it stays without" for label in missing)
    return fitted


def steps(first: Frame, bias: Frame | None, dark: Frame | None, flat: Frame | None) -> dict[tuple[str, str], Steps]:
    """Lay out what is applied to every window, by (CCD label, window label); the masters must be fitted already."""
    return {
        (name, label): Steps(window.geometry, *(plane(master, name, label) for master in (bias, dark, flat)))
        for name, ccd in first.ccds.items()
        for label, window in ccd.windows.items()
    }


def planes(step: Steps, readout: float | Floats, gain: float | Floats, dtype: np.dtype[Any]) -> Planes:
    """Divide the read noise by the flat and multiply the gain with it.

    Parameters
    ----------
    step : Steps
        What is applied to the window.
    readout, gain : float or array, shape (ny, nx)
        RMS counts; electrons per count.
    dtype : dtype
        Kind of number of the data, which rules whatever the masters hold.
    """
    shape = (step.geometry.ny, step.geometry.nx)
    R, G = np.empty(shape, dtype), np.empty(shape, dtype)
    R[:], G[:] = readout, gain
    if step.flat is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            np.divide(R, step.flat, out=R, casting="same_kind")
            np.multiply(G, step.flat, out=G, casting="same_kind")
    return Planes(step.geometry, step.bias, step.dark, step.flat, R, G)


def plane(frame: Frame | None, name: str, label: str) -> Floats | None:
    """Counts of a window of a frame, C-contiguous; None if there is no such window."""
    if frame is None or name not in frame.ccds or label not in frame.ccds[name].windows:
        return None
    return np.ascontiguousarray(frame.ccds[name].windows[label].data)


def dark_times(bias: Frame | None, dark: Frame | None) -> dict[str, DarkTimes]:
    """Exposures that scale the dark, for each CCD of it.

    EXPTIME of the main headers counts, as in the HiPERCAM pipeline (0 where there is no bias, or none in its header).
    Where a CCD of the dark carries NETEXP, that and the exposure of the same CCD of the bias count instead: CCDs that skip
    read-outs have exposures of their own.

    Raises
    ------
    BadInput
        If the exposure of the dark is not known, or not positive.
    """
    if dark is None:
        return {}
    times = {}
    for name, ccd in dark.ccds.items():
        if NET_EXPOSURE in ccd.header:
            start = bias.ccds[name].exposure if bias is not None and name in bias.ccds else 0.0
            net = _seconds(ccd.header, NET_EXPOSURE, f"CCD {name} of the dark")
        else:
            start = _seconds(bias.header, "EXPTIME", "bias") if bias is not None and "EXPTIME" in bias.header else 0.0
            net = _seconds(dark.header, "EXPTIME", "dark")
        if not net > 0.0:
            raise BadInput(f"the exposure of the dark is {net} s", place=f"CCD {name}", remedy="make the dark again")
        times[name] = DarkTimes(start, net)
    return times


def _seconds(header: Mapping[str, Any], keyword: str, what: str) -> float:
    value = header.get(keyword)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        found = "no" if value is None else f"{value!r} as"
        raise BadInput(f"{found} exposure in the header of the {what}", place=f"keyword {keyword}", remedy="set it, in seconds")
    return float(value)
