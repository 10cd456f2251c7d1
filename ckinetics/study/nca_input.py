"""What a file of levels is, and the cohort in it: a tidy table, or a CDISC domain of concentrations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..cohorts import cohort, read_kinetics, read_pc
from ..cohorts.vocabulary import COLUMN_NAMES
from ..errors import InputError, ValidationError
from ..tables import Table, fold, read_table
from ..units import normalise_unit

_TIDY: dict[str, tuple[str, ...]] = {
    "patient": COLUMN_NAMES["patient"],
    "unit": COLUMN_NAMES["unit"],
    "time_unit": ("tunit", "time_units", "timeunit"),
    "dose": ("dose_cells", "dose_received", "infused_dose"),
}
_ONLY_PC = ("supp", "ex", "dm", "testcd", "specimens")


@dataclass(frozen=True)
class Levels:
    """Where levels are read from, and what the file itself may not say.

    Attributes
    ----------
    file : a tidy table (CSV or workbook), or a CDISC domain of concentrations, told apart by their columns
    unit, time_unit, matrix : of a table that has no column of them
    lloq, uloq : limits of samples that have none of their own
    columns : canonical name of a column to the name used in the table
    supp, ex, dm, testcd : of a domain: supplemental qualifiers, exposure, demographics, and which test
    specimens : of a domain: the matrix of a PCSPEC that goes by another word
    infusions : a table of infusions
    """

    file: Path
    unit: str | None = None
    time_unit: str | None = None
    matrix: str = "blood"
    lloq: float | None = None
    uloq: float | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    supp: Path | None = None
    ex: Path | None = None
    dm: Path | None = None
    testcd: str | None = None
    specimens: Mapping[str, str] = field(default_factory=dict)
    infusions: Path | None = None

    @property
    def files(self) -> dict[str, Path]:
        """Every file that is read, by what it is."""
        named = {"levels": self.file, "supplemental qualifiers": self.supp, "exposure": self.ex}
        named |= {"demographics": self.dm, "infusions": self.infusions}
        return {what: path for what, path in named.items() if path is not None}


@dataclass(frozen=True)
class Read:
    """What was read: the cohort, what the file was, the groups of patients, and what a person should know."""

    cohort: xr.DataTree
    kind: str
    by: xr.DataArray | None
    notes: tuple[str, ...]


def read_levels(levels: Levels, *, title: str, by: str | None = None) -> Read:
    """Read a file of levels as a cohort.

    Parameters
    ----------
    levels : Levels
        The file.
    title : str
        Name of the study.
    by : str, optional
        Column by which patients are grouped: of the tidy table, or of the demographics of a domain.

    Raises
    ------
    InputError
        Names file, row and column, and says what to do; one sentence.
    """
    source = _table(levels.file, levels.columns)
    domain = _domain(source)
    patients: pd.DataFrame | None
    try:
        if domain is None:
            profiles, patients, notes = _tidy(levels, source, by)
            kind = "tidy table"
        else:
            profiles = read_pc(
                levels.file, domain=domain, supp=levels.supp, ex=levels.ex, dm=levels.dm, testcd=levels.testcd,
                unit=levels.unit, lloq=levels.lloq, uloq=levels.uloq, matrices=levels.specimens or None,
            )  # fmt: skip
            patients, notes = _demographics(levels, by, profiles), ()
            kind = f"CDISC domain {domain}"
        if not profiles.sizes["patient"]:
            raise InputError("the table has a header and no samples: check where it is from", file=levels.file)
        made = cohort(profiles, patients=patients, infusions=levels.infusions, title=title)
    except ValidationError as err:
        raise InputError("; ".join(map(str, err.faults)), file=err.file or str(levels.file)) from None
    groups = None if by is None else made.dataset[fold(by)].rename(by)
    if groups is not None:
        words = [f"{word:g}" if isinstance(word, float) else str(word) for word in groups.values.tolist()]
        groups = groups.copy(data=np.array([word if word != "nan" else "" for word in words], dtype=object))
    return Read(made, kind, groups, notes)


def _table(file: Path, columns: Mapping[str, str]) -> Table:
    mine = {name: given for name, given in columns.items() if name in _TIDY}
    return read_table(file, what="the table of levels", aliases=_TIDY, columns=mine)


def _domain(source: Table) -> str | None:
    """Return the two letters of a CDISC domain of concentrations, None for another table."""
    names = {fold(str(column)) for column in source.frame.columns}
    found = [name[:2] for name in names if re.fullmatch(r"[a-z]{2}testcd", name) and f"{name[:2]}spec" in names]
    return found[0].upper() if len(found) == 1 and "patient" in names else None


def _tidy(levels: Levels, source: Table, by: str | None) -> tuple[xr.Dataset, pd.DataFrame, tuple[str, ...]]:
    for name in _ONLY_PC:
        if getattr(levels, name):
            raise InputError(
                f"{name} belongs to a CDISC domain, and '{levels.file.name}' is a tidy table: leave it out"
            )
    columns = {name: given for name, given in levels.columns.items() if name not in ("time_unit", "dose")}
    profiles = read_kinetics(
        levels.file,
        unit=_unit(levels, source),
        matrix=levels.matrix,
        lloq=levels.lloq,
        uloq=levels.uloq,
        time_unit=_time_unit(levels, source),
        columns=columns or None,
    )
    patients = pd.DataFrame({"patient": [str(name) for name in profiles["patient"].values.tolist()]})
    if "dose" in source:
        dose = _of_patients(source, "dose", source.numbers("dose").tolist())
        patients["dose_received"] = [dose[name] for name in patients["patient"]]
    if by is not None:
        groups = _groups(levels.file, "the table of levels", by)
        patients[fold(by)] = [groups[name] for name in patients["patient"]]
    known = {*_TIDY, *COLUMN_NAMES, *(name for others in COLUMN_NAMES.values() for name in others)}
    used = known if by is None else known | {fold(by)}
    ignored = [str(name) for name in source.frame.columns if fold(str(name)) not in used]
    notes = (f"columns that were not used: {', '.join(ignored)}",) if ignored else ()
    return profiles, patients, notes


def _unit(levels: Levels, source: Table) -> str:
    """Return the unit of the levels: that given, else the one that the table's column has."""
    if levels.unit is not None:
        return levels.unit
    found: dict[str, int] = {}
    for position, text in enumerate(source.texts("unit")):
        if text:
            try:
                found.setdefault(normalise_unit(text), position)
            except InputError as err:
                raise source.error(position, err.message, type(err)) from None
    if not found:
        raise source.error(None, "the table has no unit of its levels: name it with --unit (unit=), e.g. 'copies/ug'")
    if len(found) > 1:
        (first, _), (other, at) = list(found.items())[:2]
        raise source.error(at, f"the unit is '{other}' but '{first}' in rows before: give the rows of one unit")
    return next(iter(found))


