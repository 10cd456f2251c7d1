"""Exposure against the peak of a cytokine: rank correlation."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from scipy.stats import norm, spearmanr

from ..cohorts import align_patients
from ..cohorts.selection import Join
from ..errors import InputError, StaleResultError
from ..provenance import result_attrs
from .response import caution, check_confidence, in_series, series_of


def exposure_correlation(
    exposure: xr.DataArray,
    peak: xr.DataArray,
    /,
    *,
    censored: Literal["rank", "drop"] = "rank",
    join: Join = "exact",
    confidence: float = 0.95,
) -> xr.Dataset:
    """Compute Spearman's correlation of an exposure with a peak.

    Parameters
    ----------
    exposure : DataArray over patient
        A parameter; patients in whom it is missing are left out, counted, and listed with the reason.
    peak : DataArray over patient
        A peak, e.g. ``peaks(cohort)["peak"].sel(cytokine="IL-6")``.
    censored : {"rank", "drop"}
        What happens to peaks that were not quantified (the coordinate ``censored`` of `peaks`): ``rank`` puts
        those above ULOQ together at the top and those below LLOQ together at the bottom; ``drop`` leaves them
        out, which loses the most extreme patients.
    join : {"exact", "inner"}
        Whether both must be over the same patients.
    confidence : float
        Level of the interval.

    Returns
    -------
    Dataset
        Scalars ``rho``, ``rho_lower`` and ``rho_upper`` (Fisher's z with the variance of Bonett and Wright 2000),
        ``p_value`` (t approximation), ``n_used``, ``n_dropped``, ``n_censored``; ``exposure``, ``peak``, ``used`` and
        ``drop_reason`` over patient. NaN with the attribute ``message`` where there are fewer than 4 patients
        or no variation.

    Raises
    ------
    InputError
        Different patients, or an unknown option.
    StaleResultError
        The two say that they were computed from different cohorts.

    Examples
    --------
    >>> import xarray as xr
    >>> patient = ["a", "b", "c", "d", "e"]
    >>> cmax = xr.DataArray([1.0, 2, 3, 4, 5], {"patient": patient}, "patient", name="cmax")
    >>> il6 = xr.DataArray([10.0, 30, 20, 50, 40], {"patient": patient}, "patient", name="IL-6")
    >>> round(float(exposure_correlation(cmax, il6)["rho"]), 3)
    0.8
    """
    if censored not in ("rank", "drop"):
        raise InputError(f"unknown policy '{censored}' for censored peaks: use 'rank' or 'drop'")
    check_confidence(confidence)
    hashes = {str(array.attrs["cohort_hash"]) for array in (exposure, peak) if array.attrs.get("cohort_hash")}
    if len(hashes) > 1:
        raise StaleResultError(
            f"'{exposure.name}' and the peak of {_name_of(peak)} were computed from different data: compute both from "
            "one cohort"
        )
    pair = align_patients(exposure, peak, join=join)
    x, y = pair.first.values.astype(np.float64), pair.second.values.astype(np.float64)
    flag = pair.second["censored"].values if "censored" in pair.second.coords else np.zeros(len(y), np.int8)
    ranked = y.copy()
    if censored == "rank":
        ranked = np.where(flag == 1, np.inf, np.where(flag == -1, -np.inf, y))
    reasons = np.full(len(x), "", dtype=object)
    reasons[np.isnan(ranked)] = "peak is missing"
    if censored == "drop":
        reasons[flag != 0] = "peak was not quantified"
    reasons[np.isnan(x)] = "exposure could not be calculated"
    used = reasons == ""
    n = int(used.sum())
    rho = p_value = lower = upper = np.nan
    message = ""
    if n < 4:
        message = f"{n} patients with both are too few: nothing is estimated"
    elif len(np.unique(x[used])) < 2 or len(np.unique(ranked[used])) < 2:
        message = "one of the two is the same in all patients: nothing is estimated"
    else:
        order = np.unique(ranked[used], return_inverse=True)[1]  # infinities keep their place as ranks
        rho, p_value = (float(value) for value in spearmanr(x[used], order))
        if abs(rho) < 1.0:
            half = norm.ppf(0.5 + confidence / 2) * np.sqrt((1 + rho**2 / 2) / (n - 3))
            lower, upper = float(np.tanh(np.arctanh(rho) - half)), float(np.tanh(np.arctanh(rho) + half))
    name, peak_name = str(exposure.name or "exposure"), _name_of(peak)
    lost = [*pair.only_first, *pair.only_second]
    scalars = {
        "rho": rho,
        "rho_lower": lower,
        "rho_upper": upper,
        "p_value": p_value,
        "n_used": float(n),
        "n_dropped": float((~used).sum() + len(lost)),
        "n_censored": float((used & (flag != 0)).sum()),
    }
    return xr.Dataset(
        {
            **{key: ((), np.float64(value)) for key, value in scalars.items()},
            "exposure": ("patient", x, {"units": str(exposure.attrs.get("units", ""))}),
            "peak": ("patient", y, {"units": _unit_of(peak)}),
            "censored": ("patient", flag.astype(np.int8)),
            "used": ("patient", used.astype(np.int8)),
            "drop_reason": ("patient", reasons),
        },
        {"patient": pair.first["patient"].variable},
        result_attrs(
            title=f"{name}{in_series(exposure)} against the peak of {peak_name}",
            source=str(exposure.attrs.get("cohort_hash", "")),
            result="exposure_correlation",
            settings={"censored": censored, "join": join, "confidence": confidence},
            method="spearman",
            message=message,
            interval_kind=f"{100 * confidence:g} % Fisher z, variance of Bonett and Wright",
            exposure_name=name,
            exposure_series=series_of(exposure),
            exposure_units=str(exposure.attrs.get("units", "")),
            peak_name=peak_name,
            peak_units=_unit_of(peak),
            left_out_by_join=", ".join(lost),
            caution=caution(name),
        ),
    )


def _name_of(peak: xr.DataArray) -> str:
    return series_of(peak) or str(peak.name or "peak")


def _unit_of(peak: xr.DataArray) -> str:
    if "unit" in peak.coords and peak["unit"].ndim == 0:
        return str(peak["unit"].item())
    return str(peak.attrs.get("units", ""))
