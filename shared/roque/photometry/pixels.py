"""Where kernels find the pixels of the windows of a CCD, frame after frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.calibration.apply import Calibrator
from roque.errors import BadInput
from roque.frames import CCD
from roque.frames.raw_windows import RawWindows
from roque.photometry.kernels import windows as w

__all__ = ["Marking", "PixelTable"]


@dataclass(frozen=True, slots=True, eq=False)
class Marking:
    """Which pixels of a CCD are marked as bad before stars are searched, fitted and summed.

    Parameters
    ----------
    defects : mapping of str to array of uint8, shape (ny, nx)
        By window, not 0 where a pixel is bad; windows may be missing.
    saturation : float or None
        Raw counts from which pixels are saturated; None marks none of them.
    """

    defects: Mapping[str, NDArray[np.uint8]]
    saturation: float | None


class PixelTable:
    """Tables of some windows of a CCD, see `roque.photometry.kernels.windows`, pointed at some frames at a time.

    Raw words and float32 counts are calibrated by the kernels, box by box. Where more is to be done than pixel by pixel
    (focal-plane mask, fringes), or data and masters are of different dtypes, whole windows are calibrated beforehand.

    Parameters
    ----------
    name : str
        Label of the CCD.
    ccd : CCD
        The CCD in the first frame.
    labels : list of str
        Windows to point at; their places in this list are those in the tables.
    calibrator : Calibrator
        Masters, prepared.
    marking : Marking, optional
        Which pixels are marked as bad, beside those that come out of calibration as no number; none at all by default.
    frames : int
        How many frames can be pointed at: what is pointed at stays alive.

    Attributes
    ----------
    tables : array of int64, shape (frames, windows, columns)
    scales : array of float64, shape (frames,)
        Factors of the dark.
    dtype : numpy dtype
        Of pixels.
    """

    def __init__(
        self,
        name: str,
        ccd: CCD,
        labels: list[str],
        calibrator: Calibrator,
        marking: Marking | None = None,
        frames: int = 1,
    ) -> None:
        self._name = name
        self._labels = labels
        self._calibrator = calibrator
        self._geometries = [ccd.windows[label].geometry for label in labels]
        table = w.make_table(len(labels))
        for i, geometry in enumerate(self._geometries):
            w.set_geometry(table, i, geometry)
        self._words = bool(labels) and all(getattr(ccd.windows[label].pixels, "words", None) is not None for label in labels)
        self.dtype: np.dtype[Any] = np.dtype(np.float32)
        if not self._words and labels:
            self.dtype = np.result_type(*(ccd.windows[label].data.dtype for label in labels))
        self._planes = [calibrator.planes(name, label, self.dtype) for label in labels] if calibrator.by_pixel(name) else []
        arrays = [array for p in self._planes for array in (p.bias, p.dark, p.flat, p.R, p.G) if array is not None]
        self._by_pixel = calibrator.by_pixel(name) and all(array.dtype == self.dtype for array in arrays)
        if self._by_pixel:
            for i, p in enumerate(self._planes):
                for plane, array in ((w.BIAS, p.bias), (w.DARK, p.dark), (w.FLAT, p.flat), (w.NOISE, p.R), (w.GAIN, p.G)):
                    w.place(table, i, plane, array)
        self._marks = [] if marking is None else self._mark(table, marking)
        self.tables = np.repeat(table[np.newaxis], frames, axis=0)
        self.scales = np.zeros(frames)
        # of each frame: what keeps its pixels alive, overscan levels, and how its raw words are laid out
        self._held: list[object] = [None] * frames
        self._levels: list[object] = [None] * frames
        self._laid: list[object] = [None] * frames

    def _mark(self, table: w.Table, marking: Marking) -> list[NDArray[Any]]:
        """Enter what marks pixels; the arrays must stay alive."""
        marks: list[NDArray[Any]] = []
        for i, label in enumerate(self._labels):
            w.set_marking(table, i)
            defects = marking.defects.get(label)
            saturation = None if marking.saturation is None else np.full((1, 1), marking.saturation, self.dtype)
            w.place(table, i, w.DEFECTS, defects)
            w.place(table, i, w.SATURATION, saturation)
            marks += [array for array in (defects, saturation) if array is not None]
        return marks

    def point(self, ccd: CCD, frame: int = 0) -> None:
        """Point one of the tables at the pixels of a frame; they stay alive until it is pointed at others.

        Raises
        ------
        BadInput
            A window is not what it was in the first frame, cannot be read, or the dark cannot be scaled.
        """
        if not self._points_alike(ccd, frame):
            self._check(ccd)
            if not self._by_pixel:
                self._point_at_calibrated(ccd, frame)
                return
            if self._words:
                self._point_at_words(ccd, frame)
            else:
                self._point_at_counts(ccd, frame)
        if self._calibrator.takes_overscan:
            levels = [self._calibrator.overscan(self._name, ccd, label) for label in self._labels]
            for i, level in enumerate(levels):
                if level is not None:
                    w.place(self.tables[frame], i, w.OVERSCAN, level)
            self._levels[frame] = levels
        self.scales[frame] = self._calibrator.dark_scale(self._name, ccd)

    def _points_alike(self, ccd: CCD, frame: int) -> bool:
        """Point at raw words that are laid out as those before, if they are: in most runs all are."""
        windows = ccd.windows
        if not isinstance(windows, RawWindows) or windows.places is not self._laid[frame]:
            return False
        w.point_at_words(self.tables[frame], windows.raw.checked())
        self._held[frame] = windows
        return True

    def _check(self, ccd: CCD) -> None:
        for label, geometry in zip(self._labels, self._geometries, strict=True):
            window = ccd.windows.get(label)
            if window is None or (window.geometry is not geometry and window.geometry != geometry):
                raise BadInput(
                    "the window is not that of the first frame",
                    place=f"CCD {self._name}, window {label}",
                    remedy="reduce frames of one format at a time",
                )

    def _point_at_words(self, ccd: CCD, frame: int) -> None:
        raws = [ccd.windows[label].pixels.words for label in self._labels]  # type: ignore[union-attr]
        for i, raw in enumerate(raws):
            w.lay_words(self.tables[frame], i, raw)
        w.point_at_words(self.tables[frame], raws[0].words)
        self._laid[frame] = ccd.windows.places if isinstance(ccd.windows, RawWindows) else None
        self._held[frame] = raws

    def _point_at_counts(self, ccd: CCD, frame: int) -> None:
        planes = [ccd.windows[label].data.astype(self.dtype, copy=False) for label in self._labels]
        for i, counts in enumerate(planes):
            w.set_kind(self.tables[frame], i, w.COUNTS)
            w.place(self.tables[frame], i, w.RAW, counts)
        self._laid[frame], self._held[frame] = None, planes

    def _point_at_calibrated(self, ccd: CCD, frame: int) -> None:
        calibrated = [self._calibrator.window(self._name, ccd, label) for label in self._labels]
        for i, c in enumerate(calibrated):
            w.set_kind(self.tables[frame], i, w.CALIBRATED)
            for plane, array in ((w.RAW, c.raw), (w.BIAS, c.deb), (w.DARK, c.proc), (w.NOISE, c.R), (w.GAIN, c.G)):
                w.place(self.tables[frame], i, plane, array)
        self._laid[frame], self._held[frame] = None, calibrated
