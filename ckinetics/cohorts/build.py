"""Building a cohort from profiles and clinical tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import Fault, InputError, ValidationError
from ..provenance import result_attrs, settings_json
from ..schema import GROUPS, PROFILE_GROUPS, SCHEMA_VERSION, Group, Status, Var, YesNo, series_dim
from ..tables import MISSING_WORDS, Table, as_number, fold, read_table
from .profiles import natural_order, profiles_of
from .tidy import read_kinetics
from .validation import validate
from .vocabulary import check_columns

TableLike = str | Path | pd.DataFrame
_PATIENT_ALIASES = ("patient_id", "usubjid", "subjid", "subject", "subject_id", "id")
_MORE_ALIASES = {
    "dose_received": ("dose", "dose_cells", "infused_dose"),
    "dose_assigned": ("planned_dose",),
    "infused": ("infusion_time", "infusion_datetime", "infusion", "rfxstdtc"),
    "response": ("best_response", "bor", "rsstresc"),
    "time": ("day", "study_time", "onset", "start"),
    "end_time": ("end_day", "end", "stop"),
    "given": ("infused", "infusion_datetime", "exstdtc"),
    "weight": ("weight_kg",),
    "drug": ("medication", "treatment"),
}
_TABLES = (
    "patients", "counts", "cytokines", "response", "infusions", "medication", "events", "lesions", "visits", "ada",
)  # fmt: skip
_YES = {"yes", "y", "true", "1", "1.0"}
_NO = {"no", "n", "false", "0", "0.0"}


def cohort(
    kinetics: xr.Dataset | xr.DataTree,
    /,
    *,
    patients: TableLike | None = None,
    flow: xr.Dataset | None = None,
    counts: xr.Dataset | TableLike | None = None,
    cytokines: xr.Dataset | TableLike | None = None,
    response: TableLike | None = None,
    infusions: TableLike | None = None,
    medication: TableLike | None = None,
    events: TableLike | None = None,
    lesions: TableLike | None = None,
    visits: TableLike | None = None,
    ada: TableLike | None = None,
    columns: Mapping[str, Mapping[str, str]] | None = None,
    title: str = "",
) -> xr.DataTree:
    """Build a cohort: profiles and everything known of the patients, aligned on ``patient``.

    Parameters
    ----------
    kinetics : Dataset or DataTree
        Profiles of the CAR transgene, from `read_kinetics`, `kinetics_from_arrays` or `quantify` (the
        wells, curves, verdicts and results of the latter become groups of the cohort), or from `simulate`, whose
        profiles are of blood.
    patients : path or DataFrame, optional
        One row a patient: ``patient`` and any of the schema's variables (dose_assigned, dose_received,
        dose_level, infused, weight, …). Other columns become covariates: numbers as float64, anything
        else as text. Every patient with profiles must be listed; a listed patient without profiles stays.
    flow : Dataset, optional
        Profiles by flow cytometry (``read_kinetics(..., group="flow")``).
    counts, cytokines : Dataset or table, optional
        Profiles of blood counts and of cytokines; a table has patient, count or cytokine, time, level, unit.
    response : path or DataFrame, optional
        One row a patient: ``patient``, ``response``, and time/event pairs (pfs_time, pfs_event, …).
    infusions, medication, events, lesions, visits, ada : path or DataFrame, optional
        One row an entry, with a ``patient`` column; times in days since the first infusion. For `infusions`,
        ``given`` (date and time) does instead of ``time``.
    columns : mapping of str to mapping, optional
        For each table, canonical name to the name used there.
    title : str
        Name of the study.

    Returns
    -------
    DataTree
        Valid by `validate`. Samples that had only a date of collection get their time from the patient's
        first infusion.

    Raises
    ------
    InputError
        Names the file, row and column at fault.
    ValidationError
        Lists every fault of the assembled cohort.

    Examples
    --------
    >>> from ckinetics.cohorts import cohort, kinetics_from_arrays
    >>> profiles = kinetics_from_arrays([0, 7, 28], [[0, 1e4, 90]], lloq=50, unit="copies/ug")
    >>> study = cohort(profiles)
    >>> study["kinetics"].sizes["patient"]
    1
    """
    maps = columns or {}
    strange = [name for name in maps if name not in _TABLES]
    if strange:
        raise InputError(f"columns= names the table '{strange[0]}': a cohort's tables are {', '.join(_TABLES)}")
    groups: dict[str, xr.Dataset] = {"kinetics": _with_matrix(profiles_of(kinetics))}
    if isinstance(kinetics, xr.DataTree):
        for name in ("wells", "curves", "verdicts", "results"):
            if name in kinetics.children:
                groups[name] = kinetics.children[name].to_dataset(inherit=False)
    for name, given in (("flow", flow), ("counts", counts), ("cytokines", cytokines)):
        if given is not None:
            groups[name] = (
                given
                if isinstance(given, xr.Dataset)
                else read_kinetics(given, unit="", group=name, columns=maps.get(name))
            )
    if response is not None:
        groups["outcomes"] = patient_table(response, "outcomes", maps.get("response"))
    entries = {
        "infusions": infusions,
        "medication": medication,
        "events": events,
        "lesions": lesions,
        "visits": visits,
        "ada": ada,
    }
    for name, table in entries.items():
        if table is not None:
            groups[name] = entry_table(table, name, maps.get(name))
    root = None if patients is None else patient_table(patients, "/", maps.get("patients"))
    return assemble(root, groups, title=title)


def _with_matrix(profiles: xr.Dataset) -> xr.Dataset:
    """Return profiles that have no matrix, such as simulated ones, as profiles of blood."""
    if "matrix" in profiles.dims or profiles["level"].dims != ("patient", "sample"):
        return profiles
    known = [var.name for var in GROUPS["kinetics"].variables if var.name in profiles]
    unit = str(profiles["level"].attrs.get("units", ""))
    words = {"matrix": ("matrix", np.array(["blood"], object)), "unit": ("matrix", np.array([unit], object))}
    expanded = {name: profiles[name].expand_dims("matrix", axis=1).variable for name in known}
    return profiles.assign(expanded).assign_coords(words)


def assemble(root: xr.Dataset | None, groups: Mapping[str, xr.Dataset], *, title: str = "") -> xr.DataTree:
    """Put groups on one patient index and validate the cohort.

    The patients are those of `root`, in its order; without a root, all that any group names. Every
    variable of a group's dims that the schema knows and the group lacks is added as missing.
    """
    if root is None:
        names: list[str] = []
        for dataset in groups.values():
            names += [str(name) for name in dataset.get("patient", xr.DataArray([])).values.tolist()]
            if "patient_id" in dataset and "well" not in dataset.dims:
                names += [str(name) for name in dataset["patient_id"].values.tolist() if name]
        patients = natural_order(list(dict.fromkeys(names)))
        root = xr.Dataset(coords={"patient": ("patient", np.array(patients, dtype=object))})
    patients = [str(name) for name in root["patient"].values.tolist()]
    if "patient" in root.coords:
        root["patient"].attrs.setdefault("long_name", "patient")
    groups = dict(groups)
    first = _first_infusions(root, groups.get("infusions"))
    known = set(patients)
    faults = []
    for name, dataset in groups.items():
        named = dataset["patient"].values.tolist() if "patient" in dataset.dims else []
        strangers = [name for name in named if name not in known]
        if strangers:
            message = (
                f"holds {len(strangers)} patient(s) that the patients table does not list "
                f"({', '.join(map(str, strangers[:5]))}): add them, or correct the names"
            )
            faults.append(Fault(name, "patient", "", message))
    if faults:
        raise ValidationError(faults)
    tree: dict[str, xr.Dataset] = {}
    for name, dataset in groups.items():
        if "patient" in dataset.dims:
            dataset = on_patients(dataset, patients, name)
            if "sample" in dataset.dims:
                dataset = _fill_times(dataset, first)
        tree[f"/{name}"] = dataset
    root.attrs.update(result_attrs(title=title or "cohort", schema_version=SCHEMA_VERSION))
    tree["/"] = root
    return validate(xr.DataTree.from_dict(tree, name="cohort"))


def on_patients(dataset: xr.Dataset, patients: Sequence[str], group: str) -> xr.Dataset:
    """Put a dataset on the given patients, in that order; new ones are missing in the way of the schema.

    xarray's own reindex would turn flags into floats and words into NaN.
    """
    have = [str(name) for name in dataset["patient"].values.tolist()]
    if have == list(patients):
        return dataset
    index = pd.Index(have).get_indexer(pd.Index(list(patients)))
    schema = GROUPS.get(group)
    variables: dict[Any, Any] = {}
    for name, variable in dataset.variables.items():
        if "patient" not in variable.dims or name == "patient":
            continue
        axis = variable.dims.index("patient")
        known = schema.by_name.get(str(name)) if schema else None
        missing = known.missing if known else missing_of(variable.dtype)
        shape = list(variable.shape)
        shape[axis] = len(patients)
        values = np.full(shape, missing, dtype=variable.dtype)
        where: list[Any] = [slice(None)] * variable.ndim
        where[axis] = np.flatnonzero(index >= 0)
        values[tuple(where)] = np.take(variable.values, index[index >= 0], axis=axis)
        variables[name] = (variable.dims, values, variable.attrs)
    rest = dataset.drop_dims("patient")
    names = np.array(patients, dtype=object)
    out = rest.assign_coords(patient=("patient", names, dataset["patient"].attrs))
    out = out.assign(variables)
    ordered = [name for name in dataset.data_vars if name in out]
    return out[ordered].assign_attrs(dataset.attrs)


def missing_of(dtype: np.dtype[Any]) -> Any:
    """Return the missing value of a canonical dtype."""
    if dtype.kind == "f":
        return np.nan
    if dtype.kind == "M":
        return np.datetime64("NaT")
    return "" if dtype.kind in "OU" else -1


def _first_infusions(root: xr.Dataset, infusions: xr.Dataset | None) -> np.ndarray:
    """Return each patient's first infusion as datetime64, NaT where unknown."""
    patients = root["patient"].values.tolist()
    first = np.full(len(patients), np.datetime64("NaT", "ns"), dtype="datetime64[ns]")
    if "infused" in root:
        first = root["infused"].values.copy()
    if infusions is not None and "given" in infusions:
        for at, name in enumerate(patients):
            given = infusions["given"].values[infusions["patient_id"].values == name]
            given = given[~np.isnat(given)]
            if len(given) and not np.isnat(first[at]) and given.min() != first[at]:
                raise InputError(
                    f"patient '{name}': the patients table has the first infusion at {first[at]}, the infusions "
                    f"table at {given.min()}: correct one of them"
                )
            if len(given):
                first[at] = given.min()
    return first


