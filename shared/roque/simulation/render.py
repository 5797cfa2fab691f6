"""Pixels of a frame: expected light, then noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from roque.compiling import njit
from roque.simulation.layout import Patch
from roque.simulation.plan import Detector

__all__ = ["BOX", "add_stars", "cosmic_rays", "counts", "describe", "sum_bins"]

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]

BOX = 8.0
"""Half the side of the box in which a star is rendered, in FWHM: a Moffat profile of beta 3.5 leaves 4e-5 outside."""

_CORE = 2.0  # within so many FWHM pixels are sampled 3 x 3, beyond once: there the profile is straight enough


def describe(layout: Sequence[Patch]) -> Ints:
    """Patches as rows of numbers for the kernels: ccd, start, flat_start, nx, ny, llx, lly, xbin, ybin."""
    rows = [
        (
            p.ccd,
            p.start,
            p.flat_start,
            p.geometry.nx,
            p.geometry.ny,
            p.geometry.llx,
            p.geometry.lly,
            p.geometry.xbin,
            p.geometry.ybin,
        )
        for p in layout
    ]
    return np.array(rows, np.int64)


@njit(cache=True, nogil=True)
def add_stars(expected: Floats, table: Ints, flat: Floats32, stars: Floats, fwhm: Floats, beta: float) -> None:
    """Add the light of stars to the expected electrons of a frame.

    Parameters
    ----------
    expected : array of float64
        Electrons of all binned pixels of the frame; changed in place.
    table : array of int64
        `describe` of the layout.
    flat : array of float32
        Sensitivities of the unbinned pixels.
    stars : array of float64, shape (5, n, 3)
        Per CCD x, y (unbinned pixels) and electrons of each star.
    fwhm : array of float64, shape (5,)
        Per CCD, unbinned pixels.
    beta : float
        Moffat exponent, infinity for a Gaussian.

    Notes
    -----
    Moffat: ``(beta - 1)/(pi a^2) (1 + (r/a)^2)^-beta`` with ``a = fwhm / (2 sqrt(2^(1/beta) - 1))``; Gaussian:
    ``exp(-r^2/2s^2)/(2 pi s^2)`` with ``s = fwhm / sqrt(8 ln 2)``. Both integrate to 1.
    """
    for k in range(table.shape[0]):
        ccd, start, flat_start, nx, ny, llx, lly, xbin, ybin = table[k]
        width = fwhm[ccd]
        columns = nx * xbin
        half = BOX * width
        core = (_CORE * width) ** 2
        if math.isinf(beta):
            scale = 4.0 * math.log(2.0) / (width * width)
            peak = scale / math.pi
        else:
            scale = 4.0 * (2.0 ** (1.0 / beta) - 1.0) / (width * width)
            peak = (beta - 1.0) * scale / math.pi
        for s in range(stars.shape[1]):
            sx, sy, electrons = stars[ccd, s]
            x0 = max(0, math.ceil(sx - half) - llx)
            x1 = min(columns, math.floor(sx + half) - llx + 1)
            y0 = max(0, math.ceil(sy - half) - lly)
            y1 = min(ny * ybin, math.floor(sy + half) - lly + 1)
            for j in range(y0, y1):
                dy = lly + j - sy
                for i in range(x0, x1):
                    dx = llx + i - sx
                    value = 0.0
                    if dx * dx + dy * dy < core:
                        for b in range(-1, 2):
                            for a in range(-1, 2):
                                r2 = (dx + a / 3.0) ** 2 + (dy + b / 3.0) ** 2
                                value += math.exp(-scale * r2) if math.isinf(beta) else (1.0 + scale * r2) ** -beta
                        value /= 9.0
                    else:
                        r2 = dx * dx + dy * dy
                        value = math.exp(-scale * r2) if math.isinf(beta) else (1.0 + scale * r2) ** -beta
                    pixel = start + (j // ybin) * nx + i // xbin
                    expected[pixel] += electrons * peak * value * flat[flat_start + j * columns + i]


@njit(cache=True, nogil=True)
def sum_bins(values: Floats32, table: Ints, size: int) -> Floats:
    """Sum values of unbinned pixels into the `size` binned pixels of a frame."""
    out = np.zeros(size)
    for k in range(table.shape[0]):
        start, flat_start, nx, ny, xbin, ybin = table[k, 1], table[k, 2], table[k, 3], table[k, 4], table[k, 7], table[k, 8]
        for j in range(ny * ybin):
            for i in range(nx * xbin):
                out[start + (j // ybin) * nx + i // xbin] += values[flat_start + j * nx * xbin + i]
    return out


def cosmic_rays(layout: Sequence[Patch], mean: float, rng: np.random.Generator) -> tuple[NDArray[np.intp], Floats]:
    """Draw the hits of a frame: indices of the pixels (some may repeat) and the electrons they leave there.

    Each hit is a straight track of one to six pixels that leaves some thousand electrons; `mean` is the number per CCD.
    """
    pixels: list[int] = []
    electrons: list[float] = []
    for ccd in range(5):
        here = [patch for patch in layout if patch.ccd == ccd]
        for _ in range(rng.poisson(mean)):
            patch = here[rng.integers(len(here))]
            nx, ny = patch.geometry.nx, patch.geometry.ny
            x, y, angle = rng.uniform(0, nx), rng.uniform(0, ny), rng.uniform(0, 2.0 * math.pi)
            charge = 500.0 + rng.exponential(4000.0)
            for step in range(int(rng.integers(1, 7))):
                i, j = math.floor(x + step * math.cos(angle)), math.floor(y + step * math.sin(angle))
                if 0 <= i < nx and 0 <= j < ny:
                    pixels.append(patch.start + j * nx + i)
                    electrons.append(charge)
    return np.array(pixels, np.intp), np.array(electrons)


def counts(expected: Floats, bias: Floats32, detector: Detector, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Read a frame out: photon noise on the expected electrons, gain, bias, read noise; ADU as the converter gives them."""
    adu = rng.poisson(expected).astype(np.float32)
    adu /= np.float32(detector.gain)
    adu += bias
    adu += np.float32(detector.read_noise) * rng.standard_normal(len(expected), np.float32)
    return np.clip(np.rint(adu), 0, 65535).astype(np.uint16)
