"""Exposure against a binary response: the odds ratio for each doubling of exposure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr
from scipy.stats import norm

from ..cohorts import align_patients
from ..cohorts.selection import Join
from ..errors import InputError
from ..provenance import result_attrs
from ..statistics.logistic import LogisticFit, fit_logistic, is_separated

RESPONDERS = ("sCR", "CR", "CRi", "CRh", "VGPR", "PR")
CATEGORIES = (*RESPONDERS, "MR", "SD", "NON-CR/NON-PD", "NR", "PD")
NOT_EVALUABLE = ("NE", "ND", "UNK", "MISSING")
# Parameters whose value grows with the length of follow-up, and so with survival.
FOLLOW_UP_BOUND = ("auc_last", "auc_all", "auc_inf_obs", "auc_inf_pred", "tlast", "clast_obs", "lambda_z", "half_life")
_POINTS = 101


def exposure_response(
    exposure: xr.DataArray,
    response: xr.DataArray,
    /,
    *,
    event: str | Sequence[str] = RESPONDERS,
    method: Literal["auto", "logistic", "firth"] = "auto",
    join: Join = "exact",
    confidence: float = 0.95,
) -> xr.Dataset:
    """Relate an exposure to a binary response by logistic regression on log2(exposure).

    Parameters
    ----------
    exposure : DataArray over patient
        A positive parameter: ``nca["cmax"].sel(matrix="blood")``, an area, an estimate of a fit. Patients in whom
        it is missing or not positive are left out, counted, and listed with the reason.
    response : DataArray over patient
        Words of response (CR, PR, SD, PD, …; case does not matter), or 0 and 1 (-1 or NaN is missing). "NE"
        and an empty word are missing.
    event : str or sequence of str
        The word or words that count as an event.
    method : {"auto", "logistic", "firth"}
        ``logistic``: maximum likelihood; refused where the classes separate, because no estimate exists.
        ``firth``: penalised likelihood. ``auto``: logistic, and firth where the classes separate.
    join : {"exact", "inner"}
        Whether both must be over the same patients.
    confidence : float
        Level of the intervals.

    Returns
    -------
    Dataset
        Scalars ``odds_ratio`` (for each doubling) with ``odds_ratio_lower`` and ``odds_ratio_upper`` (profile
        likelihood), ``p_value`` (likelihood ratio test), ``slope`` and ``slope_se`` (per log2),
        ``intercept``, ``n_used``, ``n_dropped``, ``n_events``; ``exposure``, ``outcome``, ``used`` and ``drop_reason``
        over patient; the fitted ``probability`` with a pointwise Wald band (on the logit scale) over
        ``point``. Where nothing can be estimated the scalars are NaN and the attribute ``message`` says why.

    Raises
    ------
    InputError
        Different patients, a word that is no response, classes that separate under ``method="logistic"``.

    Notes
    -----
    The estimates, standard errors and intervals equal those of R's glm and brglm2 and the checked ones of logistf.
    A result is exploratory: exposure is not randomised.

    Examples
    --------
    >>> import xarray as xr
    >>> patient = [f"P{n}" for n in range(8)]
    >>> cmax = xr.DataArray([1e2, 4e3, 3e2, 9e2, 2e4, 5e3, 7e4, 2e2], {"patient": patient}, "patient", name="cmax")
    >>> best = xr.DataArray(["PD", "PR", "PD", "CR", "CR", "SD", "PR", "SD"], {"patient": patient}, "patient")
    >>> float(exposure_response(cmax, best)["n_events"])
    4.0
    """
    if method not in ("auto", "logistic", "firth"):
        raise InputError(f"unknown method '{method}': use 'auto', 'logistic' or 'firth'")
    check_confidence(confidence)
    event = [event] if isinstance(event, str) else list(event)
    pair = align_patients(exposure, response, join=join)
    level = pair.first.values.astype(np.float64)
    outcome, why_not = _outcomes(pair.second, event)
    reasons = np.array(why_not, dtype=object)
    reasons[~(level > 0)] = "exposure is not positive"
    reasons[~np.isfinite(level)] = "exposure could not be calculated"
    used = reasons == ""
    name = str(exposure.name or "exposure")
    x, y = np.log2(level[used]), outcome[used]
    fit, chosen, message = _fit(x, y, method, confidence, name)
    lost = [*pair.only_first, *pair.only_second]
    attrs = result_attrs(
        title=f"{name}{in_series(exposure)} against response",
        source=str(exposure.attrs.get("cohort_hash", "")),
        result="exposure_response",
        settings={"event": list(event), "method": method, "join": join, "confidence": confidence},
        method=chosen,
        message=message,
        interval_kind=f"{100 * confidence:g} % profile {'penalised ' if chosen == 'firth' else ''}likelihood",
        p_value_kind=f"{'penalised ' if chosen == 'firth' else ''}likelihood ratio test",
        exposure_name=name,
        exposure_series=series_of(exposure),
        exposure_units=str(exposure.attrs.get("units", "")),
        event="/".join(event),
        per="doubling",
        left_out_by_join=", ".join(lost),
        caution=caution(name),
    )
    scalars = dict.fromkeys(
        ("odds_ratio", "odds_ratio_lower", "odds_ratio_upper", "p_value", "slope", "slope_se", "intercept"), np.nan
    )
    if fit is not None:
        scalars = {
            "odds_ratio": float(np.exp(fit.slope)),
            "odds_ratio_lower": float(np.exp(fit.slope_lower)),
            "odds_ratio_upper": float(np.exp(fit.slope_upper)),
            "p_value": fit.p_value,
            "slope": fit.slope,
            "slope_se": fit.slope_se,
            "intercept": fit.intercept,
        }
    scalars |= {
        "n_used": float(used.sum()),
        "n_dropped": float((~used).sum() + len(lost)),
        "n_events": float(np.nansum(y)),
    }
    variables: dict[str, Any] = {key: ((), np.float64(value)) for key, value in scalars.items()}
    variables |= {
        "exposure": ("patient", level, {"units": attrs["exposure_units"], "long_name": name}),
        "outcome": ("patient", outcome, {"long_name": "1 where the event was seen"}),
        "used": ("patient", used.astype(np.int8)),
        "drop_reason": ("patient", reasons),
        **_curve(x, fit, confidence),
    }
    return xr.Dataset(variables, {"patient": pair.first["patient"].variable}, attrs)


def series_of(array: xr.DataArray) -> str:
    """Return the matrix (or cytokine, or count) that an array was selected from, "" where it does not say."""
    labels = [array[dim] for dim in ("matrix", "cytokine", "count") if dim in array.coords]
    return str(labels[0].item()) if labels and labels[0].ndim == 0 else ""


def in_series(array: xr.DataArray) -> str:
    """Return " in blood" for an array selected from blood, "" where it does not say."""
    label = series_of(array)
    return f" in {label}" if label else ""


def check_confidence(confidence: float) -> None:
    """Refuse a level of an interval that is not between 0 and 1."""
    if not 0 < confidence < 1:
        raise InputError(f"confidence {confidence:g} is not between 0 and 1: write 0.95 for 95 %")


def caution(name: str) -> str:
    """Return what must be kept in mind of an exposure, or ""."""
    base = name.split(" ")[0]
    if base in FOLLOW_UP_BOUND:
        return (
            f"{base} depends on how long a patient was followed, and so on the outcome itself: "
            "an interval area (AUC0-28) or Cmax does not"
        )
    return ""


def _outcomes(response: xr.DataArray, event: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Return 0, 1 or NaN for each patient, and why it is NaN."""
    values = response.values
    outcome = np.full(len(values), np.nan)
    reasons = [""] * len(values)
    events = {word.upper() for word in event}
    known = {word.upper() for word in (*CATEGORIES, *event)}
    numeric = values.dtype.kind in "ifub"
    for at, value in enumerate(values.tolist()):
        if numeric:
            if value in (0, 1):
                outcome[at] = float(value)
            elif value == -1 or np.isnan(value):
                reasons[at] = "response is missing"
            else:
                raise InputError(f"response of patient '{response['patient'].values[at]}' is {value}: use 0 or 1")
            continue
        word = str(value).strip().upper()
        if not word:
            reasons[at] = "response is missing"
        elif word in NOT_EVALUABLE:
            reasons[at] = f"response is {word}"
        elif word in known:
            outcome[at] = float(word in events)
        else:
            raise InputError(
                f"response '{value}' of patient '{response['patient'].values[at]}' is not known: "
                f"use one of {', '.join((*CATEGORIES, *NOT_EVALUABLE))}, or 0 and 1"
            )
    return outcome, reasons


