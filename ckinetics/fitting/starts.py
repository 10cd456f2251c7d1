"""Where the fits of one patient start: a guess from the data, and a seeded design around it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from ..kernels import optimise
from ..modeling import Model
from ..modeling.specification import DATA_FEATURES, Parameter
from .samples import Samples

# In the order of the codes of `ckinetics.kernels.optimise`.
TRANSFORMS = ("none", "log", "logit")
_LOGIT_EDGE = 16.0


@dataclass(frozen=True)
class Scale:
    """The estimation scale of all estimated parameters: those of the curve, then the residual one.

    Attributes
    ----------
    names : parameter names
    transform : codes of `ckinetics.kernels.optimise`
    low, high : bounds on the natural scale
    lower, upper : bounds on the estimation scale; equal where a parameter is fixed
    value : the file's values, or the fixed ones, natural scale
    typical : the same on the estimation scale
    spread : width of the design of starts, estimation scale
    """

    names: list[str]
    transform: np.ndarray
    low: np.ndarray
    high: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    value: np.ndarray
    typical: np.ndarray
    spread: np.ndarray

    def to_estimation(self, values: np.ndarray) -> np.ndarray:
        """Transform natural values, parameters along the last dim; NaN where that is impossible."""
        with np.errstate(all="ignore"):
            log = np.log(values)
            logit = np.log((values - self.low) / (self.high - values))
        by_transform = np.where(self.transform == optimise.LOGIT, logit, values)
        return np.where(self.transform == optimise.LOG, log, by_transform)

    def to_natural(self, u: np.ndarray) -> np.ndarray:
        """Transform back, parameters along the last dim."""
        with np.errstate(all="ignore"):
            logit = self.low + (self.high - self.low) / (1.0 + np.exp(-u))
            log = np.exp(np.where(self.transform == optimise.LOG, u, 0.0))
        return np.where(self.transform == optimise.LOG, log, np.where(self.transform == optimise.LOGIT, logit, u))

    def slope(self, values: np.ndarray) -> np.ndarray:
        """Return d(natural)/d(estimation scale)."""
        logit = (values - self.low) * (self.high - values) / (self.high - self.low)
        return np.where(self.transform == optimise.LOG, values, np.where(self.transform == optimise.LOGIT, logit, 1.0))


def estimation_scale(model: Model, fixed: dict[str, float]) -> Scale:
    """Return the estimation scale of a model's parameters and its residual parameter, some held fixed."""
    residual = model.specification.outputs[model.fitted_output].residual
    assert residual is not None  # fitted_output names an output that has one
    entries = [
        (name, TRANSFORMS.index(p.transform), *p.bounds, p.value, _spread(p)) for name, p in model.parameters.items()
    ]
    entries.append((residual.parameter, optimise.LOG, *residual.bounds, residual.value, 0.3))
    names = [entry[0] for entry in entries]
    transform, low, high, value, spread = (np.array(column) for column in list(zip(*entries, strict=True))[1:])
    value = np.array([fixed.get(name, at) for name, at in zip(names, value, strict=True)], dtype=np.float64)
    scale = Scale(names, transform, low, high, low, high, value, value, spread)
    bounded = transform == optimise.LOGIT
    lower = np.where(bounded, -_LOGIT_EDGE, scale.to_estimation(np.where(bounded, value, low)))
    upper = np.where(bounded, _LOGIT_EDGE, scale.to_estimation(np.where(bounded, value, high)))
    typical = scale.to_estimation(value)
    held = np.array([name in fixed for name in names])
    lower, upper = np.where(held, typical, lower), np.where(held, typical, upper)
    return Scale(names, transform, low, high, lower, upper, value, typical, scale.spread)


def _spread(parameter: Parameter) -> float:
    """Return how far starts lie about a guess: moderate on a log or logit scale, else in proportion to the value."""
    if parameter.transform == "none":
        return parameter.sd or 0.5 * abs(parameter.value) or 0.05 * (parameter.bounds[1] - parameter.bounds[0])
    return min(max(parameter.sd or 0.5, 0.2), 1.0)


