"""The tree that a fit returns, and its sentences."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
import xarray as xr

from ..modeling import Model
from ..schema import Status, YesNo
from ..units import conversion_factor
from .samples import USED, Samples
from .starts import TRANSFORMS, Scale
from .uncertainty import INTERVALS, quantile

N_POINTS = 300
# A derived quantity follows a parameter that moves it by more than this when it moves tenfold either way.
_FOLLOWS = 0.02


class Convergence(IntEnum):
    """How a patient's fit ended.

    converged : at a minimum.
    converged_at_kink : at a minimum where a switch (Tmax) stands on a sample time.
    at_bound : at a minimum with at least one parameter at a bound, so not determined by the data.
    not_converged : no minimum was reached; the estimates are where the search stopped.
    too_few_samples : fewer usable samples than estimated parameters plus one; not fitted.
    no_quantified_sample : not fitted.
    """

    missing = -1
    converged = 0
    converged_at_kink = 1
    at_bound = 2
    not_converged = 3
    too_few_samples = 4
    no_quantified_sample = 5


def _flag(codes: type[IntEnum], meaning: str) -> dict[str, Any]:
    return {
        "long_name": meaning,
        "flag_values": np.array([int(code) for code in codes], dtype=np.int8),
        "flag_meanings": " ".join(code.name for code in codes),
    }


def result_tree(
    model: Model,
    samples: Samples,
    scale: Scale,
    found: Any,
    codes: np.ndarray,
    se_log: np.ndarray,
    at_lower: np.ndarray,
    at_upper: np.ndarray,
    *,
    interval: str,
    confidence: float,
    attrs: dict[str, Any],
) -> xr.DataTree:
    """Return the tree of a fit; see `ckinetics.fitting.fit` for what is in it."""
    natural = _natural(scale, found)
    # A switch on a kink has no standard error, but the data do determine it.
    determined = np.isfinite(se_log)
    for at, name in enumerate(model.symbolic.switches):
        determined[:, scale.names.index(name)] |= np.isfinite(found.kinks[:, at]) & determined.any(axis=1)
    theta = np.ascontiguousarray(natural[:, :-1])
    groups = {
        "/": _root(model, samples, scale, found, codes, se_log, at_lower, at_upper, natural),
        "/estimates": _estimates(model, samples, scale, found.u, natural, se_log, determined, interval, confidence),
        "/predictions": _predictions(model, samples, theta),
        "/curves": _curves(model, samples, theta),
        "/derived": _derived(model, samples, scale, found.u, theta, determined),
    }
    names = np.array(samples.patients, dtype=object)
    groups = {
        path: group.assign_coords(patient=("patient", names, {"long_name": "patient"}))
        for path, group in groups.items()
    }
    groups["/"].attrs.update(attrs)
    return xr.DataTree.from_dict(groups, name="fit")


def _natural(scale: Scale, found: Any) -> np.ndarray:
    natural = scale.to_natural(found.u)
    held = scale.lower == scale.upper
    natural[:, held] = np.where(np.isnan(natural[:, held]), np.nan, scale.value[held])
    return np.asarray(natural)


def _root(
    model: Model,
    samples: Samples,
    scale: Scale,
    found: Any,
    codes: np.ndarray,
    se_log: np.ndarray,
    at_lower: np.ndarray,
    at_upper: np.ndarray,
    natural: np.ndarray,
) -> xr.Dataset:
    messages = [
        _message(model, samples, scale, found, codes, se_log, at_lower, at_upper, natural, row)
        for row in range(len(codes))
    ]

    def count(values: np.ndarray, meaning: str) -> tuple[Any, ...]:
        return "patient", values.astype(np.float64), {"long_name": meaning, "units": "1"}

    return xr.Dataset(
        {
            "minus2ll": ("patient", 2.0 * found.value, {"long_name": "−2 log-likelihood, density of ln(level)"}),
            "n_samples": count(samples.counts, "samples used"),
            "n_quantified": count(samples.count("quantified"), "quantified samples used"),
            "n_censored": count(samples.count("censored"), "samples used below LLOQ or above ULOQ"),
            "n_unused": count(samples.count("unused"), "samples not used; the reasons are in message"),
            "starts_agreeing": count(found.agreeing, "starts that ended within 0.1 of minus2ll"),
            "convergence": ("patient", codes.astype(np.int8), _flag(Convergence, "how the fit ended")),
            "message": ("patient", np.array(messages, dtype=object), {"long_name": "the fit in words"}),
        }
    )


def _message(
    model: Model,
    samples: Samples,
    scale: Scale,
    found: Any,
    codes: np.ndarray,
    se_log: np.ndarray,
    at_lower: np.ndarray,
    at_upper: np.ndarray,
    natural: np.ndarray,
    row: int,
) -> str:
    """Return what is to be said of a patient's fit."""
    code, free = codes[row], scale.lower < scale.upper
    parts = []
    if code == Convergence.no_quantified_sample:
        parts.append("no quantified sample, so no curve can be fitted")
    elif code == Convergence.too_few_samples:
        parts.append(
            f"{samples.counts[row]} usable samples cannot determine {free.sum()} parameters: "
            "fix some with fixed={...}"
        )
    elif code == Convergence.not_converged:
        parts.append("not converged: the estimates are where the search stopped; try more starts, or fix a parameter")
    else:
        parts.append("converged")
    if code in (Convergence.converged, Convergence.converged_at_kink, Convergence.at_bound):
        switches = model.symbolic.switches
        for at, name in enumerate(switches):
            if np.isfinite(found.kinks[row, at]):
                parts.append(
                    f"{name} stands on the sample at {found.kinks[row, at]:g} {model.specification.time_unit}, where "
                    "the likelihood has a kink: no standard error for it, and the others hold it there"
                )
        for edges, word in ((at_lower, "lower"), (at_upper, "upper")):
            names = [name for name, edge in zip(scale.names, edges[row], strict=True) if edge]
            if names:
                parts.append(f"{' and '.join(names)} at the {word} bound, and held there by the other standard errors")
        if at_lower[row, -1]:
            parts.append(
                f"the curve goes through the quantified samples, so {scale.names[-1]} and all standard errors are "
                "not determined: fix parameters"
            )
        else:
            kinked = {name for at, name in enumerate(switches) if np.isfinite(found.kinks[row, at])}
            said = at_lower[row] | at_upper[row] | np.isin(scale.names, list(kinked))
            lost = [
                name for at, name in enumerate(scale.names) if free[at] and np.isnan(se_log[row, at]) and not said[at]
            ]
            if lost:
                parts.append(f"not estimable: {', '.join(lost)}{_empty_phases(model, samples, natural[row], row)}")
    words = samples.unused_in_words(row)
    return "; ".join([*parts, words] if words else parts)


