"""What roque must know of a camera, as its TOML file says it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from roque.frames.frame import Header
from roque.instruments.rules import Rule, TimeRule

__all__ = ["Amplifier", "CameraDescription", "Detector", "HeaderRules", "Site"]


@dataclass(frozen=True, slots=True)
class Site:
    """Where a telescope stands: longitude in degrees east, latitude in degrees, height in metres.

    `diameter` of its mirror, in metres; None: not described. Scintillation depends on it.
    """

    telescope: str
    longitude: float
    latitude: float
    height: float
    diameter: float | None = None


@dataclass(frozen=True, slots=True)
class Amplifier:
    """Parts of an image that an amplifier reads: FITS sections ``[x1:x2,y1:y2]`` of the image as written.

    Parameters
    ----------
    data : Rule
        What is exposed to light.
    overscan : Rule or None
        Overscan or prescan.
    """

    data: Rule
    overscan: Rule | None


@dataclass(frozen=True, slots=True)
class Detector:
    """A CCD of a camera.

    Parameters
    ----------
    label : str
        As in apertures and logs.
    nxtot, nytot : int
        Size, unbinned pixels; 0: as large as the image.
    nxpad, nypad : int
        Padding beyond it (prescan, overscan), unbinned pixels.
    gain : float
        Electrons per ADU.
    read_noise : float
        ADU, rms.
    nonlinear, saturation : float
        Counts, ADU, from which pixels are non-linear and saturated.
    amplifiers : tuple of Amplifier
        Of plain FITS images: each becomes a window; without any, the image is one.
    """

    label: str
    nxtot: int
    nytot: int
    nxpad: int
    nypad: int
    gain: float
    read_noise: float
    nonlinear: float
    saturation: float
    amplifiers: tuple[Amplifier, ...] = ()


@dataclass(frozen=True, slots=True)
class HeaderRules:
    """How headers of plain FITS images are read; rules see the primary header overlaid with that of the image.

    Parameters
    ----------
    hdu : int or None
        HDU of the image; None: the first image in the file.
    time : TimeRule
        Time of the exposure.
    exposure : Rule
        s.
    object, kind, filter, speed, mode : Rule
        Texts. Kinds are bias, dark, flat, science and other; where the rule finds none, the object's name decides.
    xbin, ybin : Rule
        Binning.
    nxtot, nytot : Rule
        Size of the chip, unbinned pixels, where the description gives none.
    llx, lly : Rule
        Lower-left unbinned pixel of the image, from 1.
    gain, read_noise, saturation : Rule
        Values that change from frame to frame; where a rule finds none, those of the detector hold.
    ra, dec : Rule
        Pointing, degrees.
    """

    hdu: int | None
    time: TimeRule
    exposure: Rule
    object: Rule
    kind: Rule
    filter: Rule
    speed: Rule
    mode: Rule
    xbin: Rule
    ybin: Rule
    nxtot: Rule
    nytot: Rule
    llx: Rule
    lly: Rule
    gain: Rule
    read_noise: Rule
    saturation: Rule
    ra: Rule
    dec: Rule


@dataclass(frozen=True, slots=True)
class CameraDescription:
    """A camera.

    Parameters
    ----------
    name : str
        Its name, also in the record and on the command line.
    source : str
        What reads its files: 'hl' (HiPERCAM), 'ul' (ULTRACAM, ULTRASPEC), 'hf' (hcm files), 'fits' (plain FITS images, by
        `header`), or the reader of a plug-in.
    site : Site
        Where it stands.
    pixel_scale : float
        arcsec per unbinned pixel.
    seeing : float
        First guess of the FWHM of stars, arcsec.
    reference : str
        CCD that positions of the others are compared with.
    detectors : dict of str to Detector
        By label.
    identify : dict of str to str
        Keyword to a pattern that its whole value matches, upper and lower case alike. Empty: never told from a header.
    header : HeaderRules or None
        For plain FITS images.
    recipe : dict of str to value
        Reduction parameters that differ from the usual ones, by their full names: 'apertures.fit_alpha'.
    placeholders : tuple of str
        Figures in it that were not measured but are of the usual order: 'site', 'pixel_scale', 'gain', 'read_noise',
        'nonlinear', 'saturation'.
    """

    name: str
    source: str
    site: Site
    pixel_scale: float
    seeing: float
    reference: str
    detectors: dict[str, Detector]
    identify: dict[str, str]
    header: HeaderRules | None
    recipe: dict[str, Any]
    placeholders: tuple[str, ...] = ()

    def detector(self, label: str) -> Detector:
        """Give the CCD of a label; one that is not described is taken to be like the reference."""
        return self.detectors.get(label, self.detectors[self.reference])

    def as_in(self, header: Header) -> CameraDescription:
        """Describe the camera as it was set when it wrote a header: with the gain, read noise and saturation that stand there.

        A level of saturation that differs moves the level from which counts are non-linear in proportion.
        """
        if self.header is None:
            return self
        rules, found = self.header, {}
        for label, usual in self.detectors.items():
            gain, noise, full = (rule.number(header) for rule in (rules.gain, rules.read_noise, rules.saturation))
            full = full if full is not None and full > 0.0 else usual.saturation
            found[label] = replace(
                usual,
                gain=gain if gain is not None and gain > 0.0 else usual.gain,
                read_noise=noise if noise is not None and noise >= 0.0 else usual.read_noise,
                nonlinear=usual.nonlinear * full / usual.saturation,
                saturation=full,
            )
        return replace(self, detectors=found)

    def matches(self, header: Header) -> bool:
        """Whether a header is one of this camera's."""
        return bool(self.identify) and all(
            keyword in header and re.fullmatch(pattern, str(header[keyword]), re.IGNORECASE)
            for keyword, pattern in self.identify.items()
        )
