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
from roque.photometry.kernels.elementary import (
    LN2,
    NEAR_ONE,
    exponential,
    exponential_of_product,
    logarithm,
    logarithm_far,
    logarithm_parts,
)
from roque.photometry.kernels.lanes import divide, wide

__all__ = [
    "BETA",
    "FWHM",
    "GAUSSIAN",
    "HEIGHT",
    "LANES",
    "LEAST_FINITE_BETA",
    "MOFFAT",
    "NPARAMETERS",
    "RESIDUAL",
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
RESIDUAL = 6
"""Column of the residuals beside the derivatives."""
LANES = 8
"""Pixels are taken so many at a time."""
_LEAST_BETA = 0.01
_LARGEST = 500.0
"""Exponents beyond are left to the mathematics library, and so are those above:"""
_LARGEST_BETA = 1.0e15

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
    sigma: Floats,
    n: int,
    xoffsets: Floats,
    yoffsets: Floats,
    xbin: int,
    ybin: int,
    ndiv: int,
    values: Floats,
    rows: Floats,
) -> None:
    """Fill `rows` with residuals and their derivatives in units of the errors, operation by operation as the HiPERCAM pipeline.

    Parameters
    ----------
    method : int
        GAUSSIAN or MOFFAT.
    parameters : array of float64, shape (6,)
        Sky, height, x, y, fwhm, beta.
    x, y, data, sigma : array of float64
        Positions of pixels, their counts and errors.
    n : int
        Number of pixels; the arrays go on to the next multiple of LANES.
    xoffsets, yoffsets, xbin, ybin, ndiv
        Points inside a pixel, see `subgrid`.
    values : array of float64, shape (4, at least n)
        Used up.
    rows : array of float64, shape (at least n, 8)
        Columns 0 to 5: derivatives by the parameters (beta for a Moffat alone); column 6: ``(data - model)/sigma``.
    """
    fwhm, sky, height, x0, y0 = parameters[FWHM], parameters[SKY], parameters[HEIGHT], parameters[X], parameters[Y]
    b = max(_LEAST_BETA, parameters[BETA])
    root = 2.0 ** (1.0 / b)
    a = 4.0 * LN2 / fwhm**2 if method == GAUSSIAN else 4.0 * (root - 1.0) / fwhm**2
    slope = 2.0 * a * (height if method == GAUSSIAN else b)
    slope_fwhm, slope_beta = slope / fwhm, 4.0 * LN2 * root / b / fwhm**2
    points = max(ndiv, 0)
    number, share = float(xbin * ybin * points**2), height
    if ndiv > 0:
        share = height / xbin / ybin / ndiv**2
        for i in range(n):
            rows[i, :] = 0.0
    # from one unbinned pixel to the next, as the sums of the pipeline go
    for part in range(max(1, xbin * ybin * points**2)):
        xoffset, yoffset = 0.0, 0.0
        if ndiv > 0:
            pixel, point = part // points**2, part % points**2
            xoffset = xoffsets[pixel % xbin * points + point % points]
            yoffset = yoffsets[pixel // xbin * points + point // points]
        if method == GAUSSIAN:
            _gaussian(a, x, y, xoffset, yoffset, x0, y0, n, values)
        else:
            _moffat(a, b, x, y, xoffset, yoffset, x0, y0, n, values)
        for i in range(n):
            dx, dy = x[i] + xoffset - x0, y[i] + yoffset - y0
            r2, p = values[0, i], values[1, i]
            if method == GAUSSIAN:
                by_x, by_y, by_fwhm, by_beta = slope * p * dx, slope * p * dy, slope_fwhm * p * r2, 0.0
            else:
                q = height * values[2, i]
                by_x, by_y, by_fwhm = slope * dx * q, slope * dy * q, slope_fwhm * (q * r2)
                by_beta = -values[3, i] * height * p + slope_beta * (q * r2)
            if ndiv <= 0:
                divide(rows, i, sigma[i], -1.0, -p, -by_x, -by_y, -by_fwhm, -by_beta, data[i] - (share * p + sky))
            else:
                rows[i, HEIGHT] += p
                rows[i, X] += by_x
                rows[i, Y] += by_y
                rows[i, FWHM] += by_fwhm
                rows[i, BETA] += by_beta
                rows[i, RESIDUAL] += p if method == GAUSSIAN else share * p
    if ndiv > 0:
        for i in range(n):
            model = sky + (share * rows[i, RESIDUAL] if method == GAUSSIAN else rows[i, RESIDUAL])
            divide(
                rows, i, sigma[i], -1.0, -(rows[i, HEIGHT] / number), -(rows[i, X] / number), -(rows[i, Y] / number),
                -(rows[i, FWHM] / number), -(rows[i, BETA] / number), data[i] - model,
            )  # fmt: skip


@inner
def _moffat(
    a: float,
    b: float,
    x: Floats,
    y: Floats,
    xoffset: float,
    yoffset: float,
    x0: float,
    y0: float,
    n: int,
    values: Floats,
) -> None:
    """Fill `values` with r**2, u**-b, u**(-b - 1) and log(u) for ``u = 1 + a r**2``."""
    wide()
    limit, beyond = math.exp(min(_LARGEST / (b + 1.0), _LARGEST)), 0
    for i in range(-(-n // LANES) * LANES):
        dx, dy = x[i] + xoffset - x0, y[i] + yoffset - y0
        r2 = dx * dx + dy * dy
        u = 1.0 + a * r2
        high, low = logarithm_parts(u)
        values[0, i] = r2
        values[1, i] = exponential_of_product(-b, high, low)
        values[2, i] = exponential_of_product(-b - 1.0, high, low)
        values[3, i] = logarithm_far(u)
        beyond += not u < limit
    for i in range(n):
        # of few pixels, those at the very centre
        u = 1.0 + a * values[0, i]
        if u < NEAR_ONE:
            values[3, i] = logarithm(u)
    if beyond or not b < _LARGEST_BETA:
        for i in range(n):
            u = 1.0 + a * values[0, i]
            values[1, i], values[2, i], values[3, i] = u**-b, u ** (-b - 1.0), math.log(u)


@inner
def _gaussian(
    a: float, x: Floats, y: Floats, xoffset: float, yoffset: float, x0: float, y0: float, n: int, values: Floats
) -> None:
    """Fill `values` with r**2 and exp(-a r**2)."""
    wide()
    beyond = 0
    for i in range(-(-n // LANES) * LANES):
        dx, dy = x[i] + xoffset - x0, y[i] + yoffset - y0
        r2 = dx * dx + dy * dy
        values[0, i], values[1, i] = r2, exponential(-a * r2)
        beyond += not a * r2 < _LARGEST
    if beyond:
        for i in range(n):
            values[1, i] = math.exp(-a * values[0, i])
