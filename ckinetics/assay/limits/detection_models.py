"""Three models of the probability that a well of so many copies has a signal: single hit, probit, logistic."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Model = Literal["single_hit", "probit", "logistic"]
MODELS: tuple[Model, ...] = ("single_hit", "probit", "logistic")
_LEAST_EXPECTED = 0.5  # wells of the rarer kind that a level must lead one to expect, to count in the test
_FARTHEST = 12.0  # decades from the data beyond which an end of an interval is none


@dataclass(frozen=True)
class DetectionFit:
    """One model of the probability of a signal; NaN, with a reason, where it cannot be fitted.

    Attributes
    ----------
    hit_probability : k of the single-hit model
    intercept, slope : of probit or logistic, on log10(copies)
    log_likelihood, deviance, df, p_value : against a share of its own for each level
    """

    model: Model
    hit_probability: float = math.nan
    intercept: float = math.nan
    slope: float = math.nan
    log_likelihood: float = math.nan
    deviance: float = math.nan
    df: float = math.nan
    p_value: float = math.nan
    reason: str = ""

    def probability(self, copies: np.ndarray) -> np.ndarray:
        """Return the probability that a well of so many copies has a signal."""
        x = np.log10(np.asarray(copies, dtype=np.float64))
        return np.exp(_ln_shares(self.model, self._eta(x))[0])

    def limit(self, probability: float) -> float:
        """Return the copies at which a well has a signal with a probability."""
        if self.reason:
            return math.nan
        eta = _eta_at(self.model, probability)
        if self.model == "single_hit":
            return math.exp(eta) / self.hit_probability
        return float(10.0 ** min(max((eta - self.intercept) / self.slope, -300.0), 300.0))

    def _eta(self, x: np.ndarray) -> np.ndarray:
        if self.model == "single_hit":
            return math.log(self.hit_probability) + math.log(10.0) * x
        return self.intercept + self.slope * x


def fit_detection(copies: np.ndarray, n: np.ndarray, seen: np.ndarray, model: Model) -> DetectionFit:
    """Fit one model to the wells with a signal of each level.

    Parameters
    ----------
    copies, n, seen : array of float
        Copies of each level, positive and ascending, its wells, and those with a signal.
    model : {"single_hit", "probit", "logistic"}
        The model.

    Examples
    --------
    >>> fit = fit_detection(np.array([1.0, 5.0, 10.0]), np.full(3, 96.0), np.array([25.0, 59.0, 96.0]), "single_hit")
    >>> round(fit.hit_probability, 3), round(fit.limit(0.95), 1)
    (0.268, 11.2)
    """
    lowest, highest = copies[0], copies[-1]
    if (seen == n).all():
        return DetectionFit(model, reason=f"every well has a signal: add levels below {lowest:g} copies")
    if not seen.any():
        return DetectionFit(model, reason=f"no well has a signal: add levels above {highest:g} copies")
    x = np.log10(copies)
    if model == "single_hit":
        start, fixed = np.array([-math.log(float((n * copies).sum() / seen.sum()))]), math.log(10.0) * x
        design = np.ones((len(x), 1))
    else:
        if len(copies) > 1 and copies[seen < n].min() >= copies[seen > 0].max():
            return DetectionFit(model, reason="the share of wells with a signal does not rise with copies")
        # A slope has an end only where a well without a signal lies above one with.
        if not copies[seen < n].max() > copies[seen > 0].min():
            return DetectionFit(
                model,
                reason="signal and silence meet at one level: add levels near it, where some wells have a signal",
            )
        centre = float((n * x).sum() / n.sum())
        start, fixed = np.zeros(2), np.zeros(len(x))
        design = np.column_stack([np.ones(len(x)), x - centre])
    beta = _maximise(model, design, fixed, n, seen, start)
    if beta is None:
        return DetectionFit(model, reason="the likelihood has no maximum that can be found")
    eta = design @ beta + fixed
    ln_p, ln_q = _ln_shares(model, eta)
    top = float(_times(seen, ln_p) + _times(n - seen, ln_q))
    share = seen / n
    with np.errstate(divide="ignore"):
        own = float(_times(seen, np.log(share)) + _times(n - seen, np.log1p(-share)))
    deviance = max(2.0 * (own - top), 0.0)
    telling = n * np.exp(np.minimum(ln_p, ln_q)) >= _LEAST_EXPECTED
    df = float(max(int(telling.sum()) - len(beta), 0))
    shown: dict[str, Any]
    if model == "single_hit":
        shown = {"hit_probability": math.exp(beta[0])}
    elif not beta[1] > 0:
        return DetectionFit(model, reason="the share of wells with a signal does not rise with copies")
    else:
        shown = {"intercept": float(beta[0] - beta[1] * centre), "slope": float(beta[1])}
    p_value = _chi2_tail(deviance, df) if df > 0 else math.nan
    return DetectionFit(model, log_likelihood=top, deviance=deviance, df=df, p_value=p_value, **shown)


def limit_interval(
    fit: DetectionFit, copies: np.ndarray, n: np.ndarray, seen: np.ndarray, level: float, interval: float
) -> tuple[float, float]:
    """Return the profile-likelihood interval of the copies at which a well has a signal with probability `level`.

    Each limit that is tried fixes one parameter; the other, where there is one, is chosen best for it. An end that
    lies more than 12 decades away is none: 0 or infinite.
    """
    x = np.log10(copies)
    at = _eta_at(fit.model, level)

    def profile(limit: float) -> float:
        if fit.model == "single_hit":
            return _likelihood(fit.model, at + math.log(10.0) * (x - limit), n, seen)
        return _best_slope(fit.model, at, x - limit, n, seen)

    drop = 0.5 * _chi2_quantile(interval)
    if not fit.reason:
        top, best = fit.log_likelihood, math.log10(fit.limit(level))
        return 10.0 ** _end(profile, best, top - drop, -1.0), 10.0 ** _end(profile, best, top - drop, 1.0)
    if fit.model == "single_hit" and (seen == n).all():  # the likelihood is 1 at a limit of 0
        return 0.0, 10.0 ** _end(profile, float(x[0]) - _FARTHEST, -drop, 1.0)
    if fit.model == "single_hit" and not seen.any():
        return 10.0 ** _end(profile, float(x[-1]) + _FARTHEST, -drop, -1.0), math.inf
    return math.nan, math.nan


def _end(profile: Callable[[float], float], best: float, target: float, sign: float) -> float:
    """Return where the profile falls to `target` on one side of `best`, infinite where it does not."""
    from scipy.optimize import brentq

    inside, step = best, 0.05
    while True:
        outside = inside + sign * step
        if profile(outside) < target:
            return float(brentq(lambda limit: profile(limit) - target, inside, outside, xtol=1e-10))
        inside, step = outside, step * 1.5
        if abs(outside - best) > 2.0 * _FARTHEST:
            return sign * math.inf


def _best_slope(model: Model, at: float, apart: np.ndarray, n: np.ndarray, seen: np.ndarray) -> float:
    """Return the likelihood at the best slope above 0 of a line that is `at` where `apart` is 0."""
    from scipy.optimize import brentq

    def gradient(ln_slope: float) -> float:
        eta = at + math.exp(ln_slope) * apart
        return float((apart * _derivatives(model, eta, n, seen)[0]).sum())

    low, high = -12.0, 8.0
    if gradient(low) <= 0:
        best = low
    elif gradient(high) >= 0:
        best = high
    else:
        best = brentq(gradient, low, high, xtol=1e-10)
    return _likelihood(model, at + math.exp(best) * apart, n, seen)


def _maximise(
    model: Model, design: np.ndarray, fixed: np.ndarray, n: np.ndarray, seen: np.ndarray, start: np.ndarray
) -> np.ndarray | None:
    """Return the maximum of a likelihood that is concave, by Newton's method with halved steps."""
    beta, value = start, _likelihood(model, design @ start + fixed, n, seen)
    for _ in range(200):
        score, bend = _derivatives(model, design @ beta + fixed, n, seen)
        try:
            step = np.linalg.solve((design.T * bend) @ design, design.T @ score)
        except np.linalg.LinAlgError:
            return None
        if not np.isfinite(step).all():
            return None
        if np.abs(step).max() < 1e-11:
            return beta + step
        for _ in range(60):
            trial = _likelihood(model, design @ (beta + step) + fixed, n, seen)
            if trial > value:
                break
            step = step / 2.0
        else:
            return beta  # no step gains anything: at the maximum, up to rounding
        beta, value = beta + step, trial
    return None


