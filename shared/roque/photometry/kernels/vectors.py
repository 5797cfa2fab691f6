"""Arithmetic that is written once and becomes instructions for single numbers or for registers of eight.

A compiler that is left alone fetches from tables one number an instruction, which takes longer than all the arithmetic of a
profile, and does not find what lies side by side. So formulas are written with the classes here, which build the compiler's
intermediate code; no operation is fused with another or takes another's place but those that are written so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils
from numpy.typing import NDArray

__all__ = [
    "EVEN",
    "INTEGER",
    "LOWER",
    "NUMBER",
    "ODD",
    "UPPER",
    "WIDTH",
    "Integers",
    "Reals",
    "fma",
    "integer",
    "look_up",
    "shuffle",
]

WIDTH = 8
"""Numbers in a register."""
INTEGER = ir.IntType(64)
NUMBER = ir.DoubleType()
LOWER, UPPER = [0, 8, 2, 10, 4, 12, 6, 14], [1, 9, 3, 11, 5, 13, 7, 15]
"""Places in two registers of the first and second numbers of all pairs, the first register's beside the second's."""
EVEN, ODD = [0, 1, 4, 5, 8, 9, 12, 13], [2, 3, 6, 7, 10, 11, 14, 15]
"""Places of every other pair, of the first register and then of the second."""


class _Lanes:
    """One number, or a register of them."""

    _single: Any

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    @property
    def width(self) -> int:
        """How many numbers there are."""
        return self.value.type.count if isinstance(self.value.type, ir.VectorType) else 1

    def _new(self, value: Any) -> Self:
        return type(self)(self.builder, value)

    def _same(self, other: Any) -> Any:
        """Give the other operand, which may be one of Python's numbers."""
        if isinstance(other, _Lanes):
            return other.value
        return _constant(self._single, other, self.width)


class Reals(_Lanes):
    """Double precision."""

    _single = NUMBER

    def __add__(self, other: Any) -> Reals:
        return self._new(self.builder.fadd(self.value, self._same(other)))

    def __radd__(self, other: Any) -> Reals:
        return self._new(self.builder.fadd(self._same(other), self.value))

    def __sub__(self, other: Any) -> Reals:
        return self._new(self.builder.fsub(self.value, self._same(other)))

    def __mul__(self, other: Any) -> Reals:
        return self._new(self.builder.fmul(self.value, self._same(other)))

    def __rmul__(self, other: Any) -> Reals:
        return self._new(self.builder.fmul(self._same(other), self.value))

    def __truediv__(self, other: Any) -> Reals:
        return self._new(self.builder.fdiv(self.value, self._same(other)))

    def __neg__(self) -> Reals:
        return self._new(self.builder.fneg(self.value))

    def bits(self) -> Integers:
        """Give what is in memory."""
        return Integers(self.builder, self.builder.bitcast(self.value, _kind(INTEGER, self.width)))

    def compare(self, how: str, other: Any) -> Any:
        """Compare: what is not a number compares as told by ``how`` with ``not`` before it, which then is true."""
        how, compared = (how[4:], self.builder.fcmp_unordered) if how.startswith("not ") else (how, self.builder.fcmp_ordered)
        if compared == self.builder.fcmp_unordered:
            how = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}[how]
        return compared(how, self.value, self._same(other))

    def where(self, mask: Any, other: Any) -> Reals:
        """Give these where a comparison holds, else the other."""
        return self._new(self.builder.select(mask, self.value, self._same(other)))

    def lane(self, k: int) -> Any:
        """Give a single number."""
        return self.builder.extract_element(self.value, integer(k))


class Integers(_Lanes):
    """Integers of 64 bits, with sign."""

    _single = INTEGER

    def __add__(self, other: Any) -> Integers:
        return self._new(self.builder.add(self.value, self._same(other)))

    def __sub__(self, other: Any) -> Integers:
        return self._new(self.builder.sub(self.value, self._same(other)))

    def __and__(self, other: Any) -> Integers:
        return self._new(self.builder.and_(self.value, self._same(other)))

    def __lshift__(self, other: int) -> Integers:
        return self._new(self.builder.shl(self.value, self._same(other)))

    def __rshift__(self, other: int) -> Integers:
        return self._new(self.builder.ashr(self.value, self._same(other)))

    def reals(self) -> Reals:
        """Give the numbers that have these bits."""
        return Reals(self.builder, self.builder.bitcast(self.value, _kind(NUMBER, self.width)))

    def converted(self) -> Reals:
        """Give the same numbers in double precision."""
        return Reals(self.builder, self.builder.sitofp(self.value, _kind(NUMBER, self.width)))


