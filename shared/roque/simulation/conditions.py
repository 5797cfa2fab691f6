"""Seeing, transmission, motion and time of the frames of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roque.simulation.plan import RunPlan

__all__ = ["CCD_FWHM", "MJD_EPOCH", "Conditions", "Times", "conditions", "times"]

Floats = NDArray[np.float64]

MJD_EPOCH = np.datetime64("1858-11-17T00:00:00", "ns")
CCD_FWHM = (1.08, 1.03, 1.0, 0.97, 0.94)
"""FWHM on CCDs 1 to 5 over that on CCD 3: seeing is better in the red."""

_MEMORY = 25.0  # frames over which seeing and transparency change
_GOLDEN_ANGLE = math.pi * (3.0 - math.sqrt(5.0))


@dataclass(frozen=True)
class Conditions:
    """Conditions of each frame; arrays of shape (frames,).

    `fwhm` on CCD 3 and the shifts `dx`, `dy` are in unbinned pixels; `transmission` and `twilight` are fractions.
    """

    fwhm: Floats
    transmission: Floats
    dx: Floats
    dy: Floats
    twilight: Floats


@dataclass(frozen=True)
class Times:
    """Times of the frames: `stamp` of shape (frames,), the rest of shape (frames, 5); ns from `MJD_EPOCH`."""

    stamp: NDArray[np.int64]
    middle: NDArray[np.int64]
    length: NDArray[np.int64]
    data_ok: NDArray[np.bool_]


def conditions(plan: RunPlan, rng: np.random.Generator) -> Conditions:
    """Draw the conditions of the frames that are rendered."""
    n = plan.frames if plan.distinct is None else min(plan.frames, plan.distinct)
    k = np.arange(n)
    phase = k / max(1, n - 1) - 0.5
    fwhm = plan.fwhm + plan.fwhm_drift * phase + plan.fwhm_rms * _slow(n, rng)
    clear = np.exp(-plan.transparency_rms * np.abs(_slow(n, rng)))
    shift = plan.jitter * rng.standard_normal((2, n))
    radius, angle = plan.dither * np.sqrt(k), _GOLDEN_ANGLE * k
    return Conditions(
        fwhm=np.maximum(fwhm, 0.6 * plan.fwhm),
        transmission=clear * np.maximum(0.0, 1.0 + plan.scintillation * rng.standard_normal(n)),
        dx=plan.drift[0] * phase + shift[0] + radius * np.cos(angle),
        dy=plan.drift[1] * phase + shift[1] + radius * np.sin(angle),
        twilight=np.exp(-k / plan.twilight_decay),
    )


def times(plan: RunPlan) -> Times:
    """Work out when each CCD collects light, from the sequence of clears, exposures, transfers and read-outs.

    The stamp is taken when the exposure delay begins. With clears, light is collected from the stamp of the first of the
    skipped frames to the end of this delay; without, from the end of the transfer before, while the chip is still read out.
    """
    delay, read, transfer, clear = (
        round(1e9 * s) for s in (plan.exposure, plan.read_out, plan.frame_transfer, plan.clear_time)
    )
    cadence = delay + read + (clear if plan.clear else 0)
    start = int((np.datetime64(plan.start.replace(tzinfo=None), "ns") - MJD_EPOCH).astype(np.int64))
    number = np.arange(1, plan.frames + 1)
    stamp = start + cadence * (number - 1)
    skips = np.array(plan.nskips)
    begin = stamp[:, None] - cadence * skips
    if not plan.clear:
        begin = np.where(number[:, None] == skips + 1, begin, begin - (read - transfer))
    end = stamp[:, None] + delay
    return Times(
        stamp=stamp, middle=begin + (end - begin) // 2, length=end - begin, data_ok=(number[:, None] % (skips + 1)) == 0
    )


def _slow(n: int, rng: np.random.Generator) -> Floats:
    """Noise of rms 1 that forgets itself in `_MEMORY` frames."""
    kept = math.exp(-1.0 / _MEMORY)
    kicks = math.sqrt(1.0 - kept * kept) * rng.standard_normal(n)
    values = np.empty(n)
    value = float(rng.standard_normal())
    for k in range(n):
        value = kept * value + float(kicks[k])
        values[k] = value
    return values
