"""From what writes instructions to what compiled code calls, and the loops and branches in it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array
from numpy.typing import NDArray

from roque.photometry.kernels.vectors import INTEGER, NUMBER, WIDTH, Integers, Reals, integer, shuffle

__all__ = ["aligned", "broadcast", "instructions", "loop", "otherwise", "row"]


def instructions(write: Callable[..., Any], names: str, result: Any = types.none) -> Any:
    """Make of a function that writes instructions one for compiled code.

    Parameters
    ----------
    write : function
        Gets the builder and an operand for each argument: `Reals` and `Integers` for numbers, an address for an array, and a
        named tuple of such for a named tuple. Returns what ``result`` asks for: nothing, `Reals`, or several of them.
    names : str
        Of the arguments, with blanks between them.
    result : type
        As numba has it.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = write(builder, *(_operand(context, builder, *one) for one in zip(signature.args, arguments, strict=True)))
        if result == types.none:
            return context.get_dummy_value()
        return made.value if isinstance(made, Reals) else context.make_tuple(builder, result, [one.value for one in made])

    def typed(_context: Any, *arguments: Any) -> Any:
        return result(*map(types.unliteral, arguments)), generate

    # numba wants to know the arguments by name
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ["context", *names.split()]]
    typed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return intrinsic(typed)


def _operand(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    if isinstance(kind, types.Array):
        return make_array(kind)(context, builder, value).data  # type: ignore[no-untyped-call]
    if isinstance(kind, types.NamedTuple | types.NamedUniTuple):
        values = cgutils.unpack_tuple(builder, value)  # type: ignore[no-untyped-call]
        return kind.instance_class(*(_operand(context, builder, kind[k], one) for k, one in enumerate(values)))
    if kind == types.float64:
        return Reals(builder, value)
    return Integers(builder, context.cast(builder, value, kind, types.int64))


def aligned(n: int) -> NDArray[np.float64]:
    """Allocate zeros that begin where a register's numbers lie in one line of the cache."""
    memory = np.zeros(n + WIDTH)
    first = -memory.ctypes.data // 8 % WIDTH
    return memory[first : first + n]


def broadcast(builder: Any, number: Any) -> Any:
    """Fill a register with a number."""
    single = builder.insert_element(ir.Constant(ir.VectorType(NUMBER, WIDTH), ir.Undefined), number, integer(0))
    return shuffle(builder, single, single, [0] * WIDTH)


def row(builder: Any, start: Any, i: Any) -> Any:
    """Address of a row of eight."""
    return builder.gep(builder.bitcast(start, ir.VectorType(NUMBER, WIDTH).as_pointer()), [i])


def loop(
    builder: Any, start: Any, end: Any, values: list[Any], body: Callable[[Any, list[Any]], list[Any]], step: int = 1
) -> list[Any]:
    """Let `body` make new values of old ones for i from start to end; returns the last ones."""
    before = builder.block
    head, inside, after = (builder.append_basic_block(name) for name in ("head", "inside", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    i, states = builder.phi(INTEGER), [builder.phi(value.type) for value in values]
    builder.cbranch(builder.icmp_signed("<", i, end), inside, after)
    builder.position_at_end(inside)
    following = body(i, states)
    next_one, last = builder.add(i, integer(step)), builder.block
    builder.branch(head)
    i.add_incoming(start, before)
    i.add_incoming(next_one, last)
    for state, value, new in zip(states, values, following, strict=True):
        state.add_incoming(value, before)
        state.add_incoming(new, last)
    builder.position_at_end(after)
    return states


def otherwise(mask: Any, usual: Sequence[Reals], rare: Callable[[], Sequence[Reals]]) -> list[Reals]:
    """Give the usual numbers, or those that `rare` works out if a comparison holds, or does for any of eight."""
    builder = usual[0].builder
    if isinstance(mask.type, ir.VectorType):
        bits = builder.bitcast(mask, ir.IntType(WIDTH))
        mask = builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))
    before = builder.block
    with builder.if_then(mask, likely=False):
        others, inside = rare(), builder.block
    made = []
    for one, other in zip(usual, others, strict=True):
        value = builder.phi(one.value.type)
        value.add_incoming(one.value, before)
        value.add_incoming(other.value, inside)
        made.append(Reals(builder, value))
    return made
