"""What somebody should know of the time stamps of a HiPERCAM run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from roque.errors import Blemish
from roque.spool.stamps import FAULTS, Exposures

__all__ = ["stamp_problems"]

_TRUST = "the counts are used; the times are flagged"


def stamp_problems(times: Sequence[Exposures], file: str) -> list[Blemish]:
    """Frames dropped, and ranges of frames whose time cannot be trusted, in their order.

    Parameters
    ----------
    times : sequence of Exposures
        Of all frames of a run, in parts.
    file : str
        Name for messages.
    """
    if not times:
        return []
    number = np.concatenate([part.number for part in times])
    fault = np.concatenate([part.fault for part in times])
    found: list[tuple[int, Blemish]] = []
    steps = np.diff(number, prepend=0)
    for at in np.flatnonzero(steps > 1).tolist():
        lost = int(steps[at]) - 1
        message = f"{lost} {'frame was' if lost == 1 else 'frames were'} dropped by the camera before it"
        found.append((at, Blemish(message, file=file, place=f"frame {number[at]}")))
    edges = np.flatnonzero(np.diff(fault, prepend=0, append=0))
    for start, end in pairwise(edges.tolist()):
        if fault[start]:
            frames = f"frame {number[start]}" if end == start + 1 else f"frames {number[start]} to {number[end - 1]}"
            found.append((start, Blemish(FAULTS[fault[start]], file=file, place=frames, remedy=_TRUST)))
    return [problem for _, problem in sorted(found, key=lambda item: item[0])]