def _empty_phases(model: Model, samples: Samples, natural: np.ndarray, row: int) -> str:
    """Return which phases hold no quantified sample of a patient, in brackets."""
    phases = model.specification.phases
    ends = np.full((1, max(len(phases) - 1, 1)), np.inf)
    model.compiled.phase_ends(np.ascontiguousarray(natural[None, :-1]), ends)
    count = samples.counts[row]
    times = samples.times[row, :count][samples.kinds[row, :count] == 0]
    place = np.searchsorted(ends[0, : len(phases) - 1], times, side="right")
    empty = [phase.name for at, phase in enumerate(phases) if not (place == at).any()]
    return f" (no quantified sample in the phase {' and '.join(empty)})" if empty else ""


def _estimates(
    model: Model,
    samples: Samples,
    scale: Scale,
    u: np.ndarray,
    natural: np.ndarray,
    se_log: np.ndarray,
    determined: np.ndarray,
    interval: str,
    confidence: float,
) -> xr.Dataset:
    free = scale.lower < scale.upper
    curve = int(free[:-1].sum())
    reach = quantile(interval, confidence, samples.counts, curve)[:, None] * se_log
    kind = f"{confidence:g} confidence: {INTERVALS[interval]}"
    estimable = np.where(np.isnan(natural), YesNo.unknown, np.where(determined, YesNo.yes, YesNo.no))
    estimable[:, ~free] = YesNo.unknown
    dims = ("patient", "parameter")
    units = [_unit_of_data(model, parameter.unit, samples.unit) for parameter in model.parameters.values()] + ["1"]
    return xr.Dataset(
        {
            "estimate": (dims, natural, {"long_name": "estimate"}),
            "se": (
                dims,
                se_log * scale.slope(natural),
                {"long_name": "standard error, observed information, delta method"},
            ),
            "se_log": (dims, se_log, {"long_name": "standard error on the estimation scale (coordinate transform)"}),
            "lower": (dims, scale.to_natural(u - reach), {"long_name": f"lower limit, {kind}"}),
            "upper": (dims, scale.to_natural(u + reach), {"long_name": f"upper limit, {kind}"}),
            "estimable": (
                dims,
                estimable.astype(np.int8),
                _flag(YesNo, "determined by the data (at a kink too); unknown where fixed or not fitted"),
            ),
        },
        {
            "parameter": ("parameter", np.array(scale.names, dtype=object)),
            "unit": ("parameter", np.array(units, dtype=object)),
            "transform": ("parameter", np.array(TRANSFORMS, dtype=object)[scale.transform]),
            "fixed": (
                "parameter",
                np.where(free, YesNo.no, YesNo.yes).astype(np.int8),
                _flag(YesNo, "held at a value"),
            ),
        },
        {"interval": kind},
    )


