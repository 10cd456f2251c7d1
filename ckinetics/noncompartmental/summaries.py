"""The table of parameters over patients that a person reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import InputError
from .parameters import PARAMETERS

SHOWN = (
    "cmax",
    "tmax",
    "tlast",
    "clast_obs",
    "auc_last",
    "auc_inf_obs",
    "auc_pct_extrap_obs",
    "lambda_z",
    "half_life",
)


def nca_summary(
    result: xr.Dataset, /, *, parameters: Sequence[str] = SHOWN, by: xr.DataArray | None = None
) -> pd.DataFrame:
    """Summarise parameters over patients.

    Parameters
    ----------
    result : Dataset
        From `nca`.
    parameters : sequence of str
        Which; ``auc_interval`` follows them, one row an interval.
    by : DataArray, optional
        A variable over ``patient`` (a dose level, say): one block of rows a value.

    Returns
    -------
    DataFrame
        One row a parameter, matrix (and group), with columns ``parameter``, ``unit``, ``n`` (patients with a
        value), ``n not calculable`` (patients without one: those who never expanded are counted here),
        ``geometric mean``, ``geometric CV %`` (100·sqrt(exp(s²) - 1), s the SD of ln; both over
        positive values), ``n not positive``, ``mean``, ``SD``, ``median``, ``minimum``, ``maximum``.
    """
    series = str(result["reason_code"].dims[1])
    groups: list[tuple[str, np.ndarray]] = [("", np.ones(result.sizes["patient"], dtype=bool))]
    if by is not None:
        if by.dims != ("patient",) or by["patient"].values.tolist() != result["patient"].values.tolist():
            raise InputError("'by' is not over the result's patients: take it from the same cohort")
        labels = by.values.astype(str)
        groups = [(label, labels == label) for label in dict.fromkeys(labels.tolist())]
    unknown = [name for name in parameters if name not in PARAMETERS]
    if unknown:
        raise InputError(f"unknown parameter '{unknown[0]}': it is one of {', '.join(PARAMETERS)}")
    rows = []
    for position, label in enumerate(result[series].values.tolist()):
        unit = str(result["unit"].values[position]) if "unit" in result.coords else ""
        for group, mask in groups:
            columns = [(name, result[name].values[mask, position]) for name in parameters]
            columns += [
                (f"auc_interval {name}", result["auc_interval"].values[mask, position, at])
                for at, name in enumerate(result["interval"].values.tolist())
            ]
            for name, values in columns:
                known = PARAMETERS.get(name, PARAMETERS["auc_last"])
                row: dict[str, object] = {series: label}
                if by is not None:
                    row[str(by.name or "group")] = group
                rows.append(row | {"parameter": name, "unit": known.units(unit, "day")} | _statistics(values))
    return pd.DataFrame(rows)


def _statistics(values: np.ndarray) -> dict[str, float]:
    there = values[np.isfinite(values)]
    positive = there[there > 0]
    logs = np.log(positive)
    spread = float(np.std(logs, ddof=1)) if len(logs) > 1 else np.nan
    return {
        "n": len(there),
        "n not calculable": len(values) - len(there),
        "geometric mean": float(np.exp(logs.mean())) if len(logs) else np.nan,
        "geometric CV %": float(100 * np.sqrt(np.expm1(spread**2))),
        "n not positive": len(there) - len(positive),
        "mean": float(there.mean()) if len(there) else np.nan,
        "SD": float(np.std(there, ddof=1)) if len(there) > 1 else np.nan,
        "median": float(np.median(there)) if len(there) else np.nan,
        "minimum": float(there.min()) if len(there) else np.nan,
        "maximum": float(there.max()) if len(there) else np.nan,
    }
