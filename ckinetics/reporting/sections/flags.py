"""The section on what was left out or could not be computed: who, when and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ...errors import InputError
from ...plot.style import parameter_label
from ..core.blocks import Paragraph, Section, Table
from ..core.numbers import number
from ..core.results import Results, flag_words, model_name
from ..core.series import cautions_of, flag_name, reasons_of
from ..tables.sheets import samples_frame

Flags = pd.DataFrame | Sequence[str] | Sequence[Mapping[str, Any]]
_SAMPLE_COLUMNS = (
    "group", "patient", "series", "time", "status", "level", "unit", "plate", "reason", "by", "sample_id",
)  # fmt: skip
# A parameter that is missing because the profile has no such thing says something of the profile, not of the data.
_FINDINGS = ("still_quantified", "no_second_peak", "no_threshold", "never_reached", "no_predose_sample", "baseline_blq",
             "no_blq_before")  # fmt: skip


def flags_section(cohort: xr.DataTree, results: Results, flags: Flags | None) -> Section:
    """Return the section; it is there even where there is nothing to say, and then says so."""
    samples = samples_frame(cohort)
    status = samples["status"]
    early = (samples["time"] < 0) & status.isin(["quantified", "above_uloq"]) & (samples["group"] == "kinetics")
    blocks: list[Any] = [
        *_samples("Excluded samples", samples[samples["excluded"] == "excluded"]),
        *_samples("Samples without a level", samples[status.isin(["invalid", "insufficient_dna"])]),
        *_samples("Samples above ULOQ: a lower bound only", samples[status == "above_uloq"]),
        *_samples("Transgene quantified before the infusion", samples[early]),
        *_sets(cohort),
    ]
    for at, nca in enumerate(results.nca, start=1):
        name = f"Noncompartmental analysis{f' {at}' if len(results.nca) > 1 else ''}"
        blocks += [*_not_calculable(nca, name), *_cautions(nca, name)]
    for fit in results.fits:
        blocks += _fit_messages(fit)
    for result in results.exposures:
        blocks += _dropped(result)
    blocks += _given(flags)
    if not blocks:
        blocks.append(Paragraph("Nothing was excluded, nothing is invalid, and everything could be computed."))
    return Section("flags", "Flags and exclusions", blocks)


def _samples(caption: str, frame: pd.DataFrame) -> list[Table]:
    if frame.empty:
        return []
    rows = []
    for row in frame.to_dict("records"):
        cells = {name: row[name] if isinstance(row[name], str) else "" for name in _SAMPLE_COLUMNS}
        cells["time"] = number(row["time"]) if np.isfinite(row["time"]) else "not known"
        cells["level"] = number(row["level"]) if np.isfinite(row["level"]) else "none"
        cells["status"] = str(row["status"]).replace("_", " ")
        cells["reason"] = row["reason"] or "no reason recorded"
        rows.append([cells[name] for name in _SAMPLE_COLUMNS])
    columns = [name.replace("_", " ") for name in _SAMPLE_COLUMNS]
    units = ["day" if name == "time" else "" for name in _SAMPLE_COLUMNS]
    return [Table(f"{caption} ({len(rows)})", columns, rows, units=units, numeric=frozenset({3, 5}))]


def _sets(cohort: xr.DataTree) -> list[Table]:
    rows = []
    for name in ("safety_set", "efficacy_set"):
        if name not in cohort.data_vars:
            continue
        words = flag_words(cohort.dataset[name])
        for at, patient in enumerate(cohort.dataset["patient"].values.tolist()):
            if words[at] == "no":
                reason = str(cohort.dataset["set_reason"].values[at]) if "set_reason" in cohort.data_vars else ""
                rows.append((str(patient), name.replace("_", " "), reason or "no reason recorded"))
    caption = f"Patients outside an analysis set ({len(rows)})"
    return [Table(caption, ("patient", "set", "reason"), rows)] if rows else []


def _not_calculable(nca: xr.Dataset, name: str) -> list[Any]:
    reasons = reasons_of(nca)
    reasons = reasons[~reasons["reason"].isin(_FINDINGS)]
    if reasons.empty:
        return []
    series = str(reasons.columns[1])
    missing: dict[tuple[str, str, str], list[str]] = {}
    for row in reasons.to_dict("records"):
        key = (str(row["patient"]), str(row[series]), str(row["sentence"]))
        missing.setdefault(key, []).append(parameter_label(str(row["parameter"])))
    rows = [
        (patient, label, "; ".join(parameters), f"{sentence[0].upper()}{sentence[1:]}.")
        for (patient, label, sentence), parameters in missing.items()
    ]
    note = (
        "What a profile does not have (a second peak, a BLQ sample after the last quantified one, a threshold) is not "
    )
    note += "listed: the workbook's sheet of reasons has it."
    columns = ("patient", series, "parameters", "reason")
    return [Table(f"{name}: what could not be computed, and why", columns, rows), Paragraph(note)]


def _cautions(nca: xr.Dataset, name: str) -> list[Table]:
    cautions = cautions_of(nca)
    if cautions.empty:
        return []
    series = str(cautions.columns[1])
    rows = [
        (str(row["patient"]), str(row[series]), flag_name(str(row["caution"])), str(row["sentence"]))
        for row in cautions.to_dict("records")
    ]
    return [Table(f"{name}: values to be read with caution", ("patient", series, "caution", "in words"), rows)]


def _fit_messages(fit: xr.DataTree) -> list[Table]:
    ended = flag_words(fit.dataset["convergence"])
    rows = [
        (str(patient), str(word).replace("_", " "), str(message))
        for patient, word, message in zip(
            fit.dataset["patient"].values.tolist(), ended, fit.dataset["message"].values, strict=True
        )
        if str(message) not in ("", "converged")
    ]
    caption = f"Fit of {model_name(fit)}: what was not used or not determined"
    return [Table(caption, ("patient", "fit", "message"), rows)] if rows else []


def _dropped(result: xr.Dataset) -> list[Table]:
    rows = [
        (str(patient), str(reason) or "no reason recorded")
        for patient, used, reason in zip(
            result["patient"].values.tolist(), result["used"].values, result["drop_reason"].values, strict=True
        )
        if used != 1
    ]
    left_out = str(result.attrs.get("left_out_by_join", ""))
    if left_out:
        rows.append((left_out, "in one of the two arrays only"))
    title = str(result.attrs.get("title") or result.attrs["result"])
    return [Table(f"{title}: patients dropped", ("patient", "reason"), rows)] if rows else []


def _given(flags: Flags | None) -> list[Table]:
    """Return what the caller adds: a table, or sentences."""
    if flags is None:
        return []
    if isinstance(flags, str):
        raise InputError("flags is one text: give a list of sentences, or a DataFrame")
    if not isinstance(flags, pd.DataFrame):
        flags = pd.DataFrame([flag if isinstance(flag, Mapping) else {"flag": str(flag)} for flag in flags])
    if flags.empty:
        return []
    rows = [
        [number(value) if isinstance(value, float) and np.isfinite(value) else _text(value) for value in row]
        for row in flags.itertuples(index=False, name=None)
    ]
    return [Table(f"Further flags ({len(rows)})", [str(name) for name in flags.columns], rows)]


def _text(value: Any) -> str:
    return "" if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)) else str(value)