def _predictions(model: Model, samples: Samples, theta: np.ndarray) -> xr.Dataset:
    factor = conversion_factor("day", model.specification.time_unit)
    predicted = np.full(samples.time.shape, np.nan)
    getattr(model.compiled, f"curves_{model.fitted_output}")(samples.time * factor, theta, predicted)
    predicted[np.isnan(theta).any(axis=1)] = np.nan
    quantified = samples.used & (samples.status == Status.quantified)
    with np.errstate(all="ignore"):
        residual = np.where(quantified, np.log(samples.level) - np.log(predicted), np.nan)
    used = np.where(samples.fate < 0, YesNo.unknown, np.where(samples.fate == USED, YesNo.yes, YesNo.no))
    dims, unit = ("patient", "sample"), {"units": samples.unit}
    return xr.Dataset(
        {
            "time": (dims, samples.time, {"long_name": "time since first infusion", "units": "day"}),
            "level": (dims, samples.level, {"long_name": "level; NaN unless quantified", **unit}),
            "status": (dims, samples.status.astype(np.int8), _flag(Status, "what is known of the level")),
            "predicted": (dims, predicted, {"long_name": "predicted level", **unit}),
            "residual": (dims, residual, {"long_name": "ln(level) − ln(predicted); NaN where censored or not used"}),
            "used": (dims, used.astype(np.int8), _flag(YesNo, "used by the fit")),
        }
    )


def _curves(model: Model, samples: Samples, theta: np.ndarray) -> xr.Dataset:
    """Return each fitted curve from 0 to the last sample used, dense early, with every switch on the grid."""
    factor = conversion_factor("day", model.specification.time_unit)
    # A padding after the last used sample is NaN, and so is the time of a patient without samples.
    times = np.where(np.isnan(samples.times), 0.0, samples.times)
    last = times.max(axis=1, initial=0.0)
    grid = last[:, None] * np.linspace(0.0, 1.0, N_POINTS) ** 2
    ends = np.full((len(theta), max(len(model.specification.phases) - 1, 1)), np.nan)
    model.compiled.phase_ends(theta, ends)
    for row, end in zip(*np.nonzero((ends > 0) & (ends < last[:, None])), strict=True):
        near = 1 + int(np.argmin(np.abs(grid[row, 1:-1] - ends[row, end])))
        grid[row, near] = ends[row, end]
    predicted = np.full(grid.shape, np.nan)
    getattr(model.compiled, f"curves_{model.fitted_output}")(grid, theta, predicted)
    absent = np.isnan(theta).any(axis=1)
    predicted[absent], grid[absent] = np.nan, np.nan
    dims = ("patient", "point")
    return xr.Dataset(
        {
            "time": (dims, grid / factor, {"long_name": "time since first infusion", "units": "day"}),
            "predicted": (dims, predicted, {"long_name": "predicted level", "units": samples.unit}),
        }
    )


def _unit_of_data(model: Model, unit: str, given: str) -> str:
    """Return a unit of the model file with the data's unit in place of the output's (see ``scales_with``)."""
    return unit.replace(model.specification.outputs[model.fitted_output].unit, given)


def _derived(
    model: Model, samples: Samples, scale: Scale, u: np.ndarray, theta: np.ndarray, determined: np.ndarray
) -> xr.Dataset:
    entries = model.specification.derived
    absent = np.isnan(theta).any(axis=1)

    def compute(natural: np.ndarray) -> np.ndarray:
        values = np.full((len(theta), len(entries)), np.nan)
        model.compiled.derived(np.ascontiguousarray(natural), values)
        values[absent] = np.nan
        return values

    values = compute(theta)
    # A quantity that follows a parameter which the data do not determine is not determined either.
    leans = np.zeros(values.shape, dtype=bool)
    for at in np.flatnonzero((scale.lower < scale.upper)[:-1]):
        reach = np.log(10.0) if scale.transform[at] else 2.0 * scale.spread[at]
        for step in (-reach, reach):
            moved = u.copy()
            moved[:, at] = np.clip(moved[:, at] + step, scale.lower[at], scale.upper[at])
            with np.errstate(all="ignore"):
                follows = ~(np.abs(compute(scale.to_natural(moved)[:, :-1]) / values - 1.0) < _FOLLOWS)
            leans |= follows & ~determined[:, at, None]
    estimable = np.where(np.isnan(values), YesNo.unknown, np.where(leans, YesNo.no, YesNo.yes))

    def words(texts: list[str]) -> tuple[str, np.ndarray]:
        return "quantity", np.array(texts, dtype=object)

    return xr.Dataset(
        {
            "value": (("patient", "quantity"), values, {"long_name": "derived quantity at the estimates"}),
            "estimable": (
                ("patient", "quantity"),
                estimable.astype(np.int8),
                _flag(YesNo, "depends on no parameter that the data do not determine"),
            ),
        },
        {
            "quantity": words(list(entries)),
            "unit": words([_unit_of_data(model, entry.unit, samples.unit) for entry in entries.values()]),
            "label": words([entry.label for entry in entries.values()]),
        },
    )
