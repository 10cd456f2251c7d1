"""Model averaging: predictions, curves and shared quantities of several models, by their weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import norm

from ..arguments import number
from ..errors import InputError, UnitError
from ..provenance import result_attrs
from ..schema import Status, YesNo
from ..suggestions import suggestion
from ..units import conversion_factor, kind_of
from .codes import flag
from .common_data import Common, Fits, common_data
from .comparison import compare

# A model of less weight than this is not asked for a value: it could not move an average.
NEGLIGIBLE = 1e-6
WEIGHTS = {
    "patient": "each patient's own, by {criterion}, over the models that have a value",
    "cohort": "those of the sums of {criterion} over patients, the same for every patient",
}


def average(
    fits: Fits,
    /,
    *,
    criterion: str = "AICc",
    failures: str = "drop",
    weights: str = "patient",
    confidence: float = 0.95,
) -> xr.DataTree:
    """Average predictions, curves and quantities over models, by their weights.

    Parameters
    ----------
    fits : sequence or mapping by name of DataTree
        As in `ckinetics.compare`.
    criterion, failures : str
        As in `ckinetics.compare`.
    weights : {"patient", "cohort"}
        "patient": each patient's own weights, in which a model that could not be fitted has none. "cohort": those of
        the sums over patients; a patient whom a model of weight could not fit then has no average.
    confidence : float
        Level of the intervals.

    Returns
    -------
    DataTree
        Root, over ``patient``: n_models (of weight), message (why there is no average).

        ``/weights`` (patient, model): weight. ``/derived`` (patient, quantity), of the quantities that all models have
        by one name and kind of unit: value, se, se_within, se_between, lower, upper, reason. ``/predictions`` (patient,
        sample): time, level, status, limits, used, predicted and between (standard deviation between models).
        ``/curves`` (patient, point): time, predicted, between. With several outputs, predictions and curves have a dim
        ``output``. Levels are in the unit of the first fit.

        se is unconditional (Buckland, Burnham and Augustin 1997): Σ w·sqrt(se² + (value − average)²). It is NaN with a
        reason where a model of weight has no standard error of its own. se_within is Σ w·se, se_between
        sqrt(Σ w·(value − average)²): what models disagree about. Limits are value·exp(±z·se/value) where the value is
        positive, else value ± z·se, with the normal quantile z.

    Raises
    ------
    InputError, StaleResultError
        As `ckinetics.compare`.

    Notes
    -----
    Models of weight below 1e-6 are left out of an average. A curve between two points of a fit's own grid is read off
    the straight line in ln(level).

    References
    ----------
    Buckland ST, Burnham KP, Augustin NH. Biometrics 1997;53:603, doi 10.2307/2533961.

    Examples
    --------
    >>> from ckinetics.fitting import fit
    >>> from ckinetics.simulation import simulate
    >>> data = simulate("stein2019", times=[1, 3, 5, 7, 9, 11, 14, 21, 28, 60, 90, 180, 365], n=2, seed=1)
    >>> free, flat = fit(data, "stein2019"), fit(data, "stein2019", fixed={"beta": 1e-4})
    >>> found = average({"free": free, "no late decline": flat})
    >>> cmax = found["derived"].to_dataset().sel(quantity="cmax")
    >>> bool((cmax["lower"] < cmax["value"]).all() and (cmax["value"] < cmax["upper"]).all())
    True
    """
    if weights not in WEIGHTS:
        raise InputError(f"weights is '{weights}'{suggestion(str(weights), WEIGHTS)}: use one of {', '.join(WEIGHTS)}")
    if not 0 < number("confidence", confidence) < 1:
        raise InputError(f"confidence is {confidence:g}: give a number between 0 and 1, such as 0.95")
    compared = compare(fits, criterion=criterion, failures=failures)
    common = common_data(fits)
    own = compared["patients"].dataset["weight"].transpose("patient", "model").values
    table = own if weights == "patient" else np.broadcast_to(compared.dataset["weight"].values, own.shape).copy()
    # NaN is no weight where it is a patient's own: the others sum to 1.
    table = np.where(np.isnan(table), 0.0, table)
    failed = common.failures.T != ""
    messages = [_message(common, table[row], failed[row]) for row in range(len(table))]
    lost = np.array([message != "" for message in messages])
    table[table < NEGLIGIBLE] = 0.0
    used = np.where(lost[:, None], 0.0, table)
    patient = ("patient", np.array(common.patients, dtype=object), {"long_name": "patient"})
    groups = {
        "/": xr.Dataset(
            {
                "n_models": (
                    "patient",
                    (used > 0).sum(axis=1).astype(np.float64),
                    {"long_name": "models in the average", "units": "1"},
                ),
                "message": (
                    "patient",
                    np.array(messages, dtype=object),
                    {"long_name": "why there is no average"},
                ),
            }
        ),
        "/weights": xr.Dataset(
            {"weight": (("patient", "model"), used, {"long_name": "weight of a model in the average"})},
            {"model": ("model", np.array(common.names, dtype=object), {"long_name": "model"})},
        ),
        "/derived": _derived(common, used, confidence),
        "/predictions": _predictions(common, used),
        "/curves": _curves(common, used),
    }
    groups = {path: group.assign_coords(patient=patient) for path, group in groups.items()}
    first = common.fits[0]
    groups["/"].attrs.update(
        result_attrs(
            title=f"average of {', '.join(common.names)}",
            settings={
                "models": common.names,
                "criterion": criterion,
                "failures": failures,
                "weights": WEIGHTS[weights].format(criterion=criterion),
                "confidence": confidence,
            },
            source=str(first.attrs["cohort_hash"]),
            result="average",
            model=f"average of {', '.join(common.names)}",
            matrix=str(first.attrs.get("matrix", "")),
            unit=str(first.attrs.get("unit", "")),
        )
    )
    return xr.DataTree.from_dict(groups, name="average")


def _message(common: Common, weights: np.ndarray, failed: np.ndarray) -> str:
    if not weights.sum() > 0:
        return "no model has a weight for this patient"
    lost = np.flatnonzero(failed & (weights >= NEGLIGIBLE))
    return f"'{common.names[lost[0]]}', which has weight, could not be fitted to this patient" if len(lost) else ""


def _mean(weights: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return averages over the first axis and standard deviations between models; models without weight are not asked.

    `weights` has the axes of `values`; where none has weight, and where one of weight has no value, both are NaN.
    """
    shares = np.where(weights > 0, values, 0.0)
    total = weights.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (weights * shares).sum(axis=0) / total
        off = np.where(weights > 0, values - mean, 0.0)
        between = np.sqrt((weights * off**2).sum(axis=0) / total)
    return np.asarray(mean), np.asarray(between)


