"""Blocks of patients that a summary has a row for: each series, further leading dims, and groups of patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..errors import InputError
from .reasons import given_profiles, label_of

UNKNOWN = "missing"


@dataclass(frozen=True)
class Block:
    """Patients of one group in one series.

    Attributes
    ----------
    labels : what stands in the columns that name the block
    place : position along each leading dim but ``patient``
    patients : which patients belong to it
    unit : unit of the levels, "" where unknown
    """

    labels: dict[str, object]
    place: dict[str, int]
    patients: np.ndarray
    unit: str

    def values(self, variable: xr.DataArray) -> np.ndarray:
        """Return a variable of the result over the block's patients."""
        found = variable.isel({dim: at for dim, at in self.place.items() if dim in variable.dims})
        return np.asarray(found.values[self.patients])


def blocks_of(result: xr.Dataset, by: xr.DataArray | Sequence[xr.DataArray] | None) -> list[Block]:
    """Return the blocks of a result, groups last; patients without a later infusion are not in its blocks.

    Raises
    ------
    InputError
        The result has no patients, or `by` is not over them.
    """
    if "reason_code" not in result or "patient" not in result["reason_code"].dims:
        raise InputError("this is no result of nca over patients: give what nca returned")
    others = [str(dim) for dim in result["reason_code"].dims if dim not in ("patient", "parameter")]
    groups = _groups(result, by, others)
    dims = [str(dim) for dim in result["reason_code"].dims[:-1]]
    given = np.moveaxis(given_profiles(result), dims.index("patient"), 0)
    blocks = []
    for at in np.ndindex(*(result.sizes[dim] for dim in others)):
        place = dict(zip(others, at, strict=True))
        labels = {dim: label_of(result, dim, position) for dim, position in place.items()}
        there = given[(slice(None), *at)]
        blocks += [Block(labels | names, place, members & there, _unit(result, place)) for names, members in groups]
    return blocks


def _unit(result: xr.Dataset, place: dict[str, int]) -> str:
    if "unit" in result.coords:
        unit = result["unit"]
        return str(unit.isel({str(dim): place[str(dim)] for dim in unit.dims}).item())
    return str(result["cmax"].attrs.get("units", ""))


def _groups(
    result: xr.Dataset, by: xr.DataArray | Sequence[xr.DataArray] | None, others: list[str]
) -> list[tuple[dict[str, object], np.ndarray]]:
    if by is None:
        return [({}, np.ones(result.sizes["patient"], dtype=bool))]
    arrays = [by] if isinstance(by, xr.DataArray) else list(by)
    names: list[str] = []
    for position, array in enumerate(arrays, start=1):
        if not isinstance(array, xr.DataArray):
            raise InputError(
                f"'by' is of type {type(array).__name__}: give a DataArray over patient, or a list of them"
            )
        name = str(array.name or ("group" if len(arrays) == 1 else f"group {position}"))
        if name in names or name in (*others, "parameter", "patient"):
            raise InputError(f"'by' is named '{name}', as another column is: rename it")
        same = array.dims == ("patient",) and "patient" in array.coords
        if not same or array["patient"].values.tolist() != result["patient"].values.tolist():
            raise InputError(f"'by' ('{name}') is not over the result's patients: take it from the same cohort")
        names.append(name)
    words = [_words(array) for array in arrays]
    ranks = [{word: rank for rank, word in enumerate(dict.fromkeys(column))} for column in words]
    rows = list(zip(*words, strict=True))
    # In the order in which values first appear, patients of unknown group last.
    order = sorted(
        dict.fromkeys(rows),
        key=lambda row: [(word == UNKNOWN, rank[word]) for word, rank in zip(row, ranks, strict=True)],
    )
    return [(dict(zip(names, row, strict=True)), np.array([one == row for one in rows], dtype=bool)) for row in order]


def _words(array: xr.DataArray) -> list[object]:
    """Return the values of a grouping variable, flags in words."""
    values = array.values.tolist()
    if "flag_values" in array.attrs:
        meanings = str(array.attrs["flag_meanings"]).split()
        known = dict(zip(np.asarray(array.attrs["flag_values"]).tolist(), meanings, strict=True))
        values = [known.get(value, UNKNOWN) for value in values]
    return [UNKNOWN if value is None or value == "" or value != value else value for value in values]
