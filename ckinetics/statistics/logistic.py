"""Logistic regression on one covariate, by maximum likelihood or Firth's penalised likelihood.

Both come with profile likelihood intervals: with the few patients of a phase I study the Wald interval is
wrong, and where the classes separate the maximum likelihood estimate does not exist. Firth's penalty
(Biometrika 1993;80:27) is half the log determinant of the information.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2

_MAX_ITERATIONS = 200
_TOLERANCE = 1e-11


@dataclass(frozen=True)
class LogisticFit:
    """Estimates of ``logit P(y = 1) = intercept + slope x``.

    Attributes
    ----------
    intercept, slope : estimates
    intercept_se, slope_se : from the inverse information at the estimates (without the penalty's part)
    covariance : of intercept and slope
    slope_lower, slope_upper : profile (penalised) likelihood interval; infinite where it has no end
    p_value : (penalised) likelihood ratio test of slope = 0
    converged : whether the maximum was reached
    """

    intercept: float
    slope: float
    intercept_se: float
    slope_se: float
    covariance: float
    slope_lower: float
    slope_upper: float
    p_value: float
    converged: bool


def is_separated(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether a threshold on `x` separates the classes (completely or but for ties at the threshold)."""
    low, high = x[y == 0], x[y == 1]
    return bool(low.max() <= high.min() or high.max() <= low.min())


def fit_logistic(x: np.ndarray, y: np.ndarray, *, penalised: bool, confidence: float = 0.95) -> LogisticFit:
    """Fit a logistic regression on one covariate.

    Parameters
    ----------
    x : array of shape (n,)
        The covariate, finite and not constant.
    y : array of shape (n,)
        0 or 1, both present.
    penalised : bool
        Firth's penalty, or plain maximum likelihood (which needs classes that do not separate).
    confidence : float
        Level of the interval.
    """
    # Centred and scaled: the information is then well conditioned whatever the unit of x.
    centre, scale = float(x.mean()), float(x.std())
    z = (x - centre) / scale
    design = np.column_stack([np.ones_like(z), z])
    beta, top, converged = _maximise(design, y, penalised, np.zeros(2), np.array([True, True]))
    covariance = np.linalg.inv(_information(design, beta))
    null, at_zero, _ = _maximise(design, y, penalised, np.array([beta[0], 0.0]), np.array([True, False]))
    slope_se = float(np.sqrt(covariance[1, 1]))
    cut = chi2.ppf(confidence, 1)

    def excess(value: float) -> float:
        start = _best_start(design, y, value, penalised, float(beta[0]))
        _, reached, _ = _maximise(design, y, penalised, start, np.array([True, False]))
        return 2.0 * (top - reached) - cut

    lower = _end(excess, float(beta[1]), -slope_se)
    upper = _end(excess, float(beta[1]), slope_se)
    transform = np.array([[1.0, -centre / scale], [0.0, 1.0 / scale]])
    covariance = transform @ covariance @ transform.T
    return LogisticFit(
        intercept=float(beta[0] - beta[1] * centre / scale),
        slope=float(beta[1] / scale),
        intercept_se=float(np.sqrt(covariance[0, 0])),
        slope_se=slope_se / scale,
        covariance=float(covariance[0, 1]),
        slope_lower=lower / scale,
        slope_upper=upper / scale,
        p_value=float(chi2.sf(max(2.0 * (top - at_zero), 0.0), 1)),
        converged=converged and bool(np.isfinite(null).all()),
    )


def _probabilities(design: np.ndarray, beta: np.ndarray) -> np.ndarray:
    linear = design @ beta
    return np.where(linear >= 0, 1.0 / (1.0 + np.exp(-np.abs(linear))), 1.0 - 1.0 / (1.0 + np.exp(-np.abs(linear))))


def _information(design: np.ndarray, beta: np.ndarray) -> np.ndarray:
    p = _probabilities(design, beta)
    return (design.T * (p * (1.0 - p))) @ design


def _objective(design: np.ndarray, y: np.ndarray, beta: np.ndarray, penalised: bool) -> float:
    linear = design @ beta
    value = float(np.sum(y * linear - np.logaddexp(0.0, linear)))
    if penalised:
        sign, log_det = np.linalg.slogdet(_information(design, beta))
        value = value + 0.5 * log_det if sign > 0 else -np.inf
    return value


def _best_start(design: np.ndarray, y: np.ndarray, slope: float, penalised: bool, intercept: float) -> np.ndarray:
    """Return the best of several intercepts for a slope.

    The penalised likelihood at a steep slope has a peak for each gap of the covariate that the threshold may
    lie in; from a bad start Newton's method would end on a lower one, and the interval would be too short.
    """
    z = np.unique(design[:, 1])
    gaps = np.quantile((z[:-1] + z[1:]) / 2, np.linspace(0, 1, min(len(z) - 1, 50)))
    starts = [intercept, *(-slope * gaps), *(-slope * z[[0, -1]])]
    values = [_objective(design, y, np.array([start, slope]), penalised) for start in starts]
    return np.array([starts[int(np.argmax(values))], slope])


def _maximise(
    design: np.ndarray, y: np.ndarray, penalised: bool, start: np.ndarray, free: np.ndarray
) -> tuple[np.ndarray, float, bool]:
    """Newton's method with step halving over the free coefficients; return (beta, objective, converged)."""
    beta = start.astype(float).copy()
    best = _objective(design, y, beta, penalised)
    for _ in range(_MAX_ITERATIONS):
        p = _probabilities(design, beta)
        weight = p * (1.0 - p)
        information = (design.T * weight) @ design
        residual = y - p
        if penalised:
            hat = np.einsum("ij,jk,ik->i", design, np.linalg.pinv(information), design) * weight
            residual = residual + hat * (0.5 - p)
        score = (design.T @ residual)[free]
        step = np.zeros_like(beta)
        step[free] = np.linalg.lstsq(information[np.ix_(free, free)], score, rcond=None)[0]
        largest = np.max(np.abs(step))
        if largest > 5.0:
            step *= 5.0 / largest
        for _ in range(40):
            value = _objective(design, y, beta + step, penalised)
            if value >= best - 1e-13 * abs(best):
                break
            step /= 2.0
        else:
            return beta, best, bool(np.max(np.abs(score)) < 1e-6)
        beta, best = beta + step, value
        if np.max(np.abs(step)) < _TOLERANCE * (1.0 + np.max(np.abs(beta))):
            return beta, best, True
    return beta, best, False


def _end(excess: object, estimate: float, step: float) -> float:
    """Return where the profile falls to the cut, going out from the estimate; infinite where it never does."""
    assert callable(excess)
    inner = estimate
    for _ in range(60):
        outer = inner + step
        if excess(outer) > 0:
            return float(brentq(excess, inner, outer, xtol=1e-10, rtol=1e-12))
        inner, step = outer, step * 1.6
        if abs(outer) > 1e4:
            break
    return float(np.copysign(np.inf, step))
