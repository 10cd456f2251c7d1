"""Profiles times a factor: what is given for a sample or a patient, and what comes of levels, limits and errors."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ..cohorts.profiles import profiles_of
from ..errors import InputError, UnitError
from ..provenance import content_hash, result_attrs
from ..schema import GROUPS, Status
from ..units import conversion_factor, kind_of, normalise_unit

PerPatient = float | Mapping[str, float] | xr.DataArray
PerSample = float | Mapping[str, float]
_DIMS = ("patient", "matrix", "sample")
_SCALED = ("level", "lod", "lloq", "uloq")
_WITHOUT_FACTOR = (Status.missing, Status.invalid, Status.insufficient_dna)


def ln_variance(value: float, se: float, name: str) -> float:
    """Return the variance of ln(x) of a log-normal x with this mean and standard error."""
    number(value, name)
    return math.log1p((number(se, f"{name}_se", zero=True) / value) ** 2)


def number(value: Any, name: str, *, zero: bool = False) -> float:
    """Return a positive finite number (zero too where `zero`), or refuse the value by its name."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise InputError(f"{name} is {value!r}: give a number")
    if not np.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise InputError(f"{name} is {value:g}: give a number that is {'not negative' if zero else 'positive'}")
    return float(value)


def in_unit(kinetics: xr.DataTree | xr.Dataset, unit: str, kind: str, target: str) -> tuple[xr.Dataset, np.ndarray]:
    """Return the profiles, and the factor that brings each sample to `unit`; levels of another kind are refused."""
    profiles = profiles_of(kinetics)
    if profiles["level"].dims != _DIMS:
        profiles = profiles.transpose(*_DIMS, missing_dims="ignore")
    per_matrix = []
    for label, text in zip(profiles["matrix"].values, profiles["unit"].values, strict=True):
        own = normalise_unit(str(text))
        if kind_of(own) != kind:
            raise UnitError(
                f"the levels of {label} are in {own} ({kind_of(own)}): {target} is computed from {unit} ({kind}) only"
            )
        per_matrix.append(conversion_factor(own, unit))
    factor = np.broadcast_to(np.array(per_matrix, dtype=float)[np.newaxis, :, np.newaxis], profiles["level"].shape)
    return profiles, factor


def per_sample(profiles: xr.Dataset, value: PerSample, name: str) -> np.ndarray:
    """Return a number for each sample; padding and samples without result may go without."""
    shape, zero = profiles["level"].shape, name.endswith("_se")
    if not isinstance(value, Mapping):
        return np.full(shape, number(value, name, zero=zero))
    out = np.full(shape, np.nan)
    ids: list[Any] = profiles["sample_id"].values.ravel().tolist() if "sample_id" in profiles else [""] * out.size
    status = profiles["status"].values
    for at, name_of in zip(np.ndindex(shape), ids, strict=True):
        if name_of in value:
            out[at] = number(value[name_of], f"{name} of sample '{name_of}'", zero=zero)
        elif status[at] not in _WITHOUT_FACTOR:
            patient = profiles["patient"].values[at[0]]
            place = f"sample '{name_of}'" if name_of else f"patient '{patient}', sample {at[2] + 1} (without sample_id)"
            raise InputError(f"{place} has no {name}: give it")
    return out


def per_patient(profiles: xr.Dataset, value: PerPatient, name: str, *, zero: bool = False) -> np.ndarray:
    """Return a number for each patient; one without any result may go without."""
    names = [str(patient) for patient in profiles["patient"].values.tolist()]
    if isinstance(value, xr.DataArray):
        if value.dims != ("patient",):
            raise InputError(f"{name} has dims {value.dims}: give one number for each patient")
        value = dict(zip(map(str, value["patient"].values), value.values.tolist(), strict=True))
    if not isinstance(value, Mapping):
        return np.full(len(names), number(value, name, zero=zero))
    out = np.full(len(names), np.nan)
    used = np.any(~np.isin(profiles["status"].values, _WITHOUT_FACTOR), axis=(1, 2)).tolist()
    for at, patient in enumerate(names):
        if patient in value and value[patient] == value[patient]:  # NaN is missing
            out[at] = number(value[patient], f"{name} of patient '{patient}'", zero=zero)
        elif used[at]:
            raise InputError(f"patient '{patient}' has no {name}: give it, or leave the patient out")
    return out


def converted(
    profiles: xr.Dataset,
    factor: np.ndarray,
    *,
    unit: str,
    shared: tuple[np.ndarray, str],
    settings: dict[str, Any],
    own: np.ndarray | None = None,
    why: np.ndarray | None = None,
) -> xr.Dataset:
    """Return profiles with level and limits times `factor`, and the variances of ln(factor) in their places.

    Parameters
    ----------
    profiles : Dataset
        On (patient, matrix, sample).
    factor : array
        For each sample; where it is NaN a result becomes missing, for the reason in `why`.
    unit : str
        Unit of the result.
    shared : (array over patient, str)
        Variance of ln(factor) that all samples of a patient share, and what it is of.
    settings : dict
        What was given; the settings of the profiles are kept inside, as ``before``.
    own : array, optional
        Variance of ln(factor) that belongs to each sample alone.
    why : array of str, optional
        Why a sample has no factor.
    """
    group = GROUPS["kinetics"].by_name
    status = profiles["status"].values.copy()
    lost = np.isnan(factor) & ~np.isin(status, _WITHOUT_FACTOR)
    variables: dict[str, Any] = {}
    for name in _SCALED:
        if name in profiles:
            variables[name] = (_DIMS, profiles[name].values * factor, group[name].attrs(unit))
    if lost.any():
        status[lost] = Status.missing
        variables["status"] = (_DIMS, status, profiles["status"].attrs)
        reason = profiles["reason"].values.copy() if "reason" in profiles else np.full(status.shape, "", dtype=object)
        told = why if why is not None else np.full(status.shape, "it cannot be converted", dtype=object)
        reason[lost] = [f"{old}; {new}" if old else new for old, new in zip(reason[lost], told[lost], strict=True)]
        variables["reason"] = (_DIMS, reason, group["reason"].attrs())
    if own is not None:
        se = profiles["se_well"].values if "se_well" in profiles else np.full(status.shape, np.nan)
        variables["se_well"] = (_DIMS, np.sqrt(se**2 + own), group["se_well"].attrs())
    variance, what = shared
    parts = str(profiles["se_shared"].attrs.get("parts", "")) if "se_shared" in profiles else ""
    before = profiles["se_shared"].values if "se_shared" in profiles else np.zeros(len(variance))
    attrs = {
        "long_name": "standard error of ln(level) shared by all samples of the patient",
        "units": "1",
        "parts": "; ".join(filter(None, (parts, what))),
    }
    variables["se_shared"] = ("patient", np.sqrt(before**2 + variance), attrs)
    old = str(profiles.attrs.get("settings", ""))
    told_settings = {key: _plain(value) for key, value in settings.items()} | (
        {"before": json.loads(old)} if old else {}
    )
    matrix = profiles["matrix"]
    units = ("matrix", np.full(matrix.size, unit, dtype=object), profiles["unit"].attrs)
    title = f"{GROUPS['kinetics'].meaning}, in {unit}"
    return (
        profiles.assign(variables)
        .assign_coords(unit=units)
        .assign_attrs(result_attrs(title=title, settings=told_settings, converted_from=content_hash(profiles)))
    )


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


__all__ = ["PerPatient", "PerSample", "converted", "in_unit", "ln_variance", "number", "per_patient", "per_sample"]
