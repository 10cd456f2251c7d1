"""The tables of the workbook: names, units and columns, numbers in full."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ...noncompartmental import PARAMETERS, nca_summary
from ...noncompartmental.columns import RATIO
from ...noncompartmental.rules import AUC_METHODS
from ...noncompartmental.tables import long_table, wide_columns
from ...provenance import now, settings_json, user, versions
from ...schema import PROFILE_GROUPS, Excluded, Status, series_dim
from ..core.results import Results, flag_words, model_name
from ..core.series import cautions_of, each_series, reasons_of
from .auc_methods import areas_by_method, ratios_to_own
from .summaries import summary

_PROFILE_COLUMNS = (
    "time", "nominal_time", "collected", "status", "level", "lod", "lloq", "uloq", "se_well", "se_plate",
    "plate", "excluded", "reason", "by", "sample_id",
)  # fmt: skip
SEE_COLUMN = "see unit"


@dataclass
class Sheet:
    """A sheet: a table and the unit of each column; ``has_units`` is off where a row of units says nothing."""

    name: str
    frame: pd.DataFrame
    units: dict[str, str] = field(default_factory=dict)
    has_units: bool = True


def samples_frame(cohort: xr.DataTree) -> pd.DataFrame:
    """Return every sample of every group of profiles, one row each; statuses as words."""
    frames = []
    for group in PROFILE_GROUPS:
        if group not in cohort.children:
            continue
        dataset = cohort[group].to_dataset()
        dim = series_dim(group)
        dataset = dataset.transpose("patient", dim, "sample")
        at = np.nonzero(dataset["status"].values != Status.missing)
        columns: dict[str, Any] = {
            "group": group,
            "patient": [str(name) for name in dataset["patient"].values[at[0]].tolist()],
            "series": [str(name) for name in dataset[dim].values[at[1]].tolist()],
        }
        units = dataset["unit"].values if "unit" in dataset.coords else None
        unit = str(dataset["level"].attrs.get("units", ""))
        columns["unit"] = [str(units[i]) for i in at[1]] if units is not None else [unit] * len(at[0])
        for name in _PROFILE_COLUMNS:
            if name in ("status", "excluded"):
                codes = Status if name == "status" else Excluded
                words = {int(code): code.name for code in codes}
                values = dataset[name].values[at] if name in dataset else np.zeros(len(at[0]), dtype=int)
                columns[name] = [words[int(code)] for code in values]
            elif name in dataset:
                columns[name] = dataset[name].values[at]
            else:
                columns[name] = "" if name in ("plate", "reason", "by", "sample_id") else np.nan
        frames.append(pd.DataFrame(columns, index=range(len(at[0]))))
    names = ["group", "patient", "series", "unit", *_PROFILE_COLUMNS]
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True)[names] if filled else pd.DataFrame(columns=names)


def all_sheets(
    cohort: xr.DataTree,
    results: Results,
    title: str,
    inputs: Sequence[tuple[str, str]],
    flags: list[Sheet],
    sentences: list[str],
) -> list[Sheet]:
    """Return the sheets of a workbook, in order."""
    samples = samples_frame(cohort)
    level_unit = _one(samples["unit"].tolist())
    sheets = [Sheet("Summary", pd.DataFrame({"summary": [title, *sentences]}), has_units=False)]
    if results.nca:
        sheets += [_nca_sheet(results), _nca_summary_sheet(results), *_nca_further(cohort, results)]
    units = dict.fromkeys(("level", "lod", "lloq", "uloq"), level_unit)
    sheets.append(
        Sheet("Samples", samples, {**units, "time": "day", "nominal_time": "day", "se_well": "1", "se_plate": "1"})
    )
    for at, fit in enumerate(results.fits, start=1):
        sheets.append(_fit_sheet(fit, "Fit" if at == 1 else f"Fit {at}"))
    if results.fits:
        frame = pd.concat([summary(fit) for fit in results.fits], ignore_index=True)
        statistics = ("geometric mean of determined", "median", "minimum", "maximum")
        per_row = dict.fromkeys(statistics, SEE_COLUMN)
        sheets.append(Sheet("Fit summary", frame, {**per_row, "geometric CV % of determined": "%"}))
    if results.exposures:
        sheets += _exposure_sheets(results)
    for name, dim in (("curves", "curve"), ("verdicts", "verdict"), ("results", "result"), ("wells", "well")):
        if name in cohort.children:
            sheets.append(_table_sheet(cohort[name].to_dataset(), dim, name.capitalize()))
    sheets.append(Sheet("Reasons", _of_analyses(results, reasons_of)))
    cautions = _of_analyses(results, cautions_of)
    if len(cautions):
        sheets.append(Sheet("Cautions", cautions))
    sheets += flags
    sheets.append(_provenance_sheet(results, title, inputs))
    return sheets


def _one(units: list[str]) -> str:
    """Return the unit that all rows share, or where to find each row's own."""
    distinct = set(units)
    return distinct.pop() if len(distinct) == 1 else (SEE_COLUMN if distinct else "")


def _of_analyses(results: Results, table: Callable[[xr.Dataset], pd.DataFrame]) -> pd.DataFrame:
    """Return one table of all analyses, with the number of each."""
    frames = [table(nca).assign(analysis=at) for at, nca in enumerate(results.nca, start=1)]
    filled = [frame for frame in frames if len(frame)]
    if filled:
        return pd.concat(filled, ignore_index=True)
    return frames[0] if frames else pd.DataFrame(columns=["patient", "matrix", "parameter", "reason", "sentence"])


