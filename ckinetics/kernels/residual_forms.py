"""Forms of a residual standard deviation: from a, b and the prediction f."""

from __future__ import annotations

import math

from .jit import jit

# a; b*f; a + b*f; sqrt(a² + (b*f)²).
CONSTANT, PROPORTIONAL, COMBINED1, COMBINED2 = 0, 1, 2, 3
# A prediction below this has no size left.
TINY = 1e-300


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
