"""From the kernels' tables to the Dataset of an analysis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ..provenance import result_attrs, settings_json
from .doses import record_attrs
from .flags import flag_mask_attrs
from .inputs import leading_dims, time_variable
from .parameters import AREA, DISPOSITION, PARAMETERS
from .reasons import Reason, flag_attrs

TIME_UNIT = "day"
# ln of a level times the square of a time below which nothing overflows.
_LOG_SAFE = 500.0
SHARES = {
    "auc_interval_pct_observed": "share of the area between samples that lie in the interval",
    "auc_interval_pct_interpolated": "share of the area of which an end was interpolated or anchored",
    "auc_interval_pct_extrapolated": "share of the area beyond the last sample",
}
PER_PROFILE = {
    "n_samples": ("usable samples", "1"),
    "n_quantified": ("quantified samples at or after infusion", "1"),
    "n_blq": ("samples below the limit of quantification at or after infusion", "1"),
    "n_above_uloq": ("samples above the upper limit of quantification", "1"),
    "first_time": ("first usable sample at or after infusion", TIME_UNIT),
    "last_time": ("last usable sample", TIME_UNIT),
    "first_peak_time": ("first peak: the end of the expansion, tmax unless a larger second peak follows", TIME_UNIT),
}


@dataclass(frozen=True)
class Tables:
    """What the kernel wrote, per window: see `ckinetics.kernels.nca.profiles.analyse_all`."""

    out: np.ndarray
    why: np.ndarray
    areas: np.ndarray
    area_why: np.ndarray
    used: np.ndarray
    facts: np.ndarray
    flags: np.ndarray


def empty_tables(windows: int, intervals: int, samples: int) -> Tables:
    """Return tables of the kernel's shapes."""
    from ..kernels.nca import codes

    return Tables(
        out=_taken(np.empty((codes.N_PARAMETERS, windows))),
        why=_taken(np.empty((windows, codes.N_PARAMETERS), dtype=np.int8)),
        areas=_taken(np.empty((intervals, 4, windows))),
        area_why=np.empty((windows, intervals), dtype=np.int8),
        used=_taken(np.empty((windows, samples), dtype=np.int8)),
        facts=_taken(np.empty((codes.N_FACTS, windows))),
        flags=np.empty(windows, dtype=np.int32),
    )