def _derived(common: Common, weights: np.ndarray, confidence: float) -> xr.Dataset:
    tables = [fit["derived"].to_dataset().transpose("patient", "quantity") for fit in common.fits]
    names, units, labels, factors = _shared(tables)
    shape = (len(tables), len(weights), len(names))
    values, errors = np.full(shape, np.nan), np.full(shape, np.nan)
    for at, table in enumerate(tables):
        place = [table["quantity"].values.tolist().index(name) for name in names]
        values[at] = table["value"].values[:, place] * factors[at]
        errors[at] = table["se"].values[:, place] * factors[at]
    shares = np.broadcast_to(weights.T[:, :, None], shape)
    mean, between = _mean(shares, values)
    total = shares.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        spread = np.where(shares > 0, np.sqrt(errors**2 + (values - mean) ** 2), 0.0)
        se = (shares * spread).sum(axis=0) / total
        within = (shares * np.where(shares > 0, errors, 0.0)).sum(axis=0) / total
        reach = float(norm.ppf(0.5 + 0.5 * confidence)) * se
        positive = mean > 0
        lower = np.where(positive, mean * np.exp(-reach / mean), mean - reach)
        upper = np.where(positive, mean * np.exp(reach / mean), mean + reach)
    reasons = np.full(shape[1:], "", dtype=object)
    for row, column in zip(*np.nonzero(np.isnan(se) & (total > 0)), strict=True):
        without = [
            name
            for name, weight, value, error in zip(
                common.names, shares[:, row, column], values[:, row, column], errors[:, row, column], strict=True
            )
            if weight > 0 and np.isnan(value if np.isnan(mean[row, column]) else error)
        ]
        what = "value" if np.isnan(mean[row, column]) else "standard error"
        reasons[row, column] = f"no {what} from {', '.join(without)}"
    dims = ("patient", "quantity")
    kind = f"{confidence:g} confidence, normal quantile, on ln where positive"
    variables: dict[str, Any] = {
        "value": (dims, mean, {"long_name": "average over models"}),
        "se": (dims, se, {"long_name": "unconditional standard error"}),
        "se_within": (dims, within, {"long_name": "average of the models' standard errors"}),
        "se_between": (dims, between, {"long_name": "standard deviation between models"}),
        "lower": (dims, lower, {"long_name": f"lower limit, {kind}"}),
        "upper": (dims, upper, {"long_name": f"upper limit, {kind}"}),
        "reason": (dims, reasons, {"long_name": "why there is no value or no standard error"}),
    }

    def words(texts: list[str]) -> tuple[str, np.ndarray]:
        return "quantity", np.array(texts, dtype=object)

    return xr.Dataset(variables, {"quantity": words(names), "unit": words(units), "label": words(labels)})


