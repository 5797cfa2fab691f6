"""Raw ULTRACAM and ULTRASPEC pixels: where those of a window lie in a frame, and how they are got.

Kernels are imported where pixels are asked for: numba takes longer to import than the times of a long run to list.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from roque.frames import Window
from roque.frames.raw_windows import RawWindows
from roque.frames.window import RawWords
from roque.instruments.ultra import RawWindow, UltraReadOut
from roque.spool._raw import RawFrame

__all__ = ["UltraLayout"]


class _RawPixels:
    """Pixels of a window, decoded when asked for."""

    __slots__ = ("raw", "window")

    def __init__(self, window: RawWindow, raw: RawFrame) -> None:
        self.window = window
        self.raw = raw

    @property
    def shape(self) -> tuple[int, ...]:
        return self.window.geometry.ny, self.window.geometry.nx

    @property
    def words(self) -> RawWords | None:
        """Where the words are; None for a window of several parts."""
        if len(self.window.parts) > 1:
            return None
        start, row_step, column_step, _ = self.window.parts[0]
        return RawWords(self.raw.checked(), start, row_step, column_step, swapped=False)

    def __getitem__(self, key: tuple[slice, slice]) -> NDArray[np.float32]:
        from roque.spool._ultra_decode import decode_plain  # noqa: PLC0415 - see above

        ny, nx = self.shape
        y0, y1, _ = key[0].indices(ny)
        x0, x1, _ = key[1].indices(nx)
        out = np.empty((max(0, y1 - y0), max(0, x1 - x0)), np.float32)
        words, left = self.raw.checked(), 0
        for part in self.window.parts:
            first, last = max(x0, left), min(x1, left + part.nx)
            if first < last:
                start = part.start + y0 * part.row_step + (first - left) * part.column_step
                decode_plain(words, start, part.row_step, part.column_step, out[:, first - x0 : last - x0])
            left += part.nx
        return out


class _Place:
    """Where the pixels of a window lie in a frame."""

    def __init__(self, window: RawWindow) -> None:
        self.raw_window = window

    def window(self, raw: RawFrame) -> Window:
        """Window with the pixels of a frame, decoded when asked for."""
        return Window(self.raw_window.geometry, _RawPixels(self.raw_window, raw), self.raw_window.outamp)


class UltraLayout:
    """Places of all windows, and the same as a table for the kernel that decodes them all."""

    def __init__(self, setup: UltraReadOut) -> None:
        self._ccds = [{w.label: _Place(w) for w in setup.windows if w.ccd == ccd} for ccd in setup.ccds]
        table, self._firsts, self._npixels = [], {}, 0
        for window in setup.windows:
            g = window.geometry
            self._firsts[window.ccd, window.label] = self._npixels
            left = self._npixels
            for part in window.parts:
                table.append([part.start, part.row_step, part.column_step, part.nx, g.ny, left, g.nx])
                left += part.nx
            self._npixels += g.nx * g.ny
        self._table = np.array(table, np.int64).reshape(-1, 7)
        self._rows = max((w.geometry.ny for w in setup.windows), default=0)

    def lazy(self, raw: RawFrame) -> list[Mapping[str, Window]]:
        """Windows of each CCD, decoded when asked for."""
        return [RawWindows(places, raw) for places in self._ccds]

    def decoded(self, raw: RawFrame) -> list[Mapping[str, Window]]:
        """Windows of each CCD, all decoded in one pass."""
        out = np.empty(self._npixels, np.float32)
        from roque.spool._ultra_decode import decode_parts  # noqa: PLC0415 - see above

        decode_parts(raw.checked(), self._table, self._rows, out)
        return [{label: self._window(place.raw_window, out) for label, place in places.items()} for places in self._ccds]

    def _window(self, window: RawWindow, out: NDArray[np.float32]) -> Window:
        g, first = window.geometry, self._firsts[window.ccd, window.label]
        return Window(g, out[first : first + g.nx * g.ny].reshape(g.ny, g.nx), window.outamp)