def _fill_times(dataset: xr.Dataset, first: np.ndarray) -> xr.Dataset:
    """Compute the time of samples that have only a date of collection."""
    if "collected" not in dataset:
        return dataset
    time, collected = dataset["time"].values, dataset["collected"].values
    elapsed = (collected - first[:, np.newaxis, np.newaxis]) / np.timedelta64(86_400_000_000_000, "ns")
    gaps = np.isnan(time) & ~np.isnan(elapsed)
    if not gaps.any():
        return dataset
    filled = dataset["time"].copy(data=np.where(gaps, elapsed, time))
    return _sort_samples(dataset.assign(time=filled))


def _sort_samples(dataset: xr.Dataset) -> xr.Dataset:
    key = np.where(np.isnan(dataset["time"].values), dataset["nominal_time"].values, dataset["time"].values)
    order = np.argsort(key, axis=-1, kind="stable")
    return dataset.assign(
        {
            name: (v.dims, np.take_along_axis(v.values, order, axis=-1), v.attrs)
            for name, v in dataset.data_vars.items()
            if v.dims[-1:] == ("sample",)
        }
    )


def _aliases(group: Group) -> dict[str, tuple[str, ...]]:
    out: dict[str, tuple[str, ...]] = {"patient": _PATIENT_ALIASES}
    for var in group.variables:
        if var.name == "patient_id":
            continue
        # A study day (…DY) has no day 0 and is not days since infusion: it is never taken for a time.
        cdisc = (var.cdisc.lower(),) if var.cdisc and not var.cdisc.endswith("DY") else ()
        out[var.name] = (*_MORE_ALIASES.get(var.name, ()), *cdisc)
    return out


