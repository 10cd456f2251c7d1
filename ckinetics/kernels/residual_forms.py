"""Forms of a residual standard deviation: from a, b and the prediction f."""

from __future__ import annotations

import math

from .compiling.jit import jit

# a; b*f; a + b*f; sqrt(a² + (b*f)²).
CONSTANT, PROPORTIONAL, COMBINED1, COMBINED2 = 0, 1, 2, 3
# A prediction below this has no size left.
TINY = 1e-300


@jit
def counting(noise: float, f: float, on_log: bool) -> tuple[float, float]:
    """Return the variance that counting adds at the prediction f, and the derivative of its ln / 2 by f.

    `noise` is the level of one copy. The variance of a level is noise*f; that of its ln is ln(1 + noise/f), of the
    lognormal with that mean and variance: at few copies noise/f itself would grow beyond any measure, and no level
    would be too low to be quantified.

    Examples
    --------
    >>> counting(2.0, 8.0, False)
    (16.0, 0.0625)
    >>> round(counting(2.0, 1e4, True)[0], 9)
    0.00019998
    """
    if not on_log:
        return noise * abs(f), 0.5 / f if f != 0.0 else 0.0
    added = math.log1p(noise / f) if noise < f else math.log(f + noise) - math.log(f)
    return added, -0.5 * noise / (f + noise) / (f * added)


@jit
def deviation(form: int, a: float, b: float, f: float) -> tuple[float, float, float, float]:
    """Return the residual standard deviation, and the derivatives of its ln by ln a, ln b and f.

    Examples
    --------
    >>> deviation(COMBINED1, 1.0, 0.5, 4.0)[0]
    3.0
    """
    size = abs(f)
    sign = 1.0 if f >= 0.0 else -1.0
    if form == CONSTANT:
        return a, 1.0, 0.0, 0.0
    if form == PROPORTIONAL:
        if size < TINY:
            return b * TINY, 0.0, 1.0, 0.0
        return b * size, 0.0, 1.0, sign / size
    if form == COMBINED1:
        s = a + b * size
        return s, a / s, b * size / s, sign * b / s
    s = math.sqrt(a * a + b * b * f * f)
    return s, (a / s) ** 2, (b * f / s) ** 2, b * b * f / (s * s)
