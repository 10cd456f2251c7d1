"""The table of parameters over patients that a person reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import InputError
from ..statistics.lognormal import fit_censored
from .flags import FLAGS
from .groups import Block, blocks_of
from .parameters import AREA, AREA_DN, DISPOSITION, FURTHER, PARAMETERS, find_parameter
from .reasons import Reason
from .rules import check_choice

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
POLICIES = {
    "count": "count",
    "lloq/2": "LLOQ/2 for patients who are all BLQ",
    "censored": "maximum likelihood of a lognormal, censored at the bounds",
}
_LINE_FLAGS = ("poor_line", "short_span", "few_points")
_TO_INFINITY = ("auc_inf_obs", "auc_inf_pred", "aumc_inf_obs", "aumc_inf_pred", "mrt_inf_obs", "mrt_inf_pred")


def nca_summary(
    result: xr.Dataset,
    /,
    *,
    parameters: Sequence[str] = SHOWN,
    by: xr.DataArray | Sequence[xr.DataArray] | None = None,
    blq: Literal["count", "lloq/2", "censored"] = "count",
    excluded: Literal["keep", "drop"] = "keep",
) -> pd.DataFrame:
    """Summarise parameters over patients.

    Parameters
    ----------
    result : Dataset
        From `nca`.
    parameters : sequence of str
        Which of those in the result; ``auc_interval`` and ``auc_interval_dn`` have one row an interval, and the former
        follows where it is not named.
    by : DataArray or sequence of DataArray, optional
        Variables over ``patient`` (a dose level, say): one block of rows a value, or combination of values.
    blq : {"count", "lloq/2", "censored"}
        What happens to the Cmax of patients for whom only a bound of it is known. ``count``: they are not
        calculable. ``lloq/2``: a patient who is all BLQ enters with half the LLOQ that bounds the samples
        (``cmax_upper``); one above ULOQ is not calculable. ``censored``: geometric mean and geometric CV are the
        maximum likelihood estimates of a lognormal distribution, in which these patients lie below ``cmax_upper`` or
        above ``cmax_lower``; its SD of ln has divisor n, not n - 1. Of the other statistics those are given that the
        bounds determine. ``n by policy`` of the n enter so, and ``policy`` names it. All other parameters are counted.
    excluded : {"keep", "drop"}
        Whether values that miss the limits of `nca` enter: those that rest on a terminal line with the flags
        poor_line, short_span or few_points, and those to infinity with the flag extrapolated (an interval's area,
        where its own share beyond the last sample exceeds that limit). ``n beyond limits`` counts them in either case.

    Returns
    -------
    DataFrame
        One row a parameter, matrix (further leading dims, group), with columns ``parameter``, ``unit``, ``n`` (values
        that entered), ``n not calculable`` (patients without a value; of them ``n all BLQ`` and ``n above ULOQ``),
        ``n beyond limits``, ``geometric mean``, ``geometric CV %`` (100·sqrt(exp(s²) - 1), s the SD of ln; both over
        positive values), ``n not positive``, ``mean``, ``SD``, ``median``, ``minimum``, ``maximum``.

    Raises
    ------
    InputError
        An unknown parameter or option, one that the result does not have, or a `by` that is not over its patients.

    Examples
    --------
    >>> from ckinetics.cohorts import kinetics_from_arrays
    >>> from ckinetics.noncompartmental import nca
    >>> levels = [[0, 100, 60, 20], [0, 400, 200, 100], [0, 0, 0, 0]]
    >>> result = nca(kinetics_from_arrays([0, 7, 14, 21], levels, lloq=10, unit="copies/ug"))
    >>> table = nca_summary(result, blq="lloq/2").set_index("parameter")
    >>> table.loc["cmax", ["n", "n by policy", "minimum", "median"]].tolist()
    [3.0, 1.0, 5.0, 100.0]
    """
    check_choice("blq", blq, tuple(POLICIES))
    check_choice("excluded", excluded, ("keep", "drop"))
    blocks, names = blocks_of(result, by), _names(result, parameters)
    rows: list[dict[str, object]] = []
    for block in blocks:
        for name in names:
            one = _column(result, block, name)
            row: dict[str, object] = {**block.labels, "parameter": name, "unit": _units(block, name)}
            by_policy = np.zeros(len(one.lower), dtype=bool)
            if name == "cmax" and blq != "count":
                by_policy = one.bound(result, block, half=blq == "lloq/2")
            missing = np.isnan(one.lower)
            entered = ~missing & ~one.beyond if excluded == "drop" else ~missing
            row |= {
                "n": int(entered.sum()),
                "n not calculable": int(missing.sum()),
                "n all BLQ": int((missing & (one.codes == Reason.all_blq)).sum()),
                "n above ULOQ": int((missing & (one.codes == Reason.above_uloq)).sum()),
                "n beyond limits": int((one.beyond & ~missing).sum()),
            }
            if blq != "count":
                row["n by policy"] = int(by_policy.sum())
                row["policy"] = POLICIES[blq if name == "cmax" else "count"]
            censored = name == "cmax" and blq == "censored"
            rows.append(row | _statistics(one.lower[entered], one.upper[entered], censored=censored))
    return pd.DataFrame(rows)


def _names(result: xr.Dataset, parameters: Sequence[str]) -> list[str]:
    """Return the names of rows: parameters, intervals as ``auc_interval 0-28``."""
    wanted = [parameters] if isinstance(parameters, str) else list(parameters)
    if AREA.name not in wanted:
        wanted.append(AREA.name)
    known = [*PARAMETERS, *FURTHER, AREA.name, AREA_DN.name]
    names = []
    for name in wanted:
        if name not in known:
            raise InputError(f"unknown parameter '{name}': it is one of {', '.join(known)}")
        if name not in result:
            option = "disposition=True" if name in DISPOSITION else "tobit=True" if "tobit" in name else "a dose"
            option += " and a dose" if name in ("cl_obs", "vz_obs") else ""
            raise InputError(f"the result has no '{name}': call nca with {option}")
        if name in (AREA.name, AREA_DN.name):
            names += [f"{name} {interval}" for interval in result["interval"].values.tolist()]
        else:
            names.append(name)
    return names


def _units(block: Block, name: str) -> str:
    found = find_parameter(name)
    assert found is not None
    return found.units(block.unit, "day")


@dataclass
class _Column:
    """One parameter over the patients of a block: bounds (equal where it is known), reasons, which miss a limit."""

    lower: np.ndarray
    upper: np.ndarray
    codes: np.ndarray
    beyond: np.ndarray

    def bound(self, result: xr.Dataset, block: Block, *, half: bool) -> np.ndarray:
        """Put in what is known of the Cmax of patients without one; return for whom."""
        low, high = block.values(result["cmax_lower"]), block.values(result["cmax_upper"])
        measured = block.values(result["n_quantified"]) + block.values(result["n_above_uloq"]) > 0
        below = ~measured & (high > 0.0)
        if half:
            self.lower = self.upper = np.where(below, high / 2.0, self.lower)
            return below
        above = (self.codes == Reason.above_uloq) & (low > 0.0)
        self.lower = np.where(below, 0.0, np.where(above, low, self.lower))
        self.upper = np.where(below, high, np.where(above, np.inf, self.upper))
        return np.asarray(below | above)


def _column(result: xr.Dataset, block: Block, name: str) -> _Column:
    bits = block.values(result["flags"])
    line = np.zeros(len(bits), dtype=bool)
    for flag in _LINE_FLAGS:
        line |= (bits & (1 << list(FLAGS).index(flag))) != 0
    if " " not in name:
        values = block.values(result[name]).astype(np.float64)
        beyond = line & _rests_on(name, ("lambda_z",))
        extrapolated = (bits & (1 << list(FLAGS).index("extrapolated"))) != 0
        beyond |= extrapolated & _rests_on(name, _TO_INFINITY)
        return _Column(values, values, block.values(result["reason_code"].sel(parameter=name)), beyond)
    variable, _, label = name.partition(" ")
    at = {"interval": label}
    values = block.values(result[variable].sel(at)).astype(np.float64)
    share = block.values(result["auc_interval_pct_extrapolated"].sel(at))
    limit = float(json.loads(str(result.attrs["settings"]))["limits"]["extrap_pct"])
    beyond = (line & (share > 0.0)) | (share > limit)
    return _Column(values, values, block.values(result["interval_reason_code"].sel(at)), beyond)


def _rests_on(name: str, roots: tuple[str, ...]) -> bool:
    """Whether a parameter is one of others, or is computed from one of them."""
    found = find_parameter(name)
    return name in roots or any(_rests_on(other, roots) for other in (found.depends if found else ()))


def _statistics(lower: np.ndarray, upper: np.ndarray, *, censored: bool) -> dict[str, float]:
    """Return the statistics of values, or those that bounds of the values determine."""
    positive = upper > 0.0
    with np.errstate(invalid="ignore", over="ignore"):  # a time may be infinite, a square too large
        if censored:
            centre, spread = fit_censored(lower[positive], upper[positive])
        else:
            logs = np.log(lower[positive])
            centre = float(logs.mean()) if len(logs) else np.nan
            spread = float(np.std(logs, ddof=1)) if len(logs) > 1 else np.nan
        low, high = _plain(lower), _plain(upper)
        mean, variation = float(np.exp(centre)), float(100 * np.sqrt(np.expm1(spread**2)))
    return {
        "geometric mean": mean,
        "geometric CV %": variation,
        "n not positive": int((~positive).sum()),
        **{name: value if value == high[name] else np.nan for name, value in low.items()},
    }


def _plain(values: np.ndarray) -> dict[str, float]:
    if not len(values):
        return dict.fromkeys(("mean", "SD", "median", "minimum", "maximum"), np.nan)
    return {
        "mean": float(values.mean()),
        "SD": float(np.std(values, ddof=1)) if len(values) > 1 else np.nan,
        "median": float(np.median(values)),
        "minimum": float(values.min()),
        "maximum": float(values.max()),
    }
