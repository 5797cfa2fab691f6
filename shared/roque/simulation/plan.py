"""What is to be simulated: the detector, the stars and the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from roque.simulation.eclipse import Eclipse

__all__ = ["CCDS", "Detector", "PerCCD", "RunPlan", "Star", "WindowPlan"]

CCDS = ("1", "2", "3", "4", "5")
"""Labels of HiPERCAM's CCDs: u g r i z."""

PerCCD = tuple[float, float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Detector:
    """HiPERCAM's chips; every run of a night must be given the same one.

    Parameters
    ----------
    seed : int
        Seed of what does not change with time: flat field, bias levels and bias columns.
    gain : float
        Electrons per ADU.
    read_noise : float
        ADU.
    bias, bias_spread, bias_column_rms : float
        Mean level of the outputs, half the range of their levels, and rms of the pattern of columns, ADU.
    pixel_response_rms, vignetting : float
        Rms of the pixels' sensitivities, and loss of light in the corners of a chip, fractions.
    """

    seed: int
    gain: float = 1.1
    read_noise: float = 4.2
    bias: float = 2450.0
    bias_spread: float = 25.0
    bias_column_rms: float = 0.4
    pixel_response_rms: float = 0.012
    vignetting: float = 0.15


@dataclass(frozen=True, kw_only=True)
class WindowPlan:
    """A set of four windows, one per quadrant, as in the header.

    Parameters
    ----------
    xs : tuple of int
        Unbinned pixels between the output's corner and the window, for the positions E, F, G, H.
    ys : int
        Rows between the output's corner and the window.
    nx, ny : int
        Size, unbinned pixels.
    """

    xs: tuple[int, int, int, int]
    ys: int
    nx: int
    ny: int


@dataclass(frozen=True, kw_only=True)
class Star:
    """A star.

    Parameters
    ----------
    name : str
        What the truth calls it.
    x, y : float
        Mean position on CCD 3, unbinned pixels, (1, 1) at the centre of the lower-left one.
    flux : tuple of float
        Electrons per second on CCDs 1 to 5 at full transmission.
    eclipses : tuple of Eclipse or None
        What it goes through, as seen by CCDs 1 to 5.
    """

    name: str
    x: float
    y: float
    flux: PerCCD
    eclipses: tuple[Eclipse, Eclipse, Eclipse, Eclipse, Eclipse] | None = None


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """One run.

    Parameters
    ----------
    detector : Detector
        The chips.
    seed : int
        Seed of all that changes with time: noise, seeing, motion.
    windows : tuple of WindowPlan
        One or two sets of windows.
    frames : int
        Frames in the run.
    start : datetime
        Time stamp of the first frame, UTC.
    exposure : float
        Exposure delay, s (the header's TDELAY).
    read_out, frame_transfer, clear_time : float
        Times of reading a frame out (transfer included), of the transfer and of clearing, s.
    clear : bool
        Whether the CCDs are cleared before each exposure; else they collect light while the frame before is read out.
    nskips : tuple of int
        Read-outs skipped between two of each CCD.
    xbin, ybin : int
        Binning.
    object_name, image_type : str
        Header's OBJECT and IMAGETYP ('data', 'bias', 'flat').
    filters : str
        Header's FILTERS.
    ra, dec : float
        Pointing, degrees.
    stars : tuple of Star
        Stars in the field.
    ccd_offsets : tuple of (float, float)
        Where each CCD sees the stars, unbinned pixels from their positions.
    sky : tuple of float
        Electrons per second and unbinned pixel.
    twilight : tuple of float or None
        Level of the first frame above bias, ADU per unbinned pixel, for a sky that fades by a factor e in
        `twilight_decay` frames; it comes in addition to `sky`.
    fwhm, fwhm_rms, fwhm_drift : float
        Seeing on CCD 3, unbinned pixels: mean, rms of its slow changes, and change from first to last frame.
    beta : float
        Exponent of the Moffat profile; infinity gives a Gaussian.
    drift : tuple of float
        Motion of the field from first to last frame, unbinned pixels.
    jitter : float
        Rms of its motion from frame to frame, unbinned pixels.
    dither : float
        Distance of the dither positions, unbinned pixels; 0 for none.
    transparency_rms : float
        Rms of slow changes of transmission (they only ever lose light).
    scintillation : float
        Rms of the transmission from frame to frame, the same for all stars.
    cosmic_rays : float
        Mean number of hits per frame and CCD.
    distinct : int or None
        Render only so many frames and repeat their pixels in turn, with fresh time stamps: a cheap way to runs of many
        thousand frames, for benchmarks. Noise then repeats too, and stars cannot vary with time.
    """

    detector: Detector
    seed: int
    windows: tuple[WindowPlan, ...]
    frames: int
    start: datetime = datetime(2026, 3, 14, 23, 50, tzinfo=UTC)
    exposure: float = 1.0
    read_out: float = 0.150
    frame_transfer: float = 0.0078
    clear_time: float = 0.020
    clear: bool = False
    nskips: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    xbin: int = 1
    ybin: int = 1
    object_name: str = "Simulated"
    image_type: str = "data"
    filters: str = "us,gs,rs,is,zs"
    ra: float = 180.0
    dec: float = 28.75
    stars: tuple[Star, ...] = ()
    ccd_offsets: tuple[tuple[float, float], ...] = field(default=((0.0, 0.0), (0.6, -0.4), (0.0, 0.3), (-0.5, 0.2), (0.4, 0.5)))
    sky: PerCCD = (0.0, 0.0, 0.0, 0.0, 0.0)
    twilight: PerCCD | None = None
    twilight_decay: float = 6.0
    fwhm: float = 5.0
    fwhm_rms: float = 0.0
    fwhm_drift: float = 0.0
    beta: float = 3.5
    drift: tuple[float, float] = (0.0, 0.0)
    jitter: float = 0.0
    dither: float = 0.0
    transparency_rms: float = 0.0
    scintillation: float = 0.0
    cosmic_rays: float = 0.0
    distinct: int | None = None
