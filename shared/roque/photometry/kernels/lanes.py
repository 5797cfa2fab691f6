"""Work on eight columns at a time: rows of eight numbers held in vector registers.

The sums of MINPACK run down a column, one addition after the other, and no other order gives their bits. So it is columns
that lie side by side in a register here, not pixels. A compiler finds no such thing in a loop over columns; hence these are
written as operations on vectors, which become as many registers as the machine needs.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]

from roque.photometry.kernels.instructions import broadcast, instructions, loop, row
from roque.photometry.kernels.norm import SMALL
from roque.photometry.kernels.vectors import NUMBER, WIDTH, Integers, Reals, fma, integer

__all__ = ["add_square", "multiply", "project", "reflect"]

_VECTOR = ir.VectorType(NUMBER, WIDTH)
_NONE = ir.Constant(_VECTOR, [0.0] * WIDTH)


def _write_project(
    builder: Any, rows: Any, k: Integers, length: Reals, start: Integers, n: Integers, column: Any, sums: Any
) -> None:
    """Sum the products of columns with column k over its length, kept in `column`, one added to its first.

    Rows count from `start` to `n`.
    """

    def element(i: Any) -> Any:
        return builder.load(builder.gep(rows, [builder.add(builder.mul(i, integer(WIDTH)), k.value)]), align=8)

    def product(i: Any, number: Any) -> Any:
        return builder.fmul(broadcast(builder, number), _load(builder, rows, i))

    def single(i: Any, totals: list[Any]) -> list[Any]:
        number = builder.fdiv(element(i), length.value)
        builder.store(number, builder.gep(column, [i]), align=8)
        return [builder.fadd(totals[0], product(i, number))]

    def block(i: Any, totals: list[Any]) -> list[Any]:
        # one division for eight rows: singly they would take longer than the sum
        places, numbers = [builder.add(i, integer(j)) for j in range(WIDTH)], _NONE
        for j, place in enumerate(places):
            numbers = builder.insert_element(numbers, element(place), integer(j))
        numbers = builder.fdiv(numbers, broadcast(builder, length.value))
        builder.store(numbers, builder.bitcast(builder.gep(column, [i]), _VECTOR.as_pointer()), align=8)
        total = totals[0]
        for j, place in enumerate(places):
            total = builder.fadd(total, product(place, builder.extract_element(numbers, integer(j))))
        return [total]

    first = builder.fadd(builder.fdiv(element(start.value), length.value), ir.Constant(NUMBER, 1.0))
    builder.store(first, builder.gep(column, [start.value]), align=8)
    following = start + 1
    blocks = following + ((n - following) & -WIDTH)
    totals = [builder.fadd(_NONE, product(start.value, first))]
    totals = loop(builder, following.value, blocks.value, totals, block, step=WIDTH)
    (total,) = loop(builder, blocks.value, n.value, totals, single)
    builder.store(total, row(builder, sums, integer(0)), align=8)


def _write_reflect(builder: Any, rows: Any, start: Integers, n: Integers, column: Any, factors: Any, sums: Any) -> None:
    """Subtract multiples of `column` from the columns, rows from `start` to `n`; sum the squares of all but the first row."""
    multiples = _load(builder, factors, integer(0))

    def left(i: Any) -> Any:
        number = broadcast(builder, builder.load(builder.gep(column, [i]), align=8))
        rest = builder.fsub(_load(builder, rows, i), builder.fmul(multiples, number))
        builder.store(rest, row(builder, rows, i), align=8)
        return rest

    def body(i: Any, totals: list[Any]) -> list[Any]:
        return [add_square(builder, left(i), totals[0])]

    left(start.value)
    (total,) = loop(builder, (start + 1).value, n.value, [_NONE], body)
    builder.store(total, row(builder, sums, integer(0)), align=8)


def _write_multiply(builder: Any, rows: Any, start: Integers, n: Integers, sums: Any) -> None:
    """Sum the products of all columns with the first six over rows from `start` to `n`, each fused with its sum."""

    def body(i: Any, totals: list[Any]) -> list[Any]:
        numbers = Reals(builder, _load(builder, rows, i))
        columns = [Reals(builder, broadcast(builder, numbers.lane(k))) for k in range(len(totals))]
        return [fma(column, numbers, Reals(builder, total)).value for column, total in zip(columns, totals, strict=True)]

    totals = loop(builder, start.value, n.value, [_NONE] * 6, body)
    for k, total in enumerate(totals):
        builder.store(total, row(builder, sums, integer(k)), align=8)


def _load(builder: Any, start: Any, i: Any) -> Any:
    return builder.load(row(builder, start, i), align=8)


def add_square(builder: Any, numbers: Any, total: Any) -> Any:
    """Add the squares of those numbers that are beyond SMALL in size; what is not a number counts."""
    squares = Reals(builder, builder.fmul(numbers, numbers))
    counts = squares.compare("not <=", SMALL * SMALL)
    return builder.fadd(total, squares.where(counts, Reals(builder, _NONE)).value)


project: Any = instructions(_write_project, "rows k length start n column sums")
reflect: Any = instructions(_write_reflect, "rows start n column factors sums")
multiply: Any = instructions(_write_multiply, "rows start n sums")
