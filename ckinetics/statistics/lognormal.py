"""A lognormal distribution of values of which some are known by a bound only: geometric mean and CV."""

from __future__ import annotations

import numpy as np

_STEPS = 200


def fit_censored(lower: np.ndarray, upper: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of ln by maximum likelihood.

    Parameters
    ----------
    lower, upper : ndarray
        Bounds of each value: equal where it is known, else a positive `upper` with `lower` 0, or a positive `lower`
        with an infinite `upper`.

    Returns
    -------
    tuple of float
        NaN where the likelihood has no maximum: no value is known, or all known ones are equal and every bound holds
        there too. One known value alone has no standard deviation.

    Notes
    -----
    Without bounds these are the mean of ln and its standard deviation with divisor n, not n - 1. The search is
    Newton's in mean / SD and 1 / SD, in which the log-likelihood is concave (Olsen, Econometrica 1978;46:1211).

    Examples
    --------
    >>> mean, sd = fit_censored(np.array([100.0, 400.0, 0.0]), np.array([100.0, 400.0, 50.0]))
    >>> round(float(np.exp(mean)), 1), round(sd, 3)
    (97.8, 1.214)
    """
    known = lower == upper
    y = np.log(lower[known])
    above = np.isinf(upper[~known])
    bound = np.log(np.where(above, lower[~known], upper[~known]))
    side = np.where(above, -1.0, 1.0)
    if not len(y):
        return np.nan, np.nan
    if (y == y[0]).all():
        if not len(bound):
            return float(y[0]), 0.0 if len(y) > 1 else np.nan
        if (side * (bound - y[0]) >= 0.0).all():
            return np.nan, np.nan
    # In units of the spread of all values and bounds the search starts near its end.
    ends = np.concatenate([y, bound])
    centre, scale = float(y.mean()), float(ends.std())
    y, bound = (y - centre) / scale, (bound - centre) / scale
    point = np.array([0.0, 1.0])
    value, slope, curve = _loglik(point, y, bound, side)
    for _ in range(_STEPS):
        step = np.linalg.solve(curve, slope)
        if abs(step).max() < 1e-14 * max(1.0, abs(point).max()):
            break
        for _ in range(60):
            new = point - step
            if new[1] > 0.0 and (found := _loglik(new, y, bound, side))[0] >= value:
                break
            step = step / 2.0
        else:
            break  # no step is uphill: within rounding of the maximum
        point, (value, slope, curve) = new, found
    return centre + scale * float(point[0] / point[1]), scale / float(point[1])


def _loglik(
    point: np.ndarray, y: np.ndarray, bound: np.ndarray, side: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the log-likelihood at (mean / SD, 1 / SD), its slope and its curvature."""
    from scipy.special import log_ndtr  # an analysis does not wait for scipy

    a, tau = point
    residual, z = tau * y - a, side * (tau * bound - a)
    tail = log_ndtr(z)
    ratio = np.exp(-0.5 * z * z - 0.5 * np.log(2.0 * np.pi) - tail)
    bend = ratio * (ratio + z)
    value = len(y) * np.log(tau) - 0.5 * residual @ residual + tail.sum()
    slope = np.array(
        [residual.sum() - (side * ratio).sum(), len(y) / tau - y @ residual + (side * ratio * bound).sum()]
    )
    cross = y.sum() + (bend * bound).sum()
    curve = np.array([[-len(y) - bend.sum(), cross], [cross, -len(y) / tau**2 - y @ y - (bend * bound * bound).sum()]])
    return float(value), slope, curve
