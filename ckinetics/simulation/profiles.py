"""`simulate`: its options, and the Dataset that it returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from ..arguments import number, number_array, whole_number
from ..errors import InputError
from ..kernels.ode.solver_codes import OUTSIDE_BOUNDS
from ..modeling import Model, load_model
from ..modeling.solving import METHODS, RTOL, Outcome
from ..provenance import result_attrs
from ..schema import Status
from ..suggestions import suggestion
from ..threads import thread_count
from ..units import conversion_factor
from .assay_limits import Limits
from .inputs import Inputs, names_in_table, patient_names, read_inputs
from .patients import Plan, Simulated, run

if TYPE_CHECKING:
    import pandas as pd

_MOST_PATIENTS = 10**8
# Up to so many samples, no array of a result is a view, so that people can edit it.
_EDITABLE = 100_000
_DIMS = ("patient", "sample")
_TAKEN = ("time", "level", "status", "lloq", "uloq", "lod", "level_true", "parameters", "outcome", "message",
          "n_redrawn", "patient", "sample", "parameter")  # fmt: skip
_OUTCOMES = {**{outcome.name: int(outcome) for outcome in Outcome}, "outside_bounds": OUTSIDE_BOUNDS}


def simulate(
    model: str | Path | Model,
    /,
    *,
    times: ArrayLike,
    n: int | None = None,
    parameters: Mapping[str, ArrayLike] | None = None,
    inputs: Mapping[str, Any] | pd.DataFrame | None = None,
    outputs: str | Sequence[str] | None = None,
    seed: int = 0,
    random_effects: bool = True,
    residual: bool = True,
    lloq: float | None = None,
    uloq: float | None = None,
    lod: float | None = None,
    dna: float | None = None,
    method: str = "auto",
    rtol: float = RTOL,
    threads: int = 1,
    chunks: int | None = None,
) -> xr.Dataset:
    """Simulate profiles of virtual patients from a model.

    Parameters
    ----------
    model : str, Path or Model
        A model's name, a file's path, or what `load_model` returned.
    times : array_like
        Days since infusion: (sample,), the same for all patients, or (patient, sample). NaN is no sample.
    n : int, optional
        Number of patients; default what `times`, `parameters` and `inputs` say, else 1.
    parameters : mapping of str to array_like, optional
        Typical values, or one value a patient; the file's where a name is left out. Labelled arrays over ``patient``
        name the patients.
    inputs : mapping or DataFrame, optional
        What patients are given; the file's where a name is left out. A mapping holds, by name, for a constant one
        number or one a patient; for a dose, rate or covariate pairs of days since infusion and value, such as
        ``{"infusion": [(0, 1e8), (28, 1e8)]}``, the same for all or one sequence of pairs a patient; for a dose also
        one amount, or one a patient, at the file's time. A DataFrame has the columns patient, time, value and input
        (the name), one row an event, and no time for constants; a patient without rows of an input that others have
        is not given it, and has the file's value of a constant.
    outputs : str or sequence of str, optional
        Which outputs to store; default the one with a residual error, else the file's first. The main output, which
        becomes ``level``, is the first with a residual error of those named, else the first; each other one
        becomes a variable of its name, with residual error where the file has one for it.
    seed : int
        Seed, 0 to 2^64 - 1. A patient's draws depend on it and on the patient's number only, not on how many
        patients, threads or chunks there are.
    random_effects : bool
        Whether patients vary about `parameters` by the file's random effects, normal on the scale of each
        parameter's transform and independent. A value outside the parameter's bounds is drawn again.
    residual : bool
        Whether levels have the file's residual error.
    lloq, uloq : float, optional
        Levels below `lloq` are NaN with status ``below_lloq``, those above `uloq` with ``above_uloq``.
    lod : float, optional
        Of the levels below `lloq`, those below `lod` have status ``not_detected``, the others
        ``detected_below_lloq``.
    dna : float, optional
        µg of DNA in a reaction, for levels in copies/µg. Whether a level below `lloq` is detected is then chance,
        1 - exp(-level*dna): the hit model, in which one copy in the reaction is enough. `lod` is then recorded only.
    method : {"auto", "closed_form", "rodas5p", "tsit5"}
        "auto": an output's closed form where the file has one for such inputs, else the equations, by "rodas5p" where
        it solves several patients side by side (no branches, nothing given after the start), by what suits them
        elsewhere. "closed_form": refused where there is none. The others integrate the equations.
    rtol : float
        Tolerance of the integration, 1e-13 to 0.1; closed forms have no use for it.
    threads : int
        Threads over patients; the answer does not depend on it.
    chunks : int, optional
        Patients in a chunk: the result then holds dask arrays of the same numbers, and each chunk is simulated, with
        `threads`, when it is asked for. Needs dask.

    Returns
    -------
    Dataset
        Over (patient, sample): time, level (with residual error), status, lloq, also uloq and lod where given,
        level_true (without residual error, before any limit), other outputs; over (patient, parameter): parameters;
        over patient: outcome (a flag: how the patient's solution ended), message (what to do where it failed),
        n_redrawn (values drawn again). Times and limits that are the same for all patients, status where all is
        quantified, and level_true where it is level, are read-only views where there are more than 100,000 samples. A
        level that is not above 0, or before infusion, is missing unless below `lloq`. A patient who cannot be solved
        is NaN and missing. It can be given to `ckinetics.nca`, `ckinetics.fit` and `ckinetics.cohort`.

    Raises
    ------
    InputError
        Shapes that do not fit, an unknown parameter, input or output, wrong options, or, where all patients have the
        same typical values, one about which fewer than 1 in 1000 draws lie inside the parameter's bounds.

    Notes
    -----
    Random numbers are Philox4x32-10 by counter; normal ones by inversion (Wichura 1988, doi:10.2307/2347330). Levels
    before limits are reproducible to the last digit on one machine; another processor's exp and log may differ in it.

    Examples
    --------
    >>> simulate("stein2019", times=[7, 14, 28], n=2)["level"].shape
    (2, 3)
    """
    loaded = load_model(model)
    seed = whole_number("seed", seed, least=0)
    if seed >= 2**64:
        raise InputError(f"seed is {seed}: give a number below 2^64")
    threads = thread_count(threads)
    rtol = number("rtol", rtol)
    if not 1e-13 <= rtol <= 0.1:
        raise InputError(f"rtol is {rtol!r}: give a tolerance between 1e-13 and 0.1")
    if method not in (*METHODS, "closed_form"):
        raise InputError(f"method is {method!r}: use one of {', '.join((*METHODS, 'closed_form'))}")
    chosen = _outputs(loaded, outputs)
    unit = loaded.specification.outputs[chosen[0]].unit
    limits = Limits.checked(unit=unit, lloq=lloq, uloq=uloq, lod=lod, dna=dna)
    days = conversion_factor("day", loaded.specification.time_unit)
    time, patients, names, theta, given = _patients(loaded, times, n, parameters, inputs, days)
    closed = {name: loaded.uses_closed_form(name, given.given, method) for name in chosen}
    plan = Plan(
        model=loaded,
        seed=seed,
        random_effects=bool(random_effects),
        residual=bool(residual),
        limits=limits,
        method=method,
        rtol=rtol,
        outputs=closed,
        first=0,
        count=patients,
        typical=theta,
        times=np.ascontiguousarray(time * days),
        events=None if all(closed.values()) else given.events(loaded, patients),
    )
    if len(theta) == 1:
        _possible(plan)
    attrs = result_attrs(
        title=f"simulated profiles of {loaded.name}",
        settings=_settings(plan, given, chunks),
        model=loaded.name,
        model_text=loaded.text,
        model_hash=loaded.hash,
    )
    arrays: dict[str, Any]
    if chunks is None:
        found = run(plan, threads)
        arrays = arrays_of(plan, found)
        attrs["n_redrawn"] = int(found.redrawn.sum())
    else:
        from .chunked import lazy_arrays

        arrays = lazy_arrays(plan, whole_number("chunks", chunks, least=1), threads)
    return _dataset(plan, arrays, np.broadcast_to(time, (patients, time.shape[1])), names, attrs)


def _outputs(model: Model, outputs: str | Sequence[str] | None) -> list[str]:
    """Return the outputs to store, the main one first."""
    known = model.specification.outputs
    if outputs is None:
        return [model.fitted_output or next(iter(known))]
    names = [outputs] if isinstance(outputs, str) else list(outputs)
    if not names:
        raise InputError(f"outputs is empty: name one of {', '.join(known)}, or leave it out")
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise InputError(f"model '{model.name}' has no output '{name}'{suggestion(str(name), known)}")
        if names.count(name) > 1:
            raise InputError(f"outputs names '{name}' more than once: name it once")
    main = next((name for name in names if known[name].residual), names[0])
    others = [name for name in names if name != main]
    for name in others:
        if name in _TAKEN:
            raise InputError(f"output '{name}' has the name of a variable of the result: simulate it alone")
    return [main, *others]


def _patients(
    model: Model,
    times: ArrayLike,
    n: int | None,
    parameters: Mapping[str, ArrayLike] | None,
    inputs: Mapping[str, Any] | pd.DataFrame | None,
    days: float,
) -> tuple[np.ndarray, int, list[str], np.ndarray, Inputs]:
    """Return times, the number of patients and their names, typical values and inputs."""
    import pandas as pd

    time = number_array("times", times)
    if time.ndim not in (1, 2):
        raise InputError(f"times has {time.ndim} dimensions: give (sample,) or (patient, sample)")
    if np.isinf(time).any():
        raise InputError("times holds an infinite number: give days since infusion")
    n = n if n is None else whole_number("n", n, least=1)
    if n is not None and n > _MOST_PATIENTS:
        raise InputError(f"n is {n}: give at most {_MOST_PATIENTS:g} patients in one call")
    labelled = [place for place in (parameters, inputs) if isinstance(place, Mapping)]
    names = patient_names(*labelled)
    lengths = {*time.shape[:-1], *([] if n is None else [n]), *([] if names is None else [len(names)])}
    typical, shape = model.natural_parameters(parameters)
    if len(shape) > 1:
        raise InputError(f"parameters have {len(shape)} dimensions: give one value, or one a patient")
    lengths |= set(shape)
    table = inputs if isinstance(inputs, pd.DataFrame) else None
    if table is not None and names is None:
        size = _agreed(lengths, n)
        names = names_in_table(table) if size is None else [str(row + 1) for row in range(size)]
    given = read_inputs(model, inputs, names, days)
    lengths |= {*given.lengths(), *(array.shape[0] for array in given.constants.values() if array.ndim)}
    if table is not None and names is not None:
        lengths.add(len(names))
    patients = _agreed(lengths, n) or 1
    if names is None:
        names = _numbered(patients)
    if given.given:
        typical, shape = model.natural_parameters(parameters, given.given)
    return np.atleast_2d(time), patients, names, np.ascontiguousarray(typical.reshape(-1, typical.shape[-1])), given


def _numbered(count: int) -> list[str]:
    """Return "1", "2", …: put together from thousands and the rest, in half the time of str for each."""
    rest = [f"{number:03d}" for number in range(1000)]
    return [
        *map(str, range(1, min(count, 999) + 1)),
        *(head + tail for head in map(str, range(1, count // 1000 + 1)) for tail in rest),
    ][:count]


def _agreed(lengths: set[int], n: int | None) -> int | None:
    """Return the number of patients that all lengths name, of which 1 fits any unless it is `n`; None where none is."""
    several = {length for length in lengths if length != 1 or n == 1}
    if len(several) > 1:
        raise InputError(
            "n, times, parameters and inputs name different numbers of patients "
            f"({', '.join(map(str, sorted(several)))}): make them agree"
        )
    return several.pop() if several else (1 if lengths else None)


def _possible(plan: Plan) -> None:
    """Refuse typical values of all patients about which hardly any draw lies inside a parameter's bounds."""
    one = run(plan.part(0, 1), 1)
    if one.codes[0] != OUTSIDE_BOUNDS:
        return
    for at, (name, parameter) in enumerate(plan.model.parameters.items()):
        if np.isnan(one.theta[0, at]) and not np.isnan(plan.typical[0, at]):
            low, high = parameter.bounds
            raise InputError(
                f"parameter '{name}' at {plan.typical[0, at]:g} left its bounds {low:g} to {high:g} in more than 999 "
                "of 1000 draws: give a value inside them"
            )


def _settings(plan: Plan, given: Inputs, chunks: int | None) -> dict[str, Any]:
    limits = plan.limits
    values = {name: getattr(limits, name) for name in ("lloq", "uloq", "lod", "dna")}
    error = plan.residual_of(next(iter(plan.outputs)))
    return {
        "model": plan.model.name,
        "seed": plan.seed,
        "random_effects": "independent, normal on each parameter's scale; drawn again while outside bounds"
        if plan.random_effects
        else "none",
        "residual": "none"
        if error is None
        else {key: value for key, value in vars(error).items() if value is not None},
        **{name: None if np.isnan(value) else value for name, value in values.items()},
        "outputs": {name: "closed form" if closed else "equations" for name, closed in plan.outputs.items()},
        "method": plan.method,
        "rtol": plan.rtol,
        "inputs": sorted(given.given),
    }


def arrays_of(plan: Plan, found: Simulated) -> dict[str, np.ndarray]:
    """Return what a range of patients adds to the result, by variable."""
    main, *others = plan.outputs
    true = found.curves[main]
    if found.levels[main] is true:
        true = true.view()
        true.flags.writeable = False
    return {
        "level": found.levels[main],
        "status": found.status,
        "level_true": true,
        **{name: found.levels[name] for name in others},
        "parameters": found.theta[:, : len(plan.model.parameters)],
        "outcome": found.codes,
        "message": _messages(plan, found),
        "n_redrawn": found.redrawn,
    }


def _messages(plan: Plan, found: Simulated) -> np.ndarray:
    failed = np.flatnonzero(found.codes)
    if not len(failed):
        return np.broadcast_to(np.array("", dtype=object), len(found.codes))
    messages = np.full(len(found.codes), "", dtype=object)
    for row in failed.tolist():
        code = int(found.codes[row])
        messages[row] = Outcome(code).sentence if code != OUTSIDE_BOUNDS else _outside(plan, found, row)
    return messages


def _outside(plan: Plan, found: Simulated, row: int) -> str:
    typical = plan.typical[row if len(plan.typical) > 1 else 0]
    names = [
        name
        for at, name in enumerate(plan.model.parameters)
        if np.isnan(found.theta[row, at]) and not np.isnan(typical[at])
    ]
    return f"more than 999 of 1000 draws of {', '.join(names)} left its bounds: give a typical value inside them"


def _dataset(
    plan: Plan, arrays: dict[str, Any], time: np.ndarray, names: list[str], attrs: dict[str, Any]
) -> xr.Dataset:
    known = plan.model.specification.outputs
    main, *others = plan.outputs
    units = {"units": known[main].unit}
    flags = {
        "status": ("what is known of the level", {code.name: int(code) for code in Status}),
        "outcome": ("how the solution of the patient ended", _OUTCOMES),
    }
    labels: dict[str, dict[str, Any]] = {
        "level": {"long_name": "level; NaN unless status is quantified", "output": main, **units},
        "level_true": {"long_name": "level without residual error", **units},
        "parameters": {"long_name": "parameters of each patient"},
        "message": {"long_name": "why the patient could not be solved, and what to do"},
        "n_redrawn": {"long_name": "values drawn again because they were outside bounds", "units": "1"},
        **{name: {"long_name": known[name].label or name, "units": known[name].unit} for name in others},
        **{
            name: {
                "long_name": label,
                "flag_values": np.array(list(codes.values()), dtype=np.int8),
                "flag_meanings": " ".join(codes),
            }
            for name, (label, codes) in flags.items()
        },
    }
    dims = {"parameters": ("patient", "parameter"), "outcome": ("patient",), "message": ("patient",)}
    dims["n_redrawn"] = ("patient",)
    variables: dict[str, Any] = {
        "time": (_DIMS, time, {"long_name": "time since first infusion", "units": "day"}),
        "level": (_DIMS, arrays["level"], labels["level"]),
        "status": (_DIMS, arrays["status"], labels["status"]),
    }
    for name, label in (
        ("lloq", "lower limit of quantification"),
        ("uloq", "upper limit of quantification"),
        ("lod", "limit of detection"),
    ):
        limit = getattr(plan.limits, name)
        if name == "lloq" or not np.isnan(limit):
            variables[name] = (_DIMS, np.broadcast_to(limit, time.shape), {"long_name": label, **units})
    variables |= {
        name: (dims.get(name, _DIMS), array, labels[name]) for name, array in arrays.items() if name not in variables
    }
    coords = {
        "patient": ("patient", np.array(names, dtype=object)),
        "parameter": ("parameter", np.array(list(plan.model.parameters), dtype=object)),
    }
    if time.size <= _EDITABLE:
        variables = {name: (of, _own(array), about) for name, (of, array, about) in variables.items()}
    return xr.Dataset(variables, coords, attrs)


def _own(array: Any) -> Any:
    return array.copy() if isinstance(array, np.ndarray) and not array.flags.writeable else array