def _time_unit(levels: Levels, source: Table) -> str:
    """Return the unit of the times: that given, else the one that the table's column has, else days."""
    found: dict[str, int] = {}
    for position, text in enumerate(source.texts("time_unit")):
        if text:
            found.setdefault(text, position)
    if len(found) > 1:
        (first, _), (other, at) = list(found.items())[:2]
        raise source.error(at, f"the unit of time is '{other}' but '{first}' in rows before: give one unit")
    own = next(iter(found), None)
    if own is not None and levels.time_unit is not None and normalise_unit(own) != normalise_unit(levels.time_unit):
        raise source.error(
            found[own], f"the unit of time is '{own}', but --time-unit says '{levels.time_unit}': leave it out"
        )
    return levels.time_unit or own or "day"


def _of_patients(source: Table, column: str, values: list[Any]) -> dict[str, Any]:
    """Return what a column says of each patient, refused where it says two things of one."""
    found: dict[str, Any] = {}
    for position, (patient, value) in enumerate(zip(source.texts("patient"), values, strict=True)):
        if value == "" or value != value:
            found.setdefault(patient, value)
        elif patient not in found or found[patient] == "" or found[patient] != found[patient]:
            found[patient] = value
        elif found[patient] != value:
            before, now = (f"{one:g}" if isinstance(one, float) else str(one) for one in (found[patient], value))
            raise source.error(
                position,
                f"{column} of patient '{patient}' is '{now}' but '{before}' in a row before: give each patient one"
                + (", and several infusions as a table of them" if column == "dose" else ""),
            )
    return found


def _demographics(levels: Levels, by: str | None, profiles: xr.Dataset) -> pd.DataFrame | None:
    """Return the groups of the patients of a domain, from its demographics."""
    if by is None:
        return None
    if levels.dm is None:
        raise InputError(f"grouping a domain by '{by}' needs its demographics: name the table with --dm (dm=)")
    groups = _groups(levels.dm, "the table of demographics", by)
    names = [str(name) for name in profiles["patient"].values.tolist()]
    return pd.DataFrame({"patient": names, fold(by): [groups.get(name, "") for name in names]})


def _groups(file: Path, what: str, by: str) -> dict[str, Any]:
    """Return what a column, by the name that it has in the file, says of each patient."""
    source = read_table(file, what=what, aliases={"patient": _TIDY["patient"]}, required=["patient"])
    column = next((str(name) for name in source.frame.columns if fold(str(name)) == fold(by)), None)
    if column is None:
        there = ", ".join(f"'{name}'" for name in source.frame.columns)
        raise source.error(None, f"{what} has no column '{by}' to group patients by: it has {there}")
    return _of_patients(source, column, source.texts(column))
