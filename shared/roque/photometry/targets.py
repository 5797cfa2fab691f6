"""Tables of the targets of frames, as the HiPERCAM pipeline's ftargets means them: SExtractor's detections, profiles fitted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import sep
from numpy.typing import NDArray

from roque.frames import Geometry
from roque.photometry.kernels.fit import FitMemory, FitSettings, fit_star, make_fit_memory
from roque.photometry.kernels.outcome import OK
from roque.photometry.kernels.profiles import BETA, FWHM, MOFFAT

__all__ = ["TARGET", "Search", "Targets", "find_targets"]

TARGET = np.dtype(
    [
        ("thresh", "f4"),  # threshold of the detection, counts above the sky
        ("npix", "i4"),
        ("tnpix", "i4"),  # pixels above the threshold
        ("x", "f8"),  # unbinned pixels
        ("y", "f8"),
        ("errx2", "f4"),  # variances of the position, binned pixels
        ("erry2", "f4"),
        ("errxy", "f4"),
        ("a", "f4"),  # RMS along the axes, unbinned pixels
        ("b", "f4"),
        ("theta", "f4"),
        ("flux", "f4"),
        ("peak", "f4"),
        ("xpeak", "i4"),  # binned pixels of the part of the window that was searched, from 0
        ("ypeak", "i4"),
        ("flag", "i4"),  # as SExtractor's
        ("fwhm", "f4"),  # from a and b, unbinned pixels
        ("ffwhm", "f4"),  # of the fit; NaN if there is none
        ("beta", "f4"),
        ("nfev", "i4"),  # 1 where a profile was fitted, 0 where not
        ("nframe", "i4"),
        ("wnam", "S8"),
    ]
)

Targets = NDArray[np.void]
"""Structured array of dtype `TARGET`."""

_START_BETA, _BETAS = 4.0, (1.5, 10.0)
_LEAST_FWHM = 2.0
_BETA_MAX = 20.0
_MOST_FITTED = 4096  # pixels of a box


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How targets are searched and fitted.

    Parameters
    ----------
    thresh : float
        Of detections, RMS of the background.
    fwhm : float
        Of the detection's kernel, binned pixels.
    minpix : int
        Fewest pixels above the threshold.
    rmin : float
        Distance to the next target of those that are fitted, and half width of the box of fits, unbinned pixels.
    pmin, pmax : float
        Least peak of those that are fitted, in thresholds of the detection, and largest peak, counts.
    emax : float
        Their largest ratio of axes.
    nmax : int
        Most fits of a window: the brightest are fitted.
    gain : float
        Electrons per count.
    rej : float
        Threshold of rejection of fits, RMS.
    """

    thresh: float = 3.0
    fwhm: float = 4.0
    minpix: int = 3
    rmin: float = 20.0
    pmin: float = 5.0
    pmax: float = 60000.0
    emax: float = 1.2
    nmax: int = 10
    gain: float = 1.0
    rej: float = 6.0


def find_targets(counts: NDArray[np.floating[Any]], geometry: Geometry, search: Search, *, frame: int, window: str) -> Targets:
    """Find the targets of a window, brightest first.

    Parameters
    ----------
    counts : array, shape (ny, nx)
        Calibrated counts.
    geometry : Geometry
        Where they lie.
    search : Search
        How.
    frame, window : int, str
        Number of the frame and label of the window, carried along.

    Returns
    -------
    Targets

    Notes
    -----
    The kernel of the detection has 3 x 3 pixels, whatever its FWHM. Unlike in the HiPERCAM pipeline, what is fitted in one
    window does not change how the next is searched.
    """
    data = np.array(counts, np.float64, order="C")
    if min(data.shape) < 3 or not np.isfinite(data).all():
        return np.zeros(0, TARGET)
    sky = sep.Background(data)
    noise = float(sky.globalrms)
    data -= sky.back()
    if not noise > 0.0:
        return np.zeros(0, TARGET)
    found = sep.extract(data, search.thresh * noise, filter_kernel=_kernel(search.fwhm))
    found = found[found["tnpix"] >= search.minpix]
    found = found[np.argsort(-found["flux"], kind="stable")]
    targets = np.zeros(len(found), TARGET)
    for name in TARGET.names or ():
        if name in found.dtype.names:
            targets[name] = found[name]
    size = math.sqrt(geometry.xbin * geometry.ybin)
    targets["x"], targets["y"] = geometry.x(0) + geometry.xbin * found["x"], geometry.y(0) + geometry.ybin * found["y"]
    targets["a"], targets["b"] = size * found["a"], size * found["b"]
    targets["fwhm"] = 2.0 * np.sqrt(math.log(2.0) * (targets["a"] ** 2 + targets["b"] ** 2))
    targets["ffwhm"] = targets["beta"] = np.nan
    targets["nframe"], targets["wnam"] = frame, window.encode("ascii", "replace")
    _fit(targets, data, geometry, search, noise)
    return targets


def _kernel(fwhm: float) -> NDArray[np.float64]:
    sigma = fwhm / math.sqrt(8.0 * math.log(2.0))
    weights = np.exp(-0.5 * (np.arange(-1, 2) / sigma) ** 2)
    made: NDArray[np.float64] = np.outer(weights, weights) / weights.sum() ** 2
    return made


def _fit(targets: Targets, data: NDArray[np.float64], geometry: Geometry, search: Search, noise: float) -> None:
    """Fit profiles to the brightest targets that stand alone, and fill in their shapes."""
    x, y = targets["x"], targets["y"]
    near = np.hypot(x[:, np.newaxis] - x, y[:, np.newaxis] - y) < search.rmin
    fits = (near.sum(axis=1) == 1) & (targets["peak"] < search.pmax) & (targets["peak"] > search.pmin * targets["thresh"])
    fits &= targets["a"] < search.emax * targets["b"]
    settings = FitSettings(MOFFAT, 0, False, _LEAST_FWHM, _BETA_MAX, search.rej)
    memory, beta = make_fit_memory(_MOST_FITTED, 1), _START_BETA
    for k in np.flatnonzero(fits)[: search.nmax]:
        target = targets[k]
        if _fit_one(target, data, geometry, search, noise, settings, beta, memory) == OK:
            target["ffwhm"], target["beta"], target["nfev"] = memory.parameters[FWHM], memory.parameters[BETA], 1
            beta = min(max(memory.parameters[BETA], _BETAS[0]), _BETAS[1])


def _fit_one(
    target: np.void,
    data: NDArray[np.float64],
    geometry: Geometry,
    search: Search,
    noise: float,
    settings: FitSettings,
    beta: float,
    memory: FitMemory,
) -> int | None:
    """Fit a profile around a target; None where the box is too large to fit."""
    half, x, y = search.rmin, float(target["x"]), float(target["y"])
    box = geometry.box(x - half, x + half, y - half, y + half)
    part = np.ascontiguousarray(data[box.slices], np.float32).reshape(-1)
    if box.empty or part.size > _MOST_FITTED:
        return None
    g = geometry.cut(box)
    sky = float(np.median(part))
    memory.start[:] = sky, float(target["peak"]) - sky, x, y, max(float(target["fwhm"]), _LEAST_FWHM), beta
    levels = np.full(part.size, noise, np.float32), np.full(part.size, search.gain, np.float32)
    bad = np.zeros(part.size, np.uint8)
    status: int = fit_star(settings, part, part, *levels, bad, g.x(0), g.y(0), g.xbin, g.ybin, g.nx, g.ny, memory)
    return status
