"""Long runs for benchmarks."""

from __future__ import annotations

from roque.simulation.night import COMPARISONS, SCIENCE_WINDOWS, TARGET
from roque.simulation.plan import Detector, RunPlan

__all__ = ["benchmark_plan"]

_DISTINCT = 100


def benchmark_plan(frames: int, *, seed: int = 1) -> RunPlan:
    """Plan a run of two windows of 50 x 46 pixels per quadrant with three stars, of any length.

    A hundred frames are rendered and repeat their pixels in turn, each with its own time stamp: 20 000 frames (3.7 GB) take
    about ten seconds and the memory of a hundred. The stars, without an eclipse, are those of the demo night, and masters made
    from its first two runs suit if it was simulated with the same seed.

    Parameters
    ----------
    frames : int
        Frames in the run.
    seed : int
        Seed of the chips and of the noise.
    """
    return RunPlan(
        detector=Detector(seed=seed),
        seed=10 * seed + 9,
        windows=SCIENCE_WINDOWS,
        frames=frames,
        exposure=2.0,
        object_name="Simulated benchmark",
        stars=(TARGET, *COMPARISONS),
        sky=(4.0, 12.0, 16.0, 18.0, 22.0),
        fwhm=4.2,
        fwhm_rms=0.2,
        jitter=0.25,
        scintillation=0.003,
        distinct=_DISTINCT,
    )
