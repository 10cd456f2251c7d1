"""The tables of a comparison of models: one row a model, and one row a model and patient."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ...schema import YesNo
from ..core.results import flag_words

# Fits whose estimates are at a minimum; others have none, or are where the search stopped.
AT_MINIMUM = ("converged", "converged_at_kink", "at_bound")
CRITERIA = {"AIC": "aic", "AICc": "aicc", "BIC": "bic"}


def is_comparison(result: Any) -> bool:
    """Whether this is what `ckinetics.compare` returned."""
    return isinstance(result, xr.DataTree) and result.attrs.get("result") == "comparison"


def comparison_summary(comparison: xr.DataTree) -> pd.DataFrame:
    """Return one row a model, best first: sums over the patients that were compared, and who failed."""
    root, criterion = comparison.dataset, str(comparison.attrs["criterion"])
    n, out = int(root["n_patients"]), int(root["n_left_out"])
    failures = _failures(comparison)
    rows = []
    for at, name in enumerate(root["model"].values.tolist()):
        one = {str(key): float(root[key].values[at]) for key in root.data_vars if root[key].dims == ("model",)}
        rows.append(
            {
                "rank": one["rank"],
                "model": str(name),
                "parameters": int(one["n_parameters"]),
                "patients": n,
                "patients left out": out,
                "samples": int(one["n_samples"]),
                "−2LL": one["minus2ll"],
                **{label: one[key] for label, key in CRITERIA.items()},
                f"difference of {criterion}": one["delta"],
                "weight": one["weight"],
                "best in": int(one["n_best"]),
                "failed": int(one["n_failed"] + one["n_undefined"]),
                "failures": failures[at],
            }
        )
    return pd.DataFrame(rows).sort_values("rank", kind="stable", ignore_index=True)


def _failures(comparison: xr.DataTree) -> list[str]:
    """Return, for each model, how many patients have no value and why, in few words."""
    table = comparison["patients"].to_dataset().transpose("model", "patient", ...)
    ended, outcome = flag_words(table["convergence"]), flag_words(table["outcome"])
    out = []
    for at in range(len(outcome)):
        words = []
        for row in np.flatnonzero(outcome[at] != "compared").tolist():
            if outcome[at, row] == "undefined":
                words.append(f"too few samples for {comparison.attrs['criterion']}")
            elif "different samples" in str(table["reason"].values[at, row]):
                words.append("other samples")
            elif str(ended[at, row]) in AT_MINIMUM:
                words.append("no parameter determined")
            else:
                words.append(str(ended[at, row]).replace("_", " ") or "missing")
        out.append("; ".join(f"{word}: {count}" for word, count in Counter(words).items()))
    return out


def comparison_rows(comparison: xr.DataTree) -> pd.DataFrame:
    """Return one row a model and patient, and one row a model with the sums (``row`` is "sum", patient "").

    Numbers are in full, words are those of the result.
    """
    criterion = str(comparison.attrs["criterion"])
    root = comparison.dataset
    table = comparison["patients"].to_dataset().transpose("model", "patient", ...)
    ended, outcome = flag_words(table["convergence"]), flag_words(table["outcome"])
    failures, names = _failures(comparison), ("minus2ll", "aic", "aicc", "bic", "delta", "weight", "rank")
    n = int(root["n_patients"])
    own = {str(name): table[name].values for name in table.data_vars}
    rows: list[dict[str, Any]] = []
    for at, model in enumerate(root["model"].values.tolist()):
        shared = {"model": str(model), "n_parameters": int(root["n_parameters"].values[at]), "criterion": criterion}
        for row, patient in enumerate(table["patient"].values.tolist()):
            rows.append(
                {
                    "row": "patient",
                    "patient": str(patient),
                    **shared,
                    "n_samples": int(own["n_samples"][at, row]),
                    **{name: float(own[name][at, row]) for name in names},
                    "in_sum": "yes" if own["in_sum"][row] == YesNo.yes else "no",
                    "n_patients": 1,
                    "convergence": str(ended[at, row]),
                    "outcome": str(outcome[at, row]),
                    "reason": str(own["reason"][at, row]),
                    "message": str(own["message"][at, row]),
                }
            )
        rows.append(
            {
                "row": "sum",
                "patient": "",
                **shared,
                "n_samples": int(root["n_samples"].values[at]),
                **{name: float(root[name].values[at]) for name in names},
                "in_sum": "",
                "n_patients": n,
                "convergence": "",
                "outcome": "",
                "reason": failures[at],
                "message": str(comparison.attrs["notes"]),
            }
        )
    return pd.DataFrame(rows)
