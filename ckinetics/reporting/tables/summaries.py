"""The table of a result that a person reads."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ...errors import InputError
from ...noncompartmental import nca_summary
from ...schema import YesNo
from ..core.results import flag_words, kind_of, model_name
from .comparisons import AT_MINIMUM, comparison_summary, is_comparison

# What a summary of an nca lets one choose.
NCA_OPTIONS = ("parameters", "by", "blq", "excluded")


def summary(result: xr.Dataset | xr.DataTree, /, **options: Any) -> pd.DataFrame:
    """Summarise a result over patients.

    Parameters
    ----------
    result : Dataset or DataTree
        From `nca`, `fit`, `compare`, `exposure_response` or `exposure_correlation`.
    **options
        Of an nca: ``parameters``, ``by`` (groups of patients), ``blq`` ("count", "lloq/2", "censored") and
        ``excluded`` ("keep", "drop"), see `ckinetics.noncompartmental.nca_summary`.

    Returns
    -------
    DataFrame
        Of an nca: `ckinetics.noncompartmental.nca_summary`, one row a matrix and parameter, with n, n not
        calculable, n beyond limits, geometric mean, geometric CV %, mean, SD, median, minimum, maximum.

        Of a fit: one row an estimated parameter and a derived quantity: ``n`` (patients whose fit is at a
        minimum), ``n determined`` (of these, where the data determine the value), ``n failed`` and ``failed``
        (the others, and why); ``geometric mean of determined`` and ``geometric CV % of determined``, so that a
        parameter that merely stands at its bound does not move them; ``median``, ``minimum`` and ``maximum``
        over all n.

        Of a comparison: one row a model, best first: parameters estimated in each patient, patients and samples in
        the sums, −2LL and criteria summed, difference, weight, in how many patients it is best, and failures.

        Of an exposure analysis: one row with its estimate, interval, p value and numbers used and dropped.

    Raises
    ------
    InputError
        `result` is none of these, or has no such option.

    Examples
    --------
    >>> from ckinetics.cohorts import kinetics_from_arrays
    >>> from ckinetics.noncompartmental import nca
    >>> profiles = kinetics_from_arrays([0, 7, 14, 28, 60], [[0, 1e4, 4e3, 9e2, 80]], lloq=50, unit="copies/ug")
    >>> summary(nca(profiles))["parameter"].tolist()[:3]
    ['cmax', 'tmax', 'tlast']
    """
    kind = "comparison" if is_comparison(result) else kind_of(result)
    known = NCA_OPTIONS if kind == "nca" else ()
    if strangers := [name for name in options if name not in known]:
        words = f"leave it out, or use one of {', '.join(known)}" if known else "leave it out"
        raise InputError(f"the summary of this result has no option '{strangers[0]}': {words}")
    if isinstance(result, xr.DataTree):
        return comparison_summary(result) if kind == "comparison" else _fit_summary(result)
    return nca_summary(result, **options) if kind == "nca" else _exposure_summary(result)


def _fit_summary(fit: xr.DataTree) -> pd.DataFrame:
    ended = flag_words(fit.dataset["convergence"])
    done = np.isin(ended.astype(str), AT_MINIMUM)
    failures = Counter(str(word) or "missing" for word in ended[~done].tolist())
    failed = "; ".join(f"{word.replace('_', ' ')}: {n}" for word, n in failures.items())
    estimates = fit["estimates"].to_dataset()
    tables = [("parameter", estimates, "estimate")]
    if "derived" in fit.children:
        tables.append(("quantity", fit["derived"].to_dataset(), "value"))
    rows = []
    for dim, table, name in tables:
        for at, label in enumerate(table[dim].values.tolist()):
            values = table[name].transpose("patient", dim).values[:, at]
            there = done & np.isfinite(values)
            known = there & _determined(table, dim, at)
            positive = values[known & (values > 0)]
            logs = np.log(positive)
            spread = float(np.std(logs, ddof=1)) if len(logs) > 1 else np.nan
            all_values = values[there]
            rows.append(
                {
                    "model": model_name(fit),
                    "kind": "estimate" if dim == "parameter" else "derived",
                    "parameter": str(label),
                    "unit": str(table["unit"].values[at]) if "unit" in table.coords else "",
                    "fixed": bool("fixed" in table.coords and table["fixed"].values[at] == YesNo.yes),
                    "n": int(there.sum()),
                    "n determined": int(known.sum()),
                    "n failed": int((~there).sum()),
                    "failed": failed,
                    "geometric mean of determined": float(np.exp(logs.mean())) if len(logs) else np.nan,
                    "geometric CV % of determined": float(100 * np.sqrt(np.expm1(spread**2))),
                    "median": float(np.median(all_values)) if len(all_values) else np.nan,
                    "minimum": float(all_values.min()) if len(all_values) else np.nan,
                    "maximum": float(all_values.max()) if len(all_values) else np.nan,
                }
            )
    return pd.DataFrame(rows)


def _determined(table: xr.Dataset, dim: str, at: int) -> np.ndarray:
    if "estimable" in table:
        return np.asarray(table["estimable"].transpose("patient", dim).values[:, at] != YesNo.no)
    if "se" in table:
        fixed = "fixed" in table.coords and table["fixed"].values[at] == YesNo.yes
        return np.isfinite(table["se"].transpose("patient", dim).values[:, at]) | bool(fixed)
    return np.ones(table.sizes["patient"], dtype=bool)


def _exposure_summary(result: xr.Dataset) -> pd.DataFrame:
    attrs = result.attrs
    row: dict[str, object] = {
        "analysis": str(attrs.get("title") or attrs["result"]),
        "method": str(attrs.get("method", "")),
        "exposure": str(attrs.get("exposure_name", "")),
        "in": str(attrs.get("exposure_series", "")),
        "exposure unit": str(attrs.get("exposure_units", "")),
    }
    for label, name in (("event", "event"), ("per", "per"), ("peak", "peak_name"), ("peak unit", "peak_units")):
        if name in attrs:
            row[label] = str(attrs[name])
    for key, variable in result.data_vars.items():
        name = str(key)
        if variable.dims == () and variable.dtype.kind in "fiu":
            value = float(variable.values)
            row[name] = int(value) if name.startswith("n_") and np.isfinite(value) else value
    row["interval"] = str(attrs.get("interval_kind", ""))
    return pd.DataFrame([row])
