"""The tree that a fit returns."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ..kernels.fit.objective import MEAN, WEIGHT
from ..schema import Status, YesNo
from .bootstrap import boot_variables, bootstrap
from .codes import Convergence, flag
from .derived import derived_quantities
from .fitted import Fitted
from .messages import messages
from .problem import time_factor
from .profiles import ProfileLikelihood, profile_likelihood
from .samples import PADDING, USED, Samples
from .starts import TRANSFORMS
from .uncertainty import INTERVALS, quantile, scaled_information

N_POINTS = 300


def result_tree(fitted: Fitted, attrs: dict[str, Any]) -> xr.DataTree:
    """Return the tree of a fit; see `ckinetics.fitting.fit` for what is in it."""
    profiles = profile_likelihood(fitted) if fitted.interval == "profile" else None
    replicates = bootstrap(fitted) if fitted.bootstrap else None
    groups = {
        "/": _root(fitted),
        "/estimates": _estimates(fitted, profiles, replicates),
        "/identifiability": _identifiability(fitted),
        "/predictions": _predictions(fitted),
        "/curves": _curves(fitted),
        "/derived": derived_quantities(fitted, replicates),
    }
    if profiles is not None:
        groups["/profiles"] = _profiles(fitted, profiles)
    names = np.array(fitted.series[0].patients, dtype=object)
    groups = {
        path: group.assign_coords(patient=("patient", names, {"long_name": "patient"}))
        for path, group in groups.items()
    }
    groups["/"].attrs.update(attrs)
    return xr.DataTree.from_dict(groups, name="fit")


def _root(fitted: Fitted) -> xr.Dataset:
    def count(values: np.ndarray, meaning: str) -> tuple[Any, ...]:
        return "patient", values.astype(np.float64), {"long_name": meaning, "units": "1"}

    scales = dict.fromkeys("ln(level)" if error.on_log else "the level" for error in fitted.problem.errors)
    scale = " or ".join(scales) + (", as each output's residual error is" if len(scales) > 1 else "")
    variables = {
        "minus2ll": ("patient", _minus2ll(fitted), {"long_name": f"−2 log-likelihood, density of {scale}"}),
        "n_samples": count(fitted.counts, "samples used"),
        "n_quantified": count(fitted.count("quantified"), "quantified samples used"),
        "n_censored": count(fitted.count("censored"), "samples used below LLOQ or above ULOQ"),
        "n_unused": count(fitted.count("unused"), "samples not used; the reasons are in message"),
        "starts_agreeing": count(fitted.found.agreeing, "starts that ended within 0.1 of minus2ll"),
        "convergence": ("patient", fitted.codes.astype(np.int8), flag(Convergence, "how the fit ended")),
        "message": ("patient", np.array(messages(fitted), dtype=object), {"long_name": "the fit in words"}),
    }
    if fitted.problem.prior:
        meaning = {"long_name": "minus2ll plus −2 ln(prior density), apart from a constant: what was minimised"}
        variables["minus2posterior"] = ("patient", 2.0 * fitted.found.value, meaning)
    return xr.Dataset(variables)


def _minus2ll(fitted: Fitted) -> np.ndarray:
    """Return −2 log-likelihood without the prior."""
    total = 2.0 * fitted.found.value
    if fitted.problem.prior:
        scale = fitted.problem.compiled_scale()
        off = np.where(fitted.problem.scale.free, fitted.found.u - scale[MEAN], 0.0)
        total = total - (scale[WEIGHT] * off**2).sum(axis=1)
    return np.asarray(total)


def _estimates(fitted: Fitted, profiles: ProfileLikelihood | None, replicates: np.ndarray | None) -> xr.Dataset:
    scale, natural, u, se_log = fitted.problem.scale, fitted.natural, fitted.found.u, fitted.se_log
    kind = f"{fitted.confidence:g} confidence: {INTERVALS[fitted.interval]}"
    if profiles is None:
        reach = quantile(fitted.interval, fitted.confidence, fitted.n_scatter, fitted.n_curve_free)[:, None] * se_log
        lower, upper = scale.to_natural(u - reach), scale.to_natural(u + reach)
    else:
        lower, upper = scale.to_natural(profiles.lower), scale.to_natural(profiles.upper)
    estimable = np.where(np.isnan(natural), YesNo.unknown, np.where(fitted.determined, YesNo.yes, YesNo.no))
    estimable[:, ~scale.free] = YesNo.unknown
    dims = ("patient", "parameter")
    units = [fitted.unit_of_data(parameter.unit) for parameter in fitted.problem.model.parameters.values()]
    for error, samples in zip(fitted.problem.errors, fitted.series, strict=True):
        if error.a is not None:
            units.append("1" if error.on_log else samples.unit)
        if error.b is not None:
            units.append("1")
    variables: dict[str, Any] = {
        "estimate": (dims, natural, {"long_name": "estimate"}),
        "se": (
            dims,
            se_log * scale.slope(natural),
            {"long_name": "standard error, observed information, delta method"},
        ),
        "se_log": (dims, se_log, {"long_name": "standard error on the estimation scale (coordinate transform)"}),
        "lower": (dims, lower, {"long_name": f"lower limit, {kind}"}),
        "upper": (dims, upper, {"long_name": f"upper limit, {kind}"}),
        "estimable": (
            dims,
            estimable.astype(np.int8),
            flag(YesNo, "determined by the data (at a kink too); unknown where fixed or not fitted"),
        ),
    }
    if replicates is not None:
        variables |= boot_variables(dims, fitted.problem.natural(replicates), replicates, fitted)
    return xr.Dataset(
        variables,
        {
            "parameter": ("parameter", np.array(scale.names, dtype=object)),
            "unit": ("parameter", np.array(units, dtype=object)),
            "transform": ("parameter", np.array(TRANSFORMS, dtype=object)[scale.transform]),
            "fixed": (
                "parameter",
                np.where(scale.free, YesNo.no, YesNo.yes).astype(np.int8),
                flag(YesNo, "held at a value"),
            ),
        },
        {"interval": kind},
    )


def _identifiability(fitted: Fitted) -> xr.Dataset:
    """Return correlations of estimates, and eigenvalues and vectors of the information with unit diagonal."""
    scale = fitted.problem.scale
    size = len(scale.names)
    correlation = fitted.covariance / (fitted.se_log[:, :, None] * fitted.se_log[:, None, :])
    values, vectors = np.full((len(fitted.codes), size), np.nan), np.full((len(fitted.codes), size, size), np.nan)
    free = scale.free & (fitted.codes <= Convergence.at_bound)[:, None]
    for rows, index, _, found, directions in scaled_information(fitted.found.hessian, free):
        values[rows, : len(index)] = found
        vectors[np.ix_(rows, np.arange(len(index)), index)] = np.swapaxes(directions, 1, 2)
    names = np.array(scale.names, dtype=object)
    return xr.Dataset(
        {
            "correlation": (
                ("patient", "parameter", "parameter_2"),
                correlation,
                {"long_name": "correlation of estimates, estimation scale"},
            ),
            "eigenvalue": (
                ("patient", "direction"),
                values,
                {"long_name": "eigenvalue of the observed information with unit diagonal, ascending"},
            ),
            "eigenvector": (
                ("patient", "direction", "parameter"),
                vectors,
                {"long_name": "direction in the parameters, each in units of 1/sqrt(its own information)"},
            ),
        },
        {"parameter": ("parameter", names), "parameter_2": ("parameter_2", names)},
    )


def _by_output(fitted: Fitted, tables: list[np.ndarray], dim: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Return one table as it is, or several along a dim ``output``, padded with NaN (or 0 for whole numbers)."""
    if len(tables) == 1:
        return ("patient", dim), tables[0]
    widest = max(table.shape[1] for table in tables)
    empty = np.nan if tables[0].dtype.kind == "f" else -1
    padded = [
        np.pad(table, ((0, 0), (0, widest - table.shape[1])), constant_values=empty).astype(table.dtype)
        for table in tables
    ]
    return ("patient", "output", dim), np.stack(padded, axis=1)


