"""A noncompartmental result cut into its series: a matrix, or a matrix after one infusion, one at a time."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr

from ...errors import InputError
from ...noncompartmental import cautions_table, reasons_table
from ...noncompartmental.columns import leading_of, level_units
from ...noncompartmental.reasons import given_profiles, label_of

_OF_PAIRS = ("matrix_pair", "ratio")


def each_series(nca: xr.Dataset) -> Iterator[tuple[str, xr.Dataset]]:
    """Yield each series of a result with its label, as a result over (patient, series) with that one series.

    With a dim ``infusion`` the labels are "blood, infusion 1", …; patients without a later infusion are left out.

    Raises
    ------
    InputError
        The result has no patients.
    """
    lead = leading_of(nca)
    if "patient" not in lead:
        raise InputError("the nca result has no dim 'patient': a report is on patients")
    others = [dim for dim in lead if dim != "patient"]
    series = others[0] if others else "matrix"
    bare = nca.drop_dims([dim for dim in _OF_PAIRS if dim in nca.dims])
    for place in itertools.product(*(range(nca.sizes[dim]) for dim in others)):
        one = bare.isel(dict(zip(others, place, strict=True)))
        if "infusion" in others:
            one = one.isel(patient=np.flatnonzero(given_profiles(one)))
        unit = level_units(one)[0] if one.sizes["patient"] else str(one["cmax"].attrs.get("units", ""))
        label = ", ".join(_word(nca, dim, at) for dim, at in zip(others, place, strict=True))
        scalars = [name for name in one.coords if one[name].ndim == 0]
        one = one.drop_vars(scalars).expand_dims({series: np.array([label], dtype=object)})
        one = one.assign_coords(unit=(series, np.array([unit], dtype=object)))
        yield label, one.transpose("patient", series, ...)


def _word(nca: xr.Dataset, dim: str, at: int) -> str:
    label = str(label_of(nca, dim, at))
    return label if dim in ("matrix", "cytokine", "count") else f"{dim} {label}"


def series_name(nca: xr.Dataset) -> str:
    """Return the name of the dim of a result's series."""
    return next((dim for dim in leading_of(nca) if dim != "patient"), "matrix")


def flag_name(name: str) -> str:
    """Return the name of a flag or reason as a reader writes it.

    Examples
    --------
    >>> flag_name("embedded_blq"), flag_name("above_uloq")
    ('embedded BLQ', 'above ULOQ')
    """
    return re.sub(r"\b(blq|[lu]loq)\b", lambda found: found[0].upper(), name.replace("_", " "))


def reasons_of(nca: xr.Dataset) -> pd.DataFrame:
    """Return `reasons_table` with one column for the series; an infusion that was not given is not missing."""
    return _joined(nca, [reasons_table(one) for _, one in each_series(nca)], ["parameter", "reason", "sentence"])


def cautions_of(nca: xr.Dataset) -> pd.DataFrame:
    """Return `cautions_table` with one column for the series."""
    return _joined(nca, [cautions_table(one) for _, one in each_series(nca)], ["caution", "sentence"])


def _joined(nca: xr.Dataset, frames: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    filled = [frame for frame in frames if len(frame)]
    if not filled:
        return pd.DataFrame(columns=["patient", series_name(nca), *columns])
    made = pd.concat(filled, ignore_index=True)
    order = {str(name): at for at, name in enumerate(nca["patient"].values.tolist())}
    return made.sort_values("patient", kind="stable", key=lambda names: names.map(order)).reset_index(drop=True)
