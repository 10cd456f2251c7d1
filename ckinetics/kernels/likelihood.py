"""Likelihood of one observation with log-additive residual error: quantified, or censored at a limit.

ln(observed) is normal about ln(predicted) with standard deviation `s`. All densities are those of
ln(level), so −2·log-likelihood is on that scale: a density of the level itself would add 2·Σ ln(level).
"""

from __future__ import annotations

import math

from .jit import jit

QUANTIFIED = 0
BELOW = -1
ABOVE = 1

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_SQRT_HALF = math.sqrt(0.5)
# Below this the complementary error function nears underflow and the asymptotic series is exact.
_TAIL = -20.0


@jit
def _tail_series(z: float) -> float:
    """Return Phi(z)·(−z)/phi(z) for z far below 0: 1 − 1/z² + 3/z⁴ − … ."""
    inverse = 1.0 / (z * z)
    term = 1.0
    total = 1.0
    for k in range(1, 11):
        term *= -(2 * k - 1) * inverse
        total += term
    return total


@jit
def log_normal_cdf(z: float) -> float:
    """Return ln Phi(z), to full relative precision in both tails.

    Examples
    --------
    >>> round(log_normal_cdf(-40.0), 6)
    -804.608442
    """
    if z < _TAIL:
        return -0.5 * z * z - _HALF_LOG_2PI - math.log(-z) + math.log(_tail_series(z))
    if z > 5.0:
        return math.log1p(-0.5 * math.erfc(z * _SQRT_HALF))
    return math.log(0.5 * math.erfc(-z * _SQRT_HALF))


@jit
def inverse_mills(z: float) -> float:
    """Return phi(z)/Phi(z), the derivative of ln Phi(z)."""
    if z < _TAIL:
        return -z / _tail_series(z)
    if z > 38.0:  # the density underflows
        return 0.0
    return math.exp(-0.5 * z * z - _HALF_LOG_2PI) / (0.5 * math.erfc(-z * _SQRT_HALF))


@jit
def log_additive_terms(y: float, f: float, s: float, kind: int) -> tuple[float, float, float, float, float, float]:
    """Return one observation's negative log-likelihood, its gradient and its information.

    Parameters
    ----------
    y : float
        ln(level) where `kind` is QUANTIFIED, else ln(limit): the true level lies BELOW or ABOVE it.
    f : float
        ln(predicted level).
    s : float
        Residual standard deviation, ln scale.
    kind : int
        QUANTIFIED, BELOW or ABOVE.

    Returns
    -------
    tuple of float
        value; derivatives with respect to f and ln s; information (f, f), (f, ln s), (ln s, ln s): the
        expected one where quantified, the Gauss-Newton one where censored. It is never negative definite.
    """
    z = (y - f) / s
    if kind == QUANTIFIED:
        return 0.5 * z * z + math.log(s) + _HALF_LOG_2PI, -z / s, 1.0 - z * z, 1.0 / (s * s), 0.0, 2.0
    sign = 1.0 if kind == BELOW else -1.0
    x = sign * z
    mills = inverse_mills(x)
    # z² · weight stays finite: the weight tends to 1 where the prediction contradicts the limit, else to 0.
    weight = mills * (mills + x)
    if weight < 0.0:  # rounding, far in the lower tail
        weight = 0.0
    return (
        -log_normal_cdf(x),
        sign * mills / s,
        mills * x,
        weight / (s * s),
        weight * z / s,
        weight * z * z,
    )
