"""The tables of each patient: exposure with its acceptance, and what is special to cells."""

from __future__ import annotations

import re

import numpy as np
import xarray as xr

from ...noncompartmental import reasons_table
from ...noncompartmental.columns import ACCEPTANCE, Column, columns_of, flags_of, interval_kind, limits_of
from ...noncompartmental.reasons import Reason
from ...plot.style import parameter_label, unit_label
from ..core.blocks import Notes, Table
from ..core.numbers import NOT_CALCULABLE, number, span
from ..core.results import settings_of
from ..core.series import flag_name
from .conventions import PERSISTENCE_WORDS

# What a person reads first; areas over intervals follow auc_last.
FIRST = ("cmax", "tmax", "tlast", "clast_obs", "auc_last", "auc_inf_obs", "auc_pct_extrap_obs", "half_life")
LINE = ("lambda_z_n_points", "adj_r_squared")
CELLS = (
    "expansion_rate", "doubling_time", "fold_expansion", "contraction_half_life", "second_peak", "second_peak_time",
    "threshold_time", "threshold_duration",
)  # fmt: skip
_TOBIT = ("half_life_tobit", "doubling_time_tobit")
_MISSED = {
    "poor_line": "R² {value}",
    "short_span": "span {value} half-lives",
    "few_points": "{value} points",
    "extrapolated": "{value} % of AUCinf extrapolated",
    "anchored": "{value} % of AUClast before the first sample",
}
_LIMITS = {
    "poor_line": "R² at least {limit}",
    "short_span": "span at least {limit} half-lives",
    "few_points": "at least {limit} points",
    "extrapolated": "at most {limit} % of AUCinf extrapolated",
    "anchored": "at most {limit} % of AUClast before the first sample",
}
_POINTS = {
    "expansion_rate": "expansion_n_points",
    "contraction_half_life": "contraction_n_points",
}


class _Patients:
    """The values of one series as cells of a table, with notes on what is missing."""

    def __init__(self, one: xr.Dataset) -> None:
        self.one = one
        self.names = [str(name) for name in one["patient"].values.tolist()]
        self.columns = {column.name: column for column in columns_of(one)}
        self.sentences = {
            (str(row["patient"]), str(row["parameter"])): general(str(row["sentence"]))
            for row in reasons_table(one).to_dict("records")
        }
        self.notes = Notes()
        self.kind = interval_kind(one)
        unit = str(one["unit"].values[0])
        self.units = {name: unit_label(column.record.units(unit, "day")) for name, column in self.columns.items()}

    def value(self, name: str, at: int) -> float:
        return float(self.columns[name].values[at])

    def cell(self, name: str, at: int) -> str:
        """Return a value with its interval; where it is missing its bound, and the mark of the reason."""
        column = self.columns[name]
        if column.codes[at] != Reason.computed or np.isnan(column.values[at]):
            why = self.sentences.get((self.names[at], name), "")
            return f"{self._bound(name, at) or NOT_CALCULABLE}{self.notes.mark(why) if why else ''}"
        return f"{number(float(column.values[at]))}{_interval(column, at)}"

    def _bound(self, name: str, at: int) -> str:
        """Return what is known of a Cmax or an area that could not be computed."""
        if name not in ("cmax", "auc_last"):
            return ""
        low = self.value(f"{name}_lower", at)
        high = self.value("cmax_upper", at) if name == "cmax" else np.nan
        if np.isfinite(high):
            return f"<{number(high)}"
        return f">{number(low)}" if np.isfinite(low) and low > 0 else ""

    def footnotes(self) -> list[str]:
        return [f"Not calculable: {sentence}." for sentence in self.notes.sentences]


def _interval(column: Column, at: int) -> str:
    """Return the interval of a value in brackets, or its standard error: of the delta method, else of the bootstrap."""
    for boot in ("", "boot_"):
        found = [column.spreads[f"{boot}{end}"][at] for end in ("lower", "upper") if f"{boot}{end}" in column.spreads]
        if len(found) == 2 and np.isfinite(found).all():
            return f"\u00a0({span(float(found[0]), float(found[1]), 3)})"
        if f"{boot}se" in column.spreads and np.isfinite(column.spreads[f"{boot}se"][at]):
            return f"\u00a0±\u00a0{number(float(column.spreads[f'{boot}se'][at]), 3)}"
    return ""


def how_to_read(nca: xr.Dataset) -> str:
    """Return what brackets, acceptance and persistence mean in the tables of an analysis."""
    kind, limits = interval_kind(nca).split(";")[0], limits_of(nca)
    beside = f"In brackets beside a value: {kind}, from the assay's standard errors. " if kind else ""
    judged = "; ".join(_LIMITS[flag].format(limit=number(limits[name])) for flag, (_, name) in ACCEPTANCE.items())
    ends = PERSISTENCE_WORDS.get(str(settings_of(nca).get("persistence", "")), "its end")
    return (
        f"{beside}Acceptance: {judged}. A value that misses a limit stays, with the figure that misses it beside it. "
        "“<” and “>” are bounds: no sample was quantified, or one is above ULOQ. Persistence is the time of "
        f"{ends}; in brackets stand the last quantified and the first BLQ sample, between which it ended; ≥ says that "
        "the last sample is still quantified. A number in brackets after a rate or a half-life counts its samples."
    )


