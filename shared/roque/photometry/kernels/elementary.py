"""Logarithm, exponential and power as vector instructions, with the bits of the mathematics library.

The library's own are calls, one pixel at a time, and take most of the time of a profile fit. These are plain arithmetic in the
order of the GNU C library (2.28 and later) on processors that fuse products with sums, which has them from Arm's Optimized
Routines (S. Nagy; MIT licence): an argument is brought near a point of a table, and a short polynomial does the rest.

Functions whose names begin with ``write_`` write instructions for one number or for eight (`roque.photometry.kernels.vectors`);
the others are for compiled code, one number at a time.
"""

from __future__ import annotations

import decimal
import math
from typing import Any

import numpy as np
from numba import types

from roque.photometry.kernels import vectors
from roque.photometry.kernels.compiled import inlined
from roque.photometry.kernels.instructions import instructions
from roque.photometry.kernels.vectors import Integers, Reals, look_up

__all__ = [
    "LN2",
    "NEAR_ONE",
    "exponential",
    "exponential_of_product",
    "fma",
    "logarithm",
    "logarithm_parts",
    "square",
    "write_exponential",
    "write_exponential_of_product",
    "write_logarithm",
    "write_logarithm_near_one",
    "write_logarithm_parts",
]

LN2 = math.log(2.0)
_LN2_HIGH = float.fromhex("0x1.62e42fefa3800p-1")
_LN2_LOW = float.fromhex("0x1.ef35793c76730p-45")
_SHIFT = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to an integer, held in the low bits
_STEPS = 128  # of the tables, between powers of two
_LARGEST = 708.0

_STEPS_OVER_LN2 = float.fromhex("0x1.71547652b82fep+7")
_STEP_HIGH = float.fromhex("-0x1.62e42fefa0000p-8")
_STEP_LOW = float.fromhex("-0x1.cf79abc9e3b3ap-47")
_E2, _E3, _E4, _E5 = (
    float.fromhex(x) for x in ("0x1.ffffffffffdbdp-2", "0x1.555555555543cp-3", "0x1.55555cf172b91p-5", "0x1.1111167a4d017p-7")
)
_P1, _P2, _P3, _P4, _P5, _P6 = (
    float.fromhex(x)
    for x in (
        "-0x1.5555555555560p-1", "0x1.0000000000006p-1", "0x1.999999959554ep-1", "-0x1.555555529a47ap-1",
        "-0x1.2495b9b4845e9p+0", "0x1.0002b8b263fc3p+0",
    )
)  # fmt: skip
_A0, _A1, _A2, _A3, _A4 = (
    float.fromhex(x)
    for x in (
        "-0x1.0000000000001p-1", "0x1.555555551305bp-2", "-0x1.fffffffeb4590p-3", "0x1.999b324f10111p-3",
        "-0x1.55575e506c89fp-3",
    )
)  # fmt: skip
_B1, _B2, _B3, _B4, _B5, _B6, _B7, _B8, _B9, _B10 = (
    float.fromhex(x)
    for x in (
        "0x1.5555555555577p-2", "-0x1.ffffffffffdcbp-3", "0x1.999999995dd0cp-3", "-0x1.55555556745a7p-3",
        "0x1.24924a344de30p-3", "-0x1.fffffa4423d65p-4", "0x1.c7184282ad6cap-4", "-0x1.999eb43b068ffp-4",
        "0x1.78182f7afd085p-4", "-0x1.5521375d145cdp-4",
    )
)  # fmt: skip
NEAR_ONE = 1.0 + float.fromhex("0x1.09p-4")
_FIRST_BITS = 0x3FE6000000000000  # of the interval from 1/sqrt(2) on that the logarithm's table covers
_FIRST_BITS_POWER = 0x3FE6955500000000

