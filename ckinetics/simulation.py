"""Simulated profiles from a model: random effects, residual error, censoring."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from .errors import InputError
from .modeling import Model, load_model
from .modeling.options import number, number_array, whole_number
from .modeling.specification import Parameter
from .provenance import result_attrs
from .schema import Status
from .units import conversion_factor

_MOST_REDRAWS = 10_000


def simulate(
    model: str | Path | Model,
    /,
    *,
    times: ArrayLike,
    n: int | None = None,
    parameters: Mapping[str, ArrayLike] | None = None,
    seed: int = 0,
    random_effects: bool = True,
    residual: bool = True,
    lloq: float | None = None,
) -> xr.Dataset:
    """Simulate profiles of patients from a model.

    Parameters
    ----------
    model : str, Path or Model
        A model's name, a file's path, or what `load_model` returned.
    times : array_like
        Days since infusion: (sample,), the same for all patients, or (patient, sample).
    n : int, optional
        Number of patients; default what `times` and `parameters` say, else 1.
    parameters : mapping of str to array_like, optional
        Typical values, or one value a patient; the file's where a name is left out.
    seed : int
        Seed. A patient's draws depend on it and on the patient's number only, so more patients leave the
        first ones as they are.
    random_effects : bool
        Whether patients vary about `parameters` by the file's random effects, normal on the scale of each
        parameter's transform and independent. A value outside the parameter's bounds is drawn again.
    residual : bool
        Whether levels have the file's residual error.
    lloq : float, optional
        Levels below it are NaN with status ``below_lloq``.

    Returns
    -------
    Dataset
        Over (patient, sample): time, level (with residual error), status, lloq, level_true; over
        (patient, parameter): parameters. A level of exactly 0, or before infusion, is missing. It can be
        given to `ckinetics.fitting.fit`.

    Raises
    ------
    InputError
        Shapes that do not fit, an unknown parameter, wrong options, or bounds that random effects hardly ever meet.

    Examples
    --------
    >>> simulate("stein2019", times=[7, 14, 28], n=2)["level"].shape
    (2, 3)
    """
    loaded = load_model(model)
    output_name = loaded.fitted_output or next(iter(loaded.specification.outputs))
    output = loaded.specification.outputs[output_name]
    seed = whole_number("seed", seed, least=0)
    if lloq is not None and not number("lloq", lloq) > 0:
        raise InputError(f"lloq is {lloq}: give a number above 0, or leave it out")
    time = number_array("times", times)
    if time.ndim not in (1, 2):
        raise InputError(f"times has {time.ndim} dimensions: give (sample,) or (patient, sample)")
    typical, patients = _typical(loaded, parameters, time, n)
    time = np.broadcast_to(time, (patients, time.shape[-1])).copy()

    individual = typical.copy()
    noise = np.zeros(time.shape)
    redrawn = 0
    for row in range(patients):
        generator = np.random.default_rng(np.random.SeedSequence([seed, row]))
        for at, (name, parameter) in enumerate(loaded.parameters.items()):
            if random_effects and parameter.sd > 0:
                individual[row, at], again = _draw(generator, name, parameter, typical[row, at])
                redrawn += again
        noise[row] = generator.standard_normal(time.shape[1])

    individual = individual[:, : len(loaded.parameters)]
    values = dict(zip(loaded.parameters, individual.T, strict=True))
    days = conversion_factor("day", loaded.specification.time_unit)
    true = loaded.evaluate(time * days, values, output=output_name)
    sd = output.residual.value if residual and output.residual else 0.0
    level = true * np.exp(sd * noise)
    status = np.where(level > 0, Status.quantified, Status.missing)
    if lloq is not None:
        status = np.where(level < lloq, Status.below_lloq, status)
    level = np.where(status == Status.quantified, level, np.nan)
    return _dataset(loaded, output.unit, time, level, status, lloq, true, individual).assign_attrs(
        result_attrs(
            title=f"simulated profiles of {loaded.name}",
            settings={
                "model": loaded.name,
                "seed": seed,
                "random_effects": "independent, normal on each parameter's scale; drawn again while outside bounds"
                if random_effects
                else "none",
                "residual_sd": sd,
                "lloq": lloq,
            },
            model=loaded.name,
            model_text=loaded.text,
            model_hash=loaded.hash,
            n_redrawn=redrawn,
        )
    )


def _typical(
    model: Model, parameters: Mapping[str, ArrayLike] | None, time: np.ndarray, n: int | None
) -> tuple[np.ndarray, int]:
    """Return typical values (patient, parameter) and the number of patients."""
    n = n if n is None else whole_number("n", n, least=1)
    theta, shape = model.natural_parameters(parameters)
    if len(shape) > 1:
        raise InputError(f"parameters have {len(shape)} dimensions: give one value, or one a patient")
    lengths = {size for size in (*shape, *time.shape[:-1], *([] if n is None else [n])) if size != 1 or n == 1}
    if len(lengths) > 1:
        raise InputError(
            f"n, times and parameters name different numbers of patients ({', '.join(map(str, sorted(lengths)))}): "
            "make them agree"
        )
    patients = lengths.pop() if lengths else 1
    return np.broadcast_to(theta, (patients, theta.shape[-1])).copy(), patients


def _draw(generator: np.random.Generator, name: str, parameter: Parameter, typical: float) -> tuple[float, int]:
    """Draw one patient's value; return it and how often it was drawn again."""
    low, high = parameter.bounds
    for again in range(_MOST_REDRAWS):
        eta = parameter.sd * generator.standard_normal()
        if parameter.transform == "log":
            value = typical * np.exp(eta)
        elif parameter.transform == "logit":
            odds = (typical - low) / (high - typical) * np.exp(eta)
            value = low + (high - low) * odds / (1.0 + odds)
        else:
            value = typical + eta
        if low <= value <= high:
            return float(value), again
    raise InputError(
        f"parameter '{name}' at {typical:g} left its bounds {low:g} to {high:g} in all of {_MOST_REDRAWS} draws: "
        "give a value inside them"
    )


def _dataset(
    model: Model,
    unit: str,
    time: np.ndarray,
    level: np.ndarray,
    status: np.ndarray,
    lloq: float | None,
    true: np.ndarray,
    individual: np.ndarray,
) -> xr.Dataset:
    dims, units = ("patient", "sample"), {"units": unit}
    flag = {
        "long_name": "what is known of the level",
        "flag_values": np.array([int(code) for code in Status], dtype=np.int8),
        "flag_meanings": " ".join(code.name for code in Status),
    }
    limit = np.full(time.shape, np.nan if lloq is None else lloq)
    return xr.Dataset(
        {
            "time": (dims, time, {"long_name": "time since first infusion", "units": "day"}),
            "level": (dims, level, {"long_name": "level; NaN unless status is quantified", **units}),
            "status": (dims, status.astype(np.int8), flag),
            "lloq": (dims, limit, {"long_name": "lower limit of quantification", **units}),
            "level_true": (dims, true, {"long_name": "level without residual error", **units}),
            "parameters": (("patient", "parameter"), individual, {"long_name": "parameters of each patient"}),
        },
        {
            "patient": ("patient", np.array([str(row + 1) for row in range(len(time))], dtype=object)),
            "parameter": ("parameter", np.array(list(model.parameters), dtype=object)),
        },
    )
