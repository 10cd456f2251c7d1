"""The hit model: copies of a sample from the wells with a signal and the wells without.

A well of a sample with L copies a well holds a Poisson number n of molecules that can be amplified, of mean k L. A
well without one is silent; a well with n has a Cq around the curve's at n/k copies, with the instrument's SD. Wells
with a signal alone overstate the copies (1.58 on average where the truth is 1), so both kinds are in one likelihood.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...errors import InputError
from .standard_curve import Curve

_LARGEST_SUM = 1000.0  # molecules above which their number is as good as continuous
_HALF_WIDTH = 7.0  # of the sum over n, in standard deviations of what the Cq says
_LEAST_SD = 1e-4  # of ln(n): a Cq without any error would say a number that is not whole
_GREATEST_SD = 1.0  # of ln(n): beyond, a Cq says nothing of copies


@dataclass(frozen=True)
class HitEstimate:
    """Copies per well by the hit model.

    Attributes
    ----------
    copies, low, high : maximum likelihood, and profile-likelihood interval
    ln_se : standard error of ln(copies), from the observed information
    p_silent : probability of at least so many silent wells at `copies`
    naive_arithmetic, naive_geometric : means of the wells with a signal, for comparison only
    reason : why there is no estimate; `copies` is then NaN
    """

    copies: float
    low: float
    high: float
    ln_se: float = math.nan
    p_silent: float = math.nan
    naive_arithmetic: float = math.nan
    naive_geometric: float = math.nan
    reason: str = ""


def hit_estimate(
    cq: np.ndarray,
    n_silent: int,
    curve: Curve,
    /,
    *,
    sd0: float,
    hit_probability: float = 1.0,
    level: float = 0.95,
) -> HitEstimate:
    """Estimate the copies per well of a sample from its replicate wells.

    Parameters
    ----------
    cq : array of float
        Cq of the wells with a signal; may be empty.
    n_silent : int
        Wells without a signal.
    curve : Curve
        The plate's curve; its own error is not in the result.
    sd0 : float
        SD of Cq at high copies.
    hit_probability : float
        Share k of the copies that give a signal when alone in a well.
    level : float
        Confidence of the two-sided interval.

    Returns
    -------
    HitEstimate
        NaN with a reason where the curve is not usable, its noise is above a factor e of copies, or there is no
        well. Without any signal `copies` and `low` are 0 and `high` is exact: ``exp(-k n high) = (1 - level)/2``.

    Notes
    -----
    ``log L = -k L n_silent + sum log sum_n Poisson(n; k L) Normal(Cq; a + b log10(n/k), sd0)``, n from 1. Above
    1000 molecules the inner sum is a normal of ln(n) with variance ``(ln(1+E) sd0)^2 + 1/n``.

    Examples
    --------
    >>> from ckinetics.assay import fit_curve
    >>> curve = fit_curve([1e1, 1e2, 1e3, 1e4], [36.7, 33.4, 30.0, 26.7])
    >>> found = hit_estimate([38.4, 39.1], 1, curve, sd0=0.1)
    >>> round(found.copies, 1), round(found.naive_arithmetic, 1)
    (1.7, 2.5)
    """
    seen = np.asarray(cq, dtype=np.float64)
    n = len(seen) + n_silent
    k = hit_probability
    if not 0.0 < k < math.inf:
        raise InputError(f"hit_probability is {k:g}: give the share of copies that give a signal, 1 for all of them")
    if not curve.usable:
        return _nothing("the curve is not usable")
    if n == 0:
        return _nothing("there is no well")
    if not np.isfinite(seen).all():
        return _nothing("a Cq is no number")
    if not len(seen):
        return HitEstimate(0.0, 0.0, -math.log((1.0 - level) / 2.0) / (k * n), p_silent=1.0)
    read = curve.copies(seen)
    sd = max(curve.ln_gain * sd0, _LEAST_SD)
    if not sd <= _GREATEST_SD:
        return _nothing(f"noise of {sd0:g} cycles is {sd:.2g} in ln(copies) on this curve: its Cq say no copies")
    top_mean = k * float(read.max()) * math.exp(4.0 * sd)
    wells = [_well(float(value) * k, sd, top_mean) for value in read]

    def moments(theta: float) -> tuple[float, float, float]:
        """Return the log-likelihood of theta = ln(k L), its slope, and its curvature with the sign turned."""
        mean = math.exp(theta)
        total, slope, bend = -n_silent * mean, -n_silent * mean, n_silent * mean
        for well in wells:
            value, first, second = well(theta)
            total, slope, bend = total + value, slope + first, bend - second
        return total, slope, bend

    theta = math.log(max(k * float(read.sum()) / n, 0.5 / n))
    best = _climb(moments, theta)
    top, _, bend = moments(best)
    ln_se = 1.0 / math.sqrt(bend) if bend > 0 else math.nan
    drop = _chi2_half(level)
    low, high = (_cross(moments, best, top - drop, sign * (ln_se if ln_se == ln_se else 1.0)) for sign in (-1, 1))
    return HitEstimate(
        copies=math.exp(best) / k,
        low=math.exp(low) / k,
        high=math.exp(high) / k,
        ln_se=ln_se,
        p_silent=_at_least(n_silent, n, math.exp(-math.exp(best))),
        naive_arithmetic=float(read.mean()),
        naive_geometric=float(np.exp(np.log(read).mean())),
    )


def _nothing(reason: str) -> HitEstimate:
    return HitEstimate(math.nan, math.nan, math.nan, reason=reason)


def _well(x: float, sd: float, top_mean: float) -> Callable[[float], tuple[float, float, float]]:
    """Return ln P(Cq | theta) and its two derivatives, for a Cq that reads x molecules.

    `top_mean` is a mean number of molecules that no theta in question exceeds.
    """
    ln_x = math.log(x)
    if x > _LARGEST_SUM:
        variance = sd**2 + 1.0 / x

        def continuous(theta: float) -> tuple[float, float, float]:
            off = theta - ln_x
            return -0.5 * off**2 / variance, -off / variance, -1.0 / variance

        return continuous
    # Numbers that this Cq can come from, and of these no more than Poisson gives.
    first = max(1, math.floor(x * math.exp(-_HALF_WIDTH * sd)))
    poisson = max(top_mean, x) + 12.0 * math.sqrt(max(top_mean, x)) + 30.0
    last = max(math.ceil(min(x * math.exp(_HALF_WIDTH * sd), poisson)), first) + 1
    number = np.arange(first, last + 1, dtype=np.float64)
    fixed = -_ln_factorial(number) - 0.5 * ((np.log(number) - ln_x) / sd) ** 2

    def summed(theta: float) -> tuple[float, float, float]:
        rate = math.exp(theta)
        terms = fixed + theta * number
        top = float(terms.max())
        weight = np.exp(terms - top)
        total = float(weight.sum())
        mean = float(weight @ number) / total
        bend = float(weight @ (number - mean) ** 2) / total - rate
        return top + math.log(total) - rate, mean - rate, bend

    return summed


def _ln_factorial(number: np.ndarray) -> np.ndarray:
    from scipy.special import gammaln

    return np.asarray(gammaln(number + 1.0))


def _climb(moments: Callable[[float], tuple[float, float, float]], theta: float) -> float:
    """Return the maximum by Newton's steps, none longer than one e-fold."""
    for _ in range(100):
        _, slope, bend = moments(theta)
        step = slope / bend if bend > 0 else math.copysign(0.5, slope)
        step = min(max(step, -1.0), 1.0)
        theta += step
        if abs(step) < 1e-10:
            break
    return theta


def _cross(moments: Callable[[float], tuple[float, float, float]], best: float, target: float, step: float) -> float:
    """Return where the log-likelihood falls to `target` on one side of its maximum."""
    inside, outside = best, best + 2.0 * step
    while moments(outside)[0] > target:
        inside, outside = outside, outside + 2.0 * (outside - best)
    theta = inside + 0.98 * (outside - inside)  # near where a parabola would cross
    for _ in range(100):
        value, slope, _ = moments(theta)
        if value > target:
            inside = theta
        else:
            outside = theta
        newton = theta - (value - target) / slope if slope != 0 else math.nan
        between = min(inside, outside) < newton < max(inside, outside)
        following = newton if between else 0.5 * (inside + outside)
        if abs(following - theta) < 1e-8:
            return following
        theta = following
    return theta


@functools.lru_cache(maxsize=16)
def _chi2_half(level: float) -> float:
    from scipy.stats import chi2

    return 0.5 * float(chi2.ppf(level, 1))


def _at_least(count: int, n: int, probability: float) -> float:
    """Return the probability of `count` or more of `n`."""
    return math.fsum(math.comb(n, at) * probability**at * (1.0 - probability) ** (n - at) for at in range(count, n + 1))
