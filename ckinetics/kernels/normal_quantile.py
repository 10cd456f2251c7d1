"""Normal numbers by inversion: faster than those of `random.normals`, and one number depends on one counter only.

The quantile function is algorithm AS 241 (PPND16) of Wichura 1988 (doi:10.2307/2347330): relative error below 1e-15
for every probability that is met here (2^-53 to 1 - 2^-53; a test compares).
"""

from __future__ import annotations

import math

import numpy as np

from .compiling.jit import inline
from .random import philox

# How many patients' numbers are made together, side by side.
ROWS = 64
_MIDDLE = 0.425
_MASK, _HALF, _REST = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(12)


@inline
def normal_quantile(from_middle):
    """Return the standard normal quantile of the probability 0.5 + `from_middle`, strictly between 0 and 1."""
    if abs(from_middle) <= _MIDDLE:
        return _of_middle(from_middle)
    return _of_tail(from_middle)


@inline
def _of_middle(q):
    r = 0.180625 - q * q
    above = (((2.5090809287301226727e3 * r + 3.3430575583588128105e4) * r + 6.7265770927008700853e4) * r
             + 4.5921953931549871457e4) * r + 1.3731693765509461125e4  # fmt: skip
    above = ((above * r + 1.9715909503065514427e3) * r + 1.3314166789178437745e2) * r + 3.3871328727963666080
    below = (((5.2264952788528545610e3 * r + 2.8729085735721942674e4) * r + 3.9307895800092710610e4) * r
             + 2.1213794301586595867e4) * r + 5.3941960214247511077e3  # fmt: skip
    below = ((below * r + 6.8718700749205790830e2) * r + 4.2313330701600911252e1) * r + 1.0
    return q * above / below


@inline
def _of_tail(q):
    r = math.sqrt(-math.log(0.5 - abs(q)))
    if r <= 5.0:
        r -= 1.6
        above = (((7.74545014278341407640e-4 * r + 2.27238449892691845833e-2) * r + 2.41780725177450611770e-1) * r
                 + 1.27045825245236838258) * r + 3.64784832476320460504  # fmt: skip
        above = ((above * r + 5.76949722146069140550) * r + 4.63033784615654529590) * r + 1.42343711074968357734
        below = (((1.05075007164441684324e-9 * r + 5.47593808499534494600e-4) * r + 1.51986665636164571966e-2) * r
                 + 1.48103976427480074590e-1) * r + 6.89767334985100004550e-1  # fmt: skip
        below = ((below * r + 1.67638483018380384940) * r + 2.05319162663775882187) * r + 1.0
    else:
        r -= 5.0
        above = (((2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r + 1.24266094738807843860e-3) * r
                 + 2.65321895265761230930e-2) * r + 2.96560571828504891230e-1  # fmt: skip
        above = ((above * r + 1.78482653991729133580) * r + 5.46378491116411436990) * r + 6.65790464350110377720
        below = (((2.04426310338993978564e-15 * r + 1.42151175831644588870e-7) * r + 1.84631831751005468180e-5) * r
                 + 7.86869131145613259100e-4) * r + 1.48753612908506148525e-2  # fmt: skip
        below = ((below * r + 1.36929880922735805310e-1) * r + 5.99832206555887937690e-1) * r + 1.0
    return math.copysign(above / below, q)


@inline
def _two_from_middle(stream, draw, place, seed):
    """Return two uniform numbers in (-0.5, 0.5): 52 bits and a half, so that neither end is met."""
    a, b, c, d = philox(draw & _MASK, place & _MASK, stream & _MASK, stream >> _HALF, seed & _MASK, seed >> _HALF)
    one = float(np.int64(((a << _HALF) | b) >> _REST))
    two = float(np.int64(((c << _HALF) | d) >> _REST))
    return (one + 0.5) * 2.0**-52 - 0.5, (two + 0.5) * 2.0**-52 - 0.5


@inline
def normal_pair(stream, draw, place, seed):
    """Return two standard normal numbers for a stream, a draw, a place and a seed (all uint64)."""
    one, two = _two_from_middle(stream, draw, place, seed)
    return normal_quantile(one), normal_quantile(two)


@inline
def fill_normals(first, width, draw, seed, z, kept, where):
    """Fill ``z[k*ROWS + r]`` with a normal number for each k below `width` and each of ROWS streams ``first + r``.

    Numbers k and k + 1 (k even) are `normal_pair` of place k/2, made side by side, which processors do several at a
    time; the tails, which they cannot, are done afterwards. `z`, `kept` and `where` have room for ROWS*(width + 1).
    """
    pairs = (width + 1) // 2
    for pair in range(pairs):
        one = z[2 * pair * ROWS : (2 * pair + 1) * ROWS]
        two = z[(2 * pair + 1) * ROWS : (2 * pair + 2) * ROWS]
        for r in range(ROWS):
            one[r], two[r] = _two_from_middle(np.uint64(first + r), draw, np.uint64(pair), seed)
    count = 0
    for i in range(2 * pairs * ROWS):
        kept[count], where[count] = z[i], i
        count += abs(z[i]) > _MIDDLE
    for i in range(2 * pairs * ROWS):
        z[i] = _of_middle(z[i])
    for i in range(count):
        z[where[i]] = _of_tail(kept[i])
