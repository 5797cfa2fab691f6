"""Arithmetic of frames, and frames put together from parts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.errors import BadInput
from roque.frames.frame import CCD, Frame
from roque.frames.window import Window

__all__ = ["Operation", "combine_pairs", "combine_with", "splice"]

Floats = NDArray[np.floating[Any]]

Operation = Callable[[Any, Any], Any]
"""Of two arrays, or of an array and a number: `operator.add` and the like."""

Labels = Collection[str] | None
"""Labels of CCDs or windows; None for all."""


def combine_pairs(operation: Operation, one: Frame, two: Frame, *, ccds: Labels = None, windows: Labels = None) -> Frame:
    """Do arithmetic with two frames, window by window.

    Parameters
    ----------
    operation : callable
        What is done with the counts; the result is of the dtype of the first. A division by zero gives infinity or NaN.
    one, two : Frame
        Windows are paired by their labels.
    ccds, windows : collection of str or None
        Where it is done: CCDs and windows.

    Returns
    -------
    Frame
        With the headers of `one`, and its counts where nothing was to be done.

    Raises
    ------
    BadInput
        `two` lacks a window, or has it elsewhere.
    """

    def done(name: str, label: str, window: Window) -> Floats:
        other = _twin(two, name, label, window).data
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            result: Floats = operation(window.data, other).astype(window.data.dtype, copy=False)
        return result

    return _where(one, done, ccds, windows)


def combine_with(operation: Operation, frame: Frame, number: float, *, ccds: Labels = None, windows: Labels = None) -> Frame:
    """Do arithmetic with a frame and a number, as `combine_pairs` does with two frames."""

    def done(_name: str, _label: str, window: Window) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            result: Floats = operation(window.data, window.data.dtype.type(number))
        return result

    return _where(frame, done, ccds, windows)


def splice(one: Frame, two: Frame, *, ccds: Labels = None, windows: Labels = None) -> Frame:
    """Put CCDs or windows of one frame into another.

    Parameters
    ----------
    one : Frame
        What the result is, but for what is taken from `two`.
    two : Frame
        Where it is taken from: whole CCDs, with their headers and times, unless windows are named.
    ccds, windows : collection of str or None
        What is taken.

    Raises
    ------
    BadInput
        `two` lacks a window that is named, or has it elsewhere.
    """
    made: dict[str, CCD] = {}
    for name, ccd in one.ccds.items():
        if (ccds is not None and name not in ccds) or name not in two.ccds:
            made[name] = ccd
        elif windows is None:
            made[name] = two.ccds[name]
        else:
            taken = {k: _twin(two, name, k, w) if k in windows else w for k, w in ccd.windows.items()}
            made[name] = replace(ccd, windows=taken)
    return replace(one, ccds=made)


def _where(frame: Frame, done: Callable[[str, str, Window], Floats], ccds: Labels, windows: Labels) -> Frame:
    def chosen(name: str, label: str, window: Window) -> Floats:
        wanted = (ccds is None or name in ccds) and (windows is None or label in windows)
        return done(name, label, window) if wanted else window.data

    return frame.map(chosen)


def _twin(frame: Frame, name: str, label: str, window: Window) -> Window:
    """Window of a frame that a window of another is paired with."""
    place, remedy = f"CCD {name}, window {label}", "say crop=yes if the second frame covers the first"
    if name not in frame.ccds or label not in frame.ccds[name].windows:
        raise BadInput("the second frame has no such window", place=place, remedy=remedy)
    twin = frame.ccds[name].windows[label]
    if twin.geometry != window.geometry:
        raise BadInput("the window lies elsewhere in the second frame", place=place, remedy=remedy)
    return twin