def _taken(table: np.ndarray) -> np.ndarray:
    """Take a table's memory from the system, page after page, and return the table.

    The kernel fills all columns in turn; to take half a gigabyte of pages in that order costs three times as much.
    """
    table.reshape(-1)[:: 4096 // table.itemsize] = 0
    return table


def name_too_large(tables: Tables) -> None:
    """Take out what overflowed, in place, with its reason: areas and moments of levels near the largest number."""
    from ..kernels.nca import codes

    level = np.fmax.reduce(tables.out[codes.CMAX_LOWER], initial=0.0)
    last = np.fmax.reduce(tables.facts[codes.LAST_TIME], initial=1.0)
    if np.log(max(level, 1.0)) + 2.0 * np.log(last) < _LOG_SAFE:
        return
    lost = ~np.isfinite(tables.out.T) & (tables.why == Reason.computed)
    lost[:, codes.PERSISTENCE_UPPER] = False
    tables.why[lost] = Reason.too_large
    tables.out.T[lost] = np.nan
    gone = ~np.isfinite(tables.areas[:, 0].T) & (tables.area_why == Reason.computed)
    tables.area_why[gone] = Reason.too_large
    np.moveaxis(tables.areas, 1, -1)[gone.T] = np.nan


def build_result(
    profiles: xr.Dataset,
    tables: Tables,
    spans: np.ndarray,
    labels: list[str],
    settings: dict[str, Any],
    source: str,
    *,
    infusions: xr.Dataset | None,
    disposition: bool,
) -> xr.Dataset:
    """Return the Dataset of an analysis; `infusions` adds a dim ``infusion`` after the other leading dims."""
    lead = leading_dims(profiles)
    sizes = [profiles.sizes[dim] for dim in lead]
    dims = lead if infusions is None else (*lead, "infusion")
    shape = sizes if infusions is None else [*sizes, infusions.sizes["infusion"]]
    unit = str(profiles["level"].attrs.get("units", ""))
    variables: dict[str, Any] = {}
    shown = [name for name in PARAMETERS if disposition or name not in DISPOSITION]
    for position, parameter in enumerate(PARAMETERS.values()):
        if parameter.name in shown:
            values = tables.out[position].reshape(shape)
            variables[parameter.name] = (dims, values, record_attrs(parameter, unit, source))
    areas = np.moveaxis(tables.areas.reshape(len(spans), 4, *shape), 0, -1)
    variables["auc_interval"] = ((*dims, "interval"), areas[0], record_attrs(AREA, unit, source))
    for position, (name, meaning) in enumerate(SHARES.items(), start=1):
        variables[name] = ((*dims, "interval"), areas[position], {"long_name": meaning, "units": "%"})
    for position, (name, (meaning, units)) in enumerate(PER_PROFILE.items()):
        variables[name] = (dims, tables.facts[position].reshape(shape), {"long_name": meaning, "units": units})
    why = tables.why[:, : len(shown)]  # what is shown on demand only comes last
    variables["reason_code"] = (
        (*dims, "parameter"),
        why.reshape(*shape, len(shown)),
        {"long_name": "why a parameter is missing", **flag_attrs()},
    )
    variables["interval_reason_code"] = (
        (*dims, "interval"),
        tables.area_why.reshape(*shape, len(spans)),
        {"long_name": "why an area is missing", **flag_attrs()},
    )
    variables["flags"] = (dims, tables.flags.reshape(shape), flag_mask_attrs())
    variables["lambda_z_used"] = (
        (*dims, "sample"),
        tables.used.reshape(*shape, tables.used.shape[1]),
        {
            "long_name": "sample entered lambda_z",
            "flag_values": np.array([0, 1], dtype=np.int8),
            "flag_meanings": "not_used used",
        },
    )
    variables |= _samples(profiles, settings["times"], (*lead, "sample"))
    if infusions is not None:
        variables["infusion_time"] = (
            ("patient", "infusion"),
            infusions["time"].values,
            {"long_name": "time of the infusion, from which times count", "units": TIME_UNIT},
        )
    return xr.Dataset(variables, _coords(profiles, lead, spans, labels, shown, infusions), _attrs(settings, source))


def _samples(profiles: xr.Dataset, times: str, dims: tuple[str, ...]) -> dict[str, Any]:
    time = profiles[time_variable(profiles, times)].transpose(*dims)
    found: dict[str, Any] = {"time": (dims, time.values, {"long_name": "time used", "units": TIME_UNIT})}
    for name in ("level", "status", "excluded", "lloq"):
        if name in profiles:
            array = profiles[name].transpose(*dims)
            found[name] = (dims, array.values, dict(array.attrs))
    return found


def _coords(
    profiles: xr.Dataset,
    lead: tuple[str, ...],
    spans: np.ndarray,
    labels: list[str],
    shown: list[str],
    infusions: xr.Dataset | None,
) -> dict[str, Any]:
    coords: dict[str, Any] = {
        str(name): coord.variable for name, coord in profiles.coords.items() if set(coord.dims) <= set(lead)
    }
    coords["parameter"] = ("parameter", np.array(shown, dtype=object))
    coords["interval"] = ("interval", np.array(labels, dtype=object))
    coords["interval_start"] = ("interval", spans[:, 0].copy(), {"units": TIME_UNIT})
    coords["interval_end"] = ("interval", spans[:, 1].copy(), {"units": TIME_UNIT})
    if infusions is not None:
        coords["infusion"] = ("infusion", np.arange(1, infusions.sizes["infusion"] + 1))
    return coords


def _attrs(settings: dict[str, Any], source: str) -> dict[str, Any]:
    return result_attrs(
        title="noncompartmental analysis",
        source=source,
        result="nca",
        settings=settings,
        min_points=int(settings["rules"]["min_points"]),
        peak_fold=float(settings["peak_fold"]),
        rules=settings_json(settings["rules"]),
    )
