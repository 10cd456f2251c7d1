"""Peaks of cytokines, with what is known of those that were not quantified."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..cohorts import profiles_of
from ..errors import InputError
from ..provenance import content_hash, result_attrs
from ..schema import BLQ_STATUSES, Excluded, Status, series_dim


def peaks(
    data: xr.DataTree | xr.Dataset,
    /,
    *,
    group: str = "cytokines",
    window: tuple[float, float] = (0.0, 28.0),
) -> xr.Dataset:
    """Find the peak of every profile in a window after infusion.

    Parameters
    ----------
    data : DataTree or Dataset
        A cohort, or profiles.
    group : str
        Which group of a cohort.
    window : (start, end)
        Days since infusion; both ends belong to it.

    Returns
    -------
    Dataset
        ``peak`` and ``tpeak`` (the first time, where levels tie) over (patient, cytokine). A peak is NaN where a
        sample of the window was above its ULOQ, or where none was quantified; the coordinates ``censored``
        (1 above, -1 below, 0 otherwise) and ``bound`` (the limit) then say what is known, and travel with
        the variable.

    Raises
    ------
    InputError
        There is no such group, or the window is not one.
    """
    if not window[0] < window[1]:
        raise InputError(f"window {window} is not one: give (start, end) in days")
    profiles = profiles_of(data, group)
    dims = profiles["level"].dims
    time, status = profiles["time"].values, profiles["status"].values
    inside = (time >= window[0]) & (time <= window[1])
    if "excluded" in profiles:
        inside &= profiles["excluded"].values != Excluded.excluded
    level = np.where(inside & (status == Status.quantified), profiles["level"].values, -np.inf)
    above = inside & (status == Status.above_uloq)
    below = inside & np.isin(status, [int(code) for code in BLQ_STATUSES])
    limit = {
        name: profiles[name].values if name in profiles else np.full(level.shape, np.nan) for name in ("lloq", "uloq")
    }
    top = level.max(axis=-1, initial=-np.inf)
    found = np.isfinite(top) & ~above.any(axis=-1)
    at = level.argmax(axis=-1) if level.shape[-1] else np.zeros(top.shape, int)
    tpeak = np.take_along_axis(time, at[..., np.newaxis], axis=-1)[..., 0] if level.shape[-1] else top
    only_below = ~np.isfinite(top) & ~above.any(axis=-1) & below.any(axis=-1)
    censored = np.where(above.any(axis=-1), 1, np.where(only_below, -1, 0)).astype(np.int8)
    high = np.where(above, limit["uloq"], -np.inf).max(axis=-1, initial=-np.inf)
    low = np.where(below, limit["lloq"], -np.inf).max(axis=-1, initial=-np.inf)
    bound = np.where(censored == 1, high, np.where(censored == -1, low, np.nan))
    lead = dims[:-1]
    series = series_dim(group) if group in ("cytokines", "counts") else str(lead[-1])
    source = content_hash(data)
    attrs = {"long_name": f"largest level from day {window[0]:g} to {window[1]:g}", "cohort_hash": source}
    unit = str(profiles["level"].attrs.get("units", ""))
    if unit:
        attrs["units"] = unit
    coords = {str(n): c.variable for n, c in profiles.coords.items() if set(c.dims) <= set(lead)}
    coords["censored"] = xr.Variable(
        lead,
        censored,
        {"flag_values": np.array([-1, 0, 1], dtype=np.int8), "flag_meanings": "below not_censored above"},
    )
    coords["bound"] = xr.Variable(lead, bound, {"long_name": "limit beyond which a censored peak lies"})
    return xr.Dataset(
        {
            "peak": (lead, np.where(found, top, np.nan), attrs),
            "tpeak": (lead, np.where(found, tpeak, np.nan), {"long_name": "time of the peak", "units": "day"}),
        },
        coords,
        result_attrs(
            title=f"peaks of {series}",
            source=source,
            result="peaks",
            settings={"group": group, "window": list(window)},
        ),
    )
