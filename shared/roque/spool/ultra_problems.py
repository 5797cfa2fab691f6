"""What somebody should know of the time stamps of a ULTRACAM or ULTRASPEC run."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from roque.errors import Blemish
from roque.spool.ultra_times import DISORDER, REASONS, REPORTED, UltraTimes

__all__ = ["stamp_problems"]


def stamp_problems(times: UltraTimes, file: str) -> list[Blemish]:
    """Ranges of frames that the camera numbered otherwise, and of those whose time cannot be trusted, in their order.

    Parameters
    ----------
    times : UltraTimes
        Of all frames of a run.
    file : str
        Name for messages.
    """
    flagged = np.where(times.sound | (times.reason != 0), 0, DISORDER)
    why = np.where(np.isin(times.reason, REPORTED), times.reason, flagged)
    kinds = (
        (times.out_of_order, "the camera gave it another number than its place in the run", "frames may be lost before it"),
        (times.midnight, "the date of the clock was a day behind its seconds", "none is needed: it was mended"),
        *((why == i, REASONS[i], "the counts are used; the times are flagged") for i in np.unique(why[why > 0]).tolist()),
    )
    found: list[tuple[int, Blemish]] = []
    for mask, message, remedy in kinds:
        edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0)).tolist()
        for start, end in list(pairwise(edges))[::2]:
            place = f"frame {start + 1}" if end == start + 1 else f"frames {start + 1} to {end}"
            found.append((start, Blemish(message, file=file, place=place, remedy=remedy)))
    return [problem for _, problem in sorted(found, key=lambda item: item[0])]