def _output_coords(fitted: Fitted) -> dict[str, Any]:
    if len(fitted.series) == 1:
        return {}
    units = [s.unit for s in fitted.series]
    return {
        "output": ("output", np.array(fitted.problem.outputs, dtype=object)),
        "unit": ("output", np.array(units, dtype=object)),
    }


def _predictions(fitted: Fitted) -> xr.Dataset:
    columns: dict[str, list[np.ndarray]] = {}
    for at, samples in enumerate(fitted.series):
        for name, table in _prediction(fitted, at, samples).items():
            columns.setdefault(name, []).append(table)
    unit = {"units": fitted.series[0].unit} if len(fitted.series) == 1 else {}
    kinds = dict.fromkeys(
        "ln(level) − ln(predicted)" if error.on_log else "level − predicted" for error in fitted.problem.errors
    )
    residual = " or ".join(kinds) + (", as each output's residual error is" if len(kinds) > 1 else "")
    meanings: dict[str, dict[str, Any]] = {
        "time": _time_attrs(fitted),
        "level": {"long_name": "level; NaN unless quantified", **unit},
        "status": flag(Status, "what is known of the level"),
        "lod": {"long_name": "limit of detection", **unit},
        "lloq": {"long_name": "lower limit of quantification", **unit},
        "uloq": {"long_name": "upper limit of quantification", **unit},
        "predicted": {"long_name": "predicted level", **unit},
        "residual": {"long_name": f"{residual}; NaN where censored or not used"},
        "sd": {"long_name": "residual standard deviation at the predicted level, on the scale of residual"},
        "used": flag(YesNo, "used by the fit"),
    }
    return xr.Dataset(
        {name: (*_by_output(fitted, tables, "sample"), meanings[name]) for name, tables in columns.items()},
        _output_coords(fitted),
    )


