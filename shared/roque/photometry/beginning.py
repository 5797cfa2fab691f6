"""How much of a run must be there before it can be begun."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["frames_needed"]

_FRAMES = 16  # that are averaged
_LEAST = 4  # wanted of each CCD, however many read-outs it skips
_MOST_FRAMES = 100


def frames_needed(nskips: Mapping[str, int]) -> int:
    """How many first frames of a run automatic apertures are made from.

    Parameters
    ----------
    nskips : dict of str to int
        Read-outs skipped between two of each CCD.

    Returns
    -------
    int
        16, or as many as give 4 frames of the CCD that skips most, 100 at most. It does not depend on how long the run is,
        so a growing run has the apertures of the finished one.
    """
    return min(max(_FRAMES, _LEAST * (1 + max(nskips.values(), default=0))), _MOST_FRAMES)