def patient_table(table: TableLike, group: str, columns: Mapping[str, str] | None) -> xr.Dataset:
    """Read a table of one row a patient (group "/" or "outcomes") as a Dataset over ``patient``."""
    schema = GROUPS[group]
    what = "the patients table" if group == "/" else f"the {group} table"
    check_columns(columns, _aliases(schema), what)
    source = read_table(table, what=what, aliases=_aliases(schema), required=["patient"], columns=columns)
    names = source.texts("patient", required=True)
    seen: dict[str, int] = {}
    for position, name in enumerate(names):
        if name in seen:
            raise source.error(
                position,
                f"patient '{name}' is listed twice (also in row {source.rows[seen[name]]}): keep one row",
            )
        seen[name] = position
    variables = {
        name: ("patient", values, attrs) for name, values, attrs in _typed_columns(source, schema, skip={"patient"})
    }
    coords = {"patient": ("patient", np.array(names, dtype=object), {"long_name": "patient"})}
    return xr.Dataset(variables, coords, result_attrs(title=schema.meaning, group=group))


def entry_table(table: TableLike, group: str, columns: Mapping[str, str] | None) -> xr.Dataset:
    """Read a table of one row an entry (infusions, events, …) as a Dataset over the group's dim."""
    schema = GROUPS[group]
    dim = schema.dims[0]
    required = [
        "patient",
        *(v.name for v in schema.variables if v.required and v.name not in ("patient_id", "time")),
    ]
    check_columns(columns, _aliases(schema), f"the {group} table")
    source = read_table(table, what=f"the {group} table", aliases=_aliases(schema), required=required, columns=columns)
    typed = {name: (dim, v, attrs) for name, v, attrs in _typed_columns(source, schema, skip={"patient"})}
    patient = schema.by_name["patient_id"]
    names = np.array(source.texts("patient", required=True), dtype=object)
    variables: dict[str, Any] = {"patient_id": (dim, names, patient.attrs()), **typed}
    if schema.by_name["time"].required and "time" not in source:
        if "given" not in source:
            raise source.error(None, f"the {group} table has no column 'time' (days since the first infusion): add it")
        variables["time"] = (dim, _days_since_first(source, names), schema.by_name["time"].attrs())
    return xr.Dataset(variables, attrs=result_attrs(title=schema.meaning, group=group))


