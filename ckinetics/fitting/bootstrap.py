"""Parametric bootstrap: each patient's samples drawn anew from its own fit, and fitted again."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.fit import likelihood
from ..kernels.fit.objective import AT, KIND, N_SAMPLES, NOISE, OUTPUT, Data, Y
from .fitted import Fitted
from .residuals import counting_variance
from .starts import patient_generator

# Tells draws of replicates from those of starts.
_STREAM = 20


def bootstrap(fitted: Fitted) -> np.ndarray:
    """Fit replicates of every fitted patient, each from the estimates that it was drawn with.

    Return estimates (replicate, patient, parameter) on the estimation scale; NaN where one failed.

    A sample that was quantified or censored is drawn from the residual error about the fitted curve; below its own
    LLOQ it is censored there, above its own ULOQ there. Those whose limits are not known stay quantified.
    """
    patients, size = fitted.found.u.shape
    count = fitted.bootstrap
    rows = np.flatnonzero(np.isfinite(fitted.found.value))
    out = np.full((count, patients, size), np.nan)
    if not len(rows):
        return out
    repeated = np.tile(rows, count)
    data = _draw(fitted, repeated)
    points = fitted.found.u[repeated][:, None, :]
    # A switch on a sample stands on a kink: one start on either side of it.
    problem = fitted.problem
    if len(problem.switches):
        points = np.repeat(points, 2, axis=1)
        points[:, 0, problem.switches] -= 0.01
        points[:, 1, problem.switches] += 0.01
        points = np.clip(points, problem.scale.lower, problem.scale.upper)
    events = None if fitted.events is None else fitted.events.of_patients(repeated)
    found = problem.run(data, events, np.ascontiguousarray(points), threads=fitted.threads, at_residuals=False)
    failed = ~np.isfinite(found.value)
    u = np.where(failed[:, None], np.nan, found.u)
    out[:, rows] = u.reshape(count, len(rows), size)
    return out


def _draw(fitted: Fitted, rows: np.ndarray) -> Data:
    """Return samples drawn anew, one row a replicate."""
    problem, old = fitted.problem, fitted.data
    data = Data(*(np.ascontiguousarray(array[rows]) for array in old))
    normal = _normal(fitted, rows)
    times = np.where(np.isfinite(old.times), old.times, np.nan)
    curve = problem.curve(times, fitted.theta, fitted.constants, fitted.events, threads=fitted.threads)[:, rows]
    marks, drawn_values = data.marks.copy(), data.values.copy()
    values = problem.error_values(fitted.natural[rows])
    lloq, uloq = _limits(fitted, rows)
    for number, error in enumerate(problem.errors):
        at = np.arange(len(rows))[:, None]
        predicted = curve[number][at, data.marks[:, AT]]
        with np.errstate(all="ignore"):
            sd = error.sd(predicted, values)
            noise = counting_variance(data.values[:, NOISE], predicted, on_log=error.on_log)
            sd = np.sqrt(sd**2 + np.where(np.isfinite(noise), noise, 0.0))
            centre = np.log(np.maximum(predicted, 1e-300)) if error.on_log else predicted
            drawn = centre + sd * normal
            low, high = (np.log(lloq), np.log(uloq)) if error.on_log else (lloq, uloq)
        own = (data.marks[:, OUTPUT] == number) & (np.arange(data.times.shape[1]) < data.counts[:, N_SAMPLES, None])
        below, above = drawn < low, drawn > high
        new = np.where(below, likelihood.BELOW, np.where(above, likelihood.ABOVE, likelihood.QUANTIFIED))
        value = np.where(below, low, np.where(above, high, drawn))
        marks[:, KIND][own], drawn_values[:, Y][own] = new[own], value[own]
    return data._replace(marks=marks, values=drawn_values)


def _normal(fitted: Fitted, rows: np.ndarray) -> np.ndarray:
    """Return standard normal numbers (replicate, sample), which depend on the seed and the patient's name only."""
    out = np.zeros((len(rows), fitted.data.times.shape[1]))
    for row in np.unique(rows).tolist():
        n = int(fitted.data.counts[row, N_SAMPLES])
        random = patient_generator(fitted.seed, fitted.series[0].patients[row], _STREAM)
        out[rows == row, :n] = random.standard_normal((int((rows == row).sum()), n))
    return out


def _limits(fitted: Fitted, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return LLOQ and ULOQ of packed samples, in the order in which `pack` puts them."""
    shape = fitted.data.times.shape
    found: tuple[np.ndarray, np.ndarray] = (np.full(shape, np.nan), np.full(shape, np.nan))
    for row in range(shape[0]):
        if not fitted.data.counts[row, N_SAMPLES]:
            continue
        index = [np.flatnonzero(s.used[row]) for s in fitted.series]
        for table, name in zip(found, ("lloq", "uloq"), strict=True):
            limits = [getattr(s, name)[row, own] for s, own in zip(fitted.series, index, strict=True)]
            table[row, : fitted.data.counts[row, N_SAMPLES]] = np.concatenate(limits)
    return found[0][rows], found[1][rows]


def boot_variables(
    dims: tuple[str, ...], natural: np.ndarray, on_scale: np.ndarray, fitted: Fitted
) -> dict[str, tuple[Any, ...]]:
    """Return percentile limits and standard errors of replicates (replicate, patient, thing)."""
    tail = 50.0 * (1.0 - fitted.confidence)
    absent = np.isnan(natural).all(axis=0)
    lower, upper, spread = (np.full(absent.shape, np.nan) for _ in range(3))
    if (~absent).any():
        lower[~absent], upper[~absent] = np.nanpercentile(natural[:, ~absent], [tail, 100.0 - tail], axis=0)
    several = np.isfinite(on_scale).sum(axis=0) > 1
    if several.any():
        spread[several] = np.nanstd(on_scale[:, several], axis=0, ddof=1)
    kind = f"{fitted.confidence:g} confidence, percentiles of {fitted.bootstrap} parametric bootstrap replicates"
    return {
        "boot_lower": (dims, lower, {"long_name": f"lower limit, {kind}"}),
        "boot_upper": (dims, upper, {"long_name": f"upper limit, {kind}"}),
        "boot_se": (
            dims,
            spread,
            {"long_name": "standard deviation of the replicates on the estimation scale (ln for derived quantities)"},
        ),
    }
