"""The light of a star on pixels that are left out, by its profile."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.photometry.kernels.compiled import inlined, inner
from roque.photometry.kernels.profiles import profile
from roque.photometry.kernels.windows import Patch

__all__ = ["MOST_LOST", "expected_variance", "lost_light"]

Floats = NDArray[np.float64]

MOST_LOST = 0.5
"""Of the light of the profile in an aperture: if more of it falls on pixels that are left out, no flux is given."""


@inlined
def expected_variance(patch: Patch, pixel: int, level: float, rms: float, light: float) -> Any:
    """Variance of a pixel on which a sky of some level and scatter, and some light of a star, are expected."""
    R, G = np.float64(patch.R[pixel]), np.float64(patch.G[pixel])
    return max(rms * rms, R * R + max(0.0, level) / G) + max(0.0, light) / G


@inner
def lost_light(
    patch: Patch,
    xfirst: float,
    yfirst: float,
    xbin: int,
    ybin: int,
    nx: int,
    span: tuple[int, int, int, int],
    x: float,
    y: float,
    reach: float,
    weighted: bool,
    method: int,
    a: float,
    b: float,
    xoffsets: Floats,
    kx: int,
    yoffsets: Floats,
    ky: int,
    level: float,
    rms: float,
) -> tuple[float, float]:
    """Work out how much of a star's light in its aperture falls on pixels that are left out.

    Parameters
    ----------
    patch : Patch
        Pixels around the aperture, bad ones marked.
    xfirst, yfirst, xbin, ybin, nx
        Centre of the first of them (unbinned pixels), binning and columns of the box.
    span : tuple of int
        First and last + 1 of the columns and of the rows that the aperture reaches.
    x, y, reach : float
        Its centre, and the radius at which its soft edge ends.
    weighted : bool
        Whether pixels are weighted with the profile, too.
    method, a, b, xoffsets, kx, yoffsets, ky
        The profile.
    level, rms : float
        Sky of a pixel, and its scatter.

    Returns
    -------
    float
        Share of the profile in the aperture, as pixels are weighted, that is left out.
    float
        How far the light left out may be from what the profile says, in counts: the scatter of the other pixels around the
        profile in excess of noise, weighted with the profile.
    """
    size = math.sqrt(xbin * ybin)
    there, gone, light = 0.0, 0.0, 0.0
    for turn in range(2):  # the second time around the profile that the first one scaled
        excess, weight = 0.0, 0.0
        height = light / there if there > 0.0 else 0.0
        for j in range(span[2], span[3]):
            dy = yfirst + ybin * j - y
            for i in range(span[0], span[1]):
                dx = xfirst + xbin * i - x
                w = min(1.0, (reach - math.hypot(dx, dy)) / size)
                if w <= 0.0:
                    continue
                pixel = j * nx + i
                p = profile(method, a, b, dx, dy, xoffsets, kx, yoffsets, ky)
                if weighted:
                    w *= p
                counts = np.float64(patch.proc[pixel]) - level
                if turn == 0 and patch.bad[pixel]:
                    gone += w * p
                elif turn == 0:
                    there += w * p
                    light += w * counts
                elif not patch.bad[pixel]:
                    excess += p * ((counts - height * p) ** 2 - expected_variance(patch, pixel, level, rms, height * p))
                    weight += p**3
        if turn == 1:
            doubt = math.sqrt(max(0.0, excess) / weight) if weight > 0.0 else 0.0
            return gone / (there + gone), doubt * gone
    return 1.0, 0.0
