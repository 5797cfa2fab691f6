"""Write a simulated HiPERCAM run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roque.simulation.conditions import conditions, times
from roque.simulation.detector import bias_field, flat_field
from roque.simulation.layout import patches, word_order
from roque.simulation.plan import RunPlan
from roque.simulation.raw_fits import STAMP_WORDS, encode, header_bytes, stamps
from roque.simulation.render import add_stars, cosmic_rays, counts, describe, sum_bins
from roque.simulation.truth import RunTruth, run_truth

__all__ = ["simulate_run"]

_BLOCK = 32  # frames in memory at a time


def simulate_run(path: Path, plan: RunPlan) -> RunTruth:
    """Write a run as HiPERCAM does, and say what was put in.

    The file is written from start to end with the memory of a few frames. The same plan gives the same bytes.

    Parameters
    ----------
    path : Path
        File to write, such as ``run0004.fits``; replaced if it exists.
    plan : RunPlan
        What to simulate.

    Raises
    ------
    ValueError
        One or two sets of windows of whole bins are possible, and no eclipse in frames that repeat.
    """
    _check(plan)
    truth = run_truth(plan, times(plan), conditions(plan, np.random.default_rng([plan.seed, 0])))
    renderer = _Renderer(plan, truth)
    stamp = times(plan).stamp
    distinct = plan.frames if plan.distinct is None else min(plan.frames, plan.distinct)
    block = min(distinct, _BLOCK) if plan.distinct is None else distinct
    words = np.empty((block, renderer.size + STAMP_WORDS), np.uint16)
    with path.open("wb") as file:
        file.write(header_bytes(plan, words.shape[1]))
        for first in range(0, plan.frames, block):
            n = min(block, plan.frames - first)
            for k in range(n if first < distinct else 0):
                words[k, :-STAMP_WORDS] = renderer.frame(first + k)
            words[:n, -STAMP_WORDS:] = stamps(stamp[first : first + n], first + 1)
            file.write(encode(words[:n]).data)
        file.write(bytes(-file.tell() % 2880))
    return truth


def _check(plan: RunPlan) -> None:
    if len(plan.windows) not in (1, 2):
        raise ValueError(f"{len(plan.windows)} sets of windows, not 1 or 2")
    if any(w.nx % plan.xbin or w.ny % plan.ybin for w in plan.windows):
        raise ValueError("a window is not a whole number of binned pixels")
    if plan.distinct is not None and any(star.eclipses for star in plan.stars):
        raise ValueError("frames that repeat cannot show an eclipse")


class _Renderer:
    """Renders frames of a plan, with the parts that do not change with time kept."""

    def __init__(self, plan: RunPlan, truth: RunTruth) -> None:
        self.plan = plan
        self.truth = truth
        self.layout = patches(plan.windows, plan.xbin, plan.ybin)
        self.order = word_order(self.layout)
        self.size = len(self.order)
        self.table = describe(self.layout)
        self.flat = flat_field(plan.detector, self.layout)
        self.bias = bias_field(plan.detector, self.layout)
        self.sensitivity = sum_bins(self.flat, self.table, self.size)
        self.ccd_of_pixel = np.repeat(
            [patch.ccd for patch in self.layout], [patch.geometry.nx * patch.geometry.ny for patch in self.layout]
        )

    def frame(self, index: int) -> NDArray[np.uint16]:
        """Words of a frame (from 0) in the order of the file; what a CCD gives that is not read out is bias and noise."""
        rng = np.random.default_rng([self.plan.seed, 1, index])
        row, stars = self.truth.frames[index], self.truth.stars[index]
        lit = np.where(row["data_ok"], row["sky"], 0.0)
        expected = self.sensitivity * lit[self.ccd_of_pixel]
        light = np.stack([stars["x"], stars["y"], stars["electrons"] * row["data_ok"][:, None]], axis=-1)
        add_stars(expected, self.table, self.flat, light, row["fwhm"], self.plan.beta)
        if self.plan.cosmic_rays > 0:
            hit, electrons = cosmic_rays(self.layout, self.plan.cosmic_rays, rng)
            np.add.at(expected, hit, electrons)
        return counts(expected, self.bias, self.plan.detector, rng)[self.order]