def _shared(tables: list[xr.Dataset]) -> tuple[list[str], list[str], list[str], np.ndarray]:
    """Return names, units and labels of the quantities that all models have, and (model, quantity) factors to them."""
    first = tables[0]
    rows = []
    for at, name in enumerate(first["quantity"].values.tolist()):
        unit, factors = str(first["unit"].values[at]), []
        for table in tables:
            known = table["quantity"].values.tolist()
            own = str(table["unit"].values[known.index(name)]) if name in known else ""
            if (factor := _factor(own, unit)) is not None:
                factors.append(factor)
        if len(factors) == len(tables):
            rows.append((str(name), unit, str(first["label"].values[at]), factors))
    factors_of = np.array([row[3] for row in rows]).reshape(len(rows), len(tables)).T
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows], factors_of


def _factor(own: str, unit: str) -> float | None:
    """Return the factor from one unit to another, products such as "day*copies/ug" included; None where there is none.

    Examples
    --------
    >>> _factor("day*copies/ng", "day*copies/ug"), _factor("1/day", "1/day"), _factor("day", "copies/ug")
    (1000.0, 1.0, None)
    """
    if own == unit:
        return 1.0
    parts, others = own.split("*"), unit.split("*")
    try:
        if len(parts) != len(others) or any(kind_of(a) != kind_of(b) for a, b in zip(parts, others, strict=True)):
            return None
        return math.prod(conversion_factor(a, b) for a, b in zip(parts, others, strict=True))
    except UnitError:  # a product of another form, such as 1/day beside 1/h
        return None


def _factors(common: Common) -> np.ndarray:
    """Return (model, output) factors of levels to the unit of the first fit."""
    units = common.observed[0].units
    return np.array(
        [[conversion_factor(own, to) for own, to in zip(one.units, units, strict=True)] for one in common.observed]
    )


