"""What a profile cannot say: cautions that stand beside the values, never in their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr


@dataclass(frozen=True)
class Limits:
    """The limits beyond which a caution is raised.

    Attributes
    ----------
    anchor_pct : share of auc_last before the first sample, %
    extrap_pct : share of auc_inf_obs beyond tlast, %
    adj_r_squared : adjusted R² of the terminal line
    span_ratio : half-lives that the terminal line spans
    rise_fold : rise over an earlier trough after Tmax
    """

    anchor_pct: float = 20.0
    extrap_pct: float = 20.0
    adj_r_squared: float = 0.9
    span_ratio: float = 2.0
    rise_fold: float = 2.0


CAUTIONS: dict[str, str] = {
    "peak_at_first": "the largest level is the first sample (day {tmax:.4g}): the peak may lie before it",
    "peak_at_last": "the largest level is the last sample (day {tmax:.4g}): the level may still rise",
    "anchored": "{auc_pct_anchor:.3g} % of auc_last lies before the first sample and rests on a level of 0 at day 0",
    "extrapolated": "{auc_pct_extrap_obs:.3g} % of auc_inf_obs lies beyond the last quantified sample",
    "poor_line": "the terminal line has an adjusted R² of {adj_r_squared:.3g}",
    "short_span": "the terminal line spans {span_ratio:.3g} half-lives",
    "rises_again": "the level rises again after a trough: a second expansion, or noise",
    "still_quantified": "the last sample (day {last_time:.4g}) is still quantified: persistence is at least that",
    "lloq_unknown": "the LLOQ is unknown: what lies below it cannot be told from zero",
}


def find_cautions(out: dict[str, np.ndarray], profile: dict[str, np.ndarray], limits: Limits) -> np.ndarray:
    """Return which cautions hold, int8 of (profile, caution).

    Parameters
    ----------
    out : dict of arrays of (profile,)
        Parameters by name, with ``first_time`` and ``last_time``.
    profile : dict of arrays of (profile, sample)
        ``level`` (NaN where not quantified or not usable), ``time``, ``lloq``, ``usable``, ``blq``.
    limits : Limits
        The limits beyond which a caution is raised.
    """
    level, time = profile["level"], profile["time"]
    with np.errstate(invalid="ignore"):
        late = time > out["tmax"][:, np.newaxis]
        after = np.where(late, level, np.nan)
        # Below LLOQ the level is at most the LLOQ: a trough, never a rise.
        low = np.where(late & profile["blq"], profile["lloq"], after)
        trough = np.fmin.accumulate(low, axis=1) if low.shape[1] else low
        rises = (after > limits.rise_fold * trough).any(axis=1)
        found = {
            "peak_at_first": (out["tmax"] == out["first_time"]) & (out["tmax"] > 0),
            "peak_at_last": (out["tmax"] == out["last_time"]) & (out["first_time"] < out["last_time"]),
            "anchored": out["auc_pct_anchor"] > limits.anchor_pct,
            "extrapolated": out["auc_pct_extrap_obs"] > limits.extrap_pct,
            "poor_line": out["adj_r_squared"] < limits.adj_r_squared,
            "short_span": out["span_ratio"] < limits.span_ratio,
            "rises_again": rises,
            "still_quantified": out["tlast"] == out["last_time"],
            "lloq_unknown": (profile["usable"] & np.isnan(profile["lloq"])).any(axis=1),
        }
    return np.stack([found[name] for name in CAUTIONS], axis=-1).astype(np.int8)


def cautions_table(result: xr.Dataset) -> pd.DataFrame:
    """List every caution of every profile in words.

    Parameters
    ----------
    result : Dataset
        From `nca`.

    Returns
    -------
    DataFrame
        Columns patient, the series (matrix), caution, sentence.
    """
    series = str(result["caution_code"].dims[1])
    names = ("tmax", "auc_pct_anchor", "auc_pct_extrap_obs", "adj_r_squared", "span_ratio", "last_time")
    rows: list[dict[str, Any]] = []
    for patient, label, position in np.argwhere(result["caution_code"].values == 1):
        name = str(result["caution"].values[position])
        facts = {key: float(result[key].values[patient, label]) for key in names}
        rows.append(
            {
                "patient": str(result["patient"].values[patient]),
                series: str(result[series].values[label]),
                "caution": name,
                "sentence": CAUTIONS[name].format(**facts),
            }
        )
    return pd.DataFrame(rows, columns=["patient", series, "caution", "sentence"])
