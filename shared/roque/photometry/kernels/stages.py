"""Stages of the work on the pixels of a star, eight at once: from their places to their rows of the Jacobian.

Stages are short enough for a processor to have several eights under way, and leave to the next what the fastest memory holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils
from numpy.typing import NDArray

from roque.photometry.kernels.elementary import (
    NEAR_ONE,
    write_exponential,
    write_exponential_of_product,
    write_logarithm,
    write_logarithm_near_one,
    write_logarithm_parts,
)
from roque.photometry.kernels.instructions import aligned, broadcast, instructions, loop, otherwise, row
from roque.photometry.kernels.lanes import add_square
from roque.photometry.kernels.vectors import EVEN, LOWER, NUMBER, ODD, UPPER, WIDTH, Integers, Reals, fma, integer, shuffle

__all__ = [
    "FAR",
    "TOGETHER",
    "Pixels",
    "Stages",
    "Star",
    "add_gaussian",
    "add_moffat",
    "exponentials",
    "fill_gaussian",
    "fill_means",
    "fill_moffat",
    "logarithms",
    "make_stages",
    "powers",
]

Floats = NDArray[np.float64]

TOGETHER = 128
"""Pixels that the stages go through one after the other."""
FAR = 500.0
"""Exponents beyond are left to the mathematics library."""


class Pixels(NamedTuple):
    """Pixels of a star; the arrays are longer than what is used, by whole registers."""

    x: Floats
    """Unbinned pixels, as y."""
    y: Floats
    data: Floats
    sigma: Floats
    inverse: Floats
    """Of sigma, rounded, and the rest of it; zero for pixels that fill the last register."""
    rest: Floats
    xoffsets: Floats
    """Of the points inside a pixel at which the profile is taken, in the order in which they are summed."""
    yoffsets: Floats


class Stages(NamedTuple):
    """What one stage of the work leaves to the next, of the pixels that are worked on."""

    log: Floats
    """Of ``u = 1 + a r**2``, for a Moffat, and in two parts:"""
    high: Floats
    low: Floats
    p: Floats
    """Profile: ``exp(-a r**2)`` or ``u**-b``."""
    q: Floats
    """``u**(-b - 1)``."""
    sums: Floats
    """Over the points inside pixels, of what `_moffat_terms` gives, one after the other."""


class Star(NamedTuple):
    """A profile, and what its derivatives have in common: numbers, or registers full of them."""

    x: Any
    y: Any
    sky: Any
    height: Any
    weight: Any
    """Of a point in the sum that makes the model, and of that sum:"""
    weight_of_sum: Any
    a: Any
    slope: Any
    slope_fwhm: Any
    b: Any
    slope_beta: Any
    limit: Any
    """From this u on the mathematics library is asked."""


def make_stages() -> Stages:
    """Allocate the memory."""
    return Stages._make([*(aligned(TOGETHER) for _ in range(5)), aligned(6 * TOGETHER)])


class _Eight:
    """Eight pixels, from one whose number is i on, at a point inside them; `given` are pixels, star and stages."""

    def __init__(self, builder: Any, i: Any, first: Integers, part: Integers, *given: Any) -> None:
        pixels, star, self.stages = given
        self.builder, self.star = builder, Star(*(_spread(builder, one) for one in star))
        self.place = builder.sub(i, first.value)
        offsets = [_spread(builder, _load(builder, start, part.value, 1)) for start in (pixels.xoffsets, pixels.yoffsets)]
        self.dx = _load(builder, pixels.x, i) + offsets[0] - self.star.x
        self.dy = _load(builder, pixels.y, i) + offsets[1] - self.star.y
        self.r2 = self.dx * self.dx + self.dy * self.dy

    def take(self, *names: str) -> list[Reals]:
        """Give what earlier stages left."""
        return [_load(self.builder, getattr(self.stages, name), self.place) for name in names]

    def leave(self, **numbers: Reals) -> None:
        """Leave numbers to later stages."""
        for name, one in numbers.items():
            _store(self.builder, one, getattr(self.stages, name), self.place)


def _stage(write: Callable[[_Eight], None]) -> Any:
    """Make of what is written for eight pixels the instructions for those from `first` to `end`."""

    def write_all(builder: Any, first: Integers, end: Integers, part: Integers, *given: Any) -> None:
        def body(i: Any, _: list[Any]) -> list[Any]:
            write(_Eight(builder, i, first, part, *given))
            return []

        loop(builder, first.value, end.value, [], body, step=WIDTH)

    return instructions(write_all, "first end part pixels star stages")


def _write_exponentials(eight: _Eight) -> None:
    exponent = -eight.star.a * eight.r2
    far = (eight.star.a * eight.r2).compare("not <", FAR)
    (p,) = otherwise(far, [write_exponential(exponent)], lambda: [_called("exp", exponent)])
    eight.leave(p=p)


def _write_logarithms(eight: _Eight) -> None:
    u = eight.star.a * eight.r2 + 1.0
    near, far = u.compare("<", NEAR_ONE), write_logarithm(u)
    (log,) = otherwise(near, [far], lambda: [write_logarithm_near_one(u).where(near, far)])
    high, low = write_logarithm_parts(u)
    eight.leave(log=log, high=high, low=low)


def _write_powers(eight: _Eight) -> None:
    b, (log, high, low) = eight.star.b, eight.take("log", "high", "low")
    usual = [log, *(write_exponential_of_product(power, high, low) for power in (-b, -b - 1.0))]
    u = eight.star.a * eight.r2 + 1.0
    far = u.compare("not <", eight.star.limit)
    log, p, q = otherwise(far, usual, lambda: [_called("log", u), _called("pow", u, -b), _called("pow", u, -b - 1.0)])
    eight.leave(log=log, p=p, q=q)


def _called(name: str, *arguments: Reals) -> Reals:
    """Call the mathematics library for each of eight numbers."""
    builder = arguments[0].builder
    kind = ir.FunctionType(NUMBER, [NUMBER] * len(arguments))
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.f64")  # type: ignore[no-untyped-call]
    made = arguments[0].value
    for k in range(WIDTH):
        made = builder.insert_element(made, builder.call(function, [one.lane(k) for one in arguments]), integer(k))
    return Reals(builder, made)


def _gaussian_terms(eight: _Eight) -> list[Reals]:
    """Give the same for a Gaussian, with 0 for beta."""
    star, (p,) = eight.star, eight.take("p")
    sp = star.slope * p
    return [p, sp * eight.dx, sp * eight.dy, star.slope_fwhm * p * eight.r2, _same(p, 0.0), p]


def _moffat_terms(eight: _Eight) -> list[Reals]:
    """P, derivatives by x, y, FWHM and beta with their signs turned, and what makes the model."""
    star, (p, q, log) = eight.star, eight.take("p", "q", "log")
    q = star.height * q
    qr2 = q * eight.r2
    by_beta = -log * star.height * p + star.slope_beta * qr2
    return [p, star.slope * eight.dx * q, star.slope * eight.dy * q, star.slope_fwhm * qr2, by_beta, star.weight * p]


def _adding(terms: Callable[[_Eight], Sequence[Reals]]) -> Any:
    """Make instructions that add what a point makes to the sums over points."""

    def write(eight: _Eight) -> None:
        for term, place in zip(terms(eight), _places(eight), strict=True):
            _store(eight.builder, _load(eight.builder, eight.stages.sums, place) + term, eight.stages.sums, place)

    return _stage(write)


def _sums(eight: _Eight) -> list[Reals]:
    return [_load(eight.builder, eight.stages.sums, place) for place in _places(eight)]


def _places(eight: _Eight) -> list[Any]:
    """Where the sums of eight pixels lie."""
    return [eight.builder.add(eight.place, integer(k * TOGETHER)) for k in range(6)]


def _filling(terms: Callable[[_Eight], Sequence[Reals]], *, mean: bool = False) -> Any:
    """Make instructions that turn terms into rows of the Jacobian and residuals, and go on with the sums of their squares."""

    def write_all(
        builder: Any, first: Integers, end: Integers, parts: Integers, plain: Integers, pixels: Pixels, star: Star,
        stages: Stages, rows: Any, squares: Any,
    ) -> None:  # fmt: skip
        number = _spread(builder, parts.converted())

        def body(i: Any, totals: list[Any]) -> list[Any]:
            eight = _Eight(builder, i, first, Integers(builder, integer(0)), pixels, star, stages)
            *derivatives, light = terms(eight)
            if mean:
                derivatives = [one / number for one in derivatives]
            residuals = _load(builder, pixels.data, i) - (eight.star.weight_of_sum * light + eight.star.sky)
            numbers = [*(-one for one in derivatives), residuals]
            columns = [-_load(builder, pixels.inverse, i), *_quotients(numbers, pixels, i, plain), _same(light, 0.0)]
            total = totals[0]
            for k, line in enumerate(_turned(builder, [column.value for column in columns])):
                builder.store(line, row(builder, rows, builder.add(i, integer(k))), align=8)
                total = add_square(builder, line, total)
            return [total]

        totals = [_load(builder, squares, integer(0)).value]
        (total,) = loop(builder, first.value, end.value, totals, body, step=WIDTH)
        _store(builder, Reals(builder, total), squares, integer(0))

    return instructions(write_all, "first end parts plain pixels star stages rows squares")


def _quotients(numbers: Sequence[Reals], pixels: Pixels, i: Any, plain: Integers) -> list[Reals]:
    """Divide by the errors of pixels.

    Products with both parts of the inverse are the quotients: a bit would differ less than once in 2**50. They are a fifth of
    the work. (N. Brisebarre, J.-M. Muller, S. K. Raina, "Accelerating correctly rounded floating-point division when the
    divisor is known in advance", IEEE Transactions on Computers 53, 2004.)
    """
    builder = plain.builder
    inverse, rest = _load(builder, pixels.inverse, i), _load(builder, pixels.rest, i)
    sigma = _load(builder, pixels.sigma, i)
    products = [fma(one, inverse, one * rest) for one in numbers]
    return otherwise(builder.icmp_signed("!=", plain.value, integer(0)), products, lambda: [one / sigma for one in numbers])


def _turned(builder: Any, columns: Sequence[Any]) -> list[Any]:
    """Eight columns of eight as rows."""
    made: list[Any] = [None] * WIDTH
    for j, pairs in enumerate((LOWER, UPPER)):
        twos = [shuffle(builder, columns[k], columns[k + 1], pairs) for k in range(0, WIDTH, 2)]
        for k, places in enumerate((EVEN, ODD)):
            first, second = (shuffle(builder, twos[i], twos[i + 1], places) for i in (0, 2))
            for i, others in enumerate((EVEN, ODD)):
                made[j + 2 * k + 4 * i] = shuffle(builder, first, second, others)
    return made


def _same(like: Reals, number: float) -> Reals:
    """Fill a register with one of Python's numbers."""
    return Reals(like.builder, ir.Constant(like.value.type, [number] * WIDTH))


def _spread(builder: Any, number: Reals) -> Reals:
    return Reals(builder, broadcast(builder, number.value))


def _load(builder: Any, start: Any, i: Any, width: int = WIDTH) -> Reals:
    kind = NUMBER if width == 1 else ir.VectorType(NUMBER, width)
    return Reals(builder, builder.load(builder.bitcast(builder.gep(start, [i]), kind.as_pointer()), align=8))


def _store(builder: Any, numbers: Reals, start: Any, i: Any) -> None:
    builder.store(numbers.value, builder.bitcast(builder.gep(start, [i]), numbers.value.type.as_pointer()), align=8)


exponentials = _stage(_write_exponentials)
logarithms = _stage(_write_logarithms)
powers = _stage(_write_powers)
fill_gaussian = _filling(_gaussian_terms)
fill_moffat = _filling(_moffat_terms)
add_gaussian = _adding(_gaussian_terms)
add_moffat = _adding(_moffat_terms)
fill_means = _filling(_sums, mean=True)
