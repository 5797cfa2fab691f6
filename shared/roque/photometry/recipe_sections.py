"""Sections of a recipe, named as those of reduce files."""

from __future__ import annotations

from dataclasses import dataclass, field

from roque.photometry.recipe_fields import above, between, factors, least, one_of

__all__ = [
    "Calibration",
    "Detector",
    "Extraction",
    "FocalMask",
    "General",
    "Pixels",
    "PsfPhotometry",
    "Radius",
    "Sky",
    "Tracking",
    "Trim",
]

_WANTS = ("required", "wanted", "optional", "never")


@dataclass(frozen=True, slots=True, kw_only=True)
class General:
    """What the numbers belong to."""

    instrument: str = "other"
    scale: float = field(default=1.0, metadata=above(0.0))
    """Arcsec per unbinned pixel."""
    toffset: int = 0
    """Days taken off the times in logs."""
    skipbadt: bool = True
    """Whether bad times are left out of plots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trim:
    """Binned columns and rows removed from each window, on the side of its amplifier."""

    columns: int = field(default=0, metadata=least(0))
    rows: int = field(default=0, metadata=least(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """How apertures follow their stars. Lengths in unbinned pixels unless said otherwise; heights in ADU.

    The names are those of reduce files; `fit_fwhm_max` limits nothing and is kept for them alone.
    """

    location: str = field(default="variable", metadata=one_of("variable", "fixed"))
    search_half_width: float = field(metadata=above(0.0))
    search_smooth_fwhm: float
    """Binned pixels; not above 0 for no smoothing."""
    search_smooth_fft: bool = False
    fit_method: str = field(default="moffat", metadata=one_of("moffat", "gaussian"))
    fit_beta: float = field(default=5.0, metadata=above(0.0))
    fit_beta_max: float = 20.0
    fit_fwhm: float = field(metadata=above(0.0))
    fit_fwhm_min: float
    fit_fwhm_max: float
    fit_ndiv: int = field(default=0, metadata=between(0, 20))
    fit_fwhm_fixed: bool = False
    fit_half_width: float = field(metadata=above(0.0))
    fit_thresh: float = field(default=8.0, metadata=above(1.0))
    fit_height_min_ref: float = 40.0
    fit_height_min_nrf: float = 10.0
    fit_max_shift: float = field(metadata=above(0.0))
    fit_alpha: float = field(default=0.1, metadata=between(0.0, 1.0, open_below=True))
    fit_diff: float = field(metadata=above(0.0))
    recover: bool = False
    """Whether stars that were lost, or have jumped, are found again by the pattern of all stars of the CCD, others stand in for
    lost references, and fits of less than 5 sigma do not count. Without effect in parity; reduce files do not have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Radius:
    """A radius: a factor of the mean FWHM, kept between limits (unbinned pixels)."""

    factor: float
    least: float
    greatest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """How fluxes of a CCD are extracted."""

    resize: str = field(default="variable", metadata=one_of("variable", "fixed"))
    method: str = field(default="normal", metadata=one_of("normal", "optimal"))
    target: Radius
    inner_sky: Radius
    outer_sky: Radius
    radii: tuple[float, ...] = field(default=(), metadata=factors(32))
    """Further radii of the target, measured in the same pass and kept in the record: factors as that of `target`, between its
    limits; where radii are fixed, factors of the target's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """What is known of a CCD."""

    readout: float = field(metadata=least(0.0))
    """RMS ADU."""
    gain: float = field(metadata=above(0.0))
    """Electrons per ADU."""
    nonlinear: float | None = None
    """Raw ADU; None flags nothing."""
    saturation: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sky:
    """How the sky is measured."""

    method: str = field(default="clipped", metadata=one_of("clipped", "median"))
    error: str = field(default="variance", metadata=one_of("variance", "photon"))
    thresh: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Which calibration frames are wanted (required, wanted, optional or never) and how they are applied."""

    bias: str = field(default="wanted", metadata=one_of(*_WANTS))
    dark: str = field(default="optional", metadata=one_of(*_WANTS))
    flat: str = field(default="wanted", metadata=one_of(*_WANTS))
    fringe: str = field(default="never", metadata=one_of(*_WANTS))
    crop: bool = True
    nhalf: int = field(default=3, metadata=least(0))
    """Half width of the boxes of fringe pairs, binned pixels."""
    rmin: float = -1.0
    rmax: float = 2.0
    """Least and greatest ratio of a fringe pair that counts; without effect in parity."""
    readout_frame: str = ""
    gain_frame: str = ""
    """Names of hcm files to take in place of the detectors' numbers: RMS ADU and electrons per ADU. They are looked for
    beside the reduce file that names them, else beside the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """Which pixels are left out of fits, sky and apertures, and what is subtracted from each amplifier.

    The light of a star on pixels left out is made up for by its profile; flags BAD_PIXELS, COSMIC_RAY and MASKED_OUT tell.
    """

    defects: str = ""
    """Name of a file of bad pixels: a defect file (.dft), or a frame (.hcm) that is not 0 where a pixel is bad. Looked for
    beside the reduce file that names it, else beside the run."""
    severity: str = field(default="severe", metadata=one_of("severe", "moderate"))
    """The least severity of a defect file that counts."""
    saturated: bool = False
    """Whether saturated pixels are left out."""
    cosmic_rays: bool = False
    """Whether cosmic rays are looked for in apertures that follow their stars, and left out; not in PSF photometry."""
    overscan: str = field(default="none", metadata=one_of("none", "level", "rows"))
    """Whether the level of an amplifier's overscan (or prescan) is subtracted: one of the window, or one of each row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FocalMask:
    """Correction for a focal-plane mask."""

    demask: bool = False
    dthresh: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PsfPhotometry:
    """Settings of PSF photometry: the first five as reduce files have them, the others for recipes alone."""

    use_psf: bool = False
    psf_model: str = field(default="moffat", metadata=one_of("moffat", "gaussian"))
    gfac: float = field(default=3.0, metadata=above(0.0))
    fit_half_width: float = field(default=15.0, metadata=above(0.0))
    positions: str = field(default="fixed", metadata=one_of("fixed", "variable"))
    position_error: float = field(default=0.0, metadata=least(0.0))
    """How well places are known beforehand where they are variable, rms of x and of y in unbinned pixels; 0: not at all."""
    background: str = field(default="fixed", metadata=one_of("fixed", "free"))
    """Fixed: known from the sky annuli, within its error; free: fitted with the stars."""
