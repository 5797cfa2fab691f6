"""What can come of an aperture in a frame, in numbers that kernels can hand out, and in words."""

from __future__ import annotations

__all__ = [
    "BOX_EMPTY",
    "BOX_OUTSIDE",
    "FIT_COVARIANCE",
    "FIT_EDGE",
    "FIT_EXHAUSTED",
    "FIT_FAINT",
    "FIT_FEW_PIXELS",
    "FIT_LOW",
    "FIT_NARROW_START",
    "FIT_NOT_FINITE",
    "FIT_SHIFTED",
    "FIT_SINGULAR",
    "NO_PEAK",
    "OK",
    "REFERENCES_DISAGREE",
    "UNITS",
    "WORDS",
]

OK = 0
BOX_EMPTY = 1
NO_PEAK = 2
BOX_OUTSIDE = 3
FIT_NARROW_START = 4
FIT_EXHAUSTED = 5
FIT_NOT_FINITE = 6
FIT_FEW_PIXELS = 7
FIT_SINGULAR = 8
FIT_COVARIANCE = 9
FIT_EDGE = 10
FIT_LOW = 11
FIT_SHIFTED = 12
REFERENCES_DISAGREE = 13
FIT_FAINT = 14

WORDS = {
    BOX_EMPTY: "the box to search or fit holds no pixel of the window",
    NO_PEAK: "no peak above the threshold",
    BOX_OUTSIDE: "the expected position lies outside the window",
    FIT_NARROW_START: "the fit would start narrower than fit_fwhm_min",
    FIT_EXHAUSTED: "the fit did not converge",
    FIT_NOT_FINITE: "pixels to fit are not finite",
    FIT_FEW_PIXELS: "fewer pixels than parameters to fit",
    FIT_SINGULAR: "the fit has a singular covariance",
    FIT_COVARIANCE: "the fit has a negative variance",
    FIT_EDGE: "the fitted position is at or beyond the edge of the box",
    FIT_LOW: "the fitted height is below the threshold",
    FIT_SHIFTED: "the fitted position is further than fit_max_shift from the expected one",
    REFERENCES_DISAGREE: "reference apertures moved differently by more than fit_diff",
    FIT_FAINT: "the star is too faint to be placed: the fitted height is less than 5 times its error",
}
"""What each outcome but OK means."""

UNITS = {FIT_LOW: "ADU", FIT_FAINT: "ADU", FIT_SHIFTED: "pixels", REFERENCES_DISAGREE: "pixels"}
"""Units of the number that goes with an outcome, where one does: the height found, or how far apart."""