def _days_since_first(source: Table, names: np.ndarray) -> np.ndarray:
    given = source.datetimes("given")
    time = np.full(len(names), np.nan)
    for name in set(names.tolist()):
        mine = names == name
        known = given[mine][~np.isnat(given[mine])]
        if len(known):
            time[mine] = (given[mine] - known.min()) / np.timedelta64(86_400_000_000_000, "ns")
    return time


def _typed_columns(source: Table, schema: Group, skip: set[str]) -> list[tuple[str, np.ndarray, dict[str, Any]]]:
    """Return every variable of the schema, and any other column, in canonical dtypes."""
    out: list[tuple[str, np.ndarray, dict[str, Any]]] = []
    for var in schema.variables:
        if var.name != "patient_id":
            out.append((var.name, _typed(source, var), var.attrs()))
    for column in source.frame.columns:
        if column in schema.by_name or column in skip:
            continue
        name = fold(str(column))
        if name in schema.by_name or name in {entry[0] for entry in out}:
            raise source.error(None, f"the columns of the table give '{name}' twice: rename one")
        out.append((name, _untyped(source, str(column)), {"long_name": str(column)}))
    return out


def _typed(source: Table, var: Var) -> np.ndarray:
    if var.kind == "float":
        return source.numbers(var.name)
    if var.kind == "datetime":
        return source.datetimes(var.name)
    texts = source.texts(var.name)
    if var.kind == "str":
        return np.array(texts, dtype=object)
    return np.array([_flag(source, var, at, text) for at, text in enumerate(texts)], dtype=np.int8)


