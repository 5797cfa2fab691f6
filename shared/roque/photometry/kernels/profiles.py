"""The profile of a star: ``sky + height * P(r)``.

Both profiles are circular, with r in unbinned pixels:

- Gaussian: ``P = exp(-a r**2)``, ``a = 4 ln 2 / fwhm**2``;
- Moffat: ``P = (1 + a r**2)**-b``, ``a = 4 (2**(1/b) - 1) / fwhm**2``, ``b = max(0.01, beta)``.

With ``ndiv = 0`` they are taken at the centres of pixels, otherwise averaged over a grid of `ndiv` by `ndiv` points in each
unbinned pixel of a binned one.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from roque.photometry.kernels.compiled import inlined, kernel
from roque.photometry.kernels.elementary import LN2, exponential, logarithm

__all__ = [
    "BETA",
    "FWHM",
    "GAUSSIAN",
    "HEIGHT",
    "LEAST_BETA",
    "LEAST_FINITE_BETA",
    "MOFFAT",
    "NPARAMETERS",
    "RESIDUAL",
    "SKY",
    "X",
    "Y",
    "point",
    "profile",
    "shape",
    "subgrid",
    "volume",
]

Floats = NDArray[np.float64]

GAUSSIAN, MOFFAT = 0, 1
SKY, HEIGHT, X, Y, FWHM, BETA = range(6)
NPARAMETERS = 6
RESIDUAL = 6
"""Column of the residuals beside the derivatives."""
LEAST_BETA = 0.01
"""A Moffat with a lesser beta is taken as one with this."""
LEAST_FINITE_BETA = 1.05
"""Of Moffat profiles whose volume is wanted: that of wings that fall more slowly is not finite."""


@kernel
def shape(method: int, fwhm: float, beta: float) -> tuple[float, float, float]:
    """Constants of a profile: a, b and da/db."""
    if method == GAUSSIAN:
        return 4.0 * LN2 / fwhm**2, 0.0, 0.0
    b = max(LEAST_BETA, beta)
    root = 2.0 ** (1.0 / b)
    return 4.0 * (root - 1.0) / fwhm**2, b, -4.0 * root * LN2 / (b * fwhm) ** 2


@inlined
def point(ndiv: int, nbin: int, i: int, k: int) -> float:
    """Point k of `ndiv` in unbinned pixel i of the `nbin` of a binned one, from the centre of that; along one axis."""
    return i - (nbin - 1) / 2.0 - (ndiv - 1) / (2.0 * ndiv) + k / ndiv


@kernel
def subgrid(ndiv: int, nbin: int, offsets: Floats) -> int:
    """Fill `offsets` with the points of a binned pixel at which a profile is taken, along one axis; returns their number."""
    if ndiv <= 0:
        offsets[0] = 0.0
        return 1
    for i in range(nbin):
        for k in range(ndiv):
            offsets[i * ndiv + k] = point(ndiv, nbin, i, k)
    return nbin * ndiv


@kernel
def volume(method: int, a: float, b: float) -> float:
    """Volume of a profile of unit height: ``pi/a`` of a Gaussian, ``pi/(a (b - 1))`` of a Moffat with b above 1."""
    return math.pi / a if method == GAUSSIAN else math.pi / (a * (max(LEAST_FINITE_BETA, b) - 1.0))


@kernel
def profile(
    method: int, a: float, b: float, dx: float, dy: float, xoffsets: Floats, nx: int, yoffsets: Floats, ny: int
) -> float:
    """P at a distance (dx, dy) from the centre of a star, averaged over the points given."""
    total = 0.0
    for j in range(ny):
        for i in range(nx):
            r2 = (dx + xoffsets[i]) ** 2 + (dy + yoffsets[j]) ** 2
            if method == GAUSSIAN:
                total += exponential(-a * r2)
            else:
                total += exponential(-b * logarithm(1.0 + a * r2))
    return total / (nx * ny)
