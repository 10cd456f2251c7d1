"""Profiles: the one layout that all analyses take, from tables of samples and from arrays."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import InputError
from ..provenance import result_attrs
from ..schema import GROUPS, MATRICES, Excluded, Status, series_dim
from ..units import conversion_factor, normalise_unit
from .vocabulary import check_limits, controlled_matrix, wrong_limits


def kinetics_from_arrays(
    time: Any,
    level: Any,
    /,
    *,
    unit: str,
    lloq: Any = None,
    lod: Any = None,
    uloq: Any = None,
    patient: Sequence[Any] | None = None,
    matrix: str = "blood",
    time_unit: str = "day",
) -> xr.Dataset:
    """Build profiles from arrays of (patient, sample), or of one patient's (sample).

    Parameters
    ----------
    time : array_like
        Times since first infusion, increasing; shape (sample,) is shared by all patients. NaN pads the end.
    level : array_like
        Levels, shape (patient, sample) or (sample,). NaN is missing; a number below `lloq` is BLQ (status
        ``below_lloq``), one above `uloq` is above ULOQ.
    unit : str
        Unit of the levels.
    lloq, lod, uloq : float or array_like, optional
        Limits: one number, or an array that broadcasts to the shape of `level`.
    patient : sequence, optional
        Names; default "1", "2", ….
    matrix : str
        The matrix of all profiles.
    time_unit : str
        Unit of `time`.

    Returns
    -------
    Dataset
        As `read_kinetics`; the order of patients is kept.

    Raises
    ------
    InputError
        Shapes that do not fit, negative or infinite levels, times that do not increase (named by patient
        and sample).

    Examples
    --------
    >>> profiles = kinetics_from_arrays([0, 7, 28], [[0, 1e4, 90]], lloq=50, unit="copies/ug")
    >>> profiles["level"].values.tolist()
    [[[nan, 10000.0, 90.0]]]
    """
    levels = np.atleast_2d(np.asarray(level, dtype=np.float64))
    if levels.ndim != 2:
        raise InputError(f"level has {levels.ndim} dimensions: give (patient, sample)")
    shape = levels.shape
    # In the order of the levels: numpy would keep that of a grid that all patients share, sample by sample.
    times = np.multiply(_broadcast(time, shape, "time"), conversion_factor(time_unit, "day"), order="C")
    bounds = {
        name: _broadcast(np.nan if value is None else value, shape, name)
        for name, value in (("lod", lod), ("lloq", lloq), ("uloq", uloq))
    }
    names = [str(name) for name in patient] if patient is not None else [str(n + 1) for n in range(shape[0])]
    if len(names) != shape[0]:
        raise InputError(f"patient has {len(names)} names but level has {shape[0]} patients")
    if np.isinf(levels).any() or (levels < 0).any():
        row, column = np.argwhere(np.isinf(levels) | (levels < 0))[0]
        raise InputError(
            f"patient '{names[row]}', sample {column + 1}: level {levels[row, column]:g} is negative or infinite"
        )
    _check_increasing(times, names)
    present = np.isfinite(times)
    for at in np.argwhere(present & wrong_limits(**bounds))[:1]:
        try:
            check_limits({name: float(bound[*at]) for name, bound in bounds.items()})
        except InputError as err:
            raise InputError(f"patient '{names[at[0]]}', sample {at[1] + 1}: {err.message}") from None
    status = np.where(np.isnan(levels), Status.missing, Status.quantified)
    below = (levels < bounds["lloq"]) | ((levels == 0) & np.isnan(bounds["lloq"]))
    status = np.where(below, Status.below_lloq, status)
    status = np.where(levels > bounds["uloq"], Status.above_uloq, status)
    status = np.where(present, status, Status.missing).astype(np.int8)
    values = {
        "time": times,
        "level": np.where(status == Status.quantified, levels, np.nan),
        "status": status,
        "excluded": np.where(present, Excluded.included, Excluded.missing).astype(np.int8),
        **{name: np.where(present, bound, np.nan) for name, bound in bounds.items()},
    }
    return _dataset(
        {name: array[:, np.newaxis, :] for name, array in values.items()},
        group="kinetics",
        patients=names,
        series=[controlled_matrix(matrix)],
        units=[normalise_unit(unit)],
    )


def _broadcast(value: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    array = np.asarray(value, dtype=np.float64)
    try:
        return np.array(np.broadcast_to(array, shape))
    except ValueError:
        raise InputError(f"{name} has shape {array.shape}, which does not fit level's {shape}") from None


def _check_increasing(times: np.ndarray, names: Sequence[str]) -> None:
    # Only rows that are at fault are looked at one by one; a padded end makes a comparison with NaN, which is none.
    rises = times[:, 1:] > times[:, :-1]
    padded = np.isnan(times[:, 1:])
    suspect = ~(rises | padded).all(axis=1) | np.isinf(times).any(axis=1) | np.isnan(times[:, :1]).any(axis=1)
    for at_row in np.flatnonzero(suspect).tolist():
        row, name = times[at_row], names[at_row]
        finite = np.isfinite(row)
        if np.isinf(row).any():
            raise InputError(f"patient '{name}': a time is infinite")
        if (np.diff(finite.astype(int)) > 0).any():
            raise InputError(f"patient '{name}': a time is missing between others; only the end may be padded")
        steps = np.diff(row[finite])
        if (steps <= 0).any():
            at = int(np.argmax(steps <= 0)) + 1
            word = "repeats" if steps[at - 1] == 0 else "is before"
            raise InputError(
                f"patient '{name}', sample {at + 1}: time {row[at]:g} day {word} the one before it: times must increase"
            )


def profiles_from_table(frame: pd.DataFrame, *, unit: str, group: str = "kinetics") -> xr.Dataset:
    """Lay a table of samples out as profiles.

    Parameters
    ----------
    frame : DataFrame
        Columns ``patient``, the series (``matrix``, ``count`` or ``cytokine``) and any variable of the
        schema's group; levels, statuses and limits are taken as they are. An optional column ``unit``
        holds each row's unit where series differ.
    unit : str
        Unit of the levels.
    group : str
        Group of the schema.

    Returns
    -------
    Dataset
        All variables of the group on (patient, series, sample), sorted by time (planned time where the actual
        one is unknown), padded at the end.
    """
    schema, series = GROUPS[group], series_dim(group)
    patients = natural_order(frame["patient"].astype(object).unique().tolist()) if len(frame) else []
    labels = sorted(frame[series].astype(object).unique().tolist()) if len(frame) else []
    if series == "matrix":
        labels.sort(key=MATRICES.index)
    table = frame.reset_index(drop=True)
    for name in ("time", "nominal_time"):
        if name not in table:
            table[name] = np.nan
    order = table["time"].fillna(table["nominal_time"])
    table = table.assign(_order=order).sort_values(["patient", series, "_order"], kind="stable")
    slot = table.groupby(["patient", series], sort=False).cumcount().to_numpy() if len(table) else np.zeros(0, int)
    width = int(slot.max()) + 1 if len(slot) else 0
    at = (
        pd.Index(patients).get_indexer(pd.Index(table["patient"])) if len(table) else np.zeros(0, int),
        pd.Index(labels).get_indexer(pd.Index(table[series])) if len(table) else np.zeros(0, int),
        slot,
    )
    values = {}
    for var in schema.variables:
        array = np.full((len(patients), len(labels), width), var.missing, dtype=var.dtype)
        if var.name in table:
            array[at] = table[var.name].to_numpy(dtype=var.dtype)
        elif var.name == "excluded":
            array[at] = Excluded.included
        values[var.name] = array
    default = normalise_unit(unit) if unit else ""
    units = [default] * len(labels)
    if "unit" in table and len(table):
        first = table.drop_duplicates(series).set_index(series)["unit"]
        units = [str(first[label]) for label in labels]
    return _dataset(values, group=group, patients=patients, series=labels, units=units)


def natural_order(names: Sequence[str]) -> list[str]:
    """Return names sorted with numbers as numbers: P2 before P10.

    Examples
    --------
    >>> natural_order(["P10", "P2"])
    ['P2', 'P10']
    """

    def key(name: str) -> list[tuple[int, int, str]]:
        parts = re.findall(r"\d+|\D+", str(name))
        return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]

    return sorted(names, key=lambda name: (key(name), str(name)))


def _dataset(
    values: Mapping[str, np.ndarray],
    *,
    group: str,
    patients: Sequence[str],
    series: Sequence[str],
    units: Sequence[str],
) -> xr.Dataset:
    schema, dim = GROUPS[group], series_dim(group)
    shape = next(iter(values.values())).shape
    one_unit = units[0] if len(set(units)) == 1 else ""
    variables = {}
    for var in schema.variables:
        array = values.get(var.name)
        if array is None:
            array = np.full(shape, var.missing, dtype=var.dtype)
        variables[var.name] = (schema.dims, array, var.attrs(one_unit))
    coords: dict[str, Any] = {
        "patient": ("patient", np.array(patients, dtype=object), {"long_name": "patient"}),
        dim: (dim, np.array(series, dtype=object), {"long_name": dim}),
        "unit": (dim, np.array(units, dtype=object), {"long_name": "unit of the levels"}),
    }
    return xr.Dataset(variables, coords, result_attrs(title=schema.meaning, group=group))


def profiles_of(data: xr.DataTree | xr.Dataset, group: str = "kinetics") -> xr.Dataset:
    """Return the profiles Dataset of a cohort, of a result of `quantify`, or of a Dataset of profiles.

    Parameters
    ----------
    data : DataTree or Dataset
        A cohort (its `group` is taken), a tree whose root holds ``level``, or a Dataset of profiles.
    group : str
        Which group of a cohort.

    Raises
    ------
    InputError
        There are no profiles in `data`; the message says what there is.
    """
    if isinstance(data, xr.DataTree):
        if group in data.children:
            dataset = data[group].to_dataset()
        elif "level" in data.data_vars:
            dataset = data.to_dataset()
        else:
            there = ", ".join(data.children) or "no group"
            raise InputError(f"the cohort has no group '{group}' of profiles: it has {there}")
    elif isinstance(data, xr.Dataset):
        dataset = data
    else:
        raise InputError(
            f"expected a cohort or a Dataset of profiles, got {type(data).__name__}: "
            "build one with read_kinetics, kinetics_from_arrays or quantify"
        )
    missing = [name for name in ("time", "level", "status") if name not in dataset.data_vars]
    if missing:
        raise InputError(f"the profiles have no variable '{missing[0]}': build them with read_kinetics")
    return dataset