def _fit(
    x: np.ndarray, y: np.ndarray, method: str, confidence: float, name: str
) -> tuple[LogisticFit | None, str, str]:
    """Return the fit (None where there can be none), the method used, and what to say about it."""
    chosen = "logistic" if method == "auto" else method
    if len(x) < 3:
        return None, chosen, f"{len(x)} patients with both are too few: nothing is estimated"
    if len(np.unique(y)) < 2:
        what = "had the event" if y[0] == 1 else "had no event"
        return None, chosen, f"all {len(y)} patients {what}: an odds ratio cannot be estimated"
    if np.ptp(x) == 0:
        return None, chosen, f"{name} is the same in all {len(x)} patients: an odds ratio cannot be estimated"
    message = ""
    if is_separated(x, y):
        if method == "logistic":
            raise InputError(
                f"{name} separates the classes, so no maximum likelihood estimate exists: use method='firth'"
            )
        if method == "auto":
            chosen, message = "firth", f"{name} separates the classes: Firth's penalised likelihood is used"
    fit = fit_logistic(x, y, penalised=chosen == "firth", confidence=confidence)
    if not fit.converged:
        return None, chosen, "the fit did not converge: no estimate is given"
    return fit, chosen, message


def _curve(x: np.ndarray, fit: LogisticFit | None, confidence: float) -> dict[str, Any]:
    if fit is None:
        empty = np.full(_POINTS, np.nan)
        return dict.fromkeys(("grid", "probability", "probability_lower", "probability_upper"), ("point", empty))
    grid = np.linspace(x.min(), x.max(), _POINTS)
    linear = fit.intercept + fit.slope * grid
    spread = np.sqrt(fit.intercept_se**2 + 2 * grid * fit.covariance + (grid * fit.slope_se) ** 2)
    z = float(norm.ppf(0.5 + confidence / 2))

    def probability(value: np.ndarray) -> np.ndarray:
        return 1.0 / (1.0 + np.exp(-value))

    return {
        "grid": ("point", 2.0**grid),
        "probability": ("point", probability(linear)),
        "probability_lower": ("point", probability(linear - z * spread)),
        "probability_upper": ("point", probability(linear + z * spread)),
    }
