"""Selecting patients and matrices in every group, and explicit alignment on ``patient``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import InputError
from ..schema import PROFILE_GROUPS, series_dim

Join = Literal["exact", "inner"]


def select(
    data: xr.DataTree,
    /,
    *,
    patient: str | Sequence[str] | np.ndarray | xr.DataArray | None = None,
    matrix: str | Sequence[str] | None = None,
) -> xr.DataTree:
    """Select patients or matrices in every group of a cohort, long tables and wells too.

    xarray's own ``.sel`` leaves long tables as they are.

    Parameters
    ----------
    data : DataTree
        A cohort.
    patient : str, sequence of str, or boolean array over patients
        The patients to keep, in the order given (a mask keeps the cohort's order).
    matrix : str or sequence of str
        The matrices to keep; groups without ``matrix`` are left as they are.

    Returns
    -------
    DataTree
        A new cohort. Of the wells, those of the selected samples stay, with all standards and controls of
        the runs they lie on; curves and verdicts of other runs go.

    Raises
    ------
    InputError
        It is no cohort, a patient or matrix is not in it, or a mask has the wrong length.

    Examples
    --------
    >>> from ckinetics.cohorts import cohort, kinetics_from_arrays, select
    >>> study = cohort(kinetics_from_arrays([0, 7], [[0, 1e4], [0, 9e3]], lloq=50, unit="copies/ug"))
    >>> select(study, patient="2")["kinetics"].sizes["patient"]
    1
    """
    if not isinstance(data, xr.DataTree):
        raise InputError(f"select expects a cohort, got a {type(data).__name__}: build one with cohort")
    names = [str(name) for name in data.coords["patient"].values.tolist()]
    index = np.arange(len(names)) if patient is None else _positions(patient, names)
    keep = {names[at] for at in index}
    matrices = None if matrix is None else [matrix] if isinstance(matrix, str) else list(matrix)
    tree: dict[str, xr.Dataset] = {}
    for node in data.subtree:
        dataset = node.to_dataset(inherit=False)
        name = node.path.strip("/")
        if "patient" in dataset.dims:
            dataset = dataset.isel(patient=index)
        elif "patient_id" in dataset and "well" not in dataset.dims:
            rows = np.isin(dataset["patient_id"].values.astype(str), list(keep))
            dataset = dataset.isel({dataset["patient_id"].dims[0]: rows})
        if matrices is not None and "matrix" in dataset.dims:
            there = [str(label) for label in dataset["matrix"].values.tolist()]
            absent = [label for label in matrices if label not in there]
            if absent and name in PROFILE_GROUPS and series_dim(name) == "matrix" and name == "kinetics":
                raise InputError(f"the cohort has no matrix '{absent[0]}': it has {', '.join(there)}")
            dataset = dataset.isel(matrix=[there.index(label) for label in matrices if label in there])
        tree[node.path] = dataset
    _select_wells(tree, keep if patient is not None else None, matrices)
    return xr.DataTree.from_dict(tree, name=data.name)


def _positions(patient: object, names: list[str]) -> np.ndarray:
    if isinstance(patient, xr.DataArray):
        if patient.dtype == bool and "patient" in patient.coords:
            own = [str(name) for name in patient["patient"].values.tolist()]
            if own != names:
                raise InputError("the mask is over other patients than the cohort: align it first")
        patient = patient.values
    wanted = np.atleast_1d(np.asarray(patient))
    if wanted.dtype == bool:
        if len(wanted) != len(names):
            raise InputError(f"the mask has {len(wanted)} entries for {len(names)} patients")
        return np.flatnonzero(wanted)
    index = pd.Index(names).get_indexer(pd.Index([str(name) for name in wanted.tolist()]))
    if (index < 0).any():
        raise InputError(f"patient '{wanted[index < 0][0]}' is not in the cohort")
    if len(set(index.tolist())) < len(index):
        raise InputError("a patient is selected twice: name each once")
    return index


def _select_wells(tree: dict[str, xr.Dataset], keep: set[str] | None, matrices: list[str] | None) -> None:
    wells = tree.get("/wells")
    if wells is None or (keep is None and matrices is None) or "patient_id" not in wells:
        return
    owner = wells["patient_id"].values.astype(str)
    mine = owner != ""
    if keep is not None:
        mine &= np.isin(owner, list(keep))
    if matrices is not None and "matrix" in wells:
        mine &= np.isin(wells["matrix"].values.astype(str), matrices)
    runs = sorted(set(wells["run_id"].values[mine].tolist()))
    on_run = np.isin(wells["run_id"].values.astype(str), runs)
    control = (owner == "") & np.isin(wells["role"].values.astype(str), ["unknown", ""], invert=True)
    tree["/wells"] = wells.isel(well=mine | (on_run & control))
    samples = set(wells["sample_id"].values[mine].tolist())
    for path, dim in (("/curves", "curve"), ("/verdicts", "verdict"), ("/results", "result")):
        if path in tree:
            rows = np.isin(tree[path]["run_id"].values.astype(str), runs)
            if "sample_id" in tree[path]:
                own = tree[path]["sample_id"].values.astype(str)
                rows &= (own == "") | np.isin(own, sorted(samples))
            tree[path] = tree[path].isel({dim: rows})


class Alignment(NamedTuple):
    """Two arrays on the same patients, and who was left out of each."""

    first: xr.DataArray
    second: xr.DataArray
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


def align_patients(first: xr.DataArray, second: xr.DataArray, *, join: Join = "exact") -> Alignment:
    """Align two arrays on ``patient``, and say who was left out.

    Parameters
    ----------
    first, second : DataArray
        With a ``patient`` coordinate.
    join : {"exact", "inner"}
        "exact" refuses arrays over different patients (their order may differ); "inner" keeps the patients
        that both have, in the order of `first`.

    Raises
    ------
    InputError
        An array has no patients, or `join` is "exact" and they differ.
    """
    for array in (first, second):
        if "patient" not in array.dims or "patient" not in array.coords:
            raise InputError(f"'{array.name}' has no dimension 'patient' with names: it cannot be aligned")
    if join not in ("exact", "inner"):
        raise InputError(f"join '{join}' is unknown: use 'exact' or 'inner'")
    left = [str(name) for name in first["patient"].values.tolist()]
    right = [str(name) for name in second["patient"].values.tolist()]
    only_first = tuple(name for name in left if name not in set(right))
    only_second = tuple(name for name in right if name not in set(left))
    if join == "exact" and (only_first or only_second):
        lost = [f"'{name}'" for name in (*only_first, *only_second)[:5]]
        raise InputError(
            f"'{first.name}' and '{second.name}' are over different patients ({', '.join(lost)} in one only): "
            "select the same patients, or use join='inner'"
        )
    at = {name: position for position, name in enumerate(right)}
    keep = [position for position, name in enumerate(left) if name in at]
    return Alignment(
        first.isel(patient=keep),
        second.isel(patient=[at[left[position]] for position in keep]),
        only_first,
        only_second,
    )