_INVERSES = """
    0x1.734f0c3e0de9fp+0 0x1.713786a2ce91fp+0 0x1.6f26008fab5a0p+0 0x1.6d1a61f138c7dp+0
    0x1.6b1490bc5b4d1p+0 0x1.69147332f0cbap+0 0x1.6719f18224223p+0 0x1.6524f99a51ed9p+0
    0x1.63356aa8f24c4p+0 0x1.614b36b9ddc14p+0 0x1.5f66452c65c4cp+0 0x1.5d867b5912c4fp+0
    0x1.5babccb5b90dep+0 0x1.59d61f2d91a78p+0 0x1.5805612465687p+0 0x1.56397cee76bd3p+0
    0x1.54725e2a77f93p+0 0x1.52aff42064583p+0 0x1.50f22dbb2bddfp+0 0x1.4f38f4734ded7p+0
    0x1.4d843cfde2840p+0 0x1.4bd3ec078a3c8p+0 0x1.4a27fc3e0258ap+0 0x1.4880524d48434p+0
    0x1.46dce1b192d0bp+0 0x1.453d9d3391854p+0 0x1.43a2744b4845ap+0 0x1.420b54115f8fbp+0
    0x1.40782da3ef4b1p+0 0x1.3ee8f5d57fe8fp+0 0x1.3d5d9a00b4ce9p+0 0x1.3bd60c010c12bp+0
    0x1.3a5242b75dab8p+0 0x1.38d22cd9fd002p+0 0x1.3755bc5847a1cp+0 0x1.35dce49ad36e2p+0
    0x1.34679984dd440p+0 0x1.32f5cceffcb24p+0 0x1.3187775a10d49p+0 0x1.301c8373e3990p+0
    0x1.2eb4ebb95f841p+0 0x1.2d50a0219a9d1p+0 0x1.2bef9a8b7fd2ap+0 0x1.2a91c7a0c1babp+0
    0x1.293726014b530p+0 0x1.27dfa5757a1f5p+0 0x1.268b39b1d3bbfp+0 0x1.2539d838ff5bdp+0
    0x1.23eb7aac9083bp+0 0x1.22a012ba940b6p+0 0x1.2157996cc4132p+0 0x1.201201dd2fc9bp+0
    0x1.1ecf4494d480bp+0 0x1.1d8f5528f6569p+0 0x1.1c52311577e7cp+0 0x1.1b17c74cb26e9p+0
    0x1.19e010c2c1ab6p+0 0x1.18ab07bb670bdp+0 0x1.1778a25efbcb6p+0 0x1.1648d354c31dap+0
    0x1.151b990275fddp+0 0x1.13f0ea432d24cp+0 0x1.12c8b7210f9dap+0 0x1.11a3028ecb531p+0
    0x1.107fbda8434afp+0 0x1.0f5ee0f4e6bb3p+0 0x1.0e4065d2a9fcep+0 0x1.0d244632ca521p+0
    0x1.0c0a77ce2981ap+0 0x1.0af2f83c636d1p+0 0x1.09ddb98a01339p+0 0x1.08cabaf52e7dfp+0
    0x1.07b9f2f4e28fbp+0 0x1.06ab58c358f19p+0 0x1.059eea5ecf92cp+0 0x1.04949cdd12c90p+0
    0x1.038c6c6f0ada9p+0 0x1.02865137932a9p+0 0x1.0182427ea7348p+0 0x1.008040614b195p+0
    0x1.fe01ff726fa1ap-1 0x1.fa11cc261ea74p-1 0x1.f6310b081992ep-1 0x1.f25f63ceeadcdp-1
    0x1.ee9c8039113e7p-1 0x1.eae8078cbb1abp-1 0x1.e741aa29d0c9bp-1 0x1.e3a91830a99b5p-1
    0x1.e01e009609a56p-1 0x1.dca01e577bb98p-1 0x1.d92f20b7c9103p-1 0x1.d5cac66fb5ccep-1
    0x1.d272caa5ede9dp-1 0x1.cf26e3e6b2ccdp-1 0x1.cbe6da2a77902p-1 0x1.c8b266d37086dp-1
    0x1.c5894bd5d5804p-1 0x1.c26b533bb9f8cp-1 0x1.bf583eeece73fp-1 0x1.bc4fd75db96c1p-1
    0x1.b951e0c864a28p-1 0x1.b65e2c5ef3e2cp-1 0x1.b374867c9888bp-1 0x1.b094b211d304ap-1
    0x1.adbe885f2ef7ep-1 0x1.aaf1d31603da2p-1 0x1.a82e63fd358a7p-1 0x1.a5740ef09738bp-1
    0x1.a2c2a90ab4b27p-1 0x1.a01a01393f2d1p-1 0x1.9d79f24db3c1bp-1 0x1.9ae2505c7b190p-1
    0x1.9852ef297ce2fp-1 0x1.95cbaeea44b75p-1 0x1.934c69de74838p-1 0x1.90d4f2f6752e6p-1
    0x1.8e6528effd79dp-1 0x1.8bfce9fcc007cp-1 0x1.899c0dabec30ep-1 0x1.87427aa2317fbp-1
    0x1.84f00acb39a08p-1 0x1.82a49e8653e55p-1 0x1.8060195f40260p-1 0x1.7e22563e0a329p-1
    0x1.7beb377dcb5adp-1 0x1.79baa679725c2p-1 0x1.77907f2170657p-1 0x1.756cadbd6130cp-1
"""
"""Inverses of points near the centres of the intervals whose logarithms lie close to a number of 43 binary places."""