def _likelihood(model: Model, eta: np.ndarray, n: np.ndarray, seen: np.ndarray) -> float:
    ln_p, ln_q = _ln_shares(model, eta)
    return _times(seen, ln_p) + _times(n - seen, ln_q)


def _times(count: np.ndarray, ln: np.ndarray) -> float:
    """Return the sum of counts times logarithms, where 0 times anything is 0."""
    return float(np.where(count > 0, count * np.where(count > 0, ln, 0.0), 0.0).sum())


def _ln_shares(model: Model, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ln P and ln(1 - P)."""
    from scipy.special import log_ndtr

    if model == "probit":
        return log_ndtr(eta), log_ndtr(-eta)
    if model == "logistic":
        return -np.logaddexp(0.0, -eta), -np.logaddexp(0.0, eta)
    rate = np.exp(np.clip(eta, -700.0, 700.0))
    return np.log(-np.expm1(-rate)), -rate


def _ln_density(model: Model, eta: np.ndarray) -> np.ndarray:
    """Return ln(dP/d eta)."""
    if model == "probit":
        return -0.5 * eta**2 - 0.5 * math.log(2.0 * math.pi)
    if model == "logistic":
        return -np.logaddexp(0.0, eta) - np.logaddexp(0.0, -eta)
    eta = np.clip(eta, -700.0, 700.0)
    return eta - np.exp(eta)


def _derivatives(model: Model, eta: np.ndarray, n: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivative of each level's log-likelihood by eta, and the second one with the sign turned."""
    ln_p, ln_q = _ln_shares(model, eta)
    ln_f = _ln_density(model, eta)
    # The ratios grow without end where their count is 0.
    up = np.where(seen > 0, np.exp(np.minimum(ln_f - ln_p, 300.0)), 0.0)
    down = np.where(n > seen, np.exp(np.minimum(ln_f - ln_q, 300.0)), 0.0)
    if model == "probit":
        tilt = -eta
    elif model == "logistic":
        tilt = -np.tanh(eta / 2.0)
    else:
        tilt = 1.0 - np.exp(np.clip(eta, -700.0, 300.0))
    bend = seen * up * (up - tilt) + (n - seen) * down * (down + tilt)
    return np.asarray(seen * up - (n - seen) * down), np.maximum(bend, 0.0)


def _eta_at(model: Model, probability: float) -> float:
    """Return the eta of a probability."""
    from scipy.special import logit, ndtri

    if model == "probit":
        return float(ndtri(probability))
    return float(logit(probability)) if model == "logistic" else math.log(-math.log1p(-probability))


@functools.lru_cache(maxsize=64)
def _chi2_quantile(probability: float) -> float:
    from scipy.stats import chi2

    return float(chi2.ppf(probability, 1))


def _chi2_tail(value: float, df: float) -> float:
    from scipy.special import chdtrc

    return float(chdtrc(df, value))
