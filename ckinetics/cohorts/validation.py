"""Validation: every fault of a cohort, collected before anything is raised."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from ..errors import Fault, InputError, ValidationError
from ..schema import (
    GROUPS,
    MATRICES,
    PROFILE_GROUPS,
    SCHEMA_VERSION,
    Excluded,
    Group,
    Status,
    Var,
    kind_of_dtype,
    series_dim,
)
from ..units import UNITS

_SHOWN = 5


def validate(cohort: xr.DataTree, /) -> xr.DataTree:
    """Check a cohort against the schema and return it unchanged.

    Checked are: groups, dims and dtypes; missing codes; attributes (numbers and strings); units; the
    controlled words of ``matrix``; that patients are unique and entries name known ones; and for profiles
    that a level is a number exactly where it was quantified, that limits are positive and in order, that
    times increase and padding stands at the end, that an exclusion has a reason, and that a sample's wells
    exist.

    Parameters
    ----------
    cohort : DataTree
        The cohort.

    Returns
    -------
    DataTree
        The same object.

    Raises
    ------
    InputError
        It is no cohort.
    ValidationError
        With all faults in ``.faults``.
    """
    if not isinstance(cohort, xr.DataTree):
        raise InputError(f"expected a cohort, got a {type(cohort).__name__}: build one with cohort")
    faults = list(find_faults(cohort))
    if faults:
        raise ValidationError(faults)
    return cohort


def find_faults(cohort: xr.DataTree) -> Iterator[Fault]:
    """Yield every fault of a cohort."""
    root = cohort.to_dataset()
    version = root.attrs.get("schema_version")
    if version is None or int(version) > SCHEMA_VERSION:
        yield Fault("/", "", "", f"schema_version is {version}, this ckinetics knows up to {SCHEMA_VERSION}")
    if "patient" not in root.coords:
        yield Fault("/", "patient", "", "the index of patients is missing")
        return
    patients = [str(name) for name in root["patient"].values.tolist()]
    doubles = (
        sorted({name for name in patients if patients.count(name) > 1}) if len(set(patients)) < len(patients) else []
    )
    if doubles:
        yield Fault("/", "patient", ", ".join(doubles[:_SHOWN]), "the patient stands in the index more than once")
    if "" in patients:
        yield Fault("/", "patient", f"position {patients.index('') + 1}", "a patient has no name")
    yield from _group_faults(GROUPS["/"], root, patients)
    for name, node in cohort.children.items():
        dataset = node.to_dataset()
        if name in GROUPS:
            yield from _group_faults(GROUPS[name], dataset, patients)
        else:
            yield from _attr_faults(name, dataset)
            yield from _dtype_faults(name, dataset)
        if node.children:
            yield Fault(name, "", "", "a group of a cohort has no groups of its own")
    yield from _well_faults(cohort)


def _group_faults(group: Group, dataset: xr.Dataset, patients: list[str]) -> Iterator[Fault]:
    yield from _attr_faults(group.name, dataset)
    yield from _dtype_faults(group.name, dataset)
    for var in group.variables:
        if var.name not in dataset:
            if var.required:
                yield Fault(group.name, var.name, "", "the variable is missing")
            continue
        yield from _variable_faults(group, var, dataset[var.name])
    if not group.open:
        for name in dataset.data_vars:
            if name not in group.by_name and tuple(dataset[name].dims) == group.dims:
                yield Fault(group.name, str(name), "", "the schema does not know this variable")
    if group.name in PROFILE_GROUPS and not any(
        name not in dataset or dataset[name].dims != group.dims for name in ("time", "level", "status")
    ):
        yield from _profile_faults(group, dataset)
    if "patient_id" in dataset and group.dims != ("well",):
        known = set(patients)
        strangers = [(at, name) for at, name in enumerate(dataset["patient_id"].values.tolist()) if name not in known]
        for at, name in strangers[:_SHOWN]:
            yield Fault(group.name, "patient_id", f"entry {at + 1}", f"patient '{name}' is not in the cohort")


def _attr_faults(group: str, dataset: xr.Dataset) -> Iterator[Fault]:
    holders = [("", dataset.attrs)] + [(str(n), v.attrs) for n, v in dataset.variables.items()]
    for name, attrs in holders:
        for key, value in attrs.items():
            numeric = isinstance(value, np.ndarray) and value.dtype.kind in "if" and value.size > 1
            if isinstance(value, bool) or not (numeric or isinstance(value, (int, float, str, np.number))):
                yield Fault(
                    group,
                    name,
                    f"attribute '{key}'",
                    f"is a {type(value).__name__}: attributes are numbers or strings",
                )


def _dtype_faults(group: str, dataset: xr.Dataset) -> Iterator[Fault]:
    for name, variable in dataset.variables.items():
        kind = kind_of_dtype(variable.dtype)
        if kind is None:
            yield Fault(
                group,
                str(name),
                "",
                f"dtype {variable.dtype} is not canonical (float64, int8 flag, object of str, datetime64[ns])",
            )
        elif kind == "str" and any(not isinstance(item, str) for item in variable.values.ravel().tolist()):
            yield Fault(group, str(name), "", 'holds something that is not a string (missing is "")')


def _variable_faults(group: Group, var: Var, array: xr.DataArray) -> Iterator[Fault]:
    if tuple(array.dims) != var.dims:
        yield Fault(group.name, var.name, "", f"has dims {tuple(array.dims)}, the schema says {var.dims}")
    if array.dtype != var.dtype:
        yield Fault(group.name, var.name, "", f"has dtype {array.dtype}, the schema says {var.dtype}")
    elif var.codes is not None:
        known = [int(code) for code in var.codes]
        odd = np.unique(array.values[~np.isin(array.values, known)])
        if odd.size:
            yield Fault(group.name, var.name, "", f"holds the code {odd[0]}, which has no name")
    elif var.kind == "float" and np.isinf(array.values).any():
        yield Fault(group.name, var.name, "", "holds an infinite number")


def _profile_faults(group: Group, dataset: xr.Dataset) -> Iterator[Fault]:
    series = series_dim(group.name)
    patients = [str(name) for name in dataset["patient"].values.tolist()]
    labels = [str(name) for name in dataset[series].values.tolist()]
    if series == "matrix":
        for label in labels:
            if label not in MATRICES:
                yield Fault(group.name, "matrix", label, f"is not one of {', '.join(MATRICES)}")
    if len(set(labels)) < len(labels):
        yield Fault(group.name, series, "", f"the same {series} stands in the index more than once")
    units = [str(u) for u in dataset["unit"].values.tolist()] if "unit" in dataset.coords else []
    for label, unit in zip(labels, units, strict=False):
        if unit not in UNITS:
            yield Fault(group.name, "unit", label, f"unknown unit '{unit}'")
    if labels and not units:
        yield Fault(group.name, "unit", "", f"the coordinate 'unit' along {series} is missing")

    def fields(name: str, default: float | int | str) -> np.ndarray:
        if name in dataset:
            return dataset[name].values
        return np.full(dataset["time"].shape, default)

    def where(at: np.ndarray) -> str:
        patient, label, slot = (int(i) for i in at)
        return f"patient '{patients[patient]}', {labels[label]}, sample {slot + 1}"

    def faults(bad: np.ndarray, variable: str, message: str) -> Iterator[Fault]:
        places = np.argwhere(bad)
        for at in places[:_SHOWN]:
            yield Fault(group.name, variable, where(at), message)
        if len(places) > _SHOWN:
            yield Fault(group.name, variable, f"{len(places) - _SHOWN} more places", message)

    time, level, status = fields("time", np.nan), fields("level", np.nan), fields("status", -1)
    nominal = fields("nominal_time", np.nan)
    quantified = status == Status.quantified
    yield from faults(quantified & np.isnan(level), "level", "is quantified but has no level")
    yield from faults(~quantified & ~np.isnan(level), "level", "has a level but is not quantified")
    with np.errstate(invalid="ignore"):
        yield from faults(level < 0, "level", "is negative")
        lod, lloq, uloq = fields("lod", np.nan), fields("lloq", np.nan), fields("uloq", np.nan)
        for name, limit in (("lod", lod), ("lloq", lloq), ("uloq", uloq)):
            yield from faults(limit <= 0, name, "is not positive")
        yield from faults(lod > lloq * (1 + 1e-12), "lod", "is above the lloq")
        yield from faults(lloq >= uloq, "lloq", "is not below the uloq")
        yield from faults(level < lloq * (1 - 1e-12), "level", "is quantified below its lloq")
        yield from faults(level > uloq * (1 + 1e-12), "level", "is quantified above its uloq")
        for name in ("se_well", "se_plate"):
            yield from faults(fields(name, np.nan) < 0, name, "is negative")
    yield from faults(
        (status == Status.above_uloq) & np.isnan(uloq), "uloq", "is above its uloq, which is unknown: give uloq"
    )
    present = status != Status.missing
    timeless = present & np.isnan(time) & np.isnan(nominal)
    yield from faults(
        timeless,
        "time",
        "was measured but has neither an actual nor a planned time: give one, or the patient's first infusion",
    )
    filled = ~np.isnan(time) | ~np.isnan(nominal) | present
    if filled.shape[-1]:
        gap = filled[..., 1:] & ~filled[..., :-1]
        padded = np.concatenate([np.zeros_like(filled[..., :1]), gap], axis=-1)
        yield from faults(padded, "time", "follows an empty place: padding stands at the end only")
        last = np.maximum.accumulate(np.where(np.isnan(time), -np.inf, time), axis=-1)
        late = np.zeros_like(filled)
        late[..., 1:] = time[..., 1:] <= last[..., :-1]
        yield from faults(late, "time", "is not later than the sample before it: times must increase")
    excluded = fields("excluded", int(Excluded.included))
    reasons = fields("reason", "")
    yield from faults((excluded == Excluded.excluded) & (reasons == ""), "reason", "is excluded without a reason")


def _well_faults(cohort: xr.DataTree) -> Iterator[Fault]:
    if "wells" not in cohort.children or "kinetics" not in cohort.children:
        return
    wells, kinetics = (
        cohort.children["wells"].to_dataset(inherit=False),
        cohort.children["kinetics"].to_dataset(inherit=False),
    )
    if "sample_id" not in wells or "sample_id" not in kinetics:
        return
    known = set(wells["sample_id"].values.tolist())
    named = [name for name in kinetics["sample_id"].values.ravel().tolist() if name]
    lost = [name for name in dict.fromkeys(named) if name not in known]
    for name in lost[:_SHOWN]:
        yield Fault("kinetics", "sample_id", f"sample '{name}'", "there are no wells behind this sample")


__all__ = ["find_faults", "validate"]
