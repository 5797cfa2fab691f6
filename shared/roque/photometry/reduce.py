"""The reduction of a run: frames in, measurements out, in ranges of any length."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.calibration.apply import Calibrator, Masters
from roque.calibration.defects import defect_masks
from roque.errors import BadInput
from roque.frames import CCD, Frame, Geometry, Window
from roque.frames.trim import AMPLIFIERS, trim
from roque.photometry.apertures import Aperture
from roque.photometry.follow import Follower, Setup, Start, collect, collect_radii
from roque.photometry.kernels.blend import make_blend_memory
from roque.photometry.kernels.extraction import ExtractionMemory
from roque.photometry.kernels.followed import TrackMemory
from roque.photometry.measurements import Measurements, RadiusRows
from roque.photometry.notes import Note, Notes
from roque.photometry.pixels import Marking, PixelTable
from roque.photometry.prepare import blend_settings, extraction_settings, make_memory, make_stars, track_settings
from roque.photometry.recipe import Recipe
from roque.photometry.recovery import Recovery
from roque.photometry.side_by_side import PORTION, OneByOne, SideBySide
from roque.photometry.state import CcdState, State, first_state

__all__ = ["Reducer"]

_CHUNK = 512  # frames whose rows are collected together
_TOGETHER = 2 << 20  # bytes of raw pixels in frames that are measured together: they stay in the processor's cache
_LEAST_BOX, _ADVISED_BOX = 3, 5  # of the half width of fits, in binnings


class Reducer:
    """Measures the stars of a run.

    Parameters
    ----------
    recipe : Recipe
        How.
    apertures : Apertures
        Where, on the first frame of the run.
    masters : Masters
        Calibration frames; what the recipe wants has been chosen before, what it names has been read.
    ccds : collection of str, optional
        CCDs to reduce, of those that have apertures and an extraction line; all of them by default. CCDs don't
        depend on each other: reduced apart they give the same rows.
    side_by_side : bool
        Whether to measure each CCD in a thread of its own, where more than one core may be used. The rows are the same.

    Raises
    ------
    BadInput
        The recipe names a frame of read noise or gain, or bad pixels, which the masters lack.

    Notes
    -----
    All frames must have the windows of the first one given. A reducer is for one thread.
    """

    def __init__(
        self,
        recipe: Recipe,
        apertures: Mapping[str, Mapping[str, Aperture]],
        masters: Masters,
        *,
        ccds: Collection[str] | None = None,
        side_by_side: bool = False,
    ) -> None:
        self._recipe = recipe
        self._apertures = {
            name: dict(members)
            for name, members in apertures.items()
            if members and name in recipe.extraction and (ccds is None or name in ccds)
        }
        self._masters = masters
        for kind, name in recipe.named_files().items():
            if getattr(masters, kind) is None:
                raise BadInput(f"the recipe names {name} for its {kind}, which was not given", file=name, remedy="give it")
        self._calibrator: Calibrator | None = None
        self._defects: dict[tuple[str, str], NDArray[np.uint8]] = {}
        self._geometries: list[Geometry] = []
        self._together = 1  # frames
        self._setups: dict[str, Setup] = {}
        # groups of blended stars need memory by the size of the window, which is not spent for each CCD
        self._side_by_side = side_by_side and len(self._apertures) > 1 and not recipe.psf_photom.use_psf
        self._memory: dict[tuple[np.dtype[Any], str], tuple[TrackMemory, ExtractionMemory]] = {}

    def reduce_range(
        self, frames: Iterable[Frame], state: State | None = None, radii: list[RadiusRows] | None = None
    ) -> tuple[Measurements, State, list[Note]]:
        """Measure some successive frames.

        Parameters
        ----------
        frames : iterable of Frame
            Frames that follow each other; the first of the run, or those after the frames that gave `state`.
        state : State, optional
            What the range before ended with; None for the start of the run.
        radii : list of arrays of dtype `RADIUS`, optional
            What the recipe's further radii gave is added here, a row for each beside each row of the measurements.

        Returns
        -------
        Measurements
            A row for each frame, CCD (in the order of the data) and aperture (in that of its file). CCDs that were not read
            out in a frame have none.
        State
            For the next range. However a run is cut into ranges, the measurements are the same to the bit.
        list of Note
            What a person should know.

        Raises
        ------
        BadInput
            A frame cannot be read, does not have the windows of the first, or masters don't fit.
        """
        notes = Notes()
        before = dict(state.ccds) if state is not None else {}
        followers: dict[str, Follower] = {}
        tables, block, since = [], 0, 0
        with self._measuring(state.start if state is not None else None) as measuring:
            for whole in frames:
                frame = trim(whole, self._recipe.trim.columns, self._recipe.trim.rows)
                if self._calibrator is None:
                    self._calibrator = self._prepare(frame, notes)
                for name, ccd in frame.ccds.items():
                    if name not in self._apertures or not ccd.data_ok or not ccd.windows:
                        continue
                    if name not in followers:
                        followers[name] = self._follow(name, ccd, before.get(name), self._calibrator, notes)
                    measuring.measure(followers[name], frame.number, ccd, block)
                    block += 1
                measuring.end_frame()
                since += 1
                if since == _CHUNK:
                    measuring.settle()
                    if radii is not None:
                        radii += collect_radii(followers.values())
                    tables.append(collect(followers.values(), self._recipe.monitor, notes))
                    block = since = 0
            start = measuring.settle()
        if radii is not None:
            radii += collect_radii(followers.values())
        tables.append(collect(followers.values(), self._recipe.monitor, notes))
        after = before | {name: follower.state for name, follower in followers.items()}
        return np.concatenate(tables), State(after, start), notes.list()

    def _measuring(self, start: Start | None) -> OneByOne | SideBySide:
        if self._side_by_side and len(os.sched_getaffinity(0)) > 1:
            return SideBySide(start, shared=self._recipe.parity)
        return OneByOne(start, shared=self._recipe.parity)

    def _prepare(self, first: Frame, notes: Notes) -> Calibrator:
        """Prepare masters for the format of the data."""
        recipe = self._recipe
        self._geometries = [
            w.geometry for name in self._apertures if name in first.ccds for w in first.ccds[name].windows.values()
        ]
        npixels = sum(w.geometry.nx * w.geometry.ny for ccd in first.ccds.values() for w in ccd.windows.values())
        self._together = max(1, min(PORTION, _TOGETHER // (2 * npixels + 1)))
        self._check_box(first, notes)
        self._check_trim(first, notes)
        c, mask = recipe.calibration, recipe.focal_mask
        calibrator = Calibrator(
            self._masters,
            first,
            readout=_level(recipe, first, "readout"),
            gain=_level(recipe, first, "gain"),
            crop=c.crop,
            demask=mask.demask,
            dthresh=mask.dthresh,
            nhalf=c.nhalf,
            fringe_limits=None if recipe.parity else (c.rmin, c.rmax),
            overscan=recipe.pixels.overscan,
        )
        if self._masters.defects is not None:
            moderate = recipe.pixels.severity == "moderate"
            self._defects = defect_masks(self._masters.defects, first, moderate=moderate, notes=calibrator.notes)
        notes.extend(Note(kind="calibration", text=text) for text in calibrator.notes)
        for name in self._apertures:
            if recipe.detectors[name].saturation is None:
                notes.add(Note(kind="levels", ccd=name, text="no non-linear and saturation level: neither is flagged"))
        return calibrator

    def _check_box(self, first: Frame, notes: Notes) -> None:
        half = self._recipe.apertures.fit_half_width
        binning = max(
            (max(w.geometry.xbin, w.geometry.ybin) for c in first.ccds.values() for w in c.windows.values()), default=1
        )
        if half < _LEAST_BOX * binning:
            raise BadInput(
                f"boxes of half width {half:g} are too small to fit stars binned by {binning}",
                place="apertures.fit_half_width",
                remedy=f"make it at least {_LEAST_BOX * binning}, better {_ADVISED_BOX * binning}",
            )
        if half < _ADVISED_BOX * binning:
            notes.add(Note(kind="box", text=f"fit_half_width {half:g} is small for a binning of {binning}"))

    def _check_trim(self, first: Frame, notes: Notes) -> None:
        if self._recipe.trim.columns or self._recipe.trim.rows:
            for name in (name for name in self._apertures if name in first.ccds):
                unknown = [label for label, w in first.ccds[name].windows.items() if w.outamp not in AMPLIFIERS]
                if unknown:
                    text = f"the amplifier of windows {', '.join(unknown)} is not known: they are not trimmed"
                    notes.add(Note(kind="trim", ccd=name, text=text))

    def _follow(self, name: str, ccd: CCD, before: CcdState | None, calibrator: Calibrator, notes: Notes) -> Follower:
        """Follow the stars of a CCD from a state, or from where the apertures were placed."""
        apertures = self._apertures[name]
        if before is None:
            windows = [_window_of(aperture, ccd) for aperture in apertures.values()]
            for label, window in zip(apertures, windows, strict=True):
                if window is None:
                    text = "the aperture lies in no window and cannot be measured"
                    notes.add(Note(kind="no_window", ccd=name, aperture=label, text=text))
            before = first_state(apertures, windows, self._recipe)
        if before.apertures != tuple(apertures):
            remedy = "reduce the run again from its first frame"
            raise BadInput("the saved state is of other apertures", place=f"CCD {name}", remedy=remedy)
        setup = self._setups.get(name)
        if setup is None:
            setup = self._setups[name] = self._set_up(name, ccd, before.windows, calibrator)
        return Follower(setup, before, _CHUNK, shared=self._recipe.parity)

    def _set_up(self, name: str, ccd: CCD, windows: tuple[str | None, ...], calibrator: Calibrator) -> Setup:
        tracking, stars = track_settings(self._recipe), make_stars(self._apertures[name])
        used = [label for label in ccd.windows if tracking.recover or label in windows]
        pixels = PixelTable(name, ccd, used, calibrator, self._marking(name, used), self._together)
        memory = pixels.dtype, name if self._side_by_side else ""
        if memory not in self._memory:
            most = max(map(len, self._apertures.values()))
            self._memory[memory] = make_memory(self._recipe, self._geometries, most, pixels.dtype)
        blend = blend_settings(self._recipe)
        noffsets = self._recipe.apertures.fit_ndiv * max((max(g.xbin, g.ybin) for g in self._geometries), default=1)
        return Setup(
            name=name,
            tracking=tracking,
            extraction=extraction_settings(self._recipe, name),
            stars=stars,
            pixels=pixels,
            windows=tuple(used),
            memory=self._memory[memory],
            blend=None if blend is None else (blend, make_blend_memory(len(self._apertures[name]), max(1, noffsets))),
            recovery=Recovery(name, calibrator, stars.reference, tracking.search_half_width)
            if tracking.recover and tracking.moving and stars.reference.any()
            else None,
        )

    def _marking(self, name: str, labels: list[str]) -> Marking | None:
        """What makes the pixels of a CCD bad; None where nothing does."""
        pixels = self._recipe.pixels
        if not (self._defects or pixels.saturated or pixels.cosmic_rays):
            return None
        defects = {label: self._defects[name, label] for label in labels if (name, label) in self._defects}
        return Marking(defects, self._recipe.detectors[name].saturation if pixels.saturated else None)


def _window_of(aperture: Aperture, ccd: CCD) -> str | None:
    """First window of the CCD, in the order of the data, in which an aperture lies."""
    inside = (label for label, window in ccd.windows.items() if window.geometry.distance(aperture.x, aperture.y) > 0.0)
    return next(inside, None)


def _level(recipe: Recipe, first: Frame, what: str) -> float | Frame:
    """Read noise or gain: a number if it is the same for all CCDs, otherwise a frame of numbers."""
    levels = {name: float(getattr(recipe.detectors[name], what)) for name in recipe.detectors}
    if len(set(levels.values())) == 1:
        return next(iter(levels.values()))

    def everywhere(name: str, _label: str, window: Window) -> NDArray[np.float32]:
        shape = window.geometry.ny, window.geometry.nx
        return np.broadcast_to(np.float32(levels.get(name, 1.0)), shape)

    return first.map(everywhere)
