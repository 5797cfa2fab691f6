"""What is known of the apertures of a CCD: numbers carried from frame to frame, settings, memory."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from roque.photometry.kernels.fit import FitMemory, FitSettings
from roque.photometry.kernels.search import SearchMemory
from roque.photometry.kernels.windows import Patch

__all__ = [
    "ABSENT",
    "ALONE",
    "ASKING",
    "BETA_A",
    "BETA_ERROR",
    "DX",
    "DY",
    "FWHM_A",
    "FWHM_ERROR",
    "GIVEN_UP",
    "LIGHT",
    "MBETA",
    "MFWHM",
    "NANSWER",
    "NCCD",
    "NEAR",
    "NVALUES",
    "RSKY1",
    "RSKY2",
    "RTARG",
    "SHIFTED",
    "START_BETA",
    "START_FWHM",
    "SURE",
    "VAGUE",
    "WHAT",
    "XE",
    "XSHIFT",
    "YE",
    "YSHIFT",
    "Stars",
    "TrackMemory",
    "TrackSettings",
    "X",
    "Y",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

X, Y, RTARG, RSKY1, RSKY2, XE, YE, FWHM_A, FWHM_ERROR, BETA_A, BETA_ERROR, DX, DY, LIGHT = range(14)
NVALUES = 14
"""Columns of what is carried on for each aperture; LIGHT is height times FWHM squared of its last fit."""

MFWHM, MBETA, START_FWHM, START_BETA, ABSENT = range(5)
NCCD = 5
"""What is carried on for each CCD: mean shape (-1: none measured, NaN: references failed), the last one that was
measured, from which stars start that had no fit in the frame before, and for how many frames it has not been sure where the
field is."""

WHAT, XSHIFT, YSHIFT, NEAR, SURE, VAGUE = range(6)
NANSWER = 6
"""What is known of a frame from the pattern of its stars: one of the words below; shift of the field since the frame before and
how far from it the references may lie, unbinned pixels; whether it is sure; and, filled in, whether few photons tell where."""

ALONE, ASKING, SHIFTED, GIVEN_UP = range(4)
"""Nobody can be asked; doubts are to be told; the field was found, shifted; it was not found."""


class Stars(NamedTuple):
    """What the apertures of a CCD are, in their order."""

    reference: NDArray[np.bool_]
    substitute: NDArray[np.bool_]
    """What may stand in for references of which none is seen: all that are not linked, and no companions."""
    companion: NDArray[np.bool_]
    """Injected comparison stars (COMPO): they move the opposite way."""
    link: Integers
    """Index of the aperture followed, -1 for none."""
    mask: Floats
    mask_first: Integers
    """Masks of aperture k are rows mask_first[k] to mask_first[k + 1]."""
    extra: Floats
    extra_first: Integers


class TrackSettings(NamedTuple):
    """How apertures follow their stars; lengths in unbinned pixels."""

    moving: bool
    strict: bool
    """Whether a frame is lost with any of the references, as in the HiPERCAM pipeline; else with half of those in the field."""
    search_half_width: float
    search_fft: bool
    fit_half_width: float
    height_min_ref: float
    height_min_nrf: float
    max_shift: float
    alpha: float
    diff: float
    recover: bool
    """Whether other stars stand in for lost references, faint fits do not count, and doubts are told."""
    fit: FitSettings


class TrackMemory(NamedTuple):
    """Memory of a pass over the apertures."""

    patch: Patch
    search: SearchMemory
    fit: FitMemory
    box: Integers
    search_box: Integers
    sums: Floats
    """Sums over fits of fwhm/error**2, 1/error**2, and the same of beta."""
    peak: Floats
    """Where a fit starts: x, y, counts."""
    before: Floats
    """Values of the apertures before the frame."""
