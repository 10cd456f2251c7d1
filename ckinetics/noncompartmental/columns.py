"""The values of a result, one column a parameter: value, reason, standard errors, unit, bound, of every profile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from string import Formatter
from typing import Any

import numpy as np
import xarray as xr

from ..errors import InputError
from .flags import FLAGS
from .parameters import AREA, AREA_DN, PARAMETERS, Parameter, find_parameter
from .reasons import SENTENCES, Reason, given_profiles, label_of, sentence

# What may stand beside a value, by its variable over ``estimate``: delta method and bootstrap.
SPREADS = {
    "se": "se",
    "lower": "ci_lower",
    "upper": "ci_upper",
    "boot_se": "boot_se",
    "boot_lower": "boot_lower",
    "boot_upper": "boot_upper",
}
RATIO = "matrix_ratio"
# Limits of acceptance: the flag, the variable that it judges, and the limit's name in the settings.
ACCEPTANCE = {
    "poor_line": ("r_squared", "r_squared"),
    "short_span": ("span_ratio", "span_ratio"),
    "few_points": ("lambda_z_n_points", "n_points"),
    "extrapolated": ("auc_pct_extrap_obs", "extrap_pct"),
    "anchored": ("auc_pct_anchor", "anchor_pct"),
}
_LINE = ("poor_line", "short_span", "few_points")


@dataclass(frozen=True)
class Column:
    """One parameter of every profile, in the order of the leading dims.

    Attributes
    ----------
    name : name, of an area over an interval with its label: "auc_interval 0-28"
    record : the registry's record
    values, codes : value and reason of each profile
    spreads : standard errors and ends of intervals that the result has, by the end of their names
    interval : position of the interval, None for other parameters
    """

    name: str
    record: Parameter
    values: np.ndarray
    codes: np.ndarray
    spreads: dict[str, np.ndarray]
    interval: int | None = None


def leading_of(result: xr.Dataset) -> list[str]:
    """Return the leading dims of a result.

    Raises
    ------
    InputError
        It is no result of `nca`.
    """
    if not isinstance(result, xr.Dataset) or not {"reason_code", "interval_reason_code", "flags"} <= set(result):
        raise InputError("expected the result of nca: it has the variables 'reason_code' and 'flags'")
    return [str(dim) for dim in result["reason_code"].dims if dim != "parameter"]


def per_profile(result: xr.Dataset, name: str, interval: int | None = None) -> np.ndarray:
    """Return a variable as one value a profile, repeated along leading dims that it lacks."""
    array = result[name] if interval is None else result[name].isel(interval=interval)
    lead = leading_of(result)
    if set(map(str, array.dims)) != set(lead):
        array = array.broadcast_like(result["flags"])
    return array.transpose(*lead).values.ravel()


def columns_of(result: xr.Dataset) -> Iterator[Column]:
    """Yield the columns of a result: its parameters, then the areas over its intervals."""
    lead = leading_of(result)
    codes = result["reason_code"].transpose(*lead, "parameter").values
    codes = codes.reshape(-1, codes.shape[-1])
    for position, name in enumerate(result["parameter"].values.tolist()):
        record = find_parameter(name)
        if record is not None and name in result:
            yield Column(name, record, per_profile(result, name), codes[:, position], _spreads(result, name))
    for record in (AREA, AREA_DN):
        if record.name not in result:
            continue
        for position, label in enumerate(result["interval"].values.tolist()):
            values = per_profile(result, record.name, position)
            own = "interval_reason_code" if record is AREA else "auc_interval_dn_reason_code"
            why = per_profile(result, own, position)
            name = f"{record.name} {label}"
            yield Column(name, record, values, why, _spreads(result, name), position)


def _spreads(result: xr.Dataset, name: str) -> dict[str, np.ndarray]:
    names = result["estimate"].values.tolist() if "estimate" in result.coords else []
    if name not in names:
        return {}
    few = result.isel(estimate=names.index(name))
    return {end: per_profile(few, variable) for end, variable in SPREADS.items() if variable in few}


def level_units(result: xr.Dataset) -> list[str]:
    """Return the unit of the level of each profile."""
    lead = leading_of(result)
    sizes = [result.sizes[dim] for dim in lead]
    count = int(np.prod(sizes))
    if "unit" in result.coords and result["unit"].ndim == 1 and str(result["unit"].dims[0]) in lead:
        at = np.unravel_index(np.arange(count), sizes)[lead.index(str(result["unit"].dims[0]))]
        return [str(unit) for unit in result["unit"].values[at].tolist()]
    unit = str(result["unit"].values) if "unit" in result.coords and not result["unit"].ndim else ""
    return [unit or str(result["cmax"].attrs.get("units", ""))] * count


def labels_of(result: xr.Dataset) -> dict[str, list[str]]:
    """Return the labels of each profile, by leading dim."""
    lead = leading_of(result)
    if not lead:
        return {}  # one profile without labels
    sizes = [result.sizes[dim] for dim in lead]
    places = np.unravel_index(np.arange(int(np.prod(sizes))), sizes)
    found: dict[str, list[str]] = {}
    few = result[["flags"]]
    for dim, at in zip(lead, places, strict=True):
        names = [str(label_of(few, dim, i)) for i in range(result.sizes[dim])]
        found[dim] = [names[i] for i in at.tolist()]
    return found


def given_of(result: xr.Dataset) -> np.ndarray:
    """Return which profiles there are, see `given_profiles`, as one value a profile."""
    return given_profiles(result).ravel()


def flags_of(result: xr.Dataset) -> list[tuple[str, ...]]:
    """Return the names of each profile's flags."""
    names = list(FLAGS)
    return [
        tuple(name for bit, name in enumerate(names) if bits & (1 << bit))
        for bits in per_profile(result, "flags").tolist()
    ]


