"""Quantities that follow from the estimates, with intervals: those of the model file, and those of the curve."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ..schema import YesNo
from .bootstrap import boot_variables
from .codes import flag
from .fitted import Fitted
from .problem import time_factor
from .uncertainty import INTERVALS, quantile

# A derived quantity follows a parameter that moves it by more than this when it moves tenfold either way.
_FOLLOWS = 0.02
# Steps of differences, for closed forms and for equations, which are only as good as their solver.
_WIDTH = {True: 1e-5, False: 1e-3}
# Days up to which curves are looked at: beyond, they go on as they last did.
_HORIZON = 3650.0
_MONTH = 28.0


def derived_quantities(fitted: Fitted, replicates: np.ndarray | None) -> xr.Dataset:
    """Return every derived quantity: value, standard error, interval, and whether the data determine it.

    Standard errors are by the delta method on ln of the quantity where it is positive, from differences of it.
    """
    scale, u = fitted.problem.scale, fitted.found.u
    entries = fitted.problem.model.specification.derived
    extra = _CURVE if fitted.problem.model.specification.states else {}
    extra = {name: entry for name, entry in extra.items() if name not in entries}
    names = [*entries, *extra]
    values = _compute(fitted, u, extra)
    # A quantity that follows a parameter which the data do not determine is not determined either.
    leans = np.zeros(values.shape, dtype=bool)
    slopes = np.zeros((*values.shape, len(scale.names)))
    positive, width = values > 0, _WIDTH[fitted.problem.exact]
    for at in np.flatnonzero(scale.free[: scale.n_curve]).tolist():
        reach = np.log(10.0) if scale.transform[at] else 2.0 * scale.spread[at]
        loose = np.flatnonzero(~fitted.determined[:, at] & np.isfinite(u[:, at]))
        for step in (-reach, reach) if len(loose) else ():
            moved = _compute(fitted, _moved(fitted, at, step)[loose], extra, loose)
            with np.errstate(all="ignore"):
                leans[loose] |= ~(np.abs(moved / values[loose] - 1.0) < _FOLLOWS)
        step = np.where(u[:, at] + width < scale.upper[at], 1.0, -1.0) * width
        if not scale.transform[at]:  # near 0 an estimate's size is that of its rounding
            size = np.fmax(np.abs(u[:, at]), np.fmin(fitted.se_log[:, at], scale.spread[at]))
            step = step * np.where(size > 0, size, 1.0)
        moved = _compute(fitted, _moved(fitted, at, step), extra)
        with np.errstate(all="ignore"):
            slopes[:, :, at] = np.where(positive, np.log(moved / values), moved - values) / step[:, None]
    known = np.isfinite(fitted.covariance)
    covariance = np.where(known, fitted.covariance, 0.0)
    with np.errstate(invalid="ignore"):
        se = np.sqrt(np.einsum("pqi,pij,pqj->pq", np.nan_to_num(slopes), covariance, np.nan_to_num(slopes)))
    se[leans | np.isnan(values) | ~np.isfinite(slopes).all(axis=2) | ~(se > 0)] = np.nan
    reach = quantile(fitted.interval if fitted.interval != "profile" else "t", fitted.confidence, fitted.n_scatter,
                     fitted.n_curve_free)[:, None] * se  # fmt: skip
    with np.errstate(over="ignore", invalid="ignore"):
        lower = np.where(positive, values * np.exp(-reach), values - reach)
        upper = np.where(positive, values * np.exp(reach), values + reach)
        se_natural = np.where(positive, se * values, se)
    kind = f"{fitted.confidence:g} confidence, {INTERVALS['t' if fitted.interval == 'profile' else fitted.interval]}"
    dims = ("patient", "quantity")
    estimable = np.where(np.isnan(values), YesNo.unknown, np.where(leans, YesNo.no, YesNo.yes))
    variables: dict[str, Any] = {
        "value": (dims, values, {"long_name": "derived quantity at the estimates"}),
        "se": (dims, se_natural, {"long_name": "standard error, delta method"}),
        "lower": (dims, lower, {"long_name": f"lower limit, delta method on ln; {kind}"}),
        "upper": (dims, upper, {"long_name": f"upper limit, delta method on ln; {kind}"}),
        "estimable": (
            dims,
            estimable.astype(np.int8),
            flag(YesNo, "depends on no parameter that the data do not determine"),
        ),
    }
    if replicates is not None:
        drawn = np.array([_compute(fitted, replicate, extra) for replicate in replicates])
        with np.errstate(all="ignore"):
            on_scale = np.where(drawn > 0, np.log(drawn), np.nan)
        variables |= boot_variables(dims, drawn, on_scale, fitted)
    unit = fitted.series[0].unit
    units = [fitted.unit_of_data(entry.unit) for entry in entries.values()]
    units += [text.format(unit=unit) for text, _ in extra.values()]
    labels = [entry.label for entry in entries.values()] + [label for _, label in extra.values()]

    def words(texts: list[str]) -> tuple[str, np.ndarray]:
        return "quantity", np.array(texts, dtype=object)

    return xr.Dataset(variables, {"quantity": words(names), "unit": words(units), "label": words(labels)})


def _moved(fitted: Fitted, at: int, step: Any) -> np.ndarray:
    scale, moved = fitted.problem.scale, fitted.found.u.copy()
    moved[:, at] = np.clip(moved[:, at] + step, scale.lower[at], scale.upper[at])
    return moved


def _compute(
    fitted: Fitted, u: np.ndarray, extra: dict[str, tuple[str, str]], rows: np.ndarray | None = None
) -> np.ndarray:
    """Return quantities (patient, quantity) at parameters on the estimation scale, of all patients or of some."""
    model, scale = fitted.problem.model, fitted.problem.scale
    rows = np.arange(len(u)) if rows is None else rows
    with np.errstate(all="ignore"):
        theta = np.ascontiguousarray(fitted.problem.natural(u)[:, : scale.n_curve])
    own = np.full((len(theta), len(model.specification.derived)), np.nan)
    if model.specification.derived:
        model.compiled.derived(np.ascontiguousarray(np.concatenate([theta, fitted.constants[rows]], axis=1)), own)
    own[np.isnan(theta).any(axis=1)] = np.nan
    if not extra:
        return own
    found = _of_curve(fitted, theta, rows)
    return np.concatenate([own, np.stack([found[name] for name in extra], axis=1)], axis=1)


# Unit and meaning of what is read from the first output's curve, where the file has no quantity of that name.
_CURVE = {
    "cmax": ("{unit}", "peak of the fitted curve"),
    "tmax": ("day", "time of the peak of the fitted curve"),
    "auc_0_28": ("day*{unit}", "area under the fitted curve, day 0 to 28"),
    "auc_0_inf": ("day*{unit}", "area under the fitted curve, day 0 to infinity; its end extrapolated from day 3650"),
    "persistence": (
        "day",
        "last time at which the fitted curve is at the LLOQ of the last sample; NaN where it stays above or below",
    ),
}


def _of_curve(fitted: Fitted, theta: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return the quantities of `_CURVE`."""
    problem, constants = fitted.problem, fitted.constants[rows]
    events = None if fitted.events is None else fitted.events.of_patients(rows)
    factor = time_factor(problem.model)
    ends = problem.phase_ends(theta, constants) / factor
    times, shares = _points_of_areas(np.where((ends > 0) & (ends < _HORIZON), ends, 0.0))
    level = problem.curve(times * factor, theta, constants, events, threads=fitted.threads)[0]
    with np.errstate(all="ignore"):
        area = shares * level
        month = np.where(times <= _MONTH, area, 0.0).sum(axis=1)
        rate = np.log(level[:, -2] / level[:, -1]) / (times[:, -1] - times[:, -2])
        rest = np.where(level[:, -1] == 0.0, 0.0, np.where(rate > 0, level[:, -1] / rate, np.nan))
        whole = area.sum(axis=1) + rest
        peak = np.argmax(np.nan_to_num(level, nan=-np.inf), axis=1)
        own = np.arange(len(level))
        cmax, tmax = _vertex(times, level, peak)
        limit = _last_lloq(fitted)[rows, None]
        above = level >= limit
        after = np.where(above.any(axis=1), above.shape[1] - 1 - np.argmax(above[:, ::-1], axis=1), -1)
        next_ = np.minimum(after + 1, level.shape[1] - 1)
        share = np.log(level[own, after] / limit[:, 0]) / np.log(level[own, after] / level[own, next_])
        persistence = times[own, after] + share * (times[own, next_] - times[own, after])
        persistence[(after < 0) | (after == level.shape[1] - 1) | np.isnan(limit[:, 0])] = np.nan
    absent = ~np.isfinite(level).all(axis=1)
    found = {"cmax": cmax, "tmax": tmax, "auc_0_28": month, "auc_0_inf": whole, "persistence": persistence}
    return {name: np.where(absent, np.nan, value) for name, value in found.items()}


