"""Finding stars on an image: positions, brightness and shape; what is no star is left out."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import sep
from numpy.typing import NDArray

from roque.compiling import njit
from roque.frames import Geometry

__all__ = ["STAR", "Field", "Stars", "find_stars", "typical_fwhm"]

STAR = np.dtype(
    [
        ("window", "U8"),  # label of the window
        ("x", "f8"),  # unbinned pixels
        ("y", "f8"),
        ("flux", "f8"),  # in a circle of 1.8 FWHM radius, less the sky, ADU
        ("peak", "f8"),  # brightest pixel above the sky, ADU
        ("fwhm", "f8"),  # unbinned pixels
        ("elongation", "f8"),  # major over minor axis
        ("edge", "f8"),  # distance to the nearest edge of the window, unbinned pixels
        ("snr", "f8"),  # of the flux against the noise of the sky and of the star
    ]
)

Stars = NDArray[np.void]
"""Structured array of dtype `STAR`, brightest first."""

Floats = NDArray[np.floating[Any]]

APERTURE = 1.8
"""Radius of the circle that fluxes are summed in, in FWHM."""

_MESH = 64  # of the sky, binned pixels
_LEAST_PIXELS = 4  # above the threshold
_ONE_PIXEL = 0.15  # neighbours of the brightest pixel, in its units, up to which it stands alone: 0.4 in a FWHM of 1.65 pixels
_SHAPES = (0.6, 1.7)  # FWHM of stars, in units of the typical one
_MOST_ELONGATED = 2.5


class Field(NamedTuple):
    """What was found in one window."""

    stars: Stars
    noise: float
    """Noise of the sky, RMS counts per binned pixel."""


def find_stars(image: Floats, geometry: Geometry, *, window: str = "", threshold: float = 4.0, gain: float = 1.0) -> Field:
    """Find the stars of an image.

    Parameters
    ----------
    image : array
        Counts, shape (ny, nx); NaN where there are none.
    geometry : Geometry
        Where the image lies.
    window : str
        Label of the window, carried along.
    threshold : float
        Of a pixel of the smoothed image, in RMS of the sky.
    gain : float
        Electrons per count, for the noise of the stars.

    Returns
    -------
    Field
        Stars, brightest first, and the noise of the sky. Hot pixels and cosmic rays are left out where they show:
        a pixel whose four neighbours are empty, a shape that a round weight does not settle on (but for stars that touch).

    Notes
    -----
    Detection is that of SExtractor [1]_. Centre and FWHM come from moments under a round Gaussian weight whose width
    follows the star's, which undersampled stars and near neighbours disturb little.

    References
    ----------
    .. [1] Bertin & Arnouts 1996, A&AS 117, 393
    """
    bad = ~np.isfinite(image)
    counts = np.where(bad, 0.0, image).astype(np.float64, order="C")
    if bad.all() or min(counts.shape) < 2 * _LEAST_PIXELS:
        return Field(np.zeros(0, STAR), math.nan)
    sky = sep.Background(counts, mask=bad, bw=min(_MESH, counts.shape[1]), bh=min(_MESH, counts.shape[0]))
    noise = float(sky.globalrms)
    counts -= sky.back()
    counts[bad] = 0.0
    if noise <= 0.0:
        return Field(np.zeros(0, STAR), noise)
    found = _detect(counts, threshold * noise, bad)
    columns, rows, shapes = found["xpeak"].astype(np.int64), found["ypeak"].astype(np.int64), np.empty((len(found), 4))
    _measure(counts, columns, rows, float(geometry.xbin), float(geometry.ybin), shapes)
    _keep_blends(found, shapes)
    real = np.isfinite(shapes[:, 2]) & (shapes[:, 3] < _MOST_ELONGATED) & ~_stands_alone(counts, columns, rows, noise)
    stars = _describe(counts, geometry, columns[real], rows[real], shapes[real], noise=noise, gain=gain)
    stars["window"] = window
    return Field(stars[np.argsort(-stars["flux"], kind="stable")], noise)


def typical_fwhm(stars: Stars) -> float:
    """FWHM that most stars share, unbinned pixels: the median over the better half by signal to noise; NaN without stars."""
    if not len(stars):
        return math.nan
    return float(np.median(stars["fwhm"][stars["snr"] >= np.median(stars["snr"])]))


def _detect(counts: Floats, threshold: float, bad: NDArray[np.bool_]) -> NDArray[np.void]:
    # the defaults overflow on large or crowded images
    sep.set_extract_pixstack(max(300_000, counts.size))
    sep.set_sub_object_limit(4096)
    found: NDArray[np.void] = sep.extract(counts, threshold, mask=bad, minarea=_LEAST_PIXELS)
    return found


def _keep_blends(found: NDArray[np.void], shapes: Floats) -> None:
    """Give stars that touch others, and on which the moments drift away, the peak's position and the median width.

    They are no good to measure, but the star beside them must not seem to be alone.
    """
    lost = ~np.isfinite(shapes[:, 2])
    blended = lost & ((found["flag"] & sep.OBJ_MERGED) != 0)
    if blended.any() and not lost.all():
        shapes[blended, 0], shapes[blended, 1] = found["xpeak"][blended], found["ypeak"][blended]
        shapes[blended, 2:] = float(np.median(shapes[~lost, 2])), 1.0


def _stands_alone(counts: Floats, columns: NDArray[np.int64], rows: NDArray[np.int64], noise: float) -> NDArray[np.bool_]:
    """Whether the brightest pixel is far above all its neighbours, as a hot pixel is."""
    padded = np.pad(counts, 1, mode="edge")
    j, i = rows + 1, columns + 1
    neighbours = (padded[j - 1, i] + padded[j + 1, i] + padded[j, i - 1] + padded[j, i + 1]) / 4.0
    alone: NDArray[np.bool_] = neighbours < _ONE_PIXEL * padded[j, i] + noise
    return alone


def _describe(
    counts: Floats,
    geometry: Geometry,
    columns: NDArray[np.int64],
    rows: NDArray[np.int64],
    shapes: Floats,
    *,
    noise: float,
    gain: float,
) -> Stars:
    stars = np.zeros(len(shapes), STAR)
    stars["x"] = geometry.x(0) + geometry.xbin * shapes[:, 0]
    stars["y"] = geometry.y(0) + geometry.ybin * shapes[:, 1]
    stars["fwhm"], stars["elongation"] = shapes[:, 2], shapes[:, 3]
    stars["peak"] = counts[rows, columns]
    if not len(stars):
        return stars
    size = math.sqrt(geometry.xbin * geometry.ybin)
    radius = APERTURE * float(np.median(stars["fwhm"])) / size
    stars["flux"], _, _ = sep.sum_circle(counts, shapes[:, 0], shapes[:, 1], radius)
    stars["snr"] = stars["flux"] / np.sqrt(math.pi * radius**2 * noise**2 + np.maximum(stars["flux"], 0.0) / gain)
    stars["edge"] = [geometry.distance(x, y) for x, y in zip(stars["x"], stars["y"], strict=True)]
    inside = (stars["edge"] > 0.0) & (stars["flux"] > 0.0)
    low, high = (limit * typical_fwhm(stars[inside]) for limit in _SHAPES)
    kept: Stars = stars[inside & (stars["fwhm"] > low) & (stars["fwhm"] < high)]
    return kept


@njit(cache=True, nogil=True)
def _measure(
    counts: Floats, columns: NDArray[np.int64], rows: NDArray[np.int64], xbin: float, ybin: float, shapes: Floats
) -> None:
    """Fill `shapes` with column, row (binned, real), FWHM (unbinned) and elongation of each star; NaN where none converges.

    The weight is ``exp(-r^2/(2 s^2))``. The product of two Gaussians of width s has a variance of s^2/2: hence the factors 2.
    """
    ny, nx = counts.shape
    longest = max(nx * xbin, ny * ybin) / 4.0
    for k in range(len(columns)):
        x, y = float(columns[k]), float(rows[k])
        s = 1.5 * math.sqrt(xbin * ybin)
        converged = False
        xx = yy = xy = 0.0
        for _ in range(100):
            total = sx = sy = xx = yy = xy = 0.0
            reach_x, reach_y = 4.0 * s / xbin, 4.0 * s / ybin
            for j in range(max(0, math.floor(y - reach_y)), min(ny, math.ceil(y + reach_y) + 1)):
                dy = (j - y) * ybin
                for i in range(max(0, math.floor(x - reach_x)), min(nx, math.ceil(x + reach_x) + 1)):
                    dx = (i - x) * xbin
                    w = math.exp(-(dx * dx + dy * dy) / (2.0 * s * s)) * counts[j, i]
                    total += w
                    sx += w * dx
                    sy += w * dy
                    xx += w * dx * dx
                    yy += w * dy * dy
                    xy += w * dx * dy
            if total <= 0.0:
                break
            sx, sy, xx, yy, xy = sx / total, sy / total, xx / total, yy / total, xy / total
            xx, yy, xy = 2.0 * (xx - sx * sx), 2.0 * (yy - sy * sy), 2.0 * (xy - sx * sy)
            if xx + yy <= 0.0:
                break
            wider = math.sqrt((xx + yy) / 2.0)
            x, y = x + 2.0 * sx / xbin, y + 2.0 * sy / ybin
            away = math.hypot((x - columns[k]) * xbin, (y - rows[k]) * ybin)
            if wider > longest or away > max(2.0 * max(xbin, ybin), s):
                break
            if abs(wider - s) < 1e-4 * s and math.hypot(sx, sy) < 1e-4 * s:
                converged = True
                break
            s = wider
        if converged:
            half, root = (xx + yy) / 2.0, math.sqrt(((xx - yy) / 2.0) ** 2 + xy * xy)
            shapes[k, 0], shapes[k, 1] = x, y
            shapes[k, 2] = math.sqrt(8.0 * math.log(2.0)) * s
            shapes[k, 3] = math.sqrt((half + root) / max(half - root, 1e-12))
        else:
            shapes[k, :] = math.nan
