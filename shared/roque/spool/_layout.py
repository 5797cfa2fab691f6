"""Raw HiPERCAM pixels: where those of a window lie in a frame, and how they are got.

Kernels are imported where pixels are asked for: numba takes longer to import than the times of a long run to list.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from roque.frames import Window
from roque.frames.raw_windows import RawWindows
from roque.frames.window import RawWords
from roque.instruments.hipercam import CCDS, RawWindow, ReadOut
from roque.spool._raw import RawFrame

__all__ = ["Layout"]


class RawPixels:
    """Pixels of a window, decoded when asked for."""

    __slots__ = ("place", "raw")

    def __init__(self, place: _Place, raw: RawFrame) -> None:
        self.place = place
        self.raw = raw

    @property
    def shape(self) -> tuple[int, ...]:
        return self.place.shape

    @property
    def words(self) -> RawWords | None:
        """Where the words are; None where pixels come in groups."""
        place = self.place
        if place.grouped:
            return None
        return RawWords(self.raw.checked(), place.start, 20 * place.row_step, 20 * place.column_step, swapped=True)

    def __getitem__(self, key: tuple[slice, slice]) -> NDArray[np.float32]:
        place = self.place
        ny, nx = place.shape
        y0, y1, _ = key[0].indices(ny)
        x0, x1, _ = key[1].indices(nx)
        first = place.first + y0 * place.row_step + x0 * place.column_step
        words, ny, nx = self.raw.checked(), max(0, y1 - y0), max(0, x1 - x0)
        from roque.spool._decode import decode_box, decode_box_grouped  # noqa: PLC0415 - see above

        if place.grouped:
            return decode_box_grouped(words, place.base, place.stream, first, place.row_step, place.column_step, ny, nx)
        start = place.base + 20 * first + place.stream
        return decode_box(words, start, 20 * place.row_step, 20 * place.column_step, ny, nx)


class _Place:
    """Where the pixels of a window lie in a frame, worked out once per run; raw pixels are counted through their set."""

    def __init__(self, window: RawWindow, setup: ReadOut, offset: int) -> None:
        group, g = setup.sets[window.group], window.geometry
        self.geometry = g
        self.shape = (g.ny, g.nx)
        self.base = group.base
        self.stream = window.stream
        self.grouped = setup.nsamp != 4
        self.first = window.y0 * group.nx + window.x0
        self.start = group.base + 20 * self.first + window.stream
        self.row_step = window.ystep * group.nx
        self.column_step = window.xstep
        self.row = [window.stream, window.x0, window.xstep, window.y0, window.ystep, g.nx, g.ny, offset]

    def window(self, raw: RawFrame) -> Window:
        """Window with the pixels of a frame, decoded when asked for."""
        return Window(self.geometry, RawPixels(self, raw))


class Layout:
    """Places of all windows, and the same as tables for the kernel that decodes them all."""

    def __init__(self, setup: ReadOut) -> None:
        # windows of one shape lie together in the array of all pixels: numpy cuts a stack more quickly than single windows
        shapes = list(dict.fromkeys((w.geometry.ny, w.geometry.nx) for w in setup.windows))
        ordered = sorted(setup.windows, key=lambda w: shapes.index((w.geometry.ny, w.geometry.nx)))
        pairs, self._npixels = [], 0
        for window in ordered:
            pairs.append((window, _Place(window, setup, self._npixels)))
            self._npixels += window.geometry.nx * window.geometry.ny
        self._stacks = [(shape, sum(p.shape == shape for _, p in pairs)) for shape in shapes]
        turn = {id(window): i for i, window in enumerate(ordered)}  # comparing windows would take longer than all the rest
        given = {id(window): i for i, window in enumerate(setup.windows)}
        pairs.sort(key=lambda pair: given[id(pair[0])])
        self._ccds = [{w.label: p for w, p in pairs if w.ccd == ccd} for ccd in CCDS]
        self._turns = [[turn[id(w)] for w, _ in pairs if w.ccd == ccd] for ccd in CCDS]
        self._grouped = setup.nsamp != 4
        table = [[p.row for w, p in pairs if w.group == i] for i in range(len(setup.sets))]
        ends = np.cumsum([0, *map(len, table)])
        self._table = np.array([row for part in table for row in part], np.int64)
        self._sets = np.array([[s.base, s.nx, s.ny, ends[i], ends[i + 1]] for i, s in enumerate(setup.sets)], np.int64)

    def lazy(self, raw: RawFrame) -> list[Mapping[str, Window]]:
        """Windows of each CCD, decoded when asked for."""
        return [RawWindows(places, raw) for places in self._ccds]

    def decoded(self, raw: RawFrame) -> list[Mapping[str, Window]]:
        """Windows of each CCD, all decoded in one pass."""
        from roque.spool._decode import decode_all  # noqa: PLC0415 - see above

        out = np.empty(self._npixels, np.float32)
        decode_all(raw.checked(), self._sets, self._table, self._grouped, out)
        views: list[NDArray[np.float32]] = []
        start = 0
        for (ny, nx), count in self._stacks:
            views.extend(out[start : start + count * ny * nx].reshape(count, ny, nx))
            start += count * ny * nx
        return [
            {label: Window(place.geometry, views[turn]) for (label, place), turn in zip(places.items(), turns, strict=True)}
            for places, turns in zip(self._ccds, self._turns, strict=True)
        ]
