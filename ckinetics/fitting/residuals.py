"""Residual errors of outputs: which kinds there are, and which parameters they bring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..kernels.fit.likelihood import QUANTIFIED
from ..kernels.fit.objective import KIND, N_SAMPLES, NOISE, OUTPUT, Data
from ..kernels.residual_forms import COMBINED2, CONSTANT, PROPORTIONAL
from ..modeling import Model
from ..modeling.residual_kinds import KINDS
from ..suggestions import suggestion

# What a model file that states no residual error is fitted with.
FIELD_DEFAULT = "additive on log"
IN_WORDS = {
    "additive on log": "ln(observed) is normal about ln(predicted), standard deviation {a}",
    "additive": "observed is normal about predicted, standard deviation {a}",
    "proportional": "observed is normal about predicted, standard deviation {b}*predicted",
    "combined1": "observed is normal about predicted, standard deviation {a} + {b}*predicted",
    "combined2": "observed is normal about predicted, standard deviation sqrt({a}^2 + ({b}*predicted)^2)",
}


@dataclass(frozen=True)
class ErrorParameter:
    """A parameter of a residual error, estimated on its ln."""

    name: str
    value: float
    bounds: tuple[float, float]


@dataclass(frozen=True)
class ErrorModel:
    """The residual error of one output; `a` is a constant part, `b` one in proportion to the prediction."""

    output: str
    kind: str
    a: ErrorParameter | None
    b: ErrorParameter | None

    @property
    def on_log(self) -> bool:
        """Whether ln(observed) is what is normal."""
        return KINDS[self.kind][0]

    @property
    def parameters(self) -> list[ErrorParameter]:
        """The parameters that it brings."""
        return [parameter for parameter in (self.a, self.b) if parameter is not None]

    def in_words(self) -> str:
        """Say what it is."""
        names = {"a": self.a.name if self.a else "", "b": self.b.name if self.b else ""}
        return IN_WORDS[self.kind].format(**names)

    def sd(self, predicted: np.ndarray, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the standard deviation at predictions, from values of the error's parameters by name."""
        a = values[self.a.name] if self.a else 0.0
        b = values[self.b.name] if self.b else 0.0
        form = KINDS[self.kind][1]
        if form == COMBINED2:
            return np.asarray(np.sqrt(a**2 + (b * predicted) ** 2))
        return np.asarray(a + b * np.abs(predicted))


def error_models(model: Model, outputs: list[str], given: str | Mapping[str, str] | None) -> list[ErrorModel]:
    """Return the residual error of each output: what a user asks for, else what the file says, else the field's usual.

    Raises
    ------
    InputError
        An unknown kind or output.
    """
    if isinstance(given, str) or given is None:
        kinds = dict.fromkeys(outputs, given)
    elif isinstance(given, Mapping):
        for name in given:
            if name not in outputs:
                raise InputError(f"residual names the output '{name}', which is not fitted{suggestion(name, outputs)}")
        kinds = {name: given.get(name) for name in outputs}
    else:
        raise InputError('residual is a kind such as "additive on log", or one for each output')
    return [_error_model(model, name, kind, several=len(outputs) > 1) for name, kind in kinds.items()]


def _error_model(model: Model, output: str, kind: str | None, *, several: bool) -> ErrorModel:
    stated = model.specification.outputs[output].residual
    if kind is None:
        kind = stated.kind if stated is not None else FIELD_DEFAULT
    if kind not in KINDS:
        raise InputError(f"residual is '{kind}'{suggestion(kind, KINDS)}: use one of {', '.join(KINDS)}")
    form = KINDS[kind][1]
    wide = (1e-300, 1e300)
    a_name, b_name = (_free_name(letter, output, model, several=several) for letter in ("a", "b"))
    a = ErrorParameter(a_name, 0.5 if kind == "additive on log" else 1.0, (1e-6, 1e3) if KINDS[kind][0] else wide)
    b = ErrorParameter(b_name, 0.3, (1e-12, 1e6))
    if stated is not None and stated.kind == kind:
        if form != PROPORTIONAL:
            a = ErrorParameter(stated.parameter, stated.value, stated.bounds)
        else:
            b = ErrorParameter(stated.parameter, stated.value, stated.bounds)
        if stated.slope is not None and stated.slope_value is not None and stated.slope_bounds is not None:
            b = ErrorParameter(stated.slope, stated.slope_value, stated.slope_bounds)
    return ErrorModel(output, kind, None if form == PROPORTIONAL else a, None if form == CONSTANT else b)


def without_scatter(models: list[ErrorModel], n_curve: int, at_lower: np.ndarray, data: Data) -> np.ndarray:
    """Return, per patient, whether an output's whole residual error has run to nothing: its curve meets the samples.

    One part of a combined error may be at its bound while the other is not, and the counting error of the assay may
    leave nothing for the residual one: then there is scatter.
    """
    inside = np.arange(data.marks.shape[2]) < data.counts[:, N_SAMPLES, None]
    place, out = n_curve, np.zeros(len(at_lower), dtype=bool)
    for number, model in enumerate(models):
        behind = place + len(model.parameters)
        own = inside & (data.marks[:, OUTPUT] == number) & (data.marks[:, KIND] == QUANTIFIED)
        met = ~own.any(axis=1) | (own & ~(data.values[:, NOISE] > 0)).any(axis=1)
        out |= at_lower[:, place:behind].all(axis=1) & met
        place = behind
    return out


def counting_variance(copy: np.ndarray, predicted: np.ndarray, *, on_log: bool) -> np.ndarray:
    """Return the variance that counting adds at a prediction; `copy` is the level of one copy.

    As `ckinetics.kernels.residual_forms.counting`.
    """
    return np.asarray(np.log1p(copy / predicted) if on_log else copy * np.abs(predicted))


def _free_name(letter: str, output: str, model: Model, *, several: bool) -> str:
    """Return a name that no parameter of the curve has, and with several outputs no other output's error."""
    name = f"{letter}_{output}" if several or letter in model.parameters else letter
    while name in model.parameters:
        name += "_"
    return name


def compiled_errors(models: list[ErrorModel], n_curve: int) -> np.ndarray:
    """Return residual errors as compiled code takes them; their parameters stand behind those of the curve."""
    place, columns = n_curve, []
    for entry in models:
        at = []
        for parameter in (entry.a, entry.b):
            at.append(place if parameter is not None else -1)
            place += parameter is not None
        columns.append((entry.on_log, KINDS[entry.kind][1], *at))
    return np.ascontiguousarray(np.array(columns, dtype=np.int64).reshape(len(models), 4).T)
