"""Blood against another matrix: ratios of exposures, and of levels sampled together."""

from __future__ import annotations

import json

import numpy as np
import xarray as xr

from ..schema import Excluded, Status
from .reasons import Reason, flag_attrs

# Samples of two matrices count as taken together within so many days.
PAIR_DAYS = 1.0
RATIOS = ("cmax", "auc_last", "paired")
_MEANING = (
    "level of blood over that of the other matrix: of cmax, of auc_last, and the geometric mean over pairs of "
    f"quantified samples taken within {PAIR_DAYS:g} day, each the nearest to the other (so in one pair at most)"
)


def add_ratios(result: xr.Dataset) -> xr.Dataset:
    """Return the result with ``matrix_ratio``, where blood and another matrix of the same unit are there.

    Over (patient, …, matrix_pair, ratio), with ``matrix_ratio_n_pairs`` and ``matrix_ratio_reason_code``; a pair is
    labelled "blood/bone marrow".
    """
    lead = [str(dim) for dim in result["reason_code"].dims[:-1]]
    if "matrix" not in lead or "infusion" in lead:
        return result
    labels = [str(label) for label in result["matrix"].values.tolist()]
    units = [str(unit) for unit in result["unit"].values.tolist()] if "unit" in result.coords else [""] * len(labels)
    if "blood" not in labels:
        return result
    blood = labels.index("blood")
    others = [at for at, label in enumerate(labels) if at != blood and units[at] == units[blood]]
    if not others:
        return result
    rest = [dim for dim in lead if dim != "matrix"]
    shape = [result.sizes[dim] for dim in rest]
    values = np.full((*shape, len(others), len(RATIOS)), np.nan)
    why = np.full(values.shape, int(Reason.no_pair), dtype=np.int8)
    pairs = np.zeros((*shape, len(others)))
    for position, other in enumerate(others):
        for column, name in enumerate(RATIOS[:2]):
            values[..., position, column], why[..., position, column] = _exposure_ratio(result, name, blood, other)
        logs, count = _paired(result, blood, other)
        values[..., position, 2] = np.exp(logs)
        why[..., position, 2] = np.where(count > 0, Reason.computed, Reason.no_pair)
        pairs[..., position] = count
    dims = (*rest, "matrix_pair", "ratio")
    out = result.assign_coords(
        matrix_pair=("matrix_pair", np.array([f"blood/{labels[other]}" for other in others], dtype=object)),
        ratio=("ratio", np.array(RATIOS, dtype=object)),
    )
    out["matrix_ratio"] = (dims, values, {"long_name": _MEANING, "units": "1"})
    out["matrix_ratio_n_pairs"] = (dims[:-1], pairs, {"long_name": "samples taken together", "units": "1"})
    out["matrix_ratio_reason_code"] = (dims, why, {"long_name": "why a ratio is missing", **flag_attrs()})
    return out


def _exposure_ratio(result: xr.Dataset, name: str, blood: int, other: int) -> tuple[np.ndarray, np.ndarray]:
    values, codes = result[name], result["reason_code"].sel(parameter=name)
    above, below = (values.isel(matrix=at).values for at in (blood, other))
    first, second = (codes.isel(matrix=at).values for at in (blood, other))
    why = np.where(first == Reason.computed, second, first)
    why = np.where((why == Reason.computed) & (below <= 0), Reason.no_area, why)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(why == Reason.computed, above / below, np.nan)
    return ratio, why


def _paired(result: xr.Dataset, blood: int, other: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean log ratio over samples taken together in the window, and their number."""
    found = json.loads(str(result.attrs["settings"]))["window"] or (0.0, np.inf)
    window = [float(end) for end in found]  # JSON has an infinite end as a word
    known = (result["status"] == Status.quantified) & (result["level"] > 0)
    known &= (result["time"] >= window[0]) & (result["time"] <= window[1])
    if "excluded" in result:
        known &= result["excluded"] != Excluded.excluded
    order = [str(dim) for dim in result["time"].dims if dim not in ("matrix", "sample")] + ["sample"]
    times, logs = [], []
    for at in (blood, other):
        there = known.isel(matrix=at).transpose(*order)
        times.append(result["time"].isel(matrix=at).transpose(*order).where(there).values)
        logs.append(np.log(result["level"].isel(matrix=at).transpose(*order).where(there).values))
    forth, gap = _nearest(*times)
    back, _ = _nearest(*times[::-1])
    mutual = np.take_along_axis(back, forth, axis=-1) == np.arange(forth.shape[-1])
    near = mutual & (gap <= PAIR_DAYS)
    ratio = logs[0] - np.take_along_axis(logs[1], forth, axis=-1)
    count = near.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(near, ratio, 0.0).sum(axis=-1) / count, count


def _nearest(times: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each time the position of the nearest other one, the first of equally near ones, and the gap."""
    found, gaps = np.zeros(times.shape, dtype=np.int64), np.full(times.shape, np.inf)
    for i in range(times.shape[-1]):  # one column at a time: a table of all pairs would be large
        gap = np.abs(times[..., i : i + 1] - others)
        gap = np.where(np.isnan(gap), np.inf, gap)
        found[..., i], gaps[..., i] = gap.argmin(axis=-1), gap.min(axis=-1)
    return found, gaps
