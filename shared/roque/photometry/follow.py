"""Following the stars of one CCD through successive frames, and rows of measurements from what was followed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.frames import CCD
from roque.photometry.kernels.blend import BlendMemory, BlendSettings
from roque.photometry.kernels.ccd import COUNTS_COLUMN, Rows, make_rows, measure_ccd
from roque.photometry.kernels.compiled import entry
from roque.photometry.kernels.extraction import ExtractionMemory, ExtractionSettings
from roque.photometry.kernels.psf import measure_psf
from roque.photometry.kernels.tracking import START_BETA, START_FWHM, Stars, TrackMemory, TrackSettings
from roque.photometry.measurements import Measurements, empty
from roque.photometry.notes import Notes
from roque.photometry.pixels import PixelTable
from roque.photometry.state import CcdState

__all__ = ["Follower", "Setup", "collect"]

_FITTED = ("x", "y", "xe", "ye", "fwhm", "fwhme", "beta", "betae")


@dataclass(frozen=True, slots=True, eq=False)
class Setup:
    """What stays the same for a CCD while a run is reduced."""

    name: str
    tracking: TrackSettings
    extraction: ExtractionSettings
    stars: Stars
    pixels: PixelTable
    windows: NDArray[np.int64]
    """Row of each aperture's window in the table of `pixels`, -1 for none."""
    memory: tuple[TrackMemory, ExtractionMemory]
    blend: tuple[BlendSettings, BlendMemory] | None = None
    """For PSF photometry."""


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
    """

    def __init__(self, setup: Setup, state: CcdState, capacity: int) -> None:
        self.setup = setup
        self.labels = state.apertures
        self._windows = state.windows
        self._values, self._shape = state.values.copy(), state.shape.copy()
        self._all_rows = make_rows(capacity, len(state.apertures))
        self.clear()
        # numba would find out with each call which arrays these are, which takes as long as to measure a star
        self._measure = entry(measure_ccd if setup.blend is None else measure_psf, *self._arguments(0.0, 0))

    def clear(self) -> None:
        """Forget the rows, but not the state."""
        self.blocks: list[int] = []
        self._times: list[tuple[int, int, float, bool, float]] = []

    def measure(self, number: int, ccd: CCD, block: int) -> None:
        """Follow the stars into a frame and measure them.

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
        self._measure(*self._arguments(self.setup.pixels.point(ccd), len(self.blocks)))
        self.blocks.append(block)
        self._times.append((number, ccd.mjd_int, ccd.mjd_frac, ccd.time_ok, ccd.exposure))

    def _arguments(self, scale: float, row: int) -> tuple[Any, ...]:
        s = self.setup
        blend, blend_memory = ((), ()) if s.blend is None else ((s.blend[0],), (s.blend[1],))
        return (
            s.tracking, s.extraction, *blend, s.stars, s.pixels.table, s.windows, scale, self._values, self._shape, *s.memory,
            *blend_memory, self._all_rows, row,
        )  # fmt: skip

    @property
    def start(self) -> tuple[float, float]:
        """FWHM and beta that fits start from: the means of the last frame in which they were measured."""
        return float(self._shape[START_FWHM]), float(self._shape[START_BETA])

    @start.setter
    def start(self, values: tuple[float, float]) -> None:
        self._shape[START_FWHM], self._shape[START_BETA] = values

    @property
    def state(self) -> CcdState:
        """Where the last frame left off."""
        return CcdState(self.labels, self._windows, self._values.copy(), self._shape.copy())

    @property
    def rows(self) -> Rows:
        """What was measured since the last `clear`."""
        n = len(self.blocks)
        rows = self._all_rows
        return Rows(rows.floats[:n], rows.integers[:n], rows.outcomes[:n], rows.details[:n])

    def fill(self, table: Measurements) -> None:
        """Fill a table of shape (frames, apertures) with what was measured since the last `clear`."""
        rows = self.rows
        table["ccd"] = self.setup.name
        table["aperture"] = self.labels
        names = ("frame", "mjd_int", "mjd_frac", "time_ok", "exposure")
        for name, times in zip(names, zip(*self._times, strict=True), strict=True):
            table[name] = np.array(times)[:, np.newaxis]
        for column, name in enumerate(("mfwhm", "mbeta", *_FITTED)):
            table[name] = rows.floats[..., column]
        for column, name in enumerate(("counts", "countse", "sky", "skye")):
            table[name] = rows.floats[..., COUNTS_COLUMN + column]
        for column, name in enumerate(("nsky", "nrej", "peak", "flag")):
            table[name] = rows.integers[..., column]
        # -1 stands for 'none measured' in the state, and for 'held fixed' in errors: a width held fixed has none
        for name in ("mfwhm", "mbeta", "fwhme"):
            values = table[name]
            values[values == -1.0] = np.nan


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
        follower.clear()
    for name in rows.dtype.names or ():
        if rows.dtype[name].kind == "f":
            column = rows[name]
            column[np.isnan(column)] = np.nan  # one pattern of bits, whatever arithmetic it came from
    return rows
