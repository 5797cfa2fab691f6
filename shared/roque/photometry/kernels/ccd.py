"""One CCD in successive frames: apertures moved, then measured, in one call of compiled code."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from roque.photometry.flags import Flag
from roque.photometry.kernels.compiled import inner, kernel
from roque.photometry.kernels.doubts import CERTAIN, tracking_flags
from roque.photometry.kernels.extraction import ExtractionMemory, ExtractionSettings, extract, resize
from roque.photometry.kernels.followed import (
    BETA_A,
    MBETA,
    MFWHM,
    RSKY2,
    RTARG,
    XE,
    Stars,
    TrackMemory,
    TrackSettings,
    X,
    Y,
)
from roque.photometry.kernels.radii import forgo, sweep
from roque.photometry.kernels.shape import mean_shape
from roque.photometry.kernels.stops import NEEDS_START, NEW_SHAPE, has_new_shape, let_alone, needs_start
from roque.photometry.kernels.tracking import move_apertures
from roque.photometry.kernels.windows import calibrate_box, cut_box

__all__ = ["COUNTS_COLUMN", "NFLOATS", "NINTEGERS", "Rows", "make_rows", "measure_ccd"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

COUNTS_COLUMN = 10
"""First of counts, countse, sky, skye; before them stand mfwhm, mbeta, x, y, xe, ye, fwhm, fwhme, beta, betae."""
NFLOATS = 14
NINTEGERS = 4

_NO_FWHM, _NO_EXTRACTION = int(Flag.NO_FWHM), int(Flag.NO_EXTRACTION)


class Rows(NamedTuple):
    """What comes out for the apertures of a CCD in some frames: arrays of shape (frames, apertures, ...)."""

    floats: Floats
    integers: Integers
    outcomes: Integers
    details: Floats
    lost: Floats
    """Share of the light of a star, by its profile, on pixels left out of its aperture."""
    radius: Floats
    """Further radii, unbinned pixels; NaN where nothing was measured: shape (frames, apertures, radii)."""
    radius_floats: Floats
    """Of each of them counts, countse, sky, skye, and the share of light lost."""
    radius_integers: Integers


def make_rows(frames: int, apertures: int, radii: int = 0) -> Rows:
    """Allocate rows for a number of frames, with a number of further radii."""
    return Rows(
        np.zeros((frames, apertures, NFLOATS)),
        np.zeros((frames, apertures, NINTEGERS), np.int64),
        np.zeros((frames, apertures), np.int64),
        np.zeros((frames, apertures)),
        np.zeros((frames, apertures)),
        np.zeros((frames, apertures, radii)),
        np.zeros((frames, apertures, radii, 5)),
        np.zeros((frames, apertures, radii, NINTEGERS), np.int64),
    )


@kernel
def measure_ccd(
    tracking: TrackSettings,
    extraction: ExtractionSettings,
    stars: Stars,
    tables: Integers,
    scales: Floats,
    windows: Integers,
    answer: Floats,
    values: Floats,
    ccd: Floats,
    track_memory: TrackMemory,
    memory: ExtractionMemory,
    rows: Rows,
    row: int,
    first: int,
    last: int,
    ready: int,
    what: int,
    stop: int,
) -> tuple[int, int]:
    """Move and measure all apertures of a CCD, in one frame after another.

    Parameters
    ----------
    tracking, extraction : TrackSettings, ExtractionSettings
        How.
    stars : Stars
        What the apertures are.
    tables : array of int64, shape (frames, windows, columns)
        Windows and their pixels in each frame.
    scales : array of float64, shape (frames,)
        Factors of the dark.
    windows : array of int64
        Window of each aperture in the tables, -1 for none.
    answer : array of float64
        What is known of a frame beforehand, see `roque.photometry.kernels.followed`.
    values, ccd : array of float64
        What is carried from frame to frame, see `roque.photometry.kernels.followed`.
    track_memory, memory : TrackMemory, ExtractionMemory
    rows : Rows
        The results; those of the first frame of `tables` go into row `row`.
    first, last : int
        Frames to measure: from `first` to before `last`.
    ready : int
        The frame for which `answer` and the start values of fits are set, -1 for none.
    what : int
        ALONE, or ASKING where doubts can be settled.
    stop : int
        When to stop, see `roque.photometry.kernels.stops`.

    Returns
    -------
    (int, int)
        The next frame to measure, and 0, or why it stopped before it: NEEDS_START, NEW_SHAPE or a doubt.
    """
    for frame in range(first, last):
        if frame != ready:
            if needs_start(stop, tracking, stars, values, ccd):
                return frame, NEEDS_START
            let_alone(what, answer)
        before = ccd[MFWHM]
        doubt = _measure(
            tracking, extraction, stars, tables[frame], scales[frame], windows, answer, values, ccd, track_memory, memory,
            rows, row + frame,
        )  # fmt: skip
        if doubt != CERTAIN:
            return frame, doubt
        if has_new_shape(stop, before, ccd):
            return frame + 1, NEW_SHAPE
    return last, 0


@inner
def _measure(
    tracking: TrackSettings,
    extraction: ExtractionSettings,
    stars: Stars,
    table: Integers,
    scale: float,
    windows: Integers,
    answer: Floats,
    values: Floats,
    ccd: Floats,
    track_memory: TrackMemory,
    memory: ExtractionMemory,
    rows: Rows,
    t: int,
) -> int:
    """Measure one frame; row t of `rows` gets the results.

    Returns CERTAIN, or a doubt where doubts are asked for: nothing has been moved or measured then.
    """
    doubt = move_apertures(
        tracking, stars, table, windows, scale, answer, values, ccd, track_memory, rows.outcomes[t], rows.details[t]
    )
    if doubt != CERTAIN:
        return doubt
    box, patch = track_memory.box, track_memory.patch
    fwhm, beta = mean_shape(tracking.strict, values, ccd)
    for k in range(values.shape[0]):
        memory.result[:] = np.nan
        memory.result[4] = 0.0
        memory.numbers[:] = 0
        x, y = values[k, X], values[k, Y]
        radii = values[k, RTARG : RSKY2 + 1]
        w = windows[k]
        radius, floats, integers = rows.radius[t, k], rows.radius_floats[t, k], rows.radius_integers[t, k]
        if not resize(extraction, ccd[MFWHM], radii):
            memory.numbers[3] = _NO_FWHM
            forgo(_NO_FWHM, radius, floats, integers)
        elif w < 0 or not cut_box(table, w, x, y, radii[2] + table[w, 2], radii[2] + table[w, 3], box):
            memory.numbers[3] = _NO_EXTRACTION
            forgo(_NO_EXTRACTION, radius, floats, integers)
        else:
            calibrate_box(table, w, box, scale, patch)
            xbin, ybin, nx, ny = table[w, 2], table[w, 3], box[2], box[3]
            xfirst = table[w, 0] + xbin * (box[0] + 0.5) - 0.5
            yfirst = table[w, 1] + ybin * (box[1] + 0.5) - 0.5
            mask = stars.mask[stars.mask_first[k] : stars.mask_first[k + 1]]
            extra = stars.extra[stars.extra_first[k] : stars.extra_first[k + 1]]
            level, rms, skye, nsky = extract(
                extraction, patch, xfirst, yfirst, xbin, ybin, nx, ny, x, y, radii, mask, extra, fwhm, beta, memory
            )
            if len(radius) > 0:
                sweep(
                    extraction, patch, xfirst, yfirst, xbin, ybin, nx, ny, x, y, radii, mask, extra, ccd[MFWHM], fwhm, beta,
                    level, rms, skye, nsky, memory, radius, floats, integers,
                )  # fmt: skip
        followed = tracking_flags(tracking, ccd, answer, rows.outcomes[t, k])
        memory.numbers[3] |= followed
        for i in range(len(radius)):
            integers[i, 3] |= followed
        out = rows.floats[t, k]
        out[0], out[1], out[2], out[3] = ccd[MFWHM], ccd[MBETA], x, y
        for i in range(XE, BETA_A + 2):
            out[4 + i - XE] = values[k, i]
        for i in range(4):
            out[COUNTS_COLUMN + i] = memory.result[i]
            rows.integers[t, k, i] = memory.numbers[i]
        rows.lost[t, k] = memory.result[4]
    return CERTAIN
