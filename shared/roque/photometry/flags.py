"""Flags of a measurement: the one table of bits and what they mean."""

from __future__ import annotations

from enum import IntFlag

__all__ = ["DESCRIPTIONS", "TRACKING", "Flag", "names"]


class Flag(IntFlag):
    """Bits of the 32-bit flag, as in the HiPERCAM pipeline's logs (bits 0 to 13); bits from 16 on are roque's own."""

    ALL_OK = 0
    NO_FWHM = 1 << 0
    NO_SKY = 1 << 1
    SKY_AT_EDGE = 1 << 2
    TARGET_AT_EDGE = 1 << 3
    TARGET_SATURATED = 1 << 4
    TARGET_NONLINEAR = 1 << 5
    NO_EXTRACTION = 1 << 6
    NO_DATA = 1 << 7
    CLOUDS = 1 << 8
    JUNK = 1 << 9
    BAD_FLAT = 1 << 10
    BAD_COLUMN = 1 << 11
    BAD_TIME = 1 << 12
    OUTLIER = 1 << 13
    LOST = 1 << 16
    BAD_PIXELS = 1 << 17
    COSMIC_RAY = 1 << 18
    MASKED_OUT = 1 << 19
    FIT_FAILED = 1 << 20
    RECOVERED = 1 << 21
    UNCERTAIN = 1 << 22


DESCRIPTIONS: dict[Flag, str] = {
    Flag.NO_FWHM: "radii or weights need a FWHM and none was measured",
    Flag.NO_SKY: "no sky pixels, or all clipped",
    Flag.SKY_AT_EDGE: "the sky annulus crosses the edge of the window",
    Flag.TARGET_AT_EDGE: "the target aperture crosses the edge of the window",
    Flag.TARGET_SATURATED: "the brightest raw pixel reaches the saturation level",
    Flag.TARGET_NONLINEAR: "the brightest raw pixel reaches the non-linear level",
    Flag.NO_EXTRACTION: "no flux could be extracted",
    Flag.NO_DATA: "no pixel lies in the target aperture",
    Flag.CLOUDS: "marked as cloudy by hand",
    Flag.JUNK: "marked as junk by hand",
    Flag.BAD_FLAT: "bad flat field",
    Flag.BAD_COLUMN: "bad column",
    Flag.BAD_TIME: "the time stamp cannot be trusted",
    Flag.OUTLIER: "outlier of a series",
    Flag.LOST: "the references were not found: the apertures of the CCD stayed where they were",
    Flag.BAD_PIXELS: "pixels of the aperture are left out, and the counts corrected for the light that they would have had",
    Flag.COSMIC_RAY: "a cosmic ray hit the aperture; its pixels are left out",
    Flag.MASKED_OUT: "too much of the star's light falls on pixels left out, or its profile is not known: no counts are given",
    Flag.FIT_FAILED: "the star could not be fitted: its aperture moved as the references did, and the counts are good",
    Flag.RECOVERED: "the stars were found again by their pattern, after a jump of the telescope or frames without them",
    Flag.UNCERTAIN: "found again, but by too few stars, or too faint ones, to be sure which they are or where",
}

TRACKING = Flag.FIT_FAILED | Flag.RECOVERED
"""Flags that tell how an aperture was followed: with these alone its counts are as good as any."""


def names(value: int) -> list[str]:
    """Names of the bits set in a flag, lowest first."""
    return [flag.name for flag in DESCRIPTIONS if value & flag and flag.name]
