"""Residuals of a profile and their derivatives: what a fit asks for at every step, and most of its time."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from roque.photometry.kernels.compiled import inlined, inner, kernel
from roque.photometry.kernels.elementary import LN2, fma
from roque.photometry.kernels.profiles import BETA, FWHM, GAUSSIAN, HEIGHT, LEAST_BETA, RESIDUAL, SKY, X, Y, point
from roque.photometry.kernels.stages import (
    FAR,
    TOGETHER,
    Pixels,
    Stages,
    Star,
    add_gaussian,
    add_moffat,
    exponentials,
    fill_gaussian,
    fill_means,
    fill_moffat,
    logarithms,
    powers,
)
from roque.photometry.kernels.vectors import WIDTH

__all__ = ["divide_pixels", "invert_errors", "linearise"]

Floats = NDArray[np.float64]

_LARGEST_BETA = 1.0e15
"""From here on the mathematics library is asked for all powers."""
_LEAST, _GREATEST = 1.0e-100, 1.0e100
"""Sums of squares between which quotients may be had as products."""


@kernel
def divide_pixels(ndiv: int, xbin: int, ybin: int, pixels: Pixels) -> None:
    """Fill in the points inside pixels: from one unbinned pixel to the next, as the sums of the pipeline go."""
    pixels.xoffsets[0], pixels.yoffsets[0] = 0.0, 0.0
    part = 0
    for j in range(ybin):
        for i in range(xbin):
            for k in range(ndiv * ndiv if ndiv > 0 else 0):
                pixels.xoffsets[part], pixels.yoffsets[part] = point(ndiv, xbin, i, k % ndiv), point(ndiv, ybin, j, k // ndiv)
                part += 1


@kernel
def invert_errors(pixels: Pixels, n: int) -> None:
    """Fill in the inverses of errors, to twice the digits of a number; there are none beyond the first n pixels."""
    sigma, inverse, rest = pixels.sigma, pixels.inverse, pixels.rest
    for i in range(n):
        inverse[i] = 1.0 / sigma[i]
        rest[i] = fma(-sigma[i], inverse[i], 1.0) * inverse[i]
    for i in range(n, -(-n // WIDTH) * WIDTH):
        inverse[i] = rest[i] = 0.0


@kernel
def linearise(
    method: int,
    parameters: Floats,
    pixels: Pixels,
    n: int,
    xbin: int,
    ybin: int,
    ndiv: int,
    stages: Stages,
    rows: Floats,
    squares: Floats,
) -> None:
    """Fill `rows` with residuals and their derivatives in units of the errors, operation by operation as the HiPERCAM pipeline.

    Parameters
    ----------
    method : int
        GAUSSIAN or MOFFAT.
    parameters : array of float64, shape (6,)
        Sky, height, x, y, fwhm, beta.
    pixels : Pixels
        The first n count; those after, up to the next multiple of WIDTH, have infinite errors. `invert_errors` was called.
    xbin, ybin, ndiv : int
        How pixels are divided, see `roque.photometry.kernels.profiles`.
    stages : Stages
        Used up.
    rows : array of float64, shape (n or the next multiple of WIDTH, 8)
        Columns 0 to 5: derivatives by the parameters (beta for a Moffat alone); column 6: ``(data - model)/sigma``.
    squares : array of float64, shape (8,)
        Sums of the squares of the columns, filled in, without numbers up to SMALL in size.
    """
    star = _star(method, parameters, xbin, ybin, ndiv)
    parts = xbin * ybin * ndiv**2 if ndiv > 0 else 1
    _fill(method, star, pixels, n, parts, 0, stages, rows, squares)
    for k in range(RESIDUAL + 1):
        if not (_LEAST < squares[k] < _GREATEST or (method == GAUSSIAN and k == BETA)):
            _fill(method, star, pixels, n, parts, 1, stages, rows, squares)
            return


@inner
def _fill(
    method: int, star: Star, pixels: Pixels, n: int, parts: int, plain: int, stages: Stages, rows: Floats, squares: Floats
) -> None:
    """Do it, with plain divisions or those by `_quotients`, whose products must not overflow or lose digits."""
    squares[:] = 0.0
    for first in range(0, n, TOGETHER):
        end = min(first + TOGETHER, n)
        if parts > 1:
            stages.sums[:] = 0.0
        for part in range(parts):
            if method == GAUSSIAN:
                exponentials(first, end, part, pixels, star, stages)
            else:
                logarithms(first, end, part, pixels, star, stages)
                powers(first, end, part, pixels, star, stages)
            if parts > 1:
                if method == GAUSSIAN:
                    add_gaussian(first, end, part, pixels, star, stages)
                else:
                    add_moffat(first, end, part, pixels, star, stages)
        if parts > 1:
            fill_means(first, end, parts, plain, pixels, star, stages, rows, squares)
        elif method == GAUSSIAN:
            fill_gaussian(first, end, parts, plain, pixels, star, stages, rows, squares)
        else:
            fill_moffat(first, end, parts, plain, pixels, star, stages, rows, squares)


@inlined
def _star(method: int, parameters: Floats, xbin: int, ybin: int, ndiv: int) -> Star:
    x, y, sky, height, fwhm = parameters[X], parameters[Y], parameters[SKY], parameters[HEIGHT], parameters[FWHM]
    share = height / xbin / ybin / ndiv**2 if ndiv > 0 else height
    if method == GAUSSIAN:
        a = 4.0 * LN2 / fwhm**2
        slope = 2.0 * a * height
        return Star(x, y, sky, height, 1.0, share, a, slope, slope / fwhm, 0.0, 0.0, 0.0)
    b = max(LEAST_BETA, parameters[BETA])
    root = 2.0 ** (1.0 / b)
    a = 4.0 * (root - 1.0) / fwhm**2
    slope = 2.0 * a * b
    limit = math.exp(min(FAR / (b + 1.0), FAR)) if b < _LARGEST_BETA else 0.0
    return Star(x, y, sky, height, share, 1.0, a, slope, slope / fwhm, b, 4.0 * LN2 * root / b / fwhm**2, limit)