def _points_of_areas(ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return times in ascending order and their weights in an integral, both (patient, time).

    Between the ends of phases a curve is smooth, and four points of Gauss and Legendre an interval have all its digits;
    the edges of intervals have weight 0.
    """
    grid = np.concatenate([np.linspace(0.0, _MONTH, 57), _MONTH * np.geomspace(1.0, _HORIZON / _MONTH, 71)[1:]])
    edges = np.sort(np.concatenate([np.tile(grid, (len(ends), 1)), ends], axis=1), axis=1)
    nodes, weights = np.polynomial.legendre.leggauss(4)
    width = np.diff(edges, axis=1)[:, :, None]
    inside = edges[:, :-1, None] + 0.5 * width * (1.0 + nodes)
    shape = (len(ends), (edges.shape[1] - 1) * (1 + len(nodes)))
    times = np.concatenate([edges[:, :-1, None], inside], axis=2).reshape(shape)
    shares = np.concatenate([0.0 * width, 0.5 * width * weights], axis=2).reshape(shape)
    return np.concatenate([times, edges[:, -1:]], axis=1), np.pad(shares, ((0, 0), (0, 1)))


def _vertex(times: np.ndarray, level: np.ndarray, peak: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the peak and its time: the vertex of a parabola through ln(level) about the highest point of the grid.

    A corner, as where a phase ends, is taken as it is: there the parabola would lie above the curve.
    """
    rows, inside = np.arange(len(level)), (peak > 0) & (peak < level.shape[1] - 1)
    middle = np.where(inside, peak, 1)
    x = times[rows[:, None], middle[:, None] + np.array([-1, 0, 1])]
    y = np.log(level[rows[:, None], middle[:, None] + np.array([-1, 0, 1])])
    left, right = (y[:, 1] - y[:, 0]) / (x[:, 1] - x[:, 0]), (y[:, 2] - y[:, 1]) / (x[:, 2] - x[:, 1])
    bend = (right - left) / (x[:, 2] - x[:, 0])
    slope = left + bend * (x[:, 1] - x[:, 0])
    move = -0.5 * slope / bend
    smooth = inside & (bend < 0) & (np.abs(right - left) < 0.2) & np.isfinite(move)
    tmax = np.where(smooth, x[:, 1] + move, times[rows, peak])
    cmax = np.where(smooth, np.exp(y[:, 1] - 0.25 * slope**2 / bend), level[rows, peak])
    return cmax, tmax


def _last_lloq(fitted: Fitted) -> np.ndarray:
    """Return the LLOQ of the last sample of each patient that has one."""
    samples = fitted.series[0]
    time = np.where(np.isfinite(samples.lloq), samples.time, -np.inf)
    time = np.where(np.isnan(time), -np.inf, time)
    if not time.shape[1]:
        return np.full(len(time), np.nan)
    return np.asarray(samples.lloq[np.arange(len(time)), time.argmax(axis=1)])
