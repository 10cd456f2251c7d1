"""Covariances and intervals of estimates, and which estimates the data do not determine."""

from __future__ import annotations

from collections.abc import Iterator

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


def covariances(hessians: np.ndarray, free: np.ndarray, unitless: np.ndarray, *, exact: bool = True) -> np.ndarray:
    """Return covariances on the estimation scale from Hessians of −log-likelihood.

    Parameters
    ----------
    hessians : ndarray (patient, parameter, parameter)
        Observed information; rows of parameters that are not `free` are not looked at.
    free : ndarray of bool (patient, parameter)
        Parameters that were estimated and lie inside their bounds and off a kink; the others are held.
    unitless : ndarray of bool (parameter,)
        Parameters on a log or logit scale, where `LARGEST_SE` applies.
    exact : bool
        Whether curves come from a closed form; information from equations is known to fewer digits.

    Returns
    -------
    ndarray (patient, parameter, parameter)
        Rows and columns are NaN where not free or not estimable: where the information is zero, or a parameter takes
        part in a direction along which it is (nearly) zero or negative.
    """
    out = np.full(hessians.shape, np.nan)
    for rows, index, scale, values, vectors in scaled_information(hessians, free):
        known = values > _SINGULAR[exact]
        with np.errstate(all="ignore"):
            weights = np.where(known, 1.0 / np.sqrt(values), 0.0)
        half = scale[:, :, None] * vectors * weights[:, None, :]
        found = half @ np.swapaxes(half, 1, 2)
        # The directions that the data say nothing of take every parameter that has a share in them with them. They
        # alone are left out: what the data do say of those parameters still widens the errors of the others.
        lost = ((np.abs(vectors) > _LOADING) & ~known[:, None, :]).any(axis=2)
        lost |= unitless[index] & (np.sqrt(np.diagonal(found, axis1=1, axis2=2)) > LARGEST_SE)
        out[np.ix_(rows, index, index)] = np.where(lost[:, :, None] | lost[:, None, :], np.nan, found)
    return out


def scaled_information(
    hessians: np.ndarray, free: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield patients, free parameters with information, 1/sqrt of each one's, and eigenvalues and vectors of the rest.

    Patients with information on the same parameters come together. The matrices whose eigenvalues are returned have a
    unit diagonal: an eigenvalue near 0 is a combination of parameters that the data say nothing of, whatever their
    units.
    """
    information = 0.5 * (hessians + np.swapaxes(hessians, 1, 2))
    own = np.diagonal(information, axis1=1, axis2=2)
    with np.errstate(invalid="ignore"):
        informed = free & np.isfinite(own) & (own > 0)
    # A number that is missing between two parameters with information of their own leaves nothing to go by.
    both = informed[:, :, None] & informed[:, None, :]
    informed &= (np.isfinite(information) | ~both).all(axis=(1, 2))[:, None]
    for pattern in np.unique(informed, axis=0):
        rows, index = np.flatnonzero((informed == pattern).all(axis=1)), np.flatnonzero(pattern)
        if not len(index):
            continue
        scale = 1.0 / np.sqrt(own[np.ix_(rows, index)])
        block = information[np.ix_(rows, index, index)] * scale[:, :, None] * scale[:, None, :]
        yield rows, index, scale, *np.linalg.eigh(block)


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
