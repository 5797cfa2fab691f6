"""A frame: the CCDs of one exposure, each with its own windows, time and exposure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.frames.window import Window

__all__ = ["CCD", "Frame", "Header"]

Header = dict[str, Any]
"""Keyword to value; comments are not carried."""


@dataclass(slots=True, eq=False)
class CCD:
    """One CCD of a frame. Instruments skip read-outs per CCD, so time and exposure belong to the CCD.

    Parameters
    ----------
    windows : mapping of str to Window
        By label; the order is the order in the data.
    nxtot, nytot : int
        Size of the chip, unbinned pixels.
    nxpad, nypad : int
        Padding beyond the chip (prescan, overscan), unbinned pixels.
    mjd_int, mjd_frac : int, float
        Mid-exposure MJD(UTC), in two parts because one double rounds at 0.5 microseconds.
    exposure : float
        Exposure time, s.
    time_ok : bool
        Whether the time can be trusted.
    data_ok : bool
        Whether the CCD was read out in this frame.
    header : dict
        Other keywords of the CCD.
    """

    windows: Mapping[str, Window]
    nxtot: int
    nytot: int
    nxpad: int = 0
    nypad: int = 0
    mjd_int: int = 0
    mjd_frac: float = float("nan")
    exposure: float = 1.0
    time_ok: bool = True
    data_ok: bool = True
    header: Header = field(default_factory=dict)

    @property
    def mjd(self) -> float:
        """Mid-exposure MJD(UTC) in one double."""
        return self.mjd_int + self.mjd_frac

    def values(self) -> NDArray[Any]:
        """All counts of all windows, one after another, 1-d."""
        return np.concatenate([window.data.ravel() for window in self.windows.values()])

    def map(self, function: Callable[[str, Window], NDArray[Any]]) -> CCD:
        """Make the same CCD with the counts that `function` gives for each label and window."""
        return replace(self, windows={label: w.with_data(function(label, w)) for label, w in self.windows.items()})


@dataclass(slots=True, eq=False)
class Frame:
    """The CCDs of one exposure.

    Parameters
    ----------
    ccds : dict of str to CCD
        By label; the order is the order in the data.
    number : int
        Number of the frame in its run, from 1.
    header : dict
        Keywords of the frame.
    """

    ccds: dict[str, CCD]
    number: int = 1
    header: Header = field(default_factory=dict)

    def map(self, function: Callable[[str, str, Window], NDArray[Any]], only: Mapping[str, Any] | None = None) -> Frame:
        """Make the same frame with the counts that ``function(ccd, window_label, window)`` gives.

        `only` names the CCDs to map; the others are kept as they are.
        """
        ccds = {}
        for name, ccd in self.ccds.items():
            if only is not None and name not in only:
                ccds[name] = ccd
            else:
                ccds[name] = ccd.map(lambda label, w, name=name: function(name, label, w))  # type: ignore[misc]
        return replace(self, ccds=ccds)
