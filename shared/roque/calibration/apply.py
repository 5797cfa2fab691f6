"""Masters applied to frames, box by box: only what is measured is calibrated.

The arithmetic is that of the HiPERCAM pipeline, step by step in the dtype of the data (float32 unless a file holds
float64): ``deb = raw - bias``; ``proc = deb - s*dark``; ``proc /= flat``; then, where asked for, the focal-plane mask and
the fringes. ``R = readout/flat`` and ``G = gain*flat`` are what read noise and gain become by flat-fielding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from roque.calibration.defects import Defects
from roque.calibration.focal_mask import subtract_mask
from roque.calibration.fringe import FringePairs, Fringes, prepare_fringes
from roque.calibration.kernels import calibrate_box, process_box
from roque.calibration.overscan import Overscan
from roque.calibration.planes import NET_EXPOSURE, Planes, Steps, dark_times, fit, planes, steps
from roque.errors import BadInput
from roque.frames import CCD, Box, Frame, Geometry

__all__ = ["NET_EXPOSURE", "Calibrated", "Calibrator", "Masters", "Planes"]

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Masters:
    """Calibration frames to apply; None leaves a step out."""

    bias: Frame | None = None
    dark: Frame | None = None
    flat: Frame | None = None
    fringe_map: Frame | None = None
    fringe_pairs: FringePairs | None = None
    readout: Frame | None = None
    """Read noise, RMS counts, in place of a number."""
    gain: Frame | None = None
    """Electrons per count, in place of a number."""
    defects: Defects | None = None
    """Bad pixels, for those who measure."""


class Calibrated(NamedTuple):
    """A box of a window, calibrated. The arrays have shape (ny, nx), are C-contiguous and of the dtype of the data."""

    geometry: Geometry
    """Where the box lies."""
    raw: Floats
    """Counts as read out."""
    deb: Floats
    """Less the bias alone: what photon noise is computed from."""
    proc: Floats
    """Fully processed: the data to measure."""
    R: Floats
    """Read noise over flat, RMS counts."""
    G: Floats
    """Gain times flat, electrons per count."""


class Calibrator:
    """Masters prepared for one run, from its first frame.

    Parameters
    ----------
    masters : Masters
        Calibration frames.
    first : Frame
        First frame of the run; all others have its windows.
    readout : float or Frame
        Read noise, RMS counts; where the masters have a frame of it, that holds.
    gain : float or Frame
        Electrons per count; likewise.
    crop : bool
        Cut calibration frames to the data's windows by position; otherwise windows are paired by label.
    demask : bool
        Correct for the focal-plane mask.
    dthresh : float
        Threshold of the columns left out by that correction, in RMS.
    nhalf : int
        Half width of the boxes of fringe pairs, binned pixels.
    fringe_limits : (float, float), optional
        Least and greatest ratio of a fringe pair that counts; None counts all, as the HiPERCAM pipeline does.
    overscan : str
        'level' or 'rows' to subtract the level of each amplifier, see `roque.calibration.overscan`; 'none' not to.

    Attributes
    ----------
    notes : list of str
        What stays uncalibrated, in words: CCDs and windows that a calibration frame lacks.

    Raises
    ------
    BadInput
        If a calibration frame does not fit the data, or a dark is given whose exposure is unknown.

    Notes
    -----
    The dark is scaled by ``(t_ccd - t_bias)/t_dark``, see `roque.calibration.planes.dark_times` for which times count.
    Threads may share a calibrator as long as each CCD is read by one of them at a time.
    """

    def __init__(
        self,
        masters: Masters,
        first: Frame,
        *,
        readout: float | Frame,
        gain: float | Frame,
        crop: bool = True,
        demask: bool = False,
        dthresh: float = 3.0,
        nhalf: int = 3,
        fringe_limits: tuple[float, float] | None = None,
        overscan: str = "none",
    ) -> None:
        self.notes: list[str] = []
        self._demask = demask
        self._dthresh = dthresh
        self._fringe_limits = fringe_limits

        def fitted(frame: Frame | None, what: str) -> Frame | None:
            return None if frame is None else fit(frame, first, what, self.notes, cut=crop)

        bias, dark, flat = fitted(masters.bias, "bias"), fitted(masters.dark, "dark"), fitted(masters.flat, "flat")
        self._dark_times = dark_times(bias, dark)
        self._steps = steps(first, bias, dark, flat)
        self._applied = {key: _applied(step) for key, step in self._steps.items()}
        self._readout = _everywhere(masters.readout or readout, first, "read noise", cut=crop)
        self._gain = _everywhere(masters.gain or gain, first, "gain", cut=crop)
        self._overscan: Overscan | None = None
        if overscan != "none":
            self._overscan = Overscan(first, masters.bias, rows=overscan == "rows", notes=self.notes)
        self._planes: dict[tuple[str, str], Planes] = {}
        self._fringes: dict[str, Fringes] = {}
        if masters.fringe_map is not None and masters.fringe_pairs is not None:
            # made for one or two CCDs by nature: those without are worth no note
            fringe_map = fit(masters.fringe_map, first, "fringe map", [], cut=crop)
            self._fringes = prepare_fringes(fringe_map, masters.fringe_pairs, first, nhalf, self.notes)
        self._kept: dict[str, tuple[CCD, dict[str, Calibrated]]] = {}

    def planes(self, ccd_name: str, window_label: str, dtype: DTypeLike = np.float32) -> Planes:
        """Arrays that are applied to a window, for kernels that calibrate while they measure.

        `dtype` is that of the data. R and G are made when they are first asked for: windows without stars cost nothing.
        """
        key = ccd_name, window_label
        made = self._planes.get(key)
        if made is None or made.R.dtype != dtype:
            made = planes(self._steps[key], _level(self._readout, *key), _level(self._gain, *key), np.dtype(dtype))
            self._planes[key] = made
        return made

    @property
    def takes_overscan(self) -> bool:
        """Whether `overscan` ever gives a level."""
        return self._overscan is not None

    def overscan(self, ccd_name: str, ccd: CCD, window_label: str) -> Floats | None:
        """Level of the amplifier to subtract from the raw counts of a window, shape (ny, nx); None: nothing."""
        return None if self._overscan is None else self._overscan.level(ccd_name, ccd, window_label)

    def by_pixel(self, ccd_name: str) -> bool:
        """Whether `planes` tell all that is done to a CCD: no focal-plane mask, no fringes."""
        return not self._demask and ccd_name not in self._fringes

    def dark_scale(self, ccd_name: str, ccd: CCD) -> float:
        """Factor of the dark for a CCD of a frame; 0 without dark.

        Raises
        ------
        BadInput
            If there is a dark and the exposure of the CCD is not known.
        """
        times = self._dark_times.get(ccd_name)
        if times is None:
            return 0.0
        scale = times.scale(ccd.exposure)
        if not math.isfinite(scale):
            raise BadInput(
                "no exposure to scale the dark with", place=f"CCD {ccd_name}, keyword EXPTIME", remedy="leave the dark out"
            )
        return scale

    def box(self, ccd_name: str, ccd: CCD, window_label: str, box: Box) -> Calibrated:
        """Calibrate a box of a window of a frame.

        Parameters
        ----------
        ccd_name : str
            Label of the CCD.
        ccd : CCD
            That CCD of the frame.
        window_label : str
            Label of the window.
        box : Box
            Pixels wanted, inside the window.

        Returns
        -------
        Calibrated
            Arrays of the box alone.

        Raises
        ------
        BadInput
            If the window is not what it was in the first frame, or the exposure is unknown but needed for the dark.
        """
        if self._demask or ccd_name in self._fringes:
            return _cut(self._whole(ccd_name, ccd)[window_label], box)
        return self._calibrate(ccd_name, ccd, window_label, box)

    def window(self, ccd_name: str, ccd: CCD, window_label: str) -> Calibrated:
        """Calibrate a whole window of a frame, as `box` does."""
        return self.box(ccd_name, ccd, window_label, _all(ccd.windows[window_label].geometry))

    def process(self, ccd_name: str, ccd: CCD, window_label: str, box: Box, out: Floats) -> None:
        """Write the processed counts of a box alone, as `box` makes them, into an array: for combining frames."""
        if self._demask or ccd_name in self._fringes:
            out[:] = self._whole(ccd_name, ccd)[window_label].proc[box.slices]
            return
        applied, raw, scale = self._read(ccd_name, ccd, window_label, box)
        counts = self._levelled(ccd_name, ccd, window_label, box, raw)
        if applied.has_bias or applied.has_dark or applied.has_flat:
            process_box(counts, *applied[1:], scale, box.y0, box.x0, out, out)
        else:
            out[:] = counts

    def _calibrate(self, ccd_name: str, ccd: CCD, window_label: str, box: Box) -> Calibrated:
        applied, raw, scale = self._read(ccd_name, ccd, window_label, box)
        made = self.planes(ccd_name, window_label, raw.dtype)
        out = np.empty((4, *raw.shape), raw.dtype)
        counts = self._levelled(ccd_name, ccd, window_label, box, raw)
        calibrate_box(counts, *applied[1:], scale, box.y0, box.x0, made.R, made.G, out)
        return Calibrated(applied.geometry.cut(box), raw, out[0], out[1], out[2], out[3])

    def _levelled(self, ccd_name: str, ccd: CCD, window_label: str, box: Box, raw: Floats) -> Floats:
        """Raw counts of a box less the level of their amplifier."""
        level = self.overscan(ccd_name, ccd, window_label)
        return raw if level is None else np.ascontiguousarray(raw - level[box.slices])

    def _read(self, ccd_name: str, ccd: CCD, window_label: str, box: Box) -> tuple[_Applied, Floats, np.floating[Any]]:
        """What is applied to a window, the raw counts of a box, and the factor of the dark."""
        window = ccd.windows[window_label]
        applied = self._applied.get((ccd_name, window_label))
        if applied is None or (window.geometry is not applied.geometry and window.geometry != applied.geometry):
            place = f"CCD {ccd_name}, window {window_label}"
            raise BadInput(
                "the window is not that of the first frame", place=place, remedy="reduce frames of one format at a time"
            )
        scale = self.dark_scale(ccd_name, ccd) if applied.has_dark else 0.0
        # a plain number does not widen the dark: in numpy's rules it takes the dark's dtype
        return applied, np.ascontiguousarray(window.read(box)), applied.dark.dtype.type(scale)

    def _whole(self, ccd_name: str, ccd: CCD) -> dict[str, Calibrated]:
        """All windows of a CCD with mask and fringes taken out, computed once for each frame."""
        kept = self._kept.get(ccd_name)
        if kept is not None and kept[0] is ccd:
            return kept[1]
        windows = {label: self._calibrate(ccd_name, ccd, label, _all(w.geometry)) for label, w in ccd.windows.items()}
        if self._demask:
            windows = {label: w._replace(proc=subtract_mask(w.proc, self._dthresh)) for label, w in windows.items()}
        if ccd_name in self._fringes:
            self._fringes[ccd_name].subtract({label: w.proc for label, w in windows.items()}, self._fringe_limits)
        self._kept[ccd_name] = (ccd, windows)
        return windows


class _Applied(NamedTuple):
    """What is applied to a window, with stand-ins of one pixel for what is left out so that kernels have one signature."""

    geometry: Geometry
    bias: Floats
    dark: Floats
    flat: Floats
    has_bias: bool
    has_dark: bool
    has_flat: bool


def _applied(step: Steps) -> _Applied:
    none = np.zeros((1, 1), dtype=np.float32)
    bias, dark, flat = (none if array is None else array for array in (step.bias, step.dark, step.flat))
    return _Applied(step.geometry, bias, dark, flat, step.bias is not None, step.dark is not None, step.flat is not None)


def _everywhere(level: float | Frame, first: Frame, what: str, *, cut: bool) -> float | Frame:
    """Fit a frame of read noise or gain, which must cover all windows; a number passes."""
    if not isinstance(level, Frame):
        return level
    for name, ccd in first.ccds.items():
        lacking = [
            label for label in ccd.windows if name not in level.ccds or (not cut and label not in level.ccds[name].windows)
        ]
        if lacking:
            raise BadInput(
                f"the frame of the {what} lacks it",
                place=f"CCD {name}, window {lacking[0]}",
                remedy=f"give a frame of all CCDs and windows, or the {what} as a number",
            )
    return fit(level, first, f"frame of the {what}", [], cut=cut)


def _level(level: float | Frame, ccd_name: str, window_label: str) -> float | Floats:
    return level.ccds[ccd_name].windows[window_label].data if isinstance(level, Frame) else level


def _all(geometry: Geometry) -> Box:
    return Box(0, geometry.ny, 0, geometry.nx)


def _cut(whole: Calibrated, box: Box) -> Calibrated:
    raw, deb, proc, R, G = (np.ascontiguousarray(array[box.slices]) for array in whole[1:])
    return Calibrated(whole.geometry.cut(box), raw, deb, proc, R, G)
