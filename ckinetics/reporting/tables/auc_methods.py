"""How much an area depends on the trapezoidal rule: the same analysis again under each of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ...noncompartmental import nca
from ...noncompartmental.rules import AUC_METHODS
from ..core.results import settings_of
from ..core.series import each_series

_RULES = ("blq", "anchor", "baseline", "tail", "min_points", "rising", "tmax", "tmax_in_line")
_OPTIONS = ("times", "persistence", "peak_fold", "peak_errors", "peaks_from", "contraction_days", "infusions", "group")


def recorded_options(result: xr.Dataset) -> dict[str, Any]:
    """Return the options of `nca` that gave a result, as far as its areas depend on them, from its settings.

    A line through samples chosen by hand is taken from the reasons that the result keeps.
    """
    settings = settings_of(result)
    rules = settings["rules"]
    options: dict[str, Any] = {name: rules[name] for name in _RULES}
    options |= {name: settings[name] for name in _OPTIONS if name in settings}
    options |= {"preset": rules["name"], "auc_method": rules["auc_method"], "limits": settings["limits"]}
    options["intervals"] = [(float(start), float(end)) for start, end in settings["intervals"]]
    if settings.get("window") is not None:
        options["window"] = tuple(float(end) for end in settings["window"])
    if "lambda_z_choice_reason" in result:
        options["slopes"] = _slopes(result)
    return options


def _slopes(result: xr.Dataset) -> pd.DataFrame:
    choice = result["lambda_z_choice_reason"]
    used = result["lambda_z_used"]
    if "infusion" in used.dims:
        used = used.max("infusion")
    in_line = used.transpose(*choice.dims).values
    rows = []
    for at in np.argwhere(choice.values != ""):
        place = dict(zip(map(str, choice.dims), map(int, at), strict=True))
        labels = {dim: str(result[dim].values[i]) for dim, i in place.items() if dim != "sample"}
        use = "include" if in_line[tuple(at)] else "exclude"
        time = float(result["time"].isel(place))
        rows.append({**labels, "time": time, "use": use, "reason": str(choice.values[tuple(at)])})
    return pd.DataFrame(rows)


def areas_by_method(cohort: xr.DataTree, result: xr.Dataset) -> pd.DataFrame:
    """Return the area of each patient, series and interval under every trapezoidal rule.

    Parameters
    ----------
    cohort : DataTree
        The cohort that `result` was computed from.
    result : Dataset
        From `nca`.

    Returns
    -------
    DataFrame
        Columns patient, series, interval, unit, one for each rule, and ``used``: the name of the result's own rule.
    """
    options = recorded_options(result)
    own = options.pop("auc_method")
    frames: dict[str, pd.DataFrame] = {}
    for method in AUC_METHODS:
        parts = [_areas(label, one) for label, one in each_series(nca(cohort, auc_method=method, **options))]
        frames[method] = pd.concat(parts, ignore_index=True) if parts else _areas_of_nothing()
    made = frames[own][["patient", "series", "interval", "unit"]].copy()
    names = [str(label) for label in result["interval"].values.tolist()]
    made["interval"] = [names[at] for at in made["interval"]]
    return made.assign(**{method: frame["area"] for method, frame in frames.items()}, used=own)


def _areas(label: str, one: xr.Dataset) -> pd.DataFrame:
    patients, intervals = one.sizes["patient"], one.sizes["interval"]
    return pd.DataFrame(
        {
            "patient": np.repeat(np.array([str(name) for name in one["patient"].values], dtype=object), intervals),
            "series": label,
            "interval": np.tile(np.arange(intervals), patients),
            "unit": f"day*{one['unit'].values[0]}" if one["unit"].values[0] else "",
            "area": one["auc_interval"].values[:, 0, :].ravel(),
        },
        index=range(patients * intervals),
    )


def _areas_of_nothing() -> pd.DataFrame:
    return pd.DataFrame(columns=["patient", "series", "interval", "unit", "area"])


def ratios_to_own(areas: pd.DataFrame) -> pd.DataFrame:
    """Return, for each series, interval and rule, number, median, smallest and largest ratio to the rule used."""
    rows = []
    for (series, interval), part in areas.groupby(["series", "interval"], sort=False):
        own = part[part["used"].iloc[0]]
        for method in AUC_METHODS:
            with np.errstate(invalid="ignore", divide="ignore"):
                ratio = (part[method] / own).to_numpy(dtype=float)
            ratio = ratio[np.isfinite(ratio)]
            rows.append(
                {
                    "series": series,
                    "interval": interval,
                    "method": method,
                    "used": method == part["used"].iloc[0],
                    "n": len(ratio),
                    "median ratio": float(np.median(ratio)) if len(ratio) else np.nan,
                    "minimum": float(ratio.min()) if len(ratio) else np.nan,
                    "maximum": float(ratio.max()) if len(ratio) else np.nan,
                }
            )
    columns = ["series", "interval", "method", "used", "n", "median ratio", "minimum", "maximum"]
    return pd.DataFrame(rows, columns=columns)