def _time_attrs(fitted: Fitted) -> dict[str, str]:
    """Say what the horizontal axis is: time, but of a curve without states what its file calls t."""
    spec = fitted.problem.model.specification
    if spec.states:
        return {"long_name": "time since first infusion", "units": "day"}
    return {"long_name": "t of the model file", "units": spec.time_unit}


def _prediction(fitted: Fitted, at: int, samples: Samples) -> dict[str, np.ndarray]:
    problem, error = fitted.problem, fitted.problem.errors[at]
    times = np.ascontiguousarray(samples.time * time_factor(problem.model))
    predicted = problem.curve(times, fitted.theta, fitted.constants, fitted.events, threads=fitted.threads)[at]
    quantified = samples.used & (samples.status == Status.quantified)
    sd = error.sd(predicted, problem.error_values(fitted.natural))
    with np.errstate(all="ignore"):
        off = np.log(samples.level) - np.log(predicted) if error.on_log else samples.level - predicted
    used = np.where(samples.fate == PADDING, YesNo.unknown, np.where(samples.fate == USED, YesNo.yes, YesNo.no))
    return {
        "time": samples.time,
        "level": samples.level,
        "status": samples.status.astype(np.int8),
        "lod": samples.lod,
        "lloq": samples.lloq,
        "uloq": samples.uloq,
        "predicted": predicted,
        "residual": np.where(quantified, off, np.nan),
        "sd": np.where(np.isnan(predicted), np.nan, sd),
        "used": used.astype(np.int8),
    }


def _curves(fitted: Fitted) -> xr.Dataset:
    """Return each fitted curve from 0 to the last sample used, dense early, with every switch on the grid."""
    problem = fitted.problem
    factor = time_factor(problem.model)
    times = np.where(np.isfinite(fitted.data.times), fitted.data.times, np.nan)
    with np.errstate(all="ignore"):
        last = np.nan_to_num(np.fmax.reduce(times, axis=1, initial=0.0))
    begin = np.zeros(len(last))
    share = np.linspace(0.0, 1.0, N_POINTS) ** 2
    if not problem.model.specification.states:  # a curve of something else than time
        begin, share = np.fmin.reduce(times, axis=1, initial=np.inf), np.linspace(0.0, 1.0, N_POINTS)
        begin = np.where(np.isfinite(begin), begin, 0.0)
    grid = begin[:, None] + (last - begin)[:, None] * share
    ends = problem.phase_ends(fitted.theta, fitted.constants)
    for row, end in zip(*np.nonzero((ends > 0) & (ends < last[:, None])), strict=True):
        near = 1 + int(np.argmin(np.abs(grid[row, 1:-1] - ends[row, end])))
        grid[row, near] = ends[row, end]
    predicted = problem.curve(grid, fitted.theta, fitted.constants, fitted.events, threads=fitted.threads)
    grid[np.isnan(fitted.theta).any(axis=1)] = np.nan
    unit = {"units": fitted.series[0].unit} if len(fitted.series) == 1 else {}
    return xr.Dataset(
        {
            "time": (
                ("patient", "point"),
                grid / factor,
                _time_attrs(fitted),
            ),
            "predicted": (*_by_output(fitted, list(predicted), "point"), {"long_name": "predicted level", **unit}),
        },
        _output_coords(fitted),
    )


def _profiles(fitted: Fitted, profiles: ProfileLikelihood) -> xr.Dataset:
    dims = ("patient", "parameter", "step")
    return xr.Dataset(
        {
            "value": (
                dims,
                fitted.problem.scale.to_natural(np.moveaxis(profiles.u, 1, 2)).swapaxes(1, 2),
                {"long_name": "value that the parameter was held at, in ascending order"},
            ),
            "rise": (dims, 2.0 * profiles.rise, {"long_name": "−2 log-likelihood above its minimum"}),
        },
        {"parameter": ("parameter", np.array(fitted.problem.scale.names, dtype=object))},
    )
