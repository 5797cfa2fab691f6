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
from roque.photometry.kernels.doubts import CERTAIN
from roque.photometry.kernels.extraction import ExtractionMemory, ExtractionSettings
from roque.photometry.kernels.followed import (
    ALONE,
    ASKING,
    BETA_ERROR,
    FWHM_ERROR,
    MBETA,
    MFWHM,
    NANSWER,
    START_BETA,
    START_FWHM,
    SURE,
    Stars,
    TrackMemory,
    TrackSettings,
)
from roque.photometry.kernels.profiles import MOFFAT
from roque.photometry.kernels.psf import measure_psf
from roque.photometry.measurements import RADIUS, Measurements, RadiusRows, empty
from roque.photometry.notes import Notes
from roque.photometry.pixels import PixelTable
from roque.photometry.recovery import Recovery
from roque.photometry.state import CcdState

__all__ = ["Follower", "Setup", "collect", "collect_radii"]

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
    """

    def __init__(self, setup: Setup, state: CcdState, capacity: int) -> None:
        self.setup = setup
        self.labels = state.apertures
        rows = {label: row for row, label in enumerate(setup.windows)}
        self._windows = np.array([-1 if label is None else rows[label] for label in state.windows], np.int64)
        self._pattern, self._answer = state.pattern, np.zeros(NANSWER)
        self._answer[SURE] = 1.0
        self._values, self._shape = state.values.copy(), state.shape.copy()
        self._all_rows = make_rows(capacity, len(state.apertures), len(setup.extraction.further))
        tracking, stars = setup.tracking, setup.stars
        self._has_references = bool(stars.reference.any())
        self._single = np.flatnonzero(~stars.reference & (stars.link < 0))
        # what fits find of the shape of stars: columns of its mean, its start value and its error
        self._fitted = []
        if tracking.moving and not tracking.fit.fwhm_fixed:
            self._fitted.append((MFWHM, START_FWHM, FWHM_ERROR))
        if tracking.moving and tracking.fit.method == MOFFAT:
            self._fitted.append((MBETA, START_BETA, BETA_ERROR))
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
        arguments = self._arguments(self.setup.pixels.point(ccd), len(self.blocks))
        if self.setup.recovery is None:
            self._measure(*arguments)
        else:
            self._measure_surely(number, ccd, self.setup.recovery, arguments)
        self.blocks.append(block)
        self._times.append((number, ccd.mjd_int, ccd.mjd_frac, ccd.time_ok, ccd.exposure))

    def _measure_surely(self, number: int, ccd: CCD, recovery: Recovery, arguments: tuple[Any, ...]) -> None:
        """Measure a frame; where it is in doubt which star is which, ask the pattern of the stars and measure again."""
        fresh = not self._shape[MFWHM] > 0.0
        self._answer[:] = ALONE if self._pattern is None else ASKING, 0.0, 0.0, 0.0, 1.0, 0.0
        doubt = self._measure(*arguments)
        if self._pattern is not None:
            if doubt != CERTAIN:
                recovery.settle(doubt, ccd, self._pattern, self._values, self._shape, self._answer)
                self._measure(*arguments)
        elif self._shape[MFWHM] > 0.0 and (fresh or number % _AGAIN == 0):
            self._pattern = recovery.learn(ccd, self._values, self._shape)

    def _arguments(self, scale: float, row: int) -> tuple[Any, ...]:
        s = self.setup
        blend, blend_memory = ((), ()) if s.blend is None else ((s.blend[0],), (s.blend[1],))
        return (
            s.tracking, s.extraction, *blend, s.stars, s.pixels.table, self._windows, scale, self._answer,
            self._values, self._shape, *s.memory, *blend_memory, self._all_rows, row,
        )  # fmt: skip

    @property
    def start(self) -> tuple[float, float]:
        """FWHM and beta that fits start from: the means of the last frame in which they were measured."""
        return float(self._shape[START_FWHM]), float(self._shape[START_BETA])

    @start.setter
    def start(self, values: tuple[float, float]) -> None:
        self._shape[START_FWHM], self._shape[START_BETA] = values

    @property
    def needs_start(self) -> bool:
        """Whether a fit in the next frame begins with `start`: the references or a star have no shape from the last one."""
        shape, values = self._shape, self._values
        return any(
            (self._has_references and not shape[mean] > 0.0) or not (values[self._single, error] > 0.0).all()
            for mean, _, error in self._fitted
        )

    @property
    def means(self) -> tuple[float, float]:
        """What the last frame makes of `start`: FWHM and beta, 0 for one that was not measured and stays as it was."""
        unknown = [start for mean, start, _ in self._fitted if not self._shape[mean] > 0.0]
        fwhm, beta = self.start
        return 0.0 if START_FWHM in unknown else fwhm, 0.0 if START_BETA in unknown else beta

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
