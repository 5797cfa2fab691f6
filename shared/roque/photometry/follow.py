"""Following the stars of one CCD through successive frames, and rows of measurements from what was followed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from roque.frames import CCD
from roque.photometry.kernels.blend import BlendMemory, BlendSettings
from roque.photometry.kernels.ccd import COUNTS_COLUMN, Rows, make_rows, measure_ccd
from roque.photometry.kernels.compiled import entry
from roque.photometry.kernels.extraction import ExtractionMemory, ExtractionSettings
from roque.photometry.kernels.followed import (
    ALONE,
    ASKING,
    MFWHM,
    NANSWER,
    START_BETA,
    START_FWHM,
    Stars,
    TrackMemory,
    TrackSettings,
)
from roque.photometry.kernels.profiles import MOFFAT
from roque.photometry.kernels.psf import measure_psf
from roque.photometry.kernels.stops import AT_NONE, AT_SHAPES, AT_STARTS, NEEDS_START, NEW_SHAPE
from roque.photometry.measurements import RADIUS, Measurements, RadiusRows, empty
from roque.photometry.notes import Notes
from roque.photometry.pixels import PixelTable
from roque.photometry.recovery import Recovery
from roque.photometry.state import CcdState

__all__ = ["Follower", "Setup", "Start", "collect", "collect_radii"]

Start = tuple[float, float]
"""FWHM and beta that fits start from."""

_AGAIN = 64  # frames after which the pattern of the stars is looked at again, if it could not be had
_FITTED_FIELDS = ("x", "y", "xe", "ye", "fwhm", "fwhme", "beta", "betae")


@dataclass(frozen=True, slots=True, eq=False)
class Setup:
    """What stays the same for a CCD while a run is reduced."""

    name: str
    tracking: TrackSettings
    extraction: ExtractionSettings
    stars: Stars
    pixels: PixelTable
    windows: tuple[str, ...]
    """Labels of the windows in the table of `pixels`, in its order."""
    memory: tuple[TrackMemory, ExtractionMemory]
    blend: tuple[BlendSettings, BlendMemory] | None = None
    """For PSF photometry."""
    recovery: Recovery | None = None
    """Where doubts are settled by the pattern of all stars."""


class Follower:
    """The stars of one CCD, followed from a state on.

    Parameters
    ----------
    setup : Setup
        What stays the same.
    state : CcdState
        Where the frame before left off; it is not changed.
    capacity : int
        Frames that can be measured between calls of `clear`.
    shared : bool
        Whether CCDs share the start values of fits.
    """

    def __init__(self, setup: Setup, state: CcdState, capacity: int, *, shared: bool = False) -> None:
        self.setup = setup
        self.labels = state.apertures
        self.room = len(setup.pixels.tables)
        """Frames that can be given at a time."""
        rows = {label: row for row, label in enumerate(setup.windows)}
        self._windows = np.array([-1 if label is None else rows[label] for label in state.windows], np.int64)
        self._pattern, self._answer = state.pattern, np.zeros(NANSWER)
        self._values, self._shape = state.values.copy(), state.shape.copy()
        self._shared = shared
        self._all_rows = make_rows(capacity, len(state.apertures), len(setup.extraction.further))
        tracking = setup.tracking
        # which of FWHM and beta fits find
        self._fitted = tracking.moving and not tracking.fit.fwhm_fixed, tracking.moving and tracking.fit.method == MOFFAT
        self.clear()
        # numba would find out with each call which arrays these are, which takes as long as to measure a star
        self._measure = entry(measure_ccd if setup.blend is None else measure_psf, *self._arguments(), 0, 0, 0, 0, 0, 0)

    def clear(self) -> None:
        """Forget the rows, but not the state."""
        self.blocks: list[int] = []
        self._times: list[tuple[int, int, float, bool, float]] = []
        self._given: list[CCD] = []
        self._done = 0  # of those given
        self._noted = 0  # rows whose means are known

    def give(self, number: int, ccd: CCD, block: int) -> None:
        """Take a frame, which `go_on` measures; there is room for some.

        Parameters
        ----------
        number : int
            Number of the frame.
        ccd : CCD
            The CCD in it.
        block : int
            Where its rows stand among those of all CCDs.

        Raises
        ------
        BadInput
            The pixels cannot be had.
        """
        self.setup.pixels.point(ccd, len(self._given))
        self._given.append(ccd)
        self.blocks.append(block)
        self._times.append((number, ccd.mjd_int, ccd.mjd_frac, ccd.time_ok, ccd.exposure))

    def go_on(self, start: Start | None = None) -> int | None:
        """Follow the stars into the frames that were given, and measure them.

        Parameters
        ----------
        start : (float, float), optional
            FWHM and beta that fits in the next frame start from, where it stopped before because they are shared.

        Returns
        -------
        int or None
            Block of the frame whose fits begin with shared start values; None if all frames are measured.

        Raises
        ------
        BadInput
            The pixels cannot be had.
        """
        row, ready = len(self.blocks) - len(self._given), -1
        if start is not None:
            self.start, ready = start, self._done
        while self._done < len(self._given):
            what, stop = self._what_stops()
            self._done, why = self._measure(*self._arguments(), row, self._done, self._end(row, stop), ready, what, stop)
            if why == NEEDS_START:
                return self.blocks[row + self._done]
            ready = self._done if why > 0 else -1
            if why > 0:
                self._settle(why)
            elif stop == AT_SHAPES and self._shape[MFWHM] > 0.0:
                self._learn(row + self._done - 1, why == NEW_SHAPE)
        self._given.clear()
        self._done = 0
        return None

    def _what_stops(self) -> tuple[int, int]:
        """What is known of frames beforehand, and when to stop, see `roque.photometry.kernels.stops`."""
        if self.setup.recovery is None:
            return ALONE, AT_STARTS if self._shared else AT_NONE
        return (ALONE, AT_SHAPES) if self._pattern is None else (ASKING, AT_NONE)

    def _end(self, row: int, stop: int) -> int:
        """End of the frames to measure: all, or up to one after which to look for the pattern of the stars again."""
        if stop == AT_SHAPES:
            for frame in range(self._done, len(self._given)):
                if self._times[row + frame][0] % _AGAIN == 0:
                    return frame + 1
        return len(self._given)

    def _settle(self, doubt: int) -> None:
        """Ask the pattern of the stars where they are in the next frame, in which it is in doubt which star is which."""
        recovery, pattern = self.setup.recovery, self._pattern
        if recovery is not None and pattern is not None:
            recovery.settle(doubt, self._given[self._done], pattern, self._values, self._shape, self._answer)

    def _learn(self, row: int, fresh: bool) -> None:
        """Keep the pattern of the stars after a frame in which they have a shape again, and now and then where it failed."""
        if self.setup.recovery is not None and (fresh or self._times[row][0] % _AGAIN == 0):
            self._pattern = self.setup.recovery.learn(self._given[self._done - 1], self._values, self._shape)

    def _arguments(self) -> tuple[Any, ...]:
        s = self.setup
        blend, blend_memory = ((), ()) if s.blend is None else ((s.blend[0],), (s.blend[1],))
        return (
            s.tracking, s.extraction, *blend, s.stars, s.pixels.tables, s.pixels.scales, self._windows, self._answer,
            self._values, self._shape, *s.memory, *blend_memory, self._all_rows,
        )  # fmt: skip

    @property
    def start(self) -> Start:
        """FWHM and beta that fits start from: the means of the last frame in which they were measured."""
        return float(self._shape[START_FWHM]), float(self._shape[START_BETA])

    @start.setter
    def start(self, values: Start) -> None:
        self._shape[START_FWHM], self._shape[START_BETA] = values

    def new_means(self) -> list[tuple[int, Start]]:
        """What the frames measured since the last call make of `start`, by block: 0 for what stays as it was."""
        end = len(self.blocks) - len(self._given) + self._done
        first, self._noted = self._noted, end
        means = self._all_rows.floats[first:end, 0, :2].tolist()
        fits_fwhm, fits_beta = self._fitted
        fwhm, beta = self.start
        return [
            (block, (fwhm if not fits_fwhm else max(0.0, mfwhm), beta if not fits_beta else max(0.0, mbeta)))
            for block, (mfwhm, mbeta) in zip(self.blocks[first:end], means, strict=True)
        ]

    @property
    def state(self) -> CcdState:
        """Where the last frame left off."""
        windows = tuple(None if row < 0 else self.setup.windows[row] for row in self._windows.tolist())
        return CcdState(self.labels, windows, self._values.copy(), self._shape.copy(), self._pattern)

    @property
    def rows(self) -> Rows:
        """What was measured since the last `clear`."""
        n = len(self.blocks)
        return Rows._make(array[:n] for array in self._all_rows)

    def fill(self, table: Measurements) -> None:
        """Fill a table of shape (frames, apertures) with what was measured since the last `clear`."""
        rows = self.rows
        table["ccd"] = self.setup.name
        table["aperture"] = self.labels
        names = ("frame", "mjd_int", "mjd_frac", "time_ok", "exposure")
        for name, times in zip(names, zip(*self._times, strict=True), strict=True):
            table[name] = np.array(times)[:, np.newaxis]
        for column, name in enumerate(("mfwhm", "mbeta", *_FITTED_FIELDS)):
            table[name] = rows.floats[..., column]
        for column, name in enumerate(("counts", "countse", "sky", "skye")):
            table[name] = rows.floats[..., COUNTS_COLUMN + column]
        for column, name in enumerate(("nsky", "nrej", "peak", "flag")):
            table[name] = rows.integers[..., column]
        # -1 stands for 'none measured' in the state, and for 'held fixed' in errors: a width held fixed has none
        for name in ("mfwhm", "mbeta", "fwhme"):
            values = table[name]
            values[values == -1.0] = np.nan

    def radii(self) -> RadiusRows:
        """Give a table of what further radii gave since the last `clear`, of shape (apertures, frames, radii)."""
        rows = self.rows
        table = np.zeros(rows.radius.shape, RADIUS)
        table["ccd"] = self.setup.name
        table["aperture"] = np.array(self.labels)[:, np.newaxis]  # frames and radii alike
        table["frame"] = np.array([time[0] for time in self._times])[:, np.newaxis, np.newaxis]
        table["factor"] = self.setup.extraction.further
        counts, errors = rows.radius_floats[..., 0], rows.radius_floats[..., 1]
        for name, values in (("radius", rows.radius), ("counts", counts), ("countse", errors)):
            table[name] = np.where(np.isnan(values), np.nan, values)  # one pattern of bits
        for column, name in ((2, "peak"), (3, "flag")):
            table[name] = rows.radius_integers[..., column]
        return table.swapaxes(0, 1)


def collect_radii(followers: Iterable[Follower]) -> list[RadiusRows]:
    """Rows of what was measured in further radii, in the order of CCD, aperture, frame and radius; `collect` clears them."""
    busy = (follower for follower in followers if follower.blocks and len(follower.setup.extraction.further))
    return [follower.radii().ravel() for follower in busy]


def collect(followers: Iterable[Follower], monitor: Mapping[str, Collection[str]], notes: Notes) -> Measurements:
    """Make rows of what was measured, frame after frame, and clear the followers.

    Parameters
    ----------
    followers : iterable of Follower
        One per CCD; their blocks together are numbered from 0 without gaps.
    monitor : mapping of str to collection of str
        Names of flags to be told of, by label of aperture.
    notes : Notes
        Gets what there is to tell.
    """
    busy = [follower for follower in followers if follower.blocks]
    sizes = np.zeros(sum(len(follower.blocks) for follower in busy), np.int64)
    for follower in busy:
        sizes[follower.blocks] = len(follower.labels)
    ends = np.cumsum(sizes)
    rows = empty(int(sizes.sum()))
    for follower in busy:
        table = empty(len(follower.blocks) * len(follower.labels)).reshape(len(follower.blocks), -1)
        follower.fill(table)
        starts = ends[follower.blocks] - len(follower.labels)
        rows[starts[:, np.newaxis] + np.arange(len(follower.labels))] = table
        name, frames, made = follower.setup.name, table["frame"][:, 0], follower.rows
        notes.add_outcomes(name, follower.labels, follower.setup.stars.reference, frames, made.outcomes, made.details)
        notes.add_flags(name, follower.labels, monitor, frames, made.integers[..., 3])
        notes.add_lost(name, follower.labels, frames, made.lost)
        follower.clear()
    for name in rows.dtype.names or ():
        if rows.dtype[name].kind == "f":
            column = rows[name]
            column[np.isnan(column)] = np.nan  # one pattern of bits, whatever arithmetic it came from
    return rows
