"""The front end: profiles in, a Dataset of parameters out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr

from ..cohorts import profiles_of
from ..errors import InputError
from ..provenance import content_hash, result_attrs, settings_json
from ..schema import BLQ_STATUSES, Excluded, Status
from .cautions import CAUTIONS, Limits, find_cautions
from .parameters import PARAMETERS
from .reasons import flag_attrs
from .rules import AUC_METHODS, Anchor, Preset, check_auc_method, find_preset

TIME_UNIT = "day"


def nca(
    data: xr.DataTree | xr.Dataset,
    /,
    *,
    preset: str = "cell_therapy",
    auc_method: str | None = None,
    intervals: Sequence[tuple[float, float]] = ((0.0, 28.0),),
    anchor: Anchor | None = None,
    times: Literal["actual", "nominal"] = "actual",
    group: str = "kinetics",
) -> xr.Dataset:
    """Compute noncompartmental parameters of every profile.

    Parameters
    ----------
    data : DataTree or Dataset
        A cohort, or profiles on (patient, matrix, sample). Samples that are missing, invalid or excluded
        are left out; times before infusion enter no area.
    preset : {"cell_therapy", "pknca"}
        Set of rules. ``cell_therapy``: leading BLQ samples are 0, embedded ones are dropped, of trailing ones
        the first is 0 and the rest dropped; a missing day-0 sample is an anchor of 0; an interval's area is
        interpolated, runs linearly to a BLQ sample that follows the last quantified one, and uses the
        profile's lambda_z only past the last sample. ``pknca``: the defaults of PKNCA 0.12.1.
    auc_method : {"linear", "linear-up/log-down", "linear-log", "log-up/log-down"}, optional
        Trapezoidal rule; default is the preset's. Ties and segments with a zero end are linear.
    intervals : sequence of (start, end)
        Intervals for ``auc_interval``, in days; the end may be infinite.
    anchor : {"none", "zero"}, optional
        What stands at time 0 where no sample lies at or before it; default is the preset's. An anchor is used
        where the first sample lies at most 7 days after infusion, and never after a positive sample before it;
        ``auc_pct_anchor`` is the share of ``auc_last`` that rests on it.
    times : {"actual", "nominal"}
        Which times are used.
    group : str
        Which group of a cohort.

    Returns
    -------
    Dataset
        Over (patient, matrix): the parameters of `PARAMETERS` (units in ``units``), ``auc_interval`` over
        ``interval``, ``reason_code`` over ``parameter`` and ``interval_reason_code`` (0 where a value was
        computed), ``caution_code`` over ``caution`` (1 where one holds, see `cautions_table`), the samples
        (``time``, ``level``, ``status``) with ``lambda_z_used``, and per profile ``n_quantified``, ``n_blq``,
        ``first_time``, ``last_time``.

    Raises
    ------
    InputError
        Unknown options; a sample without time, or times that do not increase (named by patient and sample).

    Notes
    -----
    lambda_z is the ordinary least squares slope of ln level over the last k samples after Tmax. The largest
    adjusted R² is taken over all k, also where the slope is positive; of the declining windows within 1e-4
    of it the longest is chosen (the rule of PKNCA 0.12.1, whose published results are the tests).

    Examples
    --------
    >>> from ckinetics.cohorts import kinetics_from_arrays
    >>> profiles = kinetics_from_arrays([0, 7, 14, 28, 60], [[0, 1e4, 4e3, 9e2, 80]], lloq=50, unit="copies/ug")
    >>> result = nca(profiles)
    >>> round(float(result["half_life"].item()), 2)
    8.31
    """
    rules = find_preset(preset)
    method = check_auc_method(auc_method or rules.auc_method)
    if anchor is not None:
        if anchor not in ("none", "zero"):
            raise InputError(f"unknown anchor '{anchor}': use 'none' or 'zero'")
        rules = dataclasses.replace(rules, anchor=anchor)
    spans = _check_intervals(intervals)
    profiles = profiles_of(data, group)
    time = _times(profiles, times)
    tables = _run(profiles, time, rules, method, spans)
    settings = {
        "preset": preset,
        "auc_method": method,
        "intervals": spans.tolist(),
        "times": times,
        "rules": dataclasses.asdict(rules),
        "caution_limits": dataclasses.asdict(Limits()),
        "group": group,
    }
    return _result(profiles, time, spans, tables, settings, content_hash(data))


def _check_intervals(intervals: Sequence[tuple[float, float]]) -> np.ndarray:
    try:
        spans = np.array([tuple(pair) for pair in intervals], dtype=np.float64).reshape(len(intervals), 2)
    except (TypeError, ValueError):
        raise InputError(f"intervals {intervals!r} are not pairs of numbers: write [(0, 28)]") from None
    for start, end in spans:
        if not (0 <= start < end):
            raise InputError(f"interval ({start:g}, {end:g}) is not one: start at 0 or later and end after that")
    return spans


def _times(profiles: xr.Dataset, which: str) -> np.ndarray:
    if which not in ("actual", "nominal"):
        raise InputError(f"unknown times '{which}': use 'actual' or 'nominal'")
    name = "time" if which == "actual" else "nominal_time"
    if name not in profiles:
        raise InputError(f"the profiles have no variable '{name}'")
    dims = profiles["level"].dims
    time = profiles[name].transpose(*dims).values.astype(np.float64)
    status = profiles["status"].transpose(*dims).values
    lost = np.isnan(time) & (status != Status.missing)
    if "excluded" in profiles:
        lost &= profiles["excluded"].transpose(*dims).values != Excluded.excluded
    patients = profiles["patient"].values
    if lost.any():
        at = np.argwhere(lost)[0]
        other = "nominal" if which == "actual" else "actual"
        raise InputError(
            f"patient '{patients[at[0]]}', sample {at[-1] + 1} has no {which} time: fill it in (from a date of "
            f"collection cohort computes it), exclude the sample, or use times='{other}'"
        )
    last = np.maximum.accumulate(np.where(np.isnan(time), -np.inf, time), axis=-1)
    late = time[..., 1:] <= last[..., :-1]
    if late.any():
        at = np.argwhere(late)[0]
        value = time[(*at[:-1], at[-1] + 1)]
        raise InputError(
            f"patient '{patients[at[0]]}', sample {at[-1] + 2}: time {value:g} day is not later than the one before it"
        )
    return time


def _states(profiles: xr.Dataset, time: np.ndarray) -> np.ndarray:
    from ..kernels import nca as kernel

    dims = profiles["level"].dims
    status = profiles["status"].transpose(*dims).values
    state = np.full(status.shape, kernel.UNUSABLE, dtype=np.int8)
    state[np.isin(status, [int(code) for code in BLQ_STATUSES])] = kernel.BLQ
    state[status == Status.quantified] = kernel.QUANTIFIED
    state[status == Status.above_uloq] = kernel.ABOVE
    if "excluded" in profiles:
        state[profiles["excluded"].transpose(*dims).values == Excluded.excluded] = kernel.UNUSABLE
    state[np.isnan(time)] = kernel.UNUSABLE
    return state


def _run(
    profiles: xr.Dataset, time: np.ndarray, rules: Preset, method: str, spans: np.ndarray
) -> dict[str, np.ndarray]:
    from ..kernels import nca as kernel

    dims = profiles["level"].dims
    lead, width = time.shape[:-1], time.shape[-1]
    count = int(np.prod(lead))

    def flat(name: str) -> np.ndarray:
        if name not in profiles:
            return np.full((count, width), np.nan)
        values = profiles[name].transpose(*dims).values.astype(np.float64)
        return np.ascontiguousarray(values).reshape(count, width)

    state = _states(profiles, time).reshape(count, width)
    times = np.ascontiguousarray(time).reshape(count, width)
    level = flat("level")
    positive = ((state == kernel.QUANTIFIED) & (level > 0)) | (state == kernel.ABOVE)
    predose = (positive & (times < 0)).any(axis=1)
    usable = (state != kernel.UNUSABLE) & (times >= 0)
    first_time = np.where(usable, times, np.inf).min(axis=1, initial=np.inf)
    anchors = np.full(count, kernel.ANCHOR_NONE, dtype=np.int8)
    if rules.anchor == "zero":
        anchors[first_time <= rules.anchor_gap] = kernel.ANCHOR_ZERO
        anchors[predose] = kernel.ANCHOR_REFUSED
    # A quantified zero is no level for a logarithm: it is treated as BLQ.
    state[(state == kernel.QUANTIFIED) & (level == 0)] = kernel.BLQ
    codes = {"keep": kernel.ACTION_ZERO, "drop": kernel.ACTION_DROP, "keep first": kernel.ACTION_FIRST_ZERO}
    actions = np.array([codes[action] for action in (rules.blq_first, rules.blq_middle, rules.blq_last)])
    tables: dict[str, np.ndarray] = {
        "out": np.empty((count, kernel.N_PARAMETERS)),
        "why": np.empty((count, kernel.N_PARAMETERS), dtype=np.int8),
        "interval": np.empty((count, len(spans))),
        "interval_why": np.empty((count, len(spans)), dtype=np.int8),
        "used": np.empty((count, width), dtype=np.int8),
    }
    kernel_rules = kernel.Rules(
        method=AUC_METHODS.index(method),
        axis=kernel.AXIS_MEASURED,
        actions=actions,
        values=np.zeros(3),
        all_blq_zero=rules.all_blq_is_zero,
        imputed_counts=False,
        tail=kernel.TAIL_OWN if rules.own_lambda_z else kernel.TAIL_PROFILE,
        minimum=rules.min_points,
        tolerance=rules.tolerance,
    )
    kernel.analyse_all(times, level, state, flat("lloq"), flat("uloq"), anchors, kernel_rules, spans, *tables.values())
    tables["n_quantified"] = ((state == kernel.QUANTIFIED) & usable).sum(axis=1).astype(np.float64)
    tables["n_blq"] = ((state == kernel.BLQ) & usable).sum(axis=1).astype(np.float64)
    tables["first_time"] = first_time
    tables["last_time"] = np.where(usable, times, -np.inf).max(axis=1, initial=-np.inf)
    for name in ("first_time", "last_time"):
        tables[name] = np.where(np.isfinite(tables[name]), tables[name], np.nan)
    names = dict(zip(PARAMETERS, tables["out"].T, strict=True))
    seen = {
        "level": np.where((state == kernel.QUANTIFIED) & usable, level, np.nan),
        "time": times,
        "lloq": flat("lloq"),
        "usable": usable,
        "blq": (state == kernel.BLQ) & usable,
    }
    ends = {name: tables[name] for name in ("first_time", "last_time")}
    tables["caution"] = find_cautions(names | ends, seen, Limits())
    return {name: table.reshape(*lead, *table.shape[1:]) for name, table in tables.items()}


_PER_PROFILE = {
    "n_quantified": ("quantified samples at or after infusion", "1"),
    "n_blq": ("samples below the limit of quantification at or after infusion", "1"),
    "first_time": ("first usable sample at or after infusion", TIME_UNIT),
    "last_time": ("last usable sample", TIME_UNIT),
}


def _result(
    profiles: xr.Dataset,
    time: np.ndarray,
    spans: np.ndarray,
    tables: dict[str, np.ndarray],
    settings: dict[str, Any],
    source: str,
) -> xr.Dataset:
    dims = profiles["level"].dims
    lead = dims[:-1]
    level_unit = str(profiles["level"].attrs.get("units", ""))
    variables: dict[str, Any] = {}
    for position, parameter in enumerate(PARAMETERS.values()):
        attrs: dict[str, Any] = {"long_name": parameter.meaning}
        units = parameter.units(level_unit, TIME_UNIT)
        if units:
            attrs["units"] = units
        if parameter.pptestcd:
            attrs["pptestcd"] = parameter.pptestcd
        attrs["cohort_hash"] = source
        variables[parameter.name] = (lead, tables["out"][..., position], attrs)
    area = PARAMETERS["auc_last"].units(level_unit, TIME_UNIT)
    variables["auc_interval"] = (
        (*lead, "interval"),
        tables["interval"],
        {"long_name": "area over the interval", "pptestcd": "AUCINT", "cohort_hash": source}
        | ({"units": area} if area else {}),
    )
    for name, (meaning, unit) in _PER_PROFILE.items():
        variables[name] = (lead, tables[name], {"long_name": meaning, "units": unit})
    variables["reason_code"] = (
        (*lead, "parameter"),
        tables["why"],
        {"long_name": "why a parameter is missing", **flag_attrs()},
    )
    variables["interval_reason_code"] = (
        (*lead, "interval"),
        tables["interval_why"],
        {"long_name": "why an area is missing", **flag_attrs()},
    )
    variables["caution_code"] = (
        (*lead, "caution"),
        tables["caution"],
        {
            "long_name": "what the profile cannot say",
            "flag_values": np.array([0, 1], dtype=np.int8),
            "flag_meanings": "no yes",
        },
    )
    variables["time"] = (dims, time, {"long_name": "time used", "units": TIME_UNIT})
    for name in ("level", "status", "lloq"):
        if name in profiles:
            array = profiles[name].transpose(*dims)
            variables[name] = (dims, array.values, dict(array.attrs))
    variables["lambda_z_used"] = (
        dims,
        tables["used"],
        {
            "long_name": "sample entered lambda_z",
            "flag_values": np.array([0, 1], dtype=np.int8),
            "flag_meanings": "not_used used",
        },
    )
    coords: dict[str, Any] = {
        str(name): coord.variable for name, coord in profiles.coords.items() if set(coord.dims) <= set(lead)
    }
    coords["parameter"] = ("parameter", np.array(list(PARAMETERS), dtype=object))
    coords["caution"] = ("caution", np.array(list(CAUTIONS), dtype=object))
    coords["interval"] = ("interval", np.array([interval_label(a, b) for a, b in spans], dtype=object))
    coords["interval_start"] = ("interval", spans[:, 0].copy(), {"units": TIME_UNIT})
    coords["interval_end"] = ("interval", spans[:, 1].copy(), {"units": TIME_UNIT})
    attrs = result_attrs(
        title="noncompartmental analysis",
        source=source,
        result="nca",
        settings=settings,
        min_points=int(settings["rules"]["min_points"]),
        rules=settings_json(settings["rules"]),
    )
    return xr.Dataset(variables, coords, attrs)


def interval_label(start: float, end: float) -> str:
    """Return the label of an interval.

    Examples
    --------
    >>> interval_label(0, 28), interval_label(0, float("inf"))
    ('0-28', '0-inf')
    """
    return f"{start:g}-{end:g}"
