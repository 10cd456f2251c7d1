"""Doses: dose-normalised parameters, and on demand those of a drug's disposition."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ..errors import InputError
from .parameters import AREA_DN, FURTHER
from .reasons import Reason

NORMALISED = {"cmax_dn": "cmax", "auc_last_dn": "auc_last", "auc_inf_obs_dn": "auc_inf_obs"}


def find_dose(
    data: xr.DataTree | xr.Dataset, dose: Any, infusions: xr.Dataset | None, patients: list[str], *, first: bool
) -> xr.DataArray | None:
    """Return doses over patient (or patient and infusion), None where none is known.

    `dose` comes first, then the infusions, then ``dose_received`` of the cohort.

    Raises
    ------
    InputError
        Doses that are not over the profiles' patients, or not positive.
    """
    if dose is not None:
        return _given_dose(dose, patients, first=first)
    if infusions is not None and np.isfinite(infusions["dose"].values).any():
        return infusions["dose"].isel(infusion=0, drop=True) if first else infusions["dose"]
    if isinstance(data, xr.DataTree) and "dose_received" in data.data_vars and first:
        found = xr.DataArray(data["dose_received"].values, {"patient": patients}, ("patient",))
        return found if np.isfinite(found.values).any() else None
    return None


def _given_dose(dose: Any, patients: list[str], *, first: bool) -> xr.DataArray:
    if isinstance(dose, xr.DataArray):
        if "patient" not in dose.dims or not set(dose.dims) <= {"patient", "infusion"}:
            raise InputError("dose is an array without a dim 'patient': take it from the cohort, or give one number")
        if [str(name) for name in dose["patient"].values.tolist()] != patients:
            raise InputError("dose is over other patients than the profiles: select the same ones")
        if first and "infusion" in dose.dims:
            raise InputError("dose is over infusions: use infusions='each', or give the dose of one")
        if dose.dtype.kind not in "fiu":
            raise InputError("dose is no array of numbers: give cells as numbers")
        found = dose.astype(np.float64)
    else:
        try:
            values = np.broadcast_to(np.asarray(dose, dtype=np.float64), (len(patients),))
        except (TypeError, ValueError):
            raise InputError(
                f"dose fits neither one number nor the {len(patients)} patients: give an array over them"
            ) from None
        found = xr.DataArray(values.copy(), {"patient": patients}, ("patient",))
    if (found.values <= 0).any() or np.isinf(found.values).any():
        raise InputError("a dose is 0 or less, or infinite: leave it missing where it is unknown")
    return found


def add_dose_parameters(result: xr.Dataset, dose: xr.DataArray | None, *, disposition: bool, unit: str) -> xr.Dataset:
    """Return the result with dose-normalised parameters, and with `disposition` kel_obs, cl_obs and vz_obs.

    Where no dose is known at all, nothing is added; a patient without one has the reason ``no_dose``.
    """
    names = list(NORMALISED) if dose is not None else []
    names += ["kel_obs"] if disposition else []
    names += ["cl_obs", "vz_obs"] if disposition and dose is not None else []
    if not names:
        return result
    lead = [str(dim) for dim in result["cmax"].dims]
    columns, codes = {}, []
    reasons = dict(
        zip(result["parameter"].values.tolist(), np.moveaxis(result["reason_code"].values, -1, 0), strict=True)
    )
    cells = dose.broadcast_like(result["cmax"]).transpose(*lead).values if dose is not None else None
    for name in names:
        values, why = _one(result, name, cells, reasons)
        columns[name] = (lead, values, FURTHER[name])
        reasons[name] = why
        codes.append(why)
    out = add_columns(result, {name: (values, record) for name, (_, values, record) in columns.items()}, codes, unit)
    if cells is not None and result.sizes["interval"]:
        area = result["auc_interval"]
        attrs = {"long_name": AREA_DN.meaning, "pptestcd": AREA_DN.pptestcd, "cohort_hash": area.attrs["cohort_hash"]}
        if units := AREA_DN.units(unit, "day"):
            attrs["units"] = units
        out[AREA_DN.name] = (area.dims, area.values / cells[..., np.newaxis], attrs)
        why = result["interval_reason_code"].values
        unknown = (why == Reason.computed) & np.isnan(cells)[..., np.newaxis]
        reasons_attrs = result["interval_reason_code"].attrs
        out["auc_interval_dn_reason_code"] = (
            area.dims,
            np.where(unknown, Reason.no_dose, why).astype(np.int8),
            reasons_attrs,
        )
    return out


def _one(
    result: xr.Dataset, name: str, cells: np.ndarray | None, reasons: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    if name == "kel_obs":
        return 1.0 / result["mrt_inf_obs"].values, reasons["mrt_inf_obs"]
    assert cells is not None
    if name in NORMALISED:
        whole = NORMALISED[name]
        values, why = result[whole].values / cells, reasons[whole]
    else:
        area = result["auc_inf_obs"].values
        with np.errstate(divide="ignore"):
            values = cells / area
        why = np.where(
            (reasons["auc_inf_obs"] == Reason.computed) & (area == 0), Reason.no_area, reasons["auc_inf_obs"]
        )
        if name == "vz_obs":
            values = values / result["lambda_z"].values
            why = np.where(why == Reason.computed, reasons["lambda_z"], why)
    why = np.where((why == Reason.computed) & np.isnan(cells), Reason.no_dose, why).astype(np.int8)
    return np.where(why == Reason.computed, values, np.nan), why


def add_columns(
    result: xr.Dataset, columns: dict[str, tuple[np.ndarray, Any]], codes: list[np.ndarray], unit: str
) -> xr.Dataset:
    """Return the result with further parameters: values and record by name, and the reasons of each."""
    lead = [str(dim) for dim in result["reason_code"].dims[:-1]]
    source = result["cmax"].attrs["cohort_hash"]
    reasons = np.concatenate(
        [result["reason_code"].values, *(np.asarray(code, np.int8)[..., np.newaxis] for code in codes)], axis=-1
    )
    names = [*result["parameter"].values.tolist(), *columns]
    attrs = result["reason_code"].attrs
    out = result.drop_dims("parameter").assign_coords(parameter=("parameter", np.array(names, dtype=object)))
    for name, (values, record) in columns.items():
        out[name] = (lead, values, record_attrs(record, unit, source))
    out["reason_code"] = ((*lead, "parameter"), reasons, attrs)
    return out


def record_attrs(record: Any, unit: str, source: str) -> dict[str, Any]:
    """Return the attributes of a parameter's variable."""
    attrs: dict[str, Any] = {"long_name": record.meaning, "cohort_hash": source}
    if units := record.units(unit, "day"):
        attrs["units"] = units
    if record.pptestcd:
        attrs["pptestcd"] = record.pptestcd
    return attrs
