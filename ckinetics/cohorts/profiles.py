"""Profiles: from tidy tables, from arrays, and the one layout that all analyses take."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import InputError
from ..provenance import result_attrs
from ..schema import GROUPS, MATRICES, MATRIX_ALIASES, PROFILE_GROUPS, Excluded, Status, series_dim
from ..tables import MISSING_WORDS, Table, as_number, read_table
from ..units import conversion_factor, normalise_unit

_ALIASES: dict[str, tuple[str, ...]] = {
    "patient": ("patient_id", "usubjid", "subjid", "subject", "subject_id", "id"),
    "matrix": ("pcspec", "specimen", "sample_type", "compartment"),
    "count": ("test", "analyte", "parameter", "lbtestcd", "lbtest"),
    "cytokine": ("analyte", "test", "parameter", "lbtestcd", "lbtest"),
    "time": ("actual_time", "actual_day", "day", "days", "time_days", "afrlt"),
    "study_day": ("pcdy", "lbdy", "ady"),
    "nominal_time": ("nominal_day", "planned_day", "nfrlt"),
    "collected": ("collection_time", "collection_datetime", "pcdtc", "lbdtc"),
    "infused": ("infusion_time", "infusion_datetime", "rfxstdtc"),
    "level": ("value", "result", "concentration", "conc", "pcstresc", "pcorres", "lbstresc", "lborres"),
    "unit": ("units", "pcstresu", "pcorresu", "lbstresu", "lborresu"),
    "lod": ("limit_of_detection",),
    "lloq": ("loq", "pclloq", "lblloq"),
    "uloq": ("pculoq", "lbuloq"),
    "se_well": (),
    "se_plate": (),
    "plate": ("run_id", "run", "pcgrpid"),
    "sample_id": ("sample_name", "pcrefid", "lbrefid"),
    "excluded": (),
    "reason": ("pcreasnd",),
    "by": (),
}
_BLQ = frozenset({"blq", "bql", "bloq", "<blq", "<bql", "<lloq", "<loq", "below lloq", "below loq", "lt lloq"})
_NOT_DETECTED = frozenset({"nd", "not detected", "undetected", "negative", "neg", "<lod", "bld"})
_DETECTED = frozenset({"dnq", "detected not quantifiable", "detected, not quantifiable", "detected <lloq"})
_ABOVE = frozenset({">uloq", "alq", "auq", "above uloq", ">uloq.", "aloq"})
_INVALID = frozenset({"inv", "invalid", "failed"})
_NO_DNA = frozenset({"ns", "insufficient", "insufficient dna", "qns"})
# Spaces do not matter: "< LLOQ" is "<LLOQ".
_WORDS = tuple(
    (frozenset(word.replace(" ", "") for word in words), code)
    for words, code in (
        (_BLQ, Status.below_lloq),
        (_NOT_DETECTED, Status.not_detected),
        (_DETECTED, Status.detected_below_lloq),
        (_ABOVE, Status.above_uloq),
        (_INVALID, Status.invalid),
        (_NO_DNA, Status.insufficient_dna),
    )
)


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
    names = {name: others for name, others in _ALIASES.items() if name not in {"matrix", "count", "cytokine"}}
    names[series] = _ALIASES[series]
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


def kinetics_from_arrays(
    time: Any,
    level: Any,
    /,
    *,
    unit: str,
    lloq: Any = None,
    lod: Any = None,
    uloq: Any = None,
    patient: Sequence[Any] | None = None,
    matrix: str = "blood",
    time_unit: str = "day",
) -> xr.Dataset:
    """Build profiles from arrays of (patient, sample), or of one patient's (sample).

    Parameters
    ----------
    time : array_like
        Times since first infusion, increasing; shape (sample,) is shared by all patients. NaN pads the end.
    level : array_like
        Levels, shape (patient, sample) or (sample,). NaN is missing; a number below `lloq` is BLQ (status
        ``below_lloq``), one above `uloq` is above ULOQ.
    unit : str
        Unit of the levels.
    lloq, lod, uloq : float or array_like, optional
        Limits: one number, or an array that broadcasts to the shape of `level`.
    patient : sequence, optional
        Names; default "1", "2", ….
    matrix : str
        The matrix of all profiles.
    time_unit : str
        Unit of `time`.

    Returns
    -------
    Dataset
        As `read_kinetics`; the order of patients is kept.

    Raises
    ------
    InputError
        Shapes that do not fit, negative or infinite levels, times that do not increase (named by patient
        and sample).

    Examples
    --------
    >>> profiles = kinetics_from_arrays([0, 7, 28], [[0, 1e4, 90]], lloq=50, unit="copies/ug")
    >>> profiles["level"].values.tolist()
    [[[nan, 10000.0, 90.0]]]
    """
    levels = np.atleast_2d(np.asarray(level, dtype=np.float64))
    if levels.ndim != 2:
        raise InputError(f"level has {levels.ndim} dimensions: give (patient, sample)")
    shape = levels.shape
    # In the order of the levels: numpy would keep that of a grid that all patients share, sample by sample.
    times = np.multiply(_broadcast(time, shape, "time"), conversion_factor(time_unit, "day"), order="C")
    bounds = {
        name: _broadcast(np.nan if value is None else value, shape, name)
        for name, value in (("lod", lod), ("lloq", lloq), ("uloq", uloq))
    }
    names = [str(name) for name in patient] if patient is not None else [str(n + 1) for n in range(shape[0])]
    if len(names) != shape[0]:
        raise InputError(f"patient has {len(names)} names but level has {shape[0]} patients")
    if np.isinf(levels).any() or (levels < 0).any():
        row, column = np.argwhere(np.isinf(levels) | (levels < 0))[0]
        raise InputError(
            f"patient '{names[row]}', sample {column + 1}: level {levels[row, column]:g} is negative or infinite"
        )
    _check_increasing(times, names)
    present = np.isfinite(times)
    for at in np.argwhere(present & _wrong_limits(**bounds))[:1]:
        try:
            check_limits({name: float(bound[*at]) for name, bound in bounds.items()})
        except InputError as err:
            raise InputError(f"patient '{names[at[0]]}', sample {at[1] + 1}: {err.message}") from None
    status = np.where(np.isnan(levels), Status.missing, Status.quantified)
    below = (levels < bounds["lloq"]) | ((levels == 0) & np.isnan(bounds["lloq"]))
    status = np.where(below, Status.below_lloq, status)
    status = np.where(levels > bounds["uloq"], Status.above_uloq, status)
    status = np.where(present, status, Status.missing).astype(np.int8)
    values = {
        "time": times,
        "level": np.where(status == Status.quantified, levels, np.nan),
        "status": status,
        "excluded": np.where(present, Excluded.included, Excluded.missing).astype(np.int8),
        **{name: np.where(present, bound, np.nan) for name, bound in bounds.items()},
    }
    return _dataset(
        {name: array[:, np.newaxis, :] for name, array in values.items()},
        group="kinetics",
        patients=names,
        series=[controlled_matrix(matrix)],
        units=[normalise_unit(unit)],
    )


def _broadcast(value: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    array = np.asarray(value, dtype=np.float64)
    try:
        return np.array(np.broadcast_to(array, shape))
    except ValueError:
        raise InputError(f"{name} has shape {array.shape}, which does not fit level's {shape}") from None


def _check_increasing(times: np.ndarray, names: Sequence[str]) -> None:
    # Only rows that are at fault are looked at one by one; a padded end makes a comparison with NaN, which is none.
    rises = times[:, 1:] > times[:, :-1]
    padded = np.isnan(times[:, 1:])
    suspect = ~(rises | padded).all(axis=1) | np.isinf(times).any(axis=1) | np.isnan(times[:, :1]).any(axis=1)
    for at_row in np.flatnonzero(suspect).tolist():
        row, name = times[at_row], names[at_row]
        finite = np.isfinite(row)
        if np.isinf(row).any():
            raise InputError(f"patient '{name}': a time is infinite")
        if (np.diff(finite.astype(int)) > 0).any():
            raise InputError(f"patient '{name}': a time is missing between others; only the end may be padded")
        steps = np.diff(row[finite])
        if (steps <= 0).any():
            at = int(np.argmax(steps <= 0)) + 1
            word = "repeats" if steps[at - 1] == 0 else "is before"
            raise InputError(
                f"patient '{name}', sample {at + 1}: time {row[at]:g} day {word} the one before it: times must increase"
            )


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


def check_columns(columns: Mapping[str, str] | None, known: Iterable[str], what: str) -> None:
    """Refuse a renaming of a column that `what` does not know: it would be lost without a word.

    Raises
    ------
    InputError
        Names the column and what there is.
    """
    names = list(known)
    strange = [name for name in columns or {} if name not in names]
    if strange:
        raise InputError(
            f"columns= names '{strange[0]}', which {what} does not know: its columns are {', '.join(names)}"
        )


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


def controlled_matrix(text: str) -> str:
    """Return the controlled word of a matrix.

    Raises
    ------
    InputError
        The word is unknown.
    """
    folded = re.sub(r"\s+", " ", text.strip().lower())
    word = MATRIX_ALIASES.get(folded, folded)
    if word not in MATRICES:
        raise InputError(f"unknown matrix '{text}': use one of {', '.join(MATRICES)}")
    return word


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


def _wrong_limits(lod: Any, lloq: Any, uloq: Any) -> Any:
    wrong = [(limit <= 0) | np.isinf(limit) for limit in (lod, lloq, uloq)]
    return wrong[0] | wrong[1] | wrong[2] | (lod > lloq * (1 + 1e-12)) | (lloq >= uloq)


def check_limits(limits: Mapping[str, float]) -> None:
    """Refuse limits (lod, lloq, uloq) that are not positive and finite, or not in order."""
    if not _wrong_limits(**limits):
        return
    for name, limit in limits.items():
        if limit <= 0 or np.isinf(limit):
            raise InputError(f"{name} {limit:g} is not positive and finite: correct it")
    if limits["lod"] > limits["lloq"] * (1 + 1e-12):
        raise InputError(f"lod {limits['lod']:g} is above lloq {limits['lloq']:g}: correct one of them")
    raise InputError(f"lloq {limits['lloq']:g} is not below uloq {limits['uloq']:g}: correct one of them")


def _level_texts(source: Table) -> list[str]:
    out = []
    for cell, text in zip(source.frame["level"].tolist(), source.texts("level"), strict=True):
        infinite = isinstance(cell, float) and np.isinf(cell)
        out.append(str(cell) if infinite else text)
    return out


def parse_level(text: str, limits: dict[str, float], stated: Mapping[str, bool]) -> tuple[Status, float]:
    """Return status and level of one cell; limits that the cell states are put into `limits`.

    A limit that the cell states must be the one that is `stated` elsewhere for the same sample.
    """
    folded = re.sub(r"\s+", " ", text.lower())
    if folded in MISSING_WORDS:
        return Status.missing, np.nan
    for words, code in _WORDS:
        if folded.replace(" ", "") in words:
            return code, np.nan
    bound = re.fullmatch(r"([<>≤≥]=?)\s*(.+)", folded)
    value = as_number(bound.group(2) if bound else folded)
    if value is None:
        raise InputError(
            f"level '{text}' is neither a number nor a known word (BLQ, <50, ND, DNQ, >ULOQ, INV, NS, NA): correct it"
        )
    if value < 0:
        raise InputError(f"level {value:g} is negative: correct it")
    if bound:
        name, code = ("lloq", Status.below_lloq) if bound.group(1)[0] in "<≤" else ("uloq", Status.above_uloq)
        if stated[name] and not np.isclose(limits[name], value, rtol=1e-9):
            raise InputError(f"level '{text}' contradicts the row's {name} of {limits[name]:g}: correct one of them")
        limits[name] = value
        return code, np.nan
    if value < limits["lloq"] or (value == 0 and np.isnan(limits["lloq"])):
        return Status.below_lloq, np.nan
    if value > limits["uloq"]:
        return Status.above_uloq, np.nan
    return Status.quantified, value


def profiles_from_table(frame: pd.DataFrame, *, unit: str, group: str = "kinetics") -> xr.Dataset:
    """Lay a table of samples out as profiles.

    Parameters
    ----------
    frame : DataFrame
        Columns ``patient``, the series (``matrix``, ``count`` or ``cytokine``) and any variable of the
        schema's group; levels, statuses and limits are taken as they are. An optional column ``unit``
        holds each row's unit where series differ.
    unit : str
        Unit of the levels.
    group : str
        Group of the schema.

    Returns
    -------
    Dataset
        All variables of the group on (patient, series, sample), sorted by time (planned time where the actual
        one is unknown), padded at the end.
    """
    schema, series = GROUPS[group], series_dim(group)
    patients = natural_order(frame["patient"].astype(object).unique().tolist()) if len(frame) else []
    labels = sorted(frame[series].astype(object).unique().tolist()) if len(frame) else []
    if series == "matrix":
        labels.sort(key=MATRICES.index)
    table = frame.reset_index(drop=True)
    for name in ("time", "nominal_time"):
        if name not in table:
            table[name] = np.nan
    order = table["time"].fillna(table["nominal_time"])
    table = table.assign(_order=order).sort_values(["patient", series, "_order"], kind="stable")
    slot = table.groupby(["patient", series], sort=False).cumcount().to_numpy() if len(table) else np.zeros(0, int)
    width = int(slot.max()) + 1 if len(slot) else 0
    at = (
        pd.Index(patients).get_indexer(pd.Index(table["patient"])) if len(table) else np.zeros(0, int),
        pd.Index(labels).get_indexer(pd.Index(table[series])) if len(table) else np.zeros(0, int),
        slot,
    )
    values = {}
    for var in schema.variables:
        array = np.full((len(patients), len(labels), width), var.missing, dtype=var.dtype)
        if var.name in table:
            array[at] = table[var.name].to_numpy(dtype=var.dtype)
        elif var.name == "excluded":
            array[at] = Excluded.included
        values[var.name] = array
    default = normalise_unit(unit) if unit else ""
    units = [default] * len(labels)
    if "unit" in table and len(table):
        first = table.drop_duplicates(series).set_index(series)["unit"]
        units = [str(first[label]) for label in labels]
    return _dataset(values, group=group, patients=patients, series=labels, units=units)


def natural_order(names: Sequence[str]) -> list[str]:
    """Return names sorted with numbers as numbers: P2 before P10.

    Examples
    --------
    >>> natural_order(["P10", "P2"])
    ['P2', 'P10']
    """

    def key(name: str) -> list[tuple[int, int, str]]:
        parts = re.findall(r"\d+|\D+", str(name))
        return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]

    return sorted(names, key=lambda name: (key(name), str(name)))


def _dataset(
    values: Mapping[str, np.ndarray],
    *,
    group: str,
    patients: Sequence[str],
    series: Sequence[str],
    units: Sequence[str],
) -> xr.Dataset:
    schema, dim = GROUPS[group], series_dim(group)
    shape = next(iter(values.values())).shape
    one_unit = units[0] if len(set(units)) == 1 else ""
    variables = {}
    for var in schema.variables:
        array = values.get(var.name)
        if array is None:
            array = np.full(shape, var.missing, dtype=var.dtype)
        variables[var.name] = (schema.dims, array, var.attrs(one_unit))
    coords: dict[str, Any] = {
        "patient": ("patient", np.array(patients, dtype=object), {"long_name": "patient"}),
        dim: (dim, np.array(series, dtype=object), {"long_name": dim}),
        "unit": (dim, np.array(units, dtype=object), {"long_name": "unit of the levels"}),
    }
    return xr.Dataset(variables, coords, result_attrs(title=schema.meaning, group=group))


def profiles_of(data: xr.DataTree | xr.Dataset, group: str = "kinetics") -> xr.Dataset:
    """Return the profiles Dataset of a cohort, of a result of `quantify`, or of a Dataset of profiles.

    Parameters
    ----------
    data : DataTree or Dataset
        A cohort (its `group` is taken), a tree whose root holds ``level``, or a Dataset of profiles.
    group : str
        Which group of a cohort.

    Raises
    ------
    InputError
        There are no profiles in `data`; the message says what there is.
    """
    if isinstance(data, xr.DataTree):
        if group in data.children:
            dataset = data[group].to_dataset()
        elif "level" in data.data_vars:
            dataset = data.to_dataset()
        else:
            there = ", ".join(data.children) or "no group"
            raise InputError(f"the cohort has no group '{group}' of profiles: it has {there}")
    elif isinstance(data, xr.Dataset):
        dataset = data
    else:
        raise InputError(
            f"expected a cohort or a Dataset of profiles, got {type(data).__name__}: "
            "build one with read_kinetics, kinetics_from_arrays or quantify"
        )
    missing = [name for name in ("time", "level", "status") if name not in dataset.data_vars]
    if missing:
        raise InputError(f"the profiles have no variable '{missing[0]}': build them with read_kinetics")
    return dataset
