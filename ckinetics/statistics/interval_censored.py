"""Turnbull's estimate: the nonparametric maximum likelihood of times that are known to lie in intervals only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError

# The log-likelihood lies at most so far below its maximum.
GAP = 1e-9
_STEPS = 500


@dataclass(frozen=True)
class Turnbull:
    """A distribution of times that is known on innermost intervals (left, right] only.

    Attributes
    ----------
    left, right : ends of the innermost intervals; equal where a time is exact; the last `right` may be infinite
    mass : probability of each
    gap : Kuhn-Tucker gap: no other distribution has a log-likelihood larger by more than this
    loglik : log-likelihood
    n : times that entered
    """

    left: np.ndarray
    right: np.ndarray
    mass: np.ndarray
    gap: float
    loglik: float
    n: int

    def survival(self, times: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Return the smallest and the largest probability of a longer time; they differ inside an innermost interval.

        Examples
        --------
        >>> low, high = turnbull([28, 90], [90, 180]).survival([28, 60, 90])
        >>> low.tolist(), high.tolist()
        ([1.0, 0.5, 0.5], [1.0, 1.0, 0.5])
        """
        at = np.asarray(times, dtype=np.float64)[..., np.newaxis]
        surely = np.where(self.right <= at, self.mass, 0.0).sum(axis=-1)
        perhaps = np.where((self.right <= at) | (self.left < at), self.mass, 0.0).sum(axis=-1)
        return _probability(1.0 - perhaps), _probability(1.0 - surely)

    def quantile(self, share: float = 0.5) -> tuple[float, float]:
        """Return the innermost interval in which the share of times that have passed reaches `share`.

        Examples
        --------
        >>> turnbull([28, 90, 90], [90, 180, 180]).quantile()
        (90.0, 180.0)
        """
        at = int(np.searchsorted(_probability(np.cumsum(self.mass)), share))
        return float(self.left[at]), float(self.right[at])


def turnbull(lower: ArrayLike, upper: ArrayLike) -> Turnbull:
    """Estimate a distribution of times from intervals (lower, upper] that contain them.

    Parameters
    ----------
    lower, upper : array_like
        One interval a time, open at `lower` and closed at `upper`. An infinite `upper` is a right-censored time;
        equal ends are an exact one.

    Returns
    -------
    Turnbull
        The innermost intervals (a lower end followed by an upper one with no other end between them), which alone
        can hold probability, and the probability of each. It is unique on them; where inside one it lies, no
        likelihood says.

    Raises
    ------
    InputError
        There are no times, an end is missing, or an interval ends before it begins; names the row.

    Notes
    -----
    Each step is one of EM (Turnbull's self-consistency) followed by one of Newton, a least-squares problem with masses
    of 0 or more, shortened until the likelihood grows (Wang, Comput Stat Data Anal 2008;52:2388). The steps stop when
    the Kuhn-Tucker gap max_j sum_i [j inside i] / P(i) - n is at most 1e-9.

    Examples
    --------
    >>> found = turnbull([0, 28, 28, 180], [28, 90, 180, float("inf")])
    >>> [(float(a), float(b), round(float(p), 6)) for a, b, p in zip(found.left, found.right, found.mass)]
    [(0.0, 28.0, 0.25), (28.0, 90.0, 0.5), (180.0, inf, 0.25)]
    """
    low, high = _intervals(lower, upper)
    ends, counts = np.unique(np.column_stack([low, high]), axis=0, return_counts=True)
    return fit_distinct(ends[:, 0], ends[:, 1], counts.astype(np.float64))


def fit_distinct(low: np.ndarray, high: np.ndarray, count: np.ndarray) -> Turnbull:
    """Fit distinct intervals, each with the number of times that have it."""
    left, right, inside = innermost(low, high)
    n = float(count.sum())
    mass = np.full(len(left), 1.0 / len(left))
    gap = np.inf
    for _ in range(_STEPS):
        mass = mass * _gradient(inside, count, mass) / n
        mass = _newton(inside, count, mass)
        gap = float(_gradient(inside, count, mass).max() - n)
        if gap <= GAP:
            break
    loglik = float(count @ np.log(inside @ mass))
    return Turnbull(left, right, mass, max(gap, 0.0), loglik, int(n))


def innermost(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the ends of the innermost intervals, and which lie inside which interval: (interval, innermost)."""
    value = np.concatenate([low, high])
    # At one value an exact time begins first, then intervals end, then those open there begin.
    kind = np.concatenate([np.where(low == high, -1, 1), np.zeros(len(high), dtype=int)])
    order = np.lexsort((kind, value))
    begins = kind[order] != 0
    first = np.flatnonzero(begins[:-1] & ~begins[1:])
    left, right = value[order][first], value[order][first + 1]
    inside = (low[:, np.newaxis] <= left) & (right <= high[:, np.newaxis])
    # An exact time at an open end lies outside.
    inside &= (left < right) | (low[:, np.newaxis] < left) | (low == high)[:, np.newaxis]
    return left, right, inside.astype(np.float64)


def _gradient(inside: np.ndarray, count: np.ndarray, mass: np.ndarray) -> np.ndarray:
    return np.asarray((count / (inside @ mass)) @ inside)


def _newton(inside: np.ndarray, count: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Step to the maximum of the likelihood's quadratic approximation over all distributions, or part of the way."""
    from scipy.optimize import nnls  # an analysis does not wait for scipy

    chance = inside @ mass
    root = np.sqrt(count / count.sum())[:, np.newaxis]
    rows = np.vstack([root * (inside / chance[:, np.newaxis] - 2.0), np.ones(len(mass))])
    target = nnls(rows, np.append(np.zeros(len(count)), 1.0))[0]
    step = target / target.sum() - mass
    before, slope = count @ np.log(chance), _gradient(inside, count, mass) @ step
    for halving in range(30):
        new = np.maximum(mass + step * 0.5**halving, 0.0)
        with np.errstate(divide="ignore"):
            after = count @ np.log(inside @ new)
        if after >= before + slope * 0.5**halving / 3.0:
            return np.asarray(new / new.sum())
    return mass


def _probability(value: np.ndarray) -> np.ndarray:
    """Take off the rounding of a sum of masses: 0, ½ and 1 are met exactly where they are meant."""
    return np.clip(np.round(value, 12), 0.0, 1.0)


def _intervals(lower: ArrayLike, upper: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    try:
        low, high = np.asarray(lower, dtype=np.float64).ravel(), np.asarray(upper, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        raise InputError("lower and upper are not numbers: give the ends of each interval") from None
    if len(low) != len(high):
        raise InputError(f"there are {len(low)} lower ends and {len(high)} upper ones: give one of each per interval")
    if not len(low):
        raise InputError("there are no intervals: give one or more")
    wrong = np.flatnonzero(~(low <= high) | ~np.isfinite(low))
    if len(wrong):
        at = int(wrong[0])
        raise InputError(
            f"interval {at + 1} goes from {low[at]:g} to {high[at]:g}: give a finite lower end and an upper end that "
            "is not smaller"
        )
    return low, high