def _nca_sheet(results: Results) -> Sheet:
    """Return every parameter of every profile, with standard errors and intervals, shares, counts and flags."""
    frames: list[pd.DataFrame] = []
    units: dict[str, str] = {}
    for at, nca in enumerate(results.nca, start=1):
        frame, own = wide_columns(nca)
        frame.insert(0, "analysis", at)
        frames.append(frame)
        for name, unit in own.items():
            units[name] = unit if units.get(name, unit) == unit else SEE_COLUMN
    return Sheet("NCA", pd.concat(frames, ignore_index=True), units)


def _nca_summary_sheet(results: Results) -> Sheet:
    frames = [
        nca_summary(one, parameters=[name for name in PARAMETERS if name in one]).assign(analysis=at)
        for at, nca in enumerate(results.nca, start=1)
        for _, one in each_series(nca)
    ]
    frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame({"parameter": []})
    units = dict.fromkeys(("geometric mean", "mean", "SD", "median", "minimum", "maximum"), SEE_COLUMN)
    return Sheet("NCA summary", frame, {**units, "geometric CV %": "%"})


def _nca_further(cohort: xr.DataTree, results: Results) -> list[Sheet]:
    """Return the areas under each method, and the ratios of blood to other matrices."""
    sheets = []
    areas = [
        (at, areas_by_method(cohort, nca))
        for at, nca in enumerate(results.nca, start=1)
        if nca.sizes.get("interval") and nca.sizes["patient"]
    ]
    if areas:
        per_row = dict.fromkeys(AUC_METHODS, SEE_COLUMN)
        of_each = pd.concat([frame.assign(analysis=at) for at, frame in areas], ignore_index=True)
        over = pd.concat([ratios_to_own(frame).assign(analysis=at) for at, frame in areas], ignore_index=True)
        sheets += [Sheet("NCA methods", of_each, per_row), Sheet("NCA methods summary", over)]
    if any(RATIO in nca for nca in results.nca):
        ratio = _of_analyses(results, lambda nca: long_table(nca).query("parameter.str.startswith(@RATIO)"))
        shown = [name for name in ratio if name not in ("PPTESTCD", "bound", "flags")]
        sheets.append(Sheet("NCA ratios", ratio[shown]))
    return sheets


def _fit_sheet(fit: xr.DataTree, name: str) -> Sheet:
    estimates = fit["estimates"].to_dataset().transpose("patient", "parameter")
    columns: dict[str, Any] = {
        "model": model_name(fit),
        "patient": [str(patient) for patient in fit.dataset["patient"].values.tolist()],
        "convergence": flag_words(fit.dataset["convergence"]),
        "message": fit.dataset["message"].values,
    }
    for variable in ("minus2ll", "n_samples", "n_quantified", "n_censored", "n_unused"):
        columns[variable] = fit.dataset[variable].values
    units: dict[str, str] = {}
    for at, parameter in enumerate(estimates["parameter"].values.tolist()):
        unit = str(estimates["unit"].values[at]) if "unit" in estimates.coords else ""
        for variable in ("estimate", "se", "lower", "upper"):
            label = f"{parameter} {variable}"
            columns[label], units[label] = estimates[variable].values[:, at], unit
    if "derived" in fit.children:
        derived = fit["derived"].to_dataset().transpose("patient", "quantity")
        for at, quantity in enumerate(derived["quantity"].values.tolist()):
            columns[str(quantity)] = derived["value"].values[:, at]
            units[str(quantity)] = str(derived["unit"].values[at]) if "unit" in derived.coords else ""
    return Sheet(name, pd.DataFrame(columns, index=range(fit.sizes["patient"])), units)


def _exposure_sheets(results: Results) -> list[Sheet]:
    rows = pd.concat([summary(result) for result in results.exposures], ignore_index=True)
    frames = []
    for result in results.exposures:
        columns: dict[str, Any] = {"analysis": str(result.attrs.get("title") or result.attrs["result"])}
        for name in ("patient", "exposure", "outcome", "peak", "used", "drop_reason"):
            if name in result.variables:
                columns[name] = result[name].values
        columns["exposure unit"] = str(result.attrs.get("exposure_units", ""))
        columns["peak unit"] = str(result.attrs.get("peak_units", ""))
        frames.append(pd.DataFrame(columns, index=range(result.sizes["patient"])))
    patients = pd.concat(frames, ignore_index=True)
    units = {
        name: _one([unit for unit in patients[f"{name} unit"].tolist() if unit]).replace(SEE_COLUMN, f"see {name} unit")
        for name in ("exposure", "peak")
    }
    return [Sheet("Exposure", rows), Sheet("Exposure patients", patients, units)]


def _table_sheet(dataset: xr.Dataset, dim: str, name: str) -> Sheet:
    columns: dict[str, Any] = {}
    units = {}
    for variable in dataset.data_vars:
        array = dataset[variable]
        if array.dims != (dim,):
            continue
        columns[str(variable)] = flag_words(array) if "flag_meanings" in array.attrs else array.values
        units[str(variable)] = str(array.attrs.get("units", ""))
    return Sheet(name, pd.DataFrame(columns, index=range(dataset.sizes[dim])), units)


def _provenance_sheet(results: Results, title: str, inputs: Sequence[tuple[str, str]]) -> Sheet:
    rows = [("study", title), ("made", now()), ("by", user()), ("cohort hash (SHA-256)", results.cohort_hash)]
    rows += [(f"version of {name}", version) for name, version in versions().items()]
    rows += [(f"SHA-256 of {name}", digest) for name, digest in inputs]
    for at, result in enumerate(results.all, start=1):
        attrs = {str(key): value for key, value in result.attrs.items() if key not in ("settings", "model_text")}
        rows.append((f"result {at}: {result.attrs.get('title', '')}", settings_json(attrs)))
        rows.append((f"result {at}: settings", str(result.attrs.get("settings", ""))))
    return Sheet("Provenance", pd.DataFrame(rows, columns=["what", "value"]), has_units=False)
