"""exp of many numbers side by side, which processors do several at a time; relative error below 5e-16.

exp(x) = 2^k exp(r) with whole k and abs(r) <= ln(2)/2, where twelve terms of the series are enough. Of operations that
every processor rounds alike, so that the answer is the same everywhere.
"""

from __future__ import annotations

import math

from .compiling.jit import inline

_LOG2_E = 1.4426950408889634
# ln(2) in two parts, the first with so few digits that k times it is exact.
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
# Added to a number, it leaves the nearest whole number in the lowest bits.
_ROUNDING = 6755399441055744.0
_C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11, _C12 = (1.0 / math.factorial(term) for term in range(3, 13))
_BIAS, _FRACTION = 1023, 52
_MOST = 700.0  # beyond it the answer is that of 700, about 1e304


@inline
def exponentials(values, count, factor, powers, bits):
    """Replace the first `count` values by exp(factor*value); `bits` is `powers` seen as whole numbers."""
    for i in range(count):
        x = min(max(factor * values[i], -_MOST), _MOST)
        shifted = x * _LOG2_E + _ROUNDING
        k = shifted - _ROUNDING
        r = (x - k * _LN2_HIGH) - k * _LN2_LOW
        powers[i] = shifted
        p = _C12
        p = p * r + _C11
        p = p * r + _C10
        p = p * r + _C9
        p = p * r + _C8
        p = p * r + _C7
        p = p * r + _C6
        p = p * r + _C5
        p = p * r + _C4
        p = p * r + _C3
        p = p * r + 0.5
        p = p * r + 1.0
        values[i] = p * r + 1.0
    for i in range(count):
        bits[i] = (bits[i] + _BIAS) << _FRACTION
    for i in range(count):
        values[i] *= powers[i]