def values_of_patients(one: xr.Dataset, title: str) -> Table:
    """Return the table of what a person reads first, one row a patient, with the limits that it misses."""
    patients = _Patients(one)
    areas = [name for name in patients.columns if name.startswith("auc_interval ")]
    names: list[str] = []
    for name in FIRST:
        names += [name, *(areas if name == "auc_last" else ())]
    limits = limits_of(one)
    raised = flags_of(one)
    rows = []
    for at, patient in enumerate(patients.names):
        cells = [patients.cell(name, at) for name in names]
        line = [number(patients.value(name, at)) if np.isfinite(patients.value(name, at)) else "" for name in LINE]
        rows.append((patient, *cells, *line, _acceptance(one, at, raised[at], limits)))
    return Table(
        f"{title}: each patient's values",
        ("patient", *map(parameter_label, names), "points", "R² adj", "acceptance"),
        rows,
        units=["", *(patients.units[name] for name in names), "", "", ""],
        numeric=frozenset(range(1, len(names) + 3)),
        notes=patients.footnotes(),
    )


def _acceptance(one: xr.Dataset, at: int, raised: tuple[str, ...], limits: dict[str, float]) -> str:
    """Return the limits that a profile misses with its figures, "met", or that there is no line to judge."""
    missed = [
        f"{_MISSED[flag].format(value=number(float(one[name].values[at, 0]), 3))} (limit {number(limits[limit])})"
        for flag, (name, limit) in ACCEPTANCE.items()
        if flag in raised
    ]
    if missed:
        return "; ".join(missed)
    return "met" if np.isfinite(one["half_life"].values[at, 0]) else "no terminal line"


def cells_of_patients(one: xr.Dataset, title: str) -> Table:
    """Return the table of what is special to cells, one row a patient."""
    patients = _Patients(one)
    settings = settings_of(one)
    threshold = float(settings.get("threshold") or np.nan)
    columns = [
        ("persistence", "day"),
        ("expansion rate (points)", patients.units["expansion_rate"]),
        ("doubling time", "day"),
        ("fold expansion", ""),
        ("over LLOQ", ""),
        ("contraction t½ (points)", "day"),
        ("second peak (day)", patients.units["second_peak"]),
    ]
    if np.isfinite(threshold):
        columns += [(f"reaches {number(threshold)}", "day"), (f"time above {number(threshold)}", "day")]
    tobit = [name for name in _TOBIT if name in patients.columns]
    columns += [(f"{parameter_label(name)} (points + BLQ)", "day") for name in tobit]
    raised = flags_of(one)
    rows = []
    for at, patient in enumerate(patients.names):
        cells = [
            _persistence(patients, at),
            _with_points(patients, "expansion_rate", at),
            patients.cell("doubling_time", at),
            patients.cell("fold_expansion", at),
            _at_least(patients, "fold_expansion_lower", at),
            _with_points(patients, "contraction_half_life", at),
            _second_peak(patients, at),
        ]
        if np.isfinite(threshold):
            cells += [patients.cell("threshold_time", at), _duration(patients, at, raised[at])]
        cells += [_tobit(patients, name, at) for name in tobit]
        rows.append((patient, *cells, _remarks(raised[at])))
    return Table(
        f"{title}: each patient's cells",
        ("patient", *(name for name, _ in columns), "remarks"),
        rows,
        units=["", *(unit for _, unit in columns), ""],
        numeric=frozenset(range(1, len(columns) + 1)),
        notes=patients.footnotes(),
    )


def _persistence(patients: _Patients, at: int) -> str:
    low, high = patients.value("persistence_lower", at), patients.value("persistence_upper", at)
    if np.isnan(low):
        return patients.cell("persistence", at)
    if np.isinf(high):
        return f"≥{number(low)}"
    return f"{number(patients.value('persistence', at))}\u00a0({number(low)}–{number(high)})"


def _with_points(patients: _Patients, name: str, at: int) -> str:
    text, points = patients.cell(name, at), patients.value(_POINTS[name], at)
    return f"{text}\u00a0({number(points)})" if np.isfinite(patients.value(name, at)) else text


def _at_least(patients: _Patients, name: str, at: int) -> str:
    text = patients.cell(name, at)
    return f"≥{text}" if np.isfinite(patients.value(name, at)) else text


def _second_peak(patients: _Patients, at: int) -> str:
    if patients.columns["second_peak"].codes[at] == Reason.no_second_peak:
        return "none"
    day = patients.value("second_peak_time", at)
    return patients.cell("second_peak", at) + (f"\u00a0(day {number(day)})" if np.isfinite(day) else "")


def _duration(patients: _Patients, at: int, raised: tuple[str, ...]) -> str:
    text = patients.cell("threshold_duration", at)
    return f"≥{text}" if "threshold_open" in raised else text


def _tobit(patients: _Patients, name: str, at: int) -> str:
    text = patients.cell(name, at)
    if not np.isfinite(patients.value(name, at)):
        return text
    line = "lambda_z_tobit" if name.startswith("half_life") else "expansion_rate_tobit"
    counts = [number(patients.value(f"{line}_{what}", at)) for what in ("n_points", "n_blq")]
    return f"{text}\u00a0({' + '.join(counts)})"


def _remarks(raised: tuple[str, ...]) -> str:
    """Return the flags that neither the acceptance nor another column of the table says."""
    said = {*ACCEPTANCE, "rises_again", "still_quantified", "threshold_open"}
    return "; ".join(flag_name(name) for name in raised if name not in said)


def general(sentence: str) -> str:
    """Return a reason without the patient's own figures, which stand in the list of reasons."""
    return re.sub(r" \(day [^)]*\)", "", sentence.split(": ")[0])
