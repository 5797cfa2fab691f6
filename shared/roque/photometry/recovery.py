"""Doubts about which star is which, settled by the pattern of all the stars of a CCD."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roque.calibration.apply import Calibrator
from roque.frames import CCD
from roque.photometry.find import APERTURE, find_stars
from roque.photometry.kernels.doubts import DIMMED, LOST_FIELD, UNSEEN
from roque.photometry.kernels.followed import ABSENT, ALONE, GIVEN_UP, SHIFTED, START_FWHM, XSHIFT, YSHIFT, X, Y
from roque.photometry.pattern import Pattern, View, find_pattern

__all__ = ["Recovery"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_STARS = 60  # brightest ones of a CCD that are kept or compared
_SURE = 7.0  # signal to noise of stars that are kept
_SHAPES = (0.5, 2.0)  # FWHM of stars, in units of the one that was measured last
_NEAR = 0.7  # of the FWHM: positions that are one star


@dataclass(frozen=True, slots=True, eq=False)
class Recovery:
    """How the stars of a CCD are found again.

    Parameters
    ----------
    name : str
        Label of the CCD.
    calibrator : Calibrator
        Masters, prepared.
    references : array of bool
        Which apertures are references.
    search_half_width : float
        Half width of the ordinary search, unbinned pixels.
    """

    name: str
    calibrator: Calibrator
    references: Bools
    search_half_width: float

    def learn(self, ccd: CCD, values: Floats, shape: Floats) -> Pattern | None:
        """Keep the stars of a frame in which the references were followed; None where most of these are not among them."""
        view = self._look(ccd, shape)
        own = values[self.references][:, [X, Y]]
        apart = np.hypot(*(own[:, None, :] - view.stars[None, :, :2]).transpose(2, 0, 1))
        recognised = (apart < self._tolerance(view)).any(axis=1)
        if 2 * recognised.sum() <= len(own):
            return None
        return Pattern(view.stars[:, :3].copy(), self._anchor(values))

    def settle(self, doubt: int, ccd: CCD, pattern: Pattern, values: Floats, shape: Floats, answer: Floats) -> None:
        """Say where the stars are, in a frame that is in doubt.

        Parameters
        ----------
        doubt : int
            Which, see `roque.photometry.kernels.doubts`.
        ccd : CCD
            The frame.
        pattern : Pattern
            Stars of an earlier frame.
        values, shape : array of float64
            State before this frame.
        answer : array of float64
            Holds the shift that the references seem to have; gets what is to be done.
        """
        view = self._look(ccd, shape)
        tolerance = self._tolerance(view)
        reach = self.search_half_width * (1.0 + shape[ABSENT])
        found = find_pattern(pattern, view, self._anchor(values), tolerance=tolerance, reach=reach)
        if found is not None:
            away = math.hypot(found.dx - answer[XSHIFT], found.dy - answer[YSHIFT])
            what = ALONE if doubt != LOST_FIELD and away <= tolerance else SHIFTED
            answer[:] = what, found.dx, found.dy, tolerance, found.sure, 0.0
        elif doubt in (DIMMED, UNSEEN) and not len(view.stars):
            # fits reach fainter stars: that none is seen here contradicts nothing
            answer[:] = ALONE, 0.0, 0.0, 0.0, 1.0, 0.0
        else:
            answer[:] = GIVEN_UP, 0.0, 0.0, 0.0, 0.0, 0.0

    def _look(self, ccd: CCD, shape: Floats) -> View:
        fwhm = float(shape[START_FWHM])
        found, limits, windows = [], [0.0], []
        for label in ccd.windows:
            calibrated = self.calibrator.window(self.name, ccd, label)
            g, gain = calibrated.geometry, float(np.median(calibrated.G))
            field = find_stars(calibrated.proc, g, window=label, gain=gain)
            windows.append(g)
            found.append(field.stars)
            if math.isfinite(field.noise):
                pixels = math.pi * (APERTURE * fwhm) ** 2 / (g.xbin * g.ybin)
                limits.append(_SURE * math.sqrt(pixels) * field.noise + _SURE**2 / gain)
        stars = np.concatenate(found)
        stars = stars[(stars["fwhm"] > _SHAPES[0] * fwhm) & (stars["fwhm"] < _SHAPES[1] * fwhm) & (stars["snr"] > _SURE)]
        stars = stars[np.argsort(-stars["flux"], kind="stable")]
        limit = max(limits)
        if len(stars) > _STARS:
            stars = stars[:_STARS]
            limit = max(limit, float(stars["flux"][-1]))
        return View(np.stack([stars[field] for field in ("x", "y", "flux", "snr")], axis=-1), limit, windows, fwhm)

    def _tolerance(self, view: View) -> float:
        return max(_NEAR * view.fwhm, 1.5 * max(max(g.xbin, g.ybin) for g in view.windows))

    def _anchor(self, values: Floats) -> tuple[float, float]:
        x, y = values[self.references][:, [X, Y]].mean(axis=0).tolist()
        return x, y
