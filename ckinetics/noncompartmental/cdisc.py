"""Results in the shapes of CDISC: the domain of parameters (SDTM PP) and its analysis data set (ADaM ADPP)."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..cohorts.vocabulary import specimen
from ..errors import InputError
from .columns import (
    ACCEPTANCE,
    Column,
    bounds_of,
    columns_of,
    flags_of,
    given_of,
    judging_flags,
    labels_of,
    level_units,
    limits_of,
    reason_texts,
    settings_of,
    units_of,
    value_text,
)
from .flags import FLAGS
from .parameters import find_parameter
from .reasons import Reason

_NOT_DONE = "NOT DONE"
_PP = (
    "STUDYID", "DOMAIN", "USUBJID", "PPSEQ", "PPGRPID", "PPTESTCD", "PPTEST", "PPCAT", "PPORRES", "PPORRESU",
    "PPSTRESC", "PPSTRESN", "PPSTRESU", "PPSTAT", "PPREASND", "PPSPEC", "PPANMETH", "PPSTINT", "PPENINT",
)  # fmt: skip
_ADPP = (
    "STUDYID", "USUBJID", "PPSEQ", "PPGRPID", "PARCAT1", "PPSPEC", "PARAMCD", "PARAM", "AVAL", "AVALC", "AVALU",
    "ANL01FL", "ANL01RSN",
)  # fmt: skip
_LONGEST = 200  # characters of a text variable of SDTM
_MISSED = {
    "poor_line": "R squared of the terminal line is below {limit:g}",
    "short_span": "the terminal line spans fewer than {limit:g} half-lives",
    "few_points": "the terminal line rests on fewer than {limit:g} samples",
    "extrapolated": "more than {limit:g} % of the area to infinity is extrapolated",
    "anchored": "more than {limit:g} % of the area lies before the first sample",
}


def pp_table(result: xr.Dataset, *, studyid: str, category: str, codes: dict[str, str]) -> pd.DataFrame:
    """Return the domain PP; see `nca_table`."""
    frame = _rows(result, category, codes)
    frame["STUDYID"], frame["DOMAIN"] = studyid, "PP"
    frame["PPORRES"] = frame["PPSTRESC"]
    for name in ("STRES", "ORRES"):  # a unit belongs to a result
        frame[f"PP{name}U"] = np.where(frame["PPORRES"] == "", "", frame["unit"])
    return frame[list(_PP)]


def adpp_table(result: xr.Dataset, *, studyid: str, category: str, codes: dict[str, str]) -> pd.DataFrame:
    """Return the analysis data set ADPP; see `nca_table`."""
    frame = _rows(result, category, codes)
    frame["STUDYID"] = studyid
    frame["PARCAT1"] = frame["PPCAT"]
    frame["AVAL"], frame["AVALC"], frame["AVALU"] = frame["PPSTRESN"], frame["PPSTRESC"], frame["unit"]
    unit = frame["unit"].map(lambda text: f" ({text})" if text else "")
    span = frame["span"].map(lambda text: f", {text} day" if text else "")
    frame["PARAM"] = frame["PPTEST"] + span + unit
    frame["PARAMCD"] = _distinct_codes(frame)
    frame["ANL01RSN"] = np.where(
        frame["PPSTRESN"].isna(), np.where(frame["PPREASND"] == "", "only a bound is known", frame["PPREASND"]),
        frame["missed"],
    )  # fmt: skip
    frame["ANL01FL"] = np.where(frame["ANL01RSN"] == "", "Y", "")
    return frame[list(_ADPP)]


def _distinct_codes(frame: pd.DataFrame) -> pd.Series[Any]:
    """Return PARAMCD: PPTESTCD, with a number where one code has several intervals."""
    numbers = {
        code: {span: str(at) for at, span in enumerate(dict.fromkeys(part["span"]), start=1)}
        for code, part in frame.groupby("PPTESTCD", sort=False)
    }
    many = {code: found for code, found in numbers.items() if len(found) > 1}
    pairs = zip(frame["PPTESTCD"], frame["span"], strict=True)
    made = [code[: 8 - len(many[code][span])] + many[code][span] if code in many else code for code, span in pairs]
    return pd.Series(made, index=frame.index, dtype=object)


def _rows(result: xr.Dataset, category: str, codes: dict[str, str]) -> pd.DataFrame:
    """Return one row a profile and coded parameter, by patient, with PPSEQ counting within each."""
    labels, units = labels_of(result), level_units(result)
    if "patient" not in labels:
        raise InputError("the result has no patients: PP and ADPP need a dim 'patient'")
    _check_codes(codes)
    flags, limits = flags_of(result), limits_of(result)
    parts = []
    for position, column in enumerate(columns_of(result)):
        code = codes.get(column.name, codes.get(column.record.name, column.record.pptestcd))
        if code:
            part = _part(result, column, units, flags, limits)
            parts.append(part.assign(PPTESTCD=code, profile=range(len(units)), column=position))
    frame = pd.concat(parts, ignore_index=True).sort_values(["profile", "column"], kind="stable")
    frame = frame[given_of(result)[frame["profile"].to_numpy()]]
    profile = frame["profile"].to_numpy()
    for name, values in _identity(labels, category).items():
        frame[name] = np.array(values, dtype=object)[profile]
    order = {name: at for at, name in enumerate(dict.fromkeys(labels["patient"]))}
    frame = frame.sort_values("USUBJID", kind="stable", key=lambda names: names.map(order)).reset_index(drop=True)
    frame["PPSEQ"] = frame.groupby("USUBJID", sort=False).cumcount() + 1
    return frame


def _check_codes(codes: dict[str, str]) -> None:
    for name, code in codes.items():
        if find_parameter(name) is None:
            raise InputError(f"codes= names '{name}', which is no parameter")
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,7}", code):
            raise InputError(f"code '{code}' of {name} is none of CDISC's form: 1 to 8 capitals and digits")


def _part(
    result: xr.Dataset, column: Column, units: list[str], flags: list[tuple[str, ...]], limits: dict[str, float]
) -> pd.DataFrame:
    """Return the rows of one parameter, in the order of profiles."""
    bounds = bounds_of(result, column.name)
    endless = np.isinf(column.values)  # persistence that had no end is no number that CDISC knows
    values = np.where(endless, np.nan, column.values)
    numbers = [value_text(value) for value in values.tolist()]
    known = np.array([number or bound for number, bound in zip(numbers, bounds, strict=True)], dtype=object)
    count = len(units)
    codes = np.where(endless, int(Reason.still_quantified), column.codes.astype(np.int64))
    codes = np.where(known == "", codes, int(Reason.computed))
    _, why = reason_texts(result, codes, np.arange(count), np.full(count, column.name, dtype=object))
    missed = [
        "; ".join(_MISSED[name].format(limit=limits.get(ACCEPTANCE[name][1], np.nan)) for name in FLAGS
                  if name in raised and name in judged)
        for raised, judged in zip(flags, judging_flags(column, result), strict=True)
    ]  # fmt: skip
    start, end, span = _interval(result, column)
    return pd.DataFrame(
        {
            "PPTEST": column.record.label or _title(column.record.meaning),
            "PPSTRESC": known,
            "PPSTRESN": values,
            "unit": ["" if unit == "1" else unit for unit in units_of(column, units)],
            "PPSTAT": np.where(known == "", _NOT_DONE, ""),
            "PPREASND": [text[:_LONGEST] for text in why.tolist()],
            "PPANMETH": _method(result, column),
            "PPSTINT": start,
            "PPENINT": end,
            "span": span,
            "missed": missed,
        },
        index=range(count),
    )


def _title(meaning: str) -> str:
    """Return what a parameter is, as a name of at most 40 characters that CDISC takes."""
    text = (meaning[:1].upper() + meaning[1:].split(",")[0]).replace("·", "*").replace("²", "2")
    return textwrap.shorten(text, 40, placeholder="")


def _method(result: xr.Dataset, column: Column) -> str:
    if "level*time" in column.record.unit or column.record.name.startswith(("mrt_", "cl_", "kel_")):
        return f"{settings_of(result).get('auc_method', '')} trapezoids".upper()
    return ""


def _interval(result: xr.Dataset, column: Column) -> tuple[str, str, str]:
    """Return start and end of a column's interval as ISO 8601 durations, and both in words."""
    if column.interval is None:
        return "", "", ""
    start = float(result["interval_start"].values[column.interval])
    end = float(result["interval_end"].values[column.interval])
    words = f"{value_text(start)} to {value_text(end)}"
    return f"P{value_text(start)}D", f"P{value_text(end)}D" if np.isfinite(end) else "", words


def _identity(labels: dict[str, list[str]], category: str) -> dict[str, list[str]]:
    """Return the variables that say whose and what a profile is."""
    count = len(labels["patient"])
    found = {"USUBJID": labels["patient"], "PPCAT": [category] * count}
    found["PPSPEC"] = [specimen(label) for label in labels.get("matrix", [""] * count)]
    for dim in ("cytokine", "count"):
        if dim in labels:
            found["PPCAT"] = [label.upper() for label in labels[dim]]
    others = [dim for dim in labels if dim not in ("patient", "matrix", "cytokine", "count")]
    groups = zip(*([f"{dim.upper()} {label}" for label in labels[dim]] for dim in others), strict=True)
    found["PPGRPID"] = ["; ".join(words) for words in groups] if others else [""] * count
    return found
