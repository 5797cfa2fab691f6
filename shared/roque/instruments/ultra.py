"""What ULTRACAM and ULTRASPEC have in common: what their .xml files say, and how a run was read out.

The two cameras share a controller and its data format. A run is a header (runNNN.xml) and frames (runNNN.dat); a frame begins
with its time stamp, followed by pixels of 16 bits, little-endian.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from roque.frames import Geometry
from roque.frames.frame import Header

__all__ = ["Part", "RawWindow", "ReadOutTime", "UltraHeader", "UltraReadOut"]


@dataclass(frozen=True, slots=True)
class UltraHeader:
    """What a .xml says, unchecked but for its form.

    Parameters
    ----------
    file : str
        Name for error messages.
    frame_bytes, header_words : str
        Attributes framesize and headerwords.
    instrument, application : str
        Name of the instrument, and of what the controller ran.
    parameters : dict of str to str
        Of the controller, by name.
    user : dict of str to str, or None
        What the observer entered; None where there is none, or none that can be understood.
    """

    file: str
    frame_bytes: str
    header_words: str
    instrument: str
    application: str
    parameters: dict[str, str]
    user: dict[str, str] | None


class Part(NamedTuple):
    """Columns of a window whose words lie regularly in a frame: pixel [j, i] is word ``start + j*row_step + i*column_step``."""

    start: int
    row_step: int
    column_step: int
    nx: int


@dataclass(frozen=True, slots=True)
class RawWindow:
    """A window of a CCD and where its pixels lie in a frame; `parts` stand side by side, from the left."""

    ccd: str
    label: str
    geometry: Geometry
    outamp: str
    parts: tuple[Part, ...]


class ReadOutTime(NamedTuple):
    """A stretch of rows that ULTRACAM reads: ``shift*V + rows*(row_shift*V + clocks + pixels)``, V per row shift."""

    shift: float
    rows: float
    row_shift: int
    clocks: float
    pixels: float


@dataclass(frozen=True, slots=True)
class UltraReadOut:
    """How a run was read out.

    Parameters
    ----------
    instrument : str
        ULTRACAM or ULTRASPEC.
    mode : str
        As in the header keyword MODE: '2-PAIR', 'DRIFT', 'USPEC-1' ... PONOFF has no data.
    clear : bool
        Whether the header calls the mode one that clears the CCDs.
    clears : bool
        Whether times are those of cleared CCDs: for ULTRASPEC by its switch EN_CLR, in any mode.
    ccds : tuple of str
        Labels.
    nxtot, nytot : int
        Size of a CCD, unbinned pixels.
    xbin, ybin : int
        Binning.
    version : int
        Of the software; -1 before it was told.
    stamp_format : int
        1 or 2.
    header_words, frame_bytes : int
        Words of the time stamp, and bytes of a frame, time stamp included.
    exposure_units : float
        Exposure asked for, in the unit of time.
    unit : float
        s.
    nblue : int
        Frames from one blue one to the next.
    early : bool
        Whether the run has neither version nor clock: May 2002.
    shift_clock : int
        Setting of the vertical clock (a byte).
    read_out : tuple of ReadOutTime
        What the read-out of a frame takes; empty for ULTRASPEC.
    drift_rows, drift_start : int
        Unbinned rows of a drift window, and the first of them.
    windows : tuple of RawWindow
        All windows, CCD after CCD.
    keywords : dict
        Header keywords that are the same in every frame.
    speed : str
        Read-out speed.
    """

    instrument: str
    mode: str
    clear: bool
    clears: bool
    ccds: tuple[str, ...]
    nxtot: int
    nytot: int
    xbin: int
    ybin: int
    version: int
    stamp_format: int
    header_words: int
    frame_bytes: int
    exposure_units: float
    unit: float
    nblue: int
    early: bool
    shift_clock: int
    read_out: tuple[ReadOutTime, ...]
    drift_rows: int
    drift_start: int
    windows: tuple[RawWindow, ...]
    keywords: Header = field(default_factory=dict)
    speed: str = ""

    @property
    def exposure(self) -> float:
        """Exposure asked for, s."""
        return self.exposure_units * self.unit

    @property
    def drift_windows(self) -> int:
        """Windows that lie on their way to the register in drift mode."""
        chip = 1033 if self.instrument == "ULTRACAM" else 1037
        return int((chip / self.drift_rows + 1.0) / 2.0)
