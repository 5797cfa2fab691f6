"""Series: values with errors and flags against time."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roque.lightcurves._running import running_median, scatter
from roque.photometry.flags import Flag

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["ANY_FLAG", "Series"]

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
Key = int | slice | Bools | NDArray[np.integer]

ANY_FLAG = 0xFFFFFFFF
"""Every bit: takes a point with any flag at all."""

_MAGNITUDE = 2.5 / math.log(10.0)


@dataclass(frozen=True, eq=False)
class Series:
    """Values against time, each with an error, flags and an exposure.

    Parameters
    ----------
    t : array of float64
        Times, days (after `phase`: cycles).
    y, ye : array of float32 or float64
        Values and their standard deviations; from logs float32, as in the HiPERCAM pipeline.
    bmask : array of uint32
        Bits of `roque.photometry.flags.Flag`.
    te : array of float64
        Exposures, in the unit of `t`.

    Notes
    -----
    It does what ``Tseries`` of the HiPERCAM pipeline does, with one difference: nothing changes a series in place. What
    there acts on the series itself (``ts.normalise()``) here gives a new one (``ts = ts.normalise()``).

    A point is *bad* if its time, value or error is NaN or infinite, and *flagged* if it has one of the bits asked for; the two
    are independent.
    """

    t: Floats
    y: Floats
    ye: Floats
    bmask: NDArray[np.uint32]
    te: Floats

    def __post_init__(self) -> None:
        if len({len(self.t), len(self.y), len(self.ye), len(self.bmask), len(self.te)}) != 1:
            raise ValueError("times, values, errors, flags and exposures of a series must have one length")

    def __len__(self) -> int:
        return len(self.t)

    def __getitem__(self, key: Key) -> Series:
        index = [key] if isinstance(key, int | np.integer) else key
        return Series(self.t[index], self.y[index], self.ye[index], self.bmask[index], self.te[index])

    # arithmetic: errors are taken as independent

    def __neg__(self) -> Series:
        return replace(self, y=-self.y)

    def __add__(self, other: Series | ArrayLike) -> Series:
        if isinstance(other, Series):
            return self._join(other, self.y + other.y, _root(self.ye, other.ye))
        return replace(self, y=self.y + np.asarray(other))

    def __sub__(self, other: Series | ArrayLike) -> Series:
        if isinstance(other, Series):
            return self._join(other, self.y - other.y, _root(self.ye, other.ye))
        return replace(self, y=self.y - np.asarray(other))

    def __mul__(self, other: Series | ArrayLike) -> Series:
        if isinstance(other, Series):
            return self._join(other, self.y * other.y, _root(other.y * self.ye, self.y * other.ye))
        factor = np.asarray(other)
        return replace(self, y=self.y * factor, ye=self.ye * np.abs(factor))

    def __truediv__(self, other: Series | ArrayLike) -> Series:
        with np.errstate(divide="ignore", invalid="ignore"):
            if isinstance(other, Series):
                ratio = self.y / other.y
                return self._join(other, ratio, _root(self.ye, self.y * other.ye / other.y) / np.abs(other.y))
            divisor = np.asarray(other)
            return replace(self, y=self.y / divisor, ye=self.ye / np.abs(divisor))

    __array_ufunc__ = None  # so that an array or numpy number on the left leaves the operation to the series

    def __radd__(self, other: ArrayLike) -> Series:
        return self + other

    def __rsub__(self, other: ArrayLike) -> Series:
        return -self + other

    def __rmul__(self, other: ArrayLike) -> Series:
        return self * other

    def __rtruediv__(self, other: ArrayLike) -> Series:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.asarray(other) / self.y
            return replace(self, y=ratio, ye=np.abs(ratio / self.y) * self.ye)

    # masks

    @property
    def bad(self) -> Bools:
        """Points with a time, value or error that is not finite."""
        return ~(np.isfinite(self.t) & np.isfinite(self.y) & np.isfinite(self.ye))

    def get_mask(self, bitmask: int | None = None, *, flag_bad: bool = True) -> Bools:
        """Points that are flagged with a bit of `bitmask`, or bad if `flag_bad`.

        Raises
        ------
        ValueError
            `bitmask` is `Flag.ALL_OK`: no bit to look for.
        """
        if bitmask == Flag.ALL_OK:
            raise ValueError("ALL_OK has no bit to look for: give None, a flag or ANY_FLAG")
        mask = self.bad if flag_bad else np.zeros(len(self), np.bool_)
        return mask if bitmask is None else mask | (self.bmask & np.uint32(bitmask) > 0)

    def set_bitmask(self, bits: int, where: Bools) -> Series:
        """Set bits of the points where `where` is true."""
        return replace(self, bmask=np.where(where, self.bmask | np.uint32(bits), self.bmask))

    def clear_bitmask(self, bits: int, where: Bools) -> Series:
        """Clear bits of the points where `where` is true."""
        return replace(self, bmask=np.where(where, self.bmask & ~np.uint32(bits), self.bmask))

    def flag_outliers(self, sigma: float = 4.0, width: int = 11, bitmask: int | None = None) -> Series:
        """Set OUTLIER where a value lies more than `sigma` from the median of the points around it.

        Parameters
        ----------
        sigma : float
            In units of the scatter of all points about their running medians (from the median deviation).
        width : int
            Good points of the running median, odd.
        bitmask : int or None
            Points with these flags, and bad ones, are left out and left alone.
        """
        good = np.flatnonzero(~self.get_mask(bitmask))
        if len(good) < width:
            return self
        rest = self.y[good] - running_median(self.y[good], width)
        where = np.zeros(len(self), np.bool_)
        where[good] = np.abs(rest) > sigma * scatter(rest)
        return self.set_bitmask(Flag.OUTLIER, where)

    # numbers

    def get_data(self, bitmask: int | None = None, *, flagged: bool = False) -> tuple[Floats, Floats, Floats, Floats]:
        """Times, exposures, values and errors of the good points, or, if `flagged`, of those flagged or bad."""
        mask = self.get_mask(bitmask)
        take = mask if flagged else ~mask
        return self.t[take], self.te[take], self.y[take], self.ye[take]

    def percentile(self, q: float | Floats, bitmask: int | None = None) -> tuple[Floats, Floats, Floats]:
        """Percentiles of the good values, of values less errors and of values plus errors."""
        _, _, y, ye = self.get_data(bitmask)
        low, middle, high = (np.asarray(np.percentile(v, q)) for v in (y - ye, y, y + ye))
        return middle, low, high

    def ymean(self, bitmask: int | None = None, *, weighted: bool = True) -> tuple[float, float]:
        """Mean of the good values and its error; weighted by inverse variances, or plain."""
        _, _, y, ye = self.get_data(bitmask)
        weights = 1.0 / ye**2 if weighted else np.ones(len(y))
        total = weights.sum()
        return float((weights * y).sum() / total), float(np.sqrt((weights**2 * ye**2).sum()) / total)

    def normalise(self, bitmask: int | None = None, method: Literal["median", "mean"] = "median") -> Series:
        """Divide by the median or mean of the good values."""
        values = self.get_data(bitmask)[2]
        return self / float(np.median(values) if method == "median" else np.mean(values))

    def to_mag(self) -> Series:
        """Turn fluxes into magnitudes of zero point 0; NaN where a flux is not positive."""
        with np.errstate(divide="ignore", invalid="ignore"):
            magnitude = np.where(self.y > 0, -2.5 * np.log10(self.y), np.nan)
            return replace(self, y=magnitude, ye=np.abs(_MAGNITUDE * self.ye / self.y))

    def from_mag(self) -> Series:
        """Turn magnitudes of zero point 0 into fluxes."""
        flux = 10.0 ** (-0.4 * self.y)
        return replace(self, y=flux, ye=flux * self.ye / _MAGNITUDE)

    # points

    def append(self, *others: Series) -> Series:
        """Join series one after another."""
        parts = (self, *others)
        return Series(
            np.concatenate([s.t for s in parts]),
            np.concatenate([s.y for s in parts]),
            np.concatenate([s.ye for s in parts]),
            np.concatenate([s.bmask for s in parts]),
            np.concatenate([s.te for s in parts]),
        )

    def clip_ends(self, start: int, end: int = 0) -> Series:
        """Leave out so many points at the start and at the end."""
        return self[start : len(self) - end]

    def phase(self, t0: float, period: float, *, fold: bool = False) -> Series:
        """Turn times into cycles from `t0` (in days, as `period`); folded into (-0.5, 0.5] and sorted if `fold`."""
        cycles = replace(self, t=(self.t - t0) / period, te=self.te / period)
        if not fold:
            return cycles
        folded = replace(cycles, t=cycles.t - np.ceil(cycles.t - 0.5))
        return folded[np.argsort(folded.t, kind="stable")]

    def bin(self, n: int, bitmask: int | None = None) -> Series:
        """Average blocks of `n` points; a rest is dropped.

        Parameters
        ----------
        n : int
            Points in a block.
        bitmask : int or None
            Points with these flags, and bad ones, are left out; what is left of their flags goes with the block.

        Returns
        -------
        Series
            Plain means of times and values, errors ``sqrt(sum(e^2))/k`` of k good points, exposures from the start of the
            first to the end of the last good one, flags OR-ed. NaN where a block has no good point.
        """
        blocks = len(self) // n
        t, y, ye, te = (v[: blocks * n].reshape(blocks, n) for v in (self.t, self.y, self.ye, self.te))
        good = ~self.get_mask(bitmask)[: blocks * n].reshape(blocks, n)
        count = np.where(good.any(axis=1), good.sum(axis=1), np.nan)
        begin = np.where(good, t - 0.5 * te, np.inf).min(axis=1, initial=np.inf)
        end = np.where(good, t + 0.5 * te, -np.inf).max(axis=1, initial=-np.inf)
        bits = self.bmask[: blocks * n] if bitmask is None else self.bmask[: blocks * n] & ~np.uint32(bitmask)
        return Series(
            np.where(good, t, 0.0).sum(axis=1) / count,
            np.where(good, y, 0.0).sum(axis=1, dtype=np.float64) / count,
            np.sqrt((np.where(good, ye, 0.0) ** 2).sum(axis=1, dtype=np.float64)) / count,
            np.bitwise_or.reduce(bits.reshape(blocks, n), axis=1, dtype=np.uint32),
            np.where(np.isfinite(count), end - begin, np.nan),
        )

    def to_table(self) -> Table:
        """Make an astropy table with the columns t, te, y, ye, bmask."""
        from astropy.table import Table  # noqa: PLC0415  tables take a third of a second to import

        return Table({"t": self.t, "te": self.te, "y": self.y, "ye": self.ye, "bmask": self.bmask})

    def _join(self, other: Series, y: Floats, ye: Floats) -> Series:
        if len(self) != len(other):
            raise ValueError(f"series of {len(self)} and {len(other)} points cannot be combined point by point")
        return Series(self.t, y, ye, self.bmask | other.bmask, self.te)


def _root(a: Floats, b: Floats) -> Floats:
    """Add two errors in quadrature, in their own precision."""
    return np.asarray(np.sqrt(a * a + b * b))
