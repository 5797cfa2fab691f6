"""Numbers to text and back, compiled: logs have tens of millions of them.

Both directions give what the C library gives: text is rounded from the exact binary value, half to even, and text of up
to 15 digits is read as the nearest double.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roque.compiling import njit

__all__ = ["BAD_COUNT", "BAD_NUMBER", "KINDS", "WIDEST", "format_rows", "index_rows", "merge_rows", "parse_rows"]

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Place = Any
"""A place in a text as uint64, where most of the time goes: a signed one would be asked whether it counts from the end."""

BAD_COUNT, BAD_NUMBER = 1, 2
"""What `parse_rows` may find wrong with a row."""

KINDS = ("?", "i4", "u4", "f4", "f8")
"""Types that `parse_rows` writes, by their code."""

WIDEST = 26
"""Bytes that a formatted number takes at most, with the blank behind it."""

_SPLITTER = 134217729.0  # 2^27 + 1
_TOO_BIG = 9.0e18
_HASH, _NEWLINE, _BLANK, _TAB, _RETURN = 35, 10, 32, 9, 13
_MINUS, _PLUS, _POINT, _ZERO, _NINE, _E, _CAPITAL_E = 45, 43, 46, 48, 57, 101, 69
# of the types that are whole numbers
_LEAST = np.array([-2147483648.0, -2147483648.0, 0.0])
_BEYOND = np.array([2147483648.0, 2147483648.0, 4294967296.0])
_POWERS = np.array([10**k for k in range(19)], np.int64)
_TENS = np.array([float(10**k) for k in range(19)])
_ONE = np.uint64(1)


@njit(cache=True, nogil=True)
def index_rows(text: Bytes, start: int, labels: Bytes, lengths: Ints) -> tuple[Ints, Ints, Ints]:
    """Find the rows of a log and the CCD of each.

    Parameters
    ----------
    text : array of uint8
        The log; it must end with a line end.
    start : int
        Where to begin, at the start of a line.
    labels : array of uint8, shape (ccds, width)
        Labels of the CCDs, filled up with zeros.
    lengths : array of int64, shape (ccds,)
        Their lengths.

    Returns
    -------
    begins, ends : array of int64
        Where the numbers of each row begin (behind the label) and end.
    ccds : array of int64
        Index of its CCD, -1 if its label is not known, -2 if the row holds a control character.
    """
    capacity = 1024
    found = np.empty((3, capacity), np.int64)
    row = 0
    place = start
    while place < len(text):
        place, end, is_row, clean = _line(text, place)
        if is_row:
            if row == capacity:
                capacity *= 2
                grown = np.empty((3, capacity), np.int64)
                grown[:, :row] = found
                found = grown
            stop = place
            while stop < end and text[stop] > _BLANK:
                stop += 1
            found[0, row], found[1, row], found[2, row] = stop, end, -1 if clean else -2
            for k in range(len(lengths) if clean else 0):
                same = lengths[k] == stop - place
                for i in range(lengths[k] if same else 0):
                    same = same and labels[k, i] == text[place + i]
                if same:
                    found[2, row] = k
            row += 1
        place = end + 1
    return found[0, :row], found[1, :row], found[2, :row]


@njit(cache=True, nogil=True)
def _line(text: Bytes, start: int) -> tuple[Any, Any, bool, bool]:
    """Look at a line: its first character that is not blank, its end, whether it is a row, and free of control characters."""
    clean = True
    place: Place = np.uint64(start)
    while text[place] <= _BLANK and text[place] != _NEWLINE:
        clean = clean and (text[place] == _BLANK or text[place] == _TAB or text[place] == _RETURN)
        place += _ONE
    # what begins with a control character is no comment, whatever follows
    is_comment = clean and text[place] == _HASH
    end = place
    while text[end] != _NEWLINE:
        if text[end] < _BLANK:  # seldom: most characters need no further look
            clean = clean and (text[end] == _TAB or text[end] == _RETURN)
        end += _ONE
    return np.int64(place), np.int64(end), (end > place or not clean) and not is_comment, clean


@njit(cache=True, nogil=True)
def parse_rows(text: Bytes, begins: Ints, ends: Ints, kinds: Ints, offsets: Ints, out: Bytes) -> tuple[int, int]:
    """Read rows of numbers into the bytes of structured rows.

    Parameters
    ----------
    text : array of uint8
        The log.
    begins, ends : array of int64
        Where each row begins and ends; a blank or a line end stands there.
    kinds, offsets : array of int64
        For each column the index of its type in `KINDS`, and its place in a row of `out`.
    out : array of uint8, shape (rows, bytes of a row)
        Bytes of the rows; changed in place.

    Returns
    -------
    row, fault : int
        The first row that cannot be read and what is wrong with it (`BAD_COUNT`, `BAD_NUMBER`); (-1, 0) if all is well.
    """
    for row in range(len(begins)):
        place: Place = np.uint64(begins[row])
        end: Place = np.uint64(ends[row])
        for column in range(len(kinds)):
            while place < end and text[place] <= _BLANK:
                place += _ONE
            if place >= end:
                return row, BAD_COUNT
            value, behind, fine = _read_plain(text, place)
            if not fine:
                value, other, fine = _read(text, np.int64(place), np.int64(end))  # type: ignore[arg-type]
                behind = np.uint64(other)
            if not fine:
                return row, BAD_NUMBER
            place = behind
            at, kind = offsets[column], kinds[column]
            if kind == 4:
                bits = np.float64(value).view(np.uint64)
                for i in range(8):
                    out[row, at + i] = (bits >> np.uint64(8 * i)) & np.uint64(255)
                continue
            if kind == 3:
                word = np.float32(value).view(np.uint32)
            elif value == math.floor(value) and _LEAST[kind] <= value < _BEYOND[kind]:
                word = np.uint32(np.int64(value))
            else:
                return row, BAD_NUMBER
            if kind == 0:
                out[row, at] = value != 0.0
            else:
                for i in range(4):
                    out[row, at + i] = (word >> (8 * i)) & 255
        while place < end:
            if text[place] > _BLANK:
                return row, BAD_COUNT
            place += _ONE
    return -1, 0


@njit(cache=True, nogil=True)
def _read_plain(text: Bytes, place: Place) -> tuple[float, Place, bool]:
    """Read digits with at most a minus and a point, 15 of them at most; as `_read`, which reads everything else."""
    negative = text[place] == _MINUS
    if negative:
        place += _ONE
    whole, place, digits = _digits(text, place, np.uint64(0))
    decimals = np.uint64(0)
    if text[place] == _POINT:
        whole, place, decimals = _digits(text, place + _ONE, whole)
    digits += decimals
    if digits == 0 or digits > 15 or text[place] > _BLANK:
        return 0.0, place, False
    # one operation on two exact numbers: the nearest double
    value = np.float64(np.int64(whole)) / _TENS[decimals]
    return -value if negative else value, place, True


@njit(cache=True, nogil=True, inline="always")
def _digits(text: Bytes, place: Place, whole: Any) -> tuple[Any, Place, Any]:
    """Read digits on from a number: the number, the place behind them, and how many there were."""
    first = place
    digit = np.uint64(text[place]) - np.uint64(_ZERO)
    while digit <= np.uint64(9):
        whole = whole * np.uint64(10) + digit
        place += _ONE
        digit = np.uint64(text[place]) - np.uint64(_ZERO)
    return whole, place, place - first


@njit(cache=True, nogil=True)
def _read(text: Bytes, place: int, end: int) -> tuple[float, int, bool]:
    """Read a number: its value, the place behind it, and whether it was one."""
    negative = text[place] == _MINUS
    if negative or text[place] == _PLUS:
        place += 1
    begin = place
    whole, fraction, decimals, exponent = np.int64(0), np.int64(0), 0, 0
    while place < end and _ZERO <= text[place] <= _NINE:
        if place - begin < 18:
            whole = whole * 10 + (text[place] - _ZERO)
        place += 1
    digits = place - begin
    if place < end and text[place] == _POINT:
        place += 1
        begin = place
        while place < end and _ZERO <= text[place] <= _NINE:
            if place - begin < 18:
                fraction = fraction * 10 + (text[place] - _ZERO)
            place += 1
        decimals = min(18, place - begin)
    if digits + decimals == 0:
        return _read_word(text, place, end, negative)
    if place < end and text[place] > _BLANK:
        place, exponent = _read_exponent(text, place, end)
    if place < end and text[place] > _BLANK:
        return 0.0, place, False
    if digits + decimals <= 15:
        # one operation on two exact numbers: the nearest double
        value = float(whole * _POWERS[decimals] + fraction)
        value = value / _TENS[decimals] if exponent == 0 else _shift(value, exponent - decimals)
    else:
        value = float(whole) + (float(fraction) / _TENS[decimals] if digits <= 18 else 0.0)
        exponent += max(0, digits - 18)
        if exponent != 0:
            value = _shift(value, exponent)
    return -value if negative else value, place, True


@njit(cache=True, nogil=True)
def _read_exponent(text: Bytes, place: int, end: int) -> tuple[int, int]:
    """Read an exponent: the place behind it, or the same place if there is none, and its value."""
    if text[place] != _E and text[place] != _CAPITAL_E:
        return place, 0
    begin = place
    place += 1
    down = place < end and text[place] == _MINUS
    if place < end and (down or text[place] == _PLUS):
        place += 1
    first, exponent = place, 0
    while place < end and _ZERO <= text[place] <= _NINE and place - first < 4:
        exponent = exponent * 10 + (text[place] - _ZERO)
        place += 1
    return (begin, 0) if place == first else (place, -exponent if down else exponent)


@njit(cache=True, nogil=True)
def _shift(value: float, places: int) -> float:
    """Multiply by a power of ten."""
    return value * 10.0**places if places >= 0 else value / 10.0**-places


@njit(cache=True, nogil=True)
def _read_word(text: Bytes, place: int, end: int, negative: bool) -> tuple[float, int, bool]:
    """Read nan or inf in any case."""
    stop = place
    while stop < end and text[stop] > _BLANK:
        stop += 1
    if stop - place == 3:
        first, second, third = text[place] | 32, text[place + 1] | 32, text[place + 2] | 32
        if first == 110 and second == 97 and third == 110:
            return math.nan, stop, True
        if first == 105 and second == 110 and third == 102:
            return -math.inf if negative else math.inf, stop, True
    return 0.0, place, False


@njit(cache=True, nogil=True)
def format_rows(values: Floats, decimals: Ints, label: Bytes, exposures: Bytes, lengths: Ints, out: Bytes, starts: Ints) -> int:
    """Write rows of numbers as text, each number followed by a blank, each row by a line end.

    Parameters
    ----------
    values : array of float64, shape (rows, columns)
        The numbers.
    decimals : array of int64, shape (columns,)
        Decimals of each column, -1 for an integer, -2 for the exposure.
    label : array of uint8
        Text before the numbers.
    exposures, lengths : array of uint8, shape (rows, width), and of int64, shape (rows,)
        Texts of the exposures and their lengths.
    out : array of uint8
        Where to write: at least ``rows * (len(label) + 2 + WIDEST * columns)`` bytes.
    starts : array of int64, shape (rows + 1,)
        Filled with the places where the rows begin, and the end.

    Returns
    -------
    int
        The first row with a number too big for its decimals, or -1.
    """
    place = 0
    for row in range(values.shape[0]):
        starts[row] = place
        for i in range(len(label)):
            out[place] = label[i]
            place += 1
        out[place] = _BLANK
        place += 1
        for column in range(values.shape[1]):
            if decimals[column] == -2:
                for i in range(lengths[row]):
                    out[place] = exposures[row, i]
                    place += 1
            else:
                place = _write(values[row, column], max(0, decimals[column]), out, place)
                if place < 0:
                    return row
            out[place] = _BLANK
            place += 1
        out[place] = _NEWLINE
        place += 1
    starts[values.shape[0]] = place
    return -1


@njit(cache=True, nogil=True)
def _write(value: float, decimals: int, out: Bytes, place: int) -> int:
    """Write a number with so many decimals; the place behind it, -1 if it is too big."""
    if math.isnan(value):
        out[place], out[place + 1], out[place + 2] = 110, 97, 110
        return place + 3
    if math.copysign(1.0, value) < 0.0:
        out[place] = _MINUS
        place += 1
        value = -value
    power = 10.0**decimals
    if not value * power < _TOO_BIG:
        return -1
    digits = _scaled(value, power)
    begin = place
    count = 0
    while digits > 0 or count <= decimals:
        out[place] = _ZERO + digits % 10
        digits //= 10
        place += 1
        count += 1
        if count == decimals and decimals > 0:
            out[place] = _POINT
            place += 1
    # digits came last first
    left, right = begin, place - 1
    while left < right:
        out[left], out[right] = out[right], out[left]
        left += 1
        right -= 1
    return place


@njit(cache=True, nogil=True)
def _scaled(value: float, power: float) -> int:
    """Round ``value * power`` (both at least 0) to an integer as if the product were exact, half to even.

    The product is made exact as a sum of two doubles (Dekker 1971, Numer. Math. 18, 224).
    """
    product = value * power
    t = _SPLITTER * value
    vh = t - (t - value)
    vl = value - vh
    t = _SPLITTER * power
    ph = t - (t - power)
    pl = power - ph
    error = ((vh * ph - product) + vh * pl + vl * ph) + vl * pl
    floor = math.floor(product)
    rest = product - floor
    if rest == 0.0:  # a big product has no fraction of its own: all of it is in the error
        down = math.floor(error)
        rest, error = error - down, 0.0
        whole = floor + down
    else:
        whole = floor
    above = (rest - 0.5) + error
    if above > 0.0 or (above == 0.0 and whole % 2 == 1):
        whole += 1
    return whole


@njit(cache=True, nogil=True)
def merge_rows(text: Bytes, begins: Ints, ends: Ints, mark_first: bool, out: Bytes) -> int:
    """Copy pieces of text one after another, with a line ``#`` before (or behind) each; the number of bytes written."""
    place = 0
    for row in range(len(begins)):
        if mark_first:
            out[place], out[place + 1] = _HASH, _NEWLINE
            place += 2
        for i in range(begins[row], ends[row]):
            out[place] = text[i]
            place += 1
        if not mark_first:
            out[place], out[place + 1] = _HASH, _NEWLINE
            place += 2
    return place
