"""Averages over the points of a series: blocks of so many, and intervals of time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from roque.photometry.flags import Flag

if TYPE_CHECKING:
    from roque.lightcurves.series import Series

__all__ = ["in_blocks", "in_intervals"]

Floats = NDArray[np.floating[Any]]


def in_blocks(series: Series, n: int, bitmask: int | None) -> Series:
    """Average blocks of `n` points: see `roque.lightcurves.series.Series.bin`."""
    blocks = len(series) // n
    t, y, ye, te = (v[: blocks * n].reshape(blocks, n) for v in (series.t, series.y, series.ye, series.te))
    good = ~series.get_mask(bitmask)[: blocks * n].reshape(blocks, n)
    count = np.where(good.any(axis=1), good.sum(axis=1), np.nan)
    begin = np.where(good, t - 0.5 * te, np.inf).min(axis=1, initial=np.inf)
    end = np.where(good, t + 0.5 * te, -np.inf).max(axis=1, initial=-np.inf)
    bits = series.bmask[: blocks * n] if bitmask is None else series.bmask[: blocks * n] & ~np.uint32(bitmask)
    return replace(
        series,
        t=np.where(good, t, 0.0).sum(axis=1) / count,
        y=np.where(good, y, 0.0).sum(axis=1, dtype=np.float64) / count,
        ye=np.sqrt((np.where(good, ye, 0.0) ** 2).sum(axis=1, dtype=np.float64)) / count,
        bmask=np.bitwise_or.reduce(bits.reshape(blocks, n), axis=1, dtype=np.uint32),
        te=np.where(np.isfinite(count), end - begin, np.nan),
    )


def in_intervals(series: Series, edges: Floats, bitmask: int | None, *, weighted: bool, errors_from_rms: bool) -> Series:
    """Average the points between edges: see `roque.lightcurves.series.Series.resample`."""
    edges = np.asarray(edges, np.float64)
    if edges.ndim != 1 or len(edges) < 2 or not np.all(np.diff(edges) > 0):
        raise ValueError("edges of intervals must be two or more, each later than the one before")
    good = ~series.get_mask(bitmask)
    if weighted:
        good &= series.ye > 0
    place = np.searchsorted(edges, series.t[good], side="right") - 1
    inside = (place >= 0) & (place < len(edges) - 1)
    place, taken = place[inside], np.flatnonzero(good)[inside]
    t, y, ye = (v[taken].astype(np.float64) for v in (series.t, series.y, series.ye))

    def total(values: Floats) -> Floats:
        return np.bincount(place, values, len(edges) - 1).astype(np.float64)

    count = total(np.ones(len(taken)))
    weights = 1.0 / ye**2 if weighted else np.ones(len(taken))
    with np.errstate(divide="ignore", invalid="ignore"):
        norm = total(weights)
        mean = total(weights * y) / norm
        error = np.sqrt(total((weights * ye) ** 2)) / norm
        if errors_from_rms:
            rms = np.sqrt(total(weights * (y - mean[place]) ** 2) / norm / (count - 1.0))
            error = np.where(count > 1, rms, error)
        times = np.where(count > 0, total(weights * t) / norm, 0.5 * (edges[1:] + edges[:-1]))
    bits = np.zeros(len(edges) - 1, np.uint32)
    np.bitwise_or.at(bits, place, series.bmask[taken] & ~np.uint32(bitmask or 0))
    return replace(
        series, t=times, y=mean, ye=error, bmask=np.where(count > 0, bits, np.uint32(Flag.NO_DATA)), te=np.diff(edges)
    )
