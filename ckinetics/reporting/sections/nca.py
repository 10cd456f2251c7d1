"""The section on noncompartmental parameters: over patients, of each patient, of cells, and by area method."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ...noncompartmental import PARAMETERS, nca_summary
from ...noncompartmental.columns import RATIO
from ...noncompartmental.reasons import SENTENCES, Reason
from ...plot.style import parameter_label, unit_label
from ..core.blocks import Heading, Notes, Paragraph, Section, Table
from ..core.numbers import NOT_CALCULABLE, count, number, span
from ..core.results import Results, settings_of
from ..core.series import each_series, flag_name
from ..tables.auc_methods import areas_by_method, ratios_to_own
from .nca_patients import CELLS, cells_of_patients, how_to_read, values_of_patients

_STATISTICS = (
    "“Geometric mean” is exp of the mean of ln over positive values; “CV %” is the geometric coefficient of variation, "
    "100·√(exp(s²) − 1) with s the standard deviation of ln. Times, counts and shares have a median and a "
    "range only. n is the number of patients with a value; patients without one, among them those who never "
    "expanded, are counted as not calculable (n.c.), with the reason."
)


def nca_section(cohort: xr.DataTree, results: Results) -> Section | None:
    """Return the section, None where there is no nca."""
    if not results.nca:
        return None
    blocks: list[Any] = [Paragraph(_STATISTICS)]
    for at, nca in enumerate(results.nca, start=1):
        if len(results.nca) > 1:
            blocks.append(Heading(f"Analysis {at} (preset {settings_of(nca).get('preset', 'not recorded')})"))
        blocks.append(Paragraph(how_to_read(nca)))
        for label, one in each_series(nca):
            title = label.capitalize() if label.islower() else label
            words, patients = _reason_words(one), one.sizes["patient"]
            blocks.append(_over_patients(f"{title}: parameters over {patients} patients", nca_summary(one), words))
            blocks.append(values_of_patients(one, title))
            cells = [name for name in CELLS if name in one and name in PARAMETERS]
            table = nca_summary(one, parameters=cells)
            table = table[table["parameter"].isin(cells)]
            blocks.append(_over_patients(f"{title}: expansion, contraction and second peaks", table, words))
            blocks.append(Paragraph(persistence_words(one, title)))
            blocks.append(cells_of_patients(one, title))
        if RATIO in nca:
            blocks.append(_ratios(nca))
        blocks += method_tables(cohort, nca)
    return Section("nca", "Noncompartmental parameters", blocks)


def _reason_words(one: xr.Dataset) -> dict[str, str]:
    """Return, for each parameter, how many values are missing for which reason."""
    out = {}
    for variable, dim, prefix in (
        ("reason_code", "parameter", ""),
        ("interval_reason_code", "interval", "auc_interval "),
    ):
        codes = one[variable].values[:, 0, :]
        for at, name in enumerate(one[dim].values.tolist()):
            counts = Counter(Reason(int(code)) for code in codes[:, at] if code != Reason.computed)
            words = (f"{flag_name(reason.name)}: {n}" for reason, n in counts.most_common())
            out[f"{prefix}{name}"] = "; ".join(words)
    return out


def _over_patients(caption: str, table: pd.DataFrame, words: dict[str, str]) -> Table:
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
        caption,
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


def persistence_words(one: xr.Dataset, title: str) -> str:
    """Return in one sentence for how many patients persistence ended, and for how many it is open."""
    upper = one["persistence_upper"].values[:, 0]
    lower = one["persistence_lower"].values[:, 0]
    seen = (one["n_quantified"].values + one["n_above_uloq"].values)[:, 0] > 0
    open_, ended, never = np.isinf(upper), np.isfinite(upper) & seen, np.isfinite(upper) & ~seen
    parts = []
    if ended.any():
        parts.append(
            f"it ended in {count(int(ended.sum()), 'patient')}, between the last quantified sample (day "
            f"{span(float(lower[ended].min()), float(lower[ended].max()))}) and the first BLQ sample after it (day "
            f"{span(float(upper[ended].min()), float(upper[ended].max()))})"
        )
    if open_.any():
        days = span(float(lower[open_].min()), float(lower[open_].max()))
        parts.append(f"in {count(int(open_.sum()), 'patient')} the last sample (day {days}) is still quantified")
    if never.any():
        parts.append(f"{count(int(never.sum()), 'patient')} had no quantified sample")
    return f"{title}, persistence: {'; '.join(parts) or 'no patient has a sample after the infusion'}."


def _ratios(nca: xr.Dataset) -> Table:
    """Return the ratios of blood to other matrices, one row a patient and pair."""
    names = [str(name) for name in nca["ratio"].values.tolist()]
    values = nca[RATIO].transpose("patient", ..., "matrix_pair", "ratio").values
    values = values.reshape(nca.sizes["patient"], nca.sizes["matrix_pair"], len(names))
    codes = nca[f"{RATIO}_reason_code"].transpose("patient", ..., "matrix_pair", "ratio").values.reshape(values.shape)
    pairs = nca[f"{RATIO}_n_pairs"].transpose("patient", ..., "matrix_pair").values.reshape(values.shape[:2])
    notes = Notes()
    rows = []
    for at, patient in enumerate(nca["patient"].values.tolist()):
        for which, pair in enumerate(nca["matrix_pair"].values.tolist()):
            cells = [str(patient), str(pair)]
            for column in range(len(names)):
                reason = Reason(int(codes[at, which, column]))
                if reason == Reason.computed:
                    cells.append(number(float(values[at, which, column])))
                else:
                    text = SENTENCES[reason] if "{" not in SENTENCES[reason] else flag_name(reason.name)
                    cells.append(f"{NOT_CALCULABLE}{notes.mark(text)}")
            rows.append([*cells, number(float(pairs[at, which]))])
    labels = [
        "of paired samples, geometric mean" if name == "paired" else f"of {parameter_label(name)}" for name in names
    ]
    return Table(
        "Ratio of blood to other matrices",
        ("patient", "matrices", *labels, "pairs"),
        rows,
        numeric=frozenset(range(2, 3 + len(names))),
        notes=[f"Not calculable: {sentence}." for sentence in notes.sentences],
    )


def method_tables(cohort: xr.DataTree, nca: xr.Dataset) -> Sequence[Any]:
    """Return how much the area of each interval depends on the trapezoidal rule: over patients and of each."""
    if not nca.sizes.get("interval") or not nca.sizes["patient"]:
        return []
    areas = areas_by_method(cohort, nca)
    ratios = ratios_to_own(areas)
    names = ", ".join(parameter_label(f"auc_interval {label}").removeprefix("AUC ") for label in nca["interval"].values)
    rows = [
        (
            str(row["series"]),
            parameter_label(f"auc_interval {row['interval']}"),
            f"{row['method']}{' (used)' if row['used'] else ''}",
            str(row["n"]),
            number(row["median ratio"]),
            span(row["minimum"], row["maximum"]) if row["n"] else "",
        )
        for row in ratios.to_dict("records")
    ]
    over = Table(
        f"How much AUC {names} depends on the method: ratio to the area by the method used",
        ("series", "area", "method", "n", "median ratio", "minimum–maximum"),
        rows,
        numeric=frozenset({3, 4, 5}),
    )
    methods = list(dict.fromkeys(ratios["method"]))
    of_each = []
    for row in areas.to_dict("records"):
        values = [float(row[method]) for method in methods]
        own = float(row[row["used"]])
        known = [value / own for value in values if np.isfinite(value) and own > 0]
        of_each.append(
            (
                str(row["patient"]),
                str(row["series"]),
                parameter_label(f"auc_interval {row['interval']}"),
                unit_label(str(row["unit"])),
                *map(number, values),
                span(min(known), max(known)) if known else "",
            )
        )
    text = "The same analysis was made again under each of the four trapezoidal rules; everything else is as recorded."
    each = Table(
        "Each patient's areas under each method (those that are not calculable have their reason above)",
        ("patient", "series", "area", "unit", *methods, "ratio to the one used"),
        of_each,
        numeric=frozenset(range(4, 5 + len(methods))),
    )
    return [Paragraph(text), over, each]
