"""Normalised prediction errors of a fit: where each sample lies in the distribution that the fit gives it."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import ndtr, ndtri

from ..arguments import whole_number
from ..errors import InputError
from ..schema import BLQ_STATUSES, Status
from .common_data import Observed, settings_of
from .residuals import counting_variance
from .samples import ASSAY_ERRORS

# Of a limit of detection: the copies that are seen in 95 % of samples.
_COPIES_AT_LOD = float(np.log(20.0))


def prediction_errors(fit: xr.DataTree, /, *, seed: int = 0) -> xr.Dataset:
    """Return normalised prediction errors of individual fits: quantile residuals.

    Of a quantified sample it is (observed − predicted)/SD on the scale of the residual error. Of a censored sample only
    an interval is known: (−∞, that of its LLOQ] or [that of its ULOQ, ∞). ``drawn`` has a number from it: the normal
    quantile of a uniform number between the probabilities of the ends (randomised quantile residuals). At the true
    curve and SD they are standard normal; at estimates they are a little narrower, as residuals are. A sample known by
    its detection only is taken as below its LLOQ.

    Parameters
    ----------
    fit : DataTree
        From `ckinetics.fit`.
    seed : int
        Seed of the draws; a patient's depend on it and on the patient's name only.

    Returns
    -------
    Dataset
        Over (patient, sample), with a dim ``output`` where there are several: time, predicted, error (NaN where
        censored or not used), lower and upper (of censored samples; infinite on the open side), drawn (error, or a draw
        from the interval).

    References
    ----------
    Dunn PK, Smyth GK. J Comput Graph Stat 1996;5:236, doi 10.2307/1390802.

    Examples
    --------
    >>> from ckinetics.fitting import fit
    >>> from ckinetics.simulation import simulate
    >>> data = simulate("stein2019", times=[1, 3, 5, 7, 9, 11, 14, 21, 28, 60, 90, 180, 365], n=2, seed=1, lloq=50)
    >>> found = prediction_errors(fit(data, "stein2019"))
    >>> bool((found["drawn"] <= found["upper"]).where(found["upper"].notnull(), True).all())
    True
    """
    if not isinstance(fit, xr.DataTree) or "predictions" not in fit.children or "settings" not in fit.attrs:
        raise InputError("prediction errors are of a fit: give what ckinetics.fit returned")
    seed = whole_number("seed", seed, least=0)
    one = Observed.of(fit)
    on_log = np.array(one.on_log)[:, None, None]
    sd = _sd(fit, one, on_log)
    with np.errstate(all="ignore"):
        error = np.where(one.quantified, _off(one.level, one.predicted, sd, on_log), np.nan)
        at_lloq, at_uloq = (_off(limit, one.predicted, sd, on_log) for limit in (one.lloq, one.uloq))
    below = one.used & np.isin(one.status, BLQ_STATUSES)
    above = one.used & (one.status == Status.above_uloq)
    lower = np.where(below, -np.inf, np.where(above, at_uloq, np.nan))
    upper = np.where(above, np.inf, np.where(below, at_lloq, np.nan))
    unknown = np.isnan(lower) | np.isnan(upper)
    lower[unknown], upper[unknown] = np.nan, np.nan
    patients = fit.dataset["patient"]
    share = np.empty(error.shape)
    for row, name in enumerate(patients.values.tolist()):
        share[:, row] = _uniforms(seed, str(name), (error.shape[0], error.shape[2]))
    drawn = np.where(np.isnan(error), _between(lower, upper, share), error)
    several = len(one.outputs) > 1
    dims = ("patient", "output", "sample") if several else ("patient", "sample")

    def table(values: np.ndarray, meaning: str, **attrs: str) -> tuple[Any, ...]:
        return dims, np.moveaxis(values, 0, 1) if several else values[0], {"long_name": meaning, **attrs}

    coords: dict[str, Any] = {"patient": patients.variable}
    if several:
        coords["output"] = ("output", np.array(one.outputs, dtype=object))
    return xr.Dataset(
        {
            "time": table(one.time, "time since first infusion", units="day"),
            "predicted": table(one.predicted, "predicted level"),
            "error": table(error, "normalised prediction error; NaN where censored or not used"),
            "lower": table(lower, "lower end of the interval of a censored sample"),
            "upper": table(upper, "upper end of the interval of a censored sample"),
            "drawn": table(drawn, "normalised prediction error, of a censored sample drawn from its interval"),
        },
        coords,
        {"seed": seed},
    )


def _off(level: np.ndarray, predicted: np.ndarray, sd: np.ndarray, on_log: np.ndarray) -> np.ndarray:
    return np.asarray(np.where(on_log, np.log(level) - np.log(predicted), level - predicted) / sd)


def _sd(fit: xr.DataTree, one: Observed, on_log: np.ndarray) -> np.ndarray:
    """Return the standard deviation of a sample about its prediction, the counting error of the assay included."""
    if settings_of(fit)["assay_error"] != ASSAY_ERRORS["counting"]:
        return one.sd
    copy = np.where(np.isfinite(one.lod), one.lod / _COPIES_AT_LOD, 0.0)
    with np.errstate(all="ignore"):
        counting = [counting_variance(copy, one.predicted, on_log=flag) for flag in (True, False)]
        return np.asarray(np.sqrt(one.sd**2 + np.where(on_log, *counting)))


def _uniforms(seed: int, patient: str, shape: tuple[int, ...]) -> np.ndarray:
    key = int.from_bytes(hashlib.sha256(patient.encode()).digest()[:8], "little")
    return np.asarray(np.random.default_rng(np.random.SeedSequence([seed, key])).random(shape))


def _between(lower: np.ndarray, upper: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return the normal quantile at a share of the way between the probabilities of two ends.

    Ends far above 0 are mirrored, where differences of their probabilities are not lost.
    """
    with np.errstate(invalid="ignore"):
        mirrored = lower > 0
        low, high = np.where(mirrored, -upper, lower), np.where(mirrored, -lower, upper)
        found = ndtri(ndtr(low) + share * (ndtr(high) - ndtr(low)))
        found = np.clip(np.where(np.isinf(found), high, found), low, high)  # where both probabilities underflow
        return np.asarray(np.where(mirrored, -found, found))
