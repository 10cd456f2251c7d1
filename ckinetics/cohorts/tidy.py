"""Profiles from a tidy table: one row a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import InputError
from ..schema import PROFILE_GROUPS, Excluded, Status, series_dim
from ..tables import Table, read_table
from ..units import conversion_factor, normalise_unit
from .profiles import profiles_from_table
from .vocabulary import COLUMN_NAMES, check_columns, check_limits, controlled_matrix, parse_level


def read_kinetics(
    table: str | Path | pd.DataFrame,
    /,
    *,
    unit: str,
    matrix: str = "blood",
    lod: float | None = None,
    lloq: float | None = None,
    uloq: float | None = None,
    time_unit: str = "day",
    columns: Mapping[str, str] | None = None,
    group: str = "kinetics",
) -> xr.Dataset:
    """Read profiles from a tidy table: one row a sample.

    Parameters
    ----------
    table : path or DataFrame
        Columns ``patient``, ``time`` and ``level``; optional ``matrix``, ``nominal_time``, ``lod``,
        ``lloq``, ``uloq``, ``sample_id``, ``plate``, ``se_well``, ``se_plate``, ``excluded``, ``reason``,
        ``by``. In place of ``time`` (a number since the first infusion): ``collected`` with ``infused``
        (ISO 8601; without ``infused`` the time is filled in by `cohort` from the patient's first infusion),
        or ``study_day`` (CDISC, without a day 0), which is taken only where ``collected`` is empty. CDISC
        names (USUBJID, PCSTRESC, PCLLOQ, …) are known. ``excluded`` is yes or no.

        ``level`` holds numbers and words: "BLQ" (nothing but [0, LLOQ) is known), "<50" (the same, and
        LLOQ is 50), "ND" (not detected), "DNQ" (detected, not quantifiable), ">ULOQ", ">1e6", "INV",
        "NS" (insufficient DNA), "NA" or empty (missing). A number below the sample's LLOQ is BLQ, a number
        above its ULOQ is above ULOQ; zero without a known LLOQ is BLQ with an unknown limit.
    unit : str
        Unit of the levels, e.g. "copies/ug" or "cells/uL".
    matrix : str
        Matrix of rows that name none.
    lod, lloq, uloq : float, optional
        Limits of samples that have none of their own.
    time_unit : str
        Unit of the time columns: "day", "h", "week", "min".
    columns : mapping, optional
        Canonical name to the name used in the table.
    group : str
        Which group of the schema the profiles are for: "kinetics" or "flow" (``matrix``), "counts"
        (``count``), "cytokines" (``cytokine``; a ``unit`` column overrides `unit`).

    Returns
    -------
    Dataset
        Variables of the schema's group on (patient, matrix, sample); patients in natural order, samples
        in order of time, padded at the end.

    Raises
    ------
    InputError
        Names the file and row: a time that is not a number, a level that is neither number nor known
        word, two samples of one patient at one time, contradicting limits, an unknown matrix or unit.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"patient": ["P1", "P1"], "time": [7, 28], "level": [1200.0, "<50"]})
    >>> profiles = read_kinetics(rows, unit="copies/ug")
    >>> profiles["status"].values.tolist()
    [[[3, 2]]]
    """
    if group not in PROFILE_GROUPS:
        raise InputError(f"'{group}' is not a group of profiles: choose one of {', '.join(PROFILE_GROUPS)}")
    series = series_dim(group)
    names = {name: others for name, others in COLUMN_NAMES.items() if name not in {"matrix", "count", "cytokine"}}
    names[series] = COLUMN_NAMES[series]
    required = ["patient", "level"] + ([series] if series != "matrix" else [])
    check_columns(columns, names, f"the {group} table")
    source = read_table(table, what=f"the {group} table", aliases=names, required=required, columns=columns)
    frame = _sample_columns(source, time_unit)
    frame["patient"] = source.texts("patient", required=True)
    frame[series] = _series_column(source, series, matrix)
    frame["unit"] = _unit_column(source, unit, series, frame[series].tolist())
    limits = {"lod": lod, "lloq": lloq, "uloq": uloq}
    _levels(source, frame, limits)
    duplicates = frame.duplicated(["patient", series, "time"], keep=False) & frame["time"].notna()
    if duplicates.any():
        first = frame[duplicates].iloc[0]
        same = frame.index[
            (frame["patient"] == first["patient"]) & (frame[series] == first[series]) & (frame["time"] == first["time"])
        ]
        rows = " and ".join(str(source.rows[position]) for position in same[:3])
        raise InputError(
            f"patient '{first['patient']}' has {len(same)} samples of {first[series]} at time {first['time']:g} day "
            f"(rows {rows}): keep one, or correct the time",
            file=source.file or None,
            sheet=source.sheet or None,
        )
    return profiles_from_table(frame, unit=unit, group=group)


def _sample_columns(source: Table, time_unit: str) -> pd.DataFrame:
    """Return the columns that need no interpretation, one row a sample."""
    factor = conversion_factor(time_unit, "day")
    frame = pd.DataFrame(index=range(len(source)))
    frame["nominal_time"] = source.numbers("nominal_time") * factor
    frame["collected"] = source.datetimes("collected")
    for name in ("lod", "lloq", "uloq", "se_well", "se_plate"):
        frame[name] = source.numbers(name)
    for name in ("plate", "reason", "by", "sample_id"):
        frame[name] = np.array(source.texts(name), dtype=object)
    frame["excluded"] = np.array(_excluded(source), dtype=np.int8)
    if "time" in source:
        frame["time"] = source.numbers("time") * factor
    elif "collected" in source or "study_day" in source:
        # A date and time says more than a study day, which is taken only where there is no date.
        infused = source.datetimes("infused")
        elapsed = (frame["collected"].to_numpy() - infused) / np.timedelta64(86_400_000_000_000, "ns")
        days = source.numbers("study_day")
        if (days == 0).any():
            position = int(np.argmax(days == 0))
            raise source.error(position, "study day 0 does not exist in CDISC: the day of infusion is day 1")
        frame["time"] = np.where(frame["collected"].isna(), np.where(days > 0, days - 1, days), elapsed)
    else:
        raise source.error(
            None,
            "the table has no column 'time' (nor 'study_day' or 'collected'): add one, or name yours with "
            "columns={'time': ...}",
        )
    if "time" in source or "study_day" in source:
        gaps = frame["time"].isna() & frame["nominal_time"].isna() & frame["collected"].isna()
        if gaps.any():
            raise source.error(int(np.argmax(gaps)), "time is empty: fill it in")
    return frame


def _excluded(source: Table) -> list[int]:
    """Return the column of exclusions as codes; yes and no, true and false, 1 and 0 and the codes' names are known."""
    out = []
    for position, text in enumerate(source.texts("excluded")):
        word = text.lower()
        if word in {"", "no", "n", "false", "0", "included"}:
            out.append(int(Excluded.included))
        elif word in {"yes", "y", "true", "1", "excluded"}:
            out.append(int(Excluded.excluded))
        else:
            raise source.error(position, f"excluded '{text}' is neither yes nor no: correct it")
    return out


