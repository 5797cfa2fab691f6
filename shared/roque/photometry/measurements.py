"""Measurements: one row per frame, CCD and aperture, the same fields in memory, in the record and in the FITS log."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MEASUREMENT", "RADIUS", "Measurements", "RadiusRows", "empty"]

Measurements = NDArray[np.void]
"""Structured array of dtype `MEASUREMENT`."""

MEASUREMENT = np.dtype(
    [
        ("ccd", "U8"),  # label of the CCD
        ("aperture", "U16"),  # label of the aperture
        ("frame", "i4"),  # number in the run, from 1
        ("mjd_int", "i4"),  # mid-exposure MJD(UTC), integer part
        ("mjd_frac", "f8"),  # and the rest: one double would round at 0.5 microseconds
        ("time_ok", "?"),
        ("exposure", "f8"),  # s
        ("mfwhm", "f8"),  # mean FWHM of the CCD in this frame, unbinned pixels; NaN if not measured
        ("mbeta", "f8"),
        ("x", "f8"),  # position of the aperture, unbinned pixels
        ("xe", "f8"),  # error of the fit
        ("y", "f8"),
        ("ye", "f8"),
        ("fwhm", "f8"),  # of this star, unbinned pixels
        ("fwhme", "f8"),
        ("beta", "f8"),
        ("betae", "f8"),  # -1 where beta was fixed
        ("counts", "f8"),  # sky-subtracted, ADU
        ("countse", "f8"),
        ("sky", "f8"),  # ADU per binned pixel
        ("skye", "f8"),
        ("nsky", "i4"),  # sky pixels kept
        ("nrej", "i4"),
        ("peak", "i4"),  # brightest raw pixel of the aperture, ADU (cmax in logs)
        ("flag", "u4"),
    ]
)

RadiusRows = NDArray[np.void]
"""Structured array of dtype `RADIUS`."""

RADIUS = np.dtype(
    [
        ("ccd", "U8"),
        ("aperture", "U16"),
        ("frame", "i4"),
        ("factor", "f8"),  # the radius as the recipe has it, in units of the mean FWHM
        ("radius", "f8"),  # as it was in this frame, unbinned pixels; NaN if nothing was measured
        ("counts", "f8"),  # as in `MEASUREMENT`, with this radius in place of the recipe's own
        ("countse", "f8"),
        ("peak", "i4"),
        ("flag", "u4"),
    ]
)


def empty(n: int, **values: Any) -> Measurements:
    """Make `n` rows with NaN in every measured quantity, zero in every number; `values` fill whole columns."""
    rows = np.zeros(n, MEASUREMENT)
    for name in MEASUREMENT.names or ():
        if MEASUREMENT[name].kind == "f":
            rows[name] = np.nan
    for name, value in values.items():
        rows[name] = value
    return rows
