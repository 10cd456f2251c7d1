"""Records, each a dict of schema names, laid out as the Dataset of a schema group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..schema import GROUPS


def dataset_of(
    group: str,
    records: Sequence[Mapping[str, Any]],
    attrs: Mapping[str, Any] | None = None,
    *,
    level_unit: str = "",
    more: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Return records as a Dataset with every variable of a group, missing values filled in.

    Parameters
    ----------
    group : str
        Group of the schema with one dim: "wells", "curves", "verdicts" or "results".
    records : sequence of mapping
        Schema names to values; names that the schema does not know are left out.
    attrs : mapping, optional
        Attributes of the result.
    level_unit : str
        Unit of levels, in a group that has any.
    more : mapping, optional
        Further variables: name to dims, array of a canonical dtype, and attributes.

    Returns
    -------
    Dataset
        Canonical dtypes, one entry a record.
    """
    schema = GROUPS[group]
    variables = {}
    stated: set[str] = set().union(*records)
    for var in schema.variables:
        name, missing = var.name, var.missing
        array = np.full(len(records), missing, dtype=var.dtype)
        if name in stated:
            array[:] = [record.get(name, missing) for record in records]
        # The dtype is canonical already, and need not be found out.
        variables[name] = xr.Variable(schema.dims, array, var.attrs(level_unit), fastpath=True)
    for name, (dims, array, about) in (more or {}).items():
        variables[name] = xr.Variable((dims,), array, about, fastpath=True)
    return xr.Dataset(variables, attrs=dict(attrs or {}))


def records_of(dataset: xr.Dataset, dim: str) -> list[dict[str, Any]]:
    """Return the variables of one dim as records, the reverse of `dataset_of`."""
    names = [str(name) for name in dataset.data_vars if dataset[name].dims == (dim,)]
    # Datetimes as numpy scalars: nanoseconds do not fit a datetime.
    columns = [list(array) if (array := dataset[name].values).dtype.kind == "M" else array.tolist() for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
