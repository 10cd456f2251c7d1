"""Likelihood of one observation: quantified, censored at a limit, or known by whether a signal was seen.

The observation (or its ln) is normal about the prediction (or its ln) with standard deviation `s`. On the ln scale
densities are those of ln(level): a density of the level itself would add 2·Σ ln(level) to −2·log-likelihood.
"""

from __future__ import annotations

import math

import numpy as np

from ..compiling.jit import jit, noinline

QUANTIFIED = 0
BELOW = -1
ABOVE = 1
NOT_DETECTED = 2
DETECTED_BELOW = 3

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_SQRT_HALF = math.sqrt(0.5)
# Below this the complementary error function nears underflow and the asymptotic series is exact.
_TAIL = -20.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)


@noinline
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
        return -0.5 * z * z - HALF_LOG_2PI - math.log(-z) + math.log(_tail_series(z))
    if z > 5.0:
        return math.log1p(-0.5 * math.erfc(z * _SQRT_HALF))
    return math.log(0.5 * math.erfc(-z * _SQRT_HALF))


@noinline
def inverse_mills(z: float) -> float:
    """Return phi(z)/Phi(z), the derivative of ln Phi(z)."""
    if z < _TAIL:
        return -z / _tail_series(z)
    if z > 38.0:  # the density underflows
        return 0.0
    return math.exp(-0.5 * z * z - HALF_LOG_2PI) / (0.5 * math.erfc(-z * _SQRT_HALF))


@noinline
def terms(kind: int, y: float, f: float, s: float, rate: float) -> tuple[float, float, float, float, float, float]:
    """Return one observation's negative log-likelihood, its gradient and its information.

    Parameters
    ----------
    kind : int
        QUANTIFIED, BELOW, ABOVE; NOT_DETECTED and DETECTED_BELOW by the hit model, on the ln scale only.
    y : float
        Observation where `kind` is QUANTIFIED, else the limit: the true level lies below or above it.
    f : float
        Prediction, on the scale of `y` (ln or natural).
    s : float
        Residual standard deviation on that scale.
    rate : float
        Expected copies in all wells of the sample at a level of 1, for the hit model.

    Returns
    -------
    tuple of float
        value; derivatives with respect to f and ln s; information (f, f), (f, ln s), (ln s, ln s): the
        expected one where quantified, the Gauss-Newton one where censored. It is never negative definite.
    """
    z = (y - f) / s
    if kind == QUANTIFIED:
        return 0.5 * z * z + math.log(s) + HALF_LOG_2PI, -z / s, 1.0 - z * z, 1.0 / (s * s), 0.0, 2.0
    if kind == NOT_DETECTED:
        return _not_detected(f, s, rate)
    if kind == DETECTED_BELOW:
        return _detected_below(y, f, s, rate)
    sign = 1.0 if kind == BELOW else -1.0
    x = sign * z
    if _TAIL <= x <= 5.0:  # the usual case: the same function once, not twice
        cdf = 0.5 * math.erfc(-x * _SQRT_HALF)
        log_cdf, mills = math.log(cdf), math.exp(-0.5 * x * x - HALF_LOG_2PI) / cdf
    else:
        log_cdf, mills = log_normal_cdf(x), inverse_mills(x)
    # z² · weight stays finite: the weight tends to 1 where the prediction contradicts the limit, else to 0.
    weight = mills * (mills + x)
    if weight < 0.0:  # rounding, far in the lower tail
        weight = 0.0
    return (
        -log_cdf,
        sign * mills / s,
        mills * x,
        weight / (s * s),
        weight * z / s,
        weight * z * z,
    )


@noinline
def _scores(p: float, log_p: float, by_f: float, by_s: float) -> tuple[float, float, float, float, float, float]:
    """Return the terms of an outcome of probability p, from dp/df and dp/d ln s, both over p."""
    if not p > 0.0:  # the prediction leaves no chance at all; its slope is lost too
        return math.inf, 0.0, 0.0, 0.0, 0.0, 0.0
    return -log_p, -by_f, -by_s, by_f * by_f, by_f * by_s, by_s * by_s


@noinline
def _not_detected(f: float, s: float, rate: float) -> tuple[float, float, float, float, float, float]:
    """Terms of no well showing a signal: exp(-copies), over the levels that the residual error allows."""
    # About the mode of the integrand: far above the limit of detection only the lowest levels go undetected.
    mode = 0.0
    for _ in range(60):
        copies = rate * math.exp(f + s * mode)
        slope = -mode - s * copies
        move = slope / (1.0 + s * s * copies)
        mode += move
        if abs(move) < 1e-10:
            break
    copies = rate * math.exp(f + s * mode)
    width = 1.0 / math.sqrt(1.0 + s * s * copies)
    top = -0.5 * mode * mode - copies
    p, by_f, by_s = 0.0, 0.0, 0.0
    for k in range(len(_NODES)):
        e = mode + 9.0 * width * _NODES[k]
        copies = rate * math.exp(f + s * e)
        part = _WEIGHTS[k] * math.exp(-0.5 * e * e - copies - top)
        p += part
        by_f -= part * copies
        by_s -= part * copies * s * e
    return _scores(p, top + math.log(p * 9.0 * width) - HALF_LOG_2PI, by_f / p, by_s / p)


@noinline
def _detected_below(y: float, f: float, s: float, rate: float) -> tuple[float, float, float, float, float, float]:
    """Terms of a signal below the limit y: each level below it, weighted by the chance of a hit."""
    z = (y - f) / s
    upper = min(z, 8.5)
    width = upper + 8.5 if upper > -0.5 else min(8.0, 40.0 / -upper)
    top = 0.0 if upper > 0.0 else -0.5 * upper * upper
    p, by_f, by_s = 0.0, 0.0, 0.0
    for k in range(len(_NODES)):
        e = upper - 0.5 * width * (1.0 - _NODES[k])
        copies = rate * math.exp(f + s * e)
        part = _WEIGHTS[k] * 0.5 * width * math.exp(-0.5 * e * e - top)
        p -= part * math.expm1(-copies)
        slope = part * copies * math.exp(-copies)
        by_f += slope
        by_s += slope * s * e
    edge = -math.expm1(-rate * math.exp(y)) * math.exp(-0.5 * z * z - top) if z < 38.0 else 0.0
    by_f -= edge / s
    by_s -= edge * z
    if not p > 0.0:
        return _scores(0.0, 0.0, 0.0, 0.0)
    return _scores(p, top + math.log(p) - HALF_LOG_2PI, by_f / p, by_s / p)
