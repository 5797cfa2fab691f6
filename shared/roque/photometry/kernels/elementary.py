"""Logarithm and exponential that a compiler can turn into vector instructions.

The mathematics library's own are calls, one pixel at a time, and take most of the time of a profile fit. These are plain
arithmetic, right to about one unit in the last place, and the same bits on every machine.
"""

from __future__ import annotations

import math

import numpy as np

from roque.photometry.kernels.compiled import inlined

__all__ = ["LN2", "exponential", "logarithm"]

LN2 = math.log(2.0)
_LN2_HIGH = 6.93147180369123816490e-01  # the upper 33 bits: products with small integers are exact
_LN2_LOW = 1.90821492927058770002e-10
_ONE_OVER_LN2 = 1.4426950408889634
_SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
_SHIFT = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to an integer, held in the low bits
_LARGEST = 708.0


@inlined
def logarithm(x: float) -> float:
    """Natural logarithm of a positive, normal number.

    Notes
    -----
    ``x = 2**k * m`` with m between sqrt(1/2) and sqrt(2); log(m) from the series of atanh((m - 1)/(m + 1)) with the
    coefficients and the order of additions of FreeBSD's e_log.c, so that log(1 + tiny) keeps its digits.
    """
    bits = np.float64(x).view(np.int64)
    exponent = (bits - _SQRT_HALF_BITS) >> 52
    m = np.int64(bits - (exponent << 52)).view(np.float64)
    f = m - 1.0
    s = f / (m + 1.0)
    z = s * s
    tail = z * (
        6.666666666666735130e-01
        + z
        * (
            3.999999999940941908e-01
            + z
            * (
                2.857142874366239149e-01
                + z
                * (
                    2.222219843214978396e-01
                    + z * (1.818357216161805012e-01 + z * (1.531383769920937332e-01 + z * 1.479819860511658591e-01))
                )
            )
        )
    )
    half = 0.5 * f * f
    k = np.float64(exponent)
    return k * _LN2_HIGH - ((half - (s * (half + tail) + k * _LN2_LOW)) - f)


@inlined
def exponential(x: float) -> float:
    r"""Exponential; arguments beyond +-708 are taken as +-708.

    Notes
    -----
    ``x = k ln 2 + r`` with abs(r) < 0.35; exp(r) from its Taylor series to r**13, the power of two through the bits of
    the exponent.
    """
    x = min(max(x, -_LARGEST), _LARGEST)
    shifted = x * _ONE_OVER_LN2 + _SHIFT
    k = shifted - _SHIFT
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    p = 1.0 / 39916800.0 + r * (1.0 / 479001600.0 + r * (1.0 / 6227020800.0))
    p = 1.0 / 40320.0 + r * (1.0 / 362880.0 + r * (1.0 / 3628800.0 + r * p))
    p = 1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0 + r * p))
    p = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * p))))
    # the integer sits in the low bits of `shifted`; what lies above falls off to the left
    power = np.int64((np.float64(shifted).view(np.int64) + 1023) << 52).view(np.float64)
    return p * power
