"""What makes it doubtful that the stars followed are the stars meant, and the flags of what became of them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from roque.photometry.flags import Flag
from roque.photometry.kernels.compiled import inner
from roque.photometry.kernels.followed import ABSENT, FWHM_A, LIGHT, MFWHM, SHIFTED, VAGUE, WHAT, XE, YE, Stars, TrackSettings
from roque.photometry.kernels.outcome import BOX_EMPTY, BOX_OUTSIDE, OK

__all__ = ["AFTER_LOSS", "CERTAIN", "DIMMED", "FAR", "LOST_FIELD", "UNSEEN", "doubt_of", "tracking_flags"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

CERTAIN, LOST_FIELD, AFTER_LOSS, FAR, DIMMED, UNSEEN = range(6)
"""No doubt; no reference was found; those that were found come after frames without any; they lie far from where they were;
have another brightness; or other stars that were well seen are gone."""

_FAR = 0.5  # shift, in units of the half width of the search, from which a neighbour may have been nearer
_DIM, _BRIGHT = 0.6, 1.7  # light of the references, in units of that of their last fits
_WELL = 0.1  # error of the position of a star that is well seen, in units of its FWHM

_LOST, _FIT_FAILED = int(Flag.LOST), int(Flag.FIT_FAILED)
_RECOVERED, _UNCERTAIN = int(Flag.RECOVERED), int(Flag.UNCERTAIN)


@inner
def doubt_of(
    settings: TrackSettings,
    stars: Stars,
    reference: Bools,
    before: Floats,
    values: Floats,
    ccd: Floats,
    outcomes: Integers,
    xshift: float,
    yshift: float,
) -> int:
    """Say whether a frame whose references were found needs a second look.

    Parameters
    ----------
    settings, stars
        How, and what the apertures are.
    reference : array of bool
        Apertures that served as references.
    before, values : array of float64, shape (apertures, NVALUES)
        Before the frame and after it.
    ccd : array of float64
        Carried from frame to frame.
    outcomes : array of int64
        What became of each aperture.
    xshift, yshift : float
        Mean shift of the references, unbinned pixels.
    """
    if ccd[ABSENT] > 0.0:
        return AFTER_LOSS
    if math.hypot(xshift, yshift) > _FAR * settings.search_half_width:
        return FAR
    light, known, well, gone = 0.0, 0.0, 0, 0
    for k in range(values.shape[0]):
        if reference[k] and outcomes[k] == OK and before[k, LIGHT] > 0.0:
            light += values[k, LIGHT]
            known += before[k, LIGHT]
        # comparisons with NaN are false: what was not fitted before is no witness
        if stars.link[k] < 0 and math.hypot(before[k, XE], before[k, YE]) < _WELL * before[k, FWHM_A]:
            well += 1
            gone += outcomes[k] != OK
    if known > 0.0 and not _DIM * known < light < _BRIGHT * known:
        return DIMMED
    return UNSEEN if 2 * gone > well else CERTAIN


@inner
def tracking_flags(settings: TrackSettings, ccd: Floats, answer: Floats, outcome: int) -> int:
    """Flags that tell how an aperture was followed; none in parity."""
    if settings.strict:
        return 0
    if np.isnan(ccd[MFWHM]):
        return _LOST
    # off the window there was nothing to fit, and other flags say so
    flags = 0 if outcome in (OK, BOX_EMPTY, BOX_OUTSIDE) else _FIT_FAILED
    if answer[WHAT] == SHIFTED:
        flags |= _RECOVERED
    if ccd[ABSENT] > 0.0 or answer[VAGUE] > 0.0:
        flags |= _UNCERTAIN
    return flags