def _outputs(common: Common, table: np.ndarray, dim: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Return dims and values of a table (output, patient, `dim`), without the dim of one output."""
    if len(table) == 1:
        return ("patient", dim), table[0]
    return ("patient", "output", dim), np.moveaxis(table, 0, 1)


def _output_coords(common: Common) -> dict[str, Any]:
    first = common.observed[0]
    if len(first.outputs) == 1:
        return {}
    return {
        "output": ("output", np.array(first.outputs, dtype=object)),
        "unit": ("output", np.array(first.units, dtype=object)),
    }


def _unit(common: Common) -> dict[str, str]:
    units = common.observed[0].units
    return {"units": units[0]} if len(units) == 1 else {}


def _predictions(common: Common, weights: np.ndarray) -> xr.Dataset:
    first, factors, unit = common.observed[0], _factors(common), _unit(common)
    values = np.array([one.predicted for one in common.observed]) * factors[:, :, None, None]
    mean, between = _mean(np.broadcast_to(weights.T[:, None, :, None], values.shape), values)
    tables: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
        "time": (first.time, {"long_name": "time since first infusion", "units": "day"}),
        "level": (first.level, {"long_name": "level; NaN unless quantified", **unit}),
        "status": (first.status, flag(Status, "what is known of the level")),
        "lod": (first.lod, {"long_name": "limit of detection", **unit}),
        "lloq": (first.lloq, {"long_name": "lower limit of quantification", **unit}),
        "uloq": (first.uloq, {"long_name": "upper limit of quantification", **unit}),
        "predicted": (mean, {"long_name": "average prediction", **unit}),
        "between": (between, {"long_name": "standard deviation between models", **unit}),
        "used": (
            np.where(first.used, YesNo.yes, YesNo.no).astype(np.int8),
            flag(YesNo, "used by the fits"),
        ),
    }
    return xr.Dataset(
        {name: (*_outputs(common, table, "sample"), attrs) for name, (table, attrs) in tables.items()},
        _output_coords(common),
    )


def _curves(common: Common, weights: np.ndarray) -> xr.Dataset:
    """Return averages on the union of the models' own grids, so that no switch is lost."""
    factors, outputs = _factors(common), len(common.observed[0].outputs)
    curves = [fit["curves"].to_dataset() for fit in common.fits]
    times = [curve["time"].transpose("patient", "point").values for curve in curves]
    levels = []
    for at, curve in enumerate(curves):
        several = "output" in curve["predicted"].dims
        table = curve["predicted"].transpose(*(("output",) if several else ()), "patient", "point").values
        levels.append(table.reshape(outputs, *times[at].shape) * factors[at][:, None, None])
    rows = len(weights)
    grids = []
    for row in range(rows):
        own = [time[row] for time, weight in zip(times, weights[row], strict=True) if weight > 0]
        joined = np.unique(np.concatenate(own)) if own else np.empty(0)
        grids.append(joined[np.isfinite(joined)])
    widest = max((len(grid) for grid in grids), default=0)
    grid = np.full((rows, widest), np.nan)
    mean, between = np.full((outputs, rows, widest), np.nan), np.full((outputs, rows, widest), np.nan)
    for row, joined in enumerate(grids):
        n = len(joined)
        grid[row, :n] = joined
        for output in range(outputs):
            values = np.array([_read(times[at][row], levels[at][output, row], joined) for at in range(len(curves))])
            shares = np.broadcast_to(weights[row][:, None], values.shape)
            mean[output, row, :n], between[output, row, :n] = _mean(shares, values)
    unit = _unit(common)
    return xr.Dataset(
        {
            "time": (("patient", "point"), grid, {"long_name": "time since first infusion", "units": "day"}),
            "predicted": (*_outputs(common, mean, "point"), {"long_name": "average prediction", **unit}),
            "between": (
                *_outputs(common, between, "point"),
                {"long_name": "standard deviation between models", **unit},
            ),
        },
        _output_coords(common),
    )


def _read(time: np.ndarray, level: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return a curve at other times: along straight lines in ln(level) where it is positive, else in the level."""
    there = np.isfinite(time) & np.isfinite(level)
    if not there.any() or not len(at):
        return np.full(len(at), np.nan)
    x, y = time[there], level[there]
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    if (y > 0).all():
        return np.exp(np.interp(at, x, np.log(y), left=np.nan, right=np.nan))
    return np.asarray(np.interp(at, x, y, left=np.nan, right=np.nan))
