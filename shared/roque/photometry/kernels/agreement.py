"""Whether the references of a CCD agree on how the field has moved, and how it has."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.photometry.kernels.compiled import kernel
from roque.photometry.kernels.elementary import square
from roque.photometry.kernels.outcome import OK, REFERENCES_DISAGREE

__all__ = ["agree", "mean_shift"]

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]


@kernel
def agree(strict: bool, limit: float, reference: Bools, shifts: Floats, outcomes: Integers, details: Floats) -> bool:
    """Compare the shifts of the references that were found.

    Parameters
    ----------
    strict : bool
        Whether all must agree, as in the HiPERCAM pipeline. Otherwise the majority of those found decides.
    limit : float
        Distance between two shifts that still agree, unbinned pixels.
    reference : array of bool
        Which apertures are references.
    shifts : array of float64, shape (apertures, 2)
        Their shifts.
    outcomes : array of int64
        OK where an aperture was found; those that disagree are marked.
    details : array of float64
        By how much they do, unbinned pixels.

    Returns
    -------
    bool
        Whether there is a shift to go by.
    """
    number = reference.size
    if strict:
        for k in range(number):
            for j in range(k):
                if reference[k] and reference[j]:
                    apart = math.hypot(shifts[k, 0] - shifts[j, 0], shifts[k, 1] - shifts[j, 1])
                    if apart > limit:
                        outcomes[k] = REFERENCES_DISAGREE
                        details[k] = apart
                        return False
        return True
    best, most, found = -1, 0, 0
    for k in range(number):
        if not reference[k] or outcomes[k] != OK:
            continue
        found += 1
        friends = 0
        for j in range(number):
            if reference[j] and outcomes[j] == OK:
                friends += math.hypot(shifts[k, 0] - shifts[j, 0], shifts[k, 1] - shifts[j, 1]) <= limit
        if friends > most:
            best, most = k, friends
    for k in range(number):
        if reference[k] and outcomes[k] == OK:
            apart = math.hypot(shifts[k, 0] - shifts[best, 0], shifts[k, 1] - shifts[best, 1])
            if apart > limit:
                outcomes[k] = REFERENCES_DISAGREE
                details[k] = apart
    return 2 * most > found


@kernel
def mean_shift(reference: Bools, shifts: Floats, errors: Floats, outcomes: Integers) -> tuple[float, float, float]:
    """Mean shift of the references that were found, by ``1/error**2`` of each coordinate, and its error; unbinned pixels."""
    xsum, xweight, ysum, yweight = 0.0, 0.0, 0.0, 0.0
    for k in range(reference.size):
        if reference[k] and outcomes[k] == OK:
            weight = 1.0 / square(errors[k, 0])
            xsum += weight * shifts[k, 0]
            xweight += weight
            weight = 1.0 / square(errors[k, 1])
            ysum += weight * shifts[k, 1]
            yweight += weight
    return xsum / xweight, ysum / yweight, math.sqrt(1.0 / xweight + 1.0 / yweight)