def _flag(source: Table, var: Var, position: int, text: str) -> int:
    assert var.codes is not None
    folded = text.lower()
    if not folded:
        return int(var.missing)
    if var.codes is YesNo and folded in _YES | _NO:
        return int(folded in _YES)
    for code in var.codes:
        if folded == code.name:
            return int(code)
    words = ", ".join(code.name for code in var.codes)
    raise source.error(position, f"{var.name} '{text}' is not one of {words}: correct it")


def _untyped(source: Table, column: str) -> np.ndarray:
    texts = source.texts(column)
    numbers = [np.nan if text.lower() in MISSING_WORDS else as_number(text) for text in texts]
    if any(text for text in texts) and all(number is not None for number in numbers):
        return np.array(numbers, dtype=np.float64)
    return np.array(texts, dtype=object)


def exclude(
    data: xr.DataTree,
    /,
    *,
    patient: str,
    time: float,
    reason: str,
    by: str = "",
    matrix: str = "blood",
    group: str = "kinetics",
) -> xr.DataTree:
    """Mark one sample as excluded from analyses; its level stays.

    Parameters
    ----------
    data : DataTree
        A cohort.
    patient, matrix, time, group : str, str, float, str
        The sample; `time` is its actual time in days, `group` the group of profiles.
    reason : str
        Why; required.
    by : str
        Who; default is the user who runs this. The time of marking is added.

    Returns
    -------
    DataTree
        A new cohort; the one given is unchanged.

    Raises
    ------
    InputError
        There is no such sample, or no reason is given.
    """
    from ..provenance import now, user

    if not reason.strip():
        raise InputError("an exclusion needs a reason: say why the sample is left out")
    if group not in data.children or group not in PROFILE_GROUPS:
        raise InputError(f"the cohort has no group '{group}' of profiles: it has {', '.join(data.children)}")
    dataset = data.children[group].to_dataset(inherit=False)
    series = series_dim(group)
    patients = [str(name) for name in data.coords["patient"].values.tolist()]
    labels = [str(name) for name in dataset[series].values.tolist()]
    if patient not in patients or matrix not in labels:
        raise InputError(f"there is no profile of patient '{patient}' in '{matrix}'")
    at = (patients.index(patient), labels.index(matrix))
    hits = np.flatnonzero(np.isclose(dataset["time"].values[at], time, rtol=0, atol=1e-9))
    if len(hits) != 1 or dataset["status"].values[at][hits[0]] == Status.missing:
        raise InputError(f"patient '{patient}' has no sample of {matrix} at time {time:g} day")
    changes: dict[str, Any] = {"excluded": 1, "reason": reason, "by": f"{by or user()}, {now()}"}
    new = {}
    for name, value in changes.items():
        values = dataset[name].values.copy()
        values[(*at, hits[0])] = value
        new[name] = (dataset[name].dims, values, dataset[name].attrs)
    tree = {node.path: node.to_dataset(inherit=False) for node in data.subtree}
    tree[f"/{group}"] = dataset.assign(new)
    root = tree["/"]
    log = settings_json({"patient": patient, "matrix": matrix, "time": time, **changes})
    tree["/"] = root.assign_attrs(exclusions=f"{root.attrs.get('exclusions', '')}{log}\n")
    return validate(xr.DataTree.from_dict(tree, name=data.name))
