"""Digital PCR: concentration of a sample from the partitions of its wells, with an exact interval.

A partition is positive unless it holds no molecule, so with a share p of positives the copies a partition are
``lambda = -ln(1 - p)``, and the concentration is lambda over the partition's volume.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class DigitalEstimate:
    """Concentration of a sample's wells taken together, copies/uL of reaction.

    Attributes
    ----------
    concentration, low, high : maximum likelihood and interval; 0 and an upper bound without positives
    ln_se : standard error of ln(concentration), with the spread between wells; NaN without positives
    between_well_sd : SD of ln(concentration) between wells beyond their counts; NaN for one well
    inflation : factor of the standard error by the spread between wells; 1 where they agree
    n_wells, n_positive, n_partitions : what was counted
    saturated : every partition is positive, so that only `low` is known
    reason : why there is no estimate
    """

    concentration: float = math.nan
    low: float = math.nan
    high: float = math.nan
    ln_se: float = math.nan
    between_well_sd: float = math.nan
    inflation: float = 1.0
    n_wells: int = 0
    n_positive: float = 0.0
    n_partitions: float = 0.0
    saturated: bool = False
    reason: str = ""


def digital_estimate(
    n_positive: np.ndarray, n_partitions: np.ndarray, partition_nl: np.ndarray, /, *, level: float = 0.95
) -> DigitalEstimate:
    """Estimate a concentration from the counts of one or several wells.

    Parameters
    ----------
    n_positive, n_partitions : array of float
        Positive and accepted partitions of each well.
    partition_nl : array of float
        Volume of a partition in each well, nL.
    level : float
        Confidence of the two-sided interval.

    Returns
    -------
    DigitalEstimate
        NaN with a reason where counts or volumes are missing or impossible.

    Notes
    -----
    Wells are merged by their counts: the concentration is the one at which the positives of all wells are likeliest.
    The interval is Clopper and Pearson's of the positives among all partitions, transformed; 0 of n has the upper
    bound 3.69/n copies a partition at 95 %. With several wells it is widened, about the estimate on the scale of
    logarithms, by ``sqrt(max(1, X^2/(m-1)))`` of the m wells, where X^2 holds each well's positives against
    those expected: the counts alone would call wells alike that pipetting made different (Jacobs et al. 2014,
    BMC Bioinformatics 15:283). That spread is known from few wells, so Student's t stands in place of the normal,
    with Satterthwaite's degrees of freedom, ``(m - 1) (F/(F - 1))^2`` for a factor F of the variance: as many as
    there are wells less one where the spread is all, without end where there is none. Two or three wells may agree by
    chance: where pipetting adds 10 % to a counting error of 3 %, simulated 95 % intervals held the truth in 82 % of
    pairs, 89 % of triplicates, 92 % of four and 93 % of six wells; without such a spread in 96 %.

    Examples
    --------
    >>> found = digital_estimate([1500.0], [15000.0], [0.85])
    >>> round(found.concentration, 2), round(found.low, 2), round(found.high, 2)
    (123.95, 117.75, 130.39)
    >>> none = digital_estimate([0.0, 0.0], [15000.0, 15000.0], [0.85, 0.85])
    >>> none.concentration, round(none.high, 3)
    (0.0, 0.145)
    """
    positive, n, volume = (
        np.atleast_1d(np.asarray(a, dtype=np.float64)) for a in (n_positive, n_partitions, partition_nl)
    )
    if not len(n) or not (np.isfinite(positive) & np.isfinite(n) & (n > 0)).all():
        return DigitalEstimate(reason="a well has no counts of partitions")
    if ((positive < 0) | (positive > n)).any():
        return DigitalEstimate(reason="a well has more positive partitions than partitions, or fewer than none")
    if not (np.isfinite(volume) & (volume > 0)).all():
        return DigitalEstimate(reason="the volume of a partition is not known")
    volume = volume / 1e3  # uL
    total, hits = float(n.sum()), float(positive.sum())
    mean_volume = float((n * volume).sum()) / total
    counts: dict[str, Any] = {"n_wells": len(n), "n_positive": hits, "n_partitions": total}
    low, high = (-math.log1p(-share) / mean_volume if share < 1 else math.inf for share in _shares(hits, total, level))
    if hits == total:
        return DigitalEstimate(low=low, high=math.inf, saturated=True, reason="every partition is positive", **counts)
    if hits == 0:
        return DigitalEstimate(0.0, 0.0, high, **counts)
    best = _likeliest(positive, n, volume, -math.log1p(-hits / total) / mean_volume)
    # The ends are those of the merged share; where volumes differ they move with the estimate.
    shift = best / (-math.log1p(-hits / total) / mean_volume)
    share = -np.expm1(-best * volume)
    information = float((n * (best * volume) ** 2 * (1.0 - share) / share).sum())
    inflation, between, quantile = 1.0, math.nan, 1.0
    if len(n) > 1:
        chi2 = float(((positive - n * share) ** 2 / (n * share * (1.0 - share))).sum())
        inflation = math.sqrt(max(1.0, chi2 / (len(n) - 1)))
        between = math.sqrt((inflation**2 - 1.0) * len(n) / information)
        quantile = _t_over_z(level, len(n) - 1, inflation**2) if inflation > 1.0 else 1.0
    factor = inflation * quantile
    low, high = (best * math.exp(min(max(factor * math.log(end * shift / best), -600.0), 600.0)) for end in (low, high))
    return DigitalEstimate(best, low, high, inflation / math.sqrt(information), between, inflation, **counts)


def wald_interval(n_positive: float, n_partitions: float, partition_nl: float, /) -> tuple[float, float]:
    """Return the 95 % interval that QuantaSoft prints as ``PoissonConf``, to hold an export against it.

    ``-ln(p0 +- 1.96 sqrt(p0 p1 / n)) / V`` of the negative share p0; it is too narrow where there are few positives.

    Examples
    --------
    >>> low, high = wald_interval(1500.0, 15000.0, 0.85)
    >>> round(low, 2), round(high, 2)
    (117.69, 130.25)
    """
    share = 1.0 - n_positive / n_partitions
    half = 1.96 * math.sqrt(share * (1.0 - share) / n_partitions)
    low, high = (
        -math.log(end) / partition_nl * 1e3 if end > 0 else math.inf for end in (min(share + half, 1.0), share - half)
    )
    return low, high


def _likeliest(positive: np.ndarray, n: np.ndarray, volume: np.ndarray, start: float) -> float:
    """Return the concentration at which the wells' positives are likeliest; the start where volumes are one."""
    if float(np.ptp(volume)) == 0.0:
        return start
    theta = math.log(start)
    for _ in range(100):
        mean = math.exp(theta) * volume
        share = -np.expm1(-mean)
        slope = float((mean * (positive / share - n)).sum())
        bend = float((n * mean**2 * (1.0 - share) / share).sum())
        theta += (step := min(max(slope / bend, -1.0), 1.0))
        if abs(step) < 1e-13:
            break
    return math.exp(theta)


@functools.lru_cache(maxsize=65536)
def _shares(hits: float, total: float, level: float) -> tuple[float, float]:
    """Return Clopper and Pearson's interval of a share."""
    from scipy.special import betaincinv

    tail = (1.0 - level) / 2.0
    low = 0.0 if hits == 0 else float(betaincinv(hits, total - hits + 1.0, tail))
    high = 1.0 if hits == total else float(betaincinv(hits + 1.0, total - hits, 1.0 - tail))
    return low, high


def _t_over_z(level: float, df: int, factor: float) -> float:
    """Return how much wider Student's t is than the normal at Satterthwaite's degrees of freedom."""
    from scipy.special import ndtri, stdtrit

    probability = 0.5 + level / 2.0
    return float(stdtrit(df * (factor / (factor - 1.0)) ** 2, probability) / ndtri(probability))
