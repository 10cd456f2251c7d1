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
# Days behind a dose at which intervals of an area end.
_BEHIND = 2.0 ** np.arange(-7, 5)
# Of the highest level: what is left of a curve below it is rounding.
_NOTHING = 1e-12


def derived_quantities(fitted: Fitted, replicates: np.ndarray | None) -> xr.Dataset:
    """Return every derived quantity: value, standard error, interval, and whether the data determine it.

    Standard errors are by the delta method on ln of the quantity where it is positive, from differences of it.
    """
    scale, u = fitted.problem.scale, fitted.found.u
    entries = dict(fitted.problem.model.specification.derived)
    extra = _CURVE if fitted.problem.model.specification.states else {}
    if _dosed_as_in_file(fitted):
        extra = {name: entry for name, entry in extra.items() if name not in entries}
    entries = {name: entry for name, entry in entries.items() if name not in extra}
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
    own = own[:, [name not in extra for name in model.specification.derived]]
    found = _of_curve(fitted, theta, rows)
    return np.concatenate([own, np.stack([found[name] for name in extra], axis=1)], axis=1)


# Unit and meaning of what is read from the first output's curve: where the file has no quantity of that name, or has a
# formula for one dose and the patients were given others.
_CURVE = {
    "cmax": ("{unit}", "peak of the fitted curve, until the last sample or day 28, whichever is later"),
    "tmax": ("day", "time of the peak of the fitted curve, until the last sample or day 28, whichever is later"),
    "auc_0_28": ("day*{unit}", "area under the fitted curve, day 0 to 28"),
    "auc_0_inf": ("day*{unit}", "area under the fitted curve, day 0 to infinity; its end extrapolated from day 3650"),
    "persistence": (
        "day",
        "last time at which the fitted curve is at the LLOQ of the last sample; NaN where it stays above or below",
    ),
}


def _dosed_as_in_file(fitted: Fitted) -> bool:
    """Whether every patient was given one dose at the file's time at most, and nothing else that changes in time."""
    if fitted.events is None:
        return True
    inputs = list(fitted.problem.model.specification.inputs.values())
    given = np.isfinite(fitted.events.times)
    usual = np.zeros(given.shape, dtype=bool)
    for at, entry in enumerate(inputs):
        usual |= (fitted.events.inputs == at) & (entry.kind == "dose") & (fitted.events.times == entry.time)
    once = all(((fitted.events.inputs == at) & given).sum(axis=1).max(initial=0) <= 1 for at in range(len(inputs)))
    return once and bool(usual[given].all())