def starting_points(model: Model, samples: Samples, scale: Scale, *, starts: int, seed: int) -> np.ndarray:
    """Return starting points on the estimation scale, shape (patient, start, parameter).

    The first are the guesses from the data, each with a switch just before and just after the highest sample;
    the others are normal about them. A patient's points depend on the seed and the patient's name only, so a
    patient gets the same in any subset and in any order.
    """
    switches = [scale.names.index(name) for name in model.symbolic.switches]
    size = len(scale.names)
    features = np.array([data_features(samples, row) for row in range(len(samples.patients))])
    features = features.reshape(len(samples.patients), len(DATA_FEATURES))
    guesses = model.symbolic.n_guesses
    natural = np.tile(scale.to_natural(scale.typical), (len(features), guesses, 1))
    with np.errstate(all="ignore"):
        model.compiled.start_values(features, natural)
    centre = scale.to_estimation(natural)
    centre = np.where(np.isfinite(centre), centre, scale.typical)
    points = np.empty((len(features), starts, size))
    for row, name in enumerate(samples.patients):
        times = np.unique(samples.times[row, : samples.counts[row]])
        noise = _generator(seed, name).standard_normal((starts, size))
        noise[: 2 * guesses] = 0.0
        points[row] = np.resize(centre[row], (starts, size)) + scale.spread * noise
        for at in switches:
            for start in range(starts):
                u = scale.to_natural(points[row, start])
                u[at] = _off_grid(u[at], times, before=start < guesses)
                points[row, start, at] = scale.to_estimation(u)[at]
    points = np.where(np.isfinite(points), points, scale.typical)
    inside = np.minimum(0.01, 0.25 * (scale.upper - scale.lower))
    return np.ascontiguousarray(np.clip(points, scale.lower + inside, scale.upper - inside))


def _generator(seed: int, patient: str) -> np.random.Generator:
    key = int.from_bytes(hashlib.sha256(patient.encode()).digest()[:16], "little")
    return np.random.default_rng(np.random.SeedSequence([seed, key]))


def _off_grid(x: float, times: np.ndarray, *, before: bool) -> float:
    """Move a switch that stands on (or next to) a sample to the middle of the span before or after it."""
    close = np.flatnonzero(np.abs(times - x) <= 1e-3 * max(abs(x), 1e-3))
    if len(close) == 0:
        return x
    at = int(close[0])
    if before or at + 1 == len(times):
        return 0.5 * ((times[at - 1] if at else 0.0) + times[at]) or 0.5 * times[min(1, len(times) - 1)]
    return float(0.5 * (times[at] + times[at + 1]))


def data_features(samples: Samples, row: int) -> list[float]:
    """Return what is known of a patient's data before a fit, in the order of `DATA_FEATURES`."""
    count = samples.counts[row]
    quantified = samples.kinds[row, :count] == 0
    t, y = samples.times[row, :count][quantified], samples.ys[row, :count][quantified]
    if len(t) == 0:
        return [np.nan] * len(DATA_FEATURES)
    peak = int(np.argmax(y))
    found = dict.fromkeys(DATA_FEATURES, np.nan)
    found.update(first_level=np.exp(y[0]), first_time=t[0], peak_level=np.exp(y[peak]), peak_time=t[peak])
    found.update(last_level=np.exp(y[-1]), last_time=t[-1])
    if t[peak] > t[0]:
        found["rise_rate"] = (y[peak] - y[0]) / (t[peak] - t[0])
    after = slice(peak, peak + 4)
    found["decline_rate"] = -_slope(t[after], y[after])[0]
    tail = slice(max(peak + 2, len(t) - 3), None)
    rate, intercept = _slope(t[tail], y[tail])
    if rate < 0:
        found["terminal_rate"] = -rate
        found["terminal_level"] = np.exp(intercept + rate * t[peak])
    return list(found.values())


def _slope(t: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    spread = t - t.mean() if len(t) else t
    if len(t) < 2 or not spread.any():
        return np.nan, np.nan
    slope = float(spread @ y / (spread @ spread))
    return slope, float(y.mean() - slope * t.mean())
