"""Masters applied to frames, box by box: only what is measured is calibrated.

The arithmetic is that of the HiPERCAM pipeline, step by step in the dtype of the data (float32 unless a file holds
float64): ``deb = raw - bias``; ``proc = deb - s*dark``; ``proc /= flat``; then, where asked for, the focal-plane mask and
the fringes. ``R = readout/flat`` and ``G = gain*flat`` are what read noise and gain become by flat-fielding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from roque.calibration.focal_mask import subtract_mask
from roque.calibration.fringe import FringePairs, PlacedPair, differences, fringe_scale, place_pairs
from roque.calibration.planes import NET_EXPOSURE, Planes, dark_times, fit, lay_out
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


class _Prepared(NamedTuple):
    """Planes of a window, with stand-ins of one pixel for what is left out so that the kernel has one signature."""

    geometry: Geometry
    bias: Floats
    dark: Floats
    flat: Floats
    R: Floats
    G: Floats
    has_bias: bool
    has_dark: bool
    has_flat: bool


class _Fringes(NamedTuple):
    """Fringe map of one CCD at the data's windows, the usable pairs and their differences in the map."""

    maps: Mapping[str, Floats]
    pairs: list[PlacedPair]
    reference: NDArray[np.float64]


class Calibrator:
    """Masters prepared for one run, from its first frame.

    Parameters
    ----------
    masters : Masters
        Calibration frames.
    first : Frame
        First frame of the run; all others have its windows.
    readout : float or Frame
        Read noise, RMS counts.
    gain : float or Frame
        Electrons per count.
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
    ) -> None:
        self.notes: list[str] = []
        self._demask = demask
        self._dthresh = dthresh
        self._fringe_limits = fringe_limits

        def fitted(frame: Frame | None, what: str) -> Frame | None:
            return None if frame is None else fit(frame, first, what, self.notes, cut=crop)

        bias, dark, flat = fitted(masters.bias, "bias"), fitted(masters.dark, "dark"), fitted(masters.flat, "flat")
        noise = fit(readout, first, "read noise", self.notes, cut=crop) if isinstance(readout, Frame) else readout
        gains = fit(gain, first, "gain", self.notes, cut=crop) if isinstance(gain, Frame) else gain
        self._dark_times = dark_times(bias, dark)
        self._planes = lay_out(first, bias, dark, flat, noise, gains)
        self._prepared = {key: _prepare(planes) for key, planes in self._planes.items()}
        self._fringes: dict[str, _Fringes] = {}
        if masters.fringe_map is not None and masters.fringe_pairs is not None:
            fringe_map = fit(masters.fringe_map, first, "fringe map", [], cut=crop)  # made for few CCDs: no note on the others
            self._fringes = _prepare_fringes(fringe_map, masters.fringe_pairs, first, nhalf, self.notes)
        self._kept: dict[str, tuple[CCD, dict[str, Calibrated]]] = {}

    def planes(self, ccd_name: str, window_label: str) -> Planes:
        """Arrays that are applied to a window, for kernels that calibrate while they measure."""
        return self._planes[ccd_name, window_label]

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
        return self._by_pixel(ccd_name, ccd, window_label, box)

    def window(self, ccd_name: str, ccd: CCD, window_label: str) -> Calibrated:
        """Calibrate a whole window of a frame, as `box` does."""
        geometry = ccd.windows[window_label].geometry
        return self.box(ccd_name, ccd, window_label, Box(0, geometry.ny, 0, geometry.nx))

    def _by_pixel(self, ccd_name: str, ccd: CCD, window_label: str, box: Box) -> Calibrated:
        window = ccd.windows[window_label]
        prepared = self._prepared.get((ccd_name, window_label))
        if prepared is None or (window.geometry is not prepared.geometry and window.geometry != prepared.geometry):
            place = f"CCD {ccd_name}, window {window_label}"
            raise BadInput(
                "the window is not that of the first frame", place=place, remedy="reduce frames of one format at a time"
            )
        raw = np.ascontiguousarray(window.read(box))
        scale = self.dark_scale(ccd_name, ccd) if prepared.has_dark else 0.0
        out = np.empty((4, *raw.shape), raw.dtype)
        _calibrate(
            raw,
            prepared.bias,
            prepared.dark,
            prepared.flat,
            prepared.R,
            prepared.G,
            prepared.has_bias,
            prepared.has_dark,
            prepared.has_flat,
            # a plain number does not widen the dark: in numpy's rules it takes the dark's dtype
            prepared.dark.dtype.type(scale),
            box.y0,
            box.x0,
            out,
        )
        return Calibrated(window.geometry.cut(box), raw, out[0], out[1], out[2], out[3])

    def _whole(self, ccd_name: str, ccd: CCD) -> dict[str, Calibrated]:
        """All windows of a CCD with mask and fringes taken out, computed once for each frame."""
        kept = self._kept.get(ccd_name)
        if kept is not None and kept[0] is ccd:
            return kept[1]
        windows = {}
        for label, window in ccd.windows.items():
            g = window.geometry
            windows[label] = self._by_pixel(ccd_name, ccd, label, Box(0, g.ny, 0, g.nx))
        if self._demask:
            windows = {label: w._replace(proc=subtract_mask(w.proc, self._dthresh)) for label, w in windows.items()}
        fringes = self._fringes.get(ccd_name)
        if fringes is not None:
            amplitudes = differences(fringes.pairs, {label: w.proc for label, w in windows.items()})
            scale = fringe_scale(amplitudes, fringes.reference, self._fringe_limits)
            if math.isfinite(scale):
                for label, fringe_map in fringes.maps.items():
                    proc = windows[label].proc
                    np.subtract(proc, scale * fringe_map, out=proc, casting="same_kind")
        self._kept[ccd_name] = (ccd, windows)
        return windows


@njit(cache=True, nogil=True, error_model="numpy")  # a zero in a flat gives inf, as in numpy
def _calibrate(
    raw: Floats,
    bias: Floats,
    dark: Floats,
    flat: Floats,
    R: Floats,
    G: Floats,
    has_bias: bool,
    has_dark: bool,
    has_flat: bool,
    scale: np.floating[Any],
    y0: int,
    x0: int,
    out: Floats,
) -> None:
    """Fill `out` with deb, proc, R and G of the box at row `y0`, column `x0`; every step is rounded to the dtype of `out`."""
    ny, nx = raw.shape
    x1 = x0 + nx
    for j in range(ny):
        y = y0 + j
        # views of rows: indices that start at 0 let the compiler use vector instructions
        counts, deb, proc = raw[j], out[0, j], out[1, j]
        if has_bias:
            level = bias[y, x0:x1]
            for i in range(nx):
                deb[i] = counts[i] - level[i]
        else:
            deb[:] = counts
        if has_dark:
            current = dark[y, x0:x1]
            for i in range(nx):
                proc[i] = deb[i] - scale * current[i]
        else:
            proc[:] = deb
        if has_flat:
            response = flat[y, x0:x1]
            for i in range(nx):
                proc[i] /= response[i]
        out[2, j] = R[y, x0:x1]
        out[3, j] = G[y, x0:x1]


def _prepare(planes: Planes) -> _Prepared:
    none = np.zeros((1, 1), dtype=np.float32)
    bias, dark, flat = (none if plane is None else plane for plane in (planes.bias, planes.dark, planes.flat))
    given = (planes.bias is not None, planes.dark is not None, planes.flat is not None)
    return _Prepared(planes.geometry, bias, dark, flat, planes.R, planes.G, *given)


def _prepare_fringes(fringe_map: Frame, pairs: FringePairs, first: Frame, nhalf: int, notes: list[str]) -> dict[str, _Fringes]:
    prepared = {}
    for name, ccd in fringe_map.ccds.items():
        placed = place_pairs(pairs.get(name, ()), first.ccds[name], nhalf)
        if not placed:
            notes.append(f"no fringe pair lies inside the windows of CCD {name}: its fringes stay")
            continue
        maps = {label: window.data for label, window in ccd.windows.items()}
        prepared[name] = _Fringes(maps, placed, differences(placed, maps))
    return prepared


def _cut(whole: Calibrated, box: Box) -> Calibrated:
    key = box.slices
    arrays = (np.ascontiguousarray(a[key]) for a in whole[1:])
    return Calibrated(whole.geometry.cut(box), *arrays)