def _of_curve(fitted: Fitted, theta: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return the quantities of `_CURVE`."""
    problem, constants = fitted.problem, fitted.constants[rows]
    events = None if fitted.events is None else fitted.events.of_patients(rows)
    factor = time_factor(problem.model)
    ends = problem.phase_ends(theta, constants) / factor
    # What follows a switch is quick in some equations too; closed forms are of slow curves, and fitted by the thousand.
    doses = np.empty((len(theta), 0)) if events is None else np.concatenate([events.times / factor, ends], axis=1)
    times, shares = _points_of_areas(
        *(np.where((corners > 0) & (corners < _HORIZON), corners, 0.0) for corners in (ends, doses))
    )
    window = np.maximum(_last_time(fitted)[rows], _MONTH)[:, None]
    level = problem.curve(times * factor, theta, constants, events, threads=fitted.threads)[0]
    lost = np.isnan(level).all(axis=1)
    if lost.any() and not problem.exact:  # ten years may be too long for the solver where the samples' time is not
        again = np.where(lost[:, None] & (times <= window), times, np.nan)
        shorter = problem.curve(again * factor, theta, constants, events, threads=fitted.threads)[0]
        level = np.where(lost[:, None], shorter, level)
    with np.errstate(all="ignore"):
        area = shares * level
        month = np.where(times <= _MONTH, area, 0.0).sum(axis=1)
        rate = np.log(level[:, -2] / level[:, -1]) / (times[:, -1] - times[:, -2])
        gone = np.abs(level[:, -1]) <= _NOTHING * np.fmax.reduce(level, axis=1, initial=0.0)
        rest = np.where(gone, 0.0, np.where(rate > 0, level[:, -1] / rate, np.nan))
        whole = area.sum(axis=1) + rest
        seen = np.isfinite(level) & (times <= window)
        cmax, tmax = _peak(times, level, seen)
        own = np.arange(len(level))
        limit = _last_lloq(fitted)[rows, None]
        above = level >= limit
        after = np.where(above.any(axis=1), above.shape[1] - 1 - np.argmax(above[:, ::-1], axis=1), -1)
        next_ = np.minimum(after + 1, level.shape[1] - 1)
        share = np.log(level[own, after] / limit[:, 0]) / np.log(level[own, after] / level[own, next_])
        persistence = times[own, after] + share * (times[own, next_] - times[own, after])
        persistence[(after < 0) | (after == level.shape[1] - 1) | np.isnan(limit[:, 0])] = np.nan
    found = {"cmax": cmax, "tmax": tmax, "auc_0_28": month, "auc_0_inf": whole, "persistence": persistence}
    # Missing inside the window: nothing is known; beyond it, what lies there.
    absent = {True: ~(np.isfinite(level) | (times > window)).all(axis=1), False: ~np.isfinite(level).all(axis=1)}
    return {name: np.where(absent[name in _IN_WINDOW], np.nan, value) for name, value in found.items()}


_IN_WINDOW = ("cmax", "tmax", "auc_0_28")


def _last_time(fitted: Fitted) -> np.ndarray:
    """Return the time of the last sample of each patient that is used, in days; 0 without one."""
    times = np.where(np.isfinite(fitted.data.times), fitted.data.times, 0.0)
    return np.asarray(times.max(axis=1, initial=0.0)) / time_factor(fitted.problem.model)


def _points_of_areas(ends: np.ndarray, doses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return times in ascending order and their weights in an integral, both (patient, time).

    Between ends of phases and doses a curve is smooth, and four points of Gauss and Legendre an interval have all its
    digits; behind a dose it may be as quick as absorption is, so that intervals are short there. The edges of intervals
    have weight 0.
    """
    grid = np.concatenate([np.linspace(0.0, _MONTH, 57), _MONTH * np.geomspace(1.0, _HORIZON / _MONTH, 71)[1:]])
    early = np.concatenate([_BEHIND[grid[1] > _BEHIND], grid])
    behind = (doses[:, :, None] + _BEHIND).reshape(len(doses), doses.shape[1] * len(_BEHIND))
    edges = np.concatenate([np.tile(early, (len(ends), 1)), ends, doses, np.minimum(behind, _HORIZON)], axis=1)
    edges = np.sort(edges, axis=1)
    weights = np.polynomial.legendre.leggauss(len(_POSITIONS) - 1)[1]
    width = np.diff(edges, axis=1)[:, :, None]
    shape = (len(ends), (edges.shape[1] - 1) * len(_POSITIONS))
    times = (edges[:, :-1, None] + width * _POSITIONS).reshape(shape)
    shares = np.concatenate([0.0 * width, 0.5 * width * weights], axis=2).reshape(shape)
    return np.concatenate([times, edges[:, -1:]], axis=1), np.pad(shares, ((0, 0), (0, 1)))


def _peak(times: np.ndarray, level: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest level and its time, of points as `_points_of_areas` has them.

    About the highest point, ln(level) is a polynomial through the five points of each interval: inside one a curve is
    smooth, and a corner stands on an edge, where it is taken as it is.
    """
    rows, size = np.arange(len(level)), len(_POSITIONS)
    on_grid = np.where(seen, level, -np.inf)
    first = np.argmax(on_grid, axis=1)
    last = level.shape[1] - 1 - np.argmax(on_grid[:, ::-1], axis=1)
    tmax, cmax = times[rows, first], level[rows, first]
    top = np.log(cmax)
    # An edge belongs to the interval before it too; several edges may stand on one another.
    for interval in (np.maximum(np.where(first % size == 0, first - 1, first), 0) // size, last // size):
        begin = np.minimum(interval * size, level.shape[1] - 1 - size)
        own = begin[:, None] + np.arange(size)
        y = np.log(level[rows[:, None], own]) @ _READ.T
        best = np.clip(np.argmax(y, axis=1), 1, len(_BETWEEN) - 2)
        before, middle, after = (y[rows, best + move] for move in (-1, 0, 1))
        bend = after - 2.0 * middle + before
        move = np.where(bend < 0, np.clip(0.5 * (before - after) / bend, -1.0, 1.0), 0.0)
        height = middle + 0.5 * move * (after - before) + 0.5 * move**2 * bend
        better = seen[rows, begin] & (height > top + _HIGHER) & (height < top + _MUCH_HIGHER)
        begins, ends = times[rows, begin], times[rows, begin + size]
        place = _BETWEEN[best] + move * (_BETWEEN[1] - _BETWEEN[0])
        tmax = np.where(better, begins + place * (ends - begins), tmax)
        top, cmax = np.where(better, height, top), np.where(better, np.exp(height), cmax)
    return cmax, tmax


def _through(points: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return (at, point) factors of values at points, of the polynomial through them."""
    others = [np.delete(points, k) for k in range(len(points))]
    return np.stack([np.prod((at[:, None] - o) / (p - o), axis=1) for p, o in zip(points, others, strict=True)], axis=1)


# Where the points of an interval stand in it, from 0 to 1; where its polynomial is read, and the factors of that.
_POSITIONS = np.concatenate([[0.0], 0.5 * (1.0 + np.polynomial.legendre.leggauss(4)[0])])
_BETWEEN = np.linspace(0.0, 1.0, 65)
_READ = _through(_POSITIONS, _BETWEEN)
# In ln: a polynomial that is less above the points is rounding, one that is more above them is wrong.
_HIGHER, _MUCH_HIGHER = 1e-9, 0.1


def _last_lloq(fitted: Fitted) -> np.ndarray:
    """Return the LLOQ of the last sample of each patient that has one."""
    samples = fitted.series[0]
    time = np.where(np.isfinite(samples.lloq), samples.time, -np.inf)
    time = np.where(np.isnan(time), -np.inf, time)
    if not time.shape[1]:
        return np.full(len(time), np.nan)
    return np.asarray(samples.lloq[np.arange(len(time)), time.argmax(axis=1)])
