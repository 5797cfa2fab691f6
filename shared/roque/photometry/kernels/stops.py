"""Why compiled code that measures frame after frame stops before the last one: something is to be looked up or settled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from roque.photometry.kernels.compiled import inner
from roque.photometry.kernels.followed import (
    BETA_ERROR,
    FWHM_ERROR,
    MBETA,
    MFWHM,
    SURE,
    WHAT,
    Stars,
    TrackSettings,
)
from roque.photometry.kernels.profiles import MOFFAT

__all__ = ["AT_NONE", "AT_SHAPES", "AT_STARTS", "NEEDS_START", "NEW_SHAPE", "has_new_shape", "let_alone", "needs_start"]

Floats = NDArray[np.float64]

AT_NONE, AT_STARTS, AT_SHAPES = range(3)
"""When to stop, beside doubts: never; before fits with start values that CCDs share; after a shape is known again."""

NEEDS_START, NEW_SHAPE = -1, -2
"""Why it stopped, if not for a doubt, which is positive: before such a fit; after such a frame."""


@inner
def needs_start(stop: int, settings: TrackSettings, stars: Stars, values: Floats, ccd: Floats) -> bool:
    """Whether to stop as a fit in the next frame begins with start values: references or a star have no shape from the last.

    Parameters
    ----------
    stop : int
        AT_STARTS where they are shared.
    settings, stars, values, ccd
        As for `roque.photometry.kernels.tracking.move_apertures`, before the frame.
    """
    if stop != AT_STARTS or not settings.moving:
        return False
    width, wings = not settings.fit.fwhm_fixed, settings.fit.method == MOFFAT
    needed = False
    for k in range(values.shape[0]):
        if stars.reference[k]:
            needed |= (width and not ccd[MFWHM] > 0.0) or (wings and not ccd[MBETA] > 0.0)
        elif stars.link[k] < 0:
            needed |= (width and not values[k, FWHM_ERROR] > 0.0) or (wings and not values[k, BETA_ERROR] > 0.0)
    return needed


@inner
def has_new_shape(stop: int, before: float, ccd: Floats) -> bool:
    """Whether to stop as the stars of a frame have a shape, after one that had the mean FWHM `before`, which was none."""
    return bool(stop == AT_SHAPES and not before > 0.0 and ccd[MFWHM] > 0.0)


@inner
def let_alone(what: int, answer: Floats) -> None:
    """Say that nothing is known of a frame beforehand; `what` is ALONE, or ASKING where doubts can be settled."""
    answer[:] = 0.0
    answer[WHAT] = what
    answer[SURE] = 1.0
