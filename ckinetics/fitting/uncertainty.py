"""Covariances and intervals of one patient's estimates, and which estimates the data do not determine."""

from __future__ import annotations

import numpy as np

INTERVALS = {
    "t": "Wald on the estimation scale; observed information, standard error times sqrt(n/(n-p)), quantile of t "
    "with n-p degrees of freedom (n quantified samples, p curve parameters estimated)",
    "normal": "Wald on the estimation scale; observed information, normal quantile",
    "profile": "profile likelihood; the rise of -2 log-likelihood is n*ln(1 + q^2/(n-p)), q the quantile of t with n-p "
    "degrees of freedom (n quantified samples, p curve parameters estimated)",
}
# Beyond this standard error on a log or logit scale an estimate says nothing: a factor of 150 either way.
LARGEST_SE = 5.0
_SINGULAR = {True: 1e-11, False: 1e-7}
_LOADING = 0.01


def covariance(hessian: np.ndarray, free: np.ndarray, unitless: np.ndarray, *, exact: bool = True) -> np.ndarray:
    """Return the covariance on the estimation scale from the Hessian of −log-likelihood.

    Parameters
    ----------
    hessian : ndarray (parameter, parameter)
        Observed information; rows of parameters that are not `free` are not looked at.
    free : ndarray of bool
        Parameters that were estimated and lie inside their bounds and off a kink; the others are held.
    unitless : ndarray of bool
        Parameters on a log or logit scale, where `LARGEST_SE` applies.
    exact : bool
        Whether curves come from a closed form; information from equations is known to fewer digits.

    Returns
    -------
    ndarray (parameter, parameter)
        Rows and columns are NaN where not free or not estimable: where the information is zero, or a parameter takes
        part in a direction along which it is (nearly) zero or negative.
    """
    out = np.full(hessian.shape, np.nan)
    index, scale, values, vectors = scaled_information(hessian, free)
    if not len(index):
        return out
    known = values > _SINGULAR[exact]
    half = scale[:, None] * vectors[:, known] / np.sqrt(values[known])
    found = half @ half.T
    # The directions that the data say nothing of take every parameter that has a share in them with them. They
    # alone are left out: what the data do say of those parameters still widens the errors of the others.
    lost = (np.abs(vectors[:, ~known]) > _LOADING).any(axis=1)
    lost |= unitless[index] & (np.sqrt(np.diag(found)) > LARGEST_SE)
    found[lost], found[:, lost] = np.nan, np.nan
    out[np.ix_(index, index)] = found
    return out


def scaled_information(hessian: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the free parameters with information, 1/sqrt of each one's, and eigenvalues and vectors of the rest.

    The matrix whose eigenvalues are returned has a unit diagonal: an eigenvalue near 0 is a combination of parameters
    that the data say nothing of, whatever their units.
    """
    index = np.flatnonzero(free & np.isfinite(np.diag(hessian)))
    information = 0.5 * (hessian + hessian.T)
    index = index[np.diag(information)[index] > 0]
    block = information[np.ix_(index, index)]
    if not len(index) or not np.isfinite(block).all():
        return np.zeros(0, np.int64), np.zeros(0), np.zeros(0), np.zeros((0, 0))
    scale = 1.0 / np.sqrt(np.diag(block))
    values, vectors = np.linalg.eigh(block * np.outer(scale, scale))
    return index, scale, values, vectors


def quantile(kind: str, confidence: float, n: np.ndarray, p: int) -> np.ndarray:
    """Return the multiple of the standard error that makes the interval of `kind`, per patient."""
    from scipy import stats

    upper = 0.5 + 0.5 * confidence
    if kind == "normal":
        return np.full(len(n), stats.norm.ppf(upper))
    freedom = np.maximum(n - p, 1)
    return np.asarray(stats.t.ppf(upper, freedom) * np.sqrt(n / freedom))


def rise(confidence: float, n: np.ndarray, p: int) -> np.ndarray:
    """Return by how much −log-likelihood rises at the limits of a profile interval, per patient.

    With the residual error profiled out, n*ln(1 + F/(n-p)) is the rise of −2 log-likelihood at which an F statistic of
    1 and n-p degrees of freedom stands: exact for a linear model, and chi-squared for many samples.
    """
    from scipy import stats

    freedom = np.maximum(n - p, 1)
    return np.asarray(0.5 * n * np.log1p(stats.t.ppf(0.5 + 0.5 * confidence, freedom) ** 2 / freedom))
