"""The level of an amplifier in each frame, from the pixels that it read beside the chip.

What is subtracted from a window is how far the level of its overscan (or prescan) is from the one in the bias, which holds the
rest: so biases are used as they are. Without a bias it is the level itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roque.frames import CCD, Frame, Geometry

__all__ = ["Overscan"]

Floats = NDArray[np.floating[Any]]

_SUFFIXES = ("P", "O")  # of HiPERCAM: prescan columns, overscan rows of the window whose label comes before
_ULTRACAM = {"1": "3", "2": "4"}  # columns beside the left and right half of the chip in its overscan modes
_ULTRACAM_MODES = ("FFOVER", "FFOVNC")
_THRESHOLD = 4.5  # in median deviations: 3 standard deviations
_LEAST = 1.0  # counts: pixels are whole numbers


class _Scan(NamedTuple):
    """The window that tells the level of another one."""

    label: str
    first: int
    """Its row beside the first row of the window."""
    by_rows: bool


class Overscan:
    """Levels of the amplifiers of a run.

    Parameters
    ----------
    first : Frame
        First frame of the run; all others have its windows.
    bias : Frame or None
        Bias, as it was made: of the windows beside the chip several may have one position.
    rows : bool
        A level for each row of a window, from the columns read beside it, rather than one for all.
    notes : list of str
        What has no level is added, in words.
    """

    def __init__(self, first: Frame, bias: Frame | None, *, rows: bool, notes: list[str]) -> None:
        self._scans: dict[tuple[str, str], _Scan] = {}
        self._zeros: dict[tuple[str, str], Floats] = {}
        for name, ccd in first.ccds.items():
            pairs = _pairs(first, ccd)
            if ccd.windows and not pairs:
                notes.append(f"CCD {name} has no overscan: no level of its amplifiers is subtracted")
            for label, scan_label in pairs.items():
                window, beside = ccd.windows[label].geometry, ccd.windows[scan_label]
                scan = _scan(scan_label, window, beside.geometry, rows=rows)
                if bias is not None and name in bias.ccds:
                    zero = bias.ccds[name].windows.get(scan_label)
                    if zero is None or zero.geometry != beside.geometry:
                        notes.append(f"the bias has not the overscan of window {label} of CCD {name}: no level is subtracted")
                        continue
                    self._zeros[name, label] = _levels(zero.data, scan, window)
                if rows and not scan.by_rows:
                    notes.append(f"window {label} of CCD {name} has no overscan beside it: one level of all rows is subtracted")
                self._scans[name, label] = scan

    def level(self, name: str, ccd: CCD, label: str) -> Floats | None:
        """Level to subtract from the raw counts of a window of a frame.

        Returns
        -------
        array, shape (ny, nx), or None
            In the dtype of the data, one number for each row; None where the window has no overscan.
        """
        scan = self._scans.get((name, label))
        if scan is None:
            return None
        data, g = ccd.windows[scan.label].data, ccd.windows[label].geometry
        levels = _levels(data, scan, g) - self._zeros.get((name, label), np.zeros(1))
        return np.broadcast_to(levels.astype(data.dtype)[:, np.newaxis], (g.ny, g.nx))


def _pairs(first: Frame, ccd: CCD) -> dict[str, str]:
    """Label of the overscan of each window that has one."""
    if first.header.get("MODE") in _ULTRACAM_MODES:
        return {label: scan for label, scan in _ULTRACAM.items() if {label, scan} <= ccd.windows.keys()}
    named = ((label, next((label + s for s in _SUFFIXES if label + s in ccd.windows), "")) for label in ccd.windows)
    return {label: scan for label, scan in named if scan}


def _scan(label: str, window: Geometry, scan: Geometry, *, rows: bool) -> _Scan:
    """Where the rows of a window are in its overscan.

    HiPERCAM's prescan has the rows of overscan too: above those of the data if it is said to begin below the chip, else below.
    """
    offset = window.lly - scan.lly
    first = offset // scan.ybin
    if label.endswith("P"):
        first = 0 if offset else scan.ny - window.ny
    beside = (offset % scan.ybin == 0 or label.endswith("P")) and scan.ybin == window.ybin and 0 <= first <= scan.ny - window.ny
    return _Scan(label, first if beside else 0, rows and beside)


def _levels(data: Floats, scan: _Scan, window: Geometry) -> Floats:
    """Clipped mean of each row beside a window, or of all of them together, float64."""
    values = np.asarray(data, np.float64)
    values = values[scan.first : scan.first + window.ny] if scan.by_rows else values.reshape(1, -1)
    middle = np.median(values, axis=1, keepdims=True)
    away = np.abs(values - middle)
    limit = np.maximum(_LEAST, _THRESHOLD * np.median(away, axis=1, keepdims=True))
    levels: Floats = np.mean(values, axis=1, where=away <= limit)
    return levels
