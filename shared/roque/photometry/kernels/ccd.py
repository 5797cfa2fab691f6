"""One CCD of one frame: apertures moved, then measured, in one call of compiled code."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from roque.photometry.flags import Flag
from roque.photometry.kernels.compiled import kernel
from roque.photometry.kernels.extraction import ExtractionMemory, ExtractionSettings, extract, resize
from roque.photometry.kernels.tracking import (
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
    move_apertures,
)
from roque.photometry.kernels.windows import calibrate_box, cut_box

__all__ = ["COUNTS_COLUMN", "NFLOATS", "NINTEGERS", "Rows", "make_rows", "measure_ccd"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

COUNTS_COLUMN = 10
"""First of counts, countse, sky, skye; before them stand mfwhm, mbeta, x, y, xe, ye, fwhm, fwhme, beta, betae."""
NFLOATS = 14
NINTEGERS = 4

_NO_FWHM, _NO_EXTRACTION, _LOST = int(Flag.NO_FWHM), int(Flag.NO_EXTRACTION), int(Flag.LOST)


class Rows(NamedTuple):
    """What comes out for the apertures of a CCD in some frames: arrays of shape (frames, apertures, ...)."""

    floats: Floats
    integers: Integers
    outcomes: Integers
    details: Floats


def make_rows(frames: int, apertures: int) -> Rows:
    """Allocate rows for a number of frames."""
    return Rows(
        np.zeros((frames, apertures, NFLOATS)),
        np.zeros((frames, apertures, NINTEGERS), np.int64),
        np.zeros((frames, apertures), np.int64),
        np.zeros((frames, apertures)),
    )


@kernel
def measure_ccd(
    tracking: TrackSettings,
    extraction: ExtractionSettings,
    stars: Stars,
    table: Integers,
    windows: Integers,
    scale: float,
    values: Floats,
    ccd: Floats,
    track_memory: TrackMemory,
    memory: ExtractionMemory,
    rows: Rows,
    t: int,
) -> None:
    """Move and measure all apertures of a CCD; row t of `rows` gets the results.

    Parameters
    ----------
    tracking, extraction : TrackSettings, ExtractionSettings
        How.
    stars : Stars
        What the apertures are.
    table : array of int64
        Windows and their pixels in this frame.
    windows : array of int64
        Window of each aperture in the table, -1 for none.
    scale : float
        Factor of the dark.
    values, ccd : array of float64
        What is carried from frame to frame, see `roque.photometry.kernels.tracking`.
    track_memory, memory : TrackMemory, ExtractionMemory
    rows : Rows
    t : int
    """
    move_apertures(tracking, stars, table, windows, scale, values, ccd, track_memory, rows.outcomes[t], rows.details[t])
    box, patch = track_memory.box, track_memory.patch
    for k in range(values.shape[0]):
        memory.result[:] = np.nan
        memory.numbers[:] = 0
        x, y = values[k, X], values[k, Y]
        radii = values[k, RTARG : RSKY2 + 1]
        w = windows[k]
        if not resize(extraction, ccd[MFWHM], radii):
            memory.numbers[3] = _NO_FWHM
        elif w < 0 or not cut_box(table, w, x, y, radii[2] + table[w, 2], radii[2] + table[w, 3], box):
            memory.numbers[3] = _NO_EXTRACTION
        else:
            calibrate_box(table, w, box, scale, patch)
            xbin, ybin = table[w, 2], table[w, 3]
            extract(
                extraction,
                patch,
                table[w, 0] + xbin * (box[0] + 0.5) - 0.5,
                table[w, 1] + ybin * (box[1] + 0.5) - 0.5,
                xbin,
                ybin,
                box[2],
                box[3],
                x,
                y,
                radii,
                stars.mask[stars.mask_first[k] : stars.mask_first[k + 1]],
                stars.extra[stars.extra_first[k] : stars.extra_first[k + 1]],
                ccd[MFWHM],
                ccd[MBETA],
                memory,
            )
        if not tracking.strict and np.isnan(ccd[MFWHM]):
            memory.numbers[3] |= _LOST
        out = rows.floats[t, k]
        out[0], out[1], out[2], out[3] = ccd[MFWHM], ccd[MBETA], x, y
        for i in range(XE, BETA_A + 2):
            out[4 + i - XE] = values[k, i]
        for i in range(4):
            out[COUNTS_COLUMN + i] = memory.result[i]
            rows.integers[t, k, i] = memory.numbers[i]