def bounds_of(result: xr.Dataset, name: str) -> list[str]:
    """Return what is known of a value that could not be computed: "<50", ">1000000", or "".

    A patient without any quantified level has a Cmax below the LLOQ; one with a sample above ULOQ has a Cmax, and an
    area to the last level, above what the samples show.
    """
    count = len(per_profile(result, "flags"))
    low, high = np.full(count, np.nan), np.full(count, np.nan)
    if f"{name}_lower" in PARAMETERS and name in ("cmax", "auc_last"):
        low = per_profile(result, f"{name}_lower")
    if name == "cmax":
        high = per_profile(result, "cmax_upper")
    missing = np.isnan(per_profile(result, name)) if name in result else np.zeros(count, dtype=bool)
    texts = []
    for lower, upper, gone in zip(low.tolist(), high.tolist(), missing.tolist(), strict=True):
        if gone and np.isfinite(upper):
            texts.append(f"<{value_text(upper)}")
        else:
            texts.append(f">{value_text(lower)}" if gone and np.isfinite(lower) and lower > 0 else "")
    return texts


def judging_flags(column: Column, result: xr.Dataset) -> list[set[str]]:
    """Return, for each profile, the flags of acceptance that bear on a value of this column."""
    above = _inherited(column.record.name)
    always: set[str] = set()
    if "lambda_z" in above:
        always |= set(_LINE)
    if any("_inf_" in name for name in above):
        always.add("extrapolated")
    if column.interval is None:
        if any(name.startswith(("auc_", "aumc_")) for name in above):
            always.add("anchored")
        return [always] * len(column.values)
    if float(result["interval_start"].values[column.interval]) == 0:
        always.add("anchored")
    beyond = per_profile(result, "auc_interval_pct_extrapolated", column.interval)
    return [always | set(_LINE) if share > 0 else always for share in beyond.tolist()]


def _inherited(name: str) -> set[str]:
    """Return a parameter and all that it depends on."""
    record = find_parameter(name)
    found = {name}
    for one in record.depends if record is not None else ():
        found |= _inherited(one)
    return found


def limits_of(result: xr.Dataset) -> dict[str, float]:
    """Return the limits of acceptance that a result was judged by."""
    found = json.loads(str(result.attrs.get("settings", "{}"))).get("limits", {})
    return {str(name): float(value) for name, value in found.items()}


def value_text(value: float) -> str:
    """Return a number as text that gives the same number back; "" where it is missing.

    Examples
    --------
    >>> value_text(50.0), value_text(0.1), value_text(1e22), value_text(float("nan"))
    ('50', '0.1', '1e+22', '')
    """
    if np.isnan(value):
        return ""
    whole = np.isfinite(value) and value == int(value) and abs(value) < 1e15
    return str(int(value)) if whole else repr(float(value))


def settings_of(result: xr.Dataset) -> dict[str, Any]:
    """Return the settings of a result, empty where it has none."""
    found: dict[str, Any] = json.loads(str(result.attrs.get("settings", "{}")))
    return found


def units_of(column: Column, units: list[str]) -> list[str]:
    """Return the unit of a column in each profile, from the unit of the profile's level."""
    known = {unit: column.record.units(unit, "day") for unit in dict.fromkeys(units)}
    return [known[unit] for unit in units]


def reason_texts(
    result: xr.Dataset, codes: np.ndarray, profiles: np.ndarray, names: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the reasons as words and as sentences, empty where a value was computed."""
    words, sentences = np.full(len(codes), "", dtype=object), np.full(len(codes), "", dtype=object)
    sizes = [result.sizes[dim] for dim in leading_of(result)]
    figures = {reason: {field for _, field, _, _ in Formatter().parse(text)} for reason, text in SENTENCES.items()}
    made: dict[tuple[Any, ...], str] = {}
    few = result[["reason_code", "cmax_upper", "first_time", "last_time"]]  # a variable of few is found faster
    for at in np.flatnonzero(codes != Reason.computed).tolist():
        reason, profile, name = Reason(int(codes[at])), int(profiles[at]), str(names[at])
        # A sentence depends on the profile or the parameter only by the figures in it.
        fields = figures[reason] - {None, "origin"}
        key = (reason, profile if fields - {"needed"} else -1, name if "needed" in fields else "")
        if key not in made:
            place = (int(i) for i in np.unravel_index(profile, sizes))
            made[key] = sentence(few, reason, *place, parameter=name)
        words[at], sentences[at] = reason.name, made[key]
    return words, sentences


def interval_kind(result: xr.Dataset) -> str:
    """Return the level and the kind of a result's intervals, "" where it has none."""
    found = settings_of(result).get("uncertainty") or {}
    if not found:
        return ""
    kind = {"delta": "delta method", "both": "delta method; boot: bootstrap"}.get(found["kind"], str(found["kind"]))
    return f"{100 * float(found['level']):g} % {kind}"
