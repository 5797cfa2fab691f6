"""The profile of a star: ``sky + height * P(r)``, its derivatives, and what a fit needs of them.

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

from roque.photometry.kernels.compiled import inner, kernel
from roque.photometry.kernels.elementary import LN2, exponential, logarithm

__all__ = [
    "BETA",
    "FWHM",
    "GAUSSIAN",
    "HEIGHT",
    "LEAST_FINITE_BETA",
    "MOFFAT",
    "NPARAMETERS",
    "SKY",
    "X",
    "Y",
    "linearise",
    "profile",
    "shape",
    "subgrid",
    "volume",
]

Floats = NDArray[np.float64]

GAUSSIAN, MOFFAT = 0, 1
SKY, HEIGHT, X, Y, FWHM, BETA = range(6)
NPARAMETERS = 6
_LEAST_BETA = 0.01

LEAST_FINITE_BETA = 1.05
"""Of Moffat profiles whose volume is wanted: that of wings that fall more slowly is not finite."""


@kernel
def shape(method: int, fwhm: float, beta: float) -> tuple[float, float, float]:
    """Constants of a profile: a, b and da/db."""
    if method == GAUSSIAN:
        return 4.0 * LN2 / fwhm**2, 0.0, 0.0
    b = max(_LEAST_BETA, beta)
    root = 2.0 ** (1.0 / b)
    return 4.0 * (root - 1.0) / fwhm**2, b, -4.0 * root * LN2 / (b * fwhm) ** 2


@kernel
def subgrid(ndiv: int, nbin: int, offsets: Floats) -> int:
    """Fill `offsets` with the points of a binned pixel at which a profile is taken, along one axis; returns their number."""
    if ndiv <= 0:
        offsets[0] = 0.0
        return 1
    for i in range(nbin):
        for k in range(ndiv):
            offsets[i * ndiv + k] = i - (nbin - 1) / 2.0 - (ndiv - 1) / (2.0 * ndiv) + k / ndiv
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


@kernel
def linearise(
    method: int,
    parameters: Floats,
    x: Floats,
    y: Floats,
    data: Floats,
    weight: Floats,
    n: int,
    xoffsets: Floats,
    nx: int,
    yoffsets: Floats,
    ny: int,
    rows: Floats,
) -> None:
    """Fill `rows` with weighted residuals and their derivatives.

    Parameters
    ----------
    method : int
        GAUSSIAN or MOFFAT.
    parameters : array of float64, shape (6,)
        Sky, height, x, y, fwhm, beta.
    x, y, data, weight : array of float64
        Positions of pixels, their counts and one over their errors.
    n : int
        Number of pixels to take.
    xoffsets, nx, yoffsets, ny
        Points inside a pixel, see `subgrid`.
    rows : array of float64, shape (7, at least n)
        Row 0: ``(data - model)*weight``; rows 1 to 6: its derivatives by the parameters (beta for a Moffat alone).
    """
    if nx == 1 and ny == 1:
        if method == GAUSSIAN:
            _gaussian(parameters, x, y, data, weight, n, rows)
        else:
            _moffat(parameters, x, y, data, weight, n, rows)
        return
    a, b, dadb = shape(method, parameters[FWHM], parameters[BETA])
    for p in range(1 + NPARAMETERS):
        for i in range(n):
            rows[p, i] = 0.0
    for k in range(ny):
        for j in range(nx):
            x0, y0 = parameters[X] - xoffsets[j], parameters[Y] - yoffsets[k]
            if method == GAUSSIAN:
                _add_gaussian(a, x0, y0, x, y, n, rows)
            else:
                _add_moffat(a, b, dadb, x0, y0, x, y, n, rows)
    _scale(parameters, 1.0 / (nx * ny), data, weight, n, rows)


@inner
def _moffat(parameters: Floats, x: Floats, y: Floats, data: Floats, weight: Floats, n: int, rows: Floats) -> None:
    fwhm, beta = parameters[FWHM], parameters[BETA]
    a, b, dadb = shape(MOFFAT, fwhm, beta)
    sky, height, x0, y0 = parameters[SKY], parameters[HEIGHT], parameters[X], parameters[Y]
    slope = 2.0 * a * b
    for i in range(n):
        dx, dy, w = x[i] - x0, y[i] - y0, weight[i]
        r2 = dx * dx + dy * dy
        u = 1.0 + a * r2
        log_u = logarithm(u)
        p = exponential(-b * log_u) * w
        light = height * p
        over_u = light / u
        rows[0, i] = (data[i] - sky) * w - light
        rows[1, i] = -w
        rows[2, i] = -p
        rows[3, i] = -slope * over_u * dx
        rows[4, i] = -slope * over_u * dy
        rows[5, i] = -slope * over_u * r2 / fwhm
        rows[6, i] = light * log_u + over_u * (b * dadb * r2)


@inner
def _gaussian(parameters: Floats, x: Floats, y: Floats, data: Floats, weight: Floats, n: int, rows: Floats) -> None:
    fwhm = parameters[FWHM]
    a = 4.0 * LN2 / fwhm**2
    sky, height, x0, y0 = parameters[SKY], parameters[HEIGHT], parameters[X], parameters[Y]
    for i in range(n):
        dx, dy, w = x[i] - x0, y[i] - y0, weight[i]
        r2 = dx * dx + dy * dy
        p = exponential(-a * r2) * w
        light = height * p
        slope = 2.0 * a * light
        rows[0, i] = (data[i] - sky) * w - light
        rows[1, i] = -w
        rows[2, i] = -p
        rows[3, i] = -slope * dx
        rows[4, i] = -slope * dy
        rows[5, i] = -slope * r2 / fwhm


@inner
def _add_moffat(a: float, b: float, dadb: float, x0: float, y0: float, x: Floats, y: Floats, n: int, rows: Floats) -> None:
    """Add one point of the subgrid: P and what its derivatives are made of."""
    for i in range(n):
        dx, dy = x[i] - x0, y[i] - y0
        r2 = dx * dx + dy * dy
        u = 1.0 + a * r2
        log_u = logarithm(u)
        p = exponential(-b * log_u)
        over_u = 2.0 * a * b * p / u
        rows[2, i] += p
        rows[3, i] += over_u * dx
        rows[4, i] += over_u * dy
        rows[5, i] += over_u * r2
        rows[6, i] -= p * (log_u + b * dadb * r2 / u)


@inner
def _add_gaussian(a: float, x0: float, y0: float, x: Floats, y: Floats, n: int, rows: Floats) -> None:
    for i in range(n):
        dx, dy = x[i] - x0, y[i] - y0
        r2 = dx * dx + dy * dy
        p = exponential(-a * r2)
        slope = 2.0 * a * p
        rows[2, i] += p
        rows[3, i] += slope * dx
        rows[4, i] += slope * dy
        rows[5, i] += slope * r2


@inner
def _scale(parameters: Floats, mean: float, data: Floats, weight: Floats, n: int, rows: Floats) -> None:
    """Turn sums over the subgrid into residuals and derivatives."""
    sky, height, fwhm = parameters[SKY], parameters[HEIGHT], parameters[FWHM]
    for i in range(n):
        w = weight[i]
        p = mean * rows[2, i] * w
        light = mean * height * w
        rows[0, i] = (data[i] - sky) * w - height * p
        rows[1, i] = -w
        rows[2, i] = -p
        rows[3, i] *= -light
        rows[4, i] *= -light
        rows[5, i] *= -light / fwhm
        rows[6, i] *= -light
