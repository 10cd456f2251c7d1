"""What a profile cannot say, and which limits its values miss: flags beside the values, never in their place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .reasons import table_of_profiles

# In the order of the kernel's bits.
FLAGS: dict[str, str] = {
    "peak_at_first": "the largest level is the first sample (day {tmax:.4g}): the peak may lie before it",
    "peak_at_last": "the largest level is the last sample (day {tmax:.4g}): the level may still rise",
    "anchored": "{auc_pct_anchor:.3g} % of auc_last lies before the first sample and rests on the anchor at day 0",
    "extrapolated": (
        "{auc_pct_extrap_obs:.3g} % of auc_inf_obs lies beyond the last quantified sample (limit {extrap_pct:g} %)"
    ),
    "poor_line": "the terminal line has an R² of {r_squared:.3g} (limit {limit_r_squared:g})",
    "short_span": "the terminal line spans {span_ratio:.3g} half-lives (limit {limit_span:g})",
    "few_points": "the terminal line rests on {lambda_z_n_points:g} samples (limit {limit_points:g})",
    "rises_again": "the level rises again after a trough: a second peak at day {second_peak_time:.4g}",
    "still_quantified": "the last sample (day {last_time:.4g}) is still quantified: persistence is at least that",
    "lloq_unknown": "the LLOQ is unknown: what lies below it cannot be told from zero",
    "above_uloq": "a sample is above ULOQ: Cmax and the areas over it are known only as lower bounds",
    "manual_line": "samples were chosen for the terminal line, or left out of it, by hand",
    "threshold_open": "the level is still above the threshold at the last sample: the time above it is a lower bound",
    "embedded_blq": "a BLQ sample lies between quantified ones",
    "imputed": "a level was put in for a BLQ sample",
    "other_infusion": "another infusion was given inside the window: the values mix both",
}


def flag_mask_attrs() -> dict[str, Any]:
    """Return the CF attributes of the variable of flags."""
    return {
        "long_name": "what the profile cannot say, and limits that its values miss",
        "flag_masks": np.array([1 << bit for bit in range(len(FLAGS))], dtype=np.int32),
        "flag_meanings": " ".join(FLAGS),
    }


def raised(result: xr.Dataset) -> Iterator[tuple[tuple[int, ...], str]]:
    """Yield the place of each profile that has a flag, and the flag's name."""
    bits = result["flags"].transpose(*result["reason_code"].dims[:-1]).values
    for at in np.argwhere(bits != 0):
        place = tuple(int(i) for i in at)
        for bit, name in enumerate(FLAGS):
            if int(bits[place]) & (1 << bit):
                yield place, name


def cautions_table(result: xr.Dataset) -> pd.DataFrame:
    """List every flag of every profile in words.

    Parameters
    ----------
    result : Dataset
        From `nca`.

    Returns
    -------
    DataFrame
        Columns patient, the series (matrix), further leading dims, caution, sentence.

    Examples
    --------
    >>> from ckinetics.cohorts import kinetics_from_arrays
    >>> from ckinetics.noncompartmental import nca
    >>> result = nca(kinetics_from_arrays([0, 7, 28], [[0, 900, 60]], lloq=50, unit="copies/ug"))
    >>> cautions_table(result)["caution"].tolist()
    ['still_quantified']
    """
    return table_of_profiles(result, _in_words(result), ["caution", "sentence"])


def _in_words(result: xr.Dataset) -> Iterator[tuple[tuple[int, ...], dict[str, str]]]:
    """Yield the place of each profile that has a flag, with the flag's name and its sentence."""
    limits = json.loads(str(result.attrs.get("settings", "{}"))).get("limits", {})
    shown = {
        "extrap_pct": float(limits.get("extrap_pct", np.nan)),
        "limit_r_squared": float(limits.get("r_squared", np.nan)),
        "limit_span": float(limits.get("span_ratio", np.nan)),
        "limit_points": float(limits.get("n_points", np.nan)),
    }
    names = ("tmax", "auc_pct_anchor", "auc_pct_extrap_obs", "r_squared", "span_ratio", "lambda_z_n_points",
             "second_peak_time", "last_time")  # fmt: skip
    arrays = {key: result[key].values for key in names}
    for place, name in raised(result):
        facts = {key: float(array[place]) for key, array in arrays.items()} | shown
        yield place, {"caution": name, "sentence": FLAGS[name].format(**facts)}
