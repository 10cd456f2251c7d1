"""Information criteria and the weights that follow from them."""

from __future__ import annotations

import numpy as np

CRITERIA = ("AIC", "AICc", "BIC")


def aic(minus2ll: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return Akaike's criterion, −2LL + 2p.

    Examples
    --------
    >>> float(aic(np.array(10.0), np.array(3)))
    16.0
    """
    return np.asarray(minus2ll + 2.0 * p)


def aicc(minus2ll: np.ndarray, p: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Return Akaike's criterion corrected for n samples, AIC + 2p(p+1)/(n−p−1); NaN where n is p + 1 or less.

    Examples
    --------
    >>> float(aicc(np.array(10.0), np.array(3), np.array(10))), float(aicc(np.array(10.0), np.array(3), np.array(4)))
    (20.0, nan)
    """
    spare = np.asarray(n, dtype=np.float64) - p - 1.0
    correction = np.divide(2.0 * p * (p + 1.0), spare, out=np.full(spare.shape, np.nan), where=spare > 0)
    return aic(minus2ll, p) + correction


def bic(minus2ll: np.ndarray, p: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Return Schwarz's criterion, −2LL + p ln(n); NaN without samples.

    Examples
    --------
    >>> round(float(bic(np.array(10.0), np.array(3), np.array(10))), 3)
    16.908
    """
    count = np.asarray(n, dtype=np.float64)
    return np.asarray(minus2ll + p * np.log(np.where(count > 0, count, np.nan)))


def differences(values: np.ndarray) -> np.ndarray:
    """Return values less the least along the first axis; NaN stays NaN.

    Examples
    --------
    >>> differences(np.array([12.0, 10.0, np.nan])).tolist()
    [2.0, 0.0, nan]
    """
    least = np.fmin.reduce(values, axis=0)
    with np.errstate(invalid="ignore"):  # infinity less infinity: no value is finite
        return np.asarray(values - np.where(np.isfinite(least), least, np.nan))


def weights(delta: np.ndarray) -> np.ndarray:
    """Return exp(−delta/2) over its sum along the first axis; NaN where delta is NaN.

    Examples
    --------
    >>> weights(np.array([0.0, 2.0, np.nan])).round(4).tolist()
    [0.7311, 0.2689, nan]
    """
    raw = np.exp(-0.5 * delta)
    total = np.nansum(np.sort(raw, axis=0), axis=0)  # sorted, so that the order of models changes no digit
    return np.asarray(np.divide(raw, total, out=np.full(raw.shape, np.nan), where=total > 0))


def ranks(values: np.ndarray) -> np.ndarray:
    """Return how many values along the first axis are less, plus one; NaN where a value is NaN.

    Examples
    --------
    >>> ranks(np.array([3.0, 1.0, np.nan, 1.0])).tolist()
    [3.0, 1.0, nan, 1.0]
    """
    less = (values[np.newaxis] < values[:, np.newaxis]).sum(axis=1)
    return np.where(np.isnan(values), np.nan, less + 1.0)