def _make_tables() -> tuple[np.ndarray[Any, Any], ...]:
    """Tables, to 40 digits and then rounded: of 2**(k/128), and of logarithms, for themselves and for powers.

    Their columns: rests and bits of powers of two; inverses and logarithms; inverses, logarithms, their rests and nothing.
    """
    with decimal.localcontext(prec=40) as context:
        ln2 = decimal.Decimal(2).ln()
        bits, rests = np.zeros(_STEPS, np.int64), np.zeros(_STEPS)
        for k in range(_STEPS):
            exact = context.exp(ln2 * k / _STEPS)
            bits[k] = np.float64(float(exact)).view(np.int64) - (k << 45)
            rests[k] = exact / decimal.Decimal(float(exact)) - 1
        inverses = np.array([float.fromhex(x) for x in _INVERSES.split()])
        edges = (np.arange(_STEPS + 1) << 45).astype(np.int64) + _FIRST_BITS_POWER
        centres = (edges.view(np.float64)[:-1] + edges.view(np.float64)[1:]) / 2.0
        coarse = np.where(centres > 1.0, np.rint(256.0 / centres) / 256.0, np.rint(128.0 / centres) / 128.0)
        logs, _ = zip(*(_split_log(x) for x in inverses), strict=True)
        coarse_logs, coarse_rests = zip(*(_split_log(x) for x in coarse), strict=True)
    powers_of_two = np.stack([rests, bits.view(np.float64)], axis=1)
    powers = np.stack([coarse, np.array(coarse_logs), np.array(coarse_rests), np.zeros(_STEPS)], axis=1)
    return powers_of_two, np.stack([inverses, np.array(logs)], axis=1), powers


def _split_log(inverse: float) -> tuple[float, float]:
    """Logarithm of one over a number: rounded to 43 binary places, and the rest."""
    exact = -decimal.Decimal(float(inverse)).ln()
    high = float((exact * 2**43).to_integral_value()) / 2**43
    return high, float(exact - decimal.Decimal(high))


_POWERS_OF_TWO, _LOGARITHMS, _POWERS = _make_tables()


def write_logarithm(x: Reals) -> Reals:
    """Natural logarithm of a finite number that is at least NEAR_ONE."""
    k, z, i = _split(x, _FIRST_BITS)
    inverse, log = look_up("roque_logarithms", _LOGARITHMS, i)
    r = vectors.fma(z, inverse, -1.0)
    w = vectors.fma(k, _LN2_HIGH, log)
    high = w + r
    low = vectors.fma(k, _LN2_LOW, (w - high) + r)
    r2 = r * r
    q = vectors.fma(r2, vectors.fma(r, _A4, _A3), vectors.fma(r, _A2, _A1))
    return vectors.fma(r * r2, q, vectors.fma(r2, _A0, low)) + high


def write_logarithm_near_one(x: Reals) -> Reals:
    """Natural logarithm of a number below NEAR_ONE that is at least one: the series itself, its first terms with care."""
    fma = vectors.fma
    r = x - 1.0
    r2 = r * r
    r3 = r * r2
    q = fma(r3, fma(r3, _B10, fma(r2, _B9, fma(r, _B8, _B7))), fma(r2, _B6, fma(r, _B5, _B4)))
    q = fma(r3, q, fma(r2, _B3, fma(r, _B2, _B1)))
    w = r * 134217728.0
    top = (r + w) - w
    w = top * top * -0.5
    high = r + w
    low = fma((r - top) * -0.5, top + r, (r - high) + w)
    return fma(r3, q, low) + high


