"""What was put into a simulated run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.simulation.conditions import CCD_FWHM, Conditions, Times
from roque.simulation.plan import CCDS, RunPlan

__all__ = ["RunTruth", "run_truth"]

_DAY_NS = 86_400_000_000_000

FRAME = np.dtype(
    [
        ("frame", "i4"),
        ("ccd", "U1"),
        ("mjd_int", "i4"),  # mid-exposure, UTC
        ("mjd_frac", "f8"),
        ("exposure", "f8"),  # s
        ("data_ok", "?"),
        ("fwhm", "f8"),  # unbinned pixels
        ("transmission", "f8"),
        ("sky", "f8"),  # electrons per unbinned pixel
    ]
)
STAR = np.dtype([("x", "f8"), ("y", "f8"), ("electrons", "f8"), ("adu", "f8")])


@dataclass(frozen=True)
class RunTruth:
    """What was put into a run.

    Parameters
    ----------
    plan : RunPlan
        The plan.
    frames : structured array, shape (frames, 5)
        Frame number, CCD, mid-exposure MJD(UTC), exposure (s), data_ok, fwhm, transmission, sky.
    stars : structured array, shape (frames, 5, stars)
        Position (unbinned pixels), expected electrons over the whole profile, and the same in ADU.
    """

    plan: RunPlan
    frames: NDArray[np.void]
    stars: NDArray[np.void]

    def to_dict(self) -> dict[str, Any]:
        """Everything in types that JSON knows; `frames` holds one list ``[values, stars]`` per frame and CCD."""
        rows = [
            [[list(values), [list(star) for star in stars]] for values, stars in zip(frame, row, strict=True)]
            for frame, row in zip(self.frames.tolist(), self.stars.tolist(), strict=True)
        ]
        plan = asdict(self.plan)
        plan["start"] = self.plan.start.replace(tzinfo=None).isoformat()
        return {
            "plan": plan,
            "columns": list(FRAME.names or ()),
            "star_columns": list(STAR.names or ()),
            "stars": [star.name for star in self.plan.stars],
            "frames": [pair for row in rows for pair in row],
        }


def run_truth(plan: RunPlan, when: Times, how: Conditions) -> RunTruth:
    """Work out the expected light of each star in each frame, and where it falls."""
    repeat = np.arange(plan.frames) % len(how.fwhm)
    frames = np.zeros((plan.frames, 5), FRAME)
    frames["frame"] = np.arange(1, plan.frames + 1)[:, None]
    frames["ccd"] = np.array(CCDS)
    frames["mjd_int"] = when.middle // _DAY_NS
    frames["mjd_frac"] = when.middle % _DAY_NS / _DAY_NS
    frames["exposure"] = when.length * 1e-9
    frames["data_ok"] = when.data_ok
    frames["fwhm"] = how.fwhm[repeat, None] * np.array(CCD_FWHM)
    frames["transmission"] = how.transmission[repeat, None]
    frames["sky"] = frames["exposure"] * np.array(plan.sky)
    if plan.twilight is not None:
        frames["sky"] += how.twilight[repeat, None] * np.array(plan.twilight) * plan.detector.gain
    stars = np.zeros((plan.frames, 5, len(plan.stars)), STAR)
    for s, star in enumerate(plan.stars):
        for ccd, (ox, oy) in enumerate(plan.ccd_offsets):
            here, row = stars[:, ccd, s], frames[:, ccd]
            here["x"] = star.x + ox + how.dx[repeat]
            here["y"] = star.y + oy + how.dy[repeat]
            here["electrons"] = star.flux[ccd] * row["exposure"] * row["transmission"]
            if star.eclipses is not None:
                here["electrons"] *= star.eclipses[ccd].flux(row["mjd_int"], row["mjd_frac"], row["exposure"])
            here["adu"] = here["electrons"] / plan.detector.gain
    return RunTruth(plan=plan, frames=frames, stars=stars)
