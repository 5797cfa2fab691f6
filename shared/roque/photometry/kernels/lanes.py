"""Work on eight columns at a time: rows of eight numbers held in vector registers.

The sums of MINPACK run down a column, one addition after the other, and no other order gives their bits. So it is columns
that lie side by side in a register here, not pixels. A compiler finds no such thing in a loop over columns; hence these are
written as operations on vectors, which become as many registers as the machine needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

__all__ = ["WIDTH", "divide", "multiply", "project", "reflect", "squares", "wide"]

WIDTH = 8
"""Columns of the arrays of rows."""

_INTEGER = ir.IntType(64)
_NUMBER = ir.DoubleType()
_VECTOR = ir.VectorType(_NUMBER, WIDTH)
_NONE = ir.Constant(_VECTOR, [0.0] * WIDTH)


def _type_squares(_context: Any, rows: Any, _n: Any, _least: Any, sums: Any) -> Any:
    """Sum the squares of columns over the first rows, without numbers up to `_least` in size."""
    return types.none(rows, types.int64, types.float64, sums), _generate_squares


def _generate_squares(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    rows, sums = _pointer(context, builder, signature, arguments, 0), _pointer(context, builder, signature, arguments, 3)
    least = _broadcast(builder, arguments[2])

    def body(i: Any, totals: list[Any]) -> list[Any]:
        row = builder.load(_row(builder, rows, i), align=8)
        return [_add_square(builder, row, least, totals[0])]

    (total,) = _loop(builder, ir.Constant(_INTEGER, 0), arguments[1], [_NONE], body)
    builder.store(total, _row(builder, sums, ir.Constant(_INTEGER, 0)), align=8)
    return context.get_dummy_value()


def _type_project(_context: Any, rows: Any, _k: Any, _length: Any, _start: Any, _n: Any, column: Any, sums: Any) -> Any:
    """Sum the products of columns with column k over its length, kept in `column`, one added to its first.

    Rows count from `_start` to `_n`.
    """
    return types.none(rows, types.int64, types.float64, types.int64, types.int64, column, sums), _generate_project


def _generate_project(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    rows, column, sums = (_pointer(context, builder, signature, arguments, k) for k in (0, 5, 6))
    start, one = arguments[3], ir.Constant(_INTEGER, 1)

    def scaled(i: Any) -> Any:
        place = builder.add(builder.mul(i, ir.Constant(_INTEGER, WIDTH)), arguments[1])
        return builder.fdiv(builder.load(builder.gep(rows, [place]), align=8), arguments[2])

    def product(i: Any, number: Any) -> Any:
        builder.store(number, builder.gep(column, [i]), align=8)
        return builder.fmul(_broadcast(builder, number), builder.load(_row(builder, rows, i), align=8))

    def body(i: Any, totals: list[Any]) -> list[Any]:
        return [builder.fadd(totals[0], product(i, scaled(i)))]

    first = product(start, builder.fadd(scaled(start), ir.Constant(_NUMBER, 1.0)))
    (total,) = _loop(builder, builder.add(start, one), arguments[4], [builder.fadd(_NONE, first)], body)
    builder.store(total, _row(builder, sums, ir.Constant(_INTEGER, 0)), align=8)
    return context.get_dummy_value()


def _type_reflect(_context: Any, rows: Any, _start: Any, _n: Any, column: Any, factors: Any, _least: Any, sums: Any) -> Any:
    """Subtract multiples of `column` from the columns, rows from `_start` to `_n`; sum `squares`, but of the first row."""
    return types.none(rows, types.int64, types.int64, column, factors, types.float64, sums), _generate_reflect


def _generate_reflect(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    rows, column, factors, sums = (_pointer(context, builder, signature, arguments, k) for k in (0, 3, 4, 6))
    zero, one = ir.Constant(_INTEGER, 0), ir.Constant(_INTEGER, 1)
    multiples, least = builder.load(_row(builder, factors, zero), align=8), _broadcast(builder, arguments[5])

    def left(i: Any) -> Any:
        place = _row(builder, rows, i)
        number = _broadcast(builder, builder.load(builder.gep(column, [i]), align=8))
        rest = builder.fsub(builder.load(place, align=8), builder.fmul(multiples, number))
        builder.store(rest, place, align=8)
        return rest

    def body(i: Any, totals: list[Any]) -> list[Any]:
        return [_add_square(builder, left(i), least, totals[0])]

    left(arguments[1])
    (total,) = _loop(builder, builder.add(arguments[1], one), arguments[2], [_NONE], body)
    builder.store(total, _row(builder, sums, zero), align=8)
    return context.get_dummy_value()


def _type_multiply(_context: Any, rows: Any, _start: Any, _n: Any, sums: Any) -> Any:
    """Sum the products of all columns with the first six over rows from `_start` to `_n`, each fused with its sum."""
    return types.none(rows, types.int64, types.int64, sums), _generate_multiply


def _generate_multiply(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    rows, sums = (_pointer(context, builder, signature, arguments, k) for k in (0, 3))
    name = f"llvm.fma.v{WIDTH}f64"
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
    fused = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)

    def body(i: Any, totals: list[Any]) -> list[Any]:
        row = builder.load(_row(builder, rows, i), align=8)
        columns = [builder.extract_element(row, ir.Constant(_INTEGER, k)) for k in range(len(totals))]
        return [builder.call(fused, [_broadcast(builder, c), row, t]) for c, t in zip(columns, totals, strict=True)]

    totals = _loop(builder, arguments[1], arguments[2], [_NONE] * 6, body)
    for k, total in enumerate(totals):
        builder.store(total, _row(builder, sums, ir.Constant(_INTEGER, k)), align=8)
    return context.get_dummy_value()


def _type_divide(
    _context: Any, rows: Any, _i: Any, _divisor: Any, _a: Any, _b: Any, _c: Any, _d: Any, _e: Any, _f: Any, _g: Any
) -> Any:
    """Fill the first seven places of row i with numbers over a divisor."""
    return types.none(rows, types.int64, *[types.float64] * 8), _generate_divide


def _generate_divide(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    rows, vector = _pointer(context, builder, signature, arguments, 0), _NONE
    for k, number in enumerate(arguments[3:]):
        vector = builder.insert_element(vector, number, ir.Constant(_INTEGER, k))
    quotient = builder.fdiv(vector, _broadcast(builder, arguments[2]))
    builder.store(quotient, _row(builder, rows, arguments[1]), align=8)
    return context.get_dummy_value()


def _type_wide(_context: Any) -> Any:
    """Let loops of the function that calls this use the widest registers, which compilers avoid where little is computed."""
    return types.none(), _generate_wide


def _generate_wide(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
    builder.function.attributes.add("noinline")
    set.add(builder.function.attributes, '"prefer-vector-width"="512"')  # llvmlite knows no names with values
    return context.get_dummy_value()


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any, k: int) -> Any:
    """Address of the numbers of an array, row after row in memory."""
    return make_array(signature.args[k])(context, builder, arguments[k]).data  # type: ignore[no-untyped-call]


def _row(builder: Any, pointer: Any, i: Any) -> Any:
    return builder.gep(builder.bitcast(pointer, _VECTOR.as_pointer()), [i])


def _broadcast(builder: Any, number: Any) -> Any:
    single = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), number, ir.Constant(_INTEGER, 0))
    return builder.shuffle_vector(single, single, ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH))


def _add_square(builder: Any, row: Any, least: Any, total: Any) -> Any:
    # what is not a number counts
    counts = builder.or_(builder.fcmp_unordered(">", row, least), builder.fcmp_unordered("<", row, builder.fsub(_NONE, least)))
    return builder.fadd(total, builder.select(counts, builder.fmul(row, row), _NONE))


def _loop(builder: Any, start: Any, end: Any, values: list[Any], body: Callable[[Any, list[Any]], list[Any]]) -> list[Any]:
    """Let `body` make new values of old ones for i from start to end; returns the last ones."""
    before = builder.block
    head, inside, after = (builder.append_basic_block(name) for name in ("head", "inside", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    i, states = builder.phi(_INTEGER), [builder.phi(value.type) for value in values]
    builder.cbranch(builder.icmp_signed("<", i, end), inside, after)
    builder.position_at_end(inside)
    following = body(i, states)
    step, last = builder.add(i, ir.Constant(_INTEGER, 1)), builder.block
    builder.branch(head)
    i.add_incoming(start, before)
    i.add_incoming(step, last)
    for state, value, new in zip(states, values, following, strict=True):
        state.add_incoming(value, before)
        state.add_incoming(new, last)
    builder.position_at_end(after)
    return states


squares: Any = intrinsic(_type_squares)
project: Any = intrinsic(_type_project)
reflect: Any = intrinsic(_type_reflect)
divide: Any = intrinsic(_type_divide)
multiply: Any = intrinsic(_type_multiply)
wide: Any = intrinsic(_type_wide)