def write_logarithm_parts(x: Reals) -> tuple[Reals, Reals]:
    """Natural logarithm of a positive, normal number in two parts, right to 68 bits, for `write_exponential_of_product`."""
    fma = vectors.fma
    k, z, i = _split(x, _FIRST_BITS_POWER)
    inverse, log, rest, _ = look_up("roque_powers", _POWERS, i)
    r = fma(z, inverse, -1.0)
    t1 = fma(k, _LN2_HIGH, log)
    t2 = t1 + r
    low1, low2 = fma(k, _LN2_LOW, rest), (t1 - t2) + r
    ar = r * -0.5
    ar2 = r * ar
    ar3 = r * ar2
    high = t2 + ar2
    low3, low4 = fma(ar, r, -ar2), (t2 - high) + ar2
    q = fma(ar2, fma(ar2, fma(r, _P6, _P5), fma(r, _P4, _P3)), fma(r, _P2, _P1))
    low = fma(ar3, q, ((low1 + low2) + low3) + low4)
    total = high + low
    return total, (high - total) + low


def _split(x: Reals, first: int) -> tuple[Reals, Reals, Integers]:
    """Exponent of a number, the rest of it, and the interval of a table that begins with some bits in which that lies."""
    bits = x.bits()
    above = bits - first
    exponent = above >> 52
    return exponent.converted(), (bits - (exponent << 52)).reals(), (above >> 45) & (_STEPS - 1)


def write_exponential_of_product(y: Reals, high: Reals, low: Reals) -> Reals:
    """``x**y`` of the parts of the logarithm of x; their product must lie within +-512."""
    product = y * high
    return write_exponential(product, vectors.fma(y, low, vectors.fma(y, high, -product)))


def write_exponential(x: Reals, rest: Reals | float = 0.0) -> Reals:
    """Exponential of a number within +-708, and of a small rest; beyond +-512 the last bit may be lost."""
    fma = vectors.fma
    shifted = fma(x, _STEPS_OVER_LN2, _SHIFT)
    steps = shifted.bits()
    k = shifted - _SHIFT
    r = fma(k, _STEP_LOW, fma(k, _STEP_HIGH, x)) + rest
    small, bits = look_up("roque_powers_of_two", _POWERS_OF_TWO, steps & (_STEPS - 1))
    scale = (bits.bits() + (steps << 45)).reals()
    r2 = r * r
    q = fma(r2 * r2, fma(r, _E5, _E4), fma(r2, fma(r, _E3, _E2), small + r))
    return fma(scale, q, scale)


def _compiled(write: Any, names: str, result: Any = types.float64) -> Any:
    return instructions(lambda _, *arguments: write(*arguments), names, result)


fma: Any = _compiled(vectors.fma, "a b c")
logarithm_parts: Any = _compiled(write_logarithm_parts, "x", types.UniTuple(types.float64, 2))  # type: ignore[no-untyped-call]
exponential_of_product: Any = _compiled(write_exponential_of_product, "y high low")
_logarithm_far: Any = _compiled(write_logarithm, "x")
_logarithm_near_one: Any = _compiled(write_logarithm_near_one, "x")
_exponential: Any = _compiled(write_exponential, "x")


@inlined
def logarithm(x: float) -> float:
    """Natural logarithm of a number that is at least one, and finite."""
    value: float = _logarithm_near_one(x) if x < NEAR_ONE else _logarithm_far(x)
    return value


@inlined
def square(x: float) -> float:
    """``x**2`` of a positive number as the library's pow, and so Python, has it: one in a thousand is not the product."""
    if not 1.0e-150 < x < 1.0e150:
        return x * x
    high, low = logarithm_parts(x)
    value: float = exponential_of_product(2.0, high, low)
    return value


@inlined
def exponential(x: float) -> float:
    """Exponential; arguments beyond +-708 are taken as +-708, and those beyond +-512 cost the last bit."""
    value: float = _exponential(min(max(x, -_LARGEST), _LARGEST))
    return value
