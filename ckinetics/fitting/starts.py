"""Where the fits of one patient start: a guess from the data, and a seeded design around it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..kernels.fit import optimise
from ..kernels.fit.likelihood import QUANTIFIED
from ..modeling import Model
from ..modeling.files.specification import DATA_FEATURES, Parameter
from .residuals import ErrorModel
from .samples import Samples

# In the order of the codes of `ckinetics.kernels.fit.optimise`.
TRANSFORMS = ("none", "log", "logit")
_LOGIT_EDGE = 16.0


@dataclass(frozen=True)
class Scale:
    """The estimation scale of all estimated parameters: those of the curve, then those of residual errors.

    Attributes
    ----------
    names : parameter names
    n_curve : how many of them belong to the curve
    transform : codes of `ckinetics.kernels.fit.optimise`
    low, high : bounds on the natural scale
    lower, upper : bounds on the estimation scale; equal where a parameter is fixed
    value : the file's values, or the fixed ones, natural scale
    typical : the same on the estimation scale
    spread : width of the design of starts, estimation scale
    sd : standard deviation of the file's random effect, estimation scale; 0 without one
    """

    names: list[str]
    n_curve: int
    transform: np.ndarray
    low: np.ndarray
    high: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    value: np.ndarray
    typical: np.ndarray
    spread: np.ndarray
    sd: np.ndarray

    @property
    def free(self) -> np.ndarray:
        """Whether each parameter is estimated."""
        return np.asarray(self.lower < self.upper)

    def compiled(self, *, prior: bool) -> np.ndarray:
        """Return the scale as compiled code takes it, with the file's random effects as a prior or not."""
        weight = np.where(self.sd > 0, 1.0 / np.where(self.sd > 0, self.sd, 1.0) ** 2, 0.0) if prior else 0.0 * self.sd
        rows = (self.lower, self.upper, self.transform, self.low, self.high, self.typical, weight)
        return np.array(rows, dtype=np.float64)

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
        with np.errstate(all="ignore"):
            logit = (values - self.low) * (self.high - values) / (self.high - self.low)
        return np.where(self.transform == optimise.LOG, values, np.where(self.transform == optimise.LOGIT, logit, 1.0))


def estimation_scale(model: Model, errors: list[ErrorModel], fixed: Mapping[str, float]) -> Scale:
    """Return the estimation scale of a model's parameters and its residual parameters, some held fixed."""
    entries = [
        (name, TRANSFORMS.index(p.transform), *p.bounds, p.value, _spread(p), p.sd)
        for name, p in model.parameters.items()
    ]
    entries += [
        (parameter.name, optimise.LOG, *parameter.bounds, parameter.value, 0.3, 0.0)
        for entry in errors
        for parameter in entry.parameters
    ]
    names = [str(entry[0]) for entry in entries]
    transform, low, high, value, spread, sd = (np.array(column) for column in list(zip(*entries, strict=True))[1:])
    value = np.array([fixed.get(name, at) for name, at in zip(names, value, strict=True)], dtype=np.float64)
    scale = Scale(names, len(model.parameters), transform, low, high, low, high, value, value, spread, sd)
    bounded = transform == optimise.LOGIT
    lower = np.where(bounded, -_LOGIT_EDGE, scale.to_estimation(np.where(bounded, value, low)))
    upper = np.where(bounded, _LOGIT_EDGE, scale.to_estimation(np.where(bounded, value, high)))
    typical = scale.to_estimation(value)
    held = np.array([name in fixed for name in names])
    lower, upper = np.where(held, typical, lower), np.where(held, typical, upper)
    return replace(scale, lower=lower, upper=upper, typical=typical)


def _spread(parameter: Parameter) -> float:
    """Return how far starts lie about a guess: moderate on a log or logit scale, else in proportion to the value."""
    if parameter.transform == "none":
        return parameter.sd or 0.5 * abs(parameter.value) or 0.05 * (parameter.bounds[1] - parameter.bounds[0])
    return min(max(parameter.sd or 0.5, 0.2), 1.0)


