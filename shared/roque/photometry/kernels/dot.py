"""Sums of products in vector registers, with the same bits on every machine.

A compiler may not add floating-point numbers in another order than they are written in, so a loop over pixels stays scalar.
Here the order is LANES sums side by side, of every LANES-th product each, then added up by pairs: written as operations on
vectors of LANES numbers, which become as many registers as the machine has room for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array
from numpy.typing import NDArray

from roque.photometry.kernels.compiled import kernel

__all__ = ["LANES", "gram"]

LANES = 16
"""Numbers of pixels are multiples of this: the last ones are filled up with pixels of weight zero."""

_INTEGER = ir.IntType(64)
_NUMBER = ir.DoubleType()
_VECTOR = ir.VectorType(_NUMBER, LANES)


@kernel
def gram(rows: NDArray[np.float64], chosen: NDArray[np.int64], nchosen: int, n: int, products: NDArray[np.float64]) -> None:
    """Sum products of rows over their first n elements: ``products[i, j] = sum(rows[chosen[i]] * rows[chosen[j]])``."""
    for i in range(nchosen):
        for j in range(i + 1):
            products[i, j] = products[j, i] = _dot(rows, chosen[i], chosen[j], n)


def _type_dot(_context: Any, rows: Any, _i: Any, _j: Any, _n: Any) -> Any:
    """Sum of the products of two rows of an array of float64, row after row in memory."""
    return types.float64(rows, types.int64, types.int64, types.int64), _generate_dot


def _generate_dot(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = make_array(signature.args[0])(context, builder, arguments[0])  # type: ignore[no-untyped-call]
    base = builder.ptrtoint(array.data, _INTEGER)
    step = builder.extract_value(array.strides, 0)
    first, second = (
        builder.inttoptr(builder.add(base, builder.mul(step, row)), _NUMBER.as_pointer()) for row in arguments[1:3]
    )
    before = builder.block
    head, body, end = (builder.append_basic_block(name) for name in ("dot.head", "dot.body", "dot.end"))
    builder.branch(head)
    builder.position_at_end(head)
    index, sums = builder.phi(_INTEGER), builder.phi(_VECTOR)
    builder.cbranch(builder.icmp_signed("<", index, arguments[3]), body, end)
    builder.position_at_end(body)
    added = builder.fadd(sums, builder.fmul(_load(builder, first, index), _load(builder, second, index)))
    following = builder.add(index, ir.Constant(_INTEGER, LANES))
    builder.branch(head)
    index.add_incoming(ir.Constant(_INTEGER, 0), before)
    index.add_incoming(following, body)
    sums.add_incoming(ir.Constant(_VECTOR, [0.0] * LANES), before)
    sums.add_incoming(added, body)
    builder.position_at_end(end)
    parts = [builder.extract_element(sums, ir.Constant(_INTEGER, k)) for k in range(LANES)]
    while len(parts) > 1:
        parts = [builder.fadd(*parts[k : k + 2]) for k in range(0, len(parts), 2)]
    return parts[0]


def _load(builder: Any, pointer: Any, index: Any) -> Any:
    place = builder.bitcast(builder.gep(pointer, [index]), _VECTOR.as_pointer())
    return builder.load(place, align=8)


_dot: Any = intrinsic(_type_dot)
