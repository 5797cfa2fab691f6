"""Whole frames calibrated, for those who keep them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.calibration.apply import Calibrator, Masters
from roque.frames import CCD, Frame, Window

__all__ = ["FrameCalibrator"]


class FrameCalibrator:
    """Masters prepared for one run, applied to whole frames of it.

    Parameters
    ----------
    masters : Masters
        Calibration frames.
    first : Frame
        First frame of the run; all others have its windows.
    nhalf : int
        Half width of the boxes of fringe pairs, binned pixels.

    Attributes
    ----------
    notes : list of str
        What stays uncalibrated, in words.

    Raises
    ------
    BadInput
        A calibration frame does not fit the data.

    Notes
    -----
    CCDs that were not read out in a frame have no exposure to scale a dark with, and no fringes: they get bias and flat alone.
    """

    def __init__(self, masters: Masters, first: Frame, *, nhalf: int = 2) -> None:
        self._full = Calibrator(masters, first, readout=0.0, gain=1.0, nhalf=nhalf)
        blank = replace(masters, dark=None, fringe_map=None, fringe_pairs=None)
        self._blank = Calibrator(blank, first, readout=0.0, gain=1.0)
        self.notes = self._full.notes

    def __call__(self, frame: Frame) -> Frame:
        """Calibrate a frame."""
        return replace(frame, ccds={name: self._ccd(name, ccd) for name, ccd in frame.ccds.items()})

    def _ccd(self, name: str, ccd: CCD) -> CCD:
        calibrator = self._full if ccd.data_ok else self._blank

        def processed(label: str, _window: Window) -> NDArray[np.floating[Any]]:
            return calibrator.window(name, ccd, label).proc

        return ccd.map(processed)
