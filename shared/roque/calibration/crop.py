"""Calibration frames cut to the windows of the data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.errors import BadInput
from roque.frames import CCD, Box, Frame, Geometry, Window

__all__ = ["block_mean", "crop", "pair"]

Floats = NDArray[np.floating[Any]]


def crop(master: Frame, like: Frame, *, what: str = "calibration frame") -> Frame:
    """Cut a calibration frame to the windows of the data, by position and not by label.

    Each data window is cut from the first window of the same CCD that contains it, in step and with a binning that
    divides the data's. More coarsely binned data get the mean of the blocks.

    Parameters
    ----------
    master : Frame
        Calibration frame.
    like : Frame
        A frame of the data, whose windows and labels the result has.
    what : str
        Name of the calibration frame in messages.

    Returns
    -------
    Frame
        Headers of `master`, windows of `like`; only the CCDs that both have.

    Raises
    ------
    BadInput
        If no window of `master` will do, naming CCD and window.

    Notes
    -----
    A mean over blocks is right for flats. For biases of binned read-outs it is wrong by the number of pixels summed: these
    must be taken with the binning of the data.
    """
    ccds = {}
    for name, ccd in like.ccds.items():
        if name in master.ccds:
            source = master.ccds[name]
            windows = {label: _cut(source, w, f"CCD {name}, window {label}", what) for label, w in ccd.windows.items()}
            ccds[name] = replace(source, windows=windows)
    return replace(master, ccds=ccds)


def pair(master: Frame, like: Frame, *, what: str = "calibration frame") -> Frame:
    """Pair the windows of a calibration frame with those of the data by label, without cutting.

    Parameters
    ----------
    master, like, what
        As for `crop`.

    Returns
    -------
    Frame
        The windows that both frames have; a label that `master` lacks is left out.

    Raises
    ------
    BadInput
        If windows of equal label differ in position, binning or size.
    """
    ccds = {}
    for name, ccd in like.ccds.items():
        if name not in master.ccds:
            continue
        source = master.ccds[name]
        windows = {label: source.windows[label] for label in ccd.windows if label in source.windows}
        for label, window in windows.items():
            if window.geometry != ccd.windows[label].geometry:
                raise BadInput(
                    f"the {what} has {_words(window.geometry)}, the data {_words(ccd.windows[label].geometry)}",
                    place=f"CCD {name}, window {label}",
                    remedy="turn cropping on, or use calibration frames of the data's format",
                )
        ccds[name] = replace(source, windows=windows)
    return replace(master, ccds=ccds)


def block_mean(data: Floats, xbin: int, ybin: int) -> Floats:
    """Mean of blocks of `ybin` rows by `xbin` columns: over x inside the block first, then over y, in the dtype of `data`."""
    ny, nx = data.shape
    means: Floats = data.reshape(ny // ybin, ybin, nx // xbin, xbin).mean(axis=3).mean(axis=1)
    return means


def _cut(source: CCD, window: Window, place: str, what: str) -> Window:
    wanted = window.geometry
    for candidate in source.windows.values():
        have = candidate.geometry
        if have.contains(wanted):
            xfactor, yfactor = wanted.xbin // have.xbin, wanted.ybin // have.ybin
            x0, y0 = (wanted.llx - have.llx) // have.xbin, (wanted.lly - have.lly) // have.ybin
            data = candidate.read(Box(y0=y0, y1=y0 + wanted.ny * yfactor, x0=x0, x1=x0 + wanted.nx * xfactor))
            if (xfactor, yfactor) != (1, 1):
                data = block_mean(data, xfactor, yfactor)
            return Window(wanted, data, window.outamp)
    have_words = "; ".join(_words(w.geometry) for w in source.windows.values()) or "no windows"
    raise BadInput(
        f"no window of the {what} contains {_words(wanted)} in step (it has {have_words})",
        place=place,
        remedy=f"make a {what} that covers the data's windows with a binning that divides theirs",
    )


def _words(g: Geometry) -> str:
    return f"{g.nx}x{g.ny} pixels from ({g.llx}, {g.lly}) binned {g.xbin}x{g.ybin}"
