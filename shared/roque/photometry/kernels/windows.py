"""Windows as kernels see them: where they lie, and where the pixels of data and masters are in memory.

A kernel follows all the apertures of a CCD in one call and reads no more than the boxes it needs, wherever they fall. So it
gets a table of addresses in place of arrays: nothing is copied or decoded before it is asked for. Whoever makes a table
keeps the arrays alive while it is used.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from roque.errors import BadInput
from roque.frames import Geometry
from roque.frames.window import RawWords
from roque.photometry.kernels.compiled import inlined, inner, kernel

__all__ = [
    "BIAS",
    "CALIBRATED",
    "COUNTS",
    "DARK",
    "DEFECT",
    "DEFECTS",
    "FLAT",
    "GAIN",
    "NOISE",
    "OVERSCAN",
    "RAW",
    "RAY",
    "SATURATED",
    "SATURATION",
    "WORDS",
    "WORDS_SWAPPED",
    "Patch",
    "any_bad",
    "calibrate_box",
    "cut_box",
    "lay_words",
    "make_patch",
    "make_table",
    "place",
    "point_at_words",
    "set_geometry",
    "set_kind",
    "set_marking",
]

Table = NDArray[np.int64]

# columns: the geometry, the kind of pixels, whether bad ones are marked, then four numbers for each plane
_LLX, _LLY, _XBIN, _YBIN, _NX, _NY, _KIND, _MARKING = range(8)
_PLANES = 8
_ADDRESS, _ORIGIN, _YSTEP, _XSTEP = range(4)

RAW, BIAS, DARK, FLAT, NOISE, GAIN, OVERSCAN, SATURATION, DEFECTS = range(9)
"""Planes. Of windows that come calibrated, BIAS holds the counts less bias and DARK the processed counts. DEFECTS are bytes,
not 0 where a pixel is bad; SATURATION holds the raw counts from which one is saturated."""
_NPLANES = 9

DEFECT, SATURATED, RAY = 1, 2, 4
"""Bits of pixels that are left out: bad on the chip or in a master, saturated, hit by a cosmic ray."""

COUNTS, CALIBRATED, WORDS, WORDS_SWAPPED = range(4)
"""Kinds of pixels: floats; all calibrated; 16-bit words, native; words of the other byte order with the sign bit turned."""


class Patch(NamedTuple):
    """Memory for the pixels of a box, row after row, in the dtype of the data."""

    raw: NDArray[np.floating[Any]]
    deb: NDArray[np.floating[Any]]
    proc: NDArray[np.floating[Any]]
    R: NDArray[np.floating[Any]]
    G: NDArray[np.floating[Any]]
    bad: NDArray[np.uint8]
    """Bits of why a pixel is left out: DEFECT, SATURATED, RAY; 0 for one that counts."""


def make_patch(npixels: int, dtype: np.dtype[Any]) -> Patch:
    """Allocate memory for boxes of up to `npixels` pixels, which all count as long as none is marked."""
    raw, deb, proc, R, G = np.zeros((5, npixels), dtype)
    return Patch(raw, deb, proc, R, G, np.zeros(npixels, np.uint8))


def make_table(nwindows: int) -> Table:
    """Make a table for a number of windows, with no plane set: address 0 stands for none."""
    return np.zeros((nwindows, _PLANES + 4 * _NPLANES), np.int64)


def set_geometry(table: Table, window: int, geometry: Geometry) -> None:
    """Enter where a window lies."""
    g = geometry
    table[window, :_KIND] = g.llx, g.lly, g.xbin, g.ybin, g.nx, g.ny


def set_kind(table: Table, window: int, kind: int) -> None:
    """Enter what the pixels of a window are."""
    table[window, _KIND] = kind


def set_marking(table: Table, window: int) -> None:
    """Have the bad pixels of a window marked in every box; without it all of them count."""
    table[window, _MARKING] = 1


def place(table: Table, window: int, plane: int, array: NDArray[Any] | None) -> None:
    """Enter where a plane of a window is in memory; None takes it out.

    Parameters
    ----------
    array : array, shape (ny, nx)
        Any strides, also negative ones or zero. The caller keeps it alive.
    """
    column = _PLANES + 4 * plane
    if array is None:
        table[window, column : column + 4] = 0
        return
    size = array.itemsize
    ystep, xstep = (stride // size for stride in array.strides)
    ny, nx = array.shape
    # kernels take negative indices for places from the end: count from the lowest address instead
    origin = max(0, -ystep * (ny - 1)) + max(0, -xstep * (nx - 1))
    address = int(array.__array_interface__["data"][0]) - origin * size
    if any(stride % size for stride in array.strides):
        raise BadInput("pixels are not whole numbers of words apart in memory", remedy="report this camera's format")
    table[window, column : column + 4] = address, origin, ystep, xstep


def lay_words(table: Table, window: int, raw: RawWords) -> None:
    """Enter how the raw words of a window lie among those of a frame, which `point_at_words` is for."""
    column = _PLANES + 4 * RAW
    table[window, column + _ORIGIN : column + 4] = raw.first, raw.row_step, raw.column_step
    table[window, _KIND] = WORDS_SWAPPED if raw.swapped else WORDS


def point_at_words(table: Table, words: NDArray[np.uint16]) -> None:
    """Enter where the words of a frame are in memory; the caller keeps them alive."""
    table[:, _PLANES + 4 * RAW] = words.__array_interface__["data"][0]


@kernel
def cut_box(table: Table, window: int, x: float, y: float, xhalf: float, yhalf: float, box: NDArray[np.int64]) -> bool:
    """Find the pixels of a window that lie completely within a distance of a point.

    Parameters
    ----------
    x, y, xhalf, yhalf : float
        Point and distances, unbinned pixels.
    box : array of int64, shape (4,)
        First column, first row, number of columns and of rows; filled in.

    Returns
    -------
    bool
        Whether there are any.
    """
    xlo, ylo = table[window, _LLX] - 0.5, table[window, _LLY] - 0.5
    xbin, ybin, nx, ny = table[window, _XBIN], table[window, _YBIN], table[window, _NX], table[window, _NY]
    xhi, yhi = table[window, _LLX] - 1 + nx * xbin + 0.5, table[window, _LLY] - 1 + ny * ybin + 0.5
    if not (x + xhalf > xlo and x - xhalf < xhi and y + yhalf > ylo and y - yhalf < yhi):  # also if NaN
        box[:] = 0
        return False
    left = np.int64(max(0.0, np.ceil((x - xhalf - xlo) / xbin)))
    right = np.int64(max(0.0, np.ceil((xhi - (x + xhalf)) / xbin)))
    lower = np.int64(max(0.0, np.ceil((y - yhalf - ylo) / ybin)))
    upper = np.int64(max(0.0, np.ceil((yhi - (y + yhalf)) / ybin)))
    box[0], box[1] = left, lower
    box[2], box[3] = nx - left - right, ny - lower - upper
    return bool(box[2] > 0 and box[3] > 0)


@kernel
def calibrate_box(table: Table, window: int, box: NDArray[np.int64], scale: float, patch: Patch) -> None:
    """Decode and calibrate the pixels of a box.

    Parameters
    ----------
    box : array of int64, shape (4,)
        From `cut_box`.
    scale : float
        Factor of the dark.
    patch : Patch
        Filled in. Every step is rounded to the dtype of the data: ``deb = raw - overscan - bias``,
        ``proc = (deb - scale*dark)/flat``. Where bad pixels are marked, `proc` of those with a DEFECT is that of their
        neighbours, for searches and starts of fits.
    """
    x0, y0, nx, ny = box[0], box[1], box[2], box[3]
    _decode(table, window, x0, y0, nx, ny, patch.raw)
    _copy(table, window, NOISE, x0, y0, nx, ny, patch.R)
    _copy(table, window, GAIN, x0, y0, nx, ny, patch.G)
    if table[window, _KIND] == CALIBRATED:
        _copy(table, window, BIAS, x0, y0, nx, ny, patch.deb)
        _copy(table, window, DARK, x0, y0, nx, ny, patch.proc)
    else:
        _process(table, window, x0, y0, nx, ny, scale, patch)
    if table[window, _MARKING] != 0:
        _mark(table, window, x0, y0, nx, ny, patch)


@inlined
def _process(table: Table, window: int, x0: int, y0: int, nx: int, ny: int, scale: float, patch: Patch) -> None:
    """Make what is less the bias, and what is fully processed, from raw counts."""
    n = nx * ny
    deb, proc = patch.deb, patch.proc
    if table[window, _PLANES + 4 * BIAS] != 0:
        _copy(table, window, BIAS, x0, y0, nx, ny, deb)
    else:
        for k in range(n):
            deb[k] = 0
    if table[window, _PLANES + 4 * OVERSCAN] != 0:
        _copy(table, window, OVERSCAN, x0, y0, nx, ny, proc)
        for k in range(n):
            deb[k] = patch.raw[k] - proc[k] - deb[k]
    else:
        for k in range(n):
            deb[k] = patch.raw[k] - deb[k]
    if table[window, _PLANES + 4 * DARK] != 0:
        _copy(table, window, DARK, x0, y0, nx, ny, proc)
        factor = proc.dtype.type(scale)
        for k in range(n):
            proc[k] = deb[k] - factor * proc[k]
    else:
        for k in range(n):
            proc[k] = deb[k]
    if table[window, _PLANES + 4 * FLAT] != 0:
        _divide(table, window, x0, y0, nx, ny, proc)


@inlined
def _decode(table: Table, window: int, x0: int, y0: int, nx: int, ny: int, raw: NDArray[np.floating[Any]]) -> None:
    kind = table[window, _KIND]
    if kind <= CALIBRATED:
        _copy(table, window, RAW, x0, y0, nx, ny, raw)
        return
    address = table[window, _PLANES + _ADDRESS]
    origin, ystep, xstep = table[window, _PLANES + _ORIGIN], table[window, _PLANES + _YSTEP], table[window, _PLANES + _XSTEP]
    for j in range(ny):
        first = origin + (y0 + j) * ystep + x0 * xstep
        for i in range(nx):
            word = np.int64(_word(address, first + i * xstep))
            if kind == WORDS_SWAPPED:
                word = ((word & 0xFF) << 8 | word >> 8) ^ 0x8000
            raw[j * nx + i] = word


@inlined
def _copy(table: Table, window: int, plane: int, x0: int, y0: int, nx: int, ny: int, target: NDArray[np.floating[Any]]) -> None:
    column = _PLANES + 4 * plane
    address = table[window, column + _ADDRESS]
    origin, ystep, xstep = table[window, column + _ORIGIN], table[window, column + _YSTEP], table[window, column + _XSTEP]
    for j in range(ny):
        first = origin + (y0 + j) * ystep + x0 * xstep
        if xstep == 1:
            for i in range(nx):
                target[j * nx + i] = _number(address, first + i, target)
        elif xstep == 0:
            number = _number(address, first, target)
            for i in range(nx):
                target[j * nx + i] = number
        else:
            for i in range(nx):
                target[j * nx + i] = _number(address, first + i * xstep, target)


@inner
def any_bad(patch: Patch, n: int) -> bool:
    """Whether one of the first n pixels is left out."""
    found = False
    for pixel in range(n):
        found |= patch.bad[pixel] != 0
    return found


@inner
def _mark(table: Table, window: int, x0: int, y0: int, nx: int, ny: int, patch: Patch) -> None:
    """Mark the pixels of a box that are saturated, known to be bad, or made useless by a master; mend the latter two."""
    bad = patch.bad
    column = _PLANES + 4 * SATURATION
    address, limited = table[window, column + _ADDRESS], table[window, column + _ADDRESS] != 0
    level = _number(address, 0, patch.raw) if limited else patch.raw.dtype.type(np.inf)
    defects = 0
    for k in range(nx * ny):
        useful = abs(patch.proc[k]) < np.inf and patch.R[k] < np.inf and 0.0 < patch.G[k] < np.inf
        bad[k] = (SATURATED if patch.raw[k] >= level else 0) | (0 if useful else DEFECT)
        defects += not useful
    column = _PLANES + 4 * DEFECTS
    address = table[window, column + _ADDRESS]
    if address != 0:
        for j in range(ny):
            first = table[window, column + _ORIGIN] + (y0 + j) * table[window, column + _YSTEP]
            for i in range(nx):
                if _byte(address, first + (x0 + i) * table[window, column + _XSTEP]) != 0:
                    bad[j * nx + i] |= DEFECT
                    defects += 1
    if defects:
        _mend(nx, ny, patch)


@inner
def _mend(nx: int, ny: int, patch: Patch) -> None:
    """Give pixels with a DEFECT the mean of their nearest neighbours without; NaN if the box has none."""
    bad, proc = patch.bad, patch.proc
    for j in range(ny):
        for i in range(nx):
            if not bad[j * nx + i] & DEFECT:
                continue
            total, number, reach = 0.0, 0, 0
            while number == 0 and reach < max(nx, ny):
                reach += 1
                for v in range(max(0, j - reach), min(ny, j + reach + 1)):
                    for u in range(max(0, i - reach), min(nx, i + reach + 1)):
                        if not bad[v * nx + u] & DEFECT:
                            total += proc[v * nx + u]
                            number += 1
            proc[j * nx + i] = total / number if number else np.nan


@inlined
def _divide(table: Table, window: int, x0: int, y0: int, nx: int, ny: int, target: NDArray[np.floating[Any]]) -> None:
    column = _PLANES + 4 * FLAT
    address = table[window, column + _ADDRESS]
    origin, ystep, xstep = table[window, column + _ORIGIN], table[window, column + _YSTEP], table[window, column + _XSTEP]
    for j in range(ny):
        first = origin + (y0 + j) * ystep + x0 * xstep
        if xstep == 1:
            for i in range(nx):
                target[j * nx + i] /= _number(address, first + i, target)
        else:
            for i in range(nx):
                target[j * nx + i] /= _number(address, first + i * xstep, target)


def _load(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Load the number at an index from an address."""
    kind = context.get_value_type(signature.return_type)
    return builder.load(builder.gep(builder.inttoptr(arguments[0], kind.as_pointer()), [arguments[1]]))


def _type_word(_context: Any, _address: Any, _index: Any) -> Any:
    """Load a 16-bit word."""
    return types.uint16(types.int64, types.int64), _load


def _type_number(_context: Any, _address: Any, _index: Any, like: Any) -> Any:
    """Load a number of the dtype of an array."""
    return like.dtype(types.int64, types.int64, like), _load


def _type_byte(_context: Any, _address: Any, _index: Any) -> Any:
    """Load a byte."""
    return types.uint8(types.int64, types.int64), _load


_word: Any = intrinsic(_type_word)
_byte: Any = intrinsic(_type_byte)
_number: Any = intrinsic(_type_number)