def _series_column(source: Table, series: str, matrix: str) -> list[str]:
    if series != "matrix":
        return source.texts(series, required=True)
    default = controlled_matrix(matrix)
    out = []
    for position, text in enumerate(source.texts("matrix")):
        try:
            out.append(controlled_matrix(text) if text else default)
        except InputError as err:
            raise source.error(position, err.message) from None
    return out


def _unit_column(source: Table, unit: str, series: str, labels: Sequence[str]) -> list[str]:
    given = source.texts("unit")
    default = normalise_unit(unit) if unit else ""
    found: dict[str, str] = {}
    out = []
    for position, (text, label) in enumerate(zip(given, labels, strict=True)):
        try:
            own = normalise_unit(text) if text else default
        except InputError as err:
            raise source.error(position, err.message, type(err)) from None
        if not own:
            raise source.error(position, f"{label} has no unit: add a column 'unit'")
        if series == "matrix" and own != default:
            raise source.error(
                position,
                f"the row's unit is '{own}' but unit='{default}' was given: give the table's own unit",
            )
        if found.setdefault(label, own) != own:
            raise source.error(position, f"{label} is given in '{own}' and in '{found[label]}': use one unit")
        out.append(own)
    return out


def _levels(source: Table, frame: pd.DataFrame, defaults: Mapping[str, float | None]) -> None:
    """Turn the level column into level, status and limits, in place."""
    own = {name: frame[name].to_numpy(dtype=float, copy=True) for name in defaults}
    level = np.full(len(frame), np.nan)
    status = np.full(len(frame), int(Status.missing), dtype=np.int8)
    for position, text in enumerate(_level_texts(source)):
        limits: dict[str, float] = {}
        for name, default in defaults.items():
            given = float(own[name][position])
            limits[name] = given if not np.isnan(given) or default is None else float(default)
        try:
            code, value = parse_level(text, limits, stated={n: not np.isnan(own[n][position]) for n in own})
            check_limits(limits)
        except InputError as err:
            raise source.error(position, err.message) from None
        level[position], status[position] = value, code
        for name, limit in limits.items():
            own[name][position] = limit
    frame["level"], frame["status"] = level, status
    for name, values in own.items():
        frame[name] = values


def _level_texts(source: Table) -> list[str]:
    out = []
    for cell, text in zip(source.frame["level"].tolist(), source.texts("level"), strict=True):
        infinite = isinstance(cell, float) and np.isinf(cell)
        out.append(str(cell) if infinite else text)
    return out
