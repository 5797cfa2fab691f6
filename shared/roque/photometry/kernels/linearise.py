"""Residuals of a profile and their derivatives: what a fit asks for at every step, and most of its time.

Eight pixels are worked on at once, in stages short enough for a processor to have several eights under way, and on no more
pixels than the fastest memory holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils
from numpy.typing import NDArray

from roque.photometry.kernels.compiled import inlined, inner, kernel
from roque.photometry.kernels.elementary import (
    LN2,
    NEAR_ONE,
    write_exponential,
    write_exponential_of_product,
    write_logarithm,
    write_logarithm_near_one,
    write_logarithm_parts,
)
from roque.photometry.kernels.elementary import fma as scalar_fma
from roque.photometry.kernels.lanes import add_square
from roque.photometry.kernels.profiles import BETA, FWHM, GAUSSIAN, HEIGHT, LEAST_BETA, RESIDUAL, SKY, X, Y, point
from roque.photometry.kernels.vectors import (
    EVEN,
    LOWER,
    NUMBER,
    ODD,
    UPPER,
    WIDTH,
    Integers,
    Reals,
    aligned,
    broadcast,
    fma,
    instructions,
    integer,
    loop,
    otherwise,
    row,
    shuffle,
)

__all__ = ["Pixels", "Stages", "divide_pixels", "invert_errors", "linearise", "make_stages"]

Floats = NDArray[np.float64]

_TOGETHER = 128  # pixels
_LARGEST = 500.0
"""Exponents beyond are left to the mathematics library, and so are those above:"""
_LARGEST_BETA = 1.0e15
_LEAST, _GREATEST = 1.0e-100, 1.0e100
"""Sums of squares between which quotients may be had as products."""


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
    """Over the points inside pixels: P, derivatives by x, y, FWHM and beta with their signs turned, and what makes the model."""


class _Star(NamedTuple):
    """A profile, and what its derivatives have in common."""

    x: float
    y: float
    sky: float
    height: float
    weight: float
    """Of a point in the sum that makes the model, and of that sum:"""
    weight_of_sum: float
    a: float
    slope: float
    slope_fwhm: float
    b: float
    slope_beta: float
    limit: float
    """From this u on the mathematics library is asked."""


def make_stages() -> Stages:
    """Allocate the memory."""
    return Stages(*(aligned(_TOGETHER) for _ in range(5)), sums=aligned(6 * _TOGETHER))


@kernel
def divide_pixels(ndiv: int, xbin: int, ybin: int, pixels: Pixels) -> None:
    """Fill in the points inside pixels: from one unbinned pixel to the next, as the sums of the pipeline go."""
    pixels.xoffsets[0], pixels.yoffsets[0] = 0.0, 0.0
    part = 0
    for j in range(ybin):
        for i in range(xbin):
            for k in range(ndiv * ndiv if ndiv > 0 else 0):
                pixels.xoffsets[part], pixels.yoffsets[part] = point(ndiv, xbin, i, k % ndiv), point(ndiv, ybin, j, k // ndiv)
                part += 1


@kernel
def invert_errors(pixels: Pixels, n: int) -> None:
    """Fill in the inverses of errors, to twice the digits of a number; there are none beyond the first n pixels."""
    sigma, inverse, rest = pixels.sigma, pixels.inverse, pixels.rest
    for i in range(n):
        inverse[i] = 1.0 / sigma[i]
        rest[i] = scalar_fma(-sigma[i], inverse[i], 1.0) * inverse[i]
    for i in range(n, -(-n // WIDTH) * WIDTH):
        inverse[i] = rest[i] = 0.0


@kernel
def linearise(
    method: int,
    parameters: Floats,
    pixels: Pixels,
    n: int,
    xbin: int,
    ybin: int,
    ndiv: int,
    stages: Stages,
    rows: Floats,
    squares: Floats,
) -> None:
    """Fill `rows` with residuals and their derivatives in units of the errors, operation by operation as the HiPERCAM pipeline.

    Parameters
    ----------
    method : int
        GAUSSIAN or MOFFAT.
    parameters : array of float64, shape (6,)
        Sky, height, x, y, fwhm, beta.
    pixels : Pixels
        The first n count; those after, up to the next multiple of WIDTH, have infinite errors. `invert_errors` was called.
    xbin, ybin, ndiv : int
        How pixels are divided, see `roque.photometry.kernels.profiles`.
    stages : Stages
        Used up.
    rows : array of float64, shape (n or the next multiple of WIDTH, 8)
        Columns 0 to 5: derivatives by the parameters (beta for a Moffat alone); column 6: ``(data - model)/sigma``.
    squares : array of float64, shape (8,)
        Sums of the squares of the columns, filled in, without numbers up to SMALL in size.
    """
    star = _star(method, parameters, xbin, ybin, ndiv)
    parts = xbin * ybin * ndiv**2 if ndiv > 0 else 1
    _fill(method, star, pixels, n, parts, 0, stages, rows, squares)
    for k in range(RESIDUAL + 1):
        if not (_LEAST < squares[k] < _GREATEST or (method == GAUSSIAN and k == BETA)):
            _fill(method, star, pixels, n, parts, 1, stages, rows, squares)
            return


@inner
def _fill(
    method: int, star: _Star, pixels: Pixels, n: int, parts: int, plain: int, stages: Stages, rows: Floats, squares: Floats
) -> None:
    """Do it, with plain divisions or those by `_quotients`, whose products must not overflow or lose digits."""
    squares[:] = 0.0
    for first in range(0, n, _TOGETHER):
        end = min(first + _TOGETHER, n)
        if parts > 1:
            stages.sums[:] = 0.0
        for part in range(parts):
            if method == GAUSSIAN:
                _exponentials(first, end, part, pixels, star, stages)
            else:
                _logarithms(first, end, part, pixels, star, stages)
                _powers(first, end, part, pixels, star, stages)
            if parts > 1:
                if method == GAUSSIAN:
                    _add_gaussian(first, end, part, pixels, star, stages)
                else:
                    _add_moffat(first, end, part, pixels, star, stages)
        if parts > 1:
            _fill_means(first, end, parts, plain, pixels, star, stages, rows, squares)
        elif method == GAUSSIAN:
            _fill_gaussian(first, end, parts, plain, pixels, star, stages, rows, squares)
        else:
            _fill_moffat(first, end, parts, plain, pixels, star, stages, rows, squares)


@inlined
def _star(method: int, parameters: Floats, xbin: int, ybin: int, ndiv: int) -> _Star:
    x, y, sky, height, fwhm = parameters[X], parameters[Y], parameters[SKY], parameters[HEIGHT], parameters[FWHM]
    share = height / xbin / ybin / ndiv**2 if ndiv > 0 else height
    if method == GAUSSIAN:
        a = 4.0 * LN2 / fwhm**2
        slope = 2.0 * a * height
        return _Star(x, y, sky, height, 1.0, share, a, slope, slope / fwhm, 0.0, 0.0, 0.0)
    b = max(LEAST_BETA, parameters[BETA])
    root = 2.0 ** (1.0 / b)
    a = 4.0 * (root - 1.0) / fwhm**2
    slope = 2.0 * a * b
    limit = math.exp(min(_LARGEST / (b + 1.0), _LARGEST)) if b < _LARGEST_BETA else 0.0
    return _Star(x, y, sky, height, share, 1.0, a, slope, slope / fwhm, b, 4.0 * LN2 * root / b / fwhm**2, limit)


class _Eight:
    """Eight pixels, from one whose number is i on, at a point inside them."""

    def __init__(self, builder: Any, i: Any, first: Integers, part: Integers, pixels: Pixels, star: _Star, stages: Stages) -> None:
        self.builder, self.i, self.star, self.stages = builder, i, _Star(*(_spread(builder, one) for one in star)), stages
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

    def write_all(builder: Any, first: Integers, end: Integers, part: Integers, pixels: Pixels, star: _Star, stages: Stages) -> None:
        def body(i: Any, _: list[Any]) -> list[Any]:
            write(_Eight(builder, i, first, part, pixels, star, stages))
            return []

        loop(builder, first.value, end.value, [], body, step=WIDTH)

    return instructions(write_all, "first end part pixels star stages")


def _write_exponentials(eight: _Eight) -> None:
    exponent = -eight.star.a * eight.r2
    far = (eight.star.a * eight.r2).compare("not <", _LARGEST)
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
    log, p, q = otherwise(
        far, usual, lambda: [_called("log", u), _called("pow", u, -b), _called("pow", u, -b - 1.0)]
    )
    eight.leave(log=log, p=p, q=q)


def _called(name: str, *arguments: Reals) -> Reals:
    """Call the mathematics library for each of eight numbers."""
    builder = arguments[0].builder
    kind = ir.FunctionType(NUMBER, [NUMBER] * len(arguments))
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.f64")
    made = arguments[0].value
    for k in range(WIDTH):
        made = builder.insert_element(made, builder.call(function, [one.lane(k) for one in arguments]), integer(k))
    return Reals(builder, made)


def _gaussian_terms(eight: _Eight) -> list[Reals]:
    star, (p,) = eight.star, eight.take("p")
    sp = star.slope * p
    return [p, sp * eight.dx, sp * eight.dy, star.slope_fwhm * p * eight.r2, _same(p, 0.0), p]


def _moffat_terms(eight: _Eight) -> list[Reals]:
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
    return [eight.builder.add(eight.place, integer(k * _TOGETHER)) for k in range(6)]


def _filling(terms: Callable[[_Eight], Sequence[Reals]], *, mean: bool = False) -> Any:
    """Make instructions that turn terms into rows of the Jacobian and residuals, and go on with the sums of their squares."""

    def write_all(
        builder: Any, first: Integers, end: Integers, parts: Integers, plain: Integers, pixels: Pixels, star: _Star,
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
            fours = [shuffle(builder, twos[i], twos[i + 1], places) for i in (0, 2)]
            for i, others in enumerate((EVEN, ODD)):
                made[j + 2 * k + 4 * i] = shuffle(builder, *fours, others)
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


_exponentials = _stage(_write_exponentials)
_logarithms = _stage(_write_logarithms)
_powers = _stage(_write_powers)
_fill_gaussian = _filling(_gaussian_terms)
_fill_moffat = _filling(_moffat_terms)
_add_gaussian = _adding(_gaussian_terms)
_add_moffat = _adding(_moffat_terms)
_fill_means = _filling(_sums, mean=True)