def starting_points(
    model: Model, samples: Samples, scale: Scale, *, starts: int, seed: int, initial: Mapping[str, float], factor: float
) -> np.ndarray:
    """Return starting points on the estimation scale, shape (patient, start, parameter).

    The first are the guesses from the data, each with a switch just before and just after the highest sample;
    the others are normal about them. What `initial` names is taken from there instead, and then the first start is
    exactly that. A patient's points depend on the seed and the patient's name only, so a patient gets the same in any
    subset and in any order.
    """
    switches = [scale.names.index(name) for name in model.symbolic.switches]
    size = len(scale.names)
    used = samples.used & (samples.kind == QUANTIFIED)
    features = np.array([data_features(*_quantified(samples, used, row, factor)) for row in range(len(used))])
    features = features.reshape(len(used), len(DATA_FEATURES))
    guesses = model.symbolic.n_guesses
    natural = np.tile(scale.to_natural(scale.typical), (len(features), guesses, 1))
    if model.symbolic.starts:
        with np.errstate(all="ignore"):
            model.compiled.start_values(features, natural)
    for name, value in initial.items():
        natural[:, :, scale.names.index(name)] = value
    centre = scale.to_estimation(natural)
    centre = np.where(np.isfinite(centre), centre, scale.typical)
    noise = np.array([patient_generator(seed, name).standard_normal((starts, size)) for name in samples.patients])
    noise = noise.reshape(len(features), starts, size)
    noise[:, 0] = 0.0
    noise[:, 1 : 2 * guesses] *= 0.5 if initial else 0.0
    points = centre[:, np.arange(starts) % guesses] + scale.spread * noise
    moving = [at for at in switches if scale.names[at] not in initial]
    if moving:
        _leave_samples(points, samples, scale, moving, guesses, factor)
    points = np.where(np.isfinite(points), points, scale.typical)
    inside = np.minimum(0.01, 0.25 * (scale.upper - scale.lower))
    inside[scale.transform == optimise.NONE] = 0.0
    return np.ascontiguousarray(np.clip(points, scale.lower + inside, scale.upper - inside))


def patient_generator(seed: int, patient: str, *stream: int) -> np.random.Generator:
    """Return random numbers of a patient, the same in any cohort; `stream` tells those of another purpose apart."""
    key = int.from_bytes(hashlib.sha256(patient.encode()).digest()[:16], "little")
    return np.random.default_rng(np.random.SeedSequence([seed, key, *stream]))


def _leave_samples(
    points: np.ndarray, samples: Samples, scale: Scale, switches: list[int], guesses: int, factor: float
) -> None:
    """Move switches that stand on (or next to) a sample to the middle of the span before or after it, in place.

    The likelihood has a kink there. The first `guesses` starts go before the sample, all others behind it.
    """
    natural = scale.to_natural(points)
    for row in range(len(points)):
        times = np.unique(samples.time[row, samples.used[row]] * factor)
        if len(times) < 2:
            continue
        for at in switches:
            x = natural[row, :, at]
            near = np.abs(times - x[:, None])
            place = near.argmin(axis=1)
            close = near.min(axis=1) <= 1e-3 * np.maximum(np.abs(x), 1e-3)
            before = (np.arange(len(x)) < guesses) | (place + 1 == len(times))
            left = np.where(place > 0, times[place - 1], 0.0)
            right = times[np.minimum(place + 1, len(times) - 1)]
            middle = np.where(before, 0.5 * (left + times[place]), 0.5 * (times[place] + right))
            middle = np.where(middle > 0, middle, 0.5 * times[1])
            natural[row, :, at] = np.where(close, middle, x)
    points[:, :, switches] = scale.to_estimation(natural)[:, :, switches]


def _quantified(samples: Samples, used: np.ndarray, row: int, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Return times and ln(level) of the quantified positive samples of a patient, in the order of time."""
    index = np.flatnonzero(used[row])
    index = index[samples.value[row, index] > 0]
    index = index[np.argsort(samples.time[row, index], kind="stable")]
    return samples.time[row, index] * factor, np.log(samples.value[row, index])


def data_features(t: np.ndarray, y: np.ndarray) -> list[float]:
    """Return what times and ln(levels) say before a fit, in the order of `DATA_FEATURES`."""
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
