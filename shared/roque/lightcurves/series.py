"""Series: values with errors and flags against time."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roque.lightcurves._running import running_median, scatter
from roque.lightcurves.airmass import airmass
from roque.lightcurves.barycentre import Barycentre
from roque.lightcurves.series_bins import in_blocks, in_intervals
from roque.lightcurves.series_files import columns_of_file, columns_of_table, write_columns
from roque.photometry.flags import Flag

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.axes import Axes

__all__ = ["ANY_FLAG", "Series"]

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
Key = int | slice | Bools | NDArray[np.integer]

ANY_FLAG = 0xFFFFFFFF
"""Every bit: takes a point with any flag at all."""

_MAGNITUDE = 2.5 / math.log(10.0)


@dataclass(frozen=True, eq=False, init=False)
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
        Exposures, in the unit of `t`. Of errors, flags and exposures that are not given all are 0.

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

    def __init__(
        self,
        t: ArrayLike,
        y: ArrayLike,
        ye: ArrayLike | None = None,
        bmask: ArrayLike | None = None,
        te: ArrayLike | None = None,
    ) -> None:
        times, values = np.asarray(t), np.asarray(y)
        given = {
            "t": times,
            "y": values,
            "ye": np.zeros(len(values), values.dtype) if ye is None else np.asarray(ye),
            "bmask": np.zeros(len(values), np.uint32) if bmask is None else np.asarray(bmask),
            "te": np.zeros(len(values)) if te is None else np.asarray(te),
        }
        if len({len(array) for array in given.values()}) != 1:
            raise ValueError("times, values, errors, flags and exposures of a series must have one length")
        for name, array in given.items():
            object.__setattr__(self, name, array)

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

    def clip(self, start: float, end: float) -> Series:
        """Keep the points whose times lie between two, both included."""
        return self[(self.t >= start) & (self.t <= end)]

    def split(self, gap: float) -> list[Series]:
        """Cut the series wherever the next time is more than `gap` later: nights, or runs one after another."""
        cuts = np.flatnonzero(np.diff(self.t) > gap) + 1
        bounds = [0, *cuts.tolist(), len(self)]
        return [self[a:b] for a, b in pairwise(bounds) if b > a]

    # times

    def tadd(self, days: float | Floats) -> Series:
        """Add to the times."""
        return replace(self, t=self.t + days)

    def tsub(self, days: float | Floats) -> Series:
        """Take off the times."""
        return replace(self, t=self.t - days)

    def tmul(self, factor: float) -> Series:
        """Multiply times and exposures: days become seconds with 86400."""
        return replace(self, t=self.t * factor, te=self.te * abs(factor))

    def tdiv(self, divisor: float) -> Series:
        """Divide times and exposures."""
        return replace(self, t=self.t / divisor, te=self.te / abs(divisor))

    def ttrans(self, function: Callable[[Floats], Floats], efunction: Callable[[Floats], Floats] | None = None) -> Series:
        """Put times through a function, and exposures through another, if there is one."""
        return replace(self, t=function(self.t), te=self.te if efunction is None else efunction(self.te))

    def to_bmjd(self, there: Barycentre, offset: float = 0.0) -> Series:
        """Turn times from MJD(UTC) into barycentric MJD(TDB), BJD(TDB) less 2400000.5, good to 0.1 ms for a good position.

        Parameters
        ----------
        there : Barycentre
            Position of the star and of the observatory; says what its accuracy rests on.
        offset : float
            Days that were taken off the times (`Hlog.offset`); they are not taken off again.
        """
        return replace(self, t=there.bmjd(self.t + offset))

    def to_hmjd(self, there: Barycentre, offset: float = 0.0) -> Series:
        """Turn times from MJD(UTC) into heliocentric MJD(UTC); otherwise as `to_bmjd`."""
        return replace(self, t=there.hmjd(self.t + offset))

    def to_airmass(self, there: Barycentre, offset: float = 0.0) -> Series:
        """Put airmasses in place of times (NaN below 5 degrees), and no exposures; `offset` as of `to_bmjd`."""
        masses = airmass(self.t + offset, there.ra, there.dec, there.longitude, there.latitude)
        return replace(self, t=masses, te=np.zeros(len(self)))

    def fold(self, t0: float, period: float) -> Series:
        """Turn times into cycles from `t0`, folded into (-0.5, 0.5] and sorted."""
        return self.phase(t0, period, fold=True)

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
        return in_blocks(self, n, bitmask)

    def downsize(self, other: Series, bitmask: int | None = None) -> Series:
        """Bin to the points of a series that has a whole number of times fewer, as of a CCD that skips read-outs.

        Raises
        ------
        ValueError
            The lengths do not fit together.
        """
        n = len(self) // len(other) if len(other) else 0
        if n < 1 or len(self) // n != len(other):
            raise ValueError(f"{len(self)} points cannot be binned to {len(other)}")
        return self.bin(n, bitmask)

    def resample(
        self, edges: Floats, bitmask: int | None = None, *, weighted: bool = True, errors_from_rms: bool = False
    ) -> Series:
        """Average the points between edges.

        Parameters
        ----------
        edges : array of float64
            Increasing times; an interval holds its first edge and not its last.
        bitmask : int or None
            Points with these flags, and bad ones, are left out.
        weighted : bool
            Whether by inverse variances (points without an error are then left out), or plainly.
        errors_from_rms : bool
            Whether errors come from the scatter of two or more points about their mean, or from their own errors.

        Returns
        -------
        Series
            A point for each interval: means of times and values, flags OR-ed, the length of the interval as exposure. An
            empty one has its middle as time, NaN and the flag NO_DATA.

        Raises
        ------
        ValueError
            Edges that do not increase.
        """
        return in_intervals(self, edges, bitmask, weighted=weighted, errors_from_rms=errors_from_rms)

    def to_table(self) -> Table:
        """Make an astropy table with the columns t, te, y, ye, bmask."""
        from astropy.table import Table  # noqa: PLC0415  tables take a third of a second to import

        return Table({"t": self.t, "te": self.te, "y": self.y, "ye": self.ye, "bmask": self.bmask})

    @classmethod
    def from_table(cls, table: Table | Mapping[str, ArrayLike]) -> Self:
        """Make a series of a table with the columns t and y, and if it has them ye, te and bmask.

        Times of astropy become MJD, columns with a unit of time days; what is masked becomes NaN.

        Raises
        ------
        BadInput
            It has no column t or y.
        """
        return cls(*columns_of_table(table))

    def write(self, path: str | os.PathLike[str], *, lcurve: bool = False, overwrite: bool = False) -> None:
        """Write the series as text, whole or not at all: columns t te y ye flags.

        Parameters
        ----------
        path : path
            File to write.
        lcurve : bool
            Whether as the program lcurve reads it: t te y ye, a weight of 1 and a division into 1 in place of the flags.
        overwrite : bool
            Whether a file that is there is replaced.

        Raises
        ------
        Conflict
            A file is there.
        """
        write_columns(self, Path(path), lcurve=lcurve, overwrite=overwrite)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `write` has written.

        Raises
        ------
        NotFound
            There is no such file.
        BadInput
            A line of it is not such.
        """
        return cls(*columns_of_file(Path(path)))

    def mplot(
        self,
        axes: Axes,
        colour: str = "b",
        fmt: str = ".",
        bitmask: int | None = None,
        *,
        flagged: bool = False,
        capsize: float = 0.0,
        errx: bool = True,
        erry: bool = True,
        trange: tuple[float, float] | None = None,
        **options: Any,
    ) -> None:
        """Draw the good points, or those flagged if `flagged`, into axes of matplotlib (or matplotlib.pyplot).

        Parameters
        ----------
        axes : Axes
            What to draw into.
        colour, fmt, capsize, **options
            As matplotlib has them.
        bitmask : int or None
            Flags that make a point bad.
        errx, erry : bool
            Whether to draw exposures and errors as bars.
        trange : tuple of float, optional
            Only times between these.
        """
        shown = self if trange is None else self.clip(*trange)
        t, te, y, ye = shown.get_data(bitmask, flagged=flagged)
        if not (errx or erry):
            axes.plot(t, y, fmt, color=colour, **options)
            return
        xerr, yerr = 0.5 * te if errx else None, ye if erry else None
        axes.errorbar(t, y, xerr=xerr, yerr=yerr, fmt=fmt, color=colour, capsize=capsize, **options)

    def report(self) -> str:
        """Say how many points there are, how many are bad, and how many have each flag."""
        lines = [f"{len(self)} points, {int(self.bad.sum())} bad, {int((self.bmask > 0).sum())} flagged"]
        lines += [f"{flag.name}: {count}" for flag in Flag if flag and (count := int((self.bmask & np.uint32(flag) > 0).sum()))]
        return "\n".join(lines)

    def _join(self, other: Series, y: Floats, ye: Floats) -> Series:
        if len(self) != len(other):
            raise ValueError(f"series of {len(self)} and {len(other)} points cannot be combined point by point")
        return Series(self.t, y, ye, self.bmask | other.bmask, self.te)


def _root(a: Floats, b: Floats) -> Floats:
    """Add two errors in quadrature, in their own precision."""
    return np.asarray(np.sqrt(a * a + b * b))