def fma(a: Reals, b: Reals | float, c: Reals | float) -> Reals:
    """``a*b + c``, rounded once: one instruction where the processor has it, else slow, with the same bits."""
    builder, kind = a.builder, a.value.type
    name = "llvm.fma.f64" if a.width == 1 else f"llvm.fma.v{a.width}f64"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)  # type: ignore[no-untyped-call]
    return Reals(builder, builder.call(function, [a.value, a._same(b), a._same(c)]))  # noqa: SLF001


def look_up(name: str, table: NDArray[np.float64], i: Integers) -> list[Reals]:
    """Numbers of rows i of a table of two or four columns.

    Parameters
    ----------
    name : str
        Of the table, as no other is called.
    table : array of float64, shape (rows, 2 or 4)
    i : Integers

    Returns
    -------
    list of Reals
        One for each column.
    """
    builder, columns = i.builder, table.shape[1]
    start = builder.bitcast(_stored(builder, name, table), ir.VectorType(NUMBER, columns).as_pointer())
    indices = [i.value] if i.width == 1 else _through_memory(i)
    rows = [builder.load(builder.gep(start, [index]), align=8 * columns) for index in indices]
    if i.width == 1:
        return [Reals(builder, builder.extract_element(rows[0], integer(k))) for k in range(columns)]
    return [Reals(builder, vector) for vector in (_paired(builder, rows) if columns == 2 else _turned(builder, rows))]


def _through_memory(i: Integers) -> list[Any]:
    """Eight integers as single ones: from one kind of register to the other memory is the shorter way."""
    builder = i.builder
    slot = cgutils.alloca_once(builder, i.value.type)  # type: ignore[no-untyped-call]
    builder.store(i.value, slot, align=8 * WIDTH)
    # the compiler, who knows better, is not to know what lies there
    kind = ir.FunctionType(ir.VoidType(), [slot.type])
    builder.asm(kind, "", "r,~{memory}", [slot], side_effect=True)
    start = builder.bitcast(slot, INTEGER.as_pointer())
    return [builder.load(builder.gep(start, [integer(k)]), align=8) for k in range(WIDTH)]


def _paired(builder: Any, rows: Sequence[Any]) -> list[Any]:
    """Eight pairs as two registers: those with even and with odd numbers first, as they then lie side by side."""
    even, odd = (_joined(builder, [_joined(builder, rows[k:4:2]), _joined(builder, rows[4 + k :: 2])]) for k in (0, 1))
    return [shuffle(builder, even, odd, places) for places in (LOWER, UPPER)]


def _turned(builder: Any, rows: Sequence[Any]) -> list[Any]:
    """Eight rows of four as four registers."""
    halves = []
    for k in (0, 4):
        even, odd = (_joined(builder, [rows[k + j], rows[k + j + 2]]) for j in (0, 1))
        halves.append([shuffle(builder, even, odd, places) for places in (LOWER, UPPER)])
    return [shuffle(builder, halves[0][j % 2], halves[1][j % 2], (EVEN, ODD)[j // 2]) for j in range(4)]


def _joined(builder: Any, vectors: Sequence[Any]) -> Any:
    """Two vectors as one of twice the length."""
    first, second = vectors
    return shuffle(builder, first, second, list(range(2 * first.type.count)))


def shuffle(builder: Any, first: Any, second: Any, places: list[int]) -> Any:
    """Elements of two vectors, one after the other, at some places."""
    return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places))


def _stored(builder: Any, name: str, table: NDArray[np.float64]) -> Any:
    """Address of a table in the module that is compiled."""
    found = builder.module.globals.get(name)
    if found is None:
        kind = ir.ArrayType(NUMBER, table.size)
        found = ir.GlobalVariable(builder.module, kind, name)
        found.initializer = ir.Constant(kind, table.ravel().tolist())
        found.linkage, found.global_constant, found.align = "private", True, 64
    return found


def _kind(single: Any, width: int) -> Any:
    return single if width == 1 else ir.VectorType(single, width)


def _constant(single: Any, value: Any, width: int) -> Any:
    return ir.Constant(single, value) if width == 1 else ir.Constant(ir.VectorType(single, width), [value] * width)


def integer(k: int) -> Any:
    """Write an integer as a constant."""
    return ir.Constant(INTEGER, k)
