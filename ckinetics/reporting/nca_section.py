"""The section on noncompartmental parameters: over patients, and of each patient."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..noncompartmental import PARAMETERS, nca_summary, reasons_table
from ..noncompartmental.reasons import Reason
from ..noncompartmental.summaries import SHOWN
from ..plot.style import parameter_label, unit_label
from .blocks import Heading, Notes, Paragraph, Section, Table
from .numbers import NOT_CALCULABLE, number, span
from .results import Results, settings_of

# Beside lambda_z a person wants to see from how many points it is.
_WITH_POINTS = tuple(x for name in SHOWN for x in ((name, "lambda_z_n_points") if name == "lambda_z" else (name,)))
_STATISTICS = (
    "“Geometric mean” is exp of the mean of ln over positive values; “CV %” is the geometric coefficient of variation, "
    "100·√(exp(s²) − 1) with s the standard deviation of ln. Times, counts and shares have a median and a "
    "range only. n is the number of patients with a value; patients without one, among them those who never "
    "expanded, are counted as not calculable (n.c.), with the reason."
)


def nca_section(results: Results) -> Section | None:
    """Return the section, None where there is no nca."""
    if not results.nca:
        return None
    blocks: list[Any] = [Paragraph(_STATISTICS)]
    for at, nca in enumerate(results.nca, start=1):
        if len(results.nca) > 1:
            blocks.append(Heading(f"Analysis {at} (preset {settings_of(nca).get('preset', 'not recorded')})"))
        table, reasons = nca_summary(nca), reasons_table(nca)
        series = str(nca["reason_code"].dims[1])
        for position, label in enumerate(nca[series].values.tolist()):
            words = _reason_words(nca, position)
            rows = table[table[series] == label]
            blocks.append(_over_patients(rows, str(label), words, nca.sizes["patient"]))
            blocks.append(_of_patients(nca, position, str(label), reasons[reasons[series] == label]))
    return Section("nca", "Noncompartmental parameters", blocks)


def _reason_words(nca: xr.Dataset, position: int) -> dict[str, str]:
    """Return, for each parameter, how many values are missing for which reason."""
    out = {}
    for variable, dim, prefix in (
        ("reason_code", "parameter", ""),
        ("interval_reason_code", "interval", "auc_interval "),
    ):
        codes = nca[variable].values[:, position, :]
        for at, name in enumerate(nca[dim].values.tolist()):
            counts = Counter(Reason(int(code)) for code in codes[:, at] if code != Reason.computed)
            words = (
                f"{reason.name.replace('_', ' ').replace('blq', 'BLQ')}: {n}" for reason, n in counts.most_common()
            )
            out[f"{prefix}{name}"] = "; ".join(words)
    return out


def _over_patients(table: pd.DataFrame, label: str, words: dict[str, str], patients: int) -> Table:
    rows = []
    notes = Notes()
    for row in table.to_dict("records"):
        name = str(row["parameter"])
        known = PARAMETERS.get(name, PARAMETERS["auc_last"])
        there = bool(row["n"])
        geometric = known.statistic == "geometric" and there and np.isfinite(row["geometric mean"])
        mean = number(row["geometric mean"]) if geometric else "" if there else NOT_CALCULABLE
        if geometric and row["n not positive"]:
            mean += notes.mark(f"{row['n not positive']} values of 0 are not in the geometric mean.")
        if geometric:
            # One value has no spread, and says so.
            spread = number(row["geometric CV %"]) if np.isfinite(row["geometric CV %"]) else "one value"
        else:
            spread = ""
        rows.append(
            (
                parameter_label(name),
                unit_label(str(row["unit"])),
                str(row["n"]),
                str(row["n not calculable"]),
                mean,
                spread,
                number(row["median"]) if there else NOT_CALCULABLE,
                span(row["minimum"], row["maximum"]) if there else "",
                words.get(name, ""),
            )
        )
    return Table(
        f"{label.capitalize()}: parameters over {patients} patients",
        (
            "parameter",
            "unit",
            "n",
            "n.c.",
            "geometric mean",
            "CV %",
            "median",
            "minimum–maximum",
            "not calculable because",
        ),
        rows,
        numeric=frozenset(range(2, 8)),
        notes=notes.sentences,
    )


def _of_patients(nca: xr.Dataset, position: int, label: str, reasons: pd.DataFrame) -> Table:
    sentences = {
        (str(row["patient"]), str(row["parameter"])): _general(str(row["sentence"]))
        for row in reasons.to_dict("records")
    }
    names = [name for name in _WITH_POINTS if name in nca]
    intervals = [f"auc_interval {name}" for name in nca["interval"].values.tolist()]
    notes = Notes()
    rows = []
    for at, patient in enumerate(nca["patient"].values.tolist()):
        cells = [str(patient)]
        for name in names:
            value = float(nca[name].values[at, position])
            cell = number(value)
            if np.isnan(value):
                bound = _bound(nca, at, position) if name == "cmax" else ""
                cell = f"{NOT_CALCULABLE}{bound}{notes.mark(sentences[str(patient), name])}"
            cells.append(cell)
        for which, name in enumerate(intervals):
            value = float(nca["auc_interval"].values[at, position, which])
            cell = number(value)
            if np.isnan(value):
                cell = f"{NOT_CALCULABLE}{notes.mark(sentences[str(patient), name])}"
            cells.append(cell)
        rows.append(cells)
    units = ["", *(str(nca[name].attrs.get("units", "")) for name in names)]
    units += [str(nca["auc_interval"].attrs.get("units", ""))] * len(intervals)
    if "unit" in nca.coords and nca["unit"].ndim:
        own = str(nca["unit"].values[position])
        units[1 : len(names) + 1] = [PARAMETERS[name].units(own, "day") for name in names]
        units[len(names) + 1 :] = [PARAMETERS["auc_last"].units(own, "day")] * len(intervals)
    return Table(
        f"{label.capitalize()}: each patient's values",
        ("patient", *(parameter_label(name) for name in [*names, *intervals])),
        rows,
        units=[unit_label(unit) for unit in units],
        numeric=frozenset(range(1, len(names) + len(intervals) + 1)),
        notes=[f"Not calculable: {sentence}." for sentence in notes.sentences],
    )


def _general(sentence: str) -> str:
    """Return a reason without the patient's own figures, which stand in the list of reasons."""
    return re.sub(r" \(day [^)]*\)", "", sentence.split(": ")[0])


def _bound(nca: xr.Dataset, at: int, position: int) -> str:
    low = float(nca["cmax_lower"].values[at, position])
    high = float(nca["cmax_upper"].values[at, position])
    if np.isfinite(high):
        return f"\u00a0(<{number(high)})"
    return f"\u00a0(≥{number(low)})" if np.isfinite(low) and low > 0 else ""
