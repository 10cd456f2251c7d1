"""Standard errors and intervals of one patient's estimates, and which estimates the data do not determine."""

from __future__ import annotations

import numpy as np

INTERVALS = {
    "t": "Wald on the estimation scale; observed information, standard error times sqrt(n/(n-p)), quantile of t "
    "with n-p degrees of freedom (n samples used, p curve parameters estimated)",
    "normal": "Wald on the estimation scale; observed information, normal quantile",
}
# Beyond this standard error on a log or logit scale an estimate says nothing: a factor of 150 either way.
LARGEST_SE = 5.0
_SINGULAR = 1e-8
_LOADING = 0.01


def standard_errors(hessian: np.ndarray, free: np.ndarray, unitless: np.ndarray) -> np.ndarray:
    """Return standard errors on the estimation scale from the Hessian of −log-likelihood.

    Parameters
    ----------
    hessian : ndarray (parameter, parameter)
        Observed information; rows of parameters that are not `free` are not looked at.
    free : ndarray of bool
        Parameters that were estimated and lie inside their bounds and off a kink; the others are held.
    unitless : ndarray of bool
        Parameters on a log or logit scale, where `LARGEST_SE` applies.

    Returns
    -------
    ndarray
        NaN where not free or not estimable: where the information is zero, or a parameter takes part in a
        direction along which it is (nearly) zero or negative.
    """
    out = np.full(len(free), np.nan)
    information = 0.5 * (hessian + hessian.T)
    index = np.flatnonzero(free & np.isfinite(np.diag(hessian)))
    index = index[np.diag(information)[index] > 0]
    block = information[np.ix_(index, index)]
    if not len(index) or not np.isfinite(block).all():
        return out
    scale = 1.0 / np.sqrt(np.diag(block))
    values, vectors = np.linalg.eigh(block * np.outer(scale, scale))
    known = values > _SINGULAR
    se = scale * np.sqrt(np.sum(vectors[:, known] ** 2 / values[known], axis=1))
    # The directions that the data say nothing of take every parameter that has a share in them with them. They
    # alone are left out: what the data do say of those parameters still widens the errors of the others.
    lost = (np.abs(vectors[:, ~known]) > _LOADING).any(axis=1)
    out[index] = np.where(lost | (unitless[index] & (se > LARGEST_SE)), np.nan, se)
    return out


def quantile(kind: str, confidence: float, n: np.ndarray, p: int) -> np.ndarray:
    """Return the multiple of the standard error that makes the interval of `kind`, per patient."""
    from scipy import stats

    upper = 0.5 + 0.5 * confidence
    if kind == "normal":
        return np.full(len(n), stats.norm.ppf(upper))
    freedom = np.maximum(n - p, 1)
    return np.asarray(stats.t.ppf(upper, freedom) * np.sqrt(n / freedom))
